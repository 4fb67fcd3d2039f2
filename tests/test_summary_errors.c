/*
 * test_summary_errors.c - what cannot be summarised or expanded
 */
#include "summary_fixture.h"

typedef struct fixture {
    room sums;
    csp_moments moments;
    stored memory;
    csp_summary summary;
    size_t missing; /* bytes of the workspace */
} fixture;

static fixture the_fixture;

static fixture *set_up(csp_dtype dtype)
{
    fixture *f = &the_fixture;
    random_source random = {4};

    memset(f, 0, sizeof *f);
    for (size_t g = 0; g < KV_HEADS; g++) {
        const gauss x = draw_gauss(&random, 50.0, eigenvalues, singular);
        add_gauss(&x, g, &f->sums);
    }
    f->moments = moments_of(&f->sums);
    f->summary = summary_of(&f->memory, dtype, 2);
    return f;
}

static csp_status summarise(fixture *f)
{
    guarded workspace = guard(
        NULL, csp_summarise_workspace_size(KEY_DIM, VALUE_DIM) - f->missing);

    const csp_status status =
        csp_summarise(&f->moments, workspace.data, workspace.size, &f->summary);
    unguard(&workspace);
    return status;
}

static csp_status expand(fixture *f)
{
    const csp_summary like = {.n_kv_heads = KV_HEADS,
                              .key_dim = KEY_DIM,
                              .value_dim = VALUE_DIM,
                              .rank = 2};
    guarded workspace =
        guard(NULL, csp_summary_expand_workspace_size(&like) - f->missing);

    const csp_status status = csp_summary_expand(&f->summary, workspace.data,
                                                 workspace.size, &f->moments);
    unguard(&workspace);
    return status;
}

/* Neither moments nor what is stored may change. */
static void refuse(csp_status (*verb)(fixture *), fixture *f, csp_status status)
{
    const fixture before = *f;

    assert_status(verb(f), status);

    assert_memory_equal(f, &before, sizeof before);
}

/* ---- What both refuse ---------------------------------------------------- */

static csp_status (*const verbs[])(fixture *) = {summarise, expand};

/* A summary of these moments, so that both verbs have what they need. */
static fixture *set_up_both(void)
{
    fixture *f = set_up(CSP_F32);
    assert_ok(summarise(f));
    return f;
}

TEST(summary_refuses_null)
{
    for (size_t v = 0; v < COUNT(verbs); v++) {
        fixture *f = set_up_both();
        double **const sums[] = {&f->moments.count, &f->moments.key,
                                 &f->moments.value, &f->moments.key_key,
                                 &f->moments.key_value};
        for (size_t i = 0; i < COUNT(sums); i++) {
            f = set_up_both();
            *sums[i] = NULL;
            refuse(verbs[v], f, CSP_E_NULL);
        }
        f = set_up_both();
        f->summary.keys = NULL;
        refuse(verbs[v], f, CSP_E_NULL);
        f = set_up_both();
        f->summary.values = NULL;
        refuse(verbs[v], f, CSP_E_NULL);
        f = set_up_both();
        f->summary.log_count = NULL;
        refuse(verbs[v], f, CSP_E_NULL);
        f = set_up_both();
        f->summary.variance = NULL;
        refuse(verbs[v], f, CSP_E_NULL);
    }
}

TEST(summary_refuses_null_arguments)
{
    static unsigned char workspace[1 << 14];
    const size_t size = sizeof workspace;
    fixture *f = set_up_both();

    assert_status(csp_summarise(NULL, workspace, size, &f->summary),
                  CSP_E_NULL);
    assert_status(csp_summarise(&f->moments, workspace, size, NULL),
                  CSP_E_NULL);
    assert_status(csp_summarise(&f->moments, NULL, size, &f->summary),
                  CSP_E_NULL);
    assert_status(csp_summary_expand(NULL, workspace, size, &f->moments),
                  CSP_E_NULL);
    assert_status(csp_summary_expand(&f->summary, workspace, size, NULL),
                  CSP_E_NULL);
    assert_status(csp_summary_expand(&f->summary, NULL, size, &f->moments),
                  CSP_E_NULL);
}

