/*
 * test_nsoftmax.c - n-softmax of rows (E1)
 */
#include "test.h"

#include <float.h>

#include "numeric.h"

static csp_status soften(const float *x, uint32_t n_cols, double n, float *w)
{
    const csp_tensor t = csp_tensor_packed(x, CSP_F32, 1, 1, n_cols);

    return csp_nsoftmax(&t, n, NULL, NULL, w);
}

TEST(nsoftmax_has_closed_form)
{
    const float row[] = {0.0f, logf(3.0f), logf(6.0f)};
    const double ns[] = {0.0, 1.0, 4.0};

    for (size_t i = 0; i < COUNT(ns); i++) {
        float w[3];
        assert_ok(soften(row, 3, ns[i], w));
        assert_near(w[0], 1.0 / (10.0 + ns[i]), 3e-7);
        assert_near(w[1], 3.0 / (10.0 + ns[i]), 3e-7);
        assert_near(w[2], 6.0 / (10.0 + ns[i]), 3e-7);
    }
}

TEST(nsoftmax_of_small_row_is_not_shifted)
{
    const float row[] = {logf(1.0f / 600), logf(1.0f / 300), logf(1.0f / 200)};
    float w[3];

    assert_ok(soften(row, 3, 1.0, w));

    assert_near(w[0], 1.0 / 606, 3e-7); /* .00165017 */
    assert_near(w[0], .00165017, 4e-6);
    assert_near(w[1], .00330033, 4e-6);
    assert_near(w[2], .00495050, 4e-6);
}

TEST(nsoftmax_of_one_giant_is_one)
{
    const float row[] = {12.0f, 89.0f, 710.0f};
    const double ns[] = {0.0, 1e-6, 1e-3, 1.0, 4.0};
    const float expected[] = {0, 0, 1};

    for (size_t i = 0; i < COUNT(ns); i++) {
        float w[3];
        assert_ok(soften(row, 3, ns[i], w));
        assert_floats(w, expected);
    }
}

TEST(nsoftmax_takes_rows_of_any_scale)
{
    const float maxima[] = {-90.0f, -12.0f, 12.0f, 90.0f, 1e4f,
                            -1e4f,  6e5f,   -6e5f, 1e20f};

    for (size_t i = 0; i < COUNT(maxima); i++) {
        const float row[] = {maxima[i], -INFINITY, maxima[i]};
        float w[3];
        assert_ok(soften(row, 3, 0.0, w));
        assert_near(w[0], 0.5, 2e-7);
        assert_true(w[1] == 0.0f && w[2] == w[0]);
        assert_ok(soften(row, 3, 1.0, w));
        assert_true(fabs((double)w[0] - 1.0 / (2.0 + exp(-(double)maxima[i]))) <
                    1e-7);
    }
}

TEST(nsoftmax_of_fully_masked_row_is_zero)
{
    const float masks[] = {-INFINITY, -FLT_MAX, -1e30f};
    const double ns[] = {0.0, 1.0, 1e300};

    for (size_t i = 0; i < COUNT(masks); i++)
        for (size_t j = 0; j < COUNT(ns); j++) {
            const float row[] = {masks[i], -INFINITY, masks[i]};
            const float expected[] = {0, 0, 0};
            float w[] = {1, 1, 1};
            assert_ok(soften(row, 3, ns[j], w));
            assert_floats(w, expected);
        }
}

TEST(nsoftmax_of_lowest_half_is_zero)
{
    uint16_t row[] = {0xfbff, 0x0000, 0xfc00};
    const csp_tensor t = csp_tensor_packed(row, CSP_F16, 1, 1, 3);

    assert_ok(csp_nsoftmax(&t, 0.0, NULL, NULL, row));

    assert_int_equal(row[0], 0);
    assert_int_equal(row[1], 0x3c00);
    assert_int_equal(row[2], 0);
}

TEST(nsoftmax_takes_any_finite_n)
{
    const float row[] = {0.0f, 0.0f};
    float w[2];

    assert_ok(soften(row, 2, 1e-300, w));
    assert_near(w[0], 0.5, 0.0);
    assert_ok(soften(row, 2, 1e30, w));
    assert_near(w[0], 1e-30, 3e-7);
}

