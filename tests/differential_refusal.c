/*
 * differential_refusal.c - one thing broken: the call says which and writes
 * nothing
 */
#include "differential_refusal.h"

/* ---- Calls --------------------------------------------------------------- */

static void take_refused_workspace(diff_case *c, arguments *a, size_t size)
{
    a->workspace_size = size > a->missing ? size - a->missing : 0;
    a->workspace = a->no_workspace ? NULL : take_workspace(c, size);
}

static csp_status call_score(diff_case *c, arguments *a)
{
    take_refused_workspace(
        c, a, csp_score_workspace_size(&c->attention, &c->tokens, &c->config));
    return csp_score(a->attention_in, a->tokens_in, a->config_in, a->workspace,
                     a->workspace_size, a->importance_in);
}

static csp_status call_select(diff_case *c, arguments *a)
{
    take_refused_workspace(c, a,
                           csp_select_workspace_size(&c->tokens, &c->config));
    return csp_select(a->importance_in, a->tokens_in, a->config_in,
                      a->workspace, a->workspace_size, a->kept_in);
}

static csp_status call_calibrate(diff_case *c, arguments *a)
{
    take_refused_workspace(c, a,
                           csp_calibrate_workspace_size(
                               &c->attention, &c->tokens, a->sums.value_dim));
    return csp_calibrate(a->attention_in, a->tokens_in, a->kept_in, &a->values,
                         &a->config.compute, a->workspace, a->workspace_size,
                         &a->sums);
}

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* clang-format off */
static breaking *const attention_breaks[] = {
    no_attention, no_tokens, no_workspace, short_workspace, no_data,
    unknown_dtype, unknown_source, unknown_mask, scattered_columns,
    endless_rows, endless_heads, too_late, too_few_columns, uneven_groups,
    no_heads, lse_in_f16, lse_is_nan, bad_spans, no_spans, too_many_rows,
    unordered_positions, unknown_tier, score_is_nan, score_is_nan, score_is_nan,
    endless_rows, endless_heads, too_late,
};

static breaking *const score_breaks[] = {
    no_config, empty_config, bad_n, n_without_lse, no_blas, no_importance,
    no_inter, one_kind_of_rows, narrow_importance,
};

static breaking *const select_breaks[] = {
    no_tokens, no_workspace, short_workspace, no_heads, bad_spans, no_spans,
    too_many_rows, unordered_positions, unknown_tier, no_config, empty_config,
    even_pool, no_block, unknown_selection, unknown_pooling,
    rest_without_budget, too_much_protected, too_long_lists, no_importance,
    no_inter, narrow_importance, no_norms, importance_is_nan, no_kept,
    no_counts, too_many_lists, narrow_lists, unequal_heads, importance_is_nan,
    importance_is_nan,
};

static breaking *const calibrate_breaks[] = {
    no_kept, no_counts, too_many_lists, repeated_row, row_out_of_range,
    no_log_mass, other_heads, other_channels, calibrate_without_lse,
};
/* clang-format on */

/* ---- Refusal ------------------------------------------------------------- */

static csp_calibration take_sums(diff_case *c)
{
    const uint32_t n_heads = c->layer.n_heads;
    const uint32_t dim = c->values.n_cols;
    csp_calibration sums = {.n_heads = n_heads, .value_dim = dim};
    sums.log_mass = arena_take(&c->arena, n_heads * sizeof(double), 0);
    sums.rows = arena_take(&c->arena, n_heads * sizeof(double), 0);
    sums.value = arena_take(&c->arena, n_heads * dim * sizeof(float), 0);
    return sums;
}

static arguments take_arguments(diff_case *c)
{
    return (arguments){.attention = c->attention,
                       .tokens = c->tokens,
                       .config = c->config,
                       .importance = c->importance,
                       .kept = c->kept,
                       .values = c->values,
                       .sums = take_sums(c)};
}

static void check_break(diff_case *c, breaking *break_it,
                        csp_status (*call)(diff_case *, arguments *),
                        const char *name)
{
    arguments a = take_arguments(c);
    a.attention_in = &a.attention;
    a.tokens_in = &a.tokens;
    a.config_in = &a.config;
    a.importance_in = &a.importance;
    a.kept_in = &a.kept;
    const csp_status expected = break_it(c, &a);
    if (expected == CSP_OK)
        return;

    arena_snapshot(&c->arena);
    const csp_status status = call(c, &a);
    require(c, status == expected, "%s: %s instead of %s", name,
            csp_status_string(status), csp_status_string(expected));
    if (a.workspace != NULL)
        arena_accept(&c->arena, a.workspace, a.workspace_size);
    if (call == call_score && status == CSP_E_NOT_FINITE) {
        const size_t size =
            sizeof(float) * c->layer.n_kv_heads * a.importance.capacity;
        arena_accept(&c->arena, a.importance.intra, size);
        arena_accept(&c->arena, a.importance.inter, size);
        if (a.importance.intra_rows != NULL) {
            arena_accept(&c->arena, a.importance.intra_rows, size);
            arena_accept(&c->arena, a.importance.inter_rows, size);
        }
    }
    require_intact(c, name);
    if (a.broken != NULL)
        memcpy(a.broken, a.saved, a.saved_size);
}

#define PICK(c, breaks) breaks[random_below(&(c)->random, COUNT(breaks))]

void check_refused_score(diff_case *c)
{
    breaking *const both[] = {PICK(c, attention_breaks), PICK(c, score_breaks)};
    check_break(c, both[random_chance(&c->random, 25)], call_score, "score");
}

void check_refused_select(diff_case *c)
{
    check_break(c, PICK(c, select_breaks), call_select, "select");
}

void check_refused_calibrate(diff_case *c)
{
    breaking *const both[] = {PICK(c, attention_breaks),
                              PICK(c, calibrate_breaks)};
    if (!c->layer.probabilities || c->layer.lse != NULL)
        check_break(c, both[random_chance(&c->random, 40)], call_calibrate,
                    "calibrate");
}
