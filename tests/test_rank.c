/*
 * test_rank.c - importance -> the scores that are ranked (E3, E12)
 */
#include "test.h"

#include "rank.h"

enum { KEYS = 7 };

/* Two heads. */
static float intra[2 * KEYS], inter[2 * KEYS], intra_rows[2 * KEYS],
    inter_rows[2 * KEYS];
static float norms[2 * KEYS];

static csp_importance numbers(void)
{
    for (size_t i = 0; i < 2 * KEYS; i++) {
        intra[i] = (float)(i + 1);
        inter[i] = (float)(2 * i);
        intra_rows[i] = (float)(i % 3);
        inter_rows[i] = 4.0f;
        norms[i] = (float)(i % 2) + 0.5f;
    }
    return (csp_importance){intra, inter, intra_rows, inter_rows, norms, KEYS};
}

static csp_config plain(void)
{
    csp_config config;

    assert_ok(csp_config_init(&config));
    return config;
}

/* Rank heads [begin, end) and compare. */
static void check_rank(const csp_config *config, uint32_t begin, uint32_t end,
                       const float *expected_intra, const float *expected_inter,
                       size_t n_units)
{
    const csp_importance importance = numbers();
    unsigned char memory[4096];
    csp__arena arena = csp__arena_over(memory);
    csp__ranking ranking;
    csp__ranking_carve(&ranking, KEYS, &arena);
    csp__units_of(KEYS, config, &ranking.units);

    csp__rank(&ranking, &importance, begin, end, config);

    assert_int_equal(ranking.units.n, n_units);
    for (size_t i = 0; i < n_units; i++) {
        assert_near(ranking.intra[i], expected_intra[i], 1e-7);
        assert_near(ranking.inter[i], expected_inter[i], 1e-7);
    }
}

TEST(rank_without_weights_is_importance)
{
    const csp_config config = plain();
    const float a[] = {8, 9, 10, 11, 12, 13, 14};
    const float b[] = {14, 16, 18, 20, 22, 24, 26};

    check_rank(&config, 1, 2, a, b, KEYS);
}

TEST(rank_divides_by_visible_rows)
{
    csp_config config = plain();
    const float a[] = {0, 2.0f / 1, 3.0f / 2, 0,
                       5, 3,        0}; /* no rows: no weight */
    const float b[] = {0, 0.5f, 1, 1.5f, 2, 2.5f, 3};

    config.weigh_rows = true;

    check_rank(&config, 0, 1, a, b, KEYS);
}

TEST(rank_multiplies_by_value_norm)
{
    csp_config config = plain();
    const float a[] = {0.5f, 3, 1.5f, 6, 2.5f, 9, 3.5f};
    const float b[] = {0, 3, 2, 9, 4, 15, 6};

    config.weigh_values = true;

    check_rank(&config, 0, 1, a, b, KEYS);
}

TEST(rank_weighs_rows_then_values)
{
    csp_config config = plain();
    const float a[] = {0, 3, 0.75f, 0, 2.5f, 4.5f, 0};
    const float b[] = {0, 0.75f, 0.5f, 2.25f, 1, 3.75f, 1.5f};

    config.weigh_rows = config.weigh_values = true;

    check_rank(&config, 0, 1, a, b, KEYS);
}

TEST(rank_puts_heads_together)
{
    csp_config config = plain();
    const float sum_a[] = {9, 11, 13, 15, 17, 19, 21};
    const float sum_b[] = {14, 18, 22, 26, 30, 34, 38};
    const float mean_a[] = {4.5f, 5.5f, 6.5f, 7.5f, 8.5f, 9.5f, 10.5f};
    const float mean_b[] = {7, 9, 11, 13, 15, 17, 19};

    check_rank(&config, 0, 2, sum_a, sum_b, KEYS);
    config.reduce = CSP_MEAN;
    check_rank(&config, 0, 2, mean_a, mean_b, KEYS);
}