TEST(nsoftmax_takes_the_largest_n)
{
    const float row[] = {0.0f, 0.0f};
    float w[2];

    assert_ok(soften(row, 2, DBL_MAX, w));

    assert_near(w[0], 0.0, 0.0);
}

/* Relative error against double. */
static double worst_error(const float *x, uint32_t n_cols, double n)
{
    static float w[4096];
    double max = -(double)INFINITY, sum = 0.0, worst = 0.0;

    for (uint32_t i = 0; i < n_cols; i++)
        max = (double)x[i] > max ? (double)x[i] : max;
    for (uint32_t i = 0; i < n_cols; i++)
        sum += exp((double)x[i] - max);
    assert_ok(soften(x, n_cols, n, w));
    for (uint32_t i = 0; i < n_cols; i++) {
        const double expected = exp((double)x[i] - max) / (n * exp(-max) + sum);
        if (expected > (double)FLT_MIN)
            worst = fmax(worst, fabs((double)w[i] / expected - 1.0));
    }
    return worst;
}

TEST(nsoftmax_is_within_its_bound)
{
    float row[100];

    for (uint32_t n_cols = 1; n_cols <= 100; n_cols++)
        for (int seed = 0; seed < 5; seed++) {
            for (uint32_t i = 0; i < n_cols; i++)
                row[i] = 8.0f * sinf((float)(i * 7 + n_cols) + (float)seed);
            assert_true(worst_error(row, n_cols, seed * 0.7) < 3e-6);
        }
}

TEST(nsoftmax_of_long_row_is_within_its_bound)
{
    static float row[4096];

    row[0] = 0.0f; /* a sink, and many keys that share the rest */
    for (uint32_t i = 1; i < 4096; i++)
        row[i] = -16.7f;

    assert_true(worst_error(row, 4096, 0.0) < 3e-6);
}

TEST(nsoftmax_takes_rows_longer_than_a_chunk)
{
    enum { LONG = 1300 };
    float row[LONG], w[LONG];
    for (size_t i = 0; i < LONG; i++)
        row[i] = i % 2 != 0 ? 1e6f : -INFINITY;

    assert_ok(soften(row, LONG, 0.0, w));

    for (size_t i = 0; i < LONG; i++)
        assert_near(w[i], i % 2 != 0 ? 1.0 / (LONG / 2) : 0.0, 1e-7);
}

TEST(nsoftmax_equals_softmax_with_one_more_key)
{
    const float row[] = {0.5f, -1.0f, 2.0f, logf(3.0f)};
    float with_key[4], with_n[3];

    assert_ok(soften(row, 4, 0.0, with_key));
    assert_ok(soften(row, 3, 3.0, with_n));

    for (size_t i = 0; i < 3; i++)
        assert_near(with_n[i], with_key[i], 3e-7);
}

TEST(nsoftmax_takes_a_sink_for_each_head)
{
    const float rows[] = {0, 0, 0, 0, 0, 0};
    const float sinks[] = {logf(2.0f), -INFINITY, -1e6f};
    const csp_tensor t = csp_tensor_packed(rows, CSP_F32, 3, 1, 2);
    const double expected[] = {0.25, 0.5, 0.5};
    float w[6];

    assert_ok(csp_nsoftmax(&t, 123.0, sinks, NULL, w)); /* in place of n */

    for (size_t i = 0; i < 6; i++)
        assert_near(w[i], expected[i / 2], 1e-7);
}

TEST(nsoftmax_takes_sinks_beyond_exponentials)
{
    const float rows[] = {1000.0f, 1000.0f};
    const float sink = 1000.0f;
    const csp_tensor t = csp_tensor_packed(rows, CSP_F32, 1, 1, 2);
    float w[2];

    assert_ok(csp_nsoftmax(&t, 0.0, &sink, NULL, w));

    assert_near(w[0], 1.0 / 3, 1e-6);
}

TEST(nsoftmax_works_in_place)
{
    float row[700], w[700];
    for (size_t i = 0; i < 700; i++)
        row[i] = sinf((float)i);

    assert_ok(soften(row, 700, 1.0, w));
    assert_ok(soften(row, 700, 1.0, row));

    assert_memory_equal(row, w, sizeof w);
}

