/*
 * expand.c - a summary back into moments, so that later rounds add up (E11)
 */
#include <math.h>

#include "mass.h"
#include "moments.h"
#include "numeric.h"
#include "workspace.h"

/* e^200 times two floats is a double, and more tokens than there can be. */
#define MOST_LOG_COUNT 200.0f

/* sum of rows [from, from + n) of x, each times its partner in y, at (i, .). */
static void add_outer(const float *x, const float *y, size_t n, size_t x_dim,
                      size_t y_dim, size_t i, double weight, double *to)
{
    for (size_t r = 0; r < n; r++) {
        const double w = weight * (double)x[r * x_dim + i];
        for (size_t j = 0; j < y_dim; j++)
            to[j] += w * (double)y[r * y_dim + j];
    }
}

static void expand_head(const csp__mass *mass, size_t g, const csp_moments *to)
{
    const csp_summary *s = mass->summary;
    const size_t dk = s->key_dim, dv = s->value_dim, rank = s->rank;
    const float *mu = mass->keys, *vbar = mass->values;
    const double n = csp__exp((double)s->log_count[g]);

    if (n == 0.0)
        return;
    for (size_t i = 0; i < dk; i++) {
        double *kk = to->key_key + (g * dk + i) * dk;
        double *kv = to->key_value + (g * dk + i) * dv;
        /* The mean and what is around it. */
        add_outer(mu, mu, 1 + rank, dk, dk, i, n, kk);
        kk[i] += n * (double)s->variance[g];
        add_outer(mu, vbar, 1, dk, dv, i, n, kv);
        add_outer(mu + (1 + rank) * dk, vbar + dv, rank, dk, dv, i, n, kv);
        to->key[g * dk + i] += n * (double)mu[i];
    }
    for (size_t i = 0; i < dv; i++)
        to->value[g * dv + i] += n * (double)vbar[i];
    to->count[g] += n;
}

/* Whether the numbers of a KV head, widened, are such. */
static bool is_finite(const csp__mass *mass, size_t g)
{
    const csp_summary *s = mass->summary;
    const size_t rank = s->rank;

    return csp__is_log(s->log_count[g]) && s->log_count[g] <= MOST_LOG_COUNT &&
           csp__is_finite(s->variance[g]) &&
           mass->kernels->all_finite(mass->keys, (1 + 2 * rank) * s->key_dim) &&
           mass->kernels->all_finite(mass->values, (1 + rank) * s->value_dim);
}

static size_t measure(const csp_summary *summary)
{
    csp__arena arena = {0};
    csp__mass mass;

    csp__mass_carve(&mass, summary, &arena);
    return csp__arena_size(&arena);
}

size_t csp_summary_expand_workspace_size(const csp_summary *summary)
{
    return csp__check_summary(summary, true) == CSP_OK ? measure(summary) : 0;
}

csp_status csp_summary_expand(const csp_summary *summary, void *workspace,
                              size_t workspace_size, const csp_moments *moments)
{
    csp__kernels kernels;
    csp__mass mass;
    csp_status status;

    if ((status = csp__check_summary(summary, false)) != CSP_OK ||
        (status = csp__check_moments(moments)) != CSP_OK)
        return status;
    if (!csp__same_shape(summary, moments))
        return CSP_E_SHAPE;
    status = csp__check_workspace(workspace, workspace_size, measure(summary));
    if (status != CSP_OK)
        return status;
    csp__kernels_choose(NULL, &kernels);
    csp__arena arena = csp__arena_over(workspace);
    csp__mass_carve(&mass, summary, &arena);
    mass.kernels = &kernels;
    for (int write = 0; write < 2; write++)
        for (uint32_t g = 0; g < summary->n_kv_heads; g++) {
            csp__mass_start(&mass, g);
            if (!is_finite(&mass, g))
                return CSP_E_NOT_FINITE;
            if (write)
                expand_head(&mass, g, moments);
        }
    return CSP_OK;
}
