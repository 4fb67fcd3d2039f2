/*
 * digest_case.c - drawing shapes, tokens and settings
 */
#include "digest.h"

/* ---- Tokens -------------------------------------------------------------- */

/* Short rows, and rows around and beyond the blocks of long sums. */
static uint32_t draw_n_keys(random_source *random)
{
    static const uint32_t edges[] = {15, 16,  17,  31,  32,   33,   63,
                                     64, 511, 512, 513, 1023, 1024, 1025};
    const uint32_t kind = random_below(random, 100);

    if (kind < 70)
        return random_between(random, 1, 64);
    if (kind < 92)
        return random_between(random, 65, 200);
    return kind < 96 ? edges[random_below(random, LENGTH(edges))]
                     : random_between(random, 201, MAX_KEYS);
}

static void draw_shape(sample *s)
{
    static const uint32_t groups[] = {1, 1, 2, 3};
    random_source *random = &s->random;

    s->n_kv_heads = random_between(random, 1, MAX_KV_HEADS);
    s->n_heads = s->n_kv_heads * groups[random_below(random, LENGTH(groups))];
    s->n_keys = draw_n_keys(random);
    s->n_queries = random_between(
        random, 1, s->n_keys < MAX_QUERIES ? s->n_keys : MAX_QUERIES);
    s->dim = random_between(random, 1, 40);
    if (s->n_keys < 40 && random_chance(random, 10))
        s->dim = random_between(random, 41, MAX_DIM);
}

/* A cache that was pruned: rows of some tokens, maybe fewer in some heads. */
static void draw_positions(sample *s)
{
    s->n_tokens = s->n_keys + random_below(&s->random, 100);
    s->tokens.positions = s->positions;
    s->tokens.capacity = s->n_keys;
    for (uint32_t g = 0; g < s->n_kv_heads; g++) {
        uint32_t left = s->n_keys;
        for (uint32_t token = 0; token < s->n_tokens && left > 0; token++)
            if (random_below(&s->random, s->n_tokens - token) < left)
                s->positions[(size_t)(g + 1) * s->n_keys - left--] = token;
    }
    if (random_chance(&s->random, 50))
        return;
    s->tokens.counts = s->counts;
    for (uint32_t g = 0; g < s->n_kv_heads; g++)
        s->counts[g] = random_below(&s->random, s->n_keys + 1);
}

/* Up to MAX_SPANS spans, some touching, some empty. */
static void draw_spans(sample *s)
{
    const uint32_t n = random_below(&s->random, MAX_SPANS + 1);
    const uint32_t modalities = random_chance(&s->random, 80) ? 3 : 16;
    uint32_t at = 0;

    for (uint32_t i = 0; i < n; i++) {
        const uint32_t left = s->n_tokens - at;
        const uint32_t begin =
            random_chance(&s->random, 30)
                ? at
                : at + random_below(&s->random, left / 4 + 1);
        at = begin + random_below(&s->random, (s->n_tokens - begin) / 2 + 1);
        s->spans[i] =
            (csp_span){begin, at, random_below(&s->random, modalities)};
    }
    s->tokens.spans = s->spans;
    s->tokens.n_spans = n;
}

static void draw_tokens(sample *s, bool fresh)
{
    s->tokens = (csp_tokens){.n_kv_heads = s->n_kv_heads, .n_keys = s->n_keys};
    s->n_tokens = s->n_keys;
    if (!fresh && random_chance(&s->random, 40))
        draw_positions(s);
    s->tokens.n_tokens = s->n_tokens;
    draw_spans(s);
    s->attention = (csp_attention){.first_query = s->n_tokens - s->n_queries};
    if (random_chance(&s->random, 20))
        s->attention.mask = CSP_FULL;
    if (!fresh && random_chance(&s->random, 20))
        s->attention.first_query =
            random_below(&s->random, s->attention.first_query + 1);
}

/* ---- Settings ------------------------------------------------------------ */

static void draw_ranking(sample *s)
{
    csp_config *config = &s->config;

    config->weigh_rows = random_chance(&s->random, 30);
    config->weigh_values = random_chance(&s->random, 40);
    config->reduce = (csp_reduce)random_below(&s->random, 2);
    config->pooling = (csp_pooling)random_below(&s->random, 3);
    config->pool_width = 1 + 2 * random_below(&s->random, 4);
    config->auto_share = random_chance(&s->random, 30);
    config->selection = (csp_selection)random_below(&s->random, 3);
    config->block =
        random_chance(&s->random, 75) ? 1 : random_between(&s->random, 2, 16);
    if (s->tokens.counts == NULL)
        config->scope = (csp_scope)random_below(&s->random, 3);
}

/* Counts that fit: with blocks, protected ones reach over edges. */
static void draw_counts(sample *s)
{
    csp_config *config = &s->config;
    const uint32_t edges = config->block > 1 ? 4 * config->block : 0;

    config->sinks = random_below(&s->random, 5);
    config->recent = random_below(&s->random, s->n_keys / 4 + 1);
    const uint32_t left = edges + random_below(&s->random, s->n_keys + 1);
    config->budget = config->sinks + config->recent + left;
    config->n_inter = random_below(&s->random, left + 1);
    config->n_intra = random_below(&s->random, left - config->n_inter + 1);
    if (config->selection == CSP_EXACT && random_chance(&s->random, 50))
        config->n_intra = CSP_REST;
}

static void draw_preset(sample *s)
{
    const csp_preset preset = (csp_preset)random_below(&s->random, 6);

    expect_ok(s, csp_config_preset(preset, s->n_keys,
                                   random_below(&s->random, s->n_keys + 1),
                                   &s->config));
    if (s->tokens.counts != NULL)
        s->config.scope = CSP_PER_HEAD;
}

void draw_settings(sample *s)
{
    static const double ns[] = {0.0, 1.0, 1.0, 2.5, 1e-30, 1e30};

    expect_ok(s, csp_config_init(&s->config));
    if (random_chance(&s->random, 25)) {
        draw_preset(s);
    } else {
        draw_ranking(s);
        draw_counts(s);
    }
    s->config.first_vote = 0;
    if (random_chance(&s->random, 30))
        s->config.first_vote = s->attention.first_query +
                               random_below(&s->random, s->n_queries + 1);
    s->config.n = ns[random_below(&s->random, LENGTH(ns))];
    if (s->attention.source == CSP_PROBABILITIES &&
        s->attention.lse.data == NULL)
        s->config.n = 0.0;
    s->config.decay = random_chance(&s->random, 50) ? 1.0 : 0.3;
    s->config.compute.product = CSP_PATH_KERNEL;
    s->config.compute.column_sums = CSP_PATH_KERNEL;
}

void draw_case(sample *s, uint64_t seed, bool fresh)
{
    s->random.state = seed;
    s->status = CSP_OK;
    draw_shape(s);
    draw_tokens(s, fresh);
    draw_attention(s);
    draw_values(s);
    draw_settings(s);
}
