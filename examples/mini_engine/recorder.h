/*
 * recorder.h - the queries of a sequence's last tokens, layer by layer
 *
 * Queries are small next to logits, and with the cached keys they say the same.
 * So they serve where attention is wanted after its time: to measure what a
 * plan is about to drop, and to score one prompt by several methods.
 */
#ifndef RECORDER_H
#define RECORDER_H

#include "engine.h"
#include "model.h"

#include <stdint.h>

typedef struct recorder {
    uint32_t n_layers, capacity;
    uint32_t row_size;   /* n_heads * head_dim */
    uint32_t *first, *n; /* [layer] position of the first row; rows */
    float *queries;      /* [layer][capacity][n_heads][head_dim] */
} recorder;

/* Room for the queries of the last 'capacity' tokens. */
recorder recorder_make(const model *m, uint32_t capacity);
void recorder_free(recorder *r);

/* Forget the rows behind the first 'n'. */
void recorder_cut(recorder *r, uint32_t n);

/* Keep what is seen; what is too old to fit goes.  A watcher's function, with a
   recorder as its context. */
void recorder_watch(void *recorder, const attention_seen *seen);

/* What is kept of a layer, as if it were seen now, without logits.  'c' is the
   cache that the queries looked at; rows that came later do no harm. */
attention_seen recorder_view(const recorder *r, uint32_t layer, const cache *c);

#endif /* RECORDER_H */
