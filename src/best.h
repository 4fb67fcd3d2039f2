/*
 * best.h - the k best of a list of scores
 *
 * Scores are ranked as unsigned keys of the same order (csp__order_of), in
 * which 0 is below every score: what is not in question.
 */
#ifndef CSP_BEST_H
#define CSP_BEST_H

#include "kernels.h"

#include <stddef.h>
#include <stdint.h>

/* The least key of a candidate, and of one with a score above zero. */
#define CSP__ANY UINT32_C(1)
#define CSP__POSITIVE UINT32_C(0x80000001)

/*
 * The set of the n_best largest keys that are at least 'least' > 0, lowest
 * index first on ties.
 *
 * 'active'  [n] scratch, not 'keys'.
 * 'set'     [csp__words(n)], nothing behind the last key.
 */
void csp__choose_best(const csp__kernels *k, const uint32_t *keys, size_t n,
                      uint32_t least, uint64_t n_best, uint32_t *active,
                      uint64_t *set);

/* Take what is in a set out of the question. */
void csp__strike(const uint64_t *set, size_t n_words, uint32_t *keys);

#endif
