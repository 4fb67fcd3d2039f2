/*
 * test_select_settings.c - shares, heads, blocks and weights of a selection
 */
#include "select_fixture.h"

/* ---- Share --------------------------------------------------------------- */

TEST(select_auto_share_rounds_to_the_nearest)
{
    /* Share of inter 3/8, 1/2, 5/8 of four: 1.5, 2, 2.5; and just less. */
    const float masses[] = {3, 4, 5, 2.9997f, 4.9997f};
    const uint32_t from_inter[] = {2, 2, 3, 1, 2};

    for (size_t i = 0; i < COUNT(masses); i++) {
        const float y = masses[i] / 4;
        const float x = 2 - y;
        const float a[] = {x, x, x, x, 0, 0, 0, 0};
        const float b[] = {0, 0, 0, 0, y, y, y, y};
        fixture f;
        set_up(&f);
        set_numbers(f.intra, a);
        set_numbers(f.inter, b);
        f.config.budget = 4;
        f.config.auto_share = true;
        assert_ok(choose(&f));
        uint32_t got = 0;
        for (uint32_t j = 0; j < 4; j++)
            got += f.rows[j] >= 4;
        assert_int_equal(got, from_inter[i]);
    }
}

TEST(select_auto_share_is_one_for_all_heads)
{
    fixture f;
    set_up(&f);
    f.tokens.n_kv_heads = f.kept.n_lists = 2;
    f.config.budget = 4;
    f.config.auto_share = true;
    for (size_t i = 0; i < KEYS; i++) {
        f.intra[i] *= 3.0f;        /* head 0: inter has 1/4 */
        f.inter[ROOM + i] *= 3.0f; /* head 1: 3/4, so 1/2 both */
    }

    assert_ok(choose(&f));

    const uint32_t expected[] = {0, 1, 6, 7};
    assert_list(&f, 0, expected, 4);
    assert_list(&f, 1, expected, 4);
}

TEST(select_auto_share_of_a_union_shares_its_lists)
{
    const float b[KEYS] = {0};
    fixture f;
    set_up(&f);
    set_numbers(f.inter, b);
    f.config.selection = CSP_UNION;
    f.config.n_intra = 1;
    f.config.n_inter = 2;
    f.config.auto_share = true;

    assert_keeps(&f, 0, 1, 2); /* inter has no mass: all three by intra */
}

/* One sum is negative, so that inter / (intra + inter) is not in 0..1. */
TEST(select_auto_share_of_negative_importance_is_all_or_nothing)
{
    for (uint32_t i = 0; i < 2; i++) {
        fixture f;
        set_up(&f);
        for (uint32_t row = 0; row < KEYS; row++) {
            f.intra[row] = i == 0 ? -0.5f : 1.0f + (float)row;
            f.inter[row] = i == 0 ? 1.0f + (float)row : -0.5f;
        }
        f.config.budget = 4;
        f.config.auto_share = true;

        assert_keeps(&f, 4, 5, 6, 7);
        assert_int_equal(f.reasons[0],
                         i == 0 ? CSP_REASON_INTER : CSP_REASON_INTRA);
        assert_int_equal(f.rows[4], 77);
    }
}

/* ---- Heads --------------------------------------------------------------- */

TEST(select_per_head_ranks_each_by_itself)
{
    const uint32_t first[] = {0, 1}, second[] = {6, 7};
    fixture f;
    set_up(&f);
    f.tokens.n_kv_heads = f.kept.n_lists = 2;
    f.config.budget = 2;
    for (size_t i = 0; i < KEYS; i++)
        f.intra[ROOM + i] = (float)i;

    assert_ok(choose(&f));

    assert_list(&f, 0, first, 2);
    assert_list(&f, 1, second, 2);
}

TEST(select_per_head_follows_counts)
{
    const uint32_t counts[] = {3, 0};
    const uint32_t all[] = {0, 1, 2};
    fixture f;
    set_up(&f);
    f.tokens.n_kv_heads = f.kept.n_lists = 2;
    f.tokens.counts = counts;
    f.config.budget = 5;
    f.config.recent = 1;
    f.intra[3] = NAN; /* not in use */

    assert_ok(choose(&f));

    assert_list(&f, 0, all, 3);
    assert_list(&f, 1, all, 0);
}

TEST(select_shared_list_adds_heads)
{
    for (int scope = CSP_PER_LAYER; scope <= CSP_GLOBAL; scope++)
        for (int reduce = CSP_SUM; reduce <= CSP_MEAN; reduce++) {
            const float other[] = {0, 0, 0, 20, 0, 0, 0, 0};
            fixture f;
            set_up(&f);
            set_numbers(f.intra + ROOM, other);
            f.tokens.n_kv_heads = 2;
            f.config.scope = (csp_scope)scope;
            f.config.reduce = (csp_reduce)reduce;
            f.config.budget = 2;
            assert_keeps(&f, 0, 3);
            assert_int_equal(f.counts[1], 77);
        }
}

