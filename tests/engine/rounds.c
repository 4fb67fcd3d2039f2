/*
 * rounds.c - pruning again while decoding, and values of every type
 */
#include "engine.h"

#include <stdlib.h>

enum { N = 60, BUDGET = 24 };

static const engine_setup plain = {
    .kind = "llama", .type_k = GGML_TYPE_F16, .type_v = GGML_TYPE_F16};

TEST(decoding_and_pruning_take_turns)
{
    const csp_config config = engine_config(CSP_PER_HEAD, BUDGET);
    engine_setup setup = plain;

    for (int flash = 0; flash < 2; flash++) {
        setup.flash = flash;
        setup.config = &config;
        engine e = engine_open(&setup);
        engine_prompt(&e, N);
        for (int round = 0; round < 4; round++) {
            csp_tokens tokens;

            assert_no_problem(
                csp_llama_prune(e.context, 0, &e.model, e.pruner, NULL));
            csp_llama_state state = engine_state(&e, e.context);
            assert_int_equal(state.n_cells, BUDGET);
            csp_llama_state_free(&state);
            engine_prompt(&e, 17);
            assert_ok(csp_pruner_tokens(e.pruner, 0, &tokens));
            assert_int_equal(tokens.n_keys, BUDGET + 17);
            for (uint32_t i = 1; i < tokens.n_keys; i++)
                assert_true(tokens.positions[i - 1] < tokens.positions[i]);
            assert_int_equal(tokens.positions[tokens.n_keys - 1],
                             e.n_tokens - 1);
        }
        engine_close(&e);
    }
}

static float norm_of(const engine *e, uint32_t layer, uint32_t head,
                     uint32_t row)
{
    csp_importance importance;

    assert_ok(csp_pruner_importance(e->pruner, layer, &importance));
    assert_non_null(importance.value_norm);
    return importance.value_norm[(size_t)head * importance.capacity + row];
}

/* The norms of a cache of each type are those of f32, as well as it holds
   them; those of the state's bytes would be far off. */
TEST(values_of_any_type_are_read)
{
    static const struct {
        bool flash;
        enum ggml_type type_k, type_v;
        double tolerance;
    } cases[] = {
        {true, GGML_TYPE_F16, GGML_TYPE_F16, 1e-2},
        {false, GGML_TYPE_F16, GGML_TYPE_F16, 1e-2},
        {false, GGML_TYPE_BF16, GGML_TYPE_BF16, 3e-2},
        {true, GGML_TYPE_F16, GGML_TYPE_Q8_0, 2e-2},
    };
    const csp_config config = engine_config(CSP_PER_HEAD, BUDGET);
    const engine_setup exact = {
        "llama64", false, GGML_TYPE_F32, GGML_TYPE_F32, 0, 0, 0, NULL};
    engine e = engine_prompted(exact, &config, N);
    csp_llama_state state = engine_state(&e, e.context);

    assert_no_problem(csp_llama_state_values(&state, e.pruner));
    csp_llama_state_free(&state);
    for (size_t i = 0; i < COUNT(cases); i++) {
        const engine_setup setup = {"llama64",
                                    cases[i].flash,
                                    cases[i].type_k,
                                    cases[i].type_v,
                                    0,
                                    0,
                                    0,
                                    NULL};
        engine other = engine_prompted(setup, &config, N);

        state = engine_state(&other, other.context);
        assert_no_problem(csp_llama_state_values(&state, other.pruner));
        csp_llama_state_free(&state);
        for (uint32_t h = 0; h < e.model.n_kv_heads; h++)
            for (uint32_t row = 0; row < N; row++)
                assert_near(norm_of(&other, 0, h, row), norm_of(&e, 0, h, row),
                            cases[i].tolerance);
        engine_close(&other);
    }
    engine_close(&e);
}

/* A plan that weighs by norms cannot be made without them. */
TEST(norms_of_the_values_weigh)
{
    csp_config config = engine_config(CSP_PER_HEAD, BUDGET);
    engine_setup setup = plain;

    config.weigh_values = true;
    for (int flash = 0; flash < 2; flash++) {
        setup.flash = flash;
        engine e = engine_prompted(setup, &config, N);
        assert_no_problem(
            csp_llama_prune(e.context, 0, &e.model, e.pruner, NULL));
        engine_close(&e);
    }
}

const struct CMUnitTest round_tests[] = {
    cmocka_unit_test(decoding_and_pruning_take_turns),
    cmocka_unit_test(values_of_any_type_are_read),
    cmocka_unit_test(norms_of_the_values_weigh),
};
const size_t n_round_tests = COUNT(round_tests);
