/*
 * test_value_distances.c - what value rows differ from their mean (E12)
 */
#include "test.h"

#include "numeric.h"

/* Two heads of three rows of two channels, of means (2, 2) and (0, 0). */
static const float values[] = {5, 6, 2, 2, -1, -2, 3, 4, -3, -4, 0, 0};
static const float expected[] = {5, 0, 5, 5, 5, 0};

enum { N = 6 };

static csp_tokens two_by_three(void)
{
    return (csp_tokens){.n_kv_heads = 2, .n_keys = 3};
}

/* Distances with a workspace that ends where it may. */
static csp_status distances_of(const csp_tensor *v, const csp_tokens *tokens,
                               uint32_t capacity, float *distances)
{
    const uint32_t dim = v != NULL ? v->n_cols : 1;
    guarded workspace = guard(NULL, csp_value_distances_workspace_size(2, dim));
    const csp_status status = csp_value_distances(
        v, tokens, workspace.data, workspace.size, capacity, distances);

    unguard(&workspace);
    return status;
}

TEST(value_distances_are_from_the_mean_row)
{
    const csp_tokens tokens = two_by_three();
    const csp_tensor v = csp_tensor_packed(values, CSP_F32, 2, 3, 2);
    guarded distances = guard(NULL, N * sizeof(float));

    assert_ok(distances_of(&v, &tokens, 3, (float *)(void *)distances.data));

    assert_floats((const float *)(const void *)distances.data, expected);
    unguard(&distances);
}

TEST(value_distances_know_only_rows_in_use)
{
    const uint32_t counts[] = {2, 1};
    csp_tokens tokens = two_by_three();
    const csp_tensor v = csp_tensor_packed(values, CSP_F32, 2, 3, 2);
    float distances[] = {-1, -1, -1, -1, -1, -1, -1, -1};
    const float half_of_the_way[] = {2.5f, 2.5f, -1, -1, 0, -1, -1, -1};
    tokens.counts = counts;

    assert_ok(distances_of(&v, &tokens, 4, distances));

    assert_floats(distances, half_of_the_way);
}

TEST(value_distances_of_equal_rows_are_zero)
{
    const csp_tokens tokens = two_by_three();
    float alike[N * 2], distances[N];
    const float zeros[N] = {0};
    for (size_t i = 0; i < COUNT(alike); i++)
        alike[i] = i % 2 == 0 ? 0.1f : -7e20f;
    const csp_tensor v = csp_tensor_packed(alike, CSP_F32, 2, 3, 2);

    assert_ok(distances_of(&v, &tokens, 3, distances));

    assert_floats(distances, zeros);
}

TEST(value_distances_take_halves)
{
    const csp_tokens tokens = two_by_three();

    for (int dtype = CSP_F16; dtype <= CSP_BF16; dtype++) {
        uint16_t halves[COUNT(values)];
        float distances[N];
        for (size_t i = 0; i < COUNT(values); i++)
            halves[i] = dtype == CSP_F16 ? csp__to_f16(values[i])
                                         : csp__to_bf16(values[i]);
        const csp_tensor v =
            csp_tensor_packed(halves, (csp_dtype)dtype, 2, 3, 2);
        assert_ok(distances_of(&v, &tokens, 3, distances));
        assert_floats(distances, expected);
    }
}

TEST(value_distances_take_transposed_rows)
{
    const csp_tokens tokens = two_by_three();
    float transposed[COUNT(values)], distances[N];
    for (size_t h = 0; h < 2; h++)
        for (size_t t = 0; t < 3; t++)
            for (size_t d = 0; d < 2; d++)
                transposed[(h * 2 + d) * 3 + t] = values[(h * 3 + t) * 2 + d];
    guarded view = guard(transposed, sizeof transposed);
    csp_tensor v = csp_tensor_packed(view.data, CSP_F32, 2, 3, 2);
    v.row_stride = 4;
    v.col_stride = 12;

    assert_ok(distances_of(&v, &tokens, 3, distances));

    assert_floats(distances, expected);
    unguard(&view);
}

TEST(value_distances_take_rows_longer_than_a_chunk)
{
    enum { DIM = 1000, ROWS = 5 };
    const csp_tokens tokens = {.n_kv_heads = 1, .n_keys = ROWS};
    static float rows[ROWS * DIM];
    float distances[ROWS];
    for (size_t i = 0; i < COUNT(rows); i++)
        rows[i] = sinf((float)i);
    guarded view = guard(rows, sizeof rows);
    const csp_tensor v = csp_tensor_packed(view.data, CSP_F32, 1, ROWS, DIM);

    assert_ok(distances_of(&v, &tokens, ROWS, distances));

    for (size_t t = 0; t < ROWS; t++) {
        double squares = 0.0;
        for (size_t d = 0; d < DIM; d++) {
            double mean = 0.0;
            for (size_t r = 0; r < ROWS; r++)
                mean += (double)rows[r * DIM + d] / ROWS;
            const double x = (double)rows[t * DIM + d] - mean;
            squares += x * x;
        }
        assert_near(distances[t], sqrt(squares), 1e-6);
    }
    unguard(&view);
}

