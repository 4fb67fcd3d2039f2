/*
 * test_config_presets.c - settings of named methods
 */
#include "config_fixture.h"

/* ---- csp_config_preset --------------------------------------------------- */

/* Run csp_select on even importance with these settings. */
static uint32_t select_with(const csp_config *config, uint32_t n_keys)
{
    static float numbers[1000];
    static unsigned char workspace[BIG_WORKSPACE];
    static uint32_t rows[1000];
    uint32_t count = 12345;
    const csp_tokens tokens = {.n_kv_heads = 1, .n_keys = n_keys};
    const csp_importance importance = {.intra = numbers,
                                       .inter = numbers,
                                       .intra_rows = numbers,
                                       .inter_rows = numbers,
                                       .value_norm = numbers,
                                       .capacity = 1000};
    const csp_kept kept = {
        .rows = rows, .counts = &count, .n_lists = 1, .capacity = 1000};

    assert_true(csp_select_workspace_size(&tokens, config) <= sizeof workspace);
    assert_ok(csp_select(&importance, &tokens, config, workspace,
                         sizeof workspace, &kept));
    return count;
}

static const uint32_t prompt_sizes[] = {0, 1, 3, 7, 10, 64, 333, 1000};

TEST(config_preset_is_accepted_by_select)
{
    for (int preset = CSP_PRESET_DEFAULT; preset <= CSP_PRESET_AGNOSTIC;
         preset++)
        for (size_t i = 0; i < COUNT(prompt_sizes); i++) {
            const uint32_t n = prompt_sizes[i];
            const uint32_t budgets[] = {0, 1, 2, 3, n / 10, n / 3, n / 2, n};
            for (size_t b = 0; b < COUNT(budgets); b++) {
                csp_config c;
                if (budgets[b] > n)
                    continue;
                assert_ok(
                    csp_config_preset((csp_preset)preset, n, budgets[b], &c));
                assert_true(select_with(&c, n) <= budgets[b]);
                assert_ok(csp__check_voting(&c));
            }
        }
}

TEST(config_preset_keeps_the_budget_where_exact)
{
    const csp_preset exact[] = {CSP_PRESET_DEFAULT, CSP_PRESET_AGNOSTIC,
                                CSP_PRESET_SNAPKV, CSP_PRESET_H2O,
                                CSP_PRESET_STREAMING};

    for (size_t p = 0; p < COUNT(exact); p++)
        for (uint32_t budget = 0; budget <= 64; budget++) {
            csp_config c;
            assert_ok(csp_config_preset(exact[p], 64, budget, &c));
            assert_int_equal(select_with(&c, 64), budget);
        }
}

TEST(config_preset_window_is_a_tenth_at_most_half_the_budget)
{
    const csp_preset with_window[] = {CSP_PRESET_PAPER, CSP_PRESET_REFERENCE};

    for (size_t p = 0; p < COUNT(with_window); p++) {
        csp_config c;
        assert_ok(csp_config_preset(with_window[p], 1000, 400, &c));
        assert_int_equal(c.recent, 100);
        assert_int_equal(c.first_vote, 900);
        assert_ok(csp_config_preset(with_window[p], 1000, 50, &c));
        assert_int_equal(c.recent, 25);
        assert_int_equal(c.first_vote, 975);
    }
}

TEST(config_preset_default_hears_a_twentieth_and_keeps_a_third_recent)
{
    csp_config c;

    assert_ok(csp_config_preset(CSP_PRESET_DEFAULT, 1000, 400, &c));
    assert_int_equal(c.recent, 50);
    assert_int_equal(c.first_vote, 950);

    assert_ok(csp_config_preset(CSP_PRESET_DEFAULT, 1000, 60, &c));
    assert_int_equal(c.recent, 20);
    assert_int_equal(c.first_vote, 950);

    assert_ok(csp_config_preset(CSP_PRESET_DEFAULT, 19, 19, &c));
    assert_int_equal(c.recent, 0);
    assert_int_equal(c.first_vote, 18);
}

TEST(config_preset_default_protects_a_sink_that_it_can_afford)
{
    csp_config c;

    assert_ok(csp_config_preset(CSP_PRESET_DEFAULT, 1000, 31, &c));
    assert_int_equal(c.sinks, 0);
    assert_ok(csp_config_preset(CSP_PRESET_DEFAULT, 1000, 32, &c));
    assert_int_equal(c.sinks, 1);
    assert_ok(csp_config_preset(CSP_PRESET_AGNOSTIC, 1000, 999, &c));
    assert_int_equal(c.sinks, 1);
}

TEST(config_preset_default_shares_automatically_and_weighs_distances)
{
    csp_config c;

    assert_ok(csp_config_preset(CSP_PRESET_DEFAULT, 1000, 200, &c));

    assert_true(c.auto_share && c.weigh_values && c.center_values);
    assert_false(c.weigh_rows);
    assert_int_equal(c.selection, CSP_EXACT);
    assert_int_equal(c.scope, CSP_PER_HEAD);
    assert_true(c.n == 1.0);
    assert_int_equal(c.budget, 200);
}

