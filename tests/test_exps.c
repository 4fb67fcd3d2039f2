/*
 * test_exps.c - exponentials of a row in a scale that cannot overflow
 */
#include "test.h"

#include <float.h>

#include "exps.h"
#include "numeric.h"

static csp__kernels kernels;

static int set_up(void **state)
{
    (void)state;
    csp__kernels_choose(NULL, &kernels);
    return 0;
}

/* The natural logarithm of an exponential of the row, put together again. */
static double log_of(const csp__exps *exps, double e)
{
    return log(e) + exps->shift * 0.69314718055994530942 + exps->offset;
}

/* exp(x) of each key and its sum, compared as logarithms. */
static void check_row(const float *x, size_t n)
{
    float e[8];
    csp__exps exps;
    double max = -(double)INFINITY, sum = 0.0;
    for (size_t i = 0; i < n; i++)
        max = fmax(max, (double)x[i]);
    for (size_t i = 0; i < n; i++)
        sum += exp((double)x[i] - max);

    assert_ok(csp__exp_exactly(&kernels, CSP_F32, x, n, e, &exps));

    assert_false(exps.masked);
    assert_true(csp__scale_is_safe(exps.sum, exps.sum));
    assert_true(fabs(csp__log_sum(&exps) - (max + log(sum))) <
                1e-6 + 1e-7 * fabs(max) * 1e-3);
    for (size_t i = 0; i < n; i++)
        if ((double)x[i] > max - 80.0)
            assert_true(fabs(log_of(&exps, (double)e[i]) - (double)x[i]) <
                        1e-6 + 1e-9 * fabs(max));
}

TEST(exp_exactly_keeps_every_scale)
{
    const float maxima[] = {0.0f,      1.0f,       -12.0f,    12.0f, -90.0f,
                            90.0f,     710.0f,     -710.0f,   1e5f,  -1e5f,
                            524288.0f, -524288.0f, 524289.0f, 1e6f,  -1e6f,
                            1e20f,     -1e20f,     FLT_MAX};

    for (size_t i = 0; i < COUNT(maxima); i++) {
        const float m = maxima[i];
        const float row[] = {m, m - 1.0f, m - 100.0f, -INFINITY,
                             m - fabsf(m) / 2};
        check_row(row, COUNT(row));
    }
}

TEST(exp_exactly_of_masked_row_is_zero)
{
    const float masked[] = {-INFINITY, -FLT_MAX, -1e30f};
    float e[3] = {1.0f, 1.0f, 1.0f};
    csp__exps exps;

    assert_ok(csp__exp_exactly(&kernels, CSP_F32, masked, 3, e, &exps));

    assert_true(exps.masked && exps.sum == 0.0);
    assert_true(e[0] == 0.0f && e[1] == 0.0f && e[2] == 0.0f);
    assert_true(csp__log_sum(&exps) == -(double)INFINITY);
}

TEST(exp_exactly_of_lowest_halves_is_zero)
{
    const uint16_t masked[] = {0xfbff, 0xfc00};
    const uint16_t just_not[] = {0xfbff, 0xfbfe};
    float e[2] = {1.0f, 1.0f};
    csp__exps exps;

    assert_ok(csp__exp_exactly(&kernels, CSP_F16, masked, 2, e, &exps));
    assert_true(exps.masked && e[0] == 0.0f && e[1] == 0.0f);
    assert_ok(csp__exp_exactly(&kernels, CSP_F16, just_not, 2, e, &exps));
    assert_true(!exps.masked && e[0] == 0.0f && e[1] > 0.0f);
}

TEST(exp_exactly_of_no_keys_is_masked)
{
    csp__exps exps;

    assert_ok(csp__exp_exactly(&kernels, CSP_F32, NULL, 0, NULL, &exps));

    assert_true(exps.masked);
}

TEST(exp_exactly_of_large_row_gives_masked_keys_nothing)
{
    const float row[] = {-9e29f, -1e30f, -INFINITY};
    float e[3];
    csp__exps exps;

    assert_ok(csp__exp_exactly(&kernels, CSP_F32, row, 3, e, &exps));

    assert_true(e[0] == 1.0f && e[1] == 0.0f && e[2] == 0.0f);
}

