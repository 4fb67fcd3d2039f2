/*
 * test_select.c - importance -> kept rows (E5, E6)
 */
#include "select_fixture.h"

/* ---- Exact --------------------------------------------------------------- */

TEST(select_exact_joins_the_best_of_both)
{
    fixture f;
    set_up(&f);
    f.config.budget = 5;
    f.config.n_inter = 2;

    assert_keeps(&f, 0, 1, 2, 6, 7);

    assert_int_equal(f.n_both[0], 0);
}

TEST(select_exact_fills_up_by_the_sum)
{
    const float a[] = {5, 4, 0, 0, 0, 0, 0, 0};
    const float b[] = {5, 0, 0, 1, 3, 0, 0, 2};
    fixture f;
    set_up(&f);
    set_numbers(f.intra, a);
    set_numbers(f.inter, b);
    f.config.budget = 4;
    f.config.n_intra = f.config.n_inter = 1; /* row 0 is both: three are free */

    assert_keeps(&f, 0, 1, 4, 7);

    assert_int_equal(f.n_both[0], 1);
}

TEST(select_exact_lists_no_zeros_but_fills_with_them)
{
    const float none[KEYS] = {0};
    const float b[] = {0, 0, 0, 0, 0, 1, 0, 2};
    fixture f;
    set_up(&f);
    set_numbers(f.intra, none);
    set_numbers(f.inter, b);
    f.config.budget = 3;
    f.config.n_intra = 3;

    assert_keeps(&f, 0, 5, 7);

    assert_int_equal(f.n_both[0], 0);
}

TEST(select_exact_keeps_protected_rows)
{
    fixture f;
    set_up(&f);
    f.config.budget = 4;
    f.config.sinks = 1;
    f.config.recent = 2;
    f.config.n_inter = 1;

    assert_keeps(&f, 0, 5, 6, 7);
    f.config.budget = 3; /* nothing but protected rows */
    f.config.n_inter = 0;
    memset(f.rows, 0x4d, sizeof f.rows);
    set_up(&f);
    f.config.budget = 3;
    f.config.sinks = 1;
    f.config.recent = 2;
    assert_keeps(&f, 0, 6, 7);
}

TEST(select_exact_keeps_just_the_budget)
{
    for (uint32_t budget = 0; budget <= KEYS + 2; budget++)
        for (uint32_t sinks = 0; sinks <= 2 && sinks <= budget; sinks++)
            for (uint32_t n_inter = 0; n_inter + sinks <= budget; n_inter++) {
                fixture f;
                set_up(&f);
                f.config.budget = budget;
                f.config.sinks = sinks;
                f.config.n_inter = n_inter;
                assert_ok(choose(&f));
                assert_int_equal(f.counts[0], budget < KEYS ? budget : KEYS);
                for (uint32_t i = 1; i < f.counts[0]; i++)
                    assert_true(f.rows[i] > f.rows[i - 1]);
            }
}

TEST(select_exact_keeps_all_within_the_budget)
{
    fixture f;
    set_up(&f);
    f.config.budget = KEYS;

    assert_keeps(&f, 0, 1, 2, 3, 4, 5, 6, 7);
}

TEST(select_breaks_ties_by_lowest_row)
{
    const float same[] = {1, 1, 1, 1, 1, 1, 1, 1};
    fixture f;
    set_up(&f);
    set_numbers(f.intra, same);
    set_numbers(f.inter, same);
    f.config.budget = 3;
    f.config.n_inter = 1;

    assert_keeps(&f, 0, 1, 2);

    assert_int_equal(f.n_both[0], 1);
}

TEST(select_of_all_zero_importance_takes_lowest_rows)
{
    const float none[KEYS] = {0};
    fixture f;
    set_up(&f);
    set_numbers(f.intra, none);
    set_numbers(f.inter, none);
    f.config.budget = 4;
    f.config.sinks = 1;
    f.config.recent = 1;
    f.config.auto_share = true;

    assert_keeps(&f, 0, 1, 2, 7);
}

TEST(select_takes_negative_zero_for_zero)
{
    const float mixed[] = {-0.0f, 0.0f, -0.0f, 0.0f, -0.0f, 0.0f, -0.0f, 0.0f};
    fixture f;
    set_up(&f);
    set_numbers(f.intra, mixed);
    set_numbers(f.inter, mixed);
    f.config.budget = 3;
    assert_keeps(&f, 0, 1, 2);
    set_up(&f);
    set_numbers(f.intra, mixed);
    f.config.selection = CSP_UNION;
    f.config.n_intra = 2;
    assert_keeps(&f, 0, 1);
}

TEST(select_tells_neighbouring_floats_apart)
{
    const float a[] = {1.0f,      0x1.000002p0f, 1.0f,    0x1.fffffep-1f,
                       0x1p-149f, 0.0f,          FLT_MAX, 0x1p-148f};
    const float none[KEYS] = {0};
    fixture f;
    set_up(&f);
    set_numbers(f.intra, a);
    set_numbers(f.inter, none);
    f.config.budget = 2;
    assert_keeps(&f, 1, 6);
    f.config.budget = 3;
    assert_ok(choose(&f));
    assert_int_equal(f.rows[0], 0);
    f.config.budget = 6;
    assert_ok(choose(&f));
    assert_int_equal(f.rows[4], 6);
    assert_int_equal(f.rows[5], 7);
}

TEST(select_exact_of_joint_ranking_goes_by_the_sum)
{
    const float b[] = {0, 0, 0, 0, 0, 9, 0, 0};
    fixture f;
    set_up(&f);
    set_numbers(f.inter, b);
    f.config.budget = 2;
    f.config.n_intra = 0;

    assert_keeps(&f, 0, 5);
}