/* ---- Blocks -------------------------------------------------------------- */

TEST(select_blocks_keep_whole_blocks)
{
    fixture f;
    set_up(&f);
    f.config.block = 3;
    f.config.budget = 4; /* one block and a bit */

    assert_keeps(&f, 0, 1, 2);
}

TEST(select_blocks_rank_their_sums_and_the_last_is_short)
{
    const float a[] = {0, 0, 5, 2, 2, 2, 0, 7};
    fixture f;
    set_up(&f);
    set_numbers(f.intra, a);
    f.config.block = 3;
    f.config.budget = 6;
    f.config.n_inter = 0;

    assert_keeps(&f, 3, 4, 5, 6, 7);
}

TEST(select_blocks_protect_whole_blocks)
{
    fixture f;
    set_up(&f);
    f.config.block = 2;
    f.config.sinks = 1;
    f.config.recent = 1;
    f.config.budget = 6;
    f.config.n_inter = 2;

    assert_keeps(&f, 0, 1, 4, 5, 6, 7);
}

TEST(select_blocks_count_rows_in_both_lists)
{
    fixture f;
    set_up(&f);
    f.config.selection = CSP_UNION;
    f.config.block = 3;
    f.config.n_intra = f.config.n_inter = 9; /* three blocks, the last short */

    assert_keeps(&f, 0, 1, 2, 3, 4, 5, 6, 7);

    assert_int_equal(f.n_both[0], KEYS);
}

TEST(select_refuses_protected_blocks_beyond_the_budget)
{
    fixture f;
    set_up(&f);
    f.config.block = 2;
    f.config.sinks = f.config.recent = 1;
    f.config.budget = 3;
    const fixture before = f;

    assert_status(choose(&f), CSP_E_BUDGET);

    assert_memory_equal(&f, &before, offsetof(fixture, workspace));
}

/* ---- Weights ------------------------------------------------------------- */

TEST(select_weighs_values_and_rows)
{
    fixture f;
    set_up(&f);
    f.config.budget = 1;
    f.norm[3] = 100.0f;
    f.intra_rows[5] = 0.001f;

    assert_keeps(&f, 0);
    f.config.weigh_values = true;
    assert_keeps(&f, 3);
    f.config.weigh_values = false;
    f.config.weigh_rows = true;
    assert_keeps(&f, 5);
}

TEST(select_pools_before_it_chooses)
{
    const float a[] = {9, 0, 0, 0, 6, 6, 6, 0};
    fixture f;
    set_up(&f);
    set_numbers(f.intra, a);
    f.config.budget = 1;
    assert_keeps(&f, 0);
    f.config.pooling = CSP_POOL_AVG;
    f.config.pool_width = 3;
    assert_keeps(&f, 5);
}

/* Zeros are beyond the ends only: they are not the least there can be. */
TEST(select_pools_the_largest_of_negative_scores)
{
    const float scores[KEYS] = {-5, -1, -4, -8, -9, -7, -3, -6};
    const float none[KEYS] = {0};
    fixture f;
    set_up(&f);
    set_numbers(f.intra, scores);
    set_numbers(f.inter, none);
    f.config.pooling = CSP_POOL_MAX;
    f.config.pool_width = 3;
    f.config.budget = 4;

    assert_keeps(&f, 0, 1, 2, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(select_auto_share_rounds_to_the_nearest),
        cmocka_unit_test(select_auto_share_is_one_for_all_heads),
        cmocka_unit_test(select_auto_share_of_a_union_shares_its_lists),
        cmocka_unit_test(
            select_auto_share_of_negative_importance_is_all_or_nothing),
        cmocka_unit_test(select_per_head_ranks_each_by_itself),
        cmocka_unit_test(select_per_head_follows_counts),
        cmocka_unit_test(select_shared_list_adds_heads),
        cmocka_unit_test(select_blocks_keep_whole_blocks),
        cmocka_unit_test(select_blocks_rank_their_sums_and_the_last_is_short),
        cmocka_unit_test(select_blocks_protect_whole_blocks),
        cmocka_unit_test(select_blocks_count_rows_in_both_lists),
        cmocka_unit_test(select_refuses_protected_blocks_beyond_the_budget),
        cmocka_unit_test(select_weighs_values_and_rows),
        cmocka_unit_test(select_pools_before_it_chooses),
        cmocka_unit_test(select_pools_the_largest_of_negative_scores),
    };

    return RUN(tests);
}
