/*
 * test_values.c - norms of value rows (E12)
 */
#include "test.h"

#include "numeric.h"

/* Two heads of two rows of three channels, and a row behind. */
static const float values[] = {3, 4, 0, 0,  0,  0, 9, 9, 9,
                               1, 2, 2, -6, -2, 3, 9, 9, 9};
static const float expected[] = {5, 0, 3, 7};

static csp_tokens two_by_two(void)
{
    return (csp_tokens){.n_kv_heads = 2, .n_keys = 2};
}

TEST(value_norms_are_euclidean)
{
    const csp_tokens tokens = two_by_two();
    const csp_tensor v = csp_tensor_packed(values, CSP_F32, 2, 3, 3);
    guarded norms = guard(NULL, 4 * sizeof(float));

    assert_ok(csp_value_norms(&v, &tokens, 2, (float *)(void *)norms.data));

    assert_floats((const float *)(const void *)norms.data, expected);
    unguard(&norms);
}

TEST(value_norms_leave_other_rows_alone)
{
    const uint32_t counts[] = {1, 2};
    csp_tokens tokens = two_by_two();
    const csp_tensor v = csp_tensor_packed(values, CSP_F32, 2, 3, 3);
    float norms[] = {-1, -1, -1, -1, -1, -1};
    const float with_gaps[] = {5, -1, -1, 3, 7, -1};
    tokens.counts = counts;

    assert_ok(csp_value_norms(&v, &tokens, 3, norms));

    assert_floats(norms, with_gaps);
}

TEST(value_norms_take_halves)
{
    const csp_tokens tokens = two_by_two();

    for (int dtype = CSP_F16; dtype <= CSP_BF16; dtype++) {
        uint16_t halves[COUNT(values)];
        float norms[4];
        for (size_t i = 0; i < COUNT(values); i++)
            halves[i] = dtype == CSP_F16 ? csp__to_f16(values[i])
                                         : csp__to_bf16(values[i]);
        const csp_tensor v =
            csp_tensor_packed(halves, (csp_dtype)dtype, 2, 3, 3);
        assert_ok(csp_value_norms(&v, &tokens, 2, norms));
        assert_floats(norms, expected);
    }
}

TEST(value_norms_take_transposed_rows)
{
    const csp_tokens tokens = two_by_two();
    float transposed[12], norms[4];
    for (size_t h = 0; h < 2; h++)
        for (size_t t = 0; t < 2; t++)
            for (size_t d = 0; d < 3; d++)
                transposed[(h * 3 + d) * 2 + t] = values[(h * 3 + t) * 3 + d];
    guarded view = guard(transposed, sizeof transposed);
    csp_tensor v = csp_tensor_packed(view.data, CSP_F32, 2, 2, 3);
    v.row_stride = 4;
    v.col_stride = 8;

    assert_ok(csp_value_norms(&v, &tokens, 2, norms));

    assert_floats(norms, expected);
    unguard(&view);
}

TEST(value_norms_take_rows_longer_than_a_chunk)
{
    enum { DIM = 1000 };
    const csp_tokens tokens = {.n_kv_heads = 1, .n_keys = 1};
    float row[DIM], norm;
    double sum = 0.0;
    for (size_t i = 0; i < DIM; i++) {
        row[i] = sinf((float)i);
        sum += (double)row[i] * (double)row[i];
    }
    guarded view = guard(row, sizeof row);
    const csp_tensor v = csp_tensor_packed(view.data, CSP_F32, 1, 1, DIM);

    assert_ok(csp_value_norms(&v, &tokens, 1, &norm));

    assert_near(norm, sqrt(sum), 1e-6);
    unguard(&view);
}

TEST(value_norms_of_no_channels_are_zero)
{
    const csp_tokens tokens = two_by_two();
    const csp_tensor v = csp_tensor_packed(NULL, CSP_F32, 2, 2, 0);
    const float zeros[] = {0, 0, 0, 0};
    float norms[] = {1, 1, 1, 1};

    assert_ok(csp_value_norms(&v, &tokens, 2, norms));

    assert_floats(norms, zeros);
}

