/*
 * tokens.c - which token and modality each cached row is
 *
 * Spans and positions both ascend, so expanding them is one walk along both,
 * and what a causal query sees is a prefix.
 */
#include "tokens.h"

#include "views.h"

csp_status csp__check_spans(const csp_span *spans, uint32_t n_spans,
                            uint32_t n_tokens)
{
    uint32_t end = 0;

    if (n_spans > 0 && spans == NULL)
        return CSP_E_NULL;
    for (uint32_t i = 0; i < n_spans; i++) {
        if (spans[i].begin < end || spans[i].end < spans[i].begin ||
            spans[i].end > n_tokens || spans[i].modality >= CSP_MAX_MODALITIES)
            return CSP_E_SPAN;
        end = spans[i].end;
    }
    return CSP_OK;
}

csp_status csp__check_rows(const uint32_t *rows, uint32_t n_rows,
                           uint32_t n_keys)
{
    if (n_rows == 0)
        return CSP_OK;
    if (rows == NULL)
        return CSP_E_NULL;
    if (n_rows > n_keys || rows[n_rows - 1] >= n_keys)
        return CSP_E_INDEX;
    for (uint32_t i = 1; i < n_rows; i++)
        if (rows[i] <= rows[i - 1])
            return CSP_E_INDEX;
    return CSP_OK;
}

csp_status csp__check_tokens(const csp_tokens *tokens)
{
    if (tokens->n_kv_heads == 0)
        return CSP_E_SHAPE;
    if (tokens->counts != NULL)
        for (uint32_t g = 0; g < tokens->n_kv_heads; g++)
            if (tokens->counts[g] > tokens->n_keys)
                return CSP_E_SHAPE;
    if (tokens->positions != NULL) {
        if (tokens->capacity < tokens->n_keys)
            return CSP_E_CAPACITY;
        csp_status fits =
            csp__check_array(tokens->n_kv_heads, tokens->capacity);
        if (fits != CSP_OK)
            return fits;
        for (uint32_t g = 0; g < tokens->n_kv_heads; g++) {
            csp_status status = csp__check_rows(
                tokens->positions + (size_t)g * tokens->capacity,
                csp__count(tokens, g), UINT32_MAX);
            if (status != CSP_OK)
                return status;
        }
    }
    return csp__check_spans(tokens->spans, tokens->n_spans,
                            tokens->n_tokens != 0 ? tokens->n_tokens
                                                  : tokens->n_keys);
}

csp_status csp__check_kept(const csp_kept *kept, const csp_tokens *tokens)
{
    if (kept->n_lists != 1 && kept->n_lists != tokens->n_kv_heads)
        return CSP_E_SHAPE;
    if (kept->counts == NULL || (kept->rows == NULL && kept->capacity > 0))
        return CSP_E_NULL;
    csp_status fits = csp__check_array(kept->n_lists, kept->capacity);
    if (fits != CSP_OK)
        return fits;
    for (uint32_t g = 0; g < tokens->n_kv_heads; g++) {
        uint32_t count = kept->counts[csp__list(kept, g)];
        if (count > kept->capacity)
            return CSP_E_CAPACITY;
        csp_status status = csp__check_rows(csp__kept_rows(kept, g), count,
                                            csp__count(tokens, g));
        if (status != CSP_OK)
            return status;
    }
    return CSP_OK;
}

/* The first span that ends behind 'token'; n_spans if there is none. */
static uint32_t span_from(const csp_tokens *tokens, uint32_t token)
{
    uint32_t low = 0;
    uint32_t high = tokens->n_spans;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (tokens->spans[middle].end <= token)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

uint32_t csp__modality_of(const csp_tokens *tokens, uint32_t token)
{
    const uint32_t span = span_from(tokens, token);

    if (span == tokens->n_spans || tokens->spans[span].begin > token)
        return 0;
    return tokens->spans[span].modality;
}

uint32_t csp__visible(const csp_tokens *tokens, uint32_t g, csp_mask mask,
                      uint32_t token)
{
    uint32_t low = 0;
    uint32_t high = csp__count(tokens, g);

    if (mask == CSP_FULL)
        return high;
    if (tokens->positions == NULL)
        return token < high ? token + 1 : high;
    while (low < high) { /* the first row of a later token */
        uint32_t middle = low + (high - low) / 2;
        if (csp__position(tokens, g, middle) <= token)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool csp__next_run(const csp_tokens *tokens, uint32_t g, csp__run *run)
{
    const uint32_t n = csp__count(tokens, g);

    if (run->end == n)
        return false;
    run->begin = run->end;
    run->end = n;
    run->modality = 0;
    const uint32_t token = csp__position(tokens, g, run->begin);
    const uint32_t span = span_from(tokens, token);
    if (span == tokens->n_spans)
        return true;
    uint32_t last = tokens->spans[span].end - 1;
    if (tokens->spans[span].begin > token)
        last = tokens->spans[span].begin - 1;
    else
        run->modality = tokens->spans[span].modality;
    run->end = csp__visible(tokens, g, CSP_CAUSAL, last);
    return true;
}
