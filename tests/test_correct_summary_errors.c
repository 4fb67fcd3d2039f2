/*
 * test_correct_summary_errors.c - what csp_correct_summary refuses
 */
#include "correct_summary_fixture.h"

/* In place, so that the outputs are what must not change. */
static void refuse(fixture *f, csp_status status)
{
    const fixture before = *f;

    assert_status(correct(f, f->numbers), status);

    assert_memory_equal(f, &before, sizeof before);
}

static fixture *set_up_fitted(void)
{
    fixture *f = set_up(CSP_F32, 2);
    f->fitted = true;
    return f;
}

TEST(correct_summary_refuses_null_arguments)
{
    static unsigned char workspace[1 << 14];
    const size_t size = sizeof workspace;
    fixture *f = set_up_fitted();
    const fixture before = *f;

    assert_status(csp_correct_summary(NULL, &f->queries, 1.0f, &f->lse, f->unit,
                                      &f->summary, NULL, NULL, workspace, size,
                                      f->corrected),
                  CSP_E_NULL);
    assert_status(csp_correct_summary(&f->outputs, NULL, 1.0f, &f->lse, f->unit,
                                      &f->summary, NULL, NULL, workspace, size,
                                      f->corrected),
                  CSP_E_NULL);
    assert_status(csp_correct_summary(&f->outputs, &f->queries, 1.0f, NULL,
                                      f->unit, &f->summary, NULL, NULL,
                                      workspace, size, f->corrected),
                  CSP_E_NULL);
    assert_status(csp_correct_summary(&f->outputs, &f->queries, 1.0f, &f->lse,
                                      f->unit, NULL, NULL, NULL, workspace,
                                      size, f->corrected),
                  CSP_E_NULL);
    assert_status(csp_correct_summary(&f->outputs, &f->queries, 1.0f, &f->lse,
                                      f->unit, &f->summary, NULL, NULL, NULL,
                                      size, f->corrected),
                  CSP_E_NULL);
    assert_status(correct(f, NULL), CSP_E_NULL);
    assert_memory_equal(f, &before, sizeof before);
}

TEST(correct_summary_refuses_null_inside)
{
    fixture *f = &the_fixture;
    const void **const data[] = {&f->outputs.data, &f->queries.data,
                                 &f->lse.data};
    for (size_t i = 0; i < COUNT(data); i++) {
        set_up_fitted();
        *data[i] = NULL;
        refuse(f, CSP_E_NULL);
    }
    float **const arrays[] = {&f->summary.log_count, &f->summary.variance,
                              &f->fit.offset, &f->fit.slope, &f->fit.limit};
    for (size_t i = 0; i < COUNT(arrays); i++) {
        set_up_fitted();
        *arrays[i] = NULL;
        refuse(f, CSP_E_NULL);
    }
    set_up_fitted();
    f->summary.keys = NULL;
    refuse(f, CSP_E_NULL);
    set_up_fitted();
    f->summary.values = NULL;
    refuse(f, CSP_E_NULL);
}

TEST(correct_summary_refuses_shapes_that_disagree)
{
    fixture *f = &the_fixture;
    uint32_t *const counts[] = {
        &f->outputs.n_rows,    &f->outputs.n_cols, &f->queries.n_heads,
        &f->queries.n_rows,    &f->queries.n_cols, &f->lse.n_heads,
        &f->lse.n_rows,        &f->lse.n_cols,     &f->summary.key_dim,
        &f->summary.value_dim,
    };

    for (size_t i = 0; i < COUNT(counts); i++) {
        set_up_fitted();
        *counts[i] -= 1;
        refuse(f, CSP_E_SHAPE);
    }
    set_up_fitted();
    f->lse.n_cols = 2;
    refuse(f, CSP_E_SHAPE);
    set_up_fitted();
    f->summary.n_kv_heads = 0;
    refuse(f, CSP_E_SHAPE);
    set_up_fitted();
    f->outputs.n_heads = f->queries.n_heads = f->lse.n_heads = 0;
    refuse(f, CSP_E_SHAPE);
}

TEST(correct_summary_refuses_bad_views)
{
    fixture *f = set_up_fitted();
    f->outputs.n_heads = f->queries.n_heads = f->lse.n_heads = 3;
    refuse(f, CSP_E_GQA);
    f = set_up_fitted();
    f->lse.dtype = CSP_F16;
    refuse(f, CSP_E_DTYPE);
    f = set_up_fitted();
    f->outputs.dtype = (csp_dtype)3;
    refuse(f, CSP_E_DTYPE);
    f = set_up_fitted();
    f->queries.dtype = (csp_dtype)-1;
    refuse(f, CSP_E_DTYPE);
    f = set_up_fitted();
    f->summary.dtype = (csp_dtype)3;
    refuse(f, CSP_E_DTYPE);
    f = set_up_fitted();
    f->outputs.row_stride = 0; /* outputs must be distinct */
    refuse(f, CSP_E_STRIDE);
    f = set_up_fitted();
    f->queries.row_stride = 3;
    refuse(f, CSP_E_STRIDE);
    f = set_up_fitted();
    f->outputs.head_stride = SIZE_MAX;
    refuse(f, CSP_E_OVERFLOW);
    f = set_up_fitted();
    f->summary.n_kv_heads = f->summary.key_dim = UINT32_MAX;
    refuse(f, CSP_E_OVERFLOW);
}

