/*
 * test_views.c - packed views, checks of strided views
 */
#include "test.h"

#include "views.h"

static const float numbers[64];

TEST(tensor_packed_has_the_strides_of_an_array)
{
    csp_tensor t = csp_tensor_packed(numbers, CSP_BF16, 2, 3, 5);

    assert_ptr_equal(t.data, numbers);
    assert_int_equal(t.dtype, CSP_BF16);
    assert_int_equal(t.n_heads, 2);
    assert_int_equal(t.n_rows, 3);
    assert_int_equal(t.n_cols, 5);
    assert_int_equal(t.col_stride, 2);
    assert_int_equal(t.row_stride, 10);
    assert_int_equal(t.head_stride, 30);
    assert_int_equal(csp_tensor_packed(numbers, CSP_F32, 2, 3, 5).head_stride,
                     60);
}

TEST(tensor_packed_too_large_is_refused_by_checks)
{
    size_t extent = 7;
    csp_tensor t =
        csp_tensor_packed(numbers, CSP_F32, UINT32_MAX, UINT32_MAX, UINT32_MAX);

    assert_status(csp__check_tensor(&t, true, true, &extent), CSP_E_OVERFLOW);
    t = csp_tensor_packed(numbers, CSP_F32, 1, UINT32_MAX, UINT32_MAX);
    assert_status(csp__check_tensor(&t, true, true, &extent), CSP_E_OVERFLOW);

    assert_int_equal(extent, 7);
}

TEST(cells_packed_has_the_strides_of_an_array)
{
    unsigned char bytes[2 * 3 * 34];
    const csp_cells c = csp_cells_packed(bytes, 2, 3, 34);

    assert_ptr_equal(c.data, bytes);
    assert_int_equal(c.n_heads, 2);
    assert_int_equal(c.n_channels, 1);
    assert_int_equal(c.n_tokens, 3);
    assert_int_equal(c.cell_size, 34);
    assert_int_equal(c.token_stride, 34);
    assert_int_equal(c.head_stride, 102);
    assert_null(c.pages);
}

TEST(cells_packed_too_large_is_refused_by_compact)
{
    unsigned char byte = 7;
    uint32_t zero = 0;
    const csp_kept none = {.counts = &zero, .n_lists = 1};
    const csp_cells c = csp_cells_packed(&byte, 2, UINT32_MAX, SIZE_MAX / 2);

    assert_status(csp_compact(&c, 1, &none, NULL), CSP_E_OVERFLOW);

    assert_int_equal(byte, 7);
}

TEST(dtype_size_of_unknown_type_is_zero)
{
    assert_int_equal(csp__dtype_size(CSP_F32), 4);
    assert_int_equal(csp__dtype_size(CSP_F16), 2);
    assert_int_equal(csp__dtype_size(CSP_BF16), 2);
    assert_int_equal(csp__dtype_size((csp_dtype)3), 0);
    assert_int_equal(csp__dtype_size((csp_dtype)-1), 0);
}

TEST(check_tensor_measures_to_behind_the_last_element)
{
    size_t extent;
    csp_tensor t = csp_tensor_packed(numbers, CSP_F32, 2, 3, 4);

    assert_ok(csp__check_tensor(&t, false, true, &extent));
    assert_int_equal(extent, 96);
    t.row_stride = 20; /* the last row is not padded */
    t.head_stride = 60;
    assert_ok(csp__check_tensor(&t, false, true, &extent));
    assert_int_equal(extent, 60 + 40 + 16);
}

TEST(check_tensor_ignores_strides_of_single_counts)
{
    size_t extent;
    csp_tensor t = csp_tensor_packed(numbers, CSP_F32, 1, 1, 1);

    t.head_stride = t.row_stride = SIZE_MAX;
    t.col_stride = 3;

    assert_ok(csp__check_tensor(&t, false, true, &extent));
    assert_int_equal(extent, 4);
}

TEST(check_tensor_refuses_unknown_type)
{
    csp_tensor t = csp_tensor_packed(numbers, CSP_F32, 1, 1, 1);

    t.dtype = (csp_dtype)3;

    assert_status(csp__check_tensor(&t, true, false, NULL), CSP_E_DTYPE);
}

TEST(check_tensor_refuses_null_unless_empty)
{
    csp_tensor t = csp_tensor_packed(NULL, CSP_F32, 1, 1, 1);

    assert_status(csp__check_tensor(&t, true, false, NULL), CSP_E_NULL);
    t.n_rows = 0;
    assert_ok(csp__check_tensor(&t, true, false, NULL));
}

TEST(check_tensor_refuses_gaps_between_columns_where_contiguous)
{
    csp_tensor t = csp_tensor_packed(numbers, CSP_F32, 1, 2, 3);

    t.col_stride = 8;
    t.row_stride = 24;

    assert_status(csp__check_tensor(&t, true, true, NULL), CSP_E_STRIDE);
    assert_ok(csp__check_tensor(&t, true, false, NULL));
}

TEST(check_tensor_takes_transposed_columns)
{
    size_t extent;
    csp_tensor t = csp_tensor_packed(numbers, CSP_F16, 2, 5, 3);

    t.row_stride = 2;
    t.col_stride = 2 * 5;
    t.head_stride = 2 * 15;

    assert_ok(csp__check_tensor(&t, false, false, &extent));
    assert_int_equal(extent, 60);
}

