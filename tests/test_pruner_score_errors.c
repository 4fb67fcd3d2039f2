/*
 * test_pruner_score_errors.c - refused chunks leave the pruner as it was
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

#include "pruner_fixture.h"

/* Status of a chunk that must be refused, and that it changed nothing. */
static csp_status refused(bench *b, const csp_attention *attention)
{
    snapshot before = take_snapshot(b->pruner, 2);
    csp_status status = csp_pruner_score(b->pruner, 1, attention);

    assert_unchanged(&before, b->pruner, 2);
    return status;
}

static void score_refuses_null(void **state)
{
    bench *b = *state;
    chunk c = engine_chunk(&b->e, 0, 0, 30, LOGITS);
    snapshot before = take_snapshot(b->pruner, 2);

    assert_int_equal(csp_pruner_score(NULL, 0, &c.view), CSP_E_NULL);
    assert_int_equal(csp_pruner_score(b->pruner, 0, NULL), CSP_E_NULL);
    assert_unchanged(&before, b->pruner, 2);
    free(c.memory);
}

static void score_refuses_an_unknown_layer(void **state)
{
    bench *b = *state;
    chunk c = engine_chunk(&b->e, 0, 0, 30, LOGITS);
    snapshot before = take_snapshot(b->pruner, 2);

    assert_int_equal(csp_pruner_score(b->pruner, 2, &c.view), CSP_E_SHAPE);
    assert_int_equal(csp_pruner_score(b->pruner, UINT32_MAX, &c.view),
                     CSP_E_SHAPE);
    assert_unchanged(&before, b->pruner, 2);
    free(c.memory);
}

#define N_BAD_SCORES 8

/* Views of scores that are wrong in one thing each. */
static void bad_scores(csp_attention *views, csp_status *expected)
{
    views[0].scores.data = NULL;
    expected[0] = CSP_E_NULL;
    views[1].scores.n_cols = 59;
    expected[1] = CSP_E_SHAPE;
    views[2].scores.n_heads = 0;
    expected[2] = CSP_E_SHAPE;
    views[3].scores.n_heads = 3;
    expected[3] = CSP_E_GQA;
    views[4].scores.dtype = (csp_dtype)9;
    expected[4] = CSP_E_DTYPE;
    views[5].scores.col_stride = 8;
    expected[5] = CSP_E_STRIDE;
    views[6].scores.head_stride = SIZE_MAX / 2;
    expected[6] = CSP_E_OVERFLOW;
    views[7].mask = (csp_mask)2;
    expected[7] = CSP_E_CONFIG;
}

static void score_names_what_is_wrong_with_scores(void **state)
{
    bench *b = *state;
    engine_append(&b->e, 30);
    chunk c = engine_chunk(&b->e, 1, 30, 60, LOGITS);
    csp_attention views[N_BAD_SCORES];
    csp_status expected[N_BAD_SCORES];
    for (uint32_t i = 0; i < N_BAD_SCORES; i++)
        views[i] = c.view;
    bad_scores(views, expected);

    for (uint32_t i = 0; i < N_BAD_SCORES; i++)
        assert_int_equal(refused(b, &views[i]), expected[i]);
    assert_int_equal(csp_pruner_score(b->pruner, 1, &c.view), CSP_OK);
    free(c.memory);
}

/* A wrong first_query must not cost the memory of as many rows. */
static void score_of_a_bad_view_asks_for_no_memory(void **state)
{
    bench *b = *state;
    chunk c = engine_chunk(&b->e, 1, 20, 30, LOGITS);

    c.view.first_query = 10000;
    ledger_fail(&b->book, SIZE_MAX, false);
    csp_status status = refused(b, &c.view);
    free(c.memory);
    assert_int_equal(status, CSP_E_SHAPE);
    assert_int_equal(b->book.n_calls, 0);
}

static void score_names_what_is_wrong_with_keys(void **state)
{
    bench *b = *state;
    chunk c = engine_chunk(&b->e, 1, 20, 30, QUERIES);
    csp_attention few = c.view, headless = c.view, flat = c.view,
                  capped = c.view;
    few.keys.n_rows = 29;
    headless.keys.n_heads = 1;
    flat.queries.n_cols = 7;
    capped.softcap = -1.0f;

    assert_int_equal(refused(b, &few), CSP_E_SHAPE);
    assert_int_equal(refused(b, &headless), CSP_E_SHAPE);
    assert_int_equal(refused(b, &flat), CSP_E_SHAPE);
    assert_int_equal(refused(b, &capped), CSP_E_CONFIG);
    free(c.memory);
}

