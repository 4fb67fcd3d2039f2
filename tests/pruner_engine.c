/*
 * pruner_engine.c - the small engine of the pruner's tests
 *
 * Attention is computed from the tokens themselves, not from the caches, so a
 * cache that was moved wrongly cannot hide.
 */
#include "pruner_fixture.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "random.h"

#define DIM 8u
#define PADDING 3u

const csp_span engine_spans[N_SPANS] = {{4, 16, 1}, {21, 200, 1}};

uint32_t engine_modality(uint32_t token)
{
    for (uint32_t i = 0; i < N_SPANS; i++)
        if (token >= engine_spans[i].begin && token < engine_spans[i].end)
            return engine_spans[i].modality;
    return 0;
}

static void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count, size);

    assert_non_null(memory);
    return memory;
}

static float *random_floats(size_t count, random_source *random)
{
    float *x = allocate(count, sizeof *x);

    for (size_t i = 0; i < count; i++)
        x[i] = (float)random_normal(random);
    return x;
}

void engine_init(engine *e, uint32_t n_layers, uint32_t n_kv_heads,
                 uint32_t group, uint32_t capacity, uint64_t seed)
{
    random_source random = {seed};
    const size_t heads = (size_t)n_layers * n_kv_heads;
    const size_t size = heads * capacity * DIM;

    *e = (engine){
        .n_layers = n_layers,
        .n_kv_heads = n_kv_heads,
        .n_heads = n_kv_heads * group,
        .dim = DIM,
        .capacity = capacity,
        .queries = random_floats(size * group, &random),
        .keys = random_floats(size, &random),
        .values = random_floats(size, &random),
        .k_cache = allocate(size, sizeof(float)),
        .v_cache = allocate(size, sizeof(float)),
        .counts = allocate(heads, sizeof(uint32_t)),
        .tokens = allocate(heads * capacity, sizeof(uint32_t)),
    };
}

void engine_free(engine *e)
{
    free(e->queries);
    free(e->keys);
    free(e->values);
    free(e->k_cache);
    free(e->v_cache);
    free(e->counts);
    free(e->tokens);
}

/* Element offset of a row; heads are counted over layers. */
static size_t row_at(const engine *e, size_t head, uint32_t row)
{
    return (head * e->capacity + row) * e->dim;
}

void engine_append(engine *e, uint32_t n_tokens)
{
    const size_t row_size = e->dim * sizeof(float);

    assert_true(e->n_tokens + n_tokens <= e->capacity);
    for (uint32_t i = 0; i < n_tokens; i++, e->n_tokens++)
        for (size_t g = 0; g < (size_t)e->n_layers * e->n_kv_heads; g++) {
            const uint32_t row = e->counts[g]++;
            const size_t from = row_at(e, g, e->n_tokens);
            e->tokens[g * e->capacity + row] = e->n_tokens;
            memcpy(e->k_cache + row_at(e, g, row), e->keys + from, row_size);
            memcpy(e->v_cache + row_at(e, g, row), e->values + from, row_size);
        }
}

void engine_keep(engine *e, const csp_pruner *pruner)
{
    for (uint32_t layer = 0; layer < e->n_layers; layer++) {
        csp_kept kept;
        assert_int_equal(csp_pruner_kept(pruner, layer, &kept), CSP_OK);
        for (uint32_t g = 0; g < e->n_kv_heads; g++) {
            const uint32_t list = kept.n_lists == 1 ? 0 : g;
            const size_t head = (size_t)layer * e->n_kv_heads + g;
            uint32_t *tokens = e->tokens + head * e->capacity;
            for (uint32_t i = 0; i < kept.counts[list]; i++)
                tokens[i] = tokens[kept.rows[(size_t)list * kept.capacity + i]];
            e->counts[head] = kept.counts[list];
        }
    }
}

void engine_apply(engine *e, csp_pruner *pruner)
{
    csp_cells cells[2 * MAX_LAYERS];

    engine_cells(e, cells);
    engine_keep(e, pruner);
    assert_int_equal(csp_pruner_apply(pruner, cells, 2, NULL), CSP_OK);
}

bool engine_agrees(const engine *e, const csp_pruner *pruner)
{
    for (uint32_t layer = 0; layer < e->n_layers; layer++) {
        csp_tokens tokens;
        assert_int_equal(csp_pruner_tokens(pruner, layer, &tokens), CSP_OK);
        for (uint32_t g = 0; g < e->n_kv_heads; g++) {
            const size_t head = (size_t)layer * e->n_kv_heads + g;
            if (tokens.counts[g] != e->counts[head] ||
                memcmp(tokens.positions + (size_t)g * tokens.capacity,
                       e->tokens + head * e->capacity,
                       e->counts[head] * sizeof *e->tokens) != 0)
                return false;
        }
    }
    return true;
}

