/*
 * fuzz_draw.c - tokens, attention, settings and lists
 */
#include "fuzz_input.h"

#include <math.h>
#include <string.h>

uint32_t fuzz_rows(const csp_tokens *tokens, uint32_t head)
{
    return tokens->counts != NULL ? tokens->counts[head] : tokens->n_keys;
}

uint32_t fuzz_token(const csp_tokens *tokens, uint32_t head, uint32_t row)
{
    return tokens->positions != NULL
               ? tokens->positions[(size_t)head * tokens->capacity + row]
               : row;
}

/* ---- Tokens -------------------------------------------------------------- */

/* Ascending tokens with gaps; what lies behind a head's rows is not read. */
static void draw_positions(fuzz_input *in, csp_tokens *tokens)
{
    const uint32_t gap = fuzz_below(in, 6) + 1;

    tokens->capacity = tokens->n_keys + fuzz_below(in, 4);
    const size_t count = (size_t)tokens->n_kv_heads * tokens->capacity;
    uint32_t *positions = fuzz_take(count * sizeof *positions, 0, FUZZ_INPUT);
    for (uint32_t g = 0; g < tokens->n_kv_heads; g++) {
        uint32_t token = random_below(&in->noise, gap);
        for (uint32_t i = 0; i < fuzz_rows(tokens, g); i++) {
            positions[(size_t)g * tokens->capacity + i] = token;
            token += 1 + random_below(&in->noise, gap);
        }
    }
    tokens->positions = positions;
    tokens->n_tokens = tokens->n_keys * (gap + 1) + fuzz_below(in, 20);
}

static void draw_spans(fuzz_input *in, csp_tokens *tokens)
{
    const uint32_t end =
        tokens->n_tokens != 0 ? tokens->n_tokens : tokens->n_keys;
    uint32_t at = 0;

    tokens->n_spans = fuzz_below(in, 6);
    csp_span *spans = fuzz_take(tokens->n_spans * sizeof *spans, 0, FUZZ_INPUT);
    for (uint32_t i = 0; i < tokens->n_spans; i++) {
        const uint32_t begin = at + fuzz_below(in, (end - at) / 2 + 1);
        at = begin + fuzz_below(in, end - begin + 1);
        spans[i] = (csp_span){begin, at, fuzz_below(in, CSP_MAX_MODALITIES)};
    }
    tokens->spans = spans;
}

csp_tokens fuzz_tokens(fuzz_input *in, uint32_t max_heads, uint32_t max_keys)
{
    csp_tokens tokens = {.n_kv_heads = fuzz_between(in, 1, max_heads),
                         .n_keys = fuzz_count(in, 0, max_keys)};

    if (fuzz_chance(in, 80)) {
        uint32_t *counts =
            fuzz_take(tokens.n_kv_heads * sizeof *counts, 0, FUZZ_INPUT);
        for (uint32_t g = 0; g < tokens.n_kv_heads; g++)
            counts[g] = tokens.n_keys - fuzz_below(in, tokens.n_keys + 1);
        tokens.counts = counts;
    }
    if (fuzz_chance(in, 100))
        draw_positions(in, &tokens);
    draw_spans(in, &tokens);
    return tokens;
}

bool fuzz_break_tokens(fuzz_input *in, csp_tokens *tokens)
{
    const uint32_t end =
        tokens->n_tokens != 0 ? tokens->n_tokens : tokens->n_keys;
    csp_span *spans = (csp_span *)(uintptr_t)tokens->spans;
    uint32_t *counts = (uint32_t *)(uintptr_t)tokens->counts;
    uint32_t *positions = (uint32_t *)(uintptr_t)tokens->positions;
    const uint32_t last = tokens->n_spans - 1;

    switch (fuzz_below(in, 7)) {
    case 0:
        tokens->n_kv_heads = 0;
        return true;
    case 1:
        tokens->spans = NULL;
        return tokens->n_spans > 0;
    case 2:
        if (tokens->n_spans == 0)
            return false;
        spans[last].end = end + 1 + fuzz_byte(in);
        return true;
    case 3:
        if (tokens->n_spans == 0)
            return false;
        spans[last].modality = CSP_MAX_MODALITIES + fuzz_word(in) / 2;
        return true;
    case 4:
        if (counts == NULL)
            return false;
        counts[0] = tokens->n_keys + 1 + fuzz_byte(in);
        return true;
    case 5:
        if (positions == NULL || fuzz_rows(tokens, 0) < 2)
            return false;
        positions[1] = positions[0];
        return true;
    default:
        if (positions == NULL || tokens->n_keys == 0)
            return false;
        tokens->capacity = fuzz_below(in, tokens->n_keys);
        return true;
    }
}

/* ---- Attention ----------------------------------------------------------- */

uint32_t fuzz_heads(const csp_attention *a)
{
    return a->source == CSP_QUERY_KEY ? a->queries.n_heads : a->scores.n_heads;
}