TEST(value_distances_of_no_channels_are_zero)
{
    const csp_tokens tokens = two_by_three();
    const csp_tensor v = csp_tensor_packed(NULL, CSP_F32, 2, 3, 0);
    const float zeros[N] = {0};
    float distances[] = {1, 1, 1, 1, 1, 1};

    assert_ok(distances_of(&v, &tokens, 3, distances));

    assert_floats(distances, zeros);
}

TEST(value_distances_of_no_keys_are_none)
{
    const csp_tokens tokens = {.n_kv_heads = 2};
    const csp_tensor v = csp_tensor_packed(NULL, CSP_F32, 2, 0, 3);

    assert_ok(distances_of(&v, &tokens, 0, NULL));
}

/* An error writes nothing. */
static void refuse(const csp_tensor *v, const csp_tokens *tokens,
                   uint32_t capacity, csp_status status)
{
    float distances[] = {11, 12, 13, 14, 15, 16};
    const float before[] = {11, 12, 13, 14, 15, 16};

    assert_status(distances_of(v, tokens, capacity, distances), status);

    assert_memory_equal(distances, before, sizeof distances);
}

TEST(value_distances_refuse_what_norms_refuse)
{
    csp_tokens tokens = two_by_three();
    const csp_tensor v = csp_tensor_packed(values, CSP_F32, 2, 3, 2);
    const csp_tensor one_row = csp_tensor_packed(values, CSP_F32, 2, 1, 2);
    csp_tensor strange = v, narrow = v;
    strange.dtype = (csp_dtype)9;
    narrow.row_stride = 5;

    refuse(NULL, &tokens, 3, CSP_E_NULL);
    refuse(&v, NULL, 3, CSP_E_NULL);
    assert_status(distances_of(&v, &tokens, 3, NULL), CSP_E_NULL);
    refuse(&one_row, &tokens, 3, CSP_E_SHAPE);
    refuse(&strange, &tokens, 3, CSP_E_DTYPE);
    refuse(&narrow, &tokens, 3, CSP_E_STRIDE);
    refuse(&v, &tokens, 2, CSP_E_CAPACITY);
    tokens.n_kv_heads = 0;
    refuse(&v, &tokens, 3, CSP_E_SHAPE);
}

TEST(value_distances_refuse_little_workspace)
{
    const csp_tokens tokens = two_by_three();
    const csp_tensor v = csp_tensor_packed(values, CSP_F32, 2, 3, 2);
    const size_t size = csp_value_distances_workspace_size(2, 2);
    unsigned char workspace[1024];
    float distances[N] = {0};
    const float zeros[N] = {0};

    assert_in_range(size, 1, sizeof workspace);
    assert_status(
        csp_value_distances(&v, &tokens, workspace, size - 1, 3, distances),
        CSP_E_WORKSPACE);
    assert_status(csp_value_distances(&v, &tokens, NULL, size, 3, distances),
                  CSP_E_NULL);
    assert_floats(distances, zeros);
    assert_int_equal(csp_value_distances_workspace_size(0, 2), 0);
}

TEST(value_distances_refuse_numbers_that_are_none)
{
    const float wrong[] = {NAN, INFINITY, -INFINITY, FLT_MAX};
    const csp_tokens tokens = two_by_three();

    for (size_t i = 0; i < COUNT(wrong); i++) {
        float copy[COUNT(values)];
        memcpy(copy, values, sizeof copy);
        copy[N * 2 - 1] = wrong[i]; /* nor are the others written */
        const csp_tensor v = csp_tensor_packed(copy, CSP_F32, 2, 3, 2);
        refuse(&v, &tokens, 3, CSP_E_NOT_FINITE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(value_distances_are_from_the_mean_row),
        cmocka_unit_test(value_distances_know_only_rows_in_use),
        cmocka_unit_test(value_distances_of_equal_rows_are_zero),
        cmocka_unit_test(value_distances_take_halves),
        cmocka_unit_test(value_distances_take_transposed_rows),
        cmocka_unit_test(value_distances_take_rows_longer_than_a_chunk),
        cmocka_unit_test(value_distances_of_no_channels_are_zero),
        cmocka_unit_test(value_distances_of_no_keys_are_none),
        cmocka_unit_test(value_distances_refuse_what_norms_refuse),
        cmocka_unit_test(value_distances_refuse_little_workspace),
        cmocka_unit_test(value_distances_refuse_numbers_that_are_none),
    };

    return RUN(tests);
}
