/*
 * scene.c - a layer made up element by element, and pruned by one process
 *
 * Every number is an integer hash of where it stands, so it does not matter
 * which rank makes it.  A tenth of the keys attract more attention than others.
 */
#include "scene.h"

#include <stdlib.h>
#include <string.h>

static const csp_span images[] = {{40, 300, 1}, {330, 560, 1}};

static uint32_t mix(uint32_t x)
{
    x = (x ^ x >> 16) * UINT32_C(0x7feb352d);
    x = (x ^ x >> 15) * UINT32_C(0x846ca68b);
    return x ^ x >> 16;
}

/* In [0, 1), of three numbers. */
static float uniform(uint32_t a, uint32_t b, uint32_t c)
{
    return (float)(mix(a + mix(b + mix(c + 1))) >> 8) * 0x1p-24f;
}

void scene_logits(uint32_t head, uint32_t n_heads, uint32_t key,
                  uint32_t n_keys, float *logits)
{
    for (uint32_t h = head; h < head + n_heads; h++)
        for (uint32_t r = 0; r < WINDOW; r++)
            for (uint32_t k = key; k < key + n_keys; k++) {
                const float heat =
                    uniform(HEADS, h / GROUP, k) < 0.1f ? 2.0f : 0.0f;
                *logits++ = 4.0f * uniform(h, r, k) + heat - 2.0f;
            }
}

void scene_values(uint32_t head, uint32_t n_heads, uint32_t token,
                  uint32_t n_tokens, float *values)
{
    for (uint32_t h = head; h < head + n_heads; h++)
        for (uint32_t t = token; t < token + n_tokens; t++)
            for (uint32_t d = 0; d < DIM; d++)
                *values++ = uniform(HEADS + 1 + h, t, d) - 0.5f;
}

csp_status scene_config(csp_scope scope, csp_config *config)
{
    const csp_status e =
        csp_config_preset(CSP_PRESET_DEFAULT, TOKENS, KEEP, config);

    config->scope = scope;
    config->weigh_rows = true;
    config->center_values = false; /* a mean would be one more sum over ranks */
    return e;
}

csp_tokens scene_tokens(uint32_t n_kv_heads)
{
    return (csp_tokens){.n_kv_heads = n_kv_heads,
                        .n_keys = TOKENS,
                        .spans = images,
                        .n_spans = sizeof images / sizeof *images};
}

csp_importance scene_part(layer_sums *sums, uint32_t head, uint32_t key)
{
    return (csp_importance){.intra = &sums->intra[head][key],
                            .inter = &sums->inter[head][key],
                            .intra_rows = &sums->intra_rows[head][key],
                            .inter_rows = &sums->inter_rows[head][key],
                            .value_norm = &sums->value_norm[head][key],
                            .capacity = TOKENS};
}

csp_status scene_score(const csp_attention *attention, const csp_tokens *tokens,
                       const csp_tensor *values,
                       const csp_importance *importance)
{
    csp_config config;
    csp_status e = scene_config(CSP_PER_HEAD, &config);
    const size_t n = csp_score_workspace_size(attention, tokens, &config);
    void *workspace = malloc(n > 0 ? n : 1);

    if (e == CSP_OK && workspace == NULL)
        e = CSP_E_MEMORY;
    if (e == CSP_OK)
        e = csp_score(attention, tokens, &config, workspace, n, importance);
    if (e == CSP_OK)
        e = csp_value_norms(values, tokens, importance->capacity,
                            importance->value_norm);
    free(workspace);
    return e;
}

csp_status scene_select(const csp_importance *importance,
                        const csp_config *config, uint32_t n_kv_heads,
                        layer_plan *plan)
{
    const csp_tokens tokens = scene_tokens(n_kv_heads);
    const csp_kept kept = {.rows = plan->rows[0],
                           .counts = plan->counts,
                           .n_lists =
                               config->scope == CSP_PER_HEAD ? n_kv_heads : 1,
                           .capacity = KEEP};
    const size_t size = csp_select_workspace_size(&tokens, config);
    void *workspace = malloc(size > 0 ? size : 1);

    memset(plan, 0, sizeof *plan);
    plan->n_lists = kept.n_lists;
    const csp_status e =
        workspace == NULL
            ? CSP_E_MEMORY
            : csp_select(importance, &tokens, config, workspace, size, &kept);
    free(workspace);
    return e;
}

/* Copies, as a pruner's arrays go with it. */
static csp_status read_pruner(const csp_pruner *pruner, layer_sums *sums,
                              layer_plan *plan)
{
    csp_importance importance;
    csp_kept kept;
    csp_status e;

    if ((e = csp_pruner_importance(pruner, 0, &importance)) ||
        (e = csp_pruner_kept(pruner, 0, &kept)))
        return e;
    for (size_t g = 0; g < KV_HEADS; g++) {
        const size_t at = g * importance.capacity;
        const size_t size = sizeof sums->intra[g];
        memcpy(sums->intra[g], importance.intra + at, size);
        memcpy(sums->inter[g], importance.inter + at, size);
        memcpy(sums->intra_rows[g], importance.intra_rows + at, size);
        memcpy(sums->inter_rows[g], importance.inter_rows + at, size);
        memcpy(sums->value_norm[g], importance.value_norm + at, size);
    }
    memset(plan, 0, sizeof *plan);
    plan->n_lists = kept.n_lists;
    for (size_t list = 0; list < kept.n_lists; list++) {
        plan->counts[list] = kept.counts[list];
        memcpy(plan->rows[list], kept.rows + list * kept.capacity,
               kept.counts[list] * sizeof *kept.rows);
    }
    return CSP_OK;
}

csp_status scene_alone(const csp_config *config, layer_sums *sums,
                       layer_plan *plan)
{
    static float logits[HEADS * WINDOW * TOKENS];
    static float values[KV_HEADS * TOKENS * DIM];
    csp_attention attention = {.first_query = TOKENS - WINDOW};
    const csp_tensor v =
        csp_tensor_packed(values, CSP_F32, KV_HEADS, TOKENS, DIM);
    csp_pruner *pruner = NULL;
    csp_status e;

    scene_logits(0, HEADS, 0, TOKENS, logits);
    scene_values(0, KV_HEADS, 0, TOKENS, values);
    attention.scores =
        csp_tensor_packed(logits, CSP_F32, HEADS, WINDOW, TOKENS);
    if ((e = csp_pruner_create(1, KV_HEADS, config, NULL, NULL, &pruner)))
        return e;
    if (!(e = csp_pruner_set_spans(pruner, images,
                                   sizeof images / sizeof *images)) &&
        !(e = csp_pruner_score(pruner, 0, &attention)) &&
        !(e = csp_pruner_set_values(pruner, 0, &v)) &&
        !(e = csp_pruner_plan(pruner)))
        e = read_pruner(pruner, sums, plan);
    csp_pruner_destroy(pruner);
    return e;
}
