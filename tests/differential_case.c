/*
 * differential_case.c - drawing a random configuration
 *
 * Shapes are small, because bugs live at edges and edges are nearer in small
 * shapes; and because a case must take a few milliseconds.
 */
#include "differential.h"

/* ---- Shapes -------------------------------------------------------------- */

static uint32_t draw_n_keys(diff_case *c)
{
    const uint32_t kind = random_below(&c->random, 100);
    if (kind < 3)
        return 0;
    if (kind < 12)
        return random_between(&c->random, 1, 4);
    if (kind < 97)
        return random_between(&c->random, 5, 80);
    return random_between(&c->random, 81, 400);
}

static uint32_t draw_n_queries(diff_case *c, uint32_t n_keys)
{
    if (random_chance(&c->random, 3))
        return 0;
    return random_between(&c->random, 1, n_keys > 80 ? 8 : 24);
}

static void draw_shape(diff_case *c)
{
    static const uint32_t groups[] = {1, 1, 2, 2, 3, 4};
    oracle_layer *layer = &c->layer;
    const uint32_t group = groups[random_below(&c->random, 6)];
    layer->n_kv_heads =
        random_between(&c->random, 1, 8 / group > 4 ? 4 : 8 / group);
    if (random_chance(&c->random, 3))
        layer->n_kv_heads = 8 / group;
    layer->n_heads = layer->n_kv_heads * group;
    layer->n_keys = draw_n_keys(c);
    layer->n_queries = draw_n_queries(c, layer->n_keys);
    if (group > 1)
        cover(c, F13_GROUPS);

    const size_t n = (size_t)layer->n_kv_heads * layer->n_keys;
    layer->n_rows = take_plain(c, layer->n_kv_heads, sizeof(uint32_t));
    layer->key_token = take_plain(c, n, sizeof(uint32_t));
    layer->key_modality = take_plain(c, n, sizeof(uint32_t));
    layer->query_modality = take_plain(c, layer->n_queries, sizeof(uint32_t));
    layer->x =
        take_plain(c, (size_t)layer->n_heads * layer->n_queries * layer->n_keys,
                   sizeof(double));
    layer->lse = NULL;
}

/* ---- Tokens -------------------------------------------------------------- */

/* n ascending tokens below 'n_tokens', which is at least n, all sets alike. */
static void draw_positions(diff_case *c, uint32_t n, uint32_t n_tokens,
                           uint32_t *positions)
{
    uint32_t n_drawn = 0;
    for (uint32_t token = 0; n_drawn < n; token++) {
        if (random_below(&c->random, n_tokens - token) < n - n_drawn)
            positions[n_drawn++] = token;
    }
}

static void draw_rows(diff_case *c, uint32_t n_tokens)
{
    csp_tokens *tokens = &c->tokens;
    const uint32_t n_heads = tokens->n_kv_heads;
    uint32_t *counts = NULL;
    if (random_chance(&c->random, 20)) {
        counts = arena_take(&c->arena, n_heads * sizeof(*counts), 0);
        for (uint32_t g = 0; g < n_heads; g++)
            counts[g] = random_below(&c->random, tokens->n_keys + 1);
        tokens->counts = counts;
    }
    if (n_tokens == 0)
        return;

    tokens->capacity = tokens->n_keys + random_below(&c->random, 3);
    const size_t size = sizeof(uint32_t) * n_heads * tokens->capacity;
    uint32_t *positions = arena_take(&c->arena, size, 0);
    for (uint32_t g = 0; g < n_heads; g++)
        draw_positions(c, counts ? counts[g] : tokens->n_keys, n_tokens,
                       positions + (size_t)g * tokens->capacity);
    tokens->positions = positions;
}

static void draw_spans(diff_case *c, uint32_t n_tokens)
{
    enum { MAX_SPANS = 12 };
    csp_tokens *tokens = &c->tokens;
    const uint32_t kind = random_below(&c->random, 100);
    if (kind < 15)
        return;

    csp_span *spans = arena_take(&c->arena, MAX_SPANS * sizeof(*spans), 0);
    tokens->spans = spans;
    if (kind < 25) {
        *spans = (csp_span){0, n_tokens,
                            random_below(&c->random, CSP_MAX_MODALITIES)};
        tokens->n_spans = 1;
        return;
    }
    const uint32_t n_modalities =
        random_chance(&c->random, 70) ? 2 : CSP_MAX_MODALITIES;
    uint32_t at = 0;
    for (uint32_t i = 0; i < MAX_SPANS && at <= n_tokens; i++) {
        const uint32_t longest = random_chance(&c->random, 50) ? 4 : 30;
        const bool empty = random_chance(&c->random, 8);
        const uint32_t left = n_tokens - at;
        uint32_t length = empty ? 0 : random_between(&c->random, 1, longest);
        length = length < left ? length : left;
        spans[i] =
            (csp_span){at, at + length, random_below(&c->random, n_modalities)};
        tokens->n_spans = i + 1;
        at += length;
        if (random_chance(&c->random, 70))
            at += random_below(&c->random, longest);
    }
}

