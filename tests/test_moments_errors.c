/*
 * test_moments_errors.c - what csp_moments_add refuses
 */
#include "moments_fixture.h"

/* Sums of earlier rounds must stay as they are. */
static void refuse(fixture *f, csp_status status)
{
    for (size_t i = 0; i < COUNT(f->sums.key_key); i++)
        f->sums.key_key[i] = -0.5 * (double)i;
    f->sums.count[0] = 3.0;
    const room before = f->sums;

    assert_status(add(f), status);

    assert_memory_equal(&f->sums, &before, sizeof before);
}

TEST(moments_refuse_numbers_that_cannot_be_added)
{
    const float wrong[] = {NAN, INFINITY, -INFINITY, 0x1.000002p58f, -1e18f};
    const size_t last_key = (KV_HEADS * KEYS - 1) * KEY_DIM + KEY_DIM - 1;
    const size_t last_value = (KV_HEADS * KEYS - 1) * VALUE_DIM + VALUE_DIM - 1;

    for (size_t i = 0; i < COUNT(wrong); i++) {
        fixture *f = set_up();
        f->key_numbers[last_key] = wrong[i];
        refuse(f, CSP_E_NOT_FINITE);
        f = set_up();
        f->value_numbers[last_value] = wrong[i];
        refuse(f, CSP_E_NOT_FINITE);
        f = set_up();
        f->value_numbers[0] = wrong[i];
        refuse(f, CSP_E_NOT_FINITE);
    }
}

TEST(moments_refuse_null)
{
    unsigned char workspace[16];
    fixture *f = set_up();
    assert_status(csp_moments_add(NULL, &f->values, &f->tokens, &f->kept, NULL,
                                  workspace, sizeof workspace, &f->moments),
                  CSP_E_NULL);
    assert_status(csp_moments_add(&f->keys, NULL, &f->tokens, &f->kept, NULL,
                                  workspace, sizeof workspace, &f->moments),
                  CSP_E_NULL);
    assert_status(csp_moments_add(&f->keys, &f->values, NULL, &f->kept, NULL,
                                  workspace, sizeof workspace, &f->moments),
                  CSP_E_NULL);
    assert_status(csp_moments_add(&f->keys, &f->values, &f->tokens, NULL, NULL,
                                  workspace, sizeof workspace, &f->moments),
                  CSP_E_NULL);
    assert_status(csp_moments_add(&f->keys, &f->values, &f->tokens, &f->kept,
                                  NULL, workspace, sizeof workspace, NULL),
                  CSP_E_NULL);
    assert_status(csp_moments_add(&f->keys, &f->values, &f->tokens, &f->kept,
                                  NULL, NULL, 1 << 20, &f->moments),
                  CSP_E_NULL);
}

TEST(moments_refuse_null_inside)
{
    fixture *f = set_up();
    f->keys.data = NULL;
    refuse(f, CSP_E_NULL);
    f = set_up();
    f->values.data = NULL;
    refuse(f, CSP_E_NULL);
    f = set_up();
    f->kept.counts = NULL;
    refuse(f, CSP_E_NULL);
    f = set_up();
    f->kept.rows = NULL;
    refuse(f, CSP_E_NULL);
    double **const arrays[] = {&f->moments.count, &f->moments.key,
                               &f->moments.value, &f->moments.key_key,
                               &f->moments.key_value};
    for (size_t i = 0; i < COUNT(arrays); i++) {
        f = set_up();
        *arrays[i] = NULL;
        refuse(f, CSP_E_NULL);
    }
}

TEST(moments_refuse_shapes_that_disagree)
{
    fixture *f = set_up();
    uint32_t *const counts[] = {
        &f->moments.n_kv_heads, &f->moments.key_dim, &f->moments.value_dim,
        &f->keys.n_heads,       &f->keys.n_rows,     &f->keys.n_cols,
        &f->values.n_heads,     &f->values.n_rows,   &f->values.n_cols};

    for (size_t i = 0; i < COUNT(counts); i++) {
        f = set_up();
        *counts[i] -= 1;
        refuse(f, CSP_E_SHAPE);
        *counts[i] = 0;
        refuse(f, CSP_E_SHAPE);
    }
    f = set_up();
    f->kept.n_lists = 3;
    refuse(f, CSP_E_SHAPE);
    f = set_up();
    f->tokens.n_kv_heads = 0;
    refuse(f, CSP_E_SHAPE);
    f = set_up();
    f->tokens.counts = f->in_use;
    f->in_use[1] = KEYS + 1;
    refuse(f, CSP_E_SHAPE);
}

