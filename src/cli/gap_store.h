/*
 * gap_store.h - what was counted of every layer, for curves to be made again
 *
 * A curve takes the same memory however few weights it is of, and a small file
 * can have many layers.  So what is kept of a layer is its bins that are not
 * empty, at most 8 bytes for each weight, and only one layer has curves.
 */
#ifndef CLI_GAP_STORE_H
#define CLI_GAP_STORE_H

#include "gap_layer.h"

typedef struct gap_store gap_store;

outcome gap_store_create(uint32_t n_layers, gap_store **store);
void gap_store_free(gap_store *store);

/* Keep what was counted of this layer; once for each. */
outcome gap_store_keep(gap_store *store, uint32_t number,
                       const gap_counter *counter);

/* The curves that gap_finish made of this layer, which is 'layer' but for them.
   They stand until the next call. */
void gap_store_draw(gap_store *store, uint32_t number, gap_layer *layer);

#endif /* CLI_GAP_STORE_H */