TEST(summary_refuses_shapes_that_disagree)
{
    for (size_t v = 0; v < COUNT(verbs); v++) {
        fixture *f = set_up_both();
        uint32_t *const counts[] = {
            &f->moments.n_kv_heads, &f->moments.key_dim, &f->moments.value_dim,
            &f->summary.n_kv_heads, &f->summary.key_dim, &f->summary.value_dim};
        for (size_t i = 0; i < COUNT(counts); i++) {
            f = set_up_both();
            *counts[i] -= 1;
            refuse(verbs[v], f, CSP_E_SHAPE);
            *counts[i] = 0;
            refuse(verbs[v], f, CSP_E_SHAPE);
        }
        f = set_up_both();
        f->summary.rank = KEY_DIM + 1;
        refuse(verbs[v], f, CSP_E_SHAPE);
    }
}

TEST(summary_refuses_unknown_types)
{
    for (size_t v = 0; v < COUNT(verbs); v++) {
        fixture *f = set_up_both();
        f->summary.dtype = (csp_dtype)3;
        refuse(verbs[v], f, CSP_E_DTYPE);
    }
}

TEST(summary_refuses_sizes_beyond_the_address_space)
{
    for (size_t v = 0; v < COUNT(verbs); v++) {
        fixture *f = set_up_both();
        f->moments.key_dim = f->summary.key_dim = UINT32_MAX;
        f->moments.value_dim = f->summary.value_dim = UINT32_MAX;
        refuse(verbs[v], f, CSP_E_OVERFLOW);
        f = set_up_both();
        f->summary.n_kv_heads = UINT32_MAX;
        f->summary.rank = f->summary.key_dim = UINT32_MAX;
        refuse(verbs[v], f, CSP_E_OVERFLOW);
    }
}

TEST(summary_refuses_too_small_a_workspace)
{
    for (size_t v = 0; v < COUNT(verbs); v++) {
        fixture *f = set_up_both();
        f->missing = 1;
        refuse(verbs[v], f, CSP_E_WORKSPACE);
    }
}

/* ---- Numbers ------------------------------------------------------------- */

TEST(summarise_refuses_moments_that_are_none)
{
    const double wrong[] = {(double)NAN, (double)INFINITY, -(double)INFINITY};

    for (size_t i = 0; i < COUNT(wrong); i++) {
        fixture *f = set_up(CSP_F32);
        double *const sums[] = {
            f->sums.count + 1, f->sums.key + KV_HEADS * KEY_DIM - 1,
            f->sums.value + KV_HEADS * VALUE_DIM - 1,
            f->sums.key_key + COUNT(f->sums.key_key) - 2,
            f->sums.key_value + COUNT(f->sums.key_value) - 1};
        for (size_t j = 0; j < COUNT(sums); j++) {
            f = set_up(CSP_F32);
            *sums[j] = wrong[i];
            refuse(summarise, f, CSP_E_NOT_FINITE);
        }
    }
}

TEST(summarise_refuses_a_negative_count)
{
    fixture *f = set_up(CSP_F32);

    f->sums.count[1] = -1.0;

    refuse(summarise, f, CSP_E_NOT_FINITE);
}

/* A KV head of one token with mean k and value v, spread and cross beside. */
static fixture *set_up_numbers(csp_dtype dtype, double k, double v,
                               double spread, double cross)
{
    fixture *f = set_up(dtype);
    gauss x = {.count = 2.0};
    memset(&f->sums, 0, sizeof f->sums);
    x.key[3] = k;
    x.value[2] = v;
    x.covariance[0] = spread;
    x.cross[1] = cross;
    add_gauss(&x, 1, &f->sums);
    return f;
}