uint32_t fuzz_queries(const csp_attention *a)
{
    return a->source == CSP_QUERY_KEY ? a->queries.n_rows : a->scores.n_rows;
}

static void draw_products(fuzz_input *in, const csp_tokens *tokens,
                          uint32_t n_heads, uint32_t n_queries,
                          fuzz_numbers numbers, csp_attention *a)
{
    const uint32_t dim = fuzz_count(in, 1, 70);
    const uint32_t q[] = {n_heads, n_queries, dim};
    const uint32_t k[] = {tokens->n_kv_heads,
                          tokens->n_keys + fuzz_below(in, 3), dim};

    a->queries =
        fuzz_tensor(in, fuzz_dtype(in), q, FUZZ_CELLS, FUZZ_INPUT, numbers);
    a->keys =
        fuzz_tensor(in, fuzz_dtype(in), k, FUZZ_CELLS, FUZZ_INPUT, numbers);
    a->scale = 1.0f / (float)(1 + fuzz_below(in, 16));
    a->softcap = fuzz_chance(in, 64) ? (float)fuzz_below(in, 60) : 0.0f;
}

csp_attention fuzz_attention(fuzz_input *in, const csp_tokens *tokens,
                             fuzz_numbers numbers)
{
    const uint32_t n_heads = tokens->n_kv_heads * fuzz_between(in, 1, 3);
    const uint32_t n_queries = fuzz_below(in, 7);
    csp_attention a = {.source = (csp_source)fuzz_below(in, 3),
                       .mask = (csp_mask)fuzz_below(in, 2),
                       .first_query = fuzz_below(in, tokens->n_keys * 2 + 2),
                       .lse_unit = (csp_lse_unit)fuzz_below(in, 2)};

    if (a.source == CSP_QUERY_KEY) {
        draw_products(in, tokens, n_heads, n_queries, numbers, &a);
        return a;
    }
    const uint32_t counts[] = {n_heads, n_queries,
                               tokens->n_keys + fuzz_below(in, 4)};
    const fuzz_numbers drawn =
        a.source == CSP_LOGITS || numbers == FUZZ_ANY ? numbers : FUZZ_SHARES;
    a.scores =
        fuzz_tensor(in, fuzz_dtype(in), counts, FUZZ_ROWS, FUZZ_INPUT, drawn);
    if (a.source == CSP_PROBABILITIES && fuzz_chance(in, 128)) {
        const uint32_t rows[] = {n_heads, n_queries, 1};
        a.lse = fuzz_tensor(in, CSP_F32, rows, FUZZ_CELLS, FUZZ_INPUT,
                            numbers == FUZZ_ANY ? FUZZ_ANY : FUZZ_SMALL);
    }
    return a;
}

bool fuzz_break_attention(fuzz_input *in, uint32_t n_keys, csp_attention *a)
{
    /* Of keys and scores, what lies behind the cached rows is not looked at. */
    const bool all = n_keys > 2;

    switch (fuzz_below(in, 6)) {
    case 0:
        a->source = (csp_source)(3 + fuzz_byte(in));
        return true;
    case 1:
        a->mask = (csp_mask)(2 + fuzz_byte(in));
        return true;
    case 2:
        a->first_query = UINT32_MAX - fuzz_below(in, 4);
        return fuzz_queries(a) > 3;
    case 3:
        if (a->source != CSP_QUERY_KEY)
            return false;
        a->scale = fuzz_chance(in, 128) ? NAN : INFINITY;
        return true;
    case 4:
        return fuzz_break_tensor(in, a->source == CSP_QUERY_KEY ? &a->keys
                                                                : &a->scores) &&
               all;
    default:
        return fuzz_break_tensor(in, a->source == CSP_QUERY_KEY ? &a->queries
                                                                : &a->scores) &&
               all;
    }
}

/* ---- Settings ------------------------------------------------------------ */

csp_compute fuzz_compute(fuzz_input *in)
{
    const csp_tier tier = (csp_tier)fuzz_below(in, 5);

    return (csp_compute){.tier = csp_has_tier(tier) ? tier : CSP_TIER_AUTO,
                         .product = fuzz_chance(in, 64) ? CSP_PATH_KERNEL
                                                        : CSP_PATH_AUTO};
}

static void draw_shares(fuzz_input *in, csp_config *c)
{
    if (c->selection != CSP_EXACT || c->block != 1)
        return;
    if (c->scope == CSP_PER_HEAD && fuzz_chance(in, 64))
        c->head_floor = (double)fuzz_below(in, 5) / 4.0;
    if (fuzz_chance(in, 48))
        c->span_quota = fuzz_below(in, 4);
}

