/*
 * differential_refusal.c - one thing broken: the call says which and writes
 * nothing
 *
 * A break changes copies of the arguments, or a number that it puts back.  It
 * returns what the call must say, or CSP_OK where there is nothing to break.
 */
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

static csp_tensor *scores_of(arguments *a)
{
    return a->attention.source == CSP_QUERY_KEY ? &a->attention.queries
                                                : &a->attention.scores;
}

static bool is_empty(const diff_case *c)
{
    return c->layer.n_keys == 0 || c->layer.n_queries == 0;
}

/* Overwrite a number, remembering the bytes. */
static void spoil(arguments *a, const void *number, double value,
                  csp_dtype dtype)
{
    a->broken = (unsigned char *)(uintptr_t)number;
    a->saved_size = oracle_element_size(dtype);
    memcpy(a->saved, a->broken, a->saved_size);
    oracle_encode(value, dtype, a->broken);
}

static double draw_bad_number(diff_case *c)
{
    return random_chance(&c->random, 50) ? (double)NAN : (double)INFINITY;
}

/* ---- Any call that takes attention --------------------------------------- */

static csp_status no_attention(diff_case *c, arguments *a)
{
    (void)c;
    a->attention_in = NULL;
    return CSP_E_NULL;
}

static csp_status no_tokens(diff_case *c, arguments *a)
{
    (void)c;
    a->tokens_in = NULL;
    return CSP_E_NULL;
}

static csp_status no_workspace(diff_case *c, arguments *a)
{
    (void)c;
    a->no_workspace = true;
    return CSP_E_NULL;
}

static csp_status short_workspace(diff_case *c, arguments *a)
{
    (void)c;
    a->missing = 1;
    return CSP_E_WORKSPACE;
}

static csp_status no_data(diff_case *c, arguments *a)
{
    scores_of(a)->data = NULL;
    return is_empty(c) ? CSP_OK : CSP_E_NULL;
}

static csp_status unknown_dtype(diff_case *c, arguments *a)
{
    (void)c;
    scores_of(a)->dtype = (csp_dtype)3;
    return CSP_E_DTYPE;
}

static csp_status unknown_source(diff_case *c, arguments *a)
{
    (void)c;
    a->attention.source = (csp_source)3;
    return CSP_E_CONFIG;
}

static csp_status unknown_mask(diff_case *c, arguments *a)
{
    (void)c;
    a->attention.mask = (csp_mask)2;
    return CSP_E_CONFIG;
}

static csp_status scattered_columns(diff_case *c, arguments *a)
{
    if (a->attention.source == CSP_QUERY_KEY || c->layer.n_keys < 2 ||
        is_empty(c))
        return CSP_OK;
    a->attention.scores.col_stride++;
    return CSP_E_STRIDE;
}

static csp_status endless_rows(diff_case *c, arguments *a)
{
    csp_tensor *tensor = scores_of(a);
    if (tensor->n_rows < 2 || is_empty(c))
        return CSP_OK;
    cover(c, F15_SIZE_OVERFLOW);
    tensor->row_stride = SIZE_MAX / random_between(&c->random, 1, 2);
    return CSP_E_OVERFLOW;
}

static csp_status endless_heads(diff_case *c, arguments *a)
{
    csp_tensor *tensor = scores_of(a);
    if (tensor->n_heads < 2 || is_empty(c))
        return CSP_OK;
    cover(c, F15_SIZE_OVERFLOW);
    tensor->head_stride = SIZE_MAX - random_below(&c->random, 100);
    return CSP_E_OVERFLOW;
}

static csp_status too_late(diff_case *c, arguments *a)
{
    if (c->layer.n_queries < 2)
        return CSP_OK;
    cover(c, F15_SIZE_OVERFLOW);
    a->attention.first_query = UINT32_MAX - c->layer.n_queries + 2;
    return CSP_E_OVERFLOW;
}

static csp_status too_few_columns(diff_case *c, arguments *a)
{
    csp_tensor *keyed = &a->attention.scores;
    if (c->layer.n_keys == 0)
        return CSP_OK;
    if (a->attention.source == CSP_QUERY_KEY)
        a->attention.keys.n_rows = c->layer.n_keys - 1;
    else
        keyed->n_cols = c->layer.n_keys - 1;
    return CSP_E_SHAPE;
}

static csp_status uneven_groups(diff_case *c, arguments *a)
{
    if (c->layer.n_kv_heads < 2)
        return CSP_OK;
    scores_of(a)->n_heads--;
    return CSP_E_GQA;
}

static csp_status no_heads(diff_case *c, arguments *a)
{
    (void)c;
    a->tokens.n_kv_heads = 0;
    return CSP_E_SHAPE;
}

