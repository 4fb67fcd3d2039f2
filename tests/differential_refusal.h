/*
 * differential_refusal.h - one thing broken in the arguments of a call
 *
 * A break changes copies of the arguments, or a number that it puts back.  It
 * returns what the call must say, or CSP_OK where there is nothing to break.
 */
#ifndef DIFFERENTIAL_REFUSAL_H
#define DIFFERENTIAL_REFUSAL_H

#include "differential.h"

#include <math.h>
#include <string.h>

/* Arguments of the calls; members that point into it may be replaced. */
typedef struct arguments {
    csp_attention attention;
    csp_tokens tokens;
    csp_config config;
    csp_importance importance;
    csp_kept kept;
    csp_tensor values;
    csp_calibration sums;
    const csp_attention *attention_in;
    const csp_tokens *tokens_in;
    const csp_config *config_in;
    const csp_importance *importance_in;
    const csp_kept *kept_in;
    void *workspace;
    size_t workspace_size;
    size_t missing; /* bytes of workspace to withhold */
    bool no_workspace;
    unsigned char *broken; /* a number that was overwritten, to be put back */
    unsigned char saved[4];
    size_t saved_size;
} arguments;

typedef csp_status breaking(diff_case *c, arguments *a);

/* differential_broken_views.c: what attention and tokens can be wrong in. */
breaking no_attention, no_tokens, no_workspace, short_workspace, no_data,
    unknown_dtype, unknown_source, unknown_mask, scattered_columns,
    endless_rows, endless_heads, too_late, too_few_columns, uneven_groups,
    no_heads, lse_in_f16, lse_is_nan, score_is_nan, bad_spans, no_spans,
    too_many_rows, unordered_positions;

/* differential_broken_settings.c: settings, importance, lists, sums. */
breaking no_config, empty_config, bad_n, n_without_lse, unknown_tier, no_blas,
    even_pool, no_block, unknown_selection, unknown_pooling,
    rest_without_budget, too_much_protected, too_long_lists, no_importance,
    no_inter, one_kind_of_rows, narrow_importance, no_norms, importance_is_nan,
    no_kept, no_counts, too_many_lists, narrow_lists, unequal_heads,
    repeated_row, row_out_of_range, no_log_mass, other_heads, other_channels,
    calibrate_without_lse;

static inline csp_tensor *scores_of(arguments *a)
{
    return a->attention.source == CSP_QUERY_KEY ? &a->attention.queries
                                                : &a->attention.scores;
}

static inline bool is_empty(const diff_case *c)
{
    return c->layer.n_keys == 0 || c->layer.n_queries == 0;
}

/* Overwrite a number, remembering the bytes. */
static inline void spoil(arguments *a, const void *number, double value,
                         csp_dtype dtype)
{
    a->broken = (unsigned char *)(uintptr_t)number;
    a->saved_size = oracle_element_size(dtype);
    memcpy(a->saved, a->broken, a->saved_size);
    oracle_encode(value, dtype, a->broken);
}

static inline double draw_bad_number(diff_case *c)
{
    return random_chance(&c->random, 50) ? (double)NAN : (double)INFINITY;
}

#endif
