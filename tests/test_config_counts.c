/*
 * test_config_counts.c - counts from ratios, ours and the published code's
 */
#include "config_fixture.h"

/* ---- csp_config_set_ratios ----------------------------------------------- */

TEST(config_set_ratios_rounds_to_the_nearest_token)
{
    csp_config c = plain();

    assert_ok(csp_config_set_ratios(100, 0.304, 0.096, 0.5, &c));

    assert_int_equal(c.budget, 30);
    assert_int_equal(c.recent, 10);
    assert_int_equal(c.n_inter, 10);
    assert_int_equal(c.n_intra, 10);
}

TEST(config_set_ratios_loses_no_token_to_rounding)
{
    csp_config c = plain();

    c.sinks = 4;
    for (uint32_t n = 40; n < 400; n++)
        for (int percent = 0; percent <= 100; percent += 5) {
            assert_ok(csp_config_set_ratios(n, 0.3, 0.1, percent / 100.0, &c));
            assert_int_equal(c.sinks + c.recent + c.n_intra + c.n_inter,
                             c.budget);
        }
}

TEST(config_set_ratios_gives_recent_what_the_budget_leaves)
{
    csp_config c = plain();

    c.sinks = 4;
    assert_ok(csp_config_set_ratios(100, 0.1, 0.5, 1.0, &c));

    assert_int_equal(c.budget, 10);
    assert_int_equal(c.recent, 6);
    assert_int_equal(c.n_inter + c.n_intra, 0);
}

/* Neither function touches a setting that it does not name. */
TEST(config_set_counts_leaves_other_settings_alone)
{
    csp_config c, expected;
    memset(&c, 0, sizeof c); /* what is between members is compared, too */
    c.struct_size = sizeof c;
    c.auto_share = c.weigh_rows = true;
    c.first_vote = 77;
    c.sinks = 2;
    memcpy(&expected, &c, sizeof c);

    assert_ok(csp_config_set_ratios(100, 0.3, 0.1, 0.5, &c));
    expected.budget = 30;
    expected.recent = 10;
    expected.n_inter = expected.n_intra = 9;
    assert_memory_equal(&c, &expected, sizeof c);

    assert_ok(csp_config_set_reference(100, 0.2, 0.1, 1.0, 0.5, &c));
    expected.first_vote = 90;
    expected.n_inter = expected.n_intra = 10;
    assert_memory_equal(&c, &expected, sizeof c);
}

TEST(config_set_ratios_takes_the_largest_counts)
{
    csp_config c = plain();

    assert_ok(csp_config_set_ratios(UINT32_MAX, 1.0, 0.0, 1.0, &c));

    assert_true(c.budget == UINT32_MAX);
    assert_true(c.n_inter == UINT32_MAX);
    assert_int_equal(c.n_intra, 0);
}

TEST(config_set_ratios_errors_leave_config_alone)
{
    const double wrong[] = {-0.01, 1.01, (double)NAN, (double)INFINITY};
    csp_config c, before;
    memset(&c, 0, sizeof c); /* what is between members is compared, too */
    c.struct_size = sizeof c;
    c.sinks = 4;
    memcpy(&before, &c, sizeof c);

    for (size_t i = 0; i < COUNT(wrong); i++) {
        assert_status(csp_config_set_ratios(10, wrong[i], 0.1, 0.1, &c),
                      CSP_E_CONFIG);
        assert_status(csp_config_set_ratios(10, 0.5, wrong[i], 0.1, &c),
                      CSP_E_CONFIG);
        assert_status(csp_config_set_ratios(10, 0.5, 0.1, wrong[i], &c),
                      CSP_E_CONFIG);
    }
    assert_status(csp_config_set_ratios(10, 0.3, 0.1, 0.1, &c), CSP_E_BUDGET);
    assert_status(csp_config_set_ratios(10, 0.3, 0.1, 0.1, NULL), CSP_E_NULL);

    assert_memory_equal(&c, &before, sizeof c);
}

/* ---- csp_config_set_reference -------------------------------------------- */

TEST(config_set_reference_splits_as_the_published_code)
{
    static const struct {
        uint32_t k;
        double share;
        uint32_t n_inter, n_intra;
    } cases[] = {{309, 0.1, 30, 278}, {309, 0.5, 154, 154}, {309, 0.9, 278, 30},
                 {100, 0.9, 90, 9},   {543, 0.1, 54, 488},  {309, 0.0, 1, 308},
                 {309, -1.0, 1, 308}, {309, 1.0, 309, 0}};

    for (size_t i = 0; i < COUNT(cases); i++) {
        csp_config c = plain();
        assert_ok(csp_config_set_reference(cases[i].k, 1.0, 0.0, 1.0,
                                           cases[i].share, &c));
        assert_int_equal(c.n_inter, cases[i].n_inter);
        assert_int_equal(c.n_intra, cases[i].n_intra);
    }
}