static csp_status lse_in_f16(diff_case *c, arguments *a)
{
    if (c->layer.lse == NULL || a->attention.source != CSP_PROBABILITIES)
        return CSP_OK;
    a->attention.lse.dtype = CSP_F16;
    return CSP_E_DTYPE;
}

static csp_status lse_is_nan(diff_case *c, arguments *a)
{
    if (c->layer.lse == NULL || is_empty(c))
        return CSP_OK;
    cover(c, F12_NAN_REFUSED);
    spoil(a, a->attention.lse.data, draw_bad_number(c), CSP_F32);
    return CSP_E_NOT_FINITE;
}

/* A number that must be read.  An infinite query may make logits of -inf. */
static csp_status score_is_nan(diff_case *c, arguments *a)
{
    const oracle_layer *layer = &c->layer;
    const uint32_t h = random_below(&c->random, layer->n_heads);
    const uint32_t g = h / (layer->n_heads / layer->n_kv_heads);
    if (is_empty(c))
        return CSP_OK;
    const uint32_t r = random_below(&c->random, layer->n_queries);
    const uint32_t k = random_below(&c->random, layer->n_keys);
    if (!oracle_sees(layer, g, r, k) ||
        layer->first_query + r < layer->first_vote)
        return CSP_OK;
    cover(c, F12_NAN_REFUSED);
    const csp_tensor *tensor = scores_of(a);
    const uint32_t column =
        a->attention.source == CSP_QUERY_KEY ? tensor->n_cols - 1 : k;
    spoil(a, (const char *)tensor->data + tensor_offset(tensor, h, r, column),
          a->attention.source == CSP_QUERY_KEY ? (double)NAN
                                               : draw_bad_number(c),
          tensor->dtype);
    return CSP_E_NOT_FINITE;
}

/* ---- Any call that takes tokens ------------------------------------------ */

static csp_status bad_spans(diff_case *c, arguments *a)
{
    static const csp_span spans[][2] = {
        {{2, 5, 1}, {4, 6, 1}},                  /* overlap */
        {{4, 6, 1}, {2, 3, 1}},                  /* order */
        {{5, 2, 1}, {6, 6, 1}},                  /* inside out */
        {{0, 1, 1}, {1, 2, CSP_MAX_MODALITIES}}, /* modality */
        {{0, 1, 1}, {1, UINT32_MAX, 1}},         /* range */
    };
    a->tokens.spans = spans[random_below(&c->random, 5)];
    a->tokens.n_spans = 2;
    return CSP_E_SPAN;
}

static csp_status no_spans(diff_case *c, arguments *a)
{
    (void)c;
    a->tokens.spans = NULL;
    a->tokens.n_spans = 1;
    return CSP_E_NULL;
}

static csp_status too_many_rows(diff_case *c, arguments *a)
{
    uint32_t *counts = take_plain(c, c->layer.n_kv_heads, sizeof(*counts));
    memcpy(counts, c->layer.n_rows, c->layer.n_kv_heads * sizeof(*counts));
    counts[random_below(&c->random, c->layer.n_kv_heads)] = c->layer.n_keys + 1;
    a->tokens.counts = counts;
    return CSP_E_SHAPE;
}

static csp_status unordered_positions(diff_case *c, arguments *a)
{
    const uint32_t n_keys = c->layer.n_keys;
    const uint32_t n_heads = c->layer.n_kv_heads;
    if (n_keys < 2 || c->layer.n_rows[n_heads - 1] < 2)
        return CSP_OK;
    uint32_t *positions =
        take_plain(c, (size_t)n_heads * n_keys, sizeof(*positions));
    for (uint32_t i = 0; i < n_heads * n_keys; i++)
        positions[i] = i % n_keys;
    positions[(n_heads - 1) * n_keys + 1] = 0;
    a->tokens.positions = positions;
    a->tokens.capacity = n_keys;
    return CSP_E_INDEX;
}

/* ---- Settings ------------------------------------------------------------ */

static csp_status no_config(diff_case *c, arguments *a)
{
    (void)c;
    a->config_in = NULL;
    return CSP_E_NULL;
}

static csp_status empty_config(diff_case *c, arguments *a)
{
    (void)c;
    a->config.struct_size = 0;
    return CSP_E_CONFIG;
}

static csp_status bad_n(diff_case *c, arguments *a)
{
    const double bad[] = {-1.0, (double)NAN, (double)INFINITY};
    a->config.n = bad[random_below(&c->random, 3)];
    return CSP_E_CONFIG;
}

static csp_status n_without_lse(diff_case *c, arguments *a)
{
    if (!c->layer.probabilities)
        return CSP_OK;
    a->attention.lse.data = NULL;
    a->config.n = 1.0;
    return CSP_E_CONFIG;
}

static csp_status unknown_tier(diff_case *c, arguments *a)
{
    (void)c;
    a->config.compute.tier = (csp_tier)99;
    return CSP_E_UNSUPPORTED; /* for all it knows, a later build has it */
}

