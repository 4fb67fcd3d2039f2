/*
 * prune_heads.h - the library's verbs on one layer, KV heads side by side
 */
#ifndef CLI_PRUNE_HEADS_H
#define CLI_PRUNE_HEADS_H

#include "pool.h"
#include "prune_input.h"

/* Threads with room to work in, for the layers of one input. */
typedef struct head_work {
    const prune_input *in;
    const csp_config *config;
    pool *pool;
    csp_parallel hook;
    unsigned char *workspaces; /* [n_workers][workspace_size] */
    size_t workspace_size;
    csp_status *statuses; /* [n_kv_heads] */
} head_work;

/* The attention of the layer that was read last. */
csp_attention prune_attention(const prune_options *o, const prune_input *in);

/* 'calibrates': heads_calibrate will be called.  Release it after errors,
   too. */
outcome heads_start(const prune_options *o, const prune_input *in,
                    const csp_config *config, bool calibrates, head_work *w);
void heads_stop(head_work *w);

/* Add to 'importance', which is zero, and set the norms of values. */
outcome heads_score(head_work *w, uint32_t layer,
                    const csp_attention *attention, const csp_tokens *tokens,
                    const csp_importance *importance);

/* Add to 'sums', which are zero. */
outcome heads_calibrate(head_work *w, uint32_t layer,
                        const csp_attention *attention,
                        const csp_tokens *tokens, const csp_kept *kept,
                        const csp_calibration *sums);

/* What a status of the library means to whoever called the program. */
outcome outcome_of(csp_status status);

#endif /* CLI_PRUNE_HEADS_H */
