/*
 * test_fma.c - sixteen a * b + c, each with one rounding
 */
#include "test.h"

#include "fma.h"
#include "random.h"

enum { LANES = 16 };

static void check(const float *a, const float *b, const float *c)
{
    float got[LANES];
    memcpy(got, c, sizeof got);

    csp__fma16(a, b, got);

    for (int i = 0; i < LANES; i++) {
        const float expected = fmaf(a[i], b[i], c[i]);
        if (bits_of_float(got[i]) != bits_of_float(expected) &&
            (got[i] == got[i] || expected == expected))
            fail_msg("%a * %a + %a: got %a, expected %a", (double)a[i],
                     (double)b[i], (double)c[i], (double)got[i],
                     (double)expected);
    }
}

/* One sum among fifteen that nobody doubts. */
static void check_one(float a, float b, float c)
{
    float x[LANES], y[LANES], z[LANES];
    for (int i = 0; i < LANES; i++) {
        x[i] = i == 5 ? a : 1.0f;
        y[i] = i == 5 ? b : 2.0f;
        z[i] = i == 5 ? c : 3.0f;
    }

    check(x, y, z);
}

TEST(fma_of_any_bits_is_that_of_the_library)
{
    random_source random = {1};
    float x[3][LANES];

    for (int round = 0; round < 100000; round++) {
        for (int i = 0; i < 3 * LANES; i++)
            x[i / LANES][i % LANES] =
                float_of_bits((uint32_t)random_bits(&random));
        check(x[0], x[1], x[2]);
    }
}

/* c is a product's neighbourhood, so that sums cancel and ties come up. */
TEST(fma_of_neighbours_is_that_of_the_library)
{
    random_source random = {2};

    for (int i = 0; i < 200000; i++) {
        const float a = 1.0f + (float)random_below(&random, 1 << 12) * 0x1p-12f;
        const float b = 1.0f + (float)random_below(&random, 1 << 12) * 0x1p-12f;
        const float scale = ldexpf(1.0f, (int)random_below(&random, 60) - 30);
        check_one(a, b, scale * (float)random_below(&random, 1 << 24));
        check_one(a, b, -scale * (float)random_below(&random, 1 << 24));
        check_one(-a, b, a * b);
    }
}

/* Halfway between two floats but for a bit far below, which double loses. */
TEST(fma_rounds_once)
{
    const float a = 1.0f + 0x1p-12f;

    check_one(a, a, 0x1p-80f);
    check_one(a, a, -0x1p-80f);
    check_one(0x1p-100f, 0x1p-40f, 0x1p-149f);
    check_one(0x1.8p-75f, 0x1p-75f, 0.0f);
    check_one(0x1p-75f, 0x1p-75f, 0.0f);
    check_one(0x1.000ff2p-75f, -0x1.ffe01ep-76f, 0x1p-126f);
    check_one(-0x1.000ff2p-75f, 0x1.ffe01ep-76f, 0x1p-126f);
    check_one(0x1.fffffep+127f, 2.0f, -INFINITY);
    check_one(0x1.fffffep+127f, 1.0f, 0x1p+103f);
    check_one(0.0f, INFINITY, 1.0f);
    check_one(-1.0f, 0.0f, 0.0f);
    check_one(-1.0f, 0.0f, -0.0f);
}

TEST(fma_notices_what_it_may_round_wrong)
{
    const double a = 1.0 + 0x1p-12;
    uint32_t doubt = 0;

    csp__fma_or_doubt(3.0, 5.0, 0x1p-20, &doubt);
    assert_int_equal(doubt, 0);
    const float sum = csp__fma_or_doubt(a, a, 0x1p-80, &doubt);

    assert_true(doubt != 0 || sum == 1.0f + 0x1p-11f + 0x1p-23f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fma_of_any_bits_is_that_of_the_library),
        cmocka_unit_test(fma_of_neighbours_is_that_of_the_library),
        cmocka_unit_test(fma_rounds_once),
        cmocka_unit_test(fma_notices_what_it_may_round_wrong),
    };
    return RUN(tests);
}
