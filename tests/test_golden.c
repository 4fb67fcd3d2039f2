/*
 * test_golden.c - the library and the oracle against numbers from elsewhere
 *
 * tests/golden holds attention, importance (from float64) and masks that were
 * computed outside of this project; case.json there and the table below say the
 * same.  The closed forms and the counts of the published code are written out
 * by hand.
 */
#include "csp.h"
#include "npy.h"
#include "oracle.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MAX_SPANS 8

typedef struct golden_case {
    const char *name;
    csp_dtype dtype;
    uint32_t n_heads;
    uint32_t n_kv_heads;
    uint32_t n_queries;
    uint32_t n_keys;
    uint32_t first_query;
    double n;
    csp_selection selection;
    uint32_t budget;
    uint32_t sinks;
    uint32_t recent;
    uint32_t n_intra; /* with CSP_EXACT: what the budget leaves */
    uint32_t n_inter;
    uint32_t n_spans;
    csp_span spans[MAX_SPANS];
} golden_case;

/* clang-format off */
static const golden_case cases[] = {
    {.name = "case00-plain", .dtype = CSP_F32, .selection = CSP_EXACT,
     .n_heads = 4, .n_kv_heads = 2, .n_queries = 42, .n_keys = 191,
     .first_query = 149, .n = 4.0, .budget = 47, .sinks = 4, .recent = 20,
     .n_intra = 9, .n_inter = 14, .n_spans = 6,
     .spans = {{2, 16, 1}, {23, 64, 1}, {85, 86, 1},
               {97, 135, 1}, {138, 175, 1}, {178, 191, 1}}},
    {.name = "case01-reference", .dtype = CSP_F32, .selection = CSP_UNION,
     .n_heads = 1, .n_kv_heads = 1, .n_queries = 13, .n_keys = 89,
     .first_query = 76, .n = 1.0, .budget = 35, .sinks = 0, .recent = 3,
     .n_intra = 8, .n_inter = 24, .n_spans = 6,
     .spans = {{9, 13, 1}, {18, 22, 1}, {24, 25, 1},
               {33, 51, 1}, {58, 76, 1}, {83, 89, 1}}},
    {.name = "case02-intersection", .dtype = CSP_F32,
     .selection = CSP_INTERSECTION,
     .n_heads = 2, .n_kv_heads = 2, .n_queries = 14, .n_keys = 95,
     .first_query = 81, .n = 0.001, .budget = 18, .sinks = 0, .recent = 7,
     .n_intra = 9, .n_inter = 2, .n_spans = 7,
     .spans = {{5, 18, 1}, {21, 36, 1}, {38, 45, 1}, {55, 56, 1},
               {61, 69, 1}, {70, 72, 1}, {79, 88, 1}}},
    {.name = "case03-f16", .dtype = CSP_F16, .selection = CSP_EXACT,
     .n_heads = 2, .n_kv_heads = 1, .n_queries = 37, .n_keys = 162,
     .first_query = 125, .n = 4.0, .budget = 40, .sinks = 0, .recent = 11,
     .n_intra = 23, .n_inter = 6, .n_spans = 5,
     .spans = {{6, 29, 1}, {41, 63, 1}, {78, 116, 1},
               {131, 145, 1}, {147, 162, 1}}},
    {.name = "case04-masked_rows", .dtype = CSP_F32, .selection = CSP_EXACT,
     .n_heads = 2, .n_kv_heads = 2, .n_queries = 28, .n_keys = 193,
     .first_query = 115, .n = 4.0, .budget = 83, .sinks = 4, .recent = 10,
     .n_intra = 66, .n_inter = 3, .n_spans = 6,
     .spans = {{10, 30, 1}, {40, 62, 1}, {75, 90, 1},
               {101, 113, 1}, {114, 156, 1}, {176, 187, 1}}},
    {.name = "case05-text_only", .dtype = CSP_F32, .selection = CSP_EXACT,
     .n_heads = 8, .n_kv_heads = 4, .n_queries = 28, .n_keys = 199,
     .first_query = 171, .n = 0.5, .budget = 34, .sinks = 0, .recent = 13,
     .n_intra = 8, .n_inter = 13, .n_spans = 0,
     .spans = {{0}}},
    {.name = "case06-all_image", .dtype = CSP_F32, .selection = CSP_EXACT,
     .n_heads = 8, .n_kv_heads = 2, .n_queries = 4, .n_keys = 107,
     .first_query = 103, .n = 1.0, .budget = 50, .sinks = 4, .recent = 6,
     .n_intra = 40, .n_inter = 0, .n_spans = 1,
     .spans = {{0, 107, 1}}},
    {.name = "case07-one_row", .dtype = CSP_F32, .selection = CSP_EXACT,
     .n_heads = 1, .n_kv_heads = 1, .n_queries = 1, .n_keys = 108,
     .first_query = 107, .n = 1.0, .budget = 34, .sinks = 0, .recent = 4,
     .n_intra = 20, .n_inter = 10, .n_spans = 6,
     .spans = {{1, 23, 1}, {29, 46, 1}, {48, 72, 1},
               {75, 91, 1}, {95, 96, 1}, {99, 108, 1}}},
};
/* clang-format on */

