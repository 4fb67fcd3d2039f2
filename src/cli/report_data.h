/*
 * report_data.h - a layer in as many numbers as a picture has pixels
 *
 * Tokens are put together in bins of equal width, the last maybe narrower, so
 * that a report stays small for any prompt.
 */
#ifndef CLI_REPORT_DATA_H
#define CLI_REPORT_DATA_H

#include "csp.h"
#include "gap_density.h"
#include "message.h"

#include <stdint.h>

/* Besides csp_reason. */
enum {
    REASON_DROPPED = 0,
    REASON_KEPT = CSP_REASON_CLAIMED + 1, /* kept, and nobody knows why */
    N_REASONS
};

/* What all layers have in common. */
typedef struct report_shape {
    uint32_t n_layers, n_kv_heads;
    uint32_t n_heads, n_queries; /* 0: unknown */
    uint32_t n_keys;
    const csp_span *spans;
    uint32_t n_spans;
} report_shape;

/*
 * How finely a report shows the tokens: 'digits' base-64 digits for each
 * importance, and one for what was kept of a bin.
 */
typedef struct report_grid {
    uint32_t width; /* tokens in a bin */
    uint32_t n_bins;
    uint32_t digits;
    uint32_t n_modalities; /* one more than the largest in use */
} report_grid;

/* The finest grid with which the report stays below 2 MB; where layers and
   heads alone take that, each layer adds 1 KB or more. */
report_grid report_grid_of(const report_shape *shape);

/* A layer as the command has it. */
typedef struct report_layer {
    const csp_importance *importance;
    const uint8_t *reasons;      /* [n_lists][n_keys] */
    uint32_t n_lists;            /* 1 or n_kv_heads */
    const float *sink_logits;    /* [n_heads]; NULL: unknown */
    const struct gap_layer *gap; /* NULL: unknown */
} report_layer;

enum { MASS_INTRA, MASS_INTRA_KEPT, MASS_INTER, MASS_INTER_KEPT, N_MASSES };

/* The same, put together. */
typedef struct report_bins {
    double *intra, *inter; /* [n_kv_heads][n_bins] mean of a bin's tokens */
    uint32_t *kept;        /* [n_kv_heads][n_bins] how many, or, where a bin is
                              one token, its reason */
    double *mass;          /* [n_kv_heads][N_MASSES] */
    uint32_t *split;       /* [n_kv_heads][n_modalities][N_REASONS] of tokens */
    uint8_t *modality;     /* [n_keys] */
} report_bins;

outcome report_bins_create(const report_shape *shape, const report_grid *grid,
                           report_bins *bins);
void report_bins_free(report_bins *bins);

void report_bins_fill(const report_shape *shape, const report_grid *grid,
                      const report_layer *layer, report_bins *bins);

#endif /* CLI_REPORT_DATA_H */
