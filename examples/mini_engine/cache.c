/*
 * cache.c - the KV cache of one sequence, made to be pruned
 */
#include "cache.h"

#include "support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static cache empty(uint32_t n_layers, uint32_t n_heads, uint32_t n_kv_heads,
                   uint32_t head_dim, uint32_t capacity)
{
    const size_t kv_heads = times(n_layers, n_kv_heads);
    const size_t heads = times(n_layers, n_heads);
    const size_t size = times(times(kv_heads, capacity), head_dim);
    cache c = {.n_layers = n_layers,
               .n_heads = n_heads,
               .n_kv_heads = n_kv_heads,
               .head_dim = head_dim,
               .capacity = capacity};

    c.rows = take(kv_heads, sizeof *c.rows);
    c.keys = take(size, sizeof *c.keys);
    c.values = take(size, sizeof *c.values);
    c.sink_logits = take(heads, sizeof *c.sink_logits);
    c.sink_values = take(times(heads, head_dim), sizeof *c.sink_values);
    for (size_t h = 0; h < heads; ++h)
        c.sink_logits[h] = -INFINITY;
    return c;
}

cache cache_make(const model *m, uint32_t capacity)
{
    return empty(m->n_layers, m->n_heads, m->n_kv_heads, m->head_dim, capacity);
}

void cache_make_remains(cache *c, uint32_t rank)
{
    const size_t kv_heads = (size_t)c->n_layers * c->n_kv_heads;
    const size_t heads = (size_t)c->n_layers * c->n_heads;
    const size_t keys = (1 + 2 * (size_t)rank) * c->head_dim;
    const size_t values = (1 + (size_t)rank) * c->head_dim;
    remains r = {.rank = rank};

    r.size = times(kv_heads, keys + values + 2) + 3 * heads;
    r.numbers = take(r.size, sizeof *r.numbers);
    r.keys = r.numbers;
    r.values = r.keys + kv_heads * keys;
    r.log_count = r.values + kv_heads * values;
    r.variance = r.log_count + kv_heads;
    r.offset = r.variance + kv_heads;
    r.slope = r.offset + heads;
    r.limit = r.slope + heads;
    for (size_t g = 0; g < kv_heads; ++g)
        r.log_count[g] = -INFINITY;
    free(c->remains.numbers);
    c->remains = r;
}

void cache_free(cache *c)
{
    free(c->remains.numbers);
    free(c->sink_values);
    free(c->sink_logits);
    free(c->values);
    free(c->keys);
    free(c->rows);
    *c = (cache){0};
}

cache cache_copy(const cache *c, uint32_t capacity)
{
    const size_t kv_heads = (size_t)c->n_layers * c->n_kv_heads;
    const size_t heads = (size_t)c->n_layers * c->n_heads;
    cache copy =
        empty(c->n_layers, c->n_heads, c->n_kv_heads, c->head_dim, capacity);

    if (capacity < cache_rows(c))
        die("cache", "%u rows do not fit into %u", cache_rows(c), capacity);
    copy.position = c->position;
    for (size_t g = 0; g < kv_heads; ++g) {
        const size_t from = g * c->capacity * c->head_dim;
        const size_t to = g * copy.capacity * c->head_dim;
        const size_t size = (size_t)c->rows[g] * c->head_dim * sizeof *c->keys;

        memcpy(copy.keys + to, c->keys + from, size);
        memcpy(copy.values + to, c->values + from, size);
    }
    memcpy(copy.rows, c->rows, kv_heads * sizeof *c->rows);
    memcpy(copy.sink_logits, c->sink_logits, heads * sizeof *c->sink_logits);
    memcpy(copy.sink_values, c->sink_values,
           heads * c->head_dim * sizeof *c->sink_values);
    if (c->remains.size > 0) {
        cache_make_remains(&copy, c->remains.rank);
        memcpy(copy.remains.numbers, c->remains.numbers,
               c->remains.size * sizeof *c->remains.numbers);
    }
    return copy;
}

uint32_t cache_layer_rows(const cache *c, uint32_t layer)
{
    const uint32_t *rows = c->rows + (size_t)layer * c->n_kv_heads;
    uint32_t most = 0;

    for (uint32_t g = 0; g < c->n_kv_heads; ++g)
        most = rows[g] > most ? rows[g] : most;
    return most;
}

uint32_t cache_rows(const cache *c)
{
    uint32_t most = 0;

    for (uint32_t l = 0; l < c->n_layers; ++l) {
        uint32_t rows = cache_layer_rows(c, l);
        most = rows > most ? rows : most;
    }
    return most;
}

size_t cache_bytes(const cache *c)
{
    size_t rows = 0;

    for (size_t g = 0; g < (size_t)c->n_layers * c->n_kv_heads; ++g)
        rows += c->rows[g];
    return (rows * c->head_dim * 2 + c->remains.size) * sizeof(float);
}
