/*
 * test_select_errors.c - bounds of a selection, and what csp_select refuses
 */
#include "select_fixture.h"

/* ---- Bounds and edges ---------------------------------------------------- */

TEST(select_of_no_keys_keeps_none)
{
    fixture f;
    set_up(&f);
    f.tokens.n_keys = 0;
    f.importance = (csp_importance){0};
    f.kept.rows = NULL;
    f.kept.capacity = 0;

    for (int s = CSP_EXACT; s <= CSP_INTERSECTION; s++) {
        f.config.selection = (csp_selection)s;
        f.config.n_intra = 3;
        f.config.budget = 3;
        f.counts[0] = 77;
        assert_ok(choose(&f));
        assert_int_equal(f.counts[0], 0);
    }
}

TEST(select_of_budget_zero_keeps_none)
{
    fixture f;
    set_up(&f);
    f.kept.rows = NULL;
    f.kept.capacity = 0;

    assert_ok(choose(&f));

    assert_int_equal(f.counts[0], 0);
    assert_int_equal(f.n_both[0], 0);
}

TEST(select_does_without_n_both)
{
    fixture f;
    set_up(&f);
    f.config.budget = 1;
    f.kept.n_both = NULL;

    assert_keeps(&f, 0);
}

TEST(select_writes_no_more_than_its_bound)
{
    for (uint32_t block = 1; block <= 4; block++)
        for (uint32_t sinks = 0; sinks <= 3; sinks++)
            for (uint32_t recent = 0; recent <= 3; recent++)
                for (int s = CSP_UNION; s <= CSP_INTERSECTION; s++) {
                    fixture f;
                    set_up(&f);
                    f.config.selection = (csp_selection)s;
                    f.config.n_intra = 1;
                    f.config.n_inter = 2;
                    f.config.block = block;
                    f.config.sinks = sinks;
                    f.config.recent = recent;
                    const uint32_t bound = csp_kept_bound(&f.tokens, &f.config);
                    guarded rows = guard(NULL, bound * sizeof(uint32_t));
                    f.kept.rows = (uint32_t *)(void *)rows.data;
                    f.kept.capacity = bound;
                    assert_ok(choose(&f));
                    assert_true(f.counts[0] <= bound);
                    unguard(&rows);
                    f.kept.capacity--;
                    if (bound > 0)
                        assert_status(choose(&f), CSP_E_CAPACITY);
                }
}

TEST(kept_bound_of_exact_selection_is_the_budget)
{
    fixture f;
    set_up(&f);

    f.config.budget = 5;
    assert_int_equal(csp_kept_bound(&f.tokens, &f.config), 5);
    f.config.budget = 500;
    assert_int_equal(csp_kept_bound(&f.tokens, &f.config), KEYS);
}

TEST(kept_bound_of_blocks_is_reached)
{
    fixture f;
    set_up(&f);
    f.config.selection = CSP_UNION;
    f.config.block = 2;
    f.config.sinks = f.config.recent = 1; /* two blocks */
    f.config.n_intra = 2;
    f.config.n_inter = 0;

    assert_int_equal(csp_kept_bound(&f.tokens, &f.config), 6);
    assert_ok(choose(&f));
    assert_int_equal(f.counts[0], 6);
}

TEST(kept_bound_of_lists_does_not_wrap)
{
    fixture f;
    set_up(&f);

    f.config.selection = CSP_UNION;
    f.config.n_intra = f.config.n_inter = UINT32_MAX - 1;
    f.config.sinks = f.config.recent = f.config.block = UINT32_MAX;
    assert_int_equal(csp_kept_bound(&f.tokens, &f.config), KEYS);
    f.config.sinks = f.config.recent = 0;
    f.config.block = 1;
    f.config.n_inter = 3; /* together 1 more than 32 bits hold */
    assert_int_equal(csp_kept_bound(&f.tokens, &f.config), KEYS);
}

TEST(kept_bound_of_invalid_arguments_is_zero)
{
    fixture f;
    set_up(&f);
    f.config.budget = 5;

    assert_int_equal(csp_kept_bound(NULL, &f.config), 0);
    assert_int_equal(csp_kept_bound(&f.tokens, NULL), 0);
    f.config.block = 0;
    assert_int_equal(csp_kept_bound(&f.tokens, &f.config), 0);
}

TEST(kept_bound_without_heads_is_zero)
{
    fixture f;
    set_up(&f);
    f.config.budget = 5;
    f.tokens.n_kv_heads = 0;

    assert_int_equal(csp_kept_bound(&f.tokens, &f.config), 0);
}

/* ---- Errors -------------------------------------------------------------- */

/* Change one thing of a good call and expect this status and no write. */
static void refuse(fixture *f, csp_status status)
{
    const fixture before = *f;

    assert_status(choose(f), status);

    assert_memory_equal(f, &before, offsetof(fixture, workspace));
}

