/*
 * correct_summary.c - attention outputs corrected by a summary (E11)
 *
 * The dropped tokens enter as one more token, whose logit and value depend on
 * the query: out = v + s (out - v), s the kept keys' share of the mass.
 */
#include <math.h>
#include <string.h>

#include "config.h"
#include "mass.h"
#include "moments.h"
#include "numeric.h"
#include "views.h"
#include "workspace.h"

typedef struct scratch {
    csp__mass mass;
    float *output; /* [value_dim] */
    float *value;  /* [value_dim] v(q) */
} scratch;

typedef struct job {
    const csp__kernels *kernels;
    const csp_tensor *outputs, *queries, *lse;
    float scale;
    csp_lse_unit unit;
    const csp_summary *summary;
    const csp_fit *fit;
    unsigned char *corrected;
    scratch scratch;
} job;

static void carve(scratch *s, const csp_summary *summary, csp__arena *arena)
{
    csp__mass_carve(&s->mass, summary, arena);
    s->output = csp__arena_take(arena, 1, summary->value_dim, sizeof(float));
    s->value = csp__arena_take(arena, 1, summary->value_dim, sizeof(float));
}

static double lse_at(const job *j, uint32_t h, uint32_t r)
{
    float x;

    memcpy(&x, csp__row_at(j->lse, h, r), sizeof x);
    return j->unit == CSP_LSE_BASE2 ? (double)x * CSP__LN2 : (double)x;
}

static double log_n(const job *j, uint32_t h, csp__log_mass gauss)
{
    const csp_fit *f = j->fit;

    if (f == NULL)
        return gauss.linear + gauss.quadratic;
    const double fitted = gauss.linear + (double)f->offset[h] +
                          (double)f->slope[h] * gauss.quadratic;
    return fitted < (double)f->limit[h] ? fitted : (double)f->limit[h];
}

/* The kept keys' share of the mass for a row; false if a number is not. */
static bool share_of_kept(job *j, uint32_t h, uint32_t r, float *share)
{
    const double lse = lse_at(j, h, r);
    csp__log_mass gauss;

    if (!(lse < (double)INFINITY) ||
        !csp__mass_of(&j->scratch.mass, j->queries, j->scale, h, r, &gauss))
        return false;
    const double n = log_n(j, h, gauss);
    *share = n == -(double)INFINITY ? 1.0f
                                    : (float)(1.0 / (1.0 + csp__exp(n - lse)));
    return *share == *share;
}

/* v(q) from the dot products of the row at hand. */
static bool value_of(const job *j)
{
    const csp_summary *s = j->summary;
    const csp__mass *m = &j->scratch.mass;
    float *value = j->scratch.value;

    memcpy(value, m->values, s->value_dim * sizeof *value);
    for (size_t i = 0; i < s->rank; i++)
        j->kernels->add_row[CSP_F32](m->values + (1 + i) * s->value_dim,
                                     s->value_dim, m->dots[1 + s->rank + i],
                                     value);
    return j->kernels->all_finite(value, s->value_dim);
}

static void blend(const job *j, uint32_t h, uint32_t r, float share)
{
    const csp_tensor *t = j->outputs;
    const size_t offset = h * t->head_stride + r * t->row_stride;
    const unsigned char *in = (const unsigned char *)t->data + offset;
    unsigned char *out = j->corrected + offset;
    float *x = j->scratch.output;
    const float *v = j->scratch.value;

    if (share == 1.0f) { /* bit for bit, which a conversion of NaN is not */
        for (size_t i = 0; i < t->n_cols && in != out; i++)
            memcpy(out + i * t->col_stride, in + i * t->col_stride,
                   csp__dtype_size(t->dtype));
        return;
    }
    csp__load(j->kernels, t, in, t->n_cols, x);
    for (size_t i = 0; i < t->n_cols; i++)
        x[i] = share > 0.0f ? fmaf(share, x[i] - v[i], v[i]) : v[i];
    csp__store(j->kernels, t, x, t->n_cols, out);
}

