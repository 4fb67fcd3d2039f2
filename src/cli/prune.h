/*
 * prune.h - scores to a decision, layer by layer
 *
 * What `csp prune` writes to files and `csp report` draws.
 */
#ifndef CLI_PRUNE_H
#define CLI_PRUNE_H

#include "csp.h"
#include "message.h"

#include <stdbool.h>
#include <stdint.h>

/* Everything the options of `csp prune` say; prune_options.h reads them. */
typedef struct prune_options prune_options;

/* What all layers have in common. */
typedef struct prune_shape {
    bool has_layers;   /* the input has such an axis */
    uint32_t n_layers; /* 1 where it has not */
    uint32_t n_heads, n_kv_heads, n_queries, n_keys;
    uint32_t first_query; /* token of the first row */
    uint32_t value_dim;   /* 0: no values given */
    bool has_sinks;       /* the input says what dropped tokens weighed */
    const csp_span *spans;
    uint32_t n_spans;
    const char *scores;       /* what the file holds: "f32 [4][42][191]" */
    const csp_config *config; /* as used */
} prune_shape;

/* Seconds spent so far. */
typedef struct prune_times {
    double read, score, select, calibrate;
} prune_times;

/* The decision for one layer, valid during the call. */
typedef struct prune_layer {
    uint32_t layer;
    const csp_attention *attention;
    const csp_tokens *tokens;
    const csp_importance *importance; /* as scored, before weights, pooling */
    const csp_kept *kept;             /* n_lists is 1 or n_kv_heads */
    const uint8_t *reasons;   /* [kept->n_lists][n_keys] csp_reason, 0: none */
    const float *sink_logits; /* [n_heads]; NULL without has_sinks */
    const float *residual; /* [n_heads][value_dim]; NULL also without values */
    const prune_times *times;
} prune_layer;

/*
 * Prune each layer of the input and hand it to 'layer' in order; the first
 * outcome but DONE ends it.  Holds one layer in memory, except where all
 * layers share a list.
 */
outcome prune_run(const prune_options *options,
                  outcome (*begin)(void *context, const prune_shape *shape),
                  outcome (*layer)(void *context, const prune_layer *layer),
                  void *context);

#endif /* CLI_PRUNE_H */
