/*
 * gap.h - the parts of csp gap
 */
#ifndef CLI_GAP_H
#define CLI_GAP_H

#include "gap_store.h"
#include "prune_options.h"

/* All layers of a file. */
typedef struct gap {
    const prune_options *options;
    char scores[128]; /* what the file holds */
    double n;
    uint32_t n_layers;
    gap_layer *layers;
    gap_store *store; /* of curves; NULL: layers have them, or need none */
} gap;

/* Mean divergence of the layers that have one; NAN if none has. */
double gap_mean(const gap *g);

/* A layer with its curves, which stand until the next call. */
gap_layer gap_with_curves(const gap *g, uint32_t layer);

outcome gap_print_table(const gap *g);
outcome gap_print_json(const gap *g);

/* Curves of every layer, in rows of small plots. */
outcome gap_plot(const gap *g, const char *path);

#endif /* CLI_GAP_H */