/* All rows: first to know that all numbers are, then to write. */
static csp_status correct_rows(job *j, bool write)
{
    const uint32_t n_heads = j->outputs->n_heads;
    const uint32_t group = n_heads / j->summary->n_kv_heads;

    for (uint32_t h = 0; h < n_heads; h++) {
        if (h % group == 0)
            csp__mass_start(&j->scratch.mass, h / group);
        for (uint32_t r = 0; r < j->outputs->n_rows; r++) {
            float share;
            if (!share_of_kept(j, h, r, &share) || !value_of(j))
                return CSP_E_NOT_FINITE;
            if (write)
                blend(j, h, r, share);
        }
    }
    return CSP_OK;
}

static csp_status check_fit(const csp_fit *fit, uint32_t n_heads)
{
    if (fit == NULL)
        return CSP_OK;
    if (fit->offset == NULL || fit->slope == NULL || fit->limit == NULL)
        return CSP_E_NULL;
    for (uint32_t h = 0; h < n_heads; h++)
        if (!csp__is_finite(fit->offset[h]) || !csp__is_finite(fit->slope[h]) ||
            fit->limit[h] != fit->limit[h])
            return CSP_E_NOT_FINITE;
    return CSP_OK;
}

static csp_status check_views(const job *j)
{
    const csp_tensor *o = j->outputs, *q = j->queries, *lse = j->lse;
    size_t extent, query_extent, lse_extent;
    csp_status status;

    if (o->n_heads == 0)
        return CSP_E_SHAPE;
    if (o->n_heads % j->summary->n_kv_heads != 0)
        return CSP_E_GQA;
    if (o->n_cols != j->summary->value_dim || q->n_heads != o->n_heads ||
        q->n_rows != o->n_rows || q->n_cols != j->summary->key_dim ||
        lse->n_heads != o->n_heads || lse->n_rows != o->n_rows ||
        lse->n_cols != 1)
        return CSP_E_SHAPE;
    if (lse->dtype != CSP_F32)
        return CSP_E_DTYPE;
    if ((status = csp__check_tensor(o, false, false, &extent)) != CSP_OK ||
        (status = csp__check_tensor(q, true, false, &query_extent)) != CSP_OK ||
        (status = csp__check_tensor(lse, true, false, &lse_extent)) != CSP_OK)
        return status;
    if (extent > 0 && j->corrected == NULL)
        return CSP_E_NULL;
    if ((j->corrected != o->data &&
         csp__overlap(j->corrected, extent, o->data, extent)) ||
        csp__overlap(j->corrected, extent, q->data, query_extent) ||
        csp__overlap(j->corrected, extent, lse->data, lse_extent))
        return CSP_E_OVERLAP;
    return check_fit(j->fit, o->n_heads);
}

static size_t measure(const csp_summary *summary)
{
    csp__arena arena = {0};
    scratch s;

    carve(&s, summary, &arena);
    return csp__arena_size(&arena);
}

size_t csp_correct_summary_workspace_size(const csp_summary *summary)
{
    return csp__check_summary(summary, true) == CSP_OK ? measure(summary) : 0;
}

csp_status csp_correct_summary(const csp_tensor *outputs,
                               const csp_tensor *queries, float scale,
                               const csp_tensor *lse, csp_lse_unit unit,
                               const csp_summary *summary, const csp_fit *fit,
                               const csp_compute *compute, void *workspace,
                               size_t workspace_size, void *corrected)
{
    csp__kernels kernels;
    job j = {.kernels = &kernels,
             .outputs = outputs,
             .queries = queries,
             .lse = lse,
             .scale = scale,
             .unit = unit,
             .summary = summary,
             .fit = fit,
             .corrected = corrected};
    csp_status status;

    if (outputs == NULL || queries == NULL || lse == NULL)
        return CSP_E_NULL;
    if ((status = csp__check_summary(summary, false)) != CSP_OK)
        return status;
    if ((unsigned)unit > CSP_LSE_BASE2 || !csp__is_finite(scale))
        return CSP_E_CONFIG;
    if ((status = check_views(&j)) != CSP_OK ||
        (status = csp__check_compute(compute)) != CSP_OK ||
        (status = csp__check_workspace(workspace, workspace_size,
                                       measure(summary))) != CSP_OK)
        return status;
    csp__kernels_choose(compute, &kernels);
    csp__arena arena = csp__arena_over(workspace);
    carve(&j.scratch, summary, &arena);
    j.scratch.mass.kernels = &kernels;
    status = correct_rows(&j, false);
    return status == CSP_OK ? correct_rows(&j, true) : status;
}
