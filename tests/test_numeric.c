/*
 * test_numeric.c - number formats, orderings, elementary functions
 */
#include "test.h"

#include <float.h>

#include "numeric.h"

/* A 16-bit float with 'mantissa_bits' bits, by the definition of its fields. */
static double decode(uint32_t h, int mantissa_bits)
{
    const uint32_t mantissa = h & ((1u << mantissa_bits) - 1);
    const int exponent_bits = 15 - mantissa_bits;
    const int exponent =
        (int)(h >> mantissa_bits & ((1u << exponent_bits) - 1));
    const int bias = (1 << (exponent_bits - 1)) - 1;
    const double sign = h & 0x8000u ? -1.0 : 1.0;

    if (exponent == (1 << exponent_bits) - 1)
        return mantissa != 0 ? (double)NAN : sign * (double)INFINITY;
    if (exponent == 0)
        return sign * ldexp(mantissa, 1 - bias - mantissa_bits);
    return sign * ldexp((double)(mantissa | 1u << mantissa_bits),
                        exponent - bias - mantissa_bits);
}

TEST(from_f16_is_exact_for_every_half)
{
    for (uint32_t h = 0; h < 65536; h++) {
        const double expected = decode(h, 10);
        const float got = csp__from_f16((uint16_t)h);
        if (isnan(expected))
            assert_true(isnan(got));
        else
            assert_true(bits_of_float(got) == bits_of_float((float)expected));
    }
}

TEST(from_bf16_is_exact_for_every_half)
{
    for (uint32_t h = 0; h < 65536; h++) {
        const double expected = decode(h, 7);
        const float got = csp__from_bf16((uint16_t)h);
        if (isnan(expected))
            assert_true(isnan(got));
        else
            assert_true(bits_of_float(got) == bits_of_float((float)expected));
    }
}

static uint16_t to_half(float x, int mantissa_bits)
{
    return mantissa_bits == 10 ? csp__to_f16(x) : csp__to_bf16(x);
}

/* Every half comes back from float; half way between two the even one wins. */
static void check_rounding(int mantissa_bits)
{
    const uint32_t infinity = ((1u << (15 - mantissa_bits)) - 1)
                              << mantissa_bits;

    for (uint32_t sign = 0; sign <= 0x8000u; sign += 0x8000u)
        for (uint32_t h = 0; h < infinity; h++) {
            const double low = decode(h, mantissa_bits);
            const double next = h + 1 < infinity
                                    ? decode(h + 1, mantissa_bits)
                                    : 2 * low - decode(h - 1, mantissa_bits);
            const double flip = sign != 0 ? -1.0 : 1.0;
            const float exact = (float)(flip * low);
            const float middle = (float)(flip * (low + (next - low) / 2));
            const float away = (float)(flip * (double)INFINITY);
            assert_int_equal(to_half(exact, mantissa_bits), sign | h);
            assert_int_equal(to_half(middle, mantissa_bits),
                             sign | (h + (h & 1)));
            assert_int_equal(to_half(nextafterf(middle, 0.0f), mantissa_bits),
                             sign | h);
            assert_int_equal(to_half(nextafterf(middle, away), mantissa_bits),
                             sign | (h + 1));
        }
}

TEST(to_f16_rounds_to_nearest_even)
{
    check_rounding(10);
}

TEST(to_bf16_rounds_to_nearest_even)
{
    check_rounding(7);
}

TEST(to_f16_overflows_to_infinity)
{
    assert_int_equal(csp__to_f16(65519.996f), 0x7bff);
    assert_int_equal(csp__to_f16(65520.0f), 0x7c00);
    assert_int_equal(csp__to_f16(-FLT_MAX), 0xfc00);
    assert_int_equal(csp__to_f16(INFINITY), 0x7c00);
    assert_int_equal(csp__to_f16(-INFINITY), 0xfc00);
    assert_int_equal(csp__to_bf16(FLT_MAX), 0x7f80);
    assert_int_equal(csp__to_bf16(-INFINITY), 0xff80);
}

TEST(to_halves_of_nan_are_nan)
{
    const uint32_t nans[] = {0x7fc00000u, 0xffc00000u, 0x7f800001u, 0x7fffffffu,
                             0xff800001u};

    for (size_t i = 0; i < COUNT(nans); i++) {
        const float x = float_of_bits(nans[i]);
        assert_true(isnan(decode(csp__to_f16(x), 10)));
        assert_true(isnan(decode(csp__to_bf16(x), 7)));
    }
}

TEST(is_finite_is_false_for_nan_and_infinity)
{
    assert_true(csp__is_finite(0.0f));
    assert_true(csp__is_finite(FLT_MAX));
    assert_true(csp__is_finite(-FLT_MIN / 2));
    assert_false(csp__is_finite(NAN));
    assert_false(csp__is_finite(INFINITY));
    assert_false(csp__is_finite(-INFINITY));
}

TEST(order_of_ascends_with_the_float)
{
    const float up[] = {-FLT_MAX,  -1.0f,   -FLT_MIN, -0x1p-149f, 0.0f,
                        0x1p-149f, FLT_MIN, 1.0f,     FLT_MAX};

    for (size_t i = 1; i < COUNT(up); i++)
        assert_true(csp__order_of(up[i - 1]) < csp__order_of(up[i]));
    assert_true(csp__order_of(-FLT_MAX) > 0);
}