#define N_CASES (sizeof(cases) / sizeof(cases[0]))

/* One case with its arrays. */
typedef struct golden {
    const golden_case *parameters;
    npy_array scores;
    npy_array importance; /* [2][n_kv_heads][n_keys]: intra, inter */
    npy_array mask;       /* [n_kv_heads][n_keys] */
    csp_attention attention;
    csp_tokens tokens;
    csp_config config;
} golden;

static npy_array read_array(const char *name, const char *file,
                            const char *descr)
{
    char path[1024];
    npy_array array = {0};
    snprintf(path, sizeof(path), "%s/golden/%s/%s", CSP_TEST_DATA_DIR, name,
             file);
    if (!npy_read(path, descr, &array))
        fail_msg("cannot read %s as %s", path, descr);
    return array;
}

static void assert_shape(const npy_array *array, uint32_t rank,
                         const uint32_t *shape)
{
    assert_int_equal(array->rank, rank);
    for (uint32_t i = 0; i < rank; i++)
        assert_int_equal(array->shape[i], shape[i]);
}

static golden load(const golden_case *p)
{
    golden g = {.parameters = p};
    g.scores =
        read_array(p->name, "scores.npy", p->dtype == CSP_F16 ? "<f2" : "<f4");
    g.importance = read_array(p->name, "importance.npy", "<f4");
    g.mask = read_array(p->name, "mask.npy", "|u1");
    assert_shape(&g.scores, 3,
                 (const uint32_t[]){p->n_heads, p->n_queries, p->n_keys});
    assert_shape(&g.importance, 3,
                 (const uint32_t[]){2, p->n_kv_heads, p->n_keys});
    assert_shape(&g.mask, 2, (const uint32_t[]){p->n_kv_heads, p->n_keys});

    g.attention = (csp_attention){
        .source = CSP_LOGITS,
        .mask = CSP_CAUSAL,
        .first_query = p->first_query,
        .scores = csp_tensor_packed(g.scores.data, p->dtype, p->n_heads,
                                    p->n_queries, p->n_keys)};
    g.tokens = (csp_tokens){.n_kv_heads = p->n_kv_heads,
                            .n_keys = p->n_keys,
                            .spans = p->spans,
                            .n_spans = p->n_spans};
    assert_int_equal(csp_config_init(&g.config), CSP_OK);
    g.config.n = p->n;
    g.config.selection = p->selection;
    g.config.budget = p->budget;
    g.config.sinks = p->sinks;
    g.config.recent = p->recent;
    g.config.n_intra = p->selection == CSP_EXACT ? CSP_REST : p->n_intra;
    g.config.n_inter = p->n_inter;
    return g;
}

static void release(const golden *g)
{
    free(g->scores.data);
    free(g->importance.data);
    free(g->mask.data);
}

static void assert_near(double actual, double expected, double relative,
                        double absolute)
{
    if (!(fabs(actual - expected) <= relative * fabs(expected) + absolute))
        fail_msg("%.9g instead of %.9g", actual, expected);
}

/* Importance as the library computes it; intra and inter follow each other. */
static float *score(const golden *g)
{
    const size_t n = (size_t)g->parameters->n_kv_heads * g->parameters->n_keys;
    float *sums = calloc(2 * n, sizeof(*sums));
    const csp_importance importance = {
        .intra = sums, .inter = sums + n, .capacity = g->parameters->n_keys};
    const size_t size =
        csp_score_workspace_size(&g->attention, &g->tokens, &g->config);
    assert_true(size > 0);
    void *workspace = malloc(size);
    assert_int_equal(csp_score(&g->attention, &g->tokens, &g->config, workspace,
                               size, &importance),
                     CSP_OK);
    free(workspace);
    return sums;
}

static void score_matches_golden_importance(void **state)
{
    const golden g = load(*state);
    float *sums = score(&g);
    const float *expected = g.importance.data;
    const size_t n =
        2 * (size_t)g.parameters->n_kv_heads * g.parameters->n_keys;

    for (size_t i = 0; i < n; i++)
        assert_near((double)sums[i], (double)expected[i], 5e-6, 1e-7);

    free(sums);
    release(&g);
}

