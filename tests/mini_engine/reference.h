/*
 * reference.h - a decoder that forgets nothing, to compare with
 *
 * Token by token, in double, without a thought for speed.  It keeps the keys
 * and values of every token; what a pruned cache has dropped is only masked.
 */
#ifndef REFERENCE_H
#define REFERENCE_H

#include "cache.h"
#include "model.h"

#include <stdint.h>

typedef struct reference {
    const model *m;
    uint32_t n_tokens, capacity;
    double *keys, *values; /* [layer][KV head][capacity][head_dim] */
    uint8_t *dropped;      /* [layer][KV head][capacity] 1: masked */
    const cache *sinks;    /* whose sinks and remains take part, or NULL */
} reference;

reference reference_make(const model *m, uint32_t capacity);
void reference_free(reference *r);

/* Run one token, given as its embedding; 'next' receives [n_vocab]. */
void reference_step(reference *r, const float *embedding, double *next);

#endif /* REFERENCE_H */
