/*
 * prune.h - pruning of a cache, by the library
 *
 * Nothing of csp.h is seen here: what the rest of an engine needs to know about
 * the library is one watcher's function and three calls.
 */
#ifndef PRUNE_H
#define PRUNE_H

#include "cache.h"
#include "engine.h"
#include "model.h"
#include "prompt.h"

#include <stdint.h>

struct csp_config;

typedef enum method {
    METHOD_CSP,
    METHOD_AGNOSTIC,
    METHOD_REFERENCE,
    METHOD_PAPER,
    METHOD_SNAPKV,
    METHOD_H2O,
    METHOD_STREAMING,
    METHOD_RANDOM,
    N_METHODS
} method;

/* What stands for the dropped rows: nothing, a sink, a sink with a value, a
   summary of their keys and values. */
typedef enum correction {
    CORRECT_NONE,
    CORRECT_SINK,
    CORRECT_RESIDUAL,
    CORRECT_MOMENTS,
    N_CORRECTIONS
} correction;

/* Where attention comes from: the logits that the engine has at hand, or the
   queries and the cached keys, as after fused attention. */
typedef enum source { FROM_LOGITS, FROM_QUERIES, N_SOURCES } source;

extern const char *const method_names[N_METHODS];
extern const char *const correction_names[N_CORRECTIONS];
extern const char *const source_names[N_SOURCES];

typedef struct prune_settings {
    method method;
    correction correction;
    source source;
    uint32_t rank; /* of a summary */
    double keep;   /* share of the rows to keep, above 0 to 1 */
    double recent; /* share of the rows that are kept as recent and whose
                      queries vote; negative: as the method has it */
    /* Other settings of the library than the method's, for who includes csp.h;
       NULL: none. */
    void (*adjust)(const void *context, uint32_t n_rows,
                   struct csp_config *config);
    const void *adjust_context;
} prune_settings;

/* What a round did, summed over layers and KV heads. */
typedef struct prune_outcome {
    uint64_t rows_before, rows_after;
    uint64_t images_before, images_after; /* rows of modality 1 among them */
    uint64_t bytes_before, bytes_after;
    double retained; /* share of the attention on kept rows; NaN: not scored */
} prune_outcome;

typedef struct prune_state prune_state;

/* Begin with a sequence that is pruned first when it has 'n_tokens' tokens.
   Its spans may reach beyond them. */
prune_state *prune_start(const model *m, const prune_settings *settings,
                         const span *spans, uint32_t n_spans,
                         uint32_t n_tokens);
void prune_end(prune_state *p);

/* Score what a layer computed: a watcher's function, its context a pruning. */
void prune_watch(void *pruning, const attention_seen *seen);

/* Plan, measure what goes, and prune 'c' in place. */
prune_outcome prune_cache(prune_state *p, cache *c);

/* Go on decoding: the next round keeps 'rows' rows of each head. */
void prune_while_decoding(prune_state *p, uint32_t rows);

/* Rows of each head that the first round keeps. */
uint32_t prune_budget(const prune_settings *settings, uint32_t n_tokens);

#endif /* PRUNE_H */
