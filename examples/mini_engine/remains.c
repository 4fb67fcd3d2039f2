/*
 * remains.c - what is left of dropped rows, by the library (E11)
 *
 * Moments of what goes are added to those that an earlier round's summary
 * stands for, and summarised again.
 */
#include "remains.h"

#include <stdlib.h>

csp_summary remains_summary(const cache *c, uint32_t layer)
{
    const remains *r = &c->remains;
    const size_t head = (size_t)layer * c->n_kv_heads;

    return (csp_summary){
        .keys = r->keys + head * (1 + 2 * (size_t)r->rank) * c->head_dim,
        .values = r->values + head * (1 + (size_t)r->rank) * c->head_dim,
        .log_count = r->log_count + head,
        .variance = r->variance + head,
        .dtype = CSP_F32,
        .n_kv_heads = c->n_kv_heads,
        .key_dim = c->head_dim,
        .value_dim = c->head_dim,
        .rank = r->rank,
    };
}

csp_fit remains_fit(const cache *c, uint32_t layer)
{
    const remains *r = &c->remains;
    const size_t head = (size_t)layer * c->n_heads;

    return (csp_fit){.offset = r->offset + head,
                     .slope = r->slope + head,
                     .limit = r->limit + head};
}

/* Moments of a layer, all zero; numbers owns the arrays. */
static csp_moments moments_in(const cache *c, double **numbers)
{
    const size_t n = c->n_kv_heads, dim = c->head_dim;
    csp_moments m = {.n_kv_heads = c->n_kv_heads,
                     .key_dim = c->head_dim,
                     .value_dim = c->head_dim};

    *numbers = take(n + 2 * n * dim + 2 * n * dim * dim, sizeof **numbers);
    m.count = *numbers;
    m.key = m.count + n;
    m.value = m.key + n * dim;
    m.key_key = m.value + n * dim;
    m.key_value = m.key_key + n * dim * dim;
    return m;
}

static void plan_of(const csp_pruner *pruner, uint32_t layer,
                    csp_tokens *tokens, csp_kept *kept)
{
    check(csp_pruner_tokens(pruner, layer, tokens), "csp_pruner_tokens");
    check(csp_pruner_kept(pruner, layer, kept), "csp_pruner_kept");
}

static size_t largest(size_t a, size_t b, size_t c)
{
    const size_t most = a > b ? a : b;

    return most > c ? most : c;
}

void remains_add(cache *c, uint32_t layer, const csp_pruner *pruner,
                 const csp_tensor *keys, const csp_tensor *values)
{
    const csp_summary summary = remains_summary(c, layer);
    const uint32_t dim = c->head_dim;
    const size_t size = largest(csp_moments_workspace_size(dim, dim),
                                csp_summary_expand_workspace_size(&summary),
                                csp_summarise_workspace_size(dim, dim));
    void *workspace = take(size, 1);
    double *numbers;
    const csp_moments moments = moments_in(c, &numbers);
    csp_tokens tokens;
    csp_kept kept;

    plan_of(pruner, layer, &tokens, &kept);
    check(csp_summary_expand(&summary, workspace, size, &moments),
          "csp_summary_expand");
    check(csp_moments_add(keys, values, &tokens, &kept, NULL, workspace, size,
                          &moments),
          "csp_moments_add");
    check(csp_summarise(&moments, workspace, size, &summary), "csp_summarise");
    free(numbers);
    free(workspace);
}

void remains_fit_mass(cache *c, uint32_t layer, const csp_pruner *pruner,
                      const csp_attention *attention)
{
    const csp_summary summary = remains_summary(c, layer);
    const csp_fit fit = remains_fit(c, layer);
    double *sums = take((size_t)c->n_heads * CSP_FIT_SUMS, sizeof *sums);
    csp_tokens tokens;
    csp_kept kept;

    plan_of(pruner, layer, &tokens, &kept);
    const size_t size =
        csp_fit_rows_workspace_size(attention, &tokens, &summary);
    void *workspace = take(size, 1);
    check(csp_fit_rows(attention, &tokens, &kept, &summary, NULL, workspace,
                       size, sums),
          "csp_fit_rows");
    check(csp_fit_finish(sums, c->n_heads, &fit), "csp_fit_finish");
    free(workspace);
    free(sums);
}
