/*
 * test_pruner_plan_errors.c - a plan that fails leaves the old one as it was
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "pruner_fixture.h"

#define N 30u

static void plan_refuses_null(void **state)
{
    (void)state;
    assert_int_equal(csp_pruner_plan(NULL), CSP_E_NULL);
}

/* Status of a plan that fails, and that the old one and all else stay. */
static csp_status refused(const bench *b)
{
    snapshot before = take_snapshot(b->pruner, 2);
    csp_status status = csp_pruner_plan(b->pruner);

    assert_unchanged(&before, b->pruner, 2);
    return status;
}

static void plan_wants_layers_at_the_same_token(void **state)
{
    bench *b = *state;

    engine_append(&b->e, 1);
    engine_score(&b->e, b->pruner, 1, 30, 31, LOGITS);
    assert_int_equal(refused(b), CSP_E_STATE);
    engine_score(&b->e, b->pruner, 0, 30, 31, LOGITS);
    assert_int_equal(csp_pruner_plan(b->pruner), CSP_OK);
}

static void plan_wants_the_last_of_many_layers_at_the_same_token(void **state)
{
    bench *b = *state;
    csp_importance importance;
    engine e;
    engine_init(&e, MAX_LAYERS, 2, 2, N, 5);
    engine_append(&e, N);
    csp_pruner *pruner = new_pruner(&e, &b->config, &b->book.hooks, NULL);
    for (uint32_t layer = 0; layer + 1 < MAX_LAYERS; layer++)
        engine_score(&e, pruner, layer, 0, N, LOGITS);

    assert_int_equal(csp_pruner_plan(pruner), CSP_E_STATE);
    engine_score(&e, pruner, MAX_LAYERS - 1, 0, N, LOGITS);
    assert_int_equal(csp_pruner_plan(pruner), CSP_OK);
    engine_apply(&e, pruner);
    assert_true(engine_agrees(&e, pruner) && engine_caches_are_right(&e));
    csp_pruner_importance(pruner, MAX_LAYERS - 1, &importance);
    const float *last = importance.intra;
    csp_pruner_importance(pruner, 0, &importance);
    assert_int_equal(last - importance.intra,
                     (MAX_LAYERS - 1) * 2 * importance.capacity);
    csp_pruner_destroy(pruner);
    engine_free(&e);
}

static void plan_wants_value_norms_of_every_layer(void **state)
{
    bench *b = *state;
    const csp_tensor values = engine_values(&b->e, 0);
    b->config.weigh_values = true;
    csp_pruner *pruner = new_pruner(&b->e, &b->config, &b->book.hooks, NULL);
    engine_score_all(&b->e, pruner, 0, N, LOGITS);

    assert_int_equal(csp_pruner_plan(pruner), CSP_E_STATE);
    csp_pruner_set_values(pruner, 0, &values);
    assert_int_equal(csp_pruner_plan(pruner), CSP_E_STATE);
    csp_pruner_set_values(pruner, 1, &values);
    assert_int_equal(csp_pruner_plan(pruner), CSP_OK);
    csp_pruner_destroy(pruner);
}

static void plan_wants_value_norms_again_after_new_tokens(void **state)
{
    bench *b = *state;
    b->config.weigh_values = true;
    csp_pruner_configure(b->pruner, &b->config);

    engine_score_all(&b->e, b->pruner, 20, 30, LOGITS); /* no new token */
    assert_int_equal(csp_pruner_plan(b->pruner), CSP_OK);
    engine_append(&b->e, 1);
    engine_score_all(&b->e, b->pruner, 30, 31, LOGITS);
    assert_int_equal(csp_pruner_plan(b->pruner), CSP_E_STATE);
}

static void plan_of_one_list_for_ragged_heads_is_refused(void **state)
{
    bench *b = *state;
    b->config.selection = CSP_UNION;
    b->config.n_intra = b->config.n_inter = 7;
    csp_pruner_configure(b->pruner, &b->config);
    csp_pruner_plan(b->pruner);
    csp_pruner_apply(b->pruner, NULL, 0, NULL);

    for (uint32_t scope = CSP_PER_LAYER; scope <= CSP_GLOBAL; scope++) {
        b->config.scope = (csp_scope)scope;
        csp_pruner_configure(b->pruner, &b->config);
        assert_int_equal(refused(b), CSP_E_SHAPE);
    }
}

