/*
 * test_config.c - initial values, checks of settings
 */
#include "config_fixture.h"

/* ---- csp_config_init ----------------------------------------------------- */

TEST(config_init_sets_plain_settings)
{
    csp_config c;
    memset(&c, 0xff, sizeof c);

    assert_ok(csp_config_init(&c));

    assert_true(c.struct_size == sizeof c);
    assert_int_equal(c.compute.tier, CSP_TIER_AUTO);
    assert_int_equal(c.compute.product, CSP_PATH_AUTO);
    assert_int_equal(c.compute.column_sums, CSP_PATH_AUTO);
    assert_true(c.n == 1.0 && c.decay == 1.0);
    assert_int_equal(c.first_vote, 0);
    assert_false(c.weigh_rows || c.weigh_values || c.auto_share);
    assert_int_equal(c.pooling, CSP_POOL_NONE);
    assert_int_equal(c.selection, CSP_EXACT);
    assert_int_equal(c.scope, CSP_PER_HEAD);
    assert_int_equal(c.budget + c.sinks + c.recent + c.n_inter, 0);
    assert_true(c.n_intra == CSP_REST);
    assert_int_equal(c.block, 1);
}

TEST(config_init_refuses_null)
{
    assert_status(csp_config_init(NULL), CSP_E_NULL);
}

TEST(config_init_is_accepted_by_every_check)
{
    const csp_config c = plain();

    assert_ok(csp__check_config(&c));
    assert_ok(csp__check_voting(&c));
    assert_ok(csp__check_selection(&c));
}

/* ---- Checks -------------------------------------------------------------- */

TEST(check_config_refuses_other_struct_size)
{
    csp_config c = plain();

    c.struct_size--;
    assert_status(csp__check_config(&c), CSP_E_CONFIG);
    c.struct_size += 2;
    assert_status(csp__check_config(&c), CSP_E_CONFIG);
    c.struct_size = 0;
    assert_status(csp__check_selection(&c), CSP_E_CONFIG);
    assert_status(csp__check_voting(&c), CSP_E_CONFIG);
    assert_status(csp__check_config(NULL), CSP_E_NULL);
}

TEST(checks_leave_what_other_verbs_look_at)
{
    csp_config c = plain();

    c.block = 0;
    c.pooling = (csp_pooling)99;
    c.budget = 0;
    c.sinks = 1;
    assert_ok(csp__check_voting(&c));
    c = plain();
    c.n = c.decay = (double)NAN;
    assert_ok(csp__check_selection(&c));
}

TEST(check_voting_refuses_n_that_is_no_number)
{
    const double wrong[] = {-1.0, -1e-300, (double)NAN, (double)INFINITY,
                            -(double)INFINITY};
    csp_config c = plain();

    for (size_t i = 0; i < COUNT(wrong); i++) {
        c.n = wrong[i];
        assert_status(csp__check_voting(&c), CSP_E_CONFIG);
    }
    c.n = 0.0;
    assert_ok(csp__check_voting(&c));
}

TEST(check_voting_refuses_unknown_paths_and_tiers)
{
    csp_config c = plain();
    c.compute.product = (csp_path)3;
    assert_status(csp__check_voting(&c), CSP_E_CONFIG);
    c = plain();
    c.compute.column_sums = (csp_path)3;
    assert_status(csp__check_voting(&c), CSP_E_CONFIG);
    c = plain();
    c.compute.tier = (csp_tier)999;
    assert_status(csp__check_voting(&c), CSP_E_UNSUPPORTED);
}

TEST(check_selection_refuses_enums_out_of_range)
{
    csp_config c = plain();
    c.reduce = (csp_reduce)2;
    assert_status(csp__check_selection(&c), CSP_E_CONFIG);
    c = plain();
    c.pooling = (csp_pooling)3;
    c.pool_width = 3;
    assert_status(csp__check_selection(&c), CSP_E_CONFIG);
    c = plain();
    c.selection = (csp_selection)3;
    assert_status(csp__check_selection(&c), CSP_E_CONFIG);
    c = plain();
    c.scope = (csp_scope)3;
    assert_status(csp__check_selection(&c), CSP_E_CONFIG);
}

TEST(check_selection_refuses_block_of_zero)
{
    csp_config c = plain();

    c.block = 0;

    assert_status(csp__check_selection(&c), CSP_E_CONFIG);
}

TEST(check_selection_refuses_even_pool_width_only_where_pooled)
{
    csp_config c = plain();

    c.pool_width = 2;
    assert_ok(csp__check_selection(&c));
    c.pooling = CSP_POOL_AVG;
    assert_status(csp__check_selection(&c), CSP_E_CONFIG);
    c.pool_width = 0;
    assert_status(csp__check_selection(&c), CSP_E_CONFIG);
    c.pool_width = 3;
    assert_ok(csp__check_selection(&c));
}

TEST(check_selection_refuses_rest_of_no_budget)
{
    csp_config c = plain();

    c.selection = CSP_UNION;
    assert_status(csp__check_selection(&c), CSP_E_CONFIG);
    c.selection = CSP_INTERSECTION;
    assert_status(csp__check_selection(&c), CSP_E_CONFIG);
    c.n_intra = 3;
    assert_ok(csp__check_selection(&c));
    c.n_inter = CSP_REST;
    assert_status(csp__check_selection(&c), CSP_E_CONFIG);
}

TEST(check_selection_refuses_budget_below_protected)
{
    csp_config c = plain();

    c.sinks = 2;
    c.recent = 3;
    c.budget = 4;
    assert_status(csp__check_selection(&c), CSP_E_BUDGET);
    c.budget = 5;
    assert_ok(csp__check_selection(&c));
    c.sinks = c.recent = UINT32_MAX; /* the sum does not wrap */
    assert_status(csp__check_selection(&c), CSP_E_BUDGET);
}

TEST(check_selection_refuses_budget_below_lists)
{
    csp_config c = plain();

    c.sinks = 1;
    c.budget = 5;
    c.n_intra = 2;
    c.n_inter = 3;
    assert_status(csp__check_selection(&c), CSP_E_BUDGET);
    c.n_inter = 2;
    assert_ok(csp__check_selection(&c));
    c.n_intra = CSP_REST;
    c.n_inter = 5;
    assert_status(csp__check_selection(&c), CSP_E_BUDGET);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(config_init_sets_plain_settings),
        cmocka_unit_test(config_init_refuses_null),
        cmocka_unit_test(config_init_is_accepted_by_every_check),
        cmocka_unit_test(check_config_refuses_other_struct_size),
        cmocka_unit_test(checks_leave_what_other_verbs_look_at),
        cmocka_unit_test(check_voting_refuses_n_that_is_no_number),
        cmocka_unit_test(check_voting_refuses_unknown_paths_and_tiers),
        cmocka_unit_test(check_selection_refuses_enums_out_of_range),
        cmocka_unit_test(check_selection_refuses_block_of_zero),
        cmocka_unit_test(
            check_selection_refuses_even_pool_width_only_where_pooled),
        cmocka_unit_test(check_selection_refuses_rest_of_no_budget),
        cmocka_unit_test(check_selection_refuses_budget_below_protected),
        cmocka_unit_test(check_selection_refuses_budget_below_lists),
    };

    return RUN(tests);
}