TEST(select_exact_intra_beats_the_sum)
{
    const float a[] = {1, 2, 3, 0, 0, 0, 0, 0};
    const float b[] = {9, 9, 0, 0, 0, 0, 0, 0};
    fixture f;
    set_up(&f);
    set_numbers(f.intra, a);
    set_numbers(f.inter, b);
    f.config.budget = 1;

    assert_keeps(&f, 2);
}

/* ---- Union and intersection ---------------------------------------------- */

static void set_up_overlap(fixture *f, csp_selection selection)
{
    const float a[] = {9, 8, 7, 0, 0, 0, 9, 9};
    const float b[] = {0, 0, 7, 8, 9, 0, 9, 9};

    set_up(f);
    set_numbers(f->intra, a);
    set_numbers(f->inter, b);
    f->config.selection = selection;
    f->config.n_intra = f->config.n_inter = 3;
    f->config.recent = 2;
}

TEST(select_union_keeps_either)
{
    fixture f;
    set_up_overlap(&f, CSP_UNION);

    assert_keeps(&f, 0, 1, 2, 3, 4, 6, 7);

    assert_int_equal(f.n_both[0], 1);
}

TEST(select_intersection_keeps_both)
{
    fixture f;
    set_up_overlap(&f, CSP_INTERSECTION);

    assert_keeps(&f, 2, 6, 7);

    assert_int_equal(f.n_both[0], 1);
}

TEST(select_union_lists_zeros_too)
{
    const float none[KEYS] = {0};
    fixture f;
    set_up(&f);
    set_numbers(f.intra, none);
    set_numbers(f.inter, none);
    f.config.selection = CSP_UNION;
    f.config.n_intra = 2;
    f.config.n_inter = 3;

    assert_keeps(&f, 0, 1, 2);

    assert_int_equal(f.n_both[0], 2);
}

TEST(select_union_fills_nothing_up)
{
    fixture f;
    set_up(&f);
    f.config.selection = CSP_UNION;
    f.config.budget = 7; /* not looked at */
    f.config.n_intra = 1;

    assert_keeps(&f, 0);
}

TEST(select_with_lists_longer_than_the_cache_takes_all)
{
    fixture f;
    set_up(&f);
    f.config.selection = CSP_INTERSECTION;
    f.config.n_intra = f.config.n_inter = 1000;

    assert_keeps(&f, 0, 1, 2, 3, 4, 5, 6, 7);

    assert_int_equal(f.n_both[0], KEYS);
}

TEST(select_with_the_longest_list_keeps_the_other_whole)
{
    fixture f;
    set_up(&f);
    f.config.selection = CSP_INTERSECTION;
    f.config.n_intra = 3;
    f.config.n_inter = UINT32_MAX - 1;

    assert_keeps(&f, 0, 1, 2);
}

TEST(select_protects_sinks_in_every_selection)
{
    for (int s = CSP_UNION; s <= CSP_INTERSECTION; s++) {
        fixture f;
        set_up(&f);
        f.config.selection = (csp_selection)s;
        f.config.n_intra = 0;
        f.config.sinks = 2;
        assert_keeps(&f, 0, 1);
    }
}

/* Finite numbers that weights make NaN: above no other, but there. */
TEST(select_keeps_the_budget_of_numbers_that_weights_make_nan)
{
    for (int tier = CSP_TIER_SCALAR; tier <= CSP_TIER_NEON; tier++) {
        fixture f;
        set_up(&f);
        for (size_t i = 0; i < KEYS; i++)
            if (i != 5) { /* infinity times zero */
                f.intra[i] = f.inter[i] = FLT_MAX;
                f.intra_rows[i] = f.inter_rows[i] = 0.5f;
                f.norm[i] = 0.0f;
            }
        f.config.weigh_rows = f.config.weigh_values = true;
        f.config.compute.tier = (csp_tier)tier;
        f.config.budget = 3;
        if (csp_has_tier((csp_tier)tier))
            assert_keeps(&f, 0, 1, 5);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(select_exact_joins_the_best_of_both),
        cmocka_unit_test(select_exact_fills_up_by_the_sum),
        cmocka_unit_test(select_exact_lists_no_zeros_but_fills_with_them),
        cmocka_unit_test(select_exact_keeps_protected_rows),
        cmocka_unit_test(select_exact_keeps_just_the_budget),
        cmocka_unit_test(select_exact_keeps_all_within_the_budget),
        cmocka_unit_test(select_breaks_ties_by_lowest_row),
        cmocka_unit_test(select_of_all_zero_importance_takes_lowest_rows),
        cmocka_unit_test(select_takes_negative_zero_for_zero),
        cmocka_unit_test(select_tells_neighbouring_floats_apart),
        cmocka_unit_test(select_exact_of_joint_ranking_goes_by_the_sum),
        cmocka_unit_test(select_exact_intra_beats_the_sum),
        cmocka_unit_test(select_union_keeps_either),
        cmocka_unit_test(select_intersection_keeps_both),
        cmocka_unit_test(select_union_lists_zeros_too),
        cmocka_unit_test(select_union_fills_nothing_up),
        cmocka_unit_test(select_with_lists_longer_than_the_cache_takes_all),
        cmocka_unit_test(select_with_the_longest_list_keeps_the_other_whole),
        cmocka_unit_test(select_protects_sinks_in_every_selection),
        cmocka_unit_test(
            select_keeps_the_budget_of_numbers_that_weights_make_nan),
    };

    return RUN(tests);
}
