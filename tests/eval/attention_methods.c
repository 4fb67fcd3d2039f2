/*
 * attention_methods.c - which rows each method keeps
 *
 * All methods are settings of the same two calls, csp_score and csp_select.
 * Random pruning selects by random importance.
 */
#include "attention_methods.h"

#include "attention_views.h"
#include "support.h"

#include <stdlib.h>
#include <string.h>

const char *const study_method_names[N_STUDY_METHODS] = {
    [STUDY_CSP] = "csp",       [STUDY_CSP_HALF] = "csp_half",
    [STUDY_JOINT] = "joint",   [STUDY_H2O] = "h2o",
    [STUDY_SNAPKV] = "snapkv", [STUDY_STREAMING] = "streaming",
    [STUDY_RANDOM] = "random",
};

/* ---- Settings ------------------------------------------------------------ */

static csp_config preset(csp_preset which, uint32_t n_keys, uint32_t budget)
{
    csp_config config;

    csp_check(csp_config_preset(which, n_keys, budget, &config),
              "csp_config_preset");
    return config;
}

/* E5 as it stands: no sinks, no weights, half of the rest by inter. */
static csp_config half(uint32_t n_keys, uint32_t budget)
{
    const uint32_t tenth = n_keys / 10;
    csp_config config;

    csp_check(csp_config_init(&config), "csp_config_init");
    config.budget = budget;
    config.recent = tenth < budget / 2 ? tenth : budget / 2;
    config.recent = config.recent > 0 ? config.recent : 1;
    config.n_inter = (budget - config.recent) / 2;
    config.first_vote = n_keys - config.recent;
    return config;
}

static csp_config settings(study_method method, bool asked, uint32_t n_keys,
                           uint32_t budget)
{
    const csp_preset csp = asked ? CSP_PRESET_DEFAULT : CSP_PRESET_AGNOSTIC;
    csp_config config = {0};

    switch (method) {
    case STUDY_CSP:
        return preset(csp, n_keys, budget);
    case STUDY_CSP_HALF:
        return half(n_keys, budget);
    case STUDY_JOINT:
    case STUDY_RANDOM:
        config = preset(csp, n_keys, budget);
        config.auto_share = false;
        config.n_intra = config.n_inter = 0;
        if (method == STUDY_RANDOM)
            config.weigh_values = config.weigh_rows = false;
        return config;
    case STUDY_H2O:
        return preset(CSP_PRESET_H2O, n_keys, budget);
    case STUDY_SNAPKV:
        return preset(CSP_PRESET_SNAPKV, n_keys, budget);
    case STUDY_STREAMING:
        return preset(CSP_PRESET_STREAMING, n_keys, budget);
    case N_STUDY_METHODS:
        break;
    }
    return config; /* csp_select refuses it */
}

/* ---- Memory -------------------------------------------------------------- */

choice choice_make(const scene *s)
{
    const uint32_t n_keys = scene_keys(s);
    const size_t n = times(s->n_kv_heads, n_keys);
    choice c = {.importance.capacity = n_keys,
                .kept = {.n_lists = s->n_kv_heads, .capacity = n_keys}};

    c.importance.intra = take(n, sizeof(float));
    c.importance.inter = take(n, sizeof(float));
    c.importance.intra_rows = take(n, sizeof(float));
    c.importance.inter_rows = take(n, sizeof(float));
    c.importance.value_norm = take(n, sizeof(float));
    c.kept.rows = take(n, sizeof *c.kept.rows);
    c.kept.counts = take(s->n_kv_heads, sizeof *c.kept.counts);
    return c;
}

void choice_free(choice *c)
{
    free(c->kept.counts);
    free(c->kept.rows);
    free(c->importance.value_norm);
    free(c->importance.inter_rows);
    free(c->importance.intra_rows);
    free(c->importance.inter);
    free(c->importance.intra);
    *c = (choice){0};
}

/* ---- Choose -------------------------------------------------------------- */

static void clear(const scene *s, csp_importance *importance)
{
    const size_t size =
        (size_t)s->n_kv_heads * importance->capacity * sizeof(float);

    memset(importance->intra, 0, size);
    memset(importance->inter, 0, size);
    if (importance->intra_rows != NULL) {
        memset(importance->intra_rows, 0, size);
        memset(importance->inter_rows, 0, size);
    }
}

void score(const scene *s, const csp_attention *attention,
           const csp_config *config, csp_importance *importance)
{
    const csp_tokens tokens = scene_tokens(s);
    const size_t size = csp_score_workspace_size(attention, &tokens, config);
    void *workspace = take(size, 1);

    clear(s, importance);
    csp_check(
        csp_score(attention, &tokens, config, workspace, size, importance),
        "csp_score");
    free(workspace);
}

/* A step of splitmix64. */
static uint64_t next_random(uint64_t *state)
{
    uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);

    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static void score_randomly(const scene *s, uint32_t layer,
                           csp_importance *importance)
{
    const size_t n = (size_t)s->n_kv_heads * importance->capacity;
    uint64_t state = s->seed + layer;

    clear(s, importance);
    for (size_t i = 0; i < n; ++i)
        importance->intra[i] =
            (float)(next_random(&state) >> 40) * (1.0f / (1 << 24));
}

static void weigh(const csp_tensor *values, const csp_tokens *tokens,
                  csp_importance *importance)
{
    const size_t size =
        csp_value_distances_workspace_size(values->n_heads, values->n_cols);
    void *workspace = take(size, 1);

    csp_check(csp_value_distances(values, tokens, workspace, size,
                                  importance->capacity, importance->value_norm),
              "csp_value_distances");
    free(workspace);
}

void choose(const scene *s, uint32_t layer, study_method method,
            uint32_t budget, choice *c)
{
    const csp_tokens tokens = scene_tokens(s);
    const csp_tensor values = scene_rows(s, layer, s->full->values);
    const csp_config config = settings(method, s->asked, tokens.n_keys, budget);
    const csp_attention attention =
        scene_attention(s, layer, tokens.n_keys - config.first_vote);
    const size_t size = csp_select_workspace_size(&tokens, &config);
    void *workspace = take(size, 1);

    if (method == STUDY_RANDOM)
        score_randomly(s, layer, &c->importance);
    else if (method == STUDY_STREAMING)
        clear(s, &c->importance);
    else
        score(s, &attention, &config, &c->importance);
    weigh(&values, &tokens, &c->importance);
    csp_check(
        csp_select(&c->importance, &tokens, &config, workspace, size, &c->kept),
        "csp_select");
    free(workspace);
}
