/*
 * differential_broken_settings.c - settings and arrays with one thing wrong
 */
#include "differential_refusal.h"

/* ---- Settings ------------------------------------------------------------ */

csp_status no_config(diff_case *c, arguments *a)
{
    (void)c;
    a->config_in = NULL;
    return CSP_E_NULL;
}

csp_status empty_config(diff_case *c, arguments *a)
{
    (void)c;
    a->config.struct_size = 0;
    return CSP_E_CONFIG;
}

csp_status bad_n(diff_case *c, arguments *a)
{
    const double bad[] = {-1.0, (double)NAN, (double)INFINITY};
    a->config.n = bad[random_below(&c->random, 3)];
    return CSP_E_CONFIG;
}

csp_status n_without_lse(diff_case *c, arguments *a)
{
    if (!c->layer.probabilities)
        return CSP_OK;
    a->attention.lse.data = NULL;
    a->config.n = 1.0;
    return CSP_E_CONFIG;
}

csp_status unknown_tier(diff_case *c, arguments *a)
{
    (void)c;
    a->config.compute.tier = (csp_tier)99;
    return CSP_E_UNSUPPORTED; /* for all it knows, a later build has it */
}

csp_status no_blas(diff_case *c, arguments *a)
{
    (void)c;
    a->config.compute.column_sums = CSP_PATH_BLAS;
    return csp_has_blas() ? CSP_OK : CSP_E_UNSUPPORTED;
}

csp_status even_pool(diff_case *c, arguments *a)
{
    (void)c;
    a->config.pooling = CSP_POOL_AVG;
    a->config.pool_width = 2 * random_below(&c->random, 4);
    return CSP_E_CONFIG;
}

csp_status no_block(diff_case *c, arguments *a)
{
    (void)c;
    a->config.block = 0;
    return CSP_E_CONFIG;
}

csp_status unknown_selection(diff_case *c, arguments *a)
{
    (void)c;
    a->config.selection = (csp_selection)3;
    return CSP_E_CONFIG;
}

csp_status unknown_pooling(diff_case *c, arguments *a)
{
    (void)c;
    a->config.pooling = (csp_pooling)3;
    return CSP_E_CONFIG;
}

csp_status rest_without_budget(diff_case *c, arguments *a)
{
    (void)c;
    a->config.selection = CSP_UNION;
    a->config.n_intra = CSP_REST;
    return CSP_E_CONFIG;
}

csp_status too_much_protected(diff_case *c, arguments *a)
{
    (void)c;
    a->config.selection = CSP_EXACT;
    a->config.recent = a->config.budget;
    a->config.sinks = 1;
    return CSP_E_BUDGET;
}

csp_status too_long_lists(diff_case *c, arguments *a)
{
    (void)c;
    a->config.selection = CSP_EXACT;
    a->config.sinks = a->config.recent = 0;
    a->config.n_intra = a->config.budget;
    a->config.n_inter = 1;
    return CSP_E_BUDGET;
}

/* ---- Importance and lists ------------------------------------------------ */

csp_status no_importance(diff_case *c, arguments *a)
{
    (void)c;
    a->importance_in = NULL;
    return CSP_E_NULL;
}

csp_status no_inter(diff_case *c, arguments *a)
{
    a->importance.inter = NULL;
    return c->layer.n_keys == 0 ? CSP_OK : CSP_E_NULL;
}

csp_status one_kind_of_rows(diff_case *c, arguments *a)
{
    a->importance.intra_rows = NULL;
    a->importance.inter_rows = a->importance.inter;
    return c->layer.n_keys == 0 ? CSP_OK : CSP_E_NULL;
}

csp_status narrow_importance(diff_case *c, arguments *a)
{
    if (c->layer.n_keys == 0)
        return CSP_OK;
    a->importance.capacity = c->layer.n_keys - 1;
    return CSP_E_CAPACITY;
}

csp_status no_norms(diff_case *c, arguments *a)
{
    a->config.weigh_values = true;
    a->importance.value_norm = NULL;
    return c->layer.n_keys == 0 ? CSP_OK : CSP_E_NULL;
}