TEST(nsoftmax_rounds_halves_once)
{
    const float x[] = {0.5f, -1.25f, 3.0f, 0.125f};
    float w[4];
    assert_ok(soften(x, 4, 1.0, w));

    for (int dtype = CSP_F16; dtype <= CSP_BF16; dtype++) {
        uint16_t row[4];
        for (size_t i = 0; i < 4; i++)
            row[i] = dtype == CSP_F16 ? csp__to_f16(x[i]) : csp__to_bf16(x[i]);
        const csp_tensor t = csp_tensor_packed(row, (csp_dtype)dtype, 1, 1, 4);
        assert_ok(csp_nsoftmax(&t, 1.0, NULL, NULL, row));
        for (size_t i = 0; i < 4; i++)
            assert_int_equal(row[i], dtype == CSP_F16 ? csp__to_f16(w[i])
                                                      : csp__to_bf16(w[i]));
    }
}

TEST(nsoftmax_leaves_padding_between_rows_alone)
{
    const float rows[] = {0, 0, NAN, 0, 0, NAN, 0, 0};
    csp_tensor t = csp_tensor_packed(rows, CSP_F32, 1, 3, 2);
    t.row_stride = 12;
    guarded logits = guard(rows, sizeof rows);
    guarded out = guard(NULL, sizeof rows);
    t.data = logits.data;
    make_read_only(&logits);

    assert_ok(csp_nsoftmax(&t, 0.0, NULL, NULL, out.data));

    for (size_t i = 0; i < 8; i++) {
        float x;
        memcpy(&x, out.data + 4 * i, 4);
        if (i % 3 != 2)
            assert_near(x, 0.5, 0.0);
        else
            assert_int_equal(out.data[4 * i], GUARD_BYTE);
    }
    unguard(&out);
    logits.data = logits.map; /* read-only, nothing to check */
    unguard(&logits);
}

TEST(nsoftmax_of_nothing_is_nothing)
{
    const csp_tensor no_keys = csp_tensor_packed(NULL, CSP_F32, 2, 3, 0);
    const csp_tensor no_rows = csp_tensor_packed(NULL, CSP_F32, 2, 0, 3);

    assert_ok(csp_nsoftmax(&no_keys, 1.0, NULL, NULL, NULL));
    assert_ok(csp_nsoftmax(&no_rows, 1.0, NULL, NULL, NULL));
}

/* ---- Errors -------------------------------------------------------------- */

static const float good[] = {1, 2, 3, 4, 5, 6};

static void refuse(const csp_tensor *t, double n, const float *sinks,
                   const csp_compute *compute, csp_status status)
{
    float w[] = {7, 7, 7, 7, 7, 7};
    const float before[] = {7, 7, 7, 7, 7, 7};

    assert_status(csp_nsoftmax(t, n, sinks, compute, w), status);

    assert_memory_equal(w, before, sizeof w);
}

TEST(nsoftmax_refuses_null)
{
    csp_tensor t = csp_tensor_packed(good, CSP_F32, 1, 2, 3);

    refuse(NULL, 1.0, NULL, NULL, CSP_E_NULL);
    assert_status(csp_nsoftmax(&t, 1.0, NULL, NULL, NULL), CSP_E_NULL);
    t.data = NULL;
    refuse(&t, 1.0, NULL, NULL, CSP_E_NULL);
}

TEST(nsoftmax_refuses_bad_views)
{
    csp_tensor t = csp_tensor_packed(good, CSP_F32, 1, 2, 3);

    t.col_stride = 8;
    refuse(&t, 1.0, NULL, NULL, CSP_E_STRIDE);
    t = csp_tensor_packed(good, CSP_F32, 1, 2, 3);
    t.row_stride = 0;
    refuse(&t, 1.0, NULL, NULL, CSP_E_STRIDE);
    t.row_stride = SIZE_MAX;
    refuse(&t, 1.0, NULL, NULL, CSP_E_OVERFLOW);
    t.dtype = (csp_dtype)3;
    refuse(&t, 1.0, NULL, NULL, CSP_E_DTYPE);
}

