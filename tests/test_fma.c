/*
 * test_fma.c - a * b + c with one rounding
 */
#include "test.h"

#include "fma.h"
#include "random.h"

static void check(float a, float b, float c)
{
    const float got = csp__fma(a, b, c);
    const float expected = fmaf(a, b, c);

    if (bits_of_float(got) != bits_of_float(expected) && got == got)
        fail_msg("%a * %a + %a: got %a, expected %a", (double)a, (double)b,
                 (double)c, (double)got, (double)expected);
    assert_true((got == got) == (expected == expected));
}

TEST(fma_is_that_of_the_library)
{
    random_source random = {1};

    for (int i = 0; i < 2000000; i++)
        check(float_of_bits((uint32_t)random_bits(&random)),
              float_of_bits((uint32_t)random_bits(&random)),
              float_of_bits((uint32_t)random_bits(&random)));
}

/* c is a product's neighbourhood, so that sums cancel and ties come up. */
TEST(fma_of_neighbours_is_that_of_the_library)
{
    random_source random = {2};

    for (int i = 0; i < 2000000; i++) {
        const float a = 1.0f + (float)random_below(&random, 1 << 12) * 0x1p-12f;
        const float b = 1.0f + (float)random_below(&random, 1 << 12) * 0x1p-12f;
        const float scale = ldexpf(1.0f, (int)random_below(&random, 60) - 30);
        check(a, b, scale * (float)random_below(&random, 1 << 24));
        check(a, b, -scale * (float)random_below(&random, 1 << 24));
        check(-a, b, a * b);
    }
}

/* Halfway between two floats but for a bit far below, which double loses. */
TEST(fma_rounds_once)
{
    const float a = 1.0f + 0x1p-12f;
    const float tiny = 0x1p-80f;

    assert_true(csp__fma(a, a, tiny) == 1.0f + 0x1p-11f + 0x1p-23f);
    assert_true(csp__fma(a, a, -tiny) == 1.0f + 0x1p-11f);
    check(0x1p-100f, 0x1p-40f, 0x1p-149f);
    check(0x1.8p-75f, 0x1p-75f, 0.0f);
    check(0x1.fffffep+127f, 2.0f, -INFINITY);
    check(0.0f, INFINITY, 1.0f);
    check(-1.0f, 0.0f, 0.0f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fma_is_that_of_the_library),
        cmocka_unit_test(fma_of_neighbours_is_that_of_the_library),
        cmocka_unit_test(fma_rounds_once),
    };
    return RUN(tests);
}