TEST(rank_weighs_each_head_by_itself)
{
    csp_config config = plain();
    const float a[] = {0.5f + 12, 3 + 4.5f, 1.5f + 15, 6 + 5.5f,
                       2.5f + 18, 9 + 6.5f, 3.5f + 21};
    const float b[] = {0 + 21, 3 + 8, 2 + 27, 9 + 10, 4 + 33, 15 + 12, 6 + 39};

    config.weigh_values = true;

    check_rank(&config, 0, 2, a, b, KEYS);
}

TEST(rank_pools_averages_with_zeros_beyond)
{
    csp_config config = plain();
    const float a[] = {1, 2, 3, 4, 5, 6, 13.0f / 3};
    const float b[] = {2.0f / 3, 2, 4, 6, 8, 10, 22.0f / 3};

    config.pooling = CSP_POOL_AVG;
    config.pool_width = 3;

    check_rank(&config, 0, 1, a, b, KEYS);
}

TEST(rank_pools_only_before_recent_rows)
{
    csp_config config = plain();
    const float a[] = {2, 3, 4, 5, 5, 6, 7};
    const float b[] = {2, 4, 6, 8, 8, 10, 12};

    config.pooling = CSP_POOL_MAX;
    config.pool_width = 3;
    config.recent = 2;

    check_rank(&config, 0, 1, a, b, KEYS);
}

TEST(rank_pools_wider_than_the_keys)
{
    csp_config config = plain();
    const float a[] = {7, 7, 7, 7, 7, 7, 7};
    const float b[] = {12, 12, 12, 12, 12, 12, 12};

    config.pooling = CSP_POOL_MAX;
    config.pool_width = UINT32_MAX;

    check_rank(&config, 0, 1, a, b, KEYS);
}

TEST(rank_with_one_wide_pool_is_plain)
{
    csp_config config = plain();
    const float a[] = {1, 2, 3, 4, 5, 6, 7};
    const float b[] = {0, 2, 4, 6, 8, 10, 12};

    config.pooling = CSP_POOL_AVG;

    check_rank(&config, 0, 1, a, b, KEYS);
}

TEST(rank_sums_blocks_with_a_short_last_one)
{
    csp_config config = plain();
    const float a[] = {6, 15, 7};
    const float b[] = {6, 24, 12};

    config.block = 3;

    check_rank(&config, 0, 1, a, b, 3);
}

/* ---- Units --------------------------------------------------------------- */

static csp__units units_of(uint32_t n_rows, uint32_t sinks, uint32_t recent,
                           uint32_t block)
{
    csp_config config = plain();
    csp__units units;

    config.selection = CSP_UNION;
    config.sinks = sinks;
    config.recent = recent;
    config.block = block;
    assert_ok(csp__units_of(n_rows, &config, &units));
    return units;
}

static void check_units(csp__units units, uint32_t n, uint32_t first,
                        uint32_t last)
{
    assert_int_equal(units.n, n);
    assert_int_equal(units.first, first);
    assert_int_equal(units.last, last);
}

TEST(units_of_rows_lie_between_sinks_and_recent)
{
    check_units(units_of(10, 0, 0, 1), 10, 0, 10);
    check_units(units_of(10, 2, 3, 1), 10, 2, 7);
    check_units(units_of(10, 5, 5, 1), 10, 5, 5);
}

TEST(units_of_fewer_rows_than_protected_are_none)
{
    check_units(units_of(3, 2, 3, 1), 3, 2, 2);
    check_units(units_of(3, 9, 0, 1), 3, 3, 3);
    check_units(units_of(3, 0, 9, 1), 3, 0, 0);
    check_units(units_of(0, 1, 1, 1), 0, 0, 0);
}

TEST(units_of_blocks_protect_whole_blocks)
{
    check_units(units_of(10, 1, 1, 4), 3, 1, 2);
    check_units(units_of(10, 4, 2, 4), 3, 1, 2);
    check_units(units_of(10, 5, 3, 4), 3, 2, 2);
    check_units(units_of(10, 0, 0, 4), 3, 0,
                3); /* the short block is a candidate */
}

