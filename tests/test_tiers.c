/*
 * test_tiers.c - every tier gives the bits of the scalar kernels
 */
#include "test.h"

#include "kernels.h"
#include "numeric.h"
#include "random.h"

/* Longer than two blocks of a long sum, and every way a vector can be short. */
#define MAX_N 1100

static const csp_tier simd_tiers[] = {CSP_TIER_AVX2, CSP_TIER_AVX512,
                                      CSP_TIER_NEON};

typedef void (*comparison)(const csp__kernels *scalar, const csp__kernels *tier,
                           csp_dtype dtype, size_t n, random_source *random);

static csp__kernels kernels_of(csp_tier tier)
{
    const csp_compute compute = {.tier = tier, .product = CSP_PATH_KERNEL};
    csp__kernels kernels;

    csp__kernels_choose(&compute, &kernels);
    return kernels;
}

static void for_all(comparison compare)
{
    const csp__kernels scalar = kernels_of(CSP_TIER_SCALAR);
    random_source random = {7};

    for (size_t t = 0; t < COUNT(simd_tiers); t++) {
        if (!csp_has_tier(simd_tiers[t]))
            continue;
        const csp__kernels tier = kernels_of(simd_tiers[t]);
        for (int dtype = 0; dtype < CSP__N_DTYPES; dtype++) {
            for (size_t n = 0; n <= 70; n++)
                compare(&scalar, &tier, (csp_dtype)dtype, n, &random);
            for (size_t n = 500; n <= MAX_N; n += 13)
                compare(&scalar, &tier, (csp_dtype)dtype, n, &random);
        }
    }
}

/* Numbers of all sizes, masked ones among them, in a guarded row. */
static guarded draw_row(random_source *random, csp_dtype dtype, size_t n)
{
    static const float special[] = {-INFINITY, -1e30f, -65504.0f, 0.0f,
                                    -0.0f,     88.0f,  -87.5f,    0x1p-140f};
    unsigned char bytes[4 * MAX_N];

    for (size_t i = 0; i < n; i++) {
        float x = 40.0f * (float)(random_unit(random) - 0.5);
        if (random_below(random, 8) == 0)
            x = special[random_below(random, COUNT(special))];
        uint16_t half = dtype == CSP_F16 ? csp__to_f16(x) : csp__to_bf16(x);
        if (dtype == CSP_F32)
            memcpy(bytes + 4 * i, &x, 4);
        else
            memcpy(bytes + 2 * i, &half, 2);
    }
    return guard(bytes, n * (dtype == CSP_F32 ? 4 : 2));
}

static void draw_floats(random_source *random, float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = (float)random_unit(random);
}

static void compare_rows(const csp__kernels *scalar, const csp__kernels *tier,
                         csp_dtype dtype, size_t n, random_source *random)
{
    static const int shifts[] = {0, 5, -24, 100, -100, -95000};
    const int shift = shifts[random_below(random, COUNT(shifts))];
    float e[2][MAX_N], sums[2][MAX_N];
    guarded row = draw_row(random, dtype, n);
    draw_floats(random, e[0], n);
    draw_floats(random, sums[0], n);
    memcpy(e[1], e[0], sizeof e[0]);
    memcpy(sums[1], sums[0], sizeof sums[0]);

    const float max = scalar->row_max[dtype](row.data, n);
    assert_true(max == tier->row_max[dtype](row.data, n));
    double a =
        scalar->weigh_row[dtype](row.data, n, shift, 0.3f, e[0], sums[0]);
    double b = tier->weigh_row[dtype](row.data, n, shift, 0.3f, e[1], sums[1]);
    assert_memory_equal(&a, &b, sizeof a);
    assert_memory_equal(e[0], e[1], n * sizeof(float));
    assert_memory_equal(sums[0], sums[1], n * sizeof(float));
    b = tier->exp_row[dtype](row.data, n, shift, e[1]);
    assert_memory_equal(&a, &b, sizeof a);
    assert_memory_equal(e[0], e[1], n * sizeof(float));

    unguard(&row);
}

TEST(tiers_weigh_rows_alike)
{
    for_all(compare_rows);
}