TEST(nsoftmax_refuses_bad_settings)
{
    const csp_tensor t = csp_tensor_packed(good, CSP_F32, 1, 2, 3);
    const csp_compute path = {.product = (csp_path)7},
                      tier = {.tier = (csp_tier)99};

    refuse(&t, -1.0, NULL, NULL, CSP_E_CONFIG);
    refuse(&t, (double)NAN, NULL, NULL, CSP_E_CONFIG);
    refuse(&t, (double)INFINITY, NULL, NULL, CSP_E_CONFIG);
    refuse(&t, 1.0, NULL, &path, CSP_E_CONFIG);
    refuse(&t, 1.0, NULL, &tier, CSP_E_UNSUPPORTED);
}

TEST(nsoftmax_refuses_a_result_shifted_over_its_input)
{
    float memory[12] = {1, 2, 3, 4, 5, 6};
    const csp_tensor t = csp_tensor_packed(memory, CSP_F32, 1, 2, 3);

    assert_status(csp_nsoftmax(&t, 1.0, NULL, NULL, memory + 1), CSP_E_OVERLAP);
    assert_status(csp_nsoftmax(&t, 1.0, NULL, NULL, memory + 5), CSP_E_OVERLAP);
    assert_memory_equal(memory, good, sizeof good);
    assert_ok(csp_nsoftmax(&t, 1.0, NULL, NULL, memory + 6));
}

TEST(nsoftmax_refuses_numbers_that_are_none)
{
    const float wrong[] = {NAN, -NAN, INFINITY};
    const float sink[] = {0.0f, NAN};
    const csp_tensor two = csp_tensor_packed(good, CSP_F32, 2, 1, 3);

    for (size_t i = 0; i < COUNT(wrong); i++) {
        float x[] = {1, 2, 3,
                     4, 5, wrong[i]}; /* in the last row: nothing is written */
        const csp_tensor t = csp_tensor_packed(x, CSP_F32, 1, 2, 3);
        refuse(&t, 1.0, NULL, NULL, CSP_E_NOT_FINITE);
    }
    refuse(&two, 1.0, sink, NULL, CSP_E_NOT_FINITE);
    const float infinite[] = {0.0f, INFINITY};
    refuse(&two, 1.0, infinite, NULL, CSP_E_NOT_FINITE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nsoftmax_has_closed_form),
        cmocka_unit_test(nsoftmax_of_small_row_is_not_shifted),
        cmocka_unit_test(nsoftmax_of_one_giant_is_one),
        cmocka_unit_test(nsoftmax_takes_rows_of_any_scale),
        cmocka_unit_test(nsoftmax_of_fully_masked_row_is_zero),
        cmocka_unit_test(nsoftmax_of_lowest_half_is_zero),
        cmocka_unit_test(nsoftmax_takes_any_finite_n),
        cmocka_unit_test(nsoftmax_takes_the_largest_n),
        cmocka_unit_test(nsoftmax_is_within_its_bound),
        cmocka_unit_test(nsoftmax_of_long_row_is_within_its_bound),
        cmocka_unit_test(nsoftmax_takes_rows_longer_than_a_chunk),
        cmocka_unit_test(nsoftmax_equals_softmax_with_one_more_key),
        cmocka_unit_test(nsoftmax_takes_a_sink_for_each_head),
        cmocka_unit_test(nsoftmax_takes_sinks_beyond_exponentials),
        cmocka_unit_test(nsoftmax_works_in_place),
        cmocka_unit_test(nsoftmax_rounds_halves_once),
        cmocka_unit_test(nsoftmax_leaves_padding_between_rows_alone),
        cmocka_unit_test(nsoftmax_of_nothing_is_nothing),
        cmocka_unit_test(nsoftmax_refuses_null),
        cmocka_unit_test(nsoftmax_refuses_bad_views),
        cmocka_unit_test(nsoftmax_refuses_bad_settings),
        cmocka_unit_test(nsoftmax_refuses_a_result_shifted_over_its_input),
        cmocka_unit_test(nsoftmax_refuses_numbers_that_are_none),
    };

    return RUN(tests);
}
