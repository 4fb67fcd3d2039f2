/*
 * engine.c - what the tests against a real llama.cpp share
 */
#include "engine.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *engine_models;

void assert_problem(const char *problem, const char *part)
{
    if (!problem)
        fail_msg("nothing wrong, where '%s' was expected", part);
    if (!strstr(problem, part))
        fail_msg("'%s' does not speak of '%s'", problem, part);
}

/* ---- Contexts ------------------------------------------------------------ */

struct llama_model *engine_load(const char *kind)
{
    struct llama_model_params params = llama_model_default_params();
    char path[1024];
    struct llama_model *model;

    snprintf(path, sizeof path, "%s/%s.gguf", engine_models, kind);
    if (!(model = llama_model_load_from_file(path, params)))
        fail_msg("%s cannot be loaded", path);
    return model;
}

static struct llama_context *new_context(struct llama_model *model,
                                         const engine_setup *setup,
                                         csp_llama_capture *capture)
{
    struct llama_context_params params = llama_context_default_params();

    params.n_ctx = setup->n_ctx ? setup->n_ctx : 512;
    params.n_batch = params.n_ubatch = setup->n_ubatch ? setup->n_ubatch : 64;
    params.n_seq_max = setup->n_seq_max ? setup->n_seq_max : 1;
    params.n_threads = params.n_threads_batch = 1;
    params.flash_attn_type = setup->flash ? LLAMA_FLASH_ATTN_TYPE_ENABLED
                                          : LLAMA_FLASH_ATTN_TYPE_DISABLED;
    params.type_k = setup->type_k;
    params.type_v = setup->type_v;
    params.no_perf = true;
    if (capture) {
        params.cb_eval = csp_llama_eval;
        params.cb_eval_user_data = capture;
    }
    struct llama_context *context = llama_init_from_model(model, params);
    assert_non_null(context);
    return context;
}

engine engine_open(const engine_setup *setup)
{
    engine e = {.llama = engine_load(setup->kind)};

    assert_no_problem(csp_llama_model_of(e.llama, &e.model));
    e.n_vocab = (uint32_t)llama_vocab_n_tokens(llama_model_get_vocab(e.llama));
    if (setup->config) {
        csp_pruner **pruner = malloc(sizeof(csp_pruner *));

        assert_non_null(pruner);
        assert_int_equal(csp_pruner_create(e.model.n_layers, e.model.n_kv_heads,
                                           setup->config, NULL, NULL, pruner),
                         CSP_OK);
        e.pruner = *pruner;
        e.capture = malloc(sizeof *e.capture);
        assert_non_null(e.capture);
        assert_no_problem(
            csp_llama_capture_init(&e.model, pruner, 1, e.capture));
        e.capture->first_vote = setup->config->first_vote;
    }
    e.context = new_context(e.llama, setup, e.capture);
    return e;
}

void engine_close(engine *e)
{
    llama_free(e->context);
    if (e->capture) {
        free(e->capture->pruners);
        csp_llama_capture_free(e->capture);
        free(e->capture);
    }
    csp_pruner_destroy(e->pruner);
    llama_model_free(e->llama);
}

struct llama_context *engine_context(const engine *e, const engine_setup *setup)
{
    return new_context(e->llama, setup, NULL);
}

/* ---- Tokens -------------------------------------------------------------- */

/* The tokens of every test's prompt: any will do, but the same ones. */
static llama_token token_at(const engine *e, uint32_t position)
{
    random_source random = {.state = position};

    return (llama_token)random_between(&random, 3, e->n_vocab - 1);
}

static float *decode(const engine *e, struct llama_context *context,
                     llama_seq_id seq, uint32_t from, uint32_t n)
{
    struct llama_batch batch = llama_batch_init((int32_t)n, 0, 1);
    float *logits = malloc(e->n_vocab * sizeof *logits);

    assert_non_null(logits);
    for (uint32_t i = 0; i < n; i++) {
        batch.token[i] = token_at(e, from + i);
        batch.pos[i] = (llama_pos)(from + i);
        batch.n_seq_id[i] = 1;
        batch.seq_id[i][0] = seq;
        batch.logits[i] = i == n - 1;
    }
    batch.n_tokens = (int32_t)n;
    assert_int_equal(llama_decode(context, batch), 0);
    memcpy(logits, llama_get_logits_ith(context, -1),
           e->n_vocab * sizeof *logits);
    llama_batch_free(batch);
    for (uint32_t i = 0; i < e->n_vocab; i++)
        assert_true(isfinite(logits[i]));
    return logits;
}

void engine_prompt(engine *e, uint32_t n)
{
    const uint32_t most = llama_n_batch(e->context);

    for (uint32_t left = n; left > 0;) {
        const uint32_t now = left < most ? left : most;

        free(decode(e, e->context, 0, e->n_tokens, now));
        e->n_tokens += now;
        left -= now;
    }
    if (e->capture)
        assert_no_problem(e->capture->failure);
}

engine engine_prompted(engine_setup setup, const csp_config *config, uint32_t n)
{
    setup.config = config;
    engine e = engine_open(&setup);
    engine_prompt(&e, n);
    e.capture->on = false;
    return e;
}

float *engine_decode(const engine *e, struct llama_context *context,
                     llama_seq_id seq, uint32_t position)
{
    return decode(e, context, seq, position, 1);
}

double engine_difference(const engine *e, struct llama_context *a,
                         struct llama_context *b, uint32_t position, uint32_t n)
{
    double largest = 0.0;

    for (uint32_t i = 0; i < n; i++) {
        float *x = engine_decode(e, a, 0, position + i);
        float *y = engine_decode(e, b, 0, position + i);

        for (uint32_t j = 0; j < e->n_vocab; j++)
            largest = fmax(largest, fabs((double)x[j] - (double)y[j]));
        free(x);
        free(y);
    }
    return largest;
}

double engine_tolerance(const engine_setup *setup)
{
    const bool rounded = setup->flash || setup->type_k != GGML_TYPE_F32 ||
                         setup->type_v != GGML_TYPE_F32;

    return rounded ? 3e-2 : 5e-4;
}

/* ---- Settings, states ---------------------------------------------------- */

csp_config engine_config(csp_scope scope, uint32_t budget)
{
    csp_config config;

    assert_int_equal(csp_config_init(&config), CSP_OK);
    config.n = 0.0;
    config.scope = scope;
    config.budget = budget;
    config.recent = 1;
    return config;
}

csp_llama_state engine_state(const engine *e, struct llama_context *context)
{
    csp_llama_state state;

    assert_no_problem(csp_llama_state_get(context, 0, &e->model, &state));
    return state;
}

void assert_same_state(const csp_llama_state *a, const csp_llama_state *b)
{
    assert_int_equal(a->size, b->size);
    assert_memory_equal(a->data, b->data, a->size);
}
