/*
 * test_fit_errors.c - what csp_fit_rows and csp_fit_finish refuse
 */
#include "fit_fixture.h"

/* Sums of earlier chunks must stay as they are. */
static void refuse(fixture *f, csp_status status)
{
    for (size_t i = 0; i < COUNT(f->sums); i++)
        f->sums[i] = 1.0 + (double)i;
    const fixture before = *f;

    assert_status(add_rows(f), status);

    assert_memory_equal(f, &before, sizeof before);
}

TEST(fit_refuses_null_arguments)
{
    static unsigned char workspace[1 << 16];
    const size_t size = sizeof workspace;
    fixture *f = set_up();
    const fixture before = *f;

    assert_status(csp_fit_rows(NULL, &f->tokens, &f->kept, &f->summary, NULL,
                               workspace, size, f->sums),
                  CSP_E_NULL);
    assert_status(csp_fit_rows(&f->attention, NULL, &f->kept, &f->summary, NULL,
                               workspace, size, f->sums),
                  CSP_E_NULL);
    assert_status(csp_fit_rows(&f->attention, &f->tokens, NULL, &f->summary,
                               NULL, workspace, size, f->sums),
                  CSP_E_NULL);
    assert_status(csp_fit_rows(&f->attention, &f->tokens, &f->kept, NULL, NULL,
                               workspace, size, f->sums),
                  CSP_E_NULL);
    assert_status(csp_fit_rows(&f->attention, &f->tokens, &f->kept, &f->summary,
                               NULL, NULL, size, f->sums),
                  CSP_E_NULL);
    assert_status(csp_fit_rows(&f->attention, &f->tokens, &f->kept, &f->summary,
                               NULL, workspace, size, NULL),
                  CSP_E_NULL);
    assert_memory_equal(f, &before, sizeof before);
}

TEST(fit_refuses_null_inside)
{
    fixture *f = set_up();
    f->attention.queries.data = NULL;
    refuse(f, CSP_E_NULL);
    f = set_up();
    f->attention.scores.data = NULL;
    refuse(f, CSP_E_NULL);
    f = set_up();
    f->summary.keys = NULL;
    refuse(f, CSP_E_NULL);
    f = set_up();
    f->kept.counts = NULL;
    refuse(f, CSP_E_NULL);
}

TEST(fit_refuses_shapes_that_disagree)
{
    fixture *f = &the_fixture;
    uint32_t *const counts[] = {
        &f->attention.queries.n_heads, &f->attention.queries.n_rows,
        &f->attention.queries.n_cols,  &f->attention.scores.n_cols,
        &f->summary.n_kv_heads,        &f->summary.key_dim};

    for (size_t i = 0; i < COUNT(counts); i++) {
        set_up();
        *counts[i] -= 1;
        refuse(f, CSP_E_SHAPE);
    }
    set_up();
    f->summary.rank = KEY_DIM + 1;
    refuse(f, CSP_E_SHAPE);
    set_up();
    f->kept.n_lists = 3;
    refuse(f, CSP_E_SHAPE);
}

TEST(fit_refuses_bad_views_and_lists)
{
    fixture *f = set_up();
    f->attention.scores.n_heads = f->attention.queries.n_heads = 3;
    refuse(f, CSP_E_GQA);
    f = set_up();
    f->attention.queries.dtype = (csp_dtype)3;
    refuse(f, CSP_E_DTYPE);
    f = set_up();
    f->summary.dtype = (csp_dtype)3;
    refuse(f, CSP_E_DTYPE);
    f = set_up();
    f->attention.queries.row_stride = 3;
    refuse(f, CSP_E_STRIDE);
    f = set_up();
    f->attention.queries.head_stride = SIZE_MAX;
    refuse(f, CSP_E_OVERFLOW);
    f = set_up();
    f->rows[1] = f->rows[0];
    refuse(f, CSP_E_INDEX);
    f = set_up();
    f->kept.capacity = 2;
    refuse(f, CSP_E_CAPACITY);
}