TEST(summarise_refuses_what_a_half_cannot_hold)
{
    const double none = 0.0, less = 64000.0;
    const double large = 65525.0; /* as a half it rounds to infinity */

    refuse(summarise, set_up_numbers(CSP_F16, -large, none, none, none),
           CSP_E_NOT_FINITE);
    refuse(summarise, set_up_numbers(CSP_F16, none, large, none, none),
           CSP_E_NOT_FINITE);
    refuse(summarise, set_up_numbers(CSP_F16, none, none, large * large, none),
           CSP_E_NOT_FINITE);
    refuse(summarise, set_up_numbers(CSP_F16, none, none, none, large),
           CSP_E_NOT_FINITE);
    for (int dtype = CSP_F32; dtype <= CSP_BF16; dtype++) {
        const double most = dtype == CSP_F16 ? less : 1e9;
        assert_ok(summarise(
            set_up_numbers((csp_dtype)dtype, -most, none, none, none)));
        assert_ok(summarise(
            set_up_numbers((csp_dtype)dtype, none, most, none, none)));
        assert_ok(summarise(
            set_up_numbers((csp_dtype)dtype, none, none, most * most, none)));
        assert_ok(summarise(
            set_up_numbers((csp_dtype)dtype, none, none, none, most)));
    }
}

/* Whatever is accepted, what is stored is finite. */
static void assert_finite_or_refused(fixture *f)
{
    const fixture before = *f;
    const csp_status status = summarise(f);

    if (status != CSP_OK) {
        assert_int_equal(status, CSP_E_NOT_FINITE);
        assert_memory_equal(f, &before, sizeof before);
        return;
    }
    for (size_t g = 0; g < KV_HEADS; g++) {
        assert_true(isfinite(f->summary.variance[g]));
        for (size_t row = 0; row < 1 + 2 * (size_t)f->summary.rank; row++)
            for (size_t i = 0; i < KEY_DIM; i++)
                assert_true(isfinite(key_at(&f->summary, g, row, i)));
        for (size_t row = 0; row < 1 + (size_t)f->summary.rank; row++)
            for (size_t i = 0; i < VALUE_DIM; i++)
                assert_true(isfinite(value_at(&f->summary, g, row, i)));
    }
}

TEST(summarise_stores_finite_numbers_or_nothing)
{
    for (int dtype = CSP_F32; dtype <= CSP_BF16; dtype++)
        for (uint32_t rank = 0; rank < 3; rank++)
            for (double size = 1.0; size < 1e80; size *= 3.0) {
                fixture *f = set_up_numbers((csp_dtype)dtype, 0.0, 0.0,
                                            size * size, size);
                f->summary.rank = rank;
                assert_finite_or_refused(f);
                /* No covariance at all: larger off its diagonal. */
                f = set_up_numbers((csp_dtype)dtype, 0.0, 0.0, 0.0, 0.0);
                f->summary.rank = rank;
                f->sums.key_key[KEY_DIM * KEY_DIM + 1] = size * size;
                f->sums.key_key[KEY_DIM * KEY_DIM + KEY_DIM] = size * size;
                assert_finite_or_refused(f);
            }
}

TEST(summary_expand_refuses_numbers_that_are_none)
{
    const float wrong[] = {NAN, INFINITY, -INFINITY};

    for (size_t i = 0; i < COUNT(wrong); i++) {
        fixture *f = set_up_both();
        f->memory.keys[KV_HEADS * 5 * KEY_DIM - 1] = wrong[i];
        refuse(expand, f, CSP_E_NOT_FINITE);
        f = set_up_both();
        f->memory.values[KV_HEADS * 3 * VALUE_DIM - 1] = wrong[i];
        refuse(expand, f, CSP_E_NOT_FINITE);
        f = set_up_both();
        f->memory.variance[1] = wrong[i];
        refuse(expand, f, CSP_E_NOT_FINITE);
        if (wrong[i] != -INFINITY) { /* which says that there is nothing */
            f = set_up_both();
            f->memory.log_count[1] = wrong[i];
            refuse(expand, f, CSP_E_NOT_FINITE);
        }
    }
}