static void select_matches_golden_mask(void **state)
{
    const golden g = load(*state);
    const uint32_t n_heads = g.parameters->n_kv_heads;
    const uint32_t n_keys = g.parameters->n_keys;
    float *sums = score(&g);
    const csp_importance importance = {.intra = sums,
                                       .inter = sums + (size_t)n_heads * n_keys,
                                       .capacity = n_keys};
    uint32_t *rows = calloc((size_t)n_heads * n_keys, sizeof(*rows));
    uint32_t *counts = calloc(n_heads, sizeof(*counts));
    const csp_kept kept = {
        .rows = rows, .counts = counts, .n_lists = n_heads, .capacity = n_keys};
    const size_t size = csp_select_workspace_size(&g.tokens, &g.config);
    void *workspace = malloc(size);
    uint8_t *mask = malloc(n_keys);

    assert_int_equal(
        csp_select(&importance, &g.tokens, &g.config, workspace, size, &kept),
        CSP_OK);

    for (uint32_t h = 0; h < n_heads; h++) {
        const size_t at = (size_t)h * n_keys;
        assert_int_equal(csp_kept_mask(rows + at, counts[h], n_keys, mask),
                         CSP_OK);
        assert_memory_equal(mask, (const uint8_t *)g.mask.data + at, n_keys);
    }

    free(mask);
    free(workspace);
    free(counts);
    free(rows);
    free(sums);
    release(&g);
}

/* The case as the oracle sees it; 'memory' is what to free. */
static oracle_layer describe(const golden *g, void **memory)
{
    const golden_case *p = g->parameters;
    const size_t n_scores = (size_t)p->n_heads * p->n_queries * p->n_keys;
    const size_t n_keys = (size_t)p->n_kv_heads * p->n_keys;
    double *x =
        calloc(n_scores + n_keys + p->n_kv_heads + p->n_queries, sizeof(*x));
    uint32_t *words = (uint32_t *)(x + n_scores);
    const oracle_layer layer = {.n_heads = p->n_heads,
                                .n_kv_heads = p->n_kv_heads,
                                .n_queries = p->n_queries,
                                .n_keys = p->n_keys,
                                .first_query = p->first_query,
                                .causal = true,
                                .x = x,
                                .key_token = words,
                                .key_modality = words + n_keys,
                                .n_rows = words + 2 * n_keys,
                                .query_modality =
                                    words + 2 * n_keys + p->n_kv_heads};
    const size_t size = oracle_element_size(p->dtype);
    for (size_t i = 0; i < n_scores; i++) {
        x[i] = oracle_decode((const char *)g->scores.data + i * size, p->dtype);
        if (oracle_masked(x[i], p->dtype))
            x[i] = -(double)INFINITY;
    }
    *memory = x;
    return layer;
}

static void oracle_matches_golden_importance_and_mask(void **state)
{
    const golden g = load(*state);
    const uint32_t n_keys = g.parameters->n_keys;
    const size_t n = (size_t)g.parameters->n_kv_heads * n_keys;
    void *memory;
    oracle_layer layer = describe(&g, &memory);
    double *sums = calloc(4 * n + n_keys, sizeof(*sums));
    float *floats = calloc(2 * n, sizeof(*floats));
    const csp_importance importance = {
        .intra = floats, .inter = floats + n, .capacity = n_keys};
    oracle_ranking ranking = {
        .intra = sums + 2 * n, .inter = sums + 3 * n, .both = sums + 4 * n};
    const float *expected = g.importance.data;
    uint8_t mask[ORACLE_MAX_KEYS];

    oracle_describe(&g.tokens, &layer);
    oracle_score(&layer, g.config.n, sums, sums + n, sums + 2 * n,
                 sums + 3 * n);

    for (size_t i = 0; i < 2 * n; i++) {
        assert_near(sums[i], (double)expected[i], 1e-7, 1e-12);
        floats[i] = (float)sums[i];
    }
    for (uint32_t h = 0; h < g.parameters->n_kv_heads; h++) {
        oracle_rank(&importance, &layer, &g.config, h, false, &ranking);
        const oracle_quota quota = oracle_count(&g.config, n_keys, 0.0);
        assert_int_equal(quota.n_intra, g.parameters->n_intra);
        oracle_choose(&g.config, &ranking, quota, mask);
        for (uint32_t i = 0; i < n_keys; i++)
            mask[i] = mask[i] != 0;
        assert_memory_equal(
            mask, (const uint8_t *)g.mask.data + (size_t)h * n_keys, n_keys);
    }

    free(floats);
    free(sums);
    free(memory);
    release(&g);
}

/* ---- Closed forms -------------------------------------------------------- */

