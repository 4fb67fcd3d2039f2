/*
 * speed.c - decode tokens/s of a pruned cache against the full one
 */
#include "engine.h"

#include <stdlib.h>

enum { STEPS = 64, ROUNDS = 5 };

/* Seconds of decoding 'STEPS' tokens, which are then taken back. */
static double seconds(const engine *e, struct llama_context *context)
{
    const int64_t start = llama_time_us();

    for (uint32_t i = 0; i < STEPS; i++)
        free(engine_decode(e, context, 0, e->n_tokens + i));
    llama_synchronize(context);
    const int64_t end = llama_time_us();
    assert_true(llama_memory_seq_rm(llama_get_memory(context), 0,
                                    (llama_pos)e->n_tokens, -1));
    return (double)(end - start);
}

double engine_speedup(uint32_t n_tokens, uint32_t percent)
{
    csp_config config = engine_config(CSP_PER_HEAD, n_tokens * percent / 100);
    engine_setup setup = {.kind = "llama4k",
                          .flash = true,
                          .type_k = GGML_TYPE_F16,
                          .type_v = GGML_TYPE_F16,
                          .n_ctx = n_tokens + 256,
                          .n_ubatch = 256,
                          .config = &config};
    double full = HUGE_VAL, pruned = HUGE_VAL;

    config.first_vote = n_tokens - 64;
    engine e = engine_open(&setup);
    engine_prompt(&e, n_tokens);
    e.capture->on = false;
    const engine_setup bare = {.kind = setup.kind,
                               .flash = true,
                               .type_k = setup.type_k,
                               .type_v = setup.type_v,
                               .n_ctx = config.budget + 256,
                               .n_ubatch = 256};
    const csp_llama_target target = {.context = engine_context(&e, &bare),
                                     .flash_attention = true};
    assert_no_problem(
        csp_llama_prune(e.context, 0, &e.model, e.pruner, &target));
    for (int i = 0; i < ROUNDS; i++) {
        full = fmin(full, seconds(&e, e.context));
        pruned = fmin(pruned, seconds(&e, target.context));
    }
    llama_free(target.context);
    engine_close(&e);
    return full / pruned;
}