/* As many tokens as no machine has, of the largest keys. */
TEST(summary_expand_adds_finite_numbers_or_nothing)
{
    for (float log_count = 0.0f; log_count < 800.0f; log_count += 30.0f) {
        fixture *f = set_up_both();
        for (size_t i = 0; i < COUNT(f->memory.keys); i++)
            f->memory.keys[i] = 3e38f;
        for (size_t i = 0; i < COUNT(f->memory.values); i++)
            f->memory.values[i] = 3e38f;
        f->memory.log_count[1] = log_count;
        const room before = f->sums;
        if (expand(f) != CSP_OK) {
            assert_memory_equal(&f->sums, &before, sizeof before);
            continue;
        }
        for (size_t i = 0; i < COUNT(f->sums.key_key); i++)
            assert_true(isfinite(f->sums.key_key[i]));
        for (size_t i = 0; i < COUNT(f->sums.key_value); i++)
            assert_true(isfinite(f->sums.key_value[i]));
    }
}

/* ---- Sizes --------------------------------------------------------------- */

TEST(summary_size_of_bad_shapes_is_zero)
{
    csp_summary s = {.dtype = CSP_F16,
                     .n_kv_heads = KV_HEADS,
                     .key_dim = KEY_DIM,
                     .value_dim = VALUE_DIM,
                     .rank = 1};
    const csp_summary good = s;

    assert_int_equal(csp_summary_size(&s),
                     KV_HEADS * (2 * (3 * KEY_DIM + 2 * VALUE_DIM) + 8));
    assert_int_equal(csp_summary_size(NULL), 0);
    s.dtype = (csp_dtype)3;
    assert_int_equal(csp_summary_size(&s), 0);
    assert_int_equal(csp_summary_expand_workspace_size(&s), 0);
    s = good;
    s.rank = KEY_DIM + 1;
    assert_int_equal(csp_summary_size(&s), 0);
    assert_int_equal(csp_summary_expand_workspace_size(&s), 0);
    assert_int_equal(csp_summary_expand_workspace_size(NULL), 0);
    assert_int_equal(csp_summarise_workspace_size(0, VALUE_DIM), 0);
    assert_int_equal(csp_summarise_workspace_size(KEY_DIM, 0), 0);
    assert_int_equal(csp_summarise_workspace_size(UINT32_MAX, UINT32_MAX), 0);
}

/* Where rows alone just fit the address space, and their counts no more. */
TEST(summary_size_beyond_the_address_space_is_zero)
{
    csp_summary s = {.n_kv_heads = UINT32_MAX,
                     .key_dim = UINT32_C(1) << 29,
                     .value_dim = UINT32_C(1) << 29};

    assert_int_equal(csp_summary_size(&s), 0);
    s.rank = s.key_dim;
    assert_int_equal(csp_summary_size(&s), 0);
    s = (csp_summary){.n_kv_heads = UINT32_C(1) << 31,
                      .key_dim = 1,
                      .value_dim = UINT32_C(1) << 31,
                      .rank = 1};
    assert_int_equal(csp_summary_size(&s), 0); /* 2^64, as if it were 0 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(summary_refuses_null),
        cmocka_unit_test(summary_refuses_null_arguments),
        cmocka_unit_test(summary_refuses_shapes_that_disagree),
        cmocka_unit_test(summary_refuses_unknown_types),
        cmocka_unit_test(summary_refuses_sizes_beyond_the_address_space),
        cmocka_unit_test(summary_refuses_too_small_a_workspace),
        cmocka_unit_test(summarise_refuses_moments_that_are_none),
        cmocka_unit_test(summarise_refuses_a_negative_count),
        cmocka_unit_test(summarise_refuses_what_a_half_cannot_hold),
        cmocka_unit_test(summarise_stores_finite_numbers_or_nothing),
        cmocka_unit_test(summary_expand_refuses_numbers_that_are_none),
        cmocka_unit_test(summary_expand_adds_finite_numbers_or_nothing),
        cmocka_unit_test(summary_size_of_bad_shapes_is_zero),
        cmocka_unit_test(summary_size_beyond_the_address_space_is_zero),
    };

    return RUN(tests);
}
