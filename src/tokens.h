/*
 * tokens.h - which token and modality each cached row is
 */
#ifndef CSP_TOKENS_H
#define CSP_TOKENS_H

#include "csp.h"

/* Check spans alone: ascending, disjoint, inside [0, n_tokens), known
   modalities. */
csp_status csp__check_spans(const csp_span *spans, uint32_t n_spans,
                            uint32_t n_tokens);

csp_status csp__check_tokens(const csp_tokens *tokens);

/* Check one ascending list of distinct rows below n_keys. */
csp_status csp__check_rows(const uint32_t *rows, uint32_t n_rows,
                           uint32_t n_keys);

/* Check kept lists against heads: one list or one a head, inside each head's
   rows. */
csp_status csp__check_kept(const csp_kept *kept, const csp_tokens *tokens);

/* Rows in use of KV head g. */
static inline uint32_t csp__count(const csp_tokens *tokens, uint32_t g)
{
    return tokens->counts != NULL ? tokens->counts[g] : tokens->n_keys;
}

/* Kept list of KV head g. */
static inline uint32_t csp__list(const csp_kept *kept, uint32_t g)
{
    return kept->n_lists == 1 ? 0 : g;
}

static inline const uint32_t *csp__kept_rows(const csp_kept *kept, uint32_t g)
{
    return kept->rows != NULL
               ? kept->rows + (size_t)csp__list(kept, g) * kept->capacity
               : NULL;
}

/* Token of cached row i of KV head g. */
static inline uint32_t csp__position(const csp_tokens *tokens, uint32_t g,
                                     uint32_t i)
{
    return tokens->positions != NULL
               ? tokens->positions[(size_t)g * tokens->capacity + i]
               : i;
}

/* Modality of one token. */
uint32_t csp__modality_of(const csp_tokens *tokens, uint32_t token);

/* Neighbouring rows [begin, end) of one modality. */
typedef struct csp__run {
    uint32_t begin, end;
    uint32_t modality;
} csp__run;

/* The next run of the rows in use of KV head g, from run->end on; begin with
   zeros.  Runs need not be the longest.  False at the end. */
bool csp__next_run(const csp_tokens *tokens, uint32_t g, csp__run *run);

/* How many rows of KV head g, from the first on, a query of 'token' may see. */
uint32_t csp__visible(const csp_tokens *tokens, uint32_t g, csp_mask mask,
                      uint32_t token);

#endif
