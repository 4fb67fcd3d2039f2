/*
 * test_score_errors.c - what csp_score refuses
 */
#include "score_fixture.h"

TEST(score_names_logits_that_are_no_numbers)
{
    const float wrong[] = {NAN, -NAN, INFINITY};

    for (size_t i = 0; i < COUNT(wrong); i++)
        for (size_t at = 0; at < 3; at++) {
            fixture f;
            set_up(&f);
            f.numbers[3 * COLS + at] = wrong[i];
            assert_status(score(&f), CSP_E_NOT_FINITE);
        }
}

TEST(score_refuses_null)
{
    fixture f;
    set_up(&f);
    assert_status(csp_score(NULL, &f.tokens, &f.config, f.workspace,
                            sizeof f.workspace, &f.importance),
                  CSP_E_NULL);
    assert_status(csp_score(&f.attention, NULL, &f.config, f.workspace,
                            sizeof f.workspace, &f.importance),
                  CSP_E_NULL);
    assert_status(csp_score(&f.attention, &f.tokens, NULL, f.workspace,
                            sizeof f.workspace, &f.importance),
                  CSP_E_NULL);
    assert_status(csp_score(&f.attention, &f.tokens, &f.config, f.workspace,
                            sizeof f.workspace, NULL),
                  CSP_E_NULL);
    f.importance.intra = NULL;
    refuse(&f, CSP_E_NULL);
    set_up(&f);
    f.importance.inter = NULL;
    refuse(&f, CSP_E_NULL);
    set_up(&f);
    f.importance.inter_rows = NULL; /* one of two */
    refuse(&f, CSP_E_NULL);
    set_up(&f);
    f.attention.scores.data = NULL;
    refuse(&f, CSP_E_NULL);
    set_up(&f);
    f.tokens.spans = NULL;
    refuse(&f, CSP_E_NULL);
}

TEST(score_refuses_shapes_that_disagree)
{
    fixture f;
    set_up(&f);
    f.attention.scores.n_cols = KEYS - 1;
    refuse(&f, CSP_E_SHAPE);
    set_up(&f);
    f.tokens.n_kv_heads = 0;
    refuse(&f, CSP_E_SHAPE);
    set_up(&f);
    f.attention.scores.n_heads = 0;
    refuse(&f, CSP_E_SHAPE);
    set_up(&f);
    const uint32_t counts[] = {4, 5};
    f.tokens.counts = counts;
    refuse(&f, CSP_E_SHAPE);
}

TEST(score_refuses_heads_that_do_not_divide)
{
    fixture f;
    set_up(&f);
    f.attention.scores.n_heads = 3;
    refuse(&f, CSP_E_GQA);
    f.attention.scores.n_heads = 1;
    refuse(&f, CSP_E_GQA);
}

TEST(score_refuses_bad_spans)
{
    const csp_span wrong[] = {{1, 5, 1}};
    fixture f;
    set_up(&f);

    f.tokens.spans = wrong;

    refuse(&f, CSP_E_SPAN);
}

TEST(score_refuses_positions_that_do_not_ascend)
{
    const uint32_t wrong[] = {0, 1, 2, 3, 0, 2, 1, 3};
    fixture f;
    set_up(&f);
    f.tokens.positions = wrong;
    f.tokens.capacity = 4;
    refuse(&f, CSP_E_INDEX);
    f.tokens.capacity = 3;
    refuse(&f, CSP_E_CAPACITY);
}

TEST(score_refuses_bad_strides_and_types)
{
    fixture f;
    set_up(&f);
    f.attention.scores.col_stride = 8;
    refuse(&f, CSP_E_STRIDE);
    set_up(&f);
    f.attention.scores.row_stride = 4;
    refuse(&f, CSP_E_STRIDE);
    set_up(&f);
    f.attention.scores.head_stride = SIZE_MAX / 2;
    refuse(&f, CSP_E_OVERFLOW);
    set_up(&f);
    f.attention.scores.dtype = (csp_dtype)3;
    refuse(&f, CSP_E_DTYPE);
}

TEST(score_refuses_bad_settings)
{
    fixture f;
    set_up(&f);
    f.config.n = (double)NAN;
    refuse(&f, CSP_E_CONFIG);
    set_up(&f);
    f.config.struct_size--;
    refuse(&f, CSP_E_CONFIG);
    set_up(&f);
    f.attention.source = (csp_source)3;
    refuse(&f, CSP_E_CONFIG);
    set_up(&f);
    f.attention.mask = (csp_mask)2;
    refuse(&f, CSP_E_CONFIG);
    set_up(&f);
    f.config.compute.tier = (csp_tier)999;
    refuse(&f, CSP_E_UNSUPPORTED);
}

TEST(score_refuses_little_room)
{
    fixture f;
    set_up(&f);

    f.importance.capacity = KEYS - 1;

    refuse(&f, CSP_E_CAPACITY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(score_names_logits_that_are_no_numbers),
        cmocka_unit_test(score_refuses_null),
        cmocka_unit_test(score_refuses_shapes_that_disagree),
        cmocka_unit_test(score_refuses_heads_that_do_not_divide),
        cmocka_unit_test(score_refuses_bad_spans),
        cmocka_unit_test(score_refuses_positions_that_do_not_ascend),
        cmocka_unit_test(score_refuses_bad_strides_and_types),
        cmocka_unit_test(score_refuses_bad_settings),
        cmocka_unit_test(score_refuses_little_room),
    };

    return RUN(tests);
}
