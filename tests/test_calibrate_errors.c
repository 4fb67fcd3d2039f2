/*
 * test_calibrate_errors.c - what csp_calibrate refuses; sums put to use
 */
#include "calibrate_fixture.h"

/* ---- Errors -------------------------------------------------------------- */

static void refuse(fixture *f, csp_status status)
{
    const fixture before = *f;

    assert_status(calibrate(f), status);

    assert_memory_equal(f, &before, offsetof(fixture, workspace));
}

TEST(calibrate_leaves_sums_alone_where_a_number_is_missing)
{
    fixture f;
    set_up(&f);
    f.logits[(HEADS * QUERIES - 1) * COLS] = NAN; /* in the last row of all */
    refuse(&f, CSP_E_NOT_FINITE);
    f.logits[(HEADS * QUERIES - 1) * COLS] = INFINITY;
    refuse(&f, CSP_E_NOT_FINITE);
    set_up(&f);
    f.numbers[(KEYS + 1) * DIM] = INFINITY;
    refuse(&f, CSP_E_NOT_FINITE);
}

TEST(calibrate_refuses_probabilities_that_are_none)
{
    const float wrong[] = {-0.5f, NAN, INFINITY};

    for (size_t i = 0; i < COUNT(wrong); i++) {
        fixture f;
        set_up(&f);
        for (size_t j = 0; j < COUNT(f.logits); j++)
            f.logits[j] = 0.1f;
        f.logits[5 * COLS + 2] = wrong[i];
        f.attention.source = CSP_PROBABILITIES;
        f.attention.lse = csp_tensor_packed(f.lse, CSP_F32, HEADS, QUERIES, 1);
        refuse(&f, CSP_E_NOT_FINITE);
        f.logits[5 * COLS + 2] = 0.1f;
        f.lse[3] = NAN;
        refuse(&f, CSP_E_NOT_FINITE);
    }
}

TEST(calibrate_refuses_probabilities_without_lse)
{
    fixture f;
    set_up(&f);

    f.attention.source = CSP_PROBABILITIES;

    refuse(&f, CSP_E_CONFIG);
}

TEST(calibrate_refuses_bad_lists)
{
    fixture f;
    set_up(&f);
    f.rows[1] = 1;
    refuse(&f, CSP_E_INDEX);
    f.rows[1] = KEYS;
    refuse(&f, CSP_E_INDEX);
    set_up(&f);
    f.kept.n_lists = 3;
    refuse(&f, CSP_E_SHAPE);
    set_up(&f);
    f.kept.capacity = 1;
    refuse(&f, CSP_E_CAPACITY);
}

TEST(calibrate_refuses_null)
{
    fixture f;
    set_up(&f);
    assert_status(csp_calibrate(&f.attention, &f.tokens, NULL, &f.values,
                                &f.compute, f.workspace, sizeof f.workspace,
                                &f.sums),
                  CSP_E_NULL);
    assert_status(csp_calibrate(&f.attention, &f.tokens, &f.kept, &f.values,
                                &f.compute, f.workspace, sizeof f.workspace,
                                NULL),
                  CSP_E_NULL);
    assert_status(csp_calibrate(&f.attention, &f.tokens, &f.kept, NULL,
                                &f.compute, f.workspace, sizeof f.workspace,
                                &f.sums),
                  CSP_E_NULL);
    assert_status(csp_calibrate(NULL, &f.tokens, &f.kept, &f.values, &f.compute,
                                f.workspace, sizeof f.workspace, &f.sums),
                  CSP_E_NULL);
    f.sums.log_mass = NULL;
    refuse(&f, CSP_E_NULL);
    set_up(&f);
    f.sums.rows = NULL;
    refuse(&f, CSP_E_NULL);
    set_up(&f);
    f.values.data = NULL;
    refuse(&f, CSP_E_NULL);
    set_up(&f);
    f.kept.counts = NULL;
    refuse(&f, CSP_E_NULL);
}

TEST(calibrate_refuses_shapes_that_disagree)
{
    fixture f;
    set_up(&f);
    f.sums.n_heads = KV_HEADS;
    refuse(&f, CSP_E_SHAPE);
    set_up(&f);
    f.sums.value_dim = DIM - 1;
    refuse(&f, CSP_E_SHAPE);
    set_up(&f);
    f.values.n_rows = KEYS - 1;
    refuse(&f, CSP_E_SHAPE);
    set_up(&f);
    f.values.n_heads = HEADS;
    refuse(&f, CSP_E_SHAPE);
}

