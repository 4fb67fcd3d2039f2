/*
 * globals.c - the same tokens dropped everywhere, by llama_memory_seq_rm
 */
#include "engine.h"

#include <math.h>
#include <stdlib.h>

double figure_seqrm_vs_blob_maxdiff;

enum { N = 60, BUDGET = 24 };

static const engine_setup plain = {
    .kind = "llama", .type_k = GGML_TYPE_F16, .type_v = GGML_TYPE_F16};

/* One context pruned by removal, its twin through the state. */
static double removal_against_state(engine_setup setup)
{
    const csp_config config = engine_config(CSP_GLOBAL, BUDGET);
    engine a = engine_prompted(setup, &config, N),
           b = engine_prompted(setup, &config, N);

    assert_no_problem(csp_llama_prune_global(a.context, 0, &a.model, a.pruner));
    assert_no_problem(csp_llama_prune(b.context, 0, &b.model, b.pruner, NULL));
    csp_llama_state x = engine_state(&a, a.context);
    csp_llama_state y = engine_state(&b, b.context);
    assert_int_equal(x.n_cells, BUDGET);
    assert_same_state(&x, &y);
    csp_llama_state_free(&x);
    csp_llama_state_free(&y);
    const double difference = engine_difference(&a, a.context, b.context, N, 9);
    engine_close(&a);
    engine_close(&b);
    return difference;
}

TEST(removing_tokens_and_gathering_rows_agree)
{
    static const engine_setup setups[] = {
        {"llama", false, GGML_TYPE_F32, GGML_TYPE_F32, 0, 0, 0, NULL},
        {"llama64", false, GGML_TYPE_F32, GGML_TYPE_F32, 0, 0, 0, NULL},
        {"learned", false, GGML_TYPE_F32, GGML_TYPE_F32, 0, 0, 0, NULL},
        {"llama", false, GGML_TYPE_F16, GGML_TYPE_F16, 0, 0, 0, NULL},
        {"llama64", false, GGML_TYPE_Q8_0, GGML_TYPE_F16, 0, 0, 0, NULL},
        {"learned", false, GGML_TYPE_F16, GGML_TYPE_F16, 0, 0, 0, NULL},
        {"llama", true, GGML_TYPE_F16, GGML_TYPE_F16, 0, 0, 0, NULL},
        {"llama64", true, GGML_TYPE_Q8_0, GGML_TYPE_Q8_0, 0, 0, 0, NULL},
    };

    for (size_t i = 0; i < COUNT(setups); i++) {
        const double difference = removal_against_state(setups[i]);

        if (setups[i].type_k == GGML_TYPE_F32)
            figure_seqrm_vs_blob_maxdiff =
                fmax(figure_seqrm_vs_blob_maxdiff, difference);
        if (!(difference < engine_tolerance(&setups[i])))
            fail_msg("%s, %zu: logits differ by %g", setups[i].kind, i,
                     difference);
    }
}

TEST(closing_the_holes_changes_sums_by_rounding)
{
    static const engine_setup exact = {
        .kind = "llama", .type_k = GGML_TYPE_F32, .type_v = GGML_TYPE_F32};
    const csp_config config = engine_config(CSP_GLOBAL, BUDGET);
    engine a = engine_prompted(exact, &config, N),
           b = engine_prompted(exact, &config, N);

    assert_no_problem(csp_llama_prune_global(a.context, 0, &a.model, a.pruner));
    assert_no_problem(csp_llama_prune_global(b.context, 0, &b.model, b.pruner));
    assert_no_problem(csp_llama_compact(b.context, 0, &b.model));
    assert_true(engine_difference(&a, a.context, b.context, N, 1) <
                engine_tolerance(&exact));
    engine_close(&a);
    engine_close(&b);
}

TEST(positions_need_not_start_at_zero)
{
    enum { FIRST = 1000 };
    const csp_config config = engine_config(CSP_GLOBAL, BUDGET);
    engine_setup setup = plain;

    setup.config = &config;
    engine e = engine_open(&setup);
    e.n_tokens = FIRST;
    engine_prompt(&e, N);
    assert_no_problem(csp_llama_prune_global(e.context, 0, &e.model, e.pruner));
    assert_no_problem(csp_llama_compact(e.context, 0, &e.model));
    csp_tokens tokens;
    assert_ok(csp_pruner_tokens(e.pruner, 0, &tokens));
    csp_llama_state state = engine_state(&e, e.context);
    assert_int_equal(state.n_cells, BUDGET);
    const uint32_t first =
        (uint32_t)csp_llama_state_position(&state, 0) - tokens.positions[0];
    for (uint32_t i = 0; i < BUDGET; i++)
        assert_int_equal(csp_llama_state_position(&state, i),
                         first + tokens.positions[i]);
    assert_int_equal(first, FIRST);
    csp_llama_state_free(&state);
    engine_close(&e);
}

