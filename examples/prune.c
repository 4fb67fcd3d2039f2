/* prune.c - keep a quarter of a layer's KV cache: 64 tokens, 40 of an image */
#include "csp.h"

#include <stdio.h>

enum { HEADS = 4, KV_HEADS = 2, TOKENS = 64, WINDOW = 8, DIM = 32, KEEP = 16 };

int main(void)
{
    /* An engine has these: its cache, and the logits of the last query rows. */
    static float k[KV_HEADS * TOKENS * DIM], v[KV_HEADS * TOKENS * DIM];
    static float logits[HEADS * WINDOW * TOKENS];
    for (int i = 0; i < KV_HEADS * TOKENS * DIM; i++)
        k[i] = v[i] = (float)(i * 53 % 211) / 100.0f - 1.0f;
    for (int i = 0; i < HEADS * WINDOW * TOKENS; i++)
        logits[i] = (float)(i * 37 % 101) / 25.0f;

    csp_span image = {.begin = 8, .end = 48, .modality = 1};
    csp_attention attention = {.first_query = TOKENS - WINDOW};
    attention.scores =
        csp_tensor_packed(logits, CSP_F32, HEADS, WINDOW, TOKENS);
    csp_tensor values = csp_tensor_packed(v, CSP_F32, KV_HEADS, TOKENS, DIM);
    csp_cells cache[] = {
        csp_cells_packed(k, KV_HEADS, TOKENS, DIM * sizeof *k),
        csp_cells_packed(v, KV_HEADS, TOKENS, DIM * sizeof *v)};

    csp_config config;
    csp_pruner *pruner = NULL;
    csp_kept kept;
    csp_status e;
    if ((e = csp_config_preset(CSP_PRESET_DEFAULT, TOKENS, KEEP, &config)) ||
        (e = csp_pruner_create(1, KV_HEADS, &config, NULL, NULL, &pruner)) ||
        (e = csp_pruner_set_spans(pruner, &image, 1)) ||
        (e = csp_pruner_score(pruner, 0, &attention)) || /* for each layer */
        (e = csp_pruner_set_values(pruner, 0, &values)) ||
        (e = csp_pruner_plan(pruner)) ||
        (e = csp_pruner_kept(pruner, 0, &kept)))
        return fprintf(stderr, "prune: %s\n", csp_status_string(e)), 1;
    for (size_t g = 0; g < KV_HEADS; g++)
        printf("KV head %zu keeps %u of %d rows, from row %u to row %u\n", g,
               kept.counts[g], TOKENS, kept.rows[g * kept.capacity],
               kept.rows[g * kept.capacity + kept.counts[g] - 1]);
    e = csp_pruner_apply(pruner, cache, 2, NULL); /* k and v, in place */
    csp_pruner_destroy(pruner);
    return e != CSP_OK;
}