static void score_refuses_tokens_that_cannot_be_counted(void **state)
{
    bench *b = *state;
    chunk c = engine_chunk(&b->e, 1, 20, 30, LOGITS);

    c.view.first_query = UINT32_MAX - 9;
    assert_int_equal(refused(b, &c.view), CSP_E_OVERFLOW);
    c.view.first_query--; /* UINT32_MAX tokens are, but the view has fewer */
    assert_int_equal(refused(b, &c.view), CSP_E_SHAPE);
    free(c.memory);
}

static void score_of_probabilities_without_lse_needs_n_0(void **state)
{
    bench *b = *state;
    chunk c = engine_chunk(&b->e, 1, 20, 30, PROBABILITIES);
    c.view.lse.data = NULL;

    assert_int_equal(refused(b, &c.view), CSP_E_CONFIG);
    b->config.n = 0.0;
    csp_pruner_configure(b->pruner, &b->config);
    assert_int_equal(csp_pruner_score(b->pruner, 1, &c.view), CSP_OK);
    free(c.memory);
}

/* Where every row is gone there is nothing to add, but an error is one. */
static void score_of_no_rows_refuses_what_csp_score_does(void **state)
{
    bench *b = *state;
    chunk c = engine_chunk(&b->e, 1, 20, 30, PROBABILITIES);
    c.view.lse.data = NULL;
    b->config.sinks = b->config.recent = b->config.budget = 0;
    csp_pruner_configure(b->pruner, &b->config);
    assert_int_equal(csp_pruner_plan(b->pruner), CSP_OK);
    assert_int_equal(csp_pruner_apply(b->pruner, NULL, 0, NULL), CSP_OK);

    assert_int_equal(csp_pruner_score(b->pruner, 1, &c.view), CSP_E_CONFIG);
    free(c.memory);
}

/* ---- NaN ----------------------------------------------------------------- */

static void score_with_nan_in_one_head_changes_nothing(void **state)
{
    bench *b = *state;
    engine_append(&b->e, 30);

    for (uint32_t kind = LOGITS; kind <= PROBABILITIES; kind += 2)
        for (uint32_t h = 0; h < b->e.n_heads; h++) {
            chunk c = engine_chunk(&b->e, 1, 30, 60, (chunk_kind)kind);
            poison_chunk(&c, h, NAN);
            assert_int_equal(refused(b, &c.view), CSP_E_NOT_FINITE);
            poison_chunk(&c, h, INFINITY);
            assert_int_equal(refused(b, &c.view), CSP_E_NOT_FINITE);
            free(c.memory);
        }
}

static void score_with_nan_changes_nothing_under_any_hook(void **state)
{
    bench *b = *state;
    engine_append(&b->e, 30);
    chunk c = engine_chunk(&b->e, 1, 30, 60, LOGITS);
    poison_chunk(&c, 3, NAN);

    for (uint32_t hook = 0; hook < N_HOOKS; hook++) {
        const csp_parallel parallel = hook_number(hook);
        csp_pruner *pruner =
            new_pruner(&b->e, &b->config, &b->book.hooks, &parallel);
        engine_score_all(&b->e, pruner, 0, 30, LOGITS);
        snapshot before = take_snapshot(pruner, 2);

        assert_int_equal(csp_pruner_score(pruner, 1, &c.view),
                         CSP_E_NOT_FINITE);

        assert_unchanged(&before, pruner, 2);
        csp_pruner_destroy(pruner);
    }
    free(c.memory);
}

static void score_after_a_refused_chunk_is_as_if_it_had_not_been(void **state)
{
    bench *b = *state;
    csp_pruner *other = new_pruner(&b->e, &b->config, &b->book.hooks, NULL);
    engine_score_all(&b->e, other, 0, 30, LOGITS);
    engine_append(&b->e, 30);
    chunk c = engine_chunk(&b->e, 1, 30, 60, LOGITS);
    poison_chunk(&c, 3, NAN);
    assert_int_equal(csp_pruner_score(b->pruner, 1, &c.view), CSP_E_NOT_FINITE);
    free(c.memory);

    engine_score_all(&b->e, b->pruner, 30, 60, LOGITS);

    engine_score_all(&b->e, other, 30, 60, LOGITS);
    engine_set_values(&b->e, other);
    engine_set_values(&b->e, b->pruner);
    snapshot want = take_snapshot(other, 2);
    assert_unchanged(&want, b->pruner, 2);
    csp_pruner_destroy(other);
}

static void score_with_nan_keeps_value_norms(void **state)
{
    bench *b = *state;
    b->config.weigh_values = true;
    csp_pruner_configure(b->pruner, &b->config);
    engine_append(&b->e, 30);
    chunk c = engine_chunk(&b->e, 1, 30, 60, LOGITS);
    poison_chunk(&c, 0, NAN);

    assert_int_equal(csp_pruner_score(b->pruner, 1, &c.view), CSP_E_NOT_FINITE);

    assert_int_equal(csp_pruner_plan(b->pruner), CSP_OK);
    free(c.memory);
}