static csp_status no_blas(diff_case *c, arguments *a)
{
    (void)c;
    a->config.compute.column_sums = CSP_PATH_BLAS;
    return csp_has_blas() ? CSP_OK : CSP_E_UNSUPPORTED;
}

static csp_status even_pool(diff_case *c, arguments *a)
{
    (void)c;
    a->config.pooling = CSP_POOL_AVG;
    a->config.pool_width = 2 * random_below(&c->random, 4);
    return CSP_E_CONFIG;
}

static csp_status no_block(diff_case *c, arguments *a)
{
    (void)c;
    a->config.block = 0;
    return CSP_E_CONFIG;
}

static csp_status unknown_selection(diff_case *c, arguments *a)
{
    (void)c;
    a->config.selection = (csp_selection)3;
    return CSP_E_CONFIG;
}

static csp_status unknown_pooling(diff_case *c, arguments *a)
{
    (void)c;
    a->config.pooling = (csp_pooling)3;
    return CSP_E_CONFIG;
}

static csp_status rest_without_budget(diff_case *c, arguments *a)
{
    (void)c;
    a->config.selection = CSP_UNION;
    a->config.n_intra = CSP_REST;
    return CSP_E_CONFIG;
}

static csp_status too_much_protected(diff_case *c, arguments *a)
{
    (void)c;
    a->config.selection = CSP_EXACT;
    a->config.recent = a->config.budget;
    a->config.sinks = 1;
    return CSP_E_BUDGET;
}

static csp_status too_long_lists(diff_case *c, arguments *a)
{
    (void)c;
    a->config.selection = CSP_EXACT;
    a->config.sinks = a->config.recent = 0;
    a->config.n_intra = a->config.budget;
    a->config.n_inter = 1;
    return CSP_E_BUDGET;
}

/* ---- Importance and lists ------------------------------------------------ */

static csp_status no_importance(diff_case *c, arguments *a)
{
    (void)c;
    a->importance_in = NULL;
    return CSP_E_NULL;
}

static csp_status no_inter(diff_case *c, arguments *a)
{
    a->importance.inter = NULL;
    return c->layer.n_keys == 0 ? CSP_OK : CSP_E_NULL;
}

static csp_status one_kind_of_rows(diff_case *c, arguments *a)
{
    a->importance.intra_rows = NULL;
    a->importance.inter_rows = a->importance.inter;
    return c->layer.n_keys == 0 ? CSP_OK : CSP_E_NULL;
}

static csp_status narrow_importance(diff_case *c, arguments *a)
{
    if (c->layer.n_keys == 0)
        return CSP_OK;
    a->importance.capacity = c->layer.n_keys - 1;
    return CSP_E_CAPACITY;
}

static csp_status no_norms(diff_case *c, arguments *a)
{
    a->config.weigh_values = true;
    a->importance.value_norm = NULL;
    return c->layer.n_keys == 0 ? CSP_OK : CSP_E_NULL;
}

static csp_status importance_is_nan(diff_case *c, arguments *a)
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

static csp_status no_kept(diff_case *c, arguments *a)
{
    (void)c;
    a->kept_in = NULL;
    return CSP_E_NULL;
}

static csp_status no_counts(diff_case *c, arguments *a)
{
    (void)c;
    a->kept.counts = NULL;
    return CSP_E_NULL;
}

static csp_status too_many_lists(diff_case *c, arguments *a)
{
    (void)c;
    a->kept.n_lists += 8;
    return CSP_E_SHAPE;
}

static csp_status narrow_lists(diff_case *c, arguments *a)
{
    const uint32_t bound = csp_kept_bound(&a->tokens, &a->config);
    (void)c;
    if (bound == 0)
        return CSP_OK;
    a->kept.capacity = bound - 1;
    return CSP_E_CAPACITY;
}

static csp_status unequal_heads(diff_case *c, arguments *a)
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
static csp_status repeated_row(diff_case *c, arguments *a)
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

static csp_status row_out_of_range(diff_case *c, arguments *a)
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

static csp_status no_log_mass(diff_case *c, arguments *a)
{
    (void)c;
    a->sums.log_mass = NULL;
    return CSP_E_NULL;
}

static csp_status other_heads(diff_case *c, arguments *a)
{
    (void)c;
    a->sums.n_heads++;
    return CSP_E_SHAPE;
}

static csp_status other_channels(diff_case *c, arguments *a)
{
    (void)c;
    a->values.n_cols++;
    return CSP_E_SHAPE;
}

static csp_status calibrate_without_lse(diff_case *c, arguments *a)
{
    if (!c->layer.probabilities)
        return CSP_OK;
    a->attention.lse.data = NULL;
    return CSP_E_CONFIG;
}

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