TEST(config_preset_agnostic_hears_every_row_and_keeps_a_quarter_recent)
{
    csp_config c, other;

    assert_ok(csp_config_preset(CSP_PRESET_AGNOSTIC, 1001, 200, &c));
    assert_ok(csp_config_preset(CSP_PRESET_DEFAULT, 1001, 200, &other));

    assert_true(c.weigh_rows && c.auto_share && c.weigh_values &&
                c.center_values);
    assert_int_equal(c.first_vote, 0);
    assert_int_equal(c.recent, 50);
    assert_int_equal(c.budget, other.budget);
    assert_int_equal(c.sinks, other.sinks);
    assert_int_equal(c.selection, other.selection);
    assert_int_equal(c.scope, other.scope);
    assert_true(c.n == other.n);
    assert_ok(csp_config_preset(CSP_PRESET_AGNOSTIC, 1001, 60, &c));
    assert_int_equal(c.recent, 15);
}

TEST(config_preset_paper_is_an_intersection_per_layer)
{
    csp_config c;

    assert_ok(csp_config_preset(CSP_PRESET_PAPER, 1000, 300, &c));

    assert_int_equal(c.selection, CSP_INTERSECTION);
    assert_int_equal(c.scope, CSP_PER_LAYER);
    assert_int_equal(c.reduce, CSP_MEAN);
    assert_int_equal(c.n_inter, 100);
    assert_int_equal(c.n_intra, 100);
}

TEST(config_preset_reference_is_a_union_per_head)
{
    csp_config c;

    assert_ok(csp_config_preset(CSP_PRESET_REFERENCE, 1000, 301, &c));

    assert_int_equal(c.selection, CSP_UNION);
    assert_int_equal(c.scope, CSP_PER_HEAD);
    assert_int_equal(c.sinks, 0);
    assert_int_equal(c.n_inter, 100); /* int(201 * 0.5) twice: one is lost */
    assert_int_equal(c.n_intra, 100);
}

TEST(config_preset_snapkv_pools_over_seven)
{
    csp_config c;

    assert_ok(csp_config_preset(CSP_PRESET_SNAPKV, 1000, 300, &c));

    assert_int_equal(c.pooling, CSP_POOL_AVG);
    assert_int_equal(c.pool_width, 7);
    assert_int_equal(c.recent, 32);
    assert_int_equal(c.first_vote, 968);
    assert_true(c.n == 0.0);
    assert_int_equal(c.n_intra + c.n_inter, 0);
    assert_ok(csp_config_preset(CSP_PRESET_SNAPKV, 1000, 40, &c));
    assert_int_equal(c.recent, 20);
}

TEST(config_preset_h2o_keeps_half_recent_and_lets_every_row_vote)
{
    csp_config c;

    assert_ok(csp_config_preset(CSP_PRESET_H2O, 1000, 301, &c));

    assert_int_equal(c.recent, 150);
    assert_int_equal(c.first_vote, 0);
    assert_true(c.n == 0.0);
    assert_int_equal(c.n_intra + c.n_inter, 0);
}

TEST(config_preset_streaming_keeps_sinks_and_recent)
{
    csp_config c;

    assert_ok(csp_config_preset(CSP_PRESET_STREAMING, 1000, 301, &c));

    assert_int_equal(c.sinks, 4);
    assert_int_equal(c.recent, 297);
    assert_int_equal(c.first_vote, 1000); /* no row votes */
    assert_ok(csp_config_preset(CSP_PRESET_STREAMING, 1000, 3, &c));
    assert_int_equal(c.sinks, 3);
    assert_int_equal(c.recent, 0);
}

TEST(config_preset_errors_leave_config_alone)
{
    csp_config c, before;
    memset(&c, 0x5a, sizeof c);
    before = c;

    assert_status(csp_config_preset(CSP_PRESET_DEFAULT, 10, 11, &c),
                  CSP_E_BUDGET);
    assert_status(csp_config_preset((csp_preset)7, 10, 5, &c), CSP_E_CONFIG);
    assert_status(csp_config_preset((csp_preset)-1, 10, 5, &c), CSP_E_CONFIG);
    assert_status(csp_config_preset(CSP_PRESET_DEFAULT, 10, 5, NULL),
                  CSP_E_NULL);
    assert_status(
        csp_config_preset(CSP_PRESET_REFERENCE, CSP_REST, CSP_REST, &c),
        CSP_E_OVERFLOW);

    assert_memory_equal(&c, &before, sizeof c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(config_preset_is_accepted_by_select),
        cmocka_unit_test(config_preset_keeps_the_budget_where_exact),
        cmocka_unit_test(
            config_preset_window_is_a_tenth_at_most_half_the_budget),
        cmocka_unit_test(
            config_preset_default_hears_a_twentieth_and_keeps_a_third_recent),
        cmocka_unit_test(
            config_preset_default_protects_a_sink_that_it_can_afford),
        cmocka_unit_test(
            config_preset_default_shares_automatically_and_weighs_distances),
        cmocka_unit_test(
            config_preset_agnostic_hears_every_row_and_keeps_a_quarter_recent),
        cmocka_unit_test(config_preset_paper_is_an_intersection_per_layer),
        cmocka_unit_test(config_preset_reference_is_a_union_per_head),
        cmocka_unit_test(config_preset_snapkv_pools_over_seven),
        cmocka_unit_test(
            config_preset_h2o_keeps_half_recent_and_lets_every_row_vote),
        cmocka_unit_test(config_preset_streaming_keeps_sinks_and_recent),
        cmocka_unit_test(config_preset_errors_leave_config_alone),
    };

    return RUN(tests);
}
