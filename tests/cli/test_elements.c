/*
 * test_elements.c - numbers of 16 bits as floats, all 65,536 of each
 *
 * What is expected is computed from the formats' definition in double.
 */
#include "cli_test.h"

#include "elements.h"

/* sign * 1.mantissa * 2^(exponent - bias), by ldexp. */
static double value_of(uint32_t bits, int n_exponent, int n_mantissa)
{
    const uint32_t largest = (1u << n_exponent) - 1;
    const uint32_t exponent = bits >> n_mantissa & largest;
    const uint32_t mantissa = bits & ((1u << n_mantissa) - 1);
    const int bias = (int)(largest >> 1);
    double x = mantissa;

    if (exponent == largest)
        x = mantissa != 0 ? (double)NAN : (double)INFINITY;
    else if (exponent == 0)
        x = ldexp(x, 1 - bias - n_mantissa);
    else
        x = ldexp(x + ldexp(1.0, n_mantissa),
                  (int)exponent - bias - n_mantissa);
    return bits >> 15 != 0 ? -x : x;
}

static void assert_same(float got, double expected, uint32_t bits)
{
    const bool same = isnan(expected)
                          ? isnan(got)
                          : (double)got == expected &&
                                (signbit(got) != 0) == (signbit(expected) != 0);

    if (!same)
        fail_msg("%#x is %.9g, expected %.9g", bits, (double)got, expected);
}

TEST(f16_is_exact)
{
    for (uint32_t bits = 0; bits < 65536; bits++)
        assert_same(float_of_f16((uint16_t)bits), value_of(bits, 5, 10), bits);
}

TEST(bf16_is_exact)
{
    for (uint32_t bits = 0; bits < 65536; bits++)
        assert_same(float_of_bf16((uint16_t)bits), value_of(bits, 8, 7), bits);
}

TEST(nan_keeps_its_bits)
{
    assert_int_equal(bits_of_float(float_of_bf16(0xffe5)), 0xffe50000);
#if !defined(__i386__) /* a float returned in an x87 register gets quiet */
    assert_int_equal(bits_of_float(float_of_bf16(0xffa5)), 0xffa50000);
#endif
    assert_int_equal(bits_of_float(float_of_f16(0xfe01)), 0xffc02000);
}

TEST(elements_of_any_alignment_become_floats)
{
    const unsigned char *bytes;
    unsigned char memory[1 + 8 * 3];
    const double wide[] = {0.5, -3.0, 1e10};
    const float narrow[] = {0.5f, -3.0f, 1e10f};
    const uint16_t halves[] = {0x3800, 0xc200, 0x7bff};
    const float of_halves[] = {0.5f, -3.0f, 65504.0f};
    float x[3];

    bytes = memcpy(memory + 1, wide, sizeof wide);
    elements_to_floats(ELEMENT_F64, bytes, 3, x);
    assert_floats(x, narrow);
    bytes = memcpy(memory + 1, narrow, sizeof narrow);
    elements_to_floats(ELEMENT_F32, bytes, 3, x);
    assert_floats(x, narrow);
    bytes = memcpy(memory + 1, halves, sizeof halves);
    elements_to_floats(ELEMENT_F16, bytes, 3, x);
    assert_floats(x, of_halves);
}

TEST(swap_turns_each_element_around)
{
    unsigned char bytes[] = {1, 2, 3, 4, 5, 6, 7, 8};

    elements_swap(bytes, 4, 2);
    assert_memory_equal(bytes, "\2\1\4\3\6\5\10\7", 8);
    elements_swap(bytes, 1, 8);
    assert_memory_equal(bytes, "\7\10\5\6\3\4\1\2", 8);
    elements_swap(bytes, 8, 1);
    assert_memory_equal(bytes, "\7\10\5\6\3\4\1\2", 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(f16_is_exact),
        cmocka_unit_test(bf16_is_exact),
        cmocka_unit_test(nan_keeps_its_bits),
        cmocka_unit_test(elements_of_any_alignment_become_floats),
        cmocka_unit_test(swap_turns_each_element_around),
    };

    return RUN(tests);
}
