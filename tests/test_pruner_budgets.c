/*
 * test_pruner_budgets.c - budgets of layers by hand, and what is refused
 *
 * A layer's budget is looked at from outside: what its lists hold.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "budget_fixture.h"

/* ---- Layers -------------------------------------------------------------- */

static void assert_layers_keep(const engine *e, const csp_config *config,
                               const uint32_t *budgets)
{
    csp_pruner *pruner = scored_pruner(e, config, NULL);
    csp_kept kept;

    assert_int_equal(csp_pruner_plan(pruner), CSP_OK);
    for (uint32_t layer = 0; layer < e->n_layers; layer++) {
        assert_int_equal(csp_pruner_kept(pruner, layer, &kept), CSP_OK);
        for (uint32_t i = 0; i < kept.n_lists; i++)
            assert_int_equal(kept.counts[i], budgets[layer]);
    }
    csp_pruner_destroy(pruner);
}

static void plan_of_a_pyramid_falls_linearly(void **state)
{
    engine e;
    csp_config config = plain_config(10);
    (void)state;

    engine_init(&e, 4, 2, 2, 40, 3);
    engine_append(&e, 20);
    config.layer_spread = CSP_LAYERS_PYRAMID;
    assert_layers_keep(&e, &config, (const uint32_t[]){10, 10, 10, 10});
    config.layer_slope = 0.3; /* 13, 11, 9, 7 */
    assert_layers_keep(&e, &config, (const uint32_t[]){13, 11, 9, 7});
    config.layer_slope = 0.25; /* 12.5, 10.8, 9.2, 7.5 */
    assert_layers_keep(&e, &config, (const uint32_t[]){13, 11, 9, 7});
    config.scope = CSP_PER_LAYER;
    assert_layers_keep(&e, &config, (const uint32_t[]){13, 11, 9, 7});
    config.layer_slope = 0.9; /* the last keeps what is protected */
    assert_layers_keep(&e, &config, (const uint32_t[]){17, 12, 6, 5});
    config.budget = 16; /* the first keeps all it has */
    assert_layers_keep(&e, &config, (const uint32_t[]){20, 20, 19, 5});
    config.budget = 20;
    assert_layers_keep(&e, &config, (const uint32_t[]){20, 20, 20, 20});
    engine_free(&e);
}

/* Attention of one row that is 'n_heavy' keys', the same for each head. */
static void score_heavy(csp_pruner *pruner, uint32_t layer, uint32_t n_keys,
                        uint32_t n_heavy)
{
    float p[2 * 40];

    for (uint32_t h = 0; h < 2; h++)
        for (uint32_t i = 0; i < n_keys; i++)
            p[h * n_keys + i] = i < n_heavy ? 0.5f : 1e-4f;
    const csp_attention attention = {
        .source = CSP_PROBABILITIES,
        .mask = CSP_FULL,
        .first_query = n_keys - 1,
        .scores = csp_tensor_packed(p, CSP_F32, 2, 1, n_keys)};
    assert_int_equal(csp_pruner_score(pruner, layer, &attention), CSP_OK);
}

/* Of 40 rows 4, 8, 12 are heavy: densities of 1, 2 and 3 tenths. */
static void plan_by_sparsity_follows_dense_layers(void **state)
{
    csp_config config;
    csp_pruner *pruner;
    (void)state;

    assert_int_equal(csp_config_init(&config), CSP_OK);
    config.n = 0.0;
    config.budget = 10;
    config.layer_spread = CSP_LAYERS_SPARSITY;
    assert_int_equal(csp_pruner_create(3, 2, &config, NULL, NULL, &pruner),
                     CSP_OK);
    for (uint32_t layer = 0; layer < 3; layer++)
        score_heavy(pruner, layer, 40, 4 * (layer + 1));

    assert_int_equal(csp_pruner_plan(pruner), CSP_OK);
    assert_int_equal(layer_count(pruner, 0), 2 * 5);
    assert_int_equal(layer_count(pruner, 1), 2 * 10);
    assert_int_equal(layer_count(pruner, 2), 2 * 15);
    config.layer_threshold = 1e-5; /* every key reaches that */
    csp_pruner_configure(pruner, &config);
    assert_int_equal(csp_pruner_plan(pruner), CSP_OK);
    for (uint32_t layer = 0; layer < 3; layer++)
        assert_int_equal(layer_count(pruner, layer), 2 * 10);
    csp_pruner_destroy(pruner);
}

static void plan_by_sparsity_without_scores_is_equal(void **state)
{
    const csp_attention nothing = {
        .first_query = 20,
        .scores = csp_tensor_packed(NULL, CSP_F32, 4, 0, 20)};
    csp_config config = plain_config(8);
    csp_pruner *pruner;
    (void)state;

    config.layer_spread = CSP_LAYERS_SPARSITY;
    assert_int_equal(csp_pruner_create(3, 2, &config, NULL, NULL, &pruner),
                     CSP_OK);
    assert_int_equal(csp_pruner_plan(pruner), CSP_OK); /* of no rows */
    for (uint32_t layer = 0; layer < 3; layer++)
        assert_int_equal(csp_pruner_score(pruner, layer, &nothing), CSP_OK);
    assert_int_equal(csp_pruner_plan(pruner), CSP_OK);
    for (uint32_t layer = 0; layer < 3; layer++)
        assert_int_equal(layer_count(pruner, layer), 2 * 8);
    csp_pruner_destroy(pruner);
}

