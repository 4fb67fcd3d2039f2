/*
 * layer.h - a scene with a cache of keys and values, to be pruned
 */
#ifndef LAYER_H
#define LAYER_H

#include "scene.h"

/* K and V. */
#define N_VIEWS 2

typedef struct layer {
    score_job score;
    memory select_workspace, rows, counts;
    memory caches[N_VIEWS], pruned[N_VIEWS];
    csp_cells from[N_VIEWS], to[N_VIEWS];
    csp_kept kept;
    size_t kept_size; /* bytes of kept rows, K and V */
} layer;

/* Of the scene's f32 logits, with the settings of its shape. */
void layer_open(layer *l, scene *s);
void layer_close(layer *l);

/* The three verbs, in this order; importance begins at zero. */
void layer_score(void *job);
void layer_select(void *job);
void layer_gather(void *job);

/* Ends the program unless the last row kept of each head was copied. */
void layer_check(void *job);

#endif
