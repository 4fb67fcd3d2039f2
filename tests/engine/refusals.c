/*
 * refusals.c - models whose caches cannot be pruned, and the reasons
 */
#include "engine.h"

static void refuse(const char *kind, const char *part)
{
    struct llama_model *llama = engine_load(kind);
    csp_llama_model model;

    assert_problem(csp_llama_model_of(llama, &model), part);
    llama_model_free(llama);
}

TEST(sliding_windows_are_refused)
{
    refuse("swa", "sliding-window");
}

TEST(alibi_is_refused)
{
    refuse("alibi", "ALiBi");
}

TEST(recurrent_layers_are_refused)
{
    refuse("recurrent", "recurrent");
    refuse("hybrid", "recurrent");
}

/* The graph tells, where a model file does not. */
TEST(alibi_is_seen_in_the_graph)
{
    csp_config config = engine_config(CSP_PER_HEAD, 4);
    csp_llama_model model = {.n_layers = 2, .n_heads = 4, .n_kv_heads = 4};
    struct llama_model *llama = engine_load("alibi");
    csp_llama_capture capture;
    csp_pruner *pruner;

    for (int flash = 0; flash < 2; flash++) {
        struct llama_context_params params = llama_context_default_params();

        assert_ok(csp_pruner_create(2, 4, &config, NULL, NULL, &pruner));
        assert_no_problem(csp_llama_capture_init(&model, &pruner, 1, &capture));
        params.n_ctx = 256;
        params.flash_attn_type = flash ? LLAMA_FLASH_ATTN_TYPE_ENABLED
                                       : LLAMA_FLASH_ATTN_TYPE_DISABLED;
        params.cb_eval = csp_llama_eval;
        params.cb_eval_user_data = &capture;
        engine e = {.llama = llama,
                    .context = llama_init_from_model(llama, params),
                    .n_vocab = (uint32_t)llama_vocab_n_tokens(
                        llama_model_get_vocab(llama))};
        assert_non_null(e.context);
        engine_prompt(&e, 5);
        assert_problem(capture.failure, "ALiBi");
        llama_free(e.context);
        csp_llama_capture_free(&capture);
        csp_pruner_destroy(pruner);
    }
    llama_model_free(llama);
}

const struct CMUnitTest refusal_tests[] = {
    cmocka_unit_test(sliding_windows_are_refused),
    cmocka_unit_test(alibi_is_refused),
    cmocka_unit_test(recurrent_layers_are_refused),
    cmocka_unit_test(alibi_is_seen_in_the_graph),
};
const size_t n_refusal_tests = COUNT(refusal_tests);
