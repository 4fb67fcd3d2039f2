/*
 * scene.h - what the ranks prune: one layer that each can make any part of
 */
#ifndef CSP_EXAMPLE_SCENE_H
#define CSP_EXAMPLE_SCENE_H

#include "csp.h"

enum {
    HEADS = 16,
    KV_HEADS = 8,
    GROUP = HEADS / KV_HEADS,
    TOKENS = 700,
    WINDOW = 32,
    DIM = 16,
    KEEP = 140
};

/* Importance of the whole layer; a rank fills the part that is its own. */
typedef struct layer_sums {
    float intra[KV_HEADS][TOKENS], inter[KV_HEADS][TOKENS];
    float intra_rows[KV_HEADS][TOKENS], inter_rows[KV_HEADS][TOKENS];
    float value_norm[KV_HEADS][TOKENS];
} layer_sums;

/* Kept rows, numbers of 32 bits only; lists beyond n_lists are zero. */
typedef struct layer_plan {
    uint32_t n_lists;
    uint32_t counts[KV_HEADS];
    uint32_t rows[KV_HEADS][KEEP];
} layer_plan;

/* Logits [n_heads][WINDOW][n_keys] of query heads from 'head' on over keys from
   'key' on: the last WINDOW tokens ask. */
void scene_logits(uint32_t head, uint32_t n_heads, uint32_t key,
                  uint32_t n_keys, float *logits);

/* Values [n_heads][n_tokens][DIM] of KV heads and tokens likewise. */
void scene_values(uint32_t head, uint32_t n_heads, uint32_t token,
                  uint32_t n_tokens, float *values);

/* The default settings for KEEP tokens, with every weight of E12. */
csp_status scene_config(csp_scope scope, csp_config *config);

/* All tokens, and where images are among them. */
csp_tokens scene_tokens(uint32_t n_kv_heads);

/* The part of 'sums' that begins at a KV head and key, for csp.h. */
csp_importance scene_part(layer_sums *sums, uint32_t head, uint32_t key);

/* csp_score and csp_value_norms with memory of its own: what 'attention' and
   'values' say of 'tokens' is added to 'importance'. */
csp_status scene_score(const csp_attention *attention, const csp_tokens *tokens,
                       const csp_tensor *values,
                       const csp_importance *importance);

/* csp_select with memory of its own: from heads of 'importance' to 'plan'. */
csp_status scene_select(const csp_importance *importance,
                        const csp_config *config, uint32_t n_kv_heads,
                        layer_plan *plan);

/* What one process finds that has the whole layer, by csp_pruner. */
csp_status scene_alone(const csp_config *config, layer_sums *sums,
                       layer_plan *plan);

#endif