TEST(check_tensor_lets_inputs_repeat_but_not_outputs)
{
    csp_tensor t = csp_tensor_packed(numbers, CSP_F32, 4, 3, 2);
    size_t extent;

    t.head_stride = 0;

    assert_ok(csp__check_tensor(&t, true, true, &extent));
    assert_int_equal(extent, 24);
    assert_status(csp__check_tensor(&t, false, true, &extent), CSP_E_STRIDE);
}

TEST(check_tensor_refuses_rows_that_overlap)
{
    csp_tensor t = csp_tensor_packed(numbers, CSP_F32, 1, 3, 4);

    t.row_stride = 15;

    assert_status(csp__check_tensor(&t, true, true, NULL), CSP_E_STRIDE);
}

TEST(check_tensor_names_overflow)
{
    csp_tensor t = csp_tensor_packed(numbers, CSP_F32, 3, 3, 4);

    t.head_stride = SIZE_MAX / 2;
    assert_status(csp__check_tensor(&t, true, true, NULL), CSP_E_OVERFLOW);
    t.head_stride = PTRDIFF_MAX / 2; /* fits size_t, but is no object */
    assert_status(csp__check_tensor(&t, true, true, NULL), CSP_E_OVERFLOW);
}

TEST(check_cells_names_overflow_of_a_single_cell)
{
    const csp__dim one[] = {{1, 0}};
    size_t extent;

    assert_status(csp__check_cells(one, 1, SIZE_MAX, false, &extent),
                  CSP_E_OVERFLOW);
}

TEST(check_cells_takes_dimensions_in_any_order)
{
    const csp__dim dims[] = {{2, 4}, {3, 8}, {5, 240}, {2, 120}, {5, 24}};
    size_t extent;

    assert_ok(csp__check_cells(dims, 5, 4, false, &extent));
    assert_int_equal(extent, 4 + 4 + 16 + 4 * 240 + 120 + 96);
}

TEST(check_cells_of_zero_count_span_nothing)
{
    const csp__dim dims[] = {{2, 1}, {0, 0}};
    size_t extent = 9;

    assert_ok(csp__check_cells(dims, 2, 4, false, &extent));
    assert_int_equal(extent, 0);
}

TEST(check_array_names_overflow)
{
    const uint32_t half = UINT32_C(1) << 30;

    assert_ok(csp__check_array(0, UINT32_MAX));
    assert_ok(csp__check_array(UINT32_MAX, 0));
    assert_status(csp__check_array(UINT32_MAX, UINT32_MAX), CSP_E_OVERFLOW);
    /* Fits size_t where that has 64 bits, but is no object. */
    assert_status(csp__check_array(half, 2 * half), CSP_E_OVERFLOW);
}

TEST(overlap_is_exact_at_the_edges)
{
    const unsigned char *bytes = (const unsigned char *)numbers;

    assert_false(csp__overlap(bytes, 8, bytes + 8, 8));
    assert_false(csp__overlap(bytes + 8, 8, bytes, 8));
    assert_true(csp__overlap(bytes, 9, bytes + 8, 8));
    assert_true(csp__overlap(bytes + 8, 8, bytes, 9));
    assert_true(csp__overlap(bytes, 8, bytes, 1));
    assert_false(csp__overlap(bytes, 8, bytes + 4, 0));
    assert_false(csp__overlap(bytes + 4, 0, bytes, 8));
    assert_false(csp__overlap(NULL, 0, bytes, 8));
}

TEST(row_at_steps_heads_and_rows)
{
    csp_tensor t = csp_tensor_packed(numbers, CSP_F32, 2, 3, 4);

    assert_ptr_equal(csp__row_at(&t, 1, 2), numbers + 12 + 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tensor_packed_has_the_strides_of_an_array),
        cmocka_unit_test(tensor_packed_too_large_is_refused_by_checks),
        cmocka_unit_test(cells_packed_has_the_strides_of_an_array),
        cmocka_unit_test(cells_packed_too_large_is_refused_by_compact),
        cmocka_unit_test(dtype_size_of_unknown_type_is_zero),
        cmocka_unit_test(check_tensor_measures_to_behind_the_last_element),
        cmocka_unit_test(check_tensor_ignores_strides_of_single_counts),
        cmocka_unit_test(check_tensor_refuses_unknown_type),
        cmocka_unit_test(check_tensor_refuses_null_unless_empty),
        cmocka_unit_test(
            check_tensor_refuses_gaps_between_columns_where_contiguous),
        cmocka_unit_test(check_tensor_takes_transposed_columns),
        cmocka_unit_test(check_tensor_lets_inputs_repeat_but_not_outputs),
        cmocka_unit_test(check_tensor_refuses_rows_that_overlap),
        cmocka_unit_test(check_tensor_names_overflow),
        cmocka_unit_test(check_cells_names_overflow_of_a_single_cell),
        cmocka_unit_test(check_cells_takes_dimensions_in_any_order),
        cmocka_unit_test(check_cells_of_zero_count_span_nothing),
        cmocka_unit_test(check_array_names_overflow),
        cmocka_unit_test(overlap_is_exact_at_the_edges),
        cmocka_unit_test(row_at_steps_heads_and_rows),
    };

    return RUN(tests);
}