static void assert_nsoftmax(const float *logits, double n,
                            const double *expected, double relative,
                            double absolute)
{
    float weights[3];
    const csp_tensor row = csp_tensor_packed(logits, CSP_F32, 1, 1, 3);
    assert_int_equal(csp_nsoftmax(&row, n, NULL, NULL, weights), CSP_OK);
    for (int i = 0; i < 3; i++)
        assert_near((double)weights[i], expected[i], relative, absolute);
}

static void nsoftmax_of_logs_is_a_fraction(void **state)
{
    (void)state;
    const float logits[] = {0.0f, logf(3.0f), logf(6.0f)};

    /* The logs, rounded to float32, are off by up to 6e-8. */
    assert_nsoftmax(logits, 0.0, (const double[]){.1, .3, .6}, 5e-7, 0.0);
    assert_nsoftmax(logits, 1.0, (const double[]){1 / 11., 3 / 11., 6 / 11.},
                    5e-7, 0.0);
    assert_nsoftmax(logits, 4.0, (const double[]){1 / 14., 3 / 14., 6 / 14.},
                    5e-7, 0.0);
}

static void nsoftmax_is_not_shift_invariant(void **state)
{
    (void)state;
    const float logits[] = {-logf(600.0f), -logf(300.0f), -logf(200.0f)};

    assert_nsoftmax(logits, 1.0,
                    (const double[]){.00165017, .00330033, .00495050}, 0.0,
                    1e-8);
}

static void nsoftmax_of_far_logits_is_one_hot(void **state)
{
    (void)state;
    const float logits[] = {12.0f, 89.0f, 710.0f};
    const double n[] = {0.0, 1e-6, 1e-3, 1.0, 4.0};

    for (size_t i = 0; i < sizeof(n) / sizeof(n[0]); i++)
        assert_nsoftmax(logits, n[i], (const double[]){0.0, 0.0, 1.0}, 0.0,
                        0.0);
}

/* E6: the lists that k = n_keys tokens are split into, none being recent. */
static void assert_counts(uint32_t k, double share, uint32_t n_inter,
                          uint32_t n_intra)
{
    csp_config config;
    assert_int_equal(csp_config_init(&config), CSP_OK);
    assert_int_equal(csp_config_set_reference(k, 1.0, 0.0, 1.0, share, &config),
                     CSP_OK);
    assert_int_equal(config.n_inter, n_inter);
    assert_int_equal(config.n_intra, n_intra);
    assert_int_equal(config.recent, 0);
}

static void set_reference_counts_as_the_published_code(void **state)
{
    (void)state;
    assert_counts(309, .1, 30, 278);
    assert_counts(309, .5, 154, 154);
    assert_counts(309, .9, 278, 30);
    assert_counts(100, .9, 90, 9);
    assert_counts(543, .1, 54, 488);
    assert_counts(543, 0.0, 1, 308);
}

/* ---- Program ------------------------------------------------------------- */

/* cmocka wants a state it may change; cases are only read. */
static golden_case states[N_CASES];

int main(void)
{
    static const struct {
        const char *name;
        CMUnitTestFunction run;
    } checks[] = {
        {"score_matches_golden_importance", score_matches_golden_importance},
        {"select_matches_golden_mask", select_matches_golden_mask},
        {"oracle_matches_golden_importance_and_mask",
         oracle_matches_golden_importance_and_mask},
    };
    enum { N_CHECKS = sizeof(checks) / sizeof(checks[0]) };
    static char names[N_CHECKS * N_CASES][96];
    struct CMUnitTest golden_tests[N_CHECKS * N_CASES] = {{0}};
    const struct CMUnitTest closed_forms[] = {
        cmocka_unit_test(nsoftmax_of_logs_is_a_fraction),
        cmocka_unit_test(nsoftmax_is_not_shift_invariant),
        cmocka_unit_test(nsoftmax_of_far_logits_is_one_hot),
        cmocka_unit_test(set_reference_counts_as_the_published_code),
    };

    memcpy(states, cases, sizeof(cases));
    for (size_t i = 0; i < N_CASES; i++) {
        for (size_t j = 0; j < N_CHECKS; j++) {
            const size_t at = i * N_CHECKS + j;
            snprintf(names[at], sizeof(names[at]), "%s (%s)", checks[j].name,
                     cases[i].name);
            golden_tests[at].name = names[at];
            golden_tests[at].test_func = checks[j].run;
            golden_tests[at].initial_state = &states[i];
        }
    }
    const int failed =
        cmocka_run_group_tests_name("golden", golden_tests, NULL, NULL);
    return failed + cmocka_run_group_tests_name("closed forms", closed_forms,
                                                NULL, NULL);
}