/* The positions of what is kept are no longer those of the cells. */
TEST(a_second_round_removes_what_it_planned)
{
    csp_config config = engine_config(CSP_GLOBAL, BUDGET);
    engine e = engine_prompted(plain, &config, N);

    assert_no_problem(csp_llama_prune_global(e.context, 0, &e.model, e.pruner));
    assert_no_problem(csp_llama_compact(e.context, 0, &e.model));
    e.capture->on = true;
    engine_prompt(&e, 10);
    csp_kept kept;
    csp_tokens tokens;
    uint32_t expected[BUDGET];
    assert_ok(csp_pruner_plan(e.pruner));
    assert_ok(csp_pruner_kept(e.pruner, 0, &kept));
    assert_ok(csp_pruner_tokens(e.pruner, 0, &tokens));
    for (uint32_t i = 0; i < BUDGET; i++)
        expected[i] = tokens.positions[kept.rows[i]];
    assert_no_problem(csp_llama_prune_global(e.context, 0, &e.model, e.pruner));
    csp_llama_state state = engine_state(&e, e.context);
    assert_int_equal(state.n_cells, BUDGET);
    for (uint32_t i = 0; i < BUDGET; i++)
        assert_int_equal(csp_llama_state_position(&state, i), expected[i]);
    csp_llama_state_free(&state);
    free(engine_decode(&e, e.context, 0, e.n_tokens));
    engine_close(&e);
}

/* Refused, with the cache as it was. */
static void refuse(engine_setup setup, const csp_config *config,
                   const char *part)
{
    engine e = engine_prompted(setup, config, N);
    csp_llama_state before = engine_state(&e, e.context);

    assert_problem(csp_llama_prune_global(e.context, 0, &e.model, e.pruner),
                   part);
    csp_llama_state after = engine_state(&e, e.context);
    assert_same_state(&before, &after);
    csp_llama_state_free(&before);
    csp_llama_state_free(&after);
    engine_close(&e);
}

TEST(other_scopes_are_refused)
{
    const csp_config layer = engine_config(CSP_PER_LAYER, BUDGET);
    const csp_config head = engine_config(CSP_PER_HEAD, BUDGET);

    refuse(plain, &layer, "CSP_GLOBAL");
    refuse(plain, &head, "CSP_GLOBAL");
}

TEST(the_last_token_is_never_removed)
{
    csp_config config = engine_config(CSP_GLOBAL, 4);

    config.recent = 0;
    config.sinks = 4;
    refuse(plain, &config, "last token");
}

TEST(positions_that_stand_for_images_are_not_removed)
{
    const csp_config config = engine_config(CSP_GLOBAL, BUDGET);
    engine_setup setup = plain;

    setup.kind = "mrope";
    refuse(setup, &config, "M-RoPE");
}

TEST(a_sequence_that_the_context_has_not_is_refused)
{
    const csp_config config = engine_config(CSP_GLOBAL, BUDGET);
    engine e = engine_prompted(plain, &config, N);

    for (llama_seq_id seq = -1; seq < 2; seq += 2)
        assert_problem(
            csp_llama_prune_global(e.context, seq, &e.model, e.pruner),
            "no sequence");
    engine_close(&e);
}

/* The pruner saw the prompt, but the cache has moved on. */
TEST(a_cache_of_other_tokens_is_refused)
{
    const csp_config config = engine_config(CSP_GLOBAL, BUDGET);
    engine e = engine_prompted(plain, &config, N);

    engine_prompt(&e, 3);
    csp_llama_state before = engine_state(&e, e.context);
    assert_problem(csp_llama_prune_global(e.context, 0, &e.model, e.pruner),
                   "other tokens");
    csp_llama_state after = engine_state(&e, e.context);
    assert_same_state(&before, &after);
    csp_llama_state_free(&before);
    csp_llama_state_free(&after);
    engine_close(&e);
}

const struct CMUnitTest global_tests[] = {
    cmocka_unit_test(removing_tokens_and_gathering_rows_agree),
    cmocka_unit_test(closing_the_holes_changes_sums_by_rounding),
    cmocka_unit_test(positions_need_not_start_at_zero),
    cmocka_unit_test(a_second_round_removes_what_it_planned),
    cmocka_unit_test(other_scopes_are_refused),
    cmocka_unit_test(the_last_token_is_never_removed),
    cmocka_unit_test(positions_that_stand_for_images_are_not_removed),
    cmocka_unit_test(a_sequence_that_the_context_has_not_is_refused),
    cmocka_unit_test(a_cache_of_other_tokens_is_refused),
};
const size_t n_global_tests = COUNT(global_tests);
