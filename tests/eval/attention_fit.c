/*
 * attention_fit.c - the mass of a summary, fitted to rows that know it
 *
 * The library's fit, and others that it does not offer, by sums of their own.
 */
#include "attention_fit.h"

#include "attention.h"
#include "support.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

csp_fit fit_make(uint32_t n_heads)
{
    return (csp_fit){.offset = take(n_heads, sizeof(float)),
                     .slope = take(n_heads, sizeof(float)),
                     .limit = take(n_heads, sizeof(float))};
}

void fit_free(csp_fit *fit)
{
    free(fit->limit);
    free(fit->slope);
    free(fit->offset);
    *fit = (csp_fit){0};
}

/* ---- The mass of a summary ----------------------------------------------- */

/* log m + q.mu, and q'Sq / 2, of a scaled query. */
typedef struct gauss {
    double linear, quadratic;
} gauss;

static double product(const float *row, const float *query, uint32_t n,
                      float scale)
{
    double sum = 0.0;

    for (uint32_t i = 0; i < n; ++i)
        sum += (double)row[i] * (double)query[i];
    return sum * (double)scale;
}

static gauss gauss_of(const csp_summary *summary, uint32_t g,
                      const float *query, float scale)
{
    const uint32_t dim = summary->key_dim, rank = summary->rank;
    const float *keys =
        (const float *)summary->keys + (size_t)g * (1 + 2 * (size_t)rank) * dim;
    double squares = (double)summary->variance[g] * (double)scale *
                     product(query, query, dim, scale);

    for (size_t i = 1; i <= rank; ++i) {
        const double p = product(keys + i * dim, query, dim, scale);

        squares += p * p;
    }
    return (gauss){.linear = (double)summary->log_count[g] +
                             product(keys, query, dim, scale),
                   .quadratic = squares / 2.0};
}

double fit_log_mass(const csp_summary *summary, const csp_fit *fit, uint32_t h,
                    uint32_t n_heads, const float *query, float scale)
{
    const gauss x =
        gauss_of(summary, h / (n_heads / summary->n_kv_heads), query, scale);

    return fmin((double)fit->limit[h], x.linear + (double)fit->offset[h] +
                                           (double)fit->slope[h] * x.quadratic);
}

/* ---- The library's fit --------------------------------------------------- */

static void add_run(const scene *s, const csp_kept *kept,
                    const csp_attention *run, const csp_summary *summary,
                    double *sums)
{
    const csp_tokens tokens = scene_tokens(s);
    const size_t size = csp_fit_rows_workspace_size(run, &tokens, summary);
    void *workspace = take(size, 1);

    csp_check(
        csp_fit_rows(run, &tokens, kept, summary, NULL, workspace, size, sums),
        "csp_fit_rows");
    free(workspace);
}

static void fit_bounded(const scene *s, uint32_t layer, const csp_kept *kept,
                        const correction_spec *c, const csp_summary *summary,
                        const csp_fit *fit)
{
    double *sums = take((size_t)s->n_heads * CSP_FIT_SUMS, sizeof *sums);
    row_runs rows = measuring_rows(s, c);
    csp_attention run;

    while (next_run(s, layer, &rows, &run))
        add_run(s, kept, &run, summary, sums);
    csp_check(csp_fit_finish(sums, s->n_heads, fit), "csp_fit_finish");
    free(sums);
}

/* ---- Other fits ---------------------------------------------------------- */

/* Sums of a regression of log mass - linear on quadratic. */
typedef struct regression {
    double rows, rest, quadratic, quadratic_2, product, top;
} regression;

static void regress(regression *r, double log_mass, gauss x)
{
    const double rest = log_mass - x.linear;

    r->top = r->rows > 0.0 ? fmax(r->top, log_mass) : log_mass;
    r->rows += 1.0;
    r->rest += rest;
    r->quadratic += x.quadratic;
    r->quadratic_2 += x.quadratic * x.quadratic;
    r->product += x.quadratic * rest;
}