TEST(exp_exactly_widens_halves_of_large_rows)
{
    const uint16_t row[] = {csp__to_bf16(0x1p20f), csp__to_bf16(-1e30f - 1e29f),
                            csp__to_bf16(0x1p20f)};
    float e[3];
    csp__exps exps;

    assert_ok(csp__exp_exactly(&kernels, CSP_BF16, row, 3, e, &exps));

    assert_true(e[0] == 1.0f && e[1] == 0.0f && e[2] == 1.0f);
    assert_true(exps.sum == 2.0 && exps.offset == 0x1p20);
}

TEST(exp_exactly_works_in_place)
{
    float small[] = {1.0f, -INFINITY, 2.0f};
    float large[] = {1e6f, -INFINITY, 1e6f};
    csp__exps exps;

    assert_ok(csp__exp_exactly(&kernels, CSP_F32, small, 3, small, &exps));
    assert_near(csp__log_sum(&exps), log(exp(1.0) + exp(2.0)), 1e-6);
    assert_ok(csp__exp_exactly(&kernels, CSP_F32, large, 3, large, &exps));
    assert_near(csp__log_sum(&exps), 1e6 + log(2.0), 1e-12);
}

TEST(exp_exactly_refuses_nan_and_infinity)
{
    const float with_nan[] = {0.0f, NAN, -INFINITY};
    const float with_infinity[] = {0.0f, INFINITY};
    float e[3];
    csp__exps exps;

    assert_status(csp__exp_exactly(&kernels, CSP_F32, with_nan, 3, e, &exps),
                  CSP_E_NOT_FINITE);
    assert_status(
        csp__exp_exactly(&kernels, CSP_F32, with_infinity, 2, e, &exps),
        CSP_E_NOT_FINITE);
}

TEST(scale_is_safe_away_from_the_ends)
{
    assert_true(csp__scale_is_safe(1.0, 1.0));
    assert_true(csp__scale_is_safe(0.5, 0x1p125));
    assert_false(csp__scale_is_safe(0.5, 0x1p126));
    assert_false(csp__scale_is_safe(0.499, 1.0));
    assert_false(csp__scale_is_safe(0.0, 0.0));
    assert_false(csp__scale_is_safe((double)INFINITY, (double)INFINITY));
    assert_false(csp__scale_is_safe(0x1p101, 0x1p101));
    assert_false(csp__scale_is_safe((double)NAN, (double)NAN));
}

TEST(sink_is_n_in_the_scale_of_the_row)
{
    const float logits[] = {-1e6f, -300.0f, -1.0f, 0.0f, 20.0f, 400.0f, 1e6f};

    for (size_t i = 0; i < COUNT(logits); i++) {
        const csp__exps exps = csp__scale_of(logits[i]);
        const double scale = exp(-exps.offset) * pow(2.0, -exps.shift);
        assert_near(csp__sink(&exps, 3.5), 3.5 * scale, 1e-12);
        if (fabsf(logits[i]) < 1000.0f)
            assert_near(csp__sink_of_log(&exps, log(3.5)), 3.5 * scale, 1e-12);
        assert_true(csp__sink(&exps, 0.0) == 0.0);
        assert_true(csp__sink_of_log(&exps, -(double)INFINITY) == 0.0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exp_exactly_keeps_every_scale),
        cmocka_unit_test(exp_exactly_of_masked_row_is_zero),
        cmocka_unit_test(exp_exactly_of_lowest_halves_is_zero),
        cmocka_unit_test(exp_exactly_of_no_keys_is_masked),
        cmocka_unit_test(exp_exactly_of_large_row_gives_masked_keys_nothing),
        cmocka_unit_test(exp_exactly_widens_halves_of_large_rows),
        cmocka_unit_test(exp_exactly_works_in_place),
        cmocka_unit_test(exp_exactly_refuses_nan_and_infinity),
        cmocka_unit_test(scale_is_safe_away_from_the_ends),
        cmocka_unit_test(sink_is_n_in_the_scale_of_the_row),
    };

    return cmocka_run_group_tests(tests, set_up, NULL);
}