static void draw_tokens(diff_case *c)
{
    const uint32_t n_keys = c->layer.n_keys;
    const bool moved = random_chance(&c->random, 25);
    const bool longer = moved || random_chance(&c->random, 20);
    const uint32_t more = random_below(&c->random, n_keys + 10);
    uint32_t n_tokens = n_keys + (longer ? more : 0);

    c->tokens =
        (csp_tokens){.n_kv_heads = c->layer.n_kv_heads, .n_keys = n_keys};
    c->tokens.n_tokens = longer || random_chance(&c->random, 50) ? n_tokens : 0;
    draw_rows(c, moved ? n_tokens : 0);
    draw_spans(c, n_tokens);
}

static uint32_t draw_first_query(diff_case *c)
{
    const uint32_t n_queries = c->layer.n_queries;
    const uint32_t n_tokens =
        c->tokens.n_tokens ? c->tokens.n_tokens : c->tokens.n_keys;
    const uint32_t tail = n_tokens > n_queries ? n_tokens - n_queries : 0;
    switch (random_below(&c->random, 8)) {
    case 0:
        return 0;
    case 1:
        return random_below(&c->random, n_tokens + 1);
    case 2:
        return n_tokens + random_below(&c->random, 1000000);
    case 3:
    case 4:
        return random_below(&c->random, tail + 1);
    default:
        return tail;
    }
}

/* ---- Settings ------------------------------------------------------------ */

static double draw_n(diff_case *c)
{
    static const double n[] = {0.0, 0.0, 1e-3, 0.37,   1.0,
                               1.0, 4.0, 1e6,  1e-300, 1e300};
    return n[random_below(&c->random, random_chance(&c->random, 95) ? 8 : 10)];
}

static uint32_t draw_first_vote(diff_case *c)
{
    const uint32_t first = c->layer.first_query;
    return random_chance(&c->random, 60)
               ? 0
               : random_between(&c->random, first / 2,
                                first + c->layer.n_queries);
}

/* Query rows in up to three chunks; where a cache could have grown meanwhile,
   it has. */
static void draw_chunks(diff_case *c)
{
    const oracle_layer *layer = &c->layer;
    const uint32_t n = layer->n_queries;
    c->n_chunks = 1;
    c->chunk_end[0] = n;
    if (n < 3 || random_chance(&c->random, 70))
        return;
    c->chunk_end[0] = random_between(&c->random, 1, n - 2);
    c->chunk_end[1] = random_between(&c->random, c->chunk_end[0] + 1, n);
    c->n_chunks = c->chunk_end[1] < n ? 3 : 2;
    c->chunk_end[2] = n;
    c->growing = layer->causal && c->tokens.positions == NULL &&
                 c->tokens.counts == NULL && c->tokens.n_tokens > 0;
}

csp_attention attention_rows(const csp_attention *attention, uint32_t begin,
                             uint32_t end)
{
    csp_attention rows = *attention;
    csp_tensor *tensors[] = {&rows.scores, &rows.lse, &rows.queries};
    for (size_t i = 0; i < 3; i++) {
        if (tensors[i]->data != NULL && begin > 0)
            tensors[i]->data =
                (const char *)tensors[i]->data + begin * tensors[i]->row_stride;
        tensors[i]->n_rows = end - begin;
    }
    rows.first_query += begin;
    return rows;
}

static void draw_importance(diff_case *c)
{
    const uint32_t n_keys = c->layer.n_keys;
    const uint32_t capacity = n_keys + random_below(&c->random, 4);
    const size_t size = sizeof(float) * c->layer.n_kv_heads * capacity;
    csp_importance *importance = &c->importance;
    *importance = (csp_importance){.intra = arena_take(&c->arena, size, 0),
                                   .inter = arena_take(&c->arena, size, 0),
                                   .value_norm = arena_take(&c->arena, size, 0),
                                   .capacity = capacity};
    if (random_chance(&c->random, 50)) {
        importance->intra_rows = arena_take(&c->arena, size, 0);
        importance->inter_rows = arena_take(&c->arena, size, 0);
    }
}

void draw_case(diff_case *c)
{
    static const csp_tier tiers[] = {CSP_TIER_AUTO, CSP_TIER_SCALAR,
                                     CSP_TIER_AVX2, CSP_TIER_AVX512,
                                     CSP_TIER_NEON};
    csp_config_init(&c->config);
    c->config.n = draw_n(c);
    c->config.compute.tier = tiers[random_below(&c->random, 5)];
    if (c->forced_tier >= 0)
        c->config.compute.tier = (csp_tier)c->forced_tier;
    if (!csp_has_tier(c->config.compute.tier))
        c->config.compute.tier = CSP_TIER_AUTO;
    c->tally->tiers[c->config.compute.tier]++;
    if (csp_has_blas() && random_chance(&c->random, 25))
        c->config.compute.column_sums = CSP_PATH_BLAS;
    draw_shape(c);
    draw_tokens(c);
    c->attention = (csp_attention){.first_query = draw_first_query(c)};
    c->attention.mask = random_chance(&c->random, 75) ? CSP_CAUSAL : CSP_FULL;
    c->layer.causal = c->attention.mask == CSP_CAUSAL;
    c->layer.first_query = c->attention.first_query;
    c->config.first_vote = c->layer.first_vote = draw_first_vote(c);
    oracle_describe(&c->tokens, &c->layer);
    if (c->layer.causal &&
        c->layer.first_query + c->layer.n_queries != c->layer.n_keys)
        cover(c, F14_CAUSAL_OFFSET);

    draw_attention(c);
    draw_values(c);
    draw_chunks(c);
    draw_importance(c);
}