TEST(select_refuses_null)
{
    fixture f;
    set_up(&f);
    f.config.budget = 2;
    assert_status(
        csp_select(NULL, &f.tokens, &f.config, f.workspace, 2048, &f.kept),
        CSP_E_NULL);
    assert_status(
        csp_select(&f.importance, NULL, &f.config, f.workspace, 2048, &f.kept),
        CSP_E_NULL);
    assert_status(
        csp_select(&f.importance, &f.tokens, NULL, f.workspace, 2048, &f.kept),
        CSP_E_NULL);
    assert_status(
        csp_select(&f.importance, &f.tokens, &f.config, NULL, 2048, &f.kept),
        CSP_E_NULL);
    assert_status(csp_select(&f.importance, &f.tokens, &f.config, f.workspace,
                             2048, NULL),
                  CSP_E_NULL);
    f.importance.intra = NULL;
    refuse(&f, CSP_E_NULL);
    f.importance.intra = f.intra;
    f.importance.inter = NULL;
    refuse(&f, CSP_E_NULL);
    f.importance.inter = f.inter;
    f.kept.rows = NULL;
    refuse(&f, CSP_E_NULL);
    f.kept.rows = f.rows;
    f.kept.counts = NULL;
    refuse(&f, CSP_E_NULL);
}

TEST(select_refuses_missing_weights_only_where_wanted)
{
    fixture f;
    set_up(&f);
    f.config.budget = 2;
    f.importance.value_norm = NULL;
    f.importance.inter_rows = NULL;

    assert_ok(choose(&f));
    f.config.weigh_rows = true;
    refuse(&f, CSP_E_NULL);
    f.config.weigh_rows = false;
    f.config.weigh_values = true;
    refuse(&f, CSP_E_NULL);
}

TEST(select_looks_at_no_weights_that_are_not_wanted)
{
    fixture f;
    set_up(&f);
    f.config.budget = 2;
    for (size_t i = 0; i < KEYS; i++)
        f.norm[i] = f.intra_rows[i] = f.inter_rows[i] = NAN;

    assert_ok(choose(&f));
}

TEST(select_refuses_wrong_numbers_of_lists)
{
    fixture f;
    set_up(&f);
    f.kept.n_lists = 2;
    refuse(&f, CSP_E_SHAPE);
    f.kept.n_lists = 0;
    refuse(&f, CSP_E_SHAPE);
    f.tokens.n_kv_heads = f.kept.n_lists = 2;
    f.config.scope = CSP_GLOBAL;
    refuse(&f, CSP_E_SHAPE);
}

TEST(select_refuses_a_shared_list_for_different_counts)
{
    const uint32_t counts[] = {8, 7};
    fixture f;
    set_up(&f);
    f.tokens.n_kv_heads = 2;
    f.tokens.counts = counts;
    f.config.scope = CSP_PER_LAYER;

    refuse(&f, CSP_E_SHAPE);
}

TEST(select_refuses_bad_settings)
{
    fixture f;
    set_up(&f);
    f.config.block = 0;
    refuse(&f, CSP_E_CONFIG);
    set_up(&f);
    f.config.compute.tier = (csp_tier)77;
    refuse(&f, CSP_E_UNSUPPORTED);
}

TEST(select_refuses_budget_below_protected)
{
    fixture f;
    set_up(&f);
    f.config.budget = 3;
    f.config.sinks = f.config.recent = 2;
    refuse(&f, CSP_E_BUDGET);
    f.config.recent = 0;
    f.config.n_inter = 2;
    refuse(&f, CSP_E_BUDGET);
}

TEST(select_refuses_little_room)
{
    fixture f;
    set_up(&f);
    f.config.budget = 3;
    f.kept.capacity = 2;
    refuse(&f, CSP_E_CAPACITY);
    f.kept.capacity = 3;
    f.importance.capacity = KEYS - 1;
    refuse(&f, CSP_E_CAPACITY);
}

TEST(select_refuses_importance_that_is_no_number)
{
    const float wrong[] = {NAN, -NAN, INFINITY, -INFINITY};

    for (size_t i = 0; i < COUNT(wrong); i++) {
        fixture f;
        float *const arrays[] = {f.intra, f.inter, f.intra_rows, f.inter_rows,
                                 f.norm};
        for (size_t a = 0; a < COUNT(arrays); a++)
            for (size_t row = 0; row < KEYS; row++) { /* protected ones, too */
                set_up(&f);
                f.config.budget = 3;
                f.config.sinks = f.config.recent = 1;
                f.config.weigh_rows = f.config.weigh_values = true;
                arrays[a][row] = wrong[i];
                refuse(&f, CSP_E_NOT_FINITE);
            }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(select_of_no_keys_keeps_none),
        cmocka_unit_test(select_of_budget_zero_keeps_none),
        cmocka_unit_test(select_does_without_n_both),
        cmocka_unit_test(select_writes_no_more_than_its_bound),
        cmocka_unit_test(kept_bound_of_exact_selection_is_the_budget),
        cmocka_unit_test(kept_bound_of_blocks_is_reached),
        cmocka_unit_test(kept_bound_of_lists_does_not_wrap),
        cmocka_unit_test(kept_bound_of_invalid_arguments_is_zero),
        cmocka_unit_test(kept_bound_without_heads_is_zero),
        cmocka_unit_test(select_refuses_null),
        cmocka_unit_test(select_refuses_missing_weights_only_where_wanted),
        cmocka_unit_test(select_looks_at_no_weights_that_are_not_wanted),
        cmocka_unit_test(select_refuses_wrong_numbers_of_lists),
        cmocka_unit_test(select_refuses_a_shared_list_for_different_counts),
        cmocka_unit_test(select_refuses_bad_settings),
        cmocka_unit_test(select_refuses_budget_below_protected),
        cmocka_unit_test(select_refuses_little_room),
        cmocka_unit_test(select_refuses_importance_that_is_no_number),
    };

    return RUN(tests);
}