bool engine_caches_are_right(const engine *e)
{
    for (size_t g = 0; g < (size_t)e->n_layers * e->n_kv_heads; g++)
        for (uint32_t i = 0; i < e->counts[g]; i++) {
            const size_t row = row_at(e, g, i);
            const size_t token = row_at(e, g, e->tokens[g * e->capacity + i]);
            if (memcmp(e->k_cache + row, e->keys + token,
                       e->dim * sizeof(float)) != 0 ||
                memcmp(e->v_cache + row, e->values + token,
                       e->dim * sizeof(float)) != 0)
                return false;
        }
    return true;
}

void engine_cells(const engine *e, csp_cells *cells)
{
    for (uint32_t layer = 0; layer < e->n_layers; layer++)
        for (uint32_t view = 0; view < 2; view++) {
            float *cache = view == 0 ? e->k_cache : e->v_cache;
            cells[2 * layer + view] = (csp_cells){
                .data = cache + row_at(e, (size_t)layer * e->n_kv_heads, 0),
                .n_heads = e->n_kv_heads,
                .n_channels = 1,
                .n_tokens = e->capacity,
                .cell_size = e->dim * sizeof(float),
                .head_stride = e->capacity * e->dim * sizeof(float),
                .token_stride = e->dim * sizeof(float),
            };
        }
}

static csp_tensor cache_tensor(const engine *e, const float *cache,
                               uint32_t layer)
{
    return csp_tensor_packed(cache +
                                 row_at(e, (size_t)layer * e->n_kv_heads, 0),
                             CSP_F32, e->n_kv_heads, e->capacity, e->dim);
}

csp_tensor engine_values(const engine *e, uint32_t layer)
{
    return cache_tensor(e, e->v_cache, layer);
}

/* ---- Attention ----------------------------------------------------------- */

double engine_logit(const engine *e, uint32_t layer, uint32_t h, uint32_t query,
                    uint32_t key)
{
    const uint32_t g = h / (e->n_heads / e->n_kv_heads);
    const float *q =
        e->queries + row_at(e, (size_t)layer * e->n_heads + h, query);
    const float *k =
        e->keys + row_at(e, (size_t)layer * e->n_kv_heads + g, key);
    double sum = 0.0;

    for (uint32_t i = 0; i < e->dim; i++)
        sum += (double)q[i] * (double)k[i];
    return sum / sqrt((double)e->dim);
}

/* Cached rows of a query head, and how many of them 'query' may see. */
static const uint32_t *rows_of(const engine *e, uint32_t layer, uint32_t h,
                               uint32_t query, uint32_t *n_seen)
{
    const size_t head =
        (size_t)layer * e->n_kv_heads + h / (e->n_heads / e->n_kv_heads);
    const uint32_t *tokens = e->tokens + head * e->capacity;

    *n_seen = 0;
    while (*n_seen < e->counts[head] && tokens[*n_seen] <= query)
        ++*n_seen;
    return tokens;
}

/* A half, rounded; |x| is below 65504, and what is tiny becomes zero. */
static uint16_t to_half(double x)
{
    int exponent;
    const double fraction = frexp(fabs(x), &exponent); /* in [0.5, 1) */

    if (x == 0.0 || exponent < -13)
        return 0;
    const long bits =
        (exponent + 14) * 1024L + lrint(fraction * 2048.0) - 1024L;
    return (uint16_t)(bits | (x < 0.0 ? 0x8000L : 0L));
}

static double log_sum_exp(const engine *e, uint32_t layer, uint32_t h,
                          uint32_t query)
{
    uint32_t n_seen;
    const uint32_t *tokens = rows_of(e, layer, h, query, &n_seen);
    double sum = 0.0;

    for (uint32_t i = 0; i < n_seen; i++)
        sum += exp(engine_logit(e, layer, h, query, tokens[i]));
    return log(sum);
}

static void fill_row(const engine *e, uint32_t layer, uint32_t h,
                     uint32_t query, chunk_kind kind, double lse,
                     unsigned char *row)
{
    uint32_t n_seen;
    const uint32_t *tokens = rows_of(e, layer, h, query, &n_seen);

    for (uint32_t i = 0; i < n_seen; i++) {
        const double x = engine_logit(e, layer, h, query, tokens[i]);
        const float number = (float)(kind == PROBABILITIES ? exp(x - lse) : x);
        const uint16_t half = to_half(x);
        if (kind == LOGITS_F16)
            memcpy(row + 2 * i, &half, sizeof half);
        else
            memcpy(row + 4 * i, &number, sizeof number);
    }
}