TEST(calibrate_refuses_bad_views_and_settings)
{
    fixture f;
    set_up(&f);
    f.attention.scores.n_heads = 3;
    refuse(&f, CSP_E_GQA);
    set_up(&f);
    f.values.row_stride = 3;
    refuse(&f, CSP_E_STRIDE);
    set_up(&f);
    f.values.dtype = (csp_dtype)4;
    refuse(&f, CSP_E_DTYPE);
    set_up(&f);
    f.compute.product = (csp_path)3;
    refuse(&f, CSP_E_CONFIG);
    set_up(&f);
    f.compute.tier = (csp_tier)99;
    refuse(&f, CSP_E_UNSUPPORTED);
    set_up(&f);
    f.attention.source = (csp_source)3;
    refuse(&f, CSP_E_CONFIG);
}

/* ---- csp_calibration_finish ---------------------------------------------- */

TEST(calibration_finish_is_the_mean_over_rows)
{
    double log_mass[] = {6.0, 0.0, -1.5}, rows[] = {4.0, 0.0, 1.0};
    float value[] = {8, 4, 9, 9, 1, 2};
    const csp_calibration sums = {log_mass, rows, value, 3, 2};
    guarded logits = guard(NULL, 3 * sizeof(float));
    guarded residual = guard(NULL, 6 * sizeof(float));
    const float expected_logits[] = {1.5f, -INFINITY, -1.5f};
    const float expected_residual[] = {2, 1, 0, 0, 1, 2};

    assert_ok(csp_calibration_finish(&sums, (float *)(void *)logits.data,
                                     (float *)(void *)residual.data));

    assert_memory_equal(logits.data, expected_logits, sizeof expected_logits);
    assert_memory_equal(residual.data, expected_residual,
                        sizeof expected_residual);
    unguard(&residual);
    unguard(&logits);
}

TEST(calibration_finish_does_without_residual)
{
    double log_mass[] = {6.0}, rows[] = {4.0};
    const csp_calibration sums = {log_mass, rows, NULL, 1, 2};
    float logit;

    assert_ok(csp_calibration_finish(&sums, &logit, NULL));

    assert_near(logit, 1.5, 0.0);
}

TEST(calibration_finish_refuses_null)
{
    double log_mass[] = {6.0}, rows[] = {4.0};
    csp_calibration sums = {log_mass, rows, NULL, 1, 1};
    float logit = 7.0f, residual = 7.0f;

    assert_status(csp_calibration_finish(&sums, &logit, &residual), CSP_E_NULL);
    assert_status(csp_calibration_finish(&sums, NULL, NULL), CSP_E_NULL);
    assert_status(csp_calibration_finish(NULL, &logit, NULL), CSP_E_NULL);
    sums.rows = NULL;
    assert_status(csp_calibration_finish(&sums, &logit, NULL), CSP_E_NULL);
    sums.rows = rows;
    sums.log_mass = NULL;
    assert_status(csp_calibration_finish(&sums, &logit, NULL), CSP_E_NULL);

    assert_true(logit == 7.0f && residual == 7.0f);
}

TEST(calibration_finish_of_no_heads_is_nothing)
{
    const csp_calibration sums = {.value_dim = 4};

    assert_ok(csp_calibration_finish(&sums, NULL, NULL));
}

TEST(calibration_restores_the_denominator)
{
    fixture f;
    float logits[HEADS];
    set_up(&f);
    f.attention.scores.n_rows = 1;
    f.attention.scores.data = f.logits;

    assert_ok(calibrate(&f));
    assert_ok(csp_calibration_finish(&f.sums, logits, NULL));

    /* Of one row, kept mass and sink are the mass of all: 1 of 0..3 is kept. */
    double all = 0.0;
    for (uint32_t j = 0; j < 4; j++)
        all += exp((double)f.logits[j]);
    assert_near(exp((double)f.logits[1]) + exp((double)logits[0]), all, 1e-6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calibrate_leaves_sums_alone_where_a_number_is_missing),
        cmocka_unit_test(calibrate_refuses_probabilities_that_are_none),
        cmocka_unit_test(calibrate_refuses_probabilities_without_lse),
        cmocka_unit_test(calibrate_refuses_bad_lists),
        cmocka_unit_test(calibrate_refuses_null),
        cmocka_unit_test(calibrate_refuses_shapes_that_disagree),
        cmocka_unit_test(calibrate_refuses_bad_views_and_settings),
        cmocka_unit_test(calibration_finish_is_the_mean_over_rows),
        cmocka_unit_test(calibration_finish_does_without_residual),
        cmocka_unit_test(calibration_finish_refuses_null),
        cmocka_unit_test(calibration_finish_of_no_heads_is_nothing),
        cmocka_unit_test(calibration_restores_the_denominator),
    };

    return RUN(tests);
}