csp_config fuzz_config(fuzz_input *in, uint32_t n_keys)
{
    static const double n[] = {1.0, 0.0, 1e-3, 1e6, 4.0};
    csp_config c;

    csp_config_init(&c);
    c.compute = fuzz_compute(in);
    c.n = n[fuzz_below(in, 5)];
    c.first_vote = fuzz_chance(in, 48) ? fuzz_below(in, n_keys + 2) : 0;
    c.weigh_rows = fuzz_chance(in, 48);
    c.weigh_values = fuzz_chance(in, 48);
    c.center_values = fuzz_chance(in, 48);
    c.reduce = (csp_reduce)fuzz_below(in, 2);
    c.pooling = (csp_pooling)(fuzz_chance(in, 80) ? fuzz_below(in, 3) : 0);
    c.pool_width = 1 + 2 * fuzz_below(in, 5);
    c.selection = (csp_selection)(fuzz_chance(in, 80) ? fuzz_below(in, 3) : 0);
    c.scope = (csp_scope)(fuzz_chance(in, 80) ? fuzz_below(in, 3) : 0);
    c.sinks = fuzz_below(in, 4);
    c.recent = fuzz_below(in, 6);
    c.n_inter = fuzz_below(in, 12);
    c.n_intra = fuzz_below(in, 12);
    c.auto_share = fuzz_chance(in, 64);
    c.block = fuzz_chance(in, 48) ? fuzz_between(in, 1, 9) : 1;
    c.budget =
        c.sinks + c.recent + c.n_inter + c.n_intra + fuzz_below(in, n_keys + 2);
    if (c.selection == CSP_EXACT && fuzz_chance(in, 96))
        c.n_intra = CSP_REST;
    draw_shares(in, &c);
    return c;
}

bool fuzz_break_config(fuzz_input *in, csp_config *c)
{
    switch (fuzz_below(in, 9)) {
    case 0:
        c->struct_size = fuzz_byte(in);
        return c->struct_size != sizeof *c;
    case 1: /* every verb looks at the tier */
        c->compute.tier = (csp_tier)(5 + fuzz_byte(in));
        return true;
    case 2:
        c->compute.product = (csp_path)(3 + fuzz_byte(in));
        return true;
    case 3:
        if (csp_has_blas())
            return false;
        c->compute.column_sums = CSP_PATH_BLAS;
        return true;
    case 4:
        c->n = fuzz_chance(in, 128) ? (double)NAN : -1.0;
        return false;
    case 5:
        c->block = 0;
        return false;
    case 6:
        c->selection = (csp_selection)fuzz_byte(in);
        return false;
    case 7:
        c->sinks = fuzz_word(in);
        return false;
    default:
        c->n_inter = fuzz_word(in);
        return false;
    }
}

/* ---- Lists --------------------------------------------------------------- */

/* One list for all heads stays inside the shortest. */
static uint32_t rows_of_list(const csp_tokens *tokens, uint32_t n_lists,
                             uint32_t list)
{
    uint32_t rows = fuzz_rows(tokens, list);

    for (uint32_t g = 0; n_lists == 1 && g < tokens->n_kv_heads; g++)
        rows = fuzz_rows(tokens, g) < rows ? fuzz_rows(tokens, g) : rows;
    return rows;
}

csp_kept fuzz_kept(fuzz_input *in, const csp_tokens *tokens)
{
    const uint32_t n_lists = fuzz_chance(in, 100) ? 1 : tokens->n_kv_heads;
    const uint32_t percent = fuzz_below(in, 101);
    csp_kept kept = {.n_lists = n_lists,
                     .capacity = tokens->n_keys + fuzz_below(in, 3)};
    const size_t count = (size_t)n_lists * kept.capacity;

    kept.rows = fuzz_take(count * sizeof *kept.rows, 0, FUZZ_INPUT);
    kept.counts = fuzz_take(n_lists * sizeof *kept.counts, 0, FUZZ_INPUT);
    for (uint32_t list = 0; list < n_lists; list++) {
        uint32_t n = 0;
        for (uint32_t i = 0; i < rows_of_list(tokens, n_lists, list); i++)
            if (random_chance(&in->noise, percent))
                kept.rows[(size_t)list * kept.capacity + n++] = i;
        kept.counts[list] = n;
    }
    return kept;
}

bool fuzz_break_kept(fuzz_input *in, csp_kept *kept)
{
    const bool filled = kept->n_lists > 0 && kept->counts[0] > 0;

    switch (fuzz_below(in, 6)) {
    case 0:
        kept->counts = NULL;
        return true;
    case 1:
        kept->rows = NULL;
        return filled;
    case 2: /* known to be more lists than heads */
        kept->n_lists = 1000;
        return true;
    case 3:
        kept->counts[0] = kept->capacity + 1 + fuzz_byte(in);
        return true;
    case 4:
        if (!filled)
            return false;
        kept->rows[kept->counts[0] - 1] = UINT32_MAX - fuzz_byte(in);
        return true;
    default:
        if (kept->counts[0] < 2)
            return false;
        kept->rows[0] = kept->rows[1];
        return true;
    }
}
