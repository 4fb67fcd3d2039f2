/*
 * correct.h - attention outputs corrected for what was dropped
 */
#ifndef CORRECT_H
#define CORRECT_H

#include "cache.h"

#include <stdint.h>

/*
 * Correct a layer's outputs over kept rows by the cache's remains (E11).
 *
 * 'queries'  [n][n_heads][head_dim], after RoPE
 * 'lse'      [n_heads][n] log-sum-exp over the kept rows
 * 'outputs'  [n][n_heads][head_dim], corrected in place
 */
void correct_layer(const cache *c, uint32_t layer, uint32_t n,
                   const float *queries, const float *lse, float *outputs);

#endif /* CORRECT_H */
