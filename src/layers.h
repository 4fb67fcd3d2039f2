/*
 * layers.h - budgets of layers
 */
#ifndef CSP_LAYERS_H
#define CSP_LAYERS_H

#include "csp.h"

/* One layer's part of a sum. */
typedef struct csp__share {
    double weight;      /* >= 0 and finite */
    uint32_t low, high; /* bounds of its rows, low <= high */
    uint32_t rows;      /* what it gets */
    double ideal;       /* while it is found: before rounding, */
    bool settled;       /* and whether 'rows' stands */
} csp__share;

/*
 * Divide 'total' rows in proportion to weights, within the bounds, to the row:
 * fractions are rounded up where they are largest, in the first of equals.  Of
 * open layers without any weight each gets the same.
 *
 * 'total' is at least the sum of 'low' and at most that of 'high'.
 */
void csp__apportion(csp__share *shares, uint32_t n, uint64_t total);

/* Weight of a layer of CSP_LAYERS_PYRAMID. */
double csp__pyramid(uint32_t layer, uint32_t n_layers, double slope);

/* Weight of a layer of CSP_LAYERS_SPARSITY: the share of its candidates whose
   importance is not below layer_threshold times its head's largest, averaged
   over heads that have candidates; 0 without any. */
double csp__density(const csp_importance *importance, const csp_tokens *tokens,
                    const csp_config *config);

#endif
