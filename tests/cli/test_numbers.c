/*
 * test_numbers.c - numbers in options, taken whole or not at all
 */
#include "test.h"

#include "numbers.h"

#include <stdio.h>

TEST(parse_count_takes_digits_in_its_range)
{
    uint32_t n = 7;

    assert_true(parse_count("0", 0, 10, &n));
    assert_int_equal(n, 0);
    assert_true(parse_count("007", 0, 10, &n));
    assert_int_equal(n, 7);
    assert_true(parse_count("4294967295", 0, UINT32_MAX, &n));
    assert_int_equal(n, UINT32_MAX);
    assert_true(parse_count("3", 3, 3, &n));
    assert_int_equal(n, 3);
}

TEST(parse_count_refuses_all_else)
{
    static const char *const bad[] = {"",
                                      " 1",
                                      "1 ",
                                      "+1",
                                      "-1",
                                      "1.0",
                                      "0x1",
                                      "1e1",
                                      "2",
                                      "11",
                                      "x",
                                      "4294967296",
                                      "99999999999999999999999999",
                                      "1\n"};
    uint32_t n = 7;

    for (size_t i = 0; i < COUNT(bad); i++)
        assert_false(parse_count(bad[i], 3, 10, &n));
    assert_false(parse_count("4294967296", 0, UINT32_MAX, &n));
    assert_int_equal(n, 7);
}

TEST(parse_fraction_is_exact)
{
    fraction f;

    assert_true(parse_fraction("0.1", &f));
    assert_int_equal(f.over, 1);
    assert_int_equal(f.under, 10);
    assert_true(parse_fraction("0.999999", &f));
    assert_int_equal(f.over, 999999);
    assert_true(parse_fraction("1", &f));
    assert_int_equal(f.over, f.under);
    assert_true(parse_fraction("1.0", &f));
    assert_int_equal(f.over, f.under);
    assert_true(parse_fraction("0", &f));
    assert_int_equal(f.over, 0);
}

TEST(parse_fraction_refuses_all_else)
{
    static const char *const bad[] = {
        "",     ".",    ".5",   "0.",   "1.1",  "2",        "0.1234567", "0,5",
        "-0.5", "0.5%", "1e-1", " 0.5", "0.5 ", "1.000001", "0x1",       "nan"};
    fraction f = {3, 4};

    for (size_t i = 0; i < COUNT(bad); i++)
        assert_false(parse_fraction(bad[i], &f));
    assert_int_equal(f.over, 3);
    assert_int_equal(f.under, 4);
}

static uint32_t amount_in(const char *text, uint32_t whole)
{
    amount a;

    assert_true(parse_amount(text, &a));
    return amount_of(&a, whole);
}

TEST(amounts_are_tokens_or_percent_to_the_nearest)
{
    assert_int_equal(amount_in("47", 10), 47);
    assert_int_equal(amount_in("0%", 191), 0);
    assert_int_equal(amount_in("100%", UINT32_MAX), UINT32_MAX);
    assert_int_equal(amount_in("20%", 191), 38); /* 38.2 */
    assert_int_equal(amount_in("50%", 191), 96); /* 95.5 */
    assert_int_equal(amount_in("12.5%", 4), 1);  /* 0.5 */
    assert_int_equal(amount_in("12.4%", 4), 0);
    assert_int_equal(amount_in("0.000001%", 50000000), 1);
    assert_int_equal(amount_in("0.000001%", 49999999), 0);
}

/* In double 0.29 * 100 is below 29, and 0.07 * 50 below 3.5. */
TEST(percent_are_exact_where_floats_are_not)
{
    assert_int_equal(amount_in("7%", 50), 4);
    for (uint32_t percent = 0; percent <= 100; percent++) {
        char text[8];
        snprintf(text, sizeof text, "%u%%", (unsigned)percent);
        for (uint32_t whole = 0; whole < 1000; whole++)
            assert_int_equal(amount_in(text, whole),
                             (whole * percent + 50) / 100);
    }
}

TEST(parse_amount_refuses_all_else)
{
    static const char *const bad[] = {
        "",    "%",   "-1",         "1.5",  "101%", "100.1%",
        "5 %", "5%%", "4294967296", "1e1%", "+5%",  "1.1234567%"};
    amount a = {.tokens = 7};

    for (size_t i = 0; i < COUNT(bad); i++)
        assert_false(parse_amount(bad[i], &a));
    assert_int_equal(a.tokens, 7);
    assert_false(a.is_share);
}

TEST(parse_real_takes_finite_numbers)
{
    static const char *const bad[] = {"",    "-1",    "+1", "nan", "inf",
                                      "0x1", "1e999", " 1", "1 ",  "1.2.3",
                                      "e1",  ".5",    "1f", "1e"};
    double x = 7.0;

    for (size_t i = 0; i < COUNT(bad); i++)
        assert_false(parse_real(bad[i], &x));
    assert_near(x, 7.0, 0.0);
    assert_true(parse_real("1e-3", &x));
    assert_near(x, 0.001, 0.0);
    assert_true(parse_real("4", &x));
    assert_near(x, 4.0, 0.0);
    assert_true(parse_real("0.5", &x));
    assert_near(x, 0.5, 0.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parse_count_takes_digits_in_its_range),
        cmocka_unit_test(parse_count_refuses_all_else),
        cmocka_unit_test(parse_fraction_is_exact),
        cmocka_unit_test(parse_fraction_refuses_all_else),
        cmocka_unit_test(amounts_are_tokens_or_percent_to_the_nearest),
        cmocka_unit_test(percent_are_exact_where_floats_are_not),
        cmocka_unit_test(parse_amount_refuses_all_else),
        cmocka_unit_test(parse_real_takes_finite_numbers),
    };

    return RUN(tests);
}
