/*
 * cache.h - the KV cache of one sequence, made to be pruned
 *
 * Two things that engines like to keep in one number are apart here.
 * 'position' counts the tokens of the sequence, and is what RoPE turns keys by;
 * pruning does not change it.  'rows' says how many rows each KV head of each
 * layer really holds; new tokens go behind them, and attention ends there.
 */
#ifndef CACHE_H
#define CACHE_H

#include "model.h"

#include <stddef.h>
#include <stdint.h>

/*
 * What is left of dropped rows besides their mass: a summary of each KV head,
 * and how it was fitted for each query head (E11).  All in one array.
 */
typedef struct remains {
    uint32_t rank;
    size_t size;                   /* of 'numbers'; 0: nothing is left */
    float *numbers;                /* owns the others */
    float *keys, *values;          /* [layer][KV head][1 + 2 rank], [1 + rank],
                                     rows of head_dim */
    float *log_count, *variance;   /* [layer][KV head] */
    float *offset, *slope, *limit; /* [layer][query head] */
} remains;

typedef struct cache {
    uint32_t n_layers, n_heads, n_kv_heads, head_dim;
    uint32_t capacity;    /* rows there is room for in each head */
    uint32_t position;    /* tokens seen so far, dropped ones included */
    uint32_t *rows;       /* [layer][KV head] rows in use */
    float *keys, *values; /* [layer][KV head][capacity][head_dim] */
    float *sink_logits;   /* [layer][query head]; -INFINITY: no sink */
    float *sink_values;   /* [layer][query head][head_dim] */
    remains remains;
} cache;

/* An empty cache with room for 'capacity' tokens. */
cache cache_make(const model *m, uint32_t capacity);
void cache_free(cache *c);

/* Make room for what will be left, as if nothing was dropped so far. */
void cache_make_remains(cache *c, uint32_t rank);

/* A copy with room for 'capacity' rows a head, at least those in use.  This is
   how pruned rows give memory back: copy, and free the large one. */
cache cache_copy(const cache *c, uint32_t capacity);

/* Rows in use of the longest head: of one layer, of all. */
uint32_t cache_layer_rows(const cache *c, uint32_t layer);
uint32_t cache_rows(const cache *c);

/* Bytes of the keys and values in use, and of what is left of others. */
size_t cache_bytes(const cache *c);

/* Row 0 of a head, as an offset into keys or values. */
static inline size_t cache_head(const cache *c, uint32_t layer,
                                uint32_t kv_head)
{
    return ((size_t)layer * c->n_kv_heads + kv_head) * c->capacity *
           c->head_dim;
}

#endif /* CACHE_H */
