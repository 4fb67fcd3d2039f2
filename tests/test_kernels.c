/*
 * test_kernels.c - every inner loop against its contract, on every tier
 *
 * Inputs end at a guard page and begin at every offset of a vector, so a load
 * beyond an element faults.
 */
#include "config.h"
#include "kernels_fixture.h"

/* ---- row_max ------------------------------------------------------------- */

static void check_row_max(const csp__kernels *k, csp_dtype dtype, size_t n)
{
    guarded row = row_of(dtype, n, n);
    float expected = -INFINITY;
    for (size_t i = 0; i < n; i++) {
        const float x = logit_at(dtype, &row, i);
        expected = x > expected ? x : expected;
    }

    assert_true(k->row_max[dtype](row.data, n) == expected);

    unguard(&row);
}

TEST(row_max_is_the_largest_logit)
{
    for_all(check_row_max);
}

static void check_row_max_of_nan(const csp__kernels *k, csp_dtype dtype,
                                 size_t n)
{
    static const uint16_t halves[] = {[CSP_F16] = 0x7e00, [CSP_BF16] = 0x7fc0};
    const float nan = NAN;
    const size_t size = dtype == CSP_F32 ? 4 : 2;
    const void *bytes =
        dtype == CSP_F32 ? (const void *)&nan : (const void *)&halves[dtype];

    for (size_t at = 0; at < n; at += n / 50 + 1) {
        guarded row = row_of(dtype, n, at);
        memcpy(row.data + at * size, bytes, size);
        assert_true(isnan(k->row_max[dtype](row.data, n)));
        unguard(&row);
    }
}

TEST(row_max_finds_nan_anywhere)
{
    for_all(check_row_max_of_nan);
}

/* ---- exp_row, weigh_row -------------------------------------------------- */

static void check_exp_row(const csp__kernels *k, csp_dtype dtype, size_t n)
{
    guarded row = row_of(dtype, n, n);
    guarded e = guard(NULL, n * sizeof(float));
    float *got = (float *)(void *)e.data;

    const double sum = k->exp_row[dtype](row.data, n, 3, got);

    for (size_t i = 0; i < n; i++) {
        const double expected = exp((double)logit_at(dtype, &row, i)) / 8.0;
        if (expected < 0x1p-126)
            assert_true(got[i] == 0.0f);
        else
            assert_true(ulps_off(got[i], expected) <= 2.0);
    }
    assert_true(sum == sum_in_blocks(got, n));
    unguard(&e);
    unguard(&row);
}

TEST(exp_row_is_within_two_ulp_and_sums_in_lanes)
{
    for_all(check_exp_row);
}

TEST(exp_row_is_within_two_ulp_over_a_sweep)
{
    const csp__kernels k = kernels_of(CSP_TIER_AUTO);
    double worst = 0.0;

    for (float x = -87.0f; x < 88.0f; x += 0.00071f) {
        float e;
        k.exp_row[CSP_F32](&x, 1, 0, &e);
        worst = fmax(worst, ulps_off(e, exp((double)x)));
    }

    assert_true(worst <= 2.0);
    assert_true(worst > 0.1); /* something was measured */
}

TEST(exp_row_of_large_logits_is_within_two_ulp_under_their_shift)
{
    const csp__kernels k = kernels_of(CSP_TIER_AUTO);
    const double ln2 = 0x1.62e42fefa39efp-1;

    for (float x = 1000.0f; x < 262144.0f; x *= 1.0371f)
        for (int sign = -1; sign <= 1; sign += 2) {
            const float logit = (float)sign * x;
            const int shift = (int)floor((double)logit / ln2);
            const long double rest =
                (long double)logit -
                (long double)shift * 0.693147180559945309417232L;
            float e;
            k.exp_row[CSP_F32](&logit, 1, shift, &e);
            assert_true(ulps_off(e, (double)expl(rest)) <= 2.0);
        }
}

TEST(exp_row_does_not_depend_on_the_shift)
{
    const csp__kernels k = kernels_of(CSP_TIER_AUTO);

    for (float x = -40.0f; x < 40.0f; x += 0.37f) {
        float plain, shifted;
        k.exp_row[CSP_F32](&x, 1, 0, &plain);
        for (int shift = -60; shift <= 60; shift += 7) {
            k.exp_row[CSP_F32](&x, 1, shift, &shifted);
            assert_true(ldexpf(shifted, shift) == plain);
        }
    }
}

TEST(exp_row_has_ends)
{
    const csp__kernels k = kernels_of(CSP_TIER_AUTO);
    const float x[] = {-INFINITY, -FLT_MAX, -1e30f,  -88.0f,
                       89.0f,     FLT_MAX,  INFINITY};
    float e[COUNT(x)];

    k.exp_row[CSP_F32](x, COUNT(x), 0, e);

    for (size_t i = 0; i < 4; i++)
        assert_true(e[i] == 0.0f);
    for (size_t i = 4; i < COUNT(x); i++)
        assert_true(!csp__is_finite(e[i]));
}

TEST(exp_row_lets_nan_through)
{
    const csp__kernels k = kernels_of(CSP_TIER_AUTO);
    const float x[] = {0.0f, NAN, 1.0f};
    float e[3];

    const double sum = k.exp_row[CSP_F32](x, 3, 0, e);

    assert_true(isnan(e[1]) && isnan(sum));
    assert_true(e[0] == 1.0f && !isnan(e[2]));
}

TEST(exp_row_works_in_place)
{
    const csp__kernels k = kernels_of(CSP_TIER_AUTO);
    float x[37], e[37];
    for (size_t i = 0; i < 37; i++)
        x[i] = (float)i / 4.0f;

    const double apart = k.exp_row[CSP_F32](x, 37, 2, e);
    const double in_place = k.exp_row[CSP_F32](x, 37, 2, x);

    assert_true(apart == in_place);
    assert_memory_equal(x, e, sizeof x);
}