TEST(fit_refuses_bad_settings)
{
    fixture *f = set_up();
    f->attention.softcap = 30.0f;
    refuse(f, CSP_E_CONFIG);
    f = set_up();
    f->attention.scale = NAN;
    refuse(f, CSP_E_CONFIG);
    f = set_up();
    f->attention.source = CSP_PROBABILITIES; /* without lse */
    refuse(f, CSP_E_CONFIG);
    f = set_up();
    f->attention.mask = (csp_mask)2;
    refuse(f, CSP_E_CONFIG);
    f = set_up();
    f->compute.product = (csp_path)3;
    refuse(f, CSP_E_CONFIG);
    f = set_up();
    f->compute.tier = (csp_tier)99;
    refuse(f, CSP_E_UNSUPPORTED);
    f = set_up();
    f->missing = 1;
    refuse(f, CSP_E_WORKSPACE);
}

/* In the last row of all, so that sums of others were at hand. */
TEST(fit_refuses_numbers_that_are_none)
{
    const float wrong[] = {NAN, INFINITY};

    for (size_t i = 0; i < COUNT(wrong); i++) {
        fixture *f = set_up();
        f->queries[COUNT(f->queries) - 1] = wrong[i];
        refuse(f, CSP_E_NOT_FINITE);
        f = set_up();
        f->logits[COUNT(f->logits) - 1] = wrong[i]; /* dropped */
        refuse(f, CSP_E_NOT_FINITE);
        f = set_up();
        f->logits[COUNT(f->logits) - 3] = wrong[i]; /* kept */
        refuse(f, CSP_E_NOT_FINITE);
        f = set_up();
        f->memory.keys[KV_HEADS * 7 * KEY_DIM - 1] = wrong[i];
        refuse(f, CSP_E_NOT_FINITE);
        f = set_up();
        f->memory.variance[1] = wrong[i];
        refuse(f, CSP_E_NOT_FINITE);
        f = set_up();
        f->memory.log_count[1] = wrong[i];
        refuse(f, CSP_E_NOT_FINITE);
    }
}

TEST(fit_workspace_size_of_bad_arguments_is_zero)
{
    fixture *f = set_up();

    assert_int_equal(csp_fit_rows_workspace_size(NULL, &f->tokens, &f->summary),
                     0);
    assert_int_equal(
        csp_fit_rows_workspace_size(&f->attention, NULL, &f->summary), 0);
    assert_int_equal(
        csp_fit_rows_workspace_size(&f->attention, &f->tokens, NULL), 0);
    f->attention.softcap = 1.0f;
    assert_int_equal(
        csp_fit_rows_workspace_size(&f->attention, &f->tokens, &f->summary), 0);
}

/* Of shapes alone: an engine may ask before there are numbers. */
TEST(fit_workspace_size_reads_no_data)
{
    fixture *f = set_up();
    const size_t size =
        csp_fit_rows_workspace_size(&f->attention, &f->tokens, &f->summary);
    f->attention.scores.data = f->attention.queries.data = NULL;
    f->summary.keys = f->summary.values = NULL;
    f->summary.log_count = f->summary.variance = NULL;

    assert_int_equal(
        csp_fit_rows_workspace_size(&f->attention, &f->tokens, &f->summary),
        size);
}

TEST(fit_finish_refuses_null)
{
    fixture *f = set_up();
    assert_ok(add_rows(f));
    const fixture before = *f;
    float **const arrays[] = {&f->fit.offset, &f->fit.slope, &f->fit.limit};

    assert_status(csp_fit_finish(NULL, HEADS, &f->fit), CSP_E_NULL);
    assert_status(csp_fit_finish(f->sums, HEADS, NULL), CSP_E_NULL);
    for (size_t i = 0; i < COUNT(arrays); i++) {
        *arrays[i] = NULL;
        assert_status(csp_fit_finish(f->sums, HEADS, &f->fit), CSP_E_NULL);
        *f = before;
    }
    assert_ok(csp_fit_finish(NULL, 0, &(csp_fit){NULL, NULL, NULL}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fit_refuses_null_arguments),
        cmocka_unit_test(fit_refuses_null_inside),
        cmocka_unit_test(fit_refuses_shapes_that_disagree),
        cmocka_unit_test(fit_refuses_bad_views_and_lists),
        cmocka_unit_test(fit_refuses_bad_settings),
        cmocka_unit_test(fit_refuses_numbers_that_are_none),
        cmocka_unit_test(fit_workspace_size_of_bad_arguments_is_zero),
        cmocka_unit_test(fit_workspace_size_reads_no_data),
        cmocka_unit_test(fit_finish_refuses_null),
    };

    return RUN(tests);
}
