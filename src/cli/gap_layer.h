/*
 * gap_layer.h - how differently a layer weighs its own modality and others
 */
#ifndef CLI_GAP_LAYER_H
#define CLI_GAP_LAYER_H

#include "csp.h"
#include "gap_density.h"
#include "message.h"

/* A layer's pairs of query and key of one modality, and of two. */
typedef struct gap_layer {
    uint64_t n_intra, n_inter; /* visible pairs, those that weigh something */
    uint64_t n_tiny;           /* of both, visible but below 1e-38 */
    double median_intra, median_inter; /* log10 of a weight; NAN: none */
    double bandwidth;                  /* decades; of both curves */
    double divergence;                 /* bits; NAN: no pairs on one side */
    double *intra, *inter;             /* [DENSITY_POINTS]; NULL: not made */
} gap_layer;

typedef struct gap_counter gap_counter;

/* Memory for counting layers with rows of 'n_keys' scores. */
outcome gap_counter_create(uint32_t n_keys, gap_counter **counter);
void gap_counter_free(gap_counter *counter);

/* Forget what was counted. */
void gap_counter_reset(gap_counter *counter);

/*
 * Count the weights of a layer, or of some of its heads or query rows: logits
 * through the n-softmax (E1), probabilities with a log-sum-exp likewise, else
 * as they are.  Rows are contiguous, and every cached row holds the token of
 * its number.  'name' and 'layer' are for messages.
 */
outcome gap_count(gap_counter *counter, const char *name, uint32_t layer,
                  const csp_attention *attention, const csp_tokens *tokens,
                  double n);

/*
 * Density and divergence of what was counted.  Both curves have the wider of
 * their two bandwidths by Silverman's rule: smoothing one more than the other
 * would be a difference that is not in the weights.  They are the counter's,
 * and stand until the next call.
 */
void gap_finish(gap_counter *counter, gap_layer *layer);

/* What was counted, of the counter's own. */
void gap_counted(const gap_counter *counter, const density_counts **intra,
                 const density_counts **inter);

/* The points [*first, *last] of the curves that are worth drawing. */
void gap_support(const gap_layer *layer, size_t *first, size_t *last);

#endif /* CLI_GAP_LAYER_H */
