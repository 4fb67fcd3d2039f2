/*
 * attention_scene.h - a cache to prune, and the queries that come after
 *
 * One scene is one moment at which a cache may be pruned: what has been read so
 * far, and how later tokens attend to it when nothing is pruned.  Later queries
 * are those of the full model, so every way of pruning is asked the same
 * questions, and an error here is one of attention alone, not of what earlier
 * layers made of it.
 */
#ifndef ATTENTION_SCENE_H
#define ATTENTION_SCENE_H

#include "csp.h"

#include "cache.h"
#include "engine.h"
#include "prompt.h"
#include "recorder.h"

#include <stdbool.h>
#include <stdint.h>

/* Attention outputs [n][n_heads][head_dim] of later queries, and their
   log-sum-exp [n][n_heads]. */
typedef struct outputs {
    float *rows, *lse;
} outputs;

/* The later tokens of one layer. */
typedef struct later_rows {
    uint32_t capacity;
    float *queries; /* [n][n_heads][head_dim] */
    outputs own;    /* over later keys, up to the query's own */
    outputs full;   /* over the cache, with own keys if the scene says so */
} later_rows;

typedef struct scene {
    uint32_t n_layers, n_heads, n_kv_heads, head_dim;
    float scale;          /* of logits */
    const cache *full;    /* what may be pruned */
    const recorder *seen; /* the queries of all its tokens */
    csp_span *spans;
    uint32_t n_spans;
    bool own_keys;      /* later tokens see each other, too */
    bool asked;         /* the last tokens in the cache are a question */
    uint64_t seed;      /* of random pruning */
    uint32_t n;         /* later queries */
    later_rows *layers; /* [n_layers] */
} scene;

/* A scene without later queries.  'full' and 'seen' must outlive it. */
scene scene_make(const cache *full, const recorder *seen, const prompt *p,
                 bool own_keys, uint64_t seed);
void scene_free(scene *s);

/* Read 'n' more tokens behind the full cache, of which a copy is used, and add
   their queries.  Call it again for other tokens at the same place. */
void scene_read(scene *s, engine *e, const float *embeddings, uint32_t n);

/* All is read: compute the outputs over the full cache. */
void scene_finish(scene *s);

/* Rows in the cache. */
uint32_t scene_keys(const scene *s);

/* Room for outputs of all later queries. */
outputs outputs_make(const scene *s);
void outputs_free(outputs *o);

/* Attend to the kept rows only, compacted; NULL: to all. */
void scene_attend(const scene *s, uint32_t layer, const csp_kept *kept,
                  outputs *o);

#endif /* ATTENTION_SCENE_H */