TEST(units_of_exact_selection_refuse_too_many_protected_blocks)
{
    csp_config config = plain();
    csp__units units;
    config.sinks = config.recent = 1;
    config.block = 4;
    config.budget = 7;

    assert_status(csp__units_of(20, &config, &units), CSP_E_BUDGET);
    config.budget = 8;
    assert_ok(csp__units_of(20, &config, &units));
    assert_int_equal(units.budget, 2);
    assert_false(units.keep_all);
    config.budget = 7;
    assert_ok(csp__units_of(7, &config, &units));
    assert_true(units.keep_all);
}

/* ---- Share --------------------------------------------------------------- */

/* The share over heads with these numbers, two candidates each. */
static double share_of(const float *a, const float *b, uint32_t n_heads)
{
    float copy_a[8], copy_b[8];
    const csp_tokens tokens = {.n_kv_heads = n_heads, .n_keys = 4};
    unsigned char memory[4096];
    csp__arena arena = csp__arena_over(memory);
    csp_config config = plain();
    csp__ranking ranking;
    memcpy(copy_a, a, n_heads * 4 * sizeof(float));
    memcpy(copy_b, b, n_heads * 4 * sizeof(float));
    const csp_importance importance = {
        .intra = copy_a, .inter = copy_b, .capacity = 4};
    config.sinks = config.recent = 1;
    csp__ranking_carve(&ranking, 4, &arena);

    csp__kernels kernels;
    csp__kernels_scalar(&kernels);
    return csp__auto_share(&kernels, &ranking, &importance, &tokens, &config);
}

TEST(auto_share_is_the_mean_over_heads_of_candidates)
{
    const float a[] = {99, 1, 2, 99, 99, 1, 0, 99};
    const float b[] = {5, 1, 0, 5, 5, 1, 2, 5};

    assert_near(share_of(a, b, 1), 0.25, 1e-15);
    assert_near(share_of(a, b, 2), 0.5, 1e-15);
}

TEST(auto_share_passes_over_heads_without_importance)
{
    const float a[] = {9, 0, 0, 9, 9, 1, 0, 9};
    const float b[] = {9, 0, 0, 9, 9, 1, 2, 9};

    assert_near(share_of(a, b, 2), 0.75, 1e-15);
    assert_near(share_of(a, b, 1), 0.0, 0.0);
}

TEST(auto_share_of_negative_importance_stays_between_0_and_1)
{
    const float positive[] = {9, 1, 1, 9}, negative[] = {9, -0.5f, -0.5f, 9};

    assert_near(share_of(negative, positive, 1), 1.0, 0.0);
    assert_near(share_of(positive, negative, 1), 0.0, 0.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rank_without_weights_is_importance),
        cmocka_unit_test(rank_divides_by_visible_rows),
        cmocka_unit_test(rank_multiplies_by_value_norm),
        cmocka_unit_test(rank_weighs_rows_then_values),
        cmocka_unit_test(rank_puts_heads_together),
        cmocka_unit_test(rank_weighs_each_head_by_itself),
        cmocka_unit_test(rank_pools_averages_with_zeros_beyond),
        cmocka_unit_test(rank_pools_only_before_recent_rows),
        cmocka_unit_test(rank_pools_wider_than_the_keys),
        cmocka_unit_test(rank_with_one_wide_pool_is_plain),
        cmocka_unit_test(rank_sums_blocks_with_a_short_last_one),
        cmocka_unit_test(units_of_rows_lie_between_sinks_and_recent),
        cmocka_unit_test(units_of_fewer_rows_than_protected_are_none),
        cmocka_unit_test(units_of_blocks_protect_whole_blocks),
        cmocka_unit_test(
            units_of_exact_selection_refuse_too_many_protected_blocks),
        cmocka_unit_test(auto_share_is_the_mean_over_heads_of_candidates),
        cmocka_unit_test(auto_share_passes_over_heads_without_importance),
        cmocka_unit_test(
            auto_share_of_negative_importance_stays_between_0_and_1),
    };

    return RUN(tests);
}