csp_status importance_is_nan(diff_case *c, arguments *a)
{
    const uint32_t g = random_below(&c->random, c->layer.n_kv_heads);
    const uint32_t n_rows = c->layer.n_rows[g];
    const bool chosen =
        a->config.selection != CSP_EXACT || n_rows > a->config.budget;
    if (n_rows == 0 || !chosen)
        return CSP_OK;
    cover(c, F12_NAN_REFUSED);
    const uint32_t k = random_below(&c->random, n_rows);
    spoil(a, &a->importance.intra[(size_t)g * a->importance.capacity + k],
          draw_bad_number(c), CSP_F32);
    return CSP_E_NOT_FINITE;
}

csp_status no_kept(diff_case *c, arguments *a)
{
    (void)c;
    a->kept_in = NULL;
    return CSP_E_NULL;
}

csp_status no_counts(diff_case *c, arguments *a)
{
    (void)c;
    a->kept.counts = NULL;
    return CSP_E_NULL;
}

csp_status too_many_lists(diff_case *c, arguments *a)
{
    (void)c;
    a->kept.n_lists += 8;
    return CSP_E_SHAPE;
}

csp_status narrow_lists(diff_case *c, arguments *a)
{
    const uint32_t bound = csp_kept_bound(&a->tokens, &a->config);
    (void)c;
    if (bound == 0)
        return CSP_OK;
    a->kept.capacity = bound - 1;
    return CSP_E_CAPACITY;
}

csp_status unequal_heads(diff_case *c, arguments *a)
{
    const uint32_t n_heads = c->layer.n_kv_heads;
    if (n_heads < 2 || c->layer.n_keys == 0)
        return CSP_OK;
    uint32_t *counts = take_plain(c, n_heads, sizeof(*counts));
    for (uint32_t g = 0; g < n_heads; g++)
        counts[g] = c->layer.n_keys - (g == 1);
    a->tokens.counts = counts;
    a->tokens.positions = NULL;
    a->config.scope = CSP_PER_LAYER;
    a->kept.n_lists = 1;
    return CSP_E_SHAPE;
}

/* A list of one row more than it has, which repeats the last. */
csp_status repeated_row(diff_case *c, arguments *a)
{
    const uint32_t n = a->kept.counts[0];
    if (n == 0)
        return CSP_OK;
    const size_t n_lists = a->kept.n_lists;
    uint32_t *counts = take_plain(c, n_lists, sizeof(*counts));
    uint32_t *rows =
        take_plain(c, n_lists * (a->kept.capacity + 1), sizeof(*rows));
    memcpy(rows, a->kept.rows, n * sizeof(*rows));
    rows[n] = rows[n - 1];
    counts[0] = n + 1;
    a->kept.rows = rows;
    a->kept.counts = counts;
    a->kept.capacity++;
    return CSP_E_INDEX;
}

csp_status row_out_of_range(diff_case *c, arguments *a)
{
    if (a->kept.counts[0] == 0)
        return CSP_OK;
    uint32_t *rows = take_plain(c, (size_t)a->kept.n_lists * a->kept.capacity,
                                sizeof(*rows));
    memcpy(rows, a->kept.rows, a->kept.counts[0] * sizeof(*rows));
    rows[a->kept.counts[0] - 1] = c->layer.n_rows[0];
    a->kept.rows = rows;
    return CSP_E_INDEX;
}

/* ---- Calibration --------------------------------------------------------- */

csp_status no_log_mass(diff_case *c, arguments *a)
{
    (void)c;
    a->sums.log_mass = NULL;
    return CSP_E_NULL;
}

csp_status other_heads(diff_case *c, arguments *a)
{
    (void)c;
    a->sums.n_heads++;
    return CSP_E_SHAPE;
}

csp_status other_channels(diff_case *c, arguments *a)
{
    (void)c;
    a->values.n_cols++;
    return CSP_E_SHAPE;
}

csp_status calibrate_without_lse(diff_case *c, arguments *a)
{
    if (!c->layer.probabilities)
        return CSP_OK;
    a->attention.lse.data = NULL;
    return CSP_E_CONFIG;
}