TEST(moments_refuse_bad_lists)
{
    fixture *f = set_up();
    f->rows[1] = f->rows[0];
    refuse(f, CSP_E_INDEX);
    f = set_up();
    f->rows[KEYS + f->counts[1] - 1] = KEYS;
    refuse(f, CSP_E_INDEX);
    f = set_up();
    f->kept.capacity = f->counts[0] - 1;
    refuse(f, CSP_E_CAPACITY);
    f = set_up();
    f->tokens.spans = (const csp_span[]){{5, 4, 0}};
    f->tokens.n_spans = 1;
    refuse(f, CSP_E_SPAN);
}

TEST(moments_refuse_bad_views)
{
    fixture *f = set_up();
    f->keys.dtype = (csp_dtype)3;
    refuse(f, CSP_E_DTYPE);
    f = set_up();
    f->values.dtype = (csp_dtype)-1;
    refuse(f, CSP_E_DTYPE);
    f = set_up();
    f->values.row_stride = 3;
    refuse(f, CSP_E_STRIDE);
    f = set_up();
    f->keys.col_stride = 2;
    refuse(f, CSP_E_STRIDE);
    f = set_up();
    f->keys.head_stride = SIZE_MAX;
    refuse(f, CSP_E_OVERFLOW);
}

TEST(moments_refuse_sizes_beyond_the_address_space)
{
    fixture *f = set_up();
    f->moments.key_dim = f->moments.value_dim = UINT32_MAX;

    refuse(f, CSP_E_OVERFLOW);

    f->moments.value_dim = 1; /* keys with keys are too many */
    refuse(f, CSP_E_OVERFLOW);
    f->moments.n_kv_heads = 1;
    f->moments.key_dim = 1;
    f->moments.value_dim = 1u << 28; /* fits even where a size_t has 32 bits */
    refuse(f, CSP_E_SHAPE);
}

TEST(moments_refuse_unknown_settings)
{
    fixture *f = set_up();
    f->compute.product = (csp_path)3;
    refuse(f, CSP_E_CONFIG);
    f = set_up();
    f->compute.tier = (csp_tier)99;
    refuse(f, CSP_E_UNSUPPORTED);
    f = set_up();
    f->compute.tier =
        csp_has_tier(CSP_TIER_NEON) ? CSP_TIER_AVX2 : CSP_TIER_NEON;
    refuse(f, CSP_E_UNSUPPORTED);
    if (!csp_has_blas()) {
        f = set_up();
        f->compute.product = CSP_PATH_BLAS;
        refuse(f, CSP_E_UNSUPPORTED);
    }
}

TEST(moments_refuse_too_small_a_workspace)
{
    fixture *f = set_up();

    f->missing = 1;

    refuse(f, CSP_E_WORKSPACE);
}

TEST(moments_workspace_size_of_bad_counts_is_zero)
{
    assert_int_equal(csp_moments_workspace_size(0, VALUE_DIM), 0);
    assert_int_equal(csp_moments_workspace_size(KEY_DIM, 0), 0);
    assert_int_equal(csp_moments_workspace_size(UINT32_MAX, UINT32_MAX), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moments_refuse_numbers_that_cannot_be_added),
        cmocka_unit_test(moments_refuse_null),
        cmocka_unit_test(moments_refuse_null_inside),
        cmocka_unit_test(moments_refuse_shapes_that_disagree),
        cmocka_unit_test(moments_refuse_bad_lists),
        cmocka_unit_test(moments_refuse_bad_views),
        cmocka_unit_test(moments_refuse_sizes_beyond_the_address_space),
        cmocka_unit_test(moments_refuse_unknown_settings),
        cmocka_unit_test(moments_refuse_too_small_a_workspace),
        cmocka_unit_test(moments_workspace_size_of_bad_counts_is_zero),
    };

    return RUN(tests);
}
