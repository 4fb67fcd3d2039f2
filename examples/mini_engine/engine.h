/*
 * engine.h - the decoder: embeddings in, logits of the next token out
 */
#ifndef ENGINE_H
#define ENGINE_H

#include "cache.h"
#include "model.h"

#include <stddef.h>
#include <stdint.h>

/*
 * What a layer computed on its way, for whoever wants to score it: the chunk's
 * queries, and their logits over the cached rows.  The cache holds the chunk's
 * own keys and values already.  Valid during the call only.
 */
typedef struct attention_seen {
    uint32_t layer;
    uint32_t first; /* position of query 0 in the sequence */
    uint32_t n_queries;
    const float *queries; /* [n_queries][n_heads][head_dim], after RoPE */
    const float *logits;  /* [n_heads][n_queries][stride]; NULL: not kept */
    uint32_t logits_stride;
    const cache *cache;
} attention_seen;

typedef struct watcher {
    void (*watch)(void *context, const attention_seen *seen);
    void *context;
} watcher;

/* Scratch for chunks of up to 'chunk' tokens. */
typedef struct engine {
    const model *m;
    uint32_t chunk;
    float *stream, *normed;  /* [chunk][hidden] */
    float *queries, *mixed;  /* [chunk][n_heads * head_dim] */
    float *keys, *values;    /* [chunk][n_kv_heads * head_dim] */
    float *gate, *up;        /* [chunk][n_inner] */
    float *cosines, *sines;  /* [chunk][head_dim / 2] */
    float *lse;              /* [n_heads][chunk] */
    float *logits, *weights; /* grow with the cache */
    size_t logits_size, weights_size;
    watcher watcher; /* called after attention; may be zero */
} engine;

engine engine_make(const model *m, uint32_t chunk);
void engine_free(engine *e);

/*
 * Run 'n' tokens, given as embeddings [n][hidden], in chunks; their keys and
 * values go behind the rows of 'c', their positions go on from c->position.
 * which end at m->n_positions: more tokens end the program.
 * 'next' receives [n_vocab] logits of what follows the last one, or is NULL.
 */
void engine_run(engine *e, cache *c, const float *embeddings, uint32_t n,
                float *next);

/* Run one token of the vocabulary. */
void engine_step(engine *e, cache *c, int32_t token, float *next);

/* The largest logit's token, the first of equals. */
int32_t most_likely(const float *logits, uint32_t n_vocab);

#endif /* ENGINE_H */
