/*
 * parallel_prune.h - what the parallel examples prune, and whether it matters
 * by how many workers
 */
#ifndef PARALLEL_PRUNE_H
#define PARALLEL_PRUNE_H

#include "csp.h"

#include <stdio.h>
#include <string.h>

enum {
    LAYERS = 4,
    HEADS = 8,
    KV_HEADS = 4,
    TOKENS = 1000,
    WINDOW = 32,
    DIM = 16,
    KEEP = 200
};

/* An engine has these: values in the cache, logits of the last query rows. */
static float values[LAYERS][KV_HEADS][TOKENS][DIM];
static float logits[LAYERS][HEADS][WINDOW][TOKENS];

/* All that pruning finds out, to be compared byte by byte. */
typedef struct result {
    float intra[LAYERS][KV_HEADS][TOKENS], inter[LAYERS][KV_HEADS][TOKENS];
    uint32_t n_kept[LAYERS][KV_HEADS], kept[LAYERS][KV_HEADS][TOKENS];
} result;

static void make_up(float *x, size_t n)
{
    uint32_t state = 1;

    for (size_t i = 0; i < n; i++) {
        state = state * 1664525u + 1013904223u;
        x[i] = (float)(state >> 8) * 0x1p-21f - 4.0f;
    }
}

static csp_status score(csp_pruner *pruner, uint32_t layer)
{
    csp_attention attention = {.first_query = TOKENS - WINDOW};
    attention.scores =
        csp_tensor_packed(logits[layer], CSP_F32, HEADS, WINDOW, TOKENS);
    const csp_tensor v =
        csp_tensor_packed(values[layer], CSP_F32, KV_HEADS, TOKENS, DIM);

    const csp_status e = csp_pruner_score(pruner, layer, &attention);
    return e != CSP_OK ? e : csp_pruner_set_values(pruner, layer, &v);
}

static csp_status read_layer(const csp_pruner *pruner, uint32_t layer,
                             result *r)
{
    csp_importance sums;
    csp_kept kept;
    csp_status e;

    if ((e = csp_pruner_importance(pruner, layer, &sums)) ||
        (e = csp_pruner_kept(pruner, layer, &kept)))
        return e;
    for (uint32_t g = 0; g < KV_HEADS; g++) {
        const size_t at = (size_t)g * sums.capacity;
        memcpy(r->intra[layer][g], sums.intra + at, sizeof r->intra[layer][g]);
        memcpy(r->inter[layer][g], sums.inter + at, sizeof r->inter[layer][g]);
        r->n_kept[layer][g] = kept.counts[g];
        memcpy(r->kept[layer][g], kept.rows + (size_t)g * kept.capacity,
               kept.counts[g] * sizeof(uint32_t));
    }
    return CSP_OK;
}

/* Score and plan all layers; 'parallel' NULL: serially. */
static csp_status prune(const csp_parallel *parallel, result *r)
{
    const csp_span image = {.begin = 100, .end = 700, .modality = 1};
    csp_pruner *pruner = NULL;
    csp_config config;
    csp_status e;

    memset(r, 0, sizeof *r);
    if ((e = csp_config_preset(CSP_PRESET_DEFAULT, TOKENS, KEEP, &config)) ||
        (e = csp_pruner_create(LAYERS, KV_HEADS, &config, NULL, parallel,
                               &pruner)))
        return e;
    e = csp_pruner_set_spans(pruner, &image, 1);
    for (uint32_t layer = 0; layer < LAYERS && e == CSP_OK; layer++)
        e = score(pruner, layer);
    if (e == CSP_OK)
        e = csp_pruner_plan(pruner);
    for (uint32_t layer = 0; layer < LAYERS && e == CSP_OK; layer++)
        e = read_layer(pruner, layer, r);
    csp_pruner_destroy(pruner);
    return e;
}

/* Prune serially and with the hook, and say whether the bits are the same. */
static bool agrees_with_serial(const csp_parallel *parallel)
{
    static result serial, other;
    csp_status e;

    make_up(&values[0][0][0][0], sizeof values / sizeof(float));
    make_up(&logits[0][0][0][0], sizeof logits / sizeof(float));
    if ((e = prune(NULL, &serial)) || (e = prune(parallel, &other))) {
        fprintf(stderr, "%s\n", csp_status_string(e));
        return false;
    }
    const bool same = memcmp(&serial, &other, sizeof serial) == 0;
    printf("%u workers keep %u of %d tokens a head: %s\n",
           (unsigned)parallel->n_workers, (unsigned)other.n_kept[0][0], TOKENS,
           same ? "the same bits as one alone" : "OTHER BITS");
    return same;
}

#endif