TEST(value_norms_of_no_keys_are_none)
{
    const csp_tokens tokens = {.n_kv_heads = 2};
    const csp_tensor v = csp_tensor_packed(NULL, CSP_F32, 2, 0, 3);

    assert_ok(csp_value_norms(&v, &tokens, 0, NULL));
}

/* An error writes nothing. */
static void refuse(const csp_tensor *v, const csp_tokens *tokens,
                   uint32_t capacity, csp_status status)
{
    float norms[] = {11, 12, 13, 14};
    const float before[] = {11, 12, 13, 14};

    assert_status(csp_value_norms(v, tokens, capacity, norms), status);

    assert_memory_equal(norms, before, sizeof norms);
}

TEST(value_norms_refuse_null)
{
    const csp_tokens tokens = two_by_two();
    csp_tensor v = csp_tensor_packed(values, CSP_F32, 2, 3, 3);

    refuse(NULL, &tokens, 2, CSP_E_NULL);
    refuse(&v, NULL, 2, CSP_E_NULL);
    assert_status(csp_value_norms(&v, &tokens, 2, NULL), CSP_E_NULL);
    v.data = NULL;
    refuse(&v, &tokens, 2, CSP_E_NULL);
}

TEST(value_norms_refuse_shapes_that_disagree)
{
    csp_tokens tokens = two_by_two();
    const csp_tensor one_head = csp_tensor_packed(values, CSP_F32, 1, 3, 3);
    const csp_tensor one_row = csp_tensor_packed(values, CSP_F32, 2, 1, 3);

    refuse(&one_head, &tokens, 2, CSP_E_SHAPE);
    refuse(&one_row, &tokens, 2, CSP_E_SHAPE);
    tokens.n_kv_heads = 0;
    refuse(&one_head, &tokens, 2, CSP_E_SHAPE);
}

TEST(value_norms_refuse_bad_views)
{
    const csp_tokens tokens = two_by_two();
    csp_tensor v = csp_tensor_packed(values, CSP_F32, 2, 3, 3);

    v.dtype = (csp_dtype)9;
    refuse(&v, &tokens, 2, CSP_E_DTYPE);
    v = csp_tensor_packed(values, CSP_F32, 2, 3, 3);
    v.row_stride = 5;
    refuse(&v, &tokens, 2, CSP_E_STRIDE);
    v.head_stride = SIZE_MAX;
    refuse(&v, &tokens, 2, CSP_E_OVERFLOW);
}

TEST(value_norms_refuse_little_room)
{
    const csp_tokens tokens = two_by_two();
    const csp_tensor v = csp_tensor_packed(values, CSP_F32, 2, 3, 3);

    refuse(&v, &tokens, 1, CSP_E_CAPACITY);
}

TEST(value_norms_refuse_numbers_that_are_none)
{
    const float wrong[] = {NAN, INFINITY, -INFINITY};
    const csp_tokens tokens = two_by_two();

    for (size_t i = 0; i < COUNT(wrong); i++) {
        float copy[COUNT(values)];
        memcpy(copy, values, sizeof copy);
        copy[14] =
            wrong[i]; /* the last row: the others are not written either */
        const csp_tensor v = csp_tensor_packed(copy, CSP_F32, 2, 3, 3);
        refuse(&v, &tokens, 2, CSP_E_NOT_FINITE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(value_norms_are_euclidean),
        cmocka_unit_test(value_norms_leave_other_rows_alone),
        cmocka_unit_test(value_norms_take_halves),
        cmocka_unit_test(value_norms_take_transposed_rows),
        cmocka_unit_test(value_norms_take_rows_longer_than_a_chunk),
        cmocka_unit_test(value_norms_of_no_channels_are_zero),
        cmocka_unit_test(value_norms_of_no_keys_are_none),
        cmocka_unit_test(value_norms_refuse_null),
        cmocka_unit_test(value_norms_refuse_shapes_that_disagree),
        cmocka_unit_test(value_norms_refuse_bad_views),
        cmocka_unit_test(value_norms_refuse_little_room),
        cmocka_unit_test(value_norms_refuse_numbers_that_are_none),
    };

    return RUN(tests);
}