TEST(correct_summary_refuses_bad_settings)
{
    fixture *f = set_up_fitted();
    f->unit = (csp_lse_unit)2;
    refuse(f, CSP_E_CONFIG);
    f = set_up_fitted();
    f->scale = NAN;
    refuse(f, CSP_E_CONFIG);
    f = set_up_fitted();
    f->scale = INFINITY;
    refuse(f, CSP_E_CONFIG);
    f = set_up_fitted();
    f->compute.product = (csp_path)3;
    refuse(f, CSP_E_CONFIG);
    f = set_up_fitted();
    f->compute.tier = (csp_tier)99;
    refuse(f, CSP_E_UNSUPPORTED);
    f = set_up_fitted();
    f->missing = 1;
    refuse(f, CSP_E_WORKSPACE);
}

TEST(correct_summary_workspace_size_of_bad_shapes_is_zero)
{
    csp_summary s = {
        .n_kv_heads = 1, .key_dim = KEY_DIM, .value_dim = VALUE_DIM};

    assert_true(csp_correct_summary_workspace_size(&s) > 0);
    s.rank = KEY_DIM + 1;
    assert_int_equal(csp_correct_summary_workspace_size(&s), 0);
    assert_int_equal(csp_correct_summary_workspace_size(NULL), 0);
}

TEST(correct_summary_refuses_a_result_over_what_it_reads)
{
    fixture *f = set_up_fitted();
    const fixture before = *f;

    assert_status(correct(f, f->numbers + 1), CSP_E_OVERLAP);
    assert_status(correct(f, f->numbers + N - 1), CSP_E_OVERLAP);
    assert_status(correct(f, f->query_numbers + KEY_DIM), CSP_E_OVERLAP);
    assert_status(correct(f, f->lse_numbers), CSP_E_OVERLAP);

    assert_memory_equal(f, &before, sizeof before);
}

/* ---- Numbers ------------------------------------------------------------- */

TEST(correct_summary_refuses_numbers_that_are_none)
{
    const float wrong[] = {NAN, INFINITY};

    for (size_t i = 0; i < COUNT(wrong); i++) {
        fixture *f = set_up_fitted();
        f->lse_numbers[HEADS * QUERIES - 1] = wrong[i];
        refuse(f, CSP_E_NOT_FINITE);
        f = set_up_fitted();
        f->query_numbers[COUNT(f->query_numbers) - 1] = wrong[i];
        refuse(f, CSP_E_NOT_FINITE);
        f = set_up_fitted();
        f->offset[HEADS - 1] = wrong[i];
        refuse(f, CSP_E_NOT_FINITE);
        f = set_up_fitted();
        f->slope[HEADS - 1] = -wrong[i];
        refuse(f, CSP_E_NOT_FINITE);
    }
    fixture *f = set_up_fitted();
    f->limit[HEADS - 1] = NAN;
    refuse(f, CSP_E_NOT_FINITE);
}

/* With a fit, whose limit must not hide them, and without. */
TEST(correct_summary_refuses_a_summary_of_what_is_no_number)
{
    const float wrong[] = {NAN, INFINITY};

    for (int fitted = 0; fitted < 2; fitted++)
        for (size_t i = 0; i < COUNT(wrong); i++) {
            fixture *f = set_up(CSP_F32, 2);
            float *const last[] = {f->memory.keys + KV_HEADS * 5 * KEY_DIM - 1,
                                   f->memory.values + KV_HEADS * 3 * VALUE_DIM -
                                       1,
                                   f->memory.log_count + KV_HEADS - 1,
                                   f->memory.variance + KV_HEADS - 1};
            for (size_t j = 0; j < COUNT(last); j++) {
                f = set_up(CSP_F32, 2);
                f->fitted = fitted != 0;
                *last[j] = wrong[i];
                refuse(f, CSP_E_NOT_FINITE);
            }
        }
}

TEST(correct_summary_refuses_products_beyond_floats)
{
    fixture *f = set_up(CSP_F32, 2);
    for (size_t i = 0; i < KEY_DIM; i++)
        f->query_numbers[COUNT(f->query_numbers) - 1 - i] = 3e38f;

    refuse(f, CSP_E_NOT_FINITE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(correct_summary_refuses_null_arguments),
        cmocka_unit_test(correct_summary_refuses_null_inside),
        cmocka_unit_test(correct_summary_refuses_shapes_that_disagree),
        cmocka_unit_test(correct_summary_refuses_bad_views),
        cmocka_unit_test(correct_summary_refuses_bad_settings),
        cmocka_unit_test(correct_summary_workspace_size_of_bad_shapes_is_zero),
        cmocka_unit_test(correct_summary_refuses_a_result_over_what_it_reads),
        cmocka_unit_test(correct_summary_refuses_numbers_that_are_none),
        cmocka_unit_test(
            correct_summary_refuses_a_summary_of_what_is_no_number),
        cmocka_unit_test(correct_summary_refuses_products_beyond_floats),
    };

    return RUN(tests);
}