static void compare_sums(const csp__kernels *scalar, const csp__kernels *tier,
                         csp_dtype dtype, size_t n, random_source *random)
{
    unsigned char bytes[4 * MAX_N];
    float x[MAX_N], sums[2][MAX_N], lanes[2][16];
    draw_floats(random, x, n);
    draw_floats(random, sums[0], n);
    draw_floats(random, lanes[0], 16);
    memcpy(sums[1], sums[0], sizeof sums[0]);
    memcpy(lanes[1], lanes[0], sizeof lanes[0]);
    scalar->store[dtype](x, 1.0f, n, bytes);
    guarded row = guard(bytes, n * (dtype == CSP_F32 ? 4 : 2));

    double a = scalar->add_row[dtype](row.data, n, 0.7f, sums[0]);
    double b = tier->add_row[dtype](row.data, n, 0.7f, sums[1]);
    assert_memory_equal(&a, &b, sizeof a);
    assert_memory_equal(sums[0], sums[1], n * sizeof(float));
    scalar->add_squares(x, n, lanes[0]);
    tier->add_squares(x, n, lanes[1]);
    assert_memory_equal(lanes[0], lanes[1], sizeof lanes[0]);

    unguard(&row);
}

TEST(tiers_add_rows_alike)
{
    for_all(compare_sums);
}

static void compare_conversions(const csp__kernels *scalar,
                                const csp__kernels *tier, csp_dtype dtype,
                                size_t n, random_source *random)
{
    const size_t size = dtype == CSP_F32 ? 4 : 2;
    unsigned char stored[2][4 * MAX_N];
    float y[2][MAX_N], x[MAX_N];
    guarded row = draw_row(random, dtype, n);
    for (size_t i = 0; i < n; i++)
        x[i] = csp__float_of((uint32_t)random_bits(random));
    if (n > 3)
        x[3] = NAN;

    scalar->load[dtype](row.data, n, y[0]);
    tier->load[dtype](row.data, n, y[1]);
    assert_memory_equal(y[0], y[1], n * sizeof(float));
    scalar->store[dtype](x, 1.0f, n, stored[0]);
    tier->store[dtype](x, 1.0f, n, stored[1]);
    for (size_t i = 0; i < n; i++)
        if (x[i] == x[i]) /* what NaN becomes is the CPU's affair */
            assert_memory_equal(stored[0] + i * size, stored[1] + i * size,
                                size);

    unguard(&row);
}

TEST(tiers_convert_alike)
{
    for_all(compare_conversions);
}

TEST(tiers_find_nan_anywhere)
{
    for (size_t t = 0; t < COUNT(simd_tiers); t++) {
        if (!csp_has_tier(simd_tiers[t]))
            continue;
        const csp__kernels k = kernels_of(simd_tiers[t]);
        for (size_t n = 1; n <= 50; n++)
            for (size_t at = 0; at < n; at++) {
                float x[50] = {0.0f}, e[50];
                x[at] = at % 2 != 0 ? NAN : -NAN;
                assert_true(isnan(k.row_max[CSP_F32](x, n)));
                assert_true(isnan(k.exp_row[CSP_F32](x, n, 0, e)));
            }
    }
}

static void compare_products(const csp__kernels *scalar,
                             const csp__kernels *tier, csp_dtype dtype,
                             size_t n, random_source *random)
{
    enum { ROWS = 7, KEYS = 9, DIM = 70 };
    float q[ROWS * DIM], k[KEYS * DIM], logits[2][ROWS * KEYS];
    (void)dtype;
    if (n == 0 || n > DIM)
        return;
    draw_floats(random, q, ROWS * n);
    draw_floats(random, k, KEYS * n);

    scalar->product(q, ROWS, k, n, KEYS, n, 0.3f, logits[0], KEYS);
    tier->product(q, ROWS, k, n, KEYS, n, 0.3f, logits[1], KEYS);

    assert_memory_equal(logits[0], logits[1], sizeof logits[0]);
}

TEST(tiers_multiply_alike)
{
    for_all(compare_products);
}

TEST(automatic_is_the_best_tier_of_this_cpu)
{
    csp_tier best = CSP_TIER_SCALAR;
    for (size_t t = 0; t < COUNT(simd_tiers); t++)
        if (csp_has_tier(simd_tiers[t]))
            best = simd_tiers[t];
    if (csp_has_tier(CSP_TIER_AVX512))
        best = CSP_TIER_AVX512;

    const csp__kernels expected = kernels_of(best);
    const csp__kernels automatic = kernels_of(CSP_TIER_AUTO);

    assert_true(automatic.product == expected.product);
    assert_true(automatic.exp_row[0] == expected.exp_row[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(automatic_is_the_best_tier_of_this_cpu),
        cmocka_unit_test(tiers_weigh_rows_alike),
        cmocka_unit_test(tiers_add_rows_alike),
        cmocka_unit_test(tiers_convert_alike),
        cmocka_unit_test(tiers_find_nan_anywhere),
        cmocka_unit_test(tiers_multiply_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
