/*
 * differential_broken_views.c - attention and tokens with one thing wrong
 */
#include "differential_refusal.h"

/* ---- Any call that takes attention --------------------------------------- */

csp_status no_attention(diff_case *c, arguments *a)
{
    (void)c;
    a->attention_in = NULL;
    return CSP_E_NULL;
}

csp_status no_tokens(diff_case *c, arguments *a)
{
    (void)c;
    a->tokens_in = NULL;
    return CSP_E_NULL;
}

csp_status no_workspace(diff_case *c, arguments *a)
{
    (void)c;
    a->no_workspace = true;
    return CSP_E_NULL;
}

csp_status short_workspace(diff_case *c, arguments *a)
{
    (void)c;
    a->missing = 1;
    return CSP_E_WORKSPACE;
}

csp_status no_data(diff_case *c, arguments *a)
{
    scores_of(a)->data = NULL;
    return is_empty(c) ? CSP_OK : CSP_E_NULL;
}

csp_status unknown_dtype(diff_case *c, arguments *a)
{
    (void)c;
    scores_of(a)->dtype = (csp_dtype)3;
    return CSP_E_DTYPE;
}

csp_status unknown_source(diff_case *c, arguments *a)
{
    (void)c;
    a->attention.source = (csp_source)3;
    return CSP_E_CONFIG;
}

csp_status unknown_mask(diff_case *c, arguments *a)
{
    (void)c;
    a->attention.mask = (csp_mask)2;
    return CSP_E_CONFIG;
}

csp_status scattered_columns(diff_case *c, arguments *a)
{
    if (a->attention.source == CSP_QUERY_KEY || c->layer.n_keys < 2 ||
        is_empty(c))
        return CSP_OK;
    a->attention.scores.col_stride++;
    return CSP_E_STRIDE;
}

csp_status endless_rows(diff_case *c, arguments *a)
{
    csp_tensor *tensor = scores_of(a);
    if (tensor->n_rows < 2 || is_empty(c))
        return CSP_OK;
    cover(c, F15_SIZE_OVERFLOW);
    tensor->row_stride = SIZE_MAX / random_between(&c->random, 1, 2);
    return CSP_E_OVERFLOW;
}

csp_status endless_heads(diff_case *c, arguments *a)
{
    csp_tensor *tensor = scores_of(a);
    if (tensor->n_heads < 2 || is_empty(c))
        return CSP_OK;
    cover(c, F15_SIZE_OVERFLOW);
    tensor->head_stride = SIZE_MAX - random_below(&c->random, 100);
    return CSP_E_OVERFLOW;
}

csp_status too_late(diff_case *c, arguments *a)
{
    if (c->layer.n_queries < 2)
        return CSP_OK;
    cover(c, F15_SIZE_OVERFLOW);
    a->attention.first_query = UINT32_MAX - c->layer.n_queries + 2;
    return CSP_E_OVERFLOW;
}

csp_status too_few_columns(diff_case *c, arguments *a)
{
    csp_tensor *keyed = &a->attention.scores;
    if (c->layer.n_keys == 0)
        return CSP_OK;
    if (a->attention.source == CSP_QUERY_KEY)
        a->attention.keys.n_rows = c->layer.n_keys - 1;
    else
        keyed->n_cols = c->layer.n_keys - 1;
    return CSP_E_SHAPE;
}

csp_status uneven_groups(diff_case *c, arguments *a)
{
    if (c->layer.n_kv_heads < 2)
        return CSP_OK;
    scores_of(a)->n_heads--;
    return CSP_E_GQA;
}

csp_status no_heads(diff_case *c, arguments *a)
{
    (void)c;
    a->tokens.n_kv_heads = 0;
    return CSP_E_SHAPE;
}

csp_status lse_in_f16(diff_case *c, arguments *a)
{
    if (c->layer.lse == NULL || a->attention.source != CSP_PROBABILITIES)
        return CSP_OK;
    a->attention.lse.dtype = CSP_F16;
    return CSP_E_DTYPE;
}

csp_status lse_is_nan(diff_case *c, arguments *a)
{
    if (c->layer.lse == NULL || is_empty(c))
        return CSP_OK;
    cover(c, F12_NAN_REFUSED);
    spoil(a, a->attention.lse.data, draw_bad_number(c), CSP_F32);
    return CSP_E_NOT_FINITE;
}

/* A number that must be read.  An infinite query may make logits of -inf. */
csp_status score_is_nan(diff_case *c, arguments *a)
{
    const oracle_layer *layer = &c->layer;
    const uint32_t h = random_below(&c->random, layer->n_heads);
    const uint32_t g = h / (layer->n_heads / layer->n_kv_heads);
    if (is_empty(c))
        return CSP_OK;
    const uint32_t r = random_below(&c->random, layer->n_queries);
    const uint32_t k = random_below(&c->random, layer->n_keys);
    if (!oracle_sees(layer, g, r, k) ||
        layer->first_query + r < layer->first_vote)
        return CSP_OK;
    cover(c, F12_NAN_REFUSED);
    const csp_tensor *tensor = scores_of(a);
    const uint32_t column =
        a->attention.source == CSP_QUERY_KEY ? tensor->n_cols - 1 : k;
    spoil(a, (const char *)tensor->data + tensor_offset(tensor, h, r, column),
          a->attention.source == CSP_QUERY_KEY ? (double)NAN
                                               : draw_bad_number(c),
          tensor->dtype);
    return CSP_E_NOT_FINITE;
}

/* ---- Any call that takes tokens ------------------------------------------ */

csp_status bad_spans(diff_case *c, arguments *a)
{
    static const csp_span spans[][2] = {
        {{2, 5, 1}, {4, 6, 1}},                  /* overlap */
        {{4, 6, 1}, {2, 3, 1}},                  /* order */
        {{5, 2, 1}, {6, 6, 1}},                  /* inside out */
        {{0, 1, 1}, {1, 2, CSP_MAX_MODALITIES}}, /* modality */
        {{0, 1, 1}, {1, UINT32_MAX, 1}},         /* range */
    };
    a->tokens.spans = spans[random_below(&c->random, 5)];
    a->tokens.n_spans = 2;
    return CSP_E_SPAN;
}

csp_status no_spans(diff_case *c, arguments *a)
{
    (void)c;
    a->tokens.spans = NULL;
    a->tokens.n_spans = 1;
    return CSP_E_NULL;
}

csp_status too_many_rows(diff_case *c, arguments *a)
{
    uint32_t *counts = take_plain(c, c->layer.n_kv_heads, sizeof(*counts));
    memcpy(counts, c->layer.n_rows, c->layer.n_kv_heads * sizeof(*counts));
    counts[random_below(&c->random, c->layer.n_kv_heads)] = c->layer.n_keys + 1;
    a->tokens.counts = counts;
    return CSP_E_SHAPE;
}

csp_status unordered_positions(diff_case *c, arguments *a)
{
    const uint32_t n_keys = c->layer.n_keys;
    const uint32_t n_heads = c->layer.n_kv_heads;
    if (n_keys < 2 || c->layer.n_rows[n_heads - 1] < 2)
        return CSP_OK;
    uint32_t *positions =
        take_plain(c, (size_t)n_heads * n_keys, sizeof(*positions));
    for (uint32_t i = 0; i < n_heads * n_keys; i++)
        positions[i] = i % n_keys;
    positions[(n_heads - 1) * n_keys + 1] = 0;
    a->tokens.positions = positions;
    a->tokens.capacity = n_keys;
    return CSP_E_INDEX;
}