static void neutral_spreads_plan_as_before(void **state)
{
    bench *b = *state;
    snapshot before = take_snapshot(b->pruner, 2);

    b->config.layer_spread = CSP_LAYERS_PYRAMID;
    b->config.layer_slope = 0.0;
    csp_pruner_configure(b->pruner, &b->config);
    assert_int_equal(csp_pruner_plan(b->pruner), CSP_OK);

    assert_unchanged(&before, b->pruner, 2);
}

/* Each image claims rows in every layer, also where the pyramid is narrow. */
static void plan_of_a_pyramid_leaves_room_for_quotas(void **state)
{
    bench *b = *state;
    csp_kept kept;

    b->config.layer_spread = CSP_LAYERS_PYRAMID;
    b->config.layer_slope = 0.9;
    b->config.span_quota = 4; /* 3 recent rows are of the second image */
    csp_pruner_configure(b->pruner, &b->config);
    assert_int_equal(csp_pruner_plan(b->pruner), CSP_OK);

    assert_int_equal(layer_count(b->pruner, 0), 2 * 14);
    assert_int_equal(layer_count(b->pruner, 1), 2 * 10);
    csp_pruner_kept(b->pruner, 1, &kept);
    for (uint32_t g = 0; g < 2; g++) {
        uint32_t n = 0;
        for (uint32_t row = 4; row < 16; row++)
            n += kept_has(&kept, g, row);
        assert_int_equal(n, 4);
    }
}

/* ---- Refusals ------------------------------------------------------------ */

static void assert_refused(bench *b, const csp_config *config)
{
    snapshot before = take_snapshot(b->pruner, 2);
    csp_pruner *none = NULL;

    assert_int_equal(csp_pruner_configure(b->pruner, config), CSP_E_CONFIG);
    assert_unchanged(&before, b->pruner, 2);
    assert_int_equal(csp_pruner_create(2, 2, config, NULL, NULL, &none),
                     CSP_E_CONFIG);
    assert_null(none);
}

static void pruner_refuses_spreads_out_of_range(void **state)
{
    const double slopes[] = {-0.01, 1.0, (double)NAN, (double)INFINITY};
    const double thresholds[] = {0.0, -0.1, 1.01, (double)NAN};
    bench *b = *state;
    csp_config config = b->config;

    config.layer_spread = (csp_layer_spread)3;
    assert_refused(b, &config);
    for (int i = 0; i < 4; i++) {
        config = b->config;
        config.layer_spread = CSP_LAYERS_PYRAMID;
        config.layer_slope = slopes[i];
        assert_refused(b, &config);
        config = b->config;
        config.layer_spread = CSP_LAYERS_SPARSITY;
        config.layer_threshold = thresholds[i];
        assert_refused(b, &config);
        config.layer_spread = CSP_LAYERS_EQUAL; /* not looked at */
        assert_int_equal(csp_pruner_configure(b->pruner, &config), CSP_OK);
        assert_int_equal(csp_pruner_plan(b->pruner), CSP_OK);
    }
}

static void pruner_refuses_spreads_of_other_selections(void **state)
{
    bench *b = *state;
    csp_config config = b->config;

    config.layer_spread = CSP_LAYERS_PYRAMID;
    config.scope = CSP_GLOBAL;
    assert_refused(b, &config);
    config.scope = CSP_PER_HEAD;
    config.block = 2;
    assert_refused(b, &config);
    config.block = 1;
    config.selection = CSP_UNION;
    config.n_intra = 1;
    assert_refused(b, &config);
}

/* Each layer needs 9 rows: 2 sinks, 3 recent ones, 4 of the first image. */
static void plan_refuses_claims_beyond_all_budgets(void **state)
{
    bench *b = *state;

    for (uint32_t spread = 0; spread < 3; spread++) {
        b->config.layer_spread = (csp_layer_spread)spread;
        b->config.span_quota = 4;
        b->config.budget = 10;
        csp_pruner_configure(b->pruner, &b->config);
        assert_int_equal(csp_pruner_plan(b->pruner), CSP_OK);
        b->config.budget = 9;
        csp_pruner_configure(b->pruner, &b->config);
        snapshot before = take_snapshot(b->pruner, 2);
        assert_int_equal(csp_pruner_plan(b->pruner), CSP_E_BUDGET);
        assert_unchanged(&before, b->pruner, 2);
    }
}

static void plan_out_of_memory_for_shares_keeps_the_old_plan(void **state)
{
    bench *b = *state;

    b->config.head_floor = 0.0;
    b->config.layer_spread = CSP_LAYERS_SPARSITY;
    csp_pruner_configure(b->pruner, &b->config);
    for (size_t index = 0;; index++) {
        snapshot before = take_snapshot(b->pruner, 2);
        ledger_fail(&b->book, index, false);
        const csp_status status = csp_pruner_plan(b->pruner);
        if (status == CSP_OK) {
            free(before.bytes);
            assert_true(index > 0);
            return;
        }
        assert_int_equal(status, CSP_E_MEMORY);
        assert_unchanged(&before, b->pruner, 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plan_of_a_pyramid_falls_linearly),
        cmocka_unit_test(plan_by_sparsity_follows_dense_layers),
        cmocka_unit_test(plan_by_sparsity_without_scores_is_equal),
        with_bench(neutral_spreads_plan_as_before),
        with_bench(plan_of_a_pyramid_leaves_room_for_quotas),
        with_bench(pruner_refuses_spreads_out_of_range),
        with_bench(pruner_refuses_spreads_of_other_selections),
        with_bench(plan_refuses_claims_beyond_all_budgets),
        with_bench(plan_out_of_memory_for_shares_keeps_the_old_plan),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