/* Log of the mass that a row sees of dropped tokens; -INFINITY: none. */
static double dropped_mass(const float *logits, const uint8_t *mask, uint32_t n)
{
    double top = -(double)INFINITY, mass = 0.0;

    for (uint32_t j = 0; j < n; ++j)
        if (!mask[j])
            top = fmax(top, (double)logits[j]);
    if (!(top > -(double)INFINITY))
        return top;
    for (uint32_t j = 0; j < n; ++j)
        if (!mask[j])
            mass += exp((double)logits[j] - top);
    return top + log(mass);
}

static regression regress_head(const scene *s, uint32_t layer, uint32_t h,
                               const csp_kept *kept, uint32_t n_rows,
                               const csp_summary *summary)
{
    const csp_attention seen = scene_attention(s, layer, n_rows);
    const uint32_t n_keys = scene_keys(s), dim = s->head_dim;
    const uint32_t g = h / (s->n_heads / s->n_kv_heads);
    const uint32_t list = kept->n_lists == 1 ? 0 : g;
    const float *keys = s->full->keys + cache_head(s->full, layer, g);
    float *logits = take(n_keys, sizeof *logits);
    uint8_t *mask = take(n_keys, 1);
    regression r = {0};

    csp_check(csp_kept_mask(kept->rows + (size_t)list * kept->capacity,
                            kept->counts[list], n_keys, mask),
              "csp_kept_mask");
    for (uint32_t t = 0; t < seen.queries.n_rows; ++t) {
        const float *query = (const float *)seen.queries.data +
                             ((size_t)t * s->n_heads + h) * dim;
        const uint32_t visible = seen.first_query + t + 1;

        attention_logits(query, keys, visible, dim, s->scale, logits);
        const double mass = dropped_mass(logits, mask, visible);
        if (mass > -(double)INFINITY)
            regress(&r, mass, gauss_of(summary, g, query, s->scale));
    }
    free(mask);
    free(logits);
    return r;
}

static double slope_of(const regression *r, fitting how)
{
    const double spread =
        r->rows * r->quadratic_2 - r->quadratic * r->quadratic;

    if (how != FIT_FREE)
        return how == FIT_ONE ? 1.0 : 0.0;
    /* Rows all alike do not say; neither does one. */
    if (!(spread > DBL_EPSILON * r->rows * r->quadratic_2))
        return 0.0;
    return (r->rows * r->product - r->quadratic * r->rest) / spread;
}

static void fit_head(const regression *r, fitting how, uint32_t h,
                     const csp_fit *fit)
{
    const double slope = slope_of(r, how);

    if (r->rows > 0.0) {
        fit->slope[h] = (float)slope;
        fit->offset[h] = (float)((r->rest - slope * r->quadratic) / r->rows);
        fit->limit[h] = (float)r->top;
    } else {
        fit->slope[h] = fit->offset[h] = 0.0f;
        fit->limit[h] = -INFINITY;
    }
}

/* ---- Any ----------------------------------------------------------------- */

static void alter_head(fitting how, uint32_t h, const csp_fit *fit)
{
    const bool limited = how == FIT_LIMIT || how == FIT_BOUNDED;

    /* Without any mass to go by it stays at none. */
    if (!limited && (how != FIT_UNLIMITED || fit->limit[h] > -INFINITY))
        fit->limit[h] = INFINITY;
    if (how == FIT_NONE || how == FIT_TRUTH || how == FIT_LIMIT) {
        fit->offset[h] = 0.0f;
        fit->slope[h] = 1.0f;
    }
}

void fit_mass(const scene *s, uint32_t layer, const csp_kept *kept,
              const correction_spec *c, const csp_summary *summary,
              const csp_fit *fit)
{
    const bool own =
        c->fit == FIT_OFFSET || c->fit == FIT_FREE || c->fit == FIT_ONE;

    if (!own)
        fit_bounded(s, layer, kept, c, summary, fit);
    for (uint32_t h = 0; h < s->n_heads; ++h)
        if (own) {
            const regression r =
                regress_head(s, layer, h, kept, c->rows, summary);

            fit_head(&r, c->fit, h, fit);
        } else {
            alter_head(c->fit, h, fit);
        }
}
