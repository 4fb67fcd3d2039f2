/*
 * methods.c - settings and pruners of the methods to compare
 *
 * All are settings of one pipeline: SnapKV, H2O and StreamingLLM are named for
 * what they rank by, and are not the published programs.
 */
#include "program.h"

#include <stdlib.h>

const char *const method_names[N_METHODS] = {
    [METHOD_FULL] = "full",
    [METHOD_CSP] = "csp",
    [METHOD_REFERENCE] = "reference",
    [METHOD_SNAPKV] = "snapkv",
    [METHOD_H2O] = "h2o",
    [METHOD_STREAMING] = "streaming",
    [METHOD_RANDOM] = "random",
};

static void check_status(csp_status status, const char *what)
{
    if (status != CSP_OK)
        fail(what, csp_status_string(status));
}

static csp_config settings(method how, uint32_t n_tokens, uint32_t budget)
{
    static const csp_preset presets[N_METHODS] = {
        [METHOD_FULL] = CSP_PRESET_STREAMING,
        [METHOD_CSP] = CSP_PRESET_DEFAULT,
        [METHOD_REFERENCE] = CSP_PRESET_REFERENCE,
        [METHOD_SNAPKV] = CSP_PRESET_SNAPKV,
        [METHOD_H2O] = CSP_PRESET_H2O,
        [METHOD_STREAMING] = CSP_PRESET_STREAMING,
        [METHOD_RANDOM] = CSP_PRESET_DEFAULT,
    };
    csp_config config;

    check_status(csp_config_preset(presets[how], n_tokens, budget, &config),
                 method_names[how]);
    if (how == METHOD_REFERENCE) {
        /* The published lists, filled up to the budget so that heads keep
           equally many. */
        config.selection = CSP_EXACT;
        config.budget = budget;
        config.n_intra = CSP_REST;
        config.n_inter = (budget - config.recent) / 2;
    }
    if (how == METHOD_RANDOM) {
        config.n = 0.0;
        config.weigh_values = false;
        config.auto_share = false;
        config.n_intra = 0;
        config.first_vote = n_tokens - 1;
    }
    return config;
}

void make_pruner(const csp_llama_model *model, const prompt *p,
                 const method_options *o, trial *t)
{
    const uint32_t n = p->n_tokens;
    uint32_t budget = (uint32_t)(t->percent / 100.0 * n + 0.5);
    csp_config config;

    if (t->how == METHOD_FULL || budget > n)
        budget = n;
    config = settings(t->how, n, budget);
    config.scope = o->scope;
    if (o->sinks >= 0)
        config.sinks = (uint32_t)o->sinks;
    if (o->probabilities)
        config.n = 0.0; /* kq_soft_max comes without its log-sum-exp */
    if (config.recent == 0)
        config.recent = 1; /* decoding goes on at the last token */
    t->first_vote = config.first_vote;
    check_status(csp_pruner_create(model->n_layers, model->n_kv_heads, &config,
                                   NULL, NULL, &t->pruner),
                 "csp_pruner_create");
    check_status(csp_pruner_set_spans(t->pruner, p->spans, p->n_spans),
                 "spans");
}

void score_at_random(const csp_llama_model *model, uint32_t n_tokens,
                     uint32_t seed, csp_pruner *pruner)
{
    const size_t n = (size_t)model->n_heads * n_tokens;
    float *row = allocate(n, sizeof *row);
    uint64_t state = seed;

    for (uint32_t layer = 0; layer < model->n_layers; ++layer) {
        for (size_t i = 0; i < n; ++i) {
            /* PCG's multiplier; the upper bits are the good ones. */
            state = state * 6364136223846793005u + 1442695040888963407u;
            row[i] = (float)(state >> 40) * 0x1p-24f;
        }
        const csp_attention attention = {
            .source = CSP_PROBABILITIES,
            .first_query = n_tokens - 1,
            .scores =
                csp_tensor_packed(row, CSP_F32, model->n_heads, 1, n_tokens),
        };
        check_status(csp_pruner_score(pruner, layer, &attention),
                     "random scores");
    }
    free(row);
}