TEST(order_of_nan_is_below_all_but_is_one)
{
    assert_true(csp__order_of(NAN) > 0);
    assert_true(csp__order_of(-NAN) > 0);
    assert_true(csp__order_of(NAN) < csp__order_of(-INFINITY));
    assert_int_equal(csp__order_of(-NAN), csp__order_of(NAN));
}

TEST(order_of_negative_zero_is_that_of_zero)
{
    assert_int_equal(csp__order_of(-0.0f), csp__order_of(0.0f));
}

/* In units in the last place of the double nearest to 'expected'. */
static double ulps(double got, double expected)
{
    const double size = fabs(expected);
    const double ulp = nextafter(size, (double)INFINITY) - size;

    return fabs(got - expected) / ulp;
}

TEST(exp_is_within_two_ulp_of_libm)
{
    /* libm itself is within 1; subnormal results round once more. */
    for (double x = -700.0; x < 709.0; x += 0.0137)
        assert_true(ulps(csp__exp(x), exp(x)) <= 3.0);
    for (double x = -1.0; x < 1.0; x += 0.00013)
        assert_true(ulps(csp__exp(x), exp(x)) <= 3.0);
    for (double x = -745.0; x < -700.0; x += 0.013)
        assert_true(ulps(csp__exp(x), exp(x)) <= 3.0);
}

TEST(exp_has_ieee_ends)
{
    assert_true(csp__exp(0.0) == 1.0);
    assert_true(csp__exp(-0.0) == 1.0);
    assert_true(csp__exp((double)INFINITY) == (double)INFINITY);
    assert_true(csp__exp(-(double)INFINITY) == 0.0);
    assert_true(csp__exp(1e300) == (double)INFINITY);
    assert_true(csp__exp(709.9) == (double)INFINITY);
    assert_true(csp__exp(-1e300) == 0.0);
    assert_true(csp__exp(-745.9) == 0.0);
    assert_true(isnan(csp__exp((double)NAN)));
}

TEST(log_is_within_two_ulp_of_libm)
{
    for (double x = 1e-300; x < 1e300; x *= 1.0173)
        assert_true(ulps(csp__log(x), log(x)) <= 3.0);
    for (double x = 0.5; x < 2.0; x += 0.0001237)
        assert_true(ulps(csp__log(x), log(x)) <= 3.0);
    for (double x = 0x1p-1074; x < 1e-307; x *= 3.7)
        assert_true(ulps(csp__log(x), log(x)) <= 3.0);
}

TEST(log_near_one_keeps_its_digits)
{
    for (int i = 1; i < 53; i++) {
        const double step = ldexp(1.0, -i);
        assert_true(ulps(csp__log(1.0 + step), log(1.0 + step)) <= 3.0);
        assert_true(ulps(csp__log(1.0 - step / 2), log(1.0 - step / 2)) <= 3.0);
    }
}

TEST(log_has_ieee_ends)
{
    assert_true(csp__log(1.0) == 0.0);
    assert_true(csp__log(0.0) == -(double)INFINITY);
    assert_true(csp__log(-0.0) == -(double)INFINITY);
    assert_true(csp__log((double)INFINITY) == (double)INFINITY);
    assert_true(isnan(csp__log(-1.0)));
    assert_true(isnan(csp__log(-(double)INFINITY)));
    assert_true(isnan(csp__log((double)NAN)));
}

/* Partial sums by their definition: element i goes to sum i mod 8. */
TEST(dot_adds_up_in_eight_sums)
{
    enum { MOST = 40 };
    const double big = 0x1p60;
    double x[MOST], y[MOST];
    for (int i = 0; i < MOST; i++) {
        x[i] = i % 3 == 0 ? big : 0.1 * i;
        y[i] = i % 2 == 0 ? -0.7 : 0.3 * i;
    }

    for (size_t n = 0; n <= MOST; n++) {
        double s[8] = {0.0};
        for (size_t i = 0; i < n; i++)
            s[i % 8] += x[i] * y[i];
        const double expected =
            ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
        assert_true(csp__dot(x, y, n) == expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(from_f16_is_exact_for_every_half),
        cmocka_unit_test(from_bf16_is_exact_for_every_half),
        cmocka_unit_test(to_f16_rounds_to_nearest_even),
        cmocka_unit_test(to_bf16_rounds_to_nearest_even),
        cmocka_unit_test(to_f16_overflows_to_infinity),
        cmocka_unit_test(to_halves_of_nan_are_nan),
        cmocka_unit_test(is_finite_is_false_for_nan_and_infinity),
        cmocka_unit_test(order_of_ascends_with_the_float),
        cmocka_unit_test(order_of_nan_is_below_all_but_is_one),
        cmocka_unit_test(order_of_negative_zero_is_that_of_zero),
        cmocka_unit_test(exp_is_within_two_ulp_of_libm),
        cmocka_unit_test(exp_has_ieee_ends),
        cmocka_unit_test(log_is_within_two_ulp_of_libm),
        cmocka_unit_test(log_near_one_keeps_its_digits),
        cmocka_unit_test(log_has_ieee_ends),
        cmocka_unit_test(dot_adds_up_in_eight_sums),
    };

    return RUN(tests);
}