static void plan_of_one_list_for_different_tokens_is_refused(void **state)
{
    bench *b = *state;
    csp_config config = plain_config(8);

    config.n_inter = 3;
    csp_pruner_configure(b->pruner, &config);
    csp_pruner_plan(b->pruner);
    csp_pruner_apply(b->pruner, NULL, 0, NULL);

    for (uint32_t scope = CSP_PER_LAYER; scope <= CSP_GLOBAL; scope++) {
        config.scope = (csp_scope)scope;
        csp_pruner_configure(b->pruner, &config);
        assert_int_equal(refused(b), CSP_E_STATE);
    }
}

static void plan_refuses_blocks_that_break_the_budget(void **state)
{
    bench *b = *state;
    csp_config config = plain_config(8);

    config.block = 8; /* the protected rows lie in two of them */
    csp_pruner_configure(b->pruner, &config);
    assert_int_equal(refused(b), CSP_E_BUDGET);
}

static void plan_refuses_importance_that_overflowed(void **state)
{
    bench *b = *state;
    float huge[4 * 2 * N];
    for (size_t i = 0; i < sizeof huge / sizeof *huge; i++)
        huge[i] = 3e38f / (float)N;
    const csp_attention attention = {
        .source = CSP_PROBABILITIES,
        .mask = CSP_FULL,
        .first_query = N - 1,
        .scores = csp_tensor_packed(huge, CSP_F32, 4, 1, N),
    };
    b->config.n = 0.0;
    csp_pruner_configure(b->pruner, &b->config);

    for (uint32_t layer = 0; layer < 2; layer++)
        for (uint32_t i = 0; i < 2 * N; i++)
            assert_int_equal(csp_pruner_score(b->pruner, layer, &attention),
                             CSP_OK);
    assert_int_equal(refused(b), CSP_E_NOT_FINITE);
}

static void plan_out_of_memory_keeps_the_old_plan(void **state)
{
    bench *b = *state;

    for (int forever = 0; forever < 2; forever++) {
        ledger_fail(&b->book, 0, forever != 0);
        assert_int_equal(refused(b), CSP_E_MEMORY);
        ledger_heal(&b->book);
        assert_int_equal(csp_pruner_plan(b->pruner), CSP_OK);
    }
}

/* Rows without scores need little scratch to come in, so a plan is what
   needs more. */
static void plan_out_of_memory_at_any_allocation_succeeds_later(void **state)
{
    bench *b = *state;
    const csp_attention nothing = {
        .first_query = 5000,
        .scores = csp_tensor_packed(NULL, CSP_F32, 4, 0, 5000)};
    const csp_config config = plain_config(4000);
    size_t index = 0;

    for (uint32_t layer = 0; layer < 2; layer++)
        assert_int_equal(csp_pruner_score(b->pruner, layer, &nothing), CSP_OK);
    csp_pruner_configure(b->pruner, &config);
    for (;; index++) {
        ledger_fail(&b->book, index, false);
        csp_status status = csp_pruner_plan(b->pruner);
        if (status == CSP_OK)
            break;
        assert_int_equal(status, CSP_E_MEMORY);
    }
    assert_int_equal(index, 2);
}

static void plan_again_gives_the_same_plan(void **state)
{
    bench *b = *state;
    snapshot before = take_snapshot(b->pruner, 2);

    assert_int_equal(csp_pruner_plan(b->pruner), CSP_OK);
    assert_unchanged(&before, b->pruner, 2);
}

static void kept_without_a_plan_is_refused(void **state)
{
    bench *b = *state;
    csp_kept kept = {.capacity = 77};

    csp_pruner_apply(b->pruner, NULL, 0, NULL);
    assert_int_equal(csp_pruner_kept(b->pruner, 0, &kept), CSP_E_STATE);
    assert_int_equal(kept.capacity, 77);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plan_refuses_null),
        with_bench(plan_wants_layers_at_the_same_token),
        with_bench(plan_wants_the_last_of_many_layers_at_the_same_token),
        with_bench(plan_wants_value_norms_of_every_layer),
        with_bench(plan_wants_value_norms_again_after_new_tokens),
        with_bench(plan_of_one_list_for_ragged_heads_is_refused),
        with_bench(plan_of_one_list_for_different_tokens_is_refused),
        with_bench(plan_refuses_blocks_that_break_the_budget),
        with_bench(plan_refuses_importance_that_overflowed),
        with_bench(plan_out_of_memory_keeps_the_old_plan),
        with_bench(plan_out_of_memory_at_any_allocation_succeeds_later),
        with_bench(plan_again_gives_the_same_plan),
        with_bench(kept_without_a_plan_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
