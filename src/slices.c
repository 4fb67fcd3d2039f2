/*
 * slices.c - views of one KV head's part
 */
#include "slices.h"

#include "tokens.h"
#include "views.h"

csp_tensor csp__slice_heads(csp_tensor tensor, uint32_t begin, uint32_t n_heads)
{
    tensor.data = csp__row_at(&tensor, begin, 0);
    tensor.n_heads = n_heads;
    return tensor;
}

csp_attention csp__slice_attention(const csp__window *window, uint32_t g)
{
    csp_attention slice = *window->attention;
    const uint32_t begin = g * window->group;

    if (slice.source == CSP_QUERY_KEY) {
        slice.queries = csp__slice_heads(slice.queries, begin, window->group);
        slice.keys = csp__slice_heads(slice.keys, g, 1);
        return slice;
    }
    slice.scores = csp__slice_heads(slice.scores, begin, window->group);
    if (slice.source == CSP_PROBABILITIES)
        slice.lse = csp__slice_heads(slice.lse, begin, window->group);
    return slice;
}

csp_tokens csp__slice_tokens(csp_tokens tokens, uint32_t g)
{
    tokens.n_kv_heads = 1;
    tokens.counts += g;
    tokens.positions += (size_t)g * tokens.capacity;
    return tokens;
}

csp_kept csp__slice_kept(csp_kept kept, uint32_t g)
{
    const uint32_t list = csp__list(&kept, g);

    kept.rows += (size_t)list * kept.capacity;
    kept.counts += list;
    kept.n_both = NULL;
    kept.reasons = NULL;
    kept.n_lists = 1;
    return kept;
}