TEST(config_set_reference_truncates_its_counts)
{
    csp_config c = plain();

    assert_ok(csp_config_set_reference(618, 0.3, 0.1, 1.0, 0.5, &c));

    assert_int_equal(c.recent, 61); /* int(61.8) */
    assert_int_equal(c.first_vote, 618 - 61);
    assert_int_equal(c.n_inter, 92); /* k = int(185.4) */
    assert_int_equal(c.n_intra, 92);
    assert_int_equal(c.budget, 61 + 92 + 92);
}

/* 100 * 0.29 is below 29 in double, 100 * 0.57 below 57, 10 * (1 - 0.9) below
   1: so they are in the published code. */
TEST(config_set_reference_does_not_make_up_for_rounding)
{
    csp_config c = plain();

    assert_ok(csp_config_set_reference(100, 0.29, 0.57, 1.0, 1.0, &c));
    assert_int_equal(c.n_inter, 28);
    assert_int_equal(c.recent, 56);
    assert_ok(csp_config_set_reference(100, 0.1, 0.0, 1.0, 0.9, &c));
    assert_int_equal(c.n_inter, 9);
    assert_int_equal(c.n_intra, 0);
}

TEST(config_set_reference_bias_trades_recent_for_heavy_hitters)
{
    csp_config c = plain();

    assert_ok(csp_config_set_reference(1000, 0.2, 0.1, 0.5, 0.5, &c));

    assert_int_equal(c.recent, 50);
    assert_int_equal(c.first_vote, 900);
    assert_int_equal(c.n_inter, 125); /* k = 200 + 100 - 50 */
}

TEST(config_set_reference_errors_leave_config_alone)
{
    const double nan = (double)NAN;
    csp_config c, before;
    memset(&c, 0, sizeof c); /* what is between members is compared, too */
    c.struct_size = sizeof c;
    memcpy(&before, &c, sizeof c);

    assert_status(csp_config_set_reference(9, -0.1, 0.1, 1.0, 0.5, &c),
                  CSP_E_CONFIG);
    assert_status(csp_config_set_reference(9, 0.1, 1.1, 1.0, 0.5, &c),
                  CSP_E_CONFIG);
    assert_status(csp_config_set_reference(9, nan, 0.1, 1.0, 0.5, &c),
                  CSP_E_CONFIG);
    assert_status(csp_config_set_reference(9, 0.1, 0.1, -1.0, 0.5, &c),
                  CSP_E_CONFIG);
    assert_status(csp_config_set_reference(9, 0.1, 0.1, 0x1p21, 0.5, &c),
                  CSP_E_CONFIG);
    assert_status(csp_config_set_reference(9, 0.1, 0.1, 1.0, 1.1, &c),
                  CSP_E_CONFIG);
    assert_status(csp_config_set_reference(9, 0.1, 0.1, 1.0, nan, &c),
                  CSP_E_CONFIG);
    assert_status(csp_config_set_reference(100, 0.1, 0.5, 2.0, 0.5, &c),
                  CSP_E_BUDGET);
    assert_status(csp_config_set_reference(9, 0.1, 0.1, 1.0, 0.5, NULL),
                  CSP_E_NULL);

    assert_memory_equal(&c, &before, sizeof c);
}

TEST(config_set_reference_refuses_more_than_counts_hold)
{
    csp_config c, before;
    memset(&c, 0, sizeof c); /* what is between members is compared, too */
    c.struct_size = sizeof c;
    memcpy(&before, &c, sizeof c);

    assert_status(csp_config_set_reference(UINT32_MAX, 1.0, 1.0, 1.0, 0.5, &c),
                  CSP_E_OVERFLOW);

    assert_memory_equal(&c, &before, sizeof c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(config_set_ratios_rounds_to_the_nearest_token),
        cmocka_unit_test(config_set_ratios_loses_no_token_to_rounding),
        cmocka_unit_test(config_set_ratios_gives_recent_what_the_budget_leaves),
        cmocka_unit_test(config_set_counts_leaves_other_settings_alone),
        cmocka_unit_test(config_set_ratios_takes_the_largest_counts),
        cmocka_unit_test(config_set_ratios_errors_leave_config_alone),
        cmocka_unit_test(config_set_reference_splits_as_the_published_code),
        cmocka_unit_test(config_set_reference_truncates_its_counts),
        cmocka_unit_test(config_set_reference_does_not_make_up_for_rounding),
        cmocka_unit_test(
            config_set_reference_bias_trades_recent_for_heavy_hitters),
        cmocka_unit_test(config_set_reference_errors_leave_config_alone),
        cmocka_unit_test(config_set_reference_refuses_more_than_counts_hold),
    };

    return RUN(tests);
}
