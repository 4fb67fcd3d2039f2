/*
 * pieces.h - rows of CSP_QUERY_KEY too long to be kept, scored in pieces
 */
#ifndef CSP_PIECES_H
#define CSP_PIECES_H

#include "rows.h"

/* Rows of a tile, and keys of a piece: a block of a long sum. */
#define CSP__PIECE_ROWS 32u
#define CSP__PIECE_KEYS ((uint32_t)CSP__BLOCK)

/* Whether a window's rows are better computed twice than kept. */
bool csp__in_pieces(const csp__window *window);

/*
 * Add the n-softmax weights of the feed's rows to sums[n_keys]: the bits are
 * those of whole rows, but for weights below 2^-125.  The feed has a tile of
 * pieces; e[CSP__PIECE_KEYS] is scratch.  CSP_E_NOT_FINITE for a logit that is
 * NaN or +inf.
 */
csp_status csp__sum_pieces(const csp__kernels *kernels, double n,
                           csp__feed *feed, float *e, float *sums);

#endif