static void check_weigh_row(const csp__kernels *k, csp_dtype dtype, size_t n)
{
    guarded row = row_of(dtype, n, n + 1);
    guarded e = guard(NULL, n * sizeof(float));
    guarded sums = guard(NULL, n * sizeof(float));
    float *got_e = (float *)(void *)e.data;
    float *got_sums = (float *)(void *)sums.data;
    float expected_e[MAX_N + 1], expected_sums[MAX_N + 1];
    for (size_t i = 0; i < n; i++) {
        got_e[i] = 0.1f * (float)i;
        got_sums[i] = 1.0f / (float)(i + 3);
        expected_sums[i] = fmaf(0.3f, got_e[i], got_sums[i]);
    }

    const double expected = k->exp_row[dtype](row.data, n, 5, expected_e);
    const double sum =
        k->weigh_row[dtype](row.data, n, 5, 0.3f, got_e, got_sums);

    assert_true(sum == expected);
    assert_memory_equal(got_e, expected_e, n * sizeof(float));
    assert_memory_equal(got_sums, expected_sums, n * sizeof(float));
    unguard(&sums);
    unguard(&e);
    unguard(&row);
}

TEST(weigh_row_adds_the_row_before_then_is_exp_row)
{
    for_all(check_weigh_row);
}

/* ---- Choice -------------------------------------------------------------- */

TEST(has_tier_knows_its_tiers)
{
    assert_true(csp_has_tier(CSP_TIER_AUTO));
    assert_true(csp_has_tier(CSP_TIER_SCALAR));
    assert_false(csp_has_tier((csp_tier)1000));
    assert_false(csp_has_tier((csp_tier)-1));
}

TEST(check_compute_refuses_unknown_tiers_and_paths)
{
    const csp_compute tier = {.tier = (csp_tier)1000};
    const csp_compute product = {.product = (csp_path)3};
    const csp_compute sums = {.column_sums = (csp_path)-1};

    assert_int_equal(csp__check_compute(&tier), CSP_E_UNSUPPORTED);
    assert_int_equal(csp__check_compute(&product), CSP_E_CONFIG);
    assert_int_equal(csp__check_compute(&sums), CSP_E_CONFIG);
    assert_int_equal(csp__check_compute(NULL), CSP_OK);
}

TEST(check_compute_takes_blas_only_where_built_with_it)
{
    const csp_compute product = {.product = CSP_PATH_BLAS};
    const csp_compute sums = {.column_sums = CSP_PATH_BLAS};
    const int expected = csp_has_blas() ? CSP_OK : CSP_E_UNSUPPORTED;

    assert_int_equal(csp__check_compute(&product), expected);
    assert_int_equal(csp__check_compute(&sums), expected);
}

TEST(kernels_choose_leaves_column_sums_to_weigh_row)
{
    csp__kernels k;

    csp__kernels_choose(NULL, &k);

    assert_true(k.column_sums == NULL);
}

TEST(blas_kernels_agree_with_their_contracts)
{
    const csp_compute compute = {.product = CSP_PATH_BLAS,
                                 .column_sums = CSP_PATH_BLAS};
    const csp__kernels own = kernels_of(CSP_TIER_AUTO);
    const float weights[] = {0.5f, 2.0f, 0.0f};
    csp__kernels blas;
    float q[3 * 20], keys[6 * 24], got[3 * 8], expected[3 * 8],
        sums[6] = {1.0f};
    if (!csp_has_blas())
        skip();
    csp__kernels_choose(&compute, &blas);
    for (size_t i = 0; i < COUNT(q); i++)
        q[i] = sinf((float)i);
    for (size_t i = 0; i < COUNT(keys); i++)
        keys[i] = cosf((float)i);

    blas.product(q, 3, keys, 24, 6, 20, 0.25f, got, 8);
    own.product(q, 3, keys, 24, 6, 20, 0.25f, expected, 8);
    blas.column_sums(got, 8, 3, 6, weights, sums);

    for (size_t j = 0; j < 6; j++) {
        for (size_t r = 0; r < 3; r++)
            assert_true(fabsf(got[r * 8 + j] - expected[r * 8 + j]) < 1e-5f);
        const float sum =
            0.5f * got[j] + 2.0f * got[8 + j] + (j == 0 ? 1.0f : 0.0f);
        assert_true(fabsf(sums[j] - sum) < 1e-5f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(row_max_is_the_largest_logit),
        cmocka_unit_test(row_max_finds_nan_anywhere),
        cmocka_unit_test(exp_row_is_within_two_ulp_and_sums_in_lanes),
        cmocka_unit_test(exp_row_is_within_two_ulp_over_a_sweep),
        cmocka_unit_test(
            exp_row_of_large_logits_is_within_two_ulp_under_their_shift),
        cmocka_unit_test(exp_row_does_not_depend_on_the_shift),
        cmocka_unit_test(exp_row_has_ends),
        cmocka_unit_test(exp_row_lets_nan_through),
        cmocka_unit_test(exp_row_works_in_place),
        cmocka_unit_test(weigh_row_adds_the_row_before_then_is_exp_row),
        cmocka_unit_test(has_tier_knows_its_tiers),
        cmocka_unit_test(check_compute_refuses_unknown_tiers_and_paths),
        cmocka_unit_test(check_compute_takes_blas_only_where_built_with_it),
        cmocka_unit_test(kernels_choose_leaves_column_sums_to_weigh_row),
        cmocka_unit_test(blas_kernels_agree_with_their_contracts),
    };

    return RUN(tests);
}