/* Views are valid until the pruner changes, and a refused chunk is no
   change. */
static void score_with_nan_keeps_views_valid(void **state)
{
    bench *b = *state;
    csp_tokens before, after;
    csp_importance before_importance, after_importance;
    csp_pruner_tokens(b->pruner, 1, &before);
    csp_pruner_importance(b->pruner, 1, &before_importance);
    engine_append(&b->e, 30);
    chunk c = engine_chunk(&b->e, 1, 30, 60, LOGITS);
    poison_chunk(&c, 0, NAN);

    assert_int_equal(csp_pruner_score(b->pruner, 1, &c.view), CSP_E_NOT_FINITE);
    free(c.memory);

    csp_pruner_tokens(b->pruner, 1, &after);
    csp_pruner_importance(b->pruner, 1, &after_importance);
    assert_ptr_equal(before.positions, after.positions);
    assert_ptr_equal(before_importance.intra, after_importance.intra);
    assert_int_equal(before.capacity, after.capacity);
}

/* ---- Memory -------------------------------------------------------------- */

/* Score tokens [begin, end) of layer 0 with every allocation failing in
   turn. */
static void fail_each_allocation(bench *b, csp_pruner *pruner, uint32_t begin,
                                 uint32_t end, bool forever, size_t at_least)
{
    size_t index = 0;

    for (;; index++) {
        snapshot before = take_snapshot(pruner, 2);
        ledger_fail(&b->book, index, forever);
        csp_status status = engine_score(&b->e, pruner, 0, begin, end, QUERIES);
        ledger_heal(&b->book);
        if (status == CSP_OK) {
            free(before.bytes);
            break;
        }
        assert_int_equal(status, CSP_E_MEMORY);
        assert_unchanged(&before, pruner, 2);
    }
    assert_true(index >= at_least);
}

static void score_out_of_memory_changes_nothing(void **state)
{
    bench *b = *state;
    engine_append(&b->e, 30);

    for (int forever = 0; forever < 2; forever++) {
        csp_pruner *pruner =
            new_pruner(&b->e, &b->config, &b->book.hooks, NULL);
        csp_pruner *other = new_pruner(&b->e, &b->config, &b->book.hooks, NULL);

        fail_each_allocation(b, pruner, 0, 20, forever != 0, 1);
        fail_each_allocation(b, pruner, 20, 60, forever != 0, 1);

        engine_score(&b->e, other, 0, 0, 20, QUERIES);
        engine_score(&b->e, other, 0, 20, 60, QUERIES);
        const csp_tensor values = engine_values(&b->e, 0);
        csp_pruner_set_values(pruner, 0, &values);
        csp_pruner_set_values(other, 0, &values);
        snapshot want = take_snapshot(other, 2);
        assert_unchanged(&want, pruner, 2);
        csp_pruner_destroy(pruner);
        csp_pruner_destroy(other);
    }
}

static void score_out_of_memory_at_first_succeeds_later(void **state)
{
    bench *b = *state;
    csp_pruner *pruner = new_pruner(&b->e, &b->config, &b->book.hooks, NULL);

    ledger_fail(&b->book, 0, false);
    assert_int_equal(engine_score(&b->e, pruner, 0, 0, 30, LOGITS),
                     CSP_E_MEMORY);
    assert_int_equal(engine_score(&b->e, pruner, 0, 0, 30, LOGITS), CSP_OK);
    csp_pruner_destroy(pruner);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_bench(score_refuses_null),
        with_bench(score_refuses_an_unknown_layer),
        with_bench(score_names_what_is_wrong_with_scores),
        with_bench(score_of_a_bad_view_asks_for_no_memory),
        with_bench(score_names_what_is_wrong_with_keys),
        with_bench(score_refuses_tokens_that_cannot_be_counted),
        with_bench(score_of_probabilities_without_lse_needs_n_0),
        with_bench(score_of_no_rows_refuses_what_csp_score_does),
        with_bench(score_with_nan_in_one_head_changes_nothing),
        with_bench(score_with_nan_changes_nothing_under_any_hook),
        with_bench(score_after_a_refused_chunk_is_as_if_it_had_not_been),
        with_bench(score_with_nan_keeps_value_norms),
        with_bench(score_with_nan_keeps_views_valid),
        with_bench(score_out_of_memory_changes_nothing),
        with_bench(score_out_of_memory_at_first_succeeds_later),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