chunk engine_chunk(const engine *e, uint32_t layer, uint32_t begin,
                   uint32_t end, chunk_kind kind)
{
    const uint32_t n_rows = end - begin;
    const uint32_t n_cols = e->capacity + PADDING;
    const csp_dtype dtype = kind == LOGITS_F16 ? CSP_F16 : CSP_F32;
    const size_t row_size = n_cols * (kind == LOGITS_F16 ? 2u : 4u);
    const size_t n_lse = (size_t)e->n_heads * n_rows;
    unsigned char *memory = allocate(n_lse * (row_size + sizeof(float)) + 1, 1);
    float *lse = (float *)(void *)memory;
    unsigned char *scores = memory + n_lse * sizeof *lse;
    chunk c = {.memory = memory, .view = {.first_query = begin}};

    if (kind == QUERIES) {
        c.view.source = CSP_QUERY_KEY;
        c.view.scale = (float)(1.0 / sqrt((double)e->dim));
        c.view.keys = cache_tensor(e, e->k_cache, layer);
        c.view.queries = csp_tensor_packed(
            e->queries + row_at(e, (size_t)layer * e->n_heads, begin), CSP_F32,
            e->n_heads, n_rows, e->dim);
        c.view.queries.head_stride = e->capacity * e->dim * sizeof(float);
        return c;
    }
    memset(scores, 0xff, n_lse * row_size); /* NaN, as f32 and as f16 */
    c.view.scores =
        csp_tensor_packed(scores, dtype, e->n_heads, n_rows, n_cols);
    if (kind == PROBABILITIES) {
        c.view.source = CSP_PROBABILITIES;
        c.view.lse = csp_tensor_packed(lse, CSP_F32, e->n_heads, n_rows, 1);
    }
    for (uint32_t h = 0; h < e->n_heads; h++)
        for (uint32_t r = 0; r < n_rows; r++) {
            const size_t i = (size_t)h * n_rows + r;
            lse[i] = (float)log_sum_exp(e, layer, h, begin + r);
            fill_row(e, layer, h, begin + r, kind, (double)lse[i],
                     scores + i * row_size);
        }
    return c;
}

void poison_chunk(const chunk *c, uint32_t h, float bad)
{
    const csp_tensor *scores = &c->view.scores;
    unsigned char *memory = c->memory;
    const ptrdiff_t begin = (const unsigned char *)scores->data - memory;

    memcpy(memory + begin + h * scores->head_stride + 5 * scores->row_stride,
           &bad, sizeof bad);
}

csp_status engine_score(const engine *e, csp_pruner *pruner, uint32_t layer,
                        uint32_t begin, uint32_t end, chunk_kind kind)
{
    chunk c = engine_chunk(e, layer, begin, end, kind);
    csp_status status = csp_pruner_score(pruner, layer, &c.view);

    free(c.memory);
    return status;
}

void engine_score_all(const engine *e, csp_pruner *pruner, uint32_t begin,
                      uint32_t end, chunk_kind kind)
{
    for (uint32_t layer = 0; layer < e->n_layers; layer++)
        assert_int_equal(engine_score(e, pruner, layer, begin, end, kind),
                         CSP_OK);
}

void engine_set_values(const engine *e, csp_pruner *pruner)
{
    for (uint32_t layer = 0; layer < e->n_layers; layer++) {
        const csp_tensor values = engine_values(e, layer);
        assert_int_equal(csp_pruner_set_values(pruner, layer, &values), CSP_OK);
    }
}

void engine_importance(const engine *e, uint32_t layer, uint32_t begin,
                       uint32_t end, double n, double *intra, double *inter)
{
    for (uint32_t h = 0; h < e->n_heads; h++)
        for (uint32_t query = begin; query < end; query++) {
            const size_t g = h / (e->n_heads / e->n_kv_heads);
            const double sum = exp(log_sum_exp(e, layer, h, query));
            uint32_t n_seen;
            const uint32_t *tokens = rows_of(e, layer, h, query, &n_seen);
            for (uint32_t i = 0; i < n_seen; i++) {
                const bool same =
                    engine_modality(query) == engine_modality(tokens[i]);
                double *to = same ? intra : inter;
                to[g * e->capacity + i] +=
                    exp(engine_logit(e, layer, h, query, tokens[i])) /
                    (n + sum);
            }
        }
}
