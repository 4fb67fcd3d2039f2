/*
 * entropy.h - entropy of rows of attention that arrive in pieces
 *
 * Of a row of logits, masked ones left out, it is that of its softmax; of a row
 * of probabilities, that of the row divided by its sum.  In nats.
 */
#ifndef CLI_ENTROPY_H
#define CLI_ENTROPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The row that is being added. */
typedef struct entropy_row {
    bool no_logits; /* NaN or +inf was there */
    double largest; /* logit */
    double mass,
        moment;       /* sums of e and e (x - largest), e = exp(x - largest) */
    double sum, plog; /* sums of p and p log p */
} entropy_row;

/* Begin with zeros, and the first two set. */
typedef struct entropy {
    float masked; /* the largest logit that counts as masked */
    double slack; /* by how much a sum of probabilities may exceed 1 */
    entropy_row row;
    uint64_t n_rows;
    uint64_t n_logit_rows; /* with a logit that is not masked */
    double logit_entropy;  /* the sum over them */
    bool no_probabilities; /* some row is none of probabilities */
    uint64_t n_mass_rows;  /* with a sum > 0 */
    double mass_entropy, mass;
} entropy;

/* The next part of a row; a row without probabilities ends their sums. */
void entropy_add(entropy *e, const float *x, size_t n);
void entropy_end_row(entropy *e);

#endif /* CLI_ENTROPY_H */
