/*
 * slices.h - views of one KV head's part, so that heads are separate tasks
 */
#ifndef CSP_SLICES_H
#define CSP_SLICES_H

#include "csp.h"
#include "rows.h"

/* Heads [begin, begin + n_heads) of a tensor. */
csp_tensor csp__slice_heads(csp_tensor tensor, uint32_t begin,
                            uint32_t n_heads);

/* KV head g, and its query heads, of a checked window. */
csp_attention csp__slice_attention(const csp__window *window, uint32_t g);

/* KV head g of tokens with counts and positions. */
csp_tokens csp__slice_tokens(csp_tokens tokens, uint32_t g);

/* KV head g's list. */
csp_kept csp__slice_kept(csp_kept kept, uint32_t g);

#endif
