/*
 * engine.c - the decoder: RMSNorm, RoPE, grouped-query attention, SwiGLU
 *
 * A chunk of tokens goes through the layers at once.  Every sum runs in the
 * same order however the tokens are cut into chunks, so the cut changes no bit.
 */
#include "engine.h"

#include "attention.h"
#include "correct.h"
#include "support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

engine engine_make(const model *m, uint32_t chunk)
{
    const size_t queries = (size_t)m->n_heads * m->head_dim;
    const size_t keys = (size_t)m->n_kv_heads * m->head_dim;
    engine e = {.m = m, .chunk = chunk};

    e.stream = take(times(chunk, m->hidden), sizeof(float));
    e.normed = take(times(chunk, m->hidden), sizeof(float));
    e.queries = take(times(chunk, queries), sizeof(float));
    e.mixed = take(times(chunk, queries), sizeof(float));
    e.keys = take(times(chunk, keys), sizeof(float));
    e.values = take(times(chunk, keys), sizeof(float));
    e.gate = take(times(chunk, m->n_inner), sizeof(float));
    e.up = take(times(chunk, m->n_inner), sizeof(float));
    e.cosines = take(times(chunk, m->head_dim / 2), sizeof(float));
    e.sines = take(times(chunk, m->head_dim / 2), sizeof(float));
    e.lse = take(times(chunk, m->n_heads), sizeof(float));
    return e;
}

void engine_free(engine *e)
{
    free(e->weights);
    free(e->logits);
    free(e->lse);
    free(e->sines);
    free(e->cosines);
    free(e->up);
    free(e->gate);
    free(e->values);
    free(e->keys);
    free(e->mixed);
    free(e->queries);
    free(e->normed);
    free(e->stream);
    *e = (engine){0};
}

/* ---- Parts of a layer ---------------------------------------------------- */

/* y[n][n_out] = x[n][n_in] w[n_in][n_out], four inputs at a time so that a row
   of y is loaded and stored a quarter as often. */
static void product(const float *x, const float *w, uint32_t n, uint32_t n_in,
                    uint32_t n_out, float *y)
{
    memset(y, 0, (size_t)n * n_out * sizeof *y);
    for (uint32_t t = 0; t < n; ++t, x += n_in, y += n_out) {
        uint32_t i = 0;

        for (; i + 4 <= n_in; i += 4) {
            const float *w0 = w + (size_t)i * n_out;
            const float *w1 = w0 + n_out, *w2 = w1 + n_out, *w3 = w2 + n_out;
            const float a = x[i], b = x[i + 1], c = x[i + 2], d = x[i + 3];

            for (uint32_t o = 0; o < n_out; ++o)
                y[o] += (a * w0[o] + b * w1[o]) + (c * w2[o] + d * w3[o]);
        }
        for (; i < n_in; ++i)
            for (uint32_t o = 0; o < n_out; ++o)
                y[o] += x[i] * w[(size_t)i * n_out + o];
    }
}

static void norm(const model *m, const float *x, const float *weight,
                 uint32_t n, float *y)
{
    for (uint32_t t = 0; t < n; ++t, x += m->hidden, y += m->hidden) {
        double squares = 0.0;

        for (uint32_t i = 0; i < m->hidden; ++i)
            squares += (double)x[i] * (double)x[i];
        const float scale =
            (float)(1.0 / sqrt(squares / m->hidden + (double)m->norm_epsilon));
        for (uint32_t i = 0; i < m->hidden; ++i)
            y[i] = x[i] * scale * weight[i];
    }
}

static void add(float *sum, const float *x, size_t n)
{
    for (size_t i = 0; i < n; ++i)
        sum[i] += x[i];
}

/* RoPE's angles of tokens position, position + 1, ... */
static void turn_angles(engine *e, uint32_t position, uint32_t n)
{
    const uint32_t half = e->m->head_dim / 2;

    for (uint32_t i = 0; i < half; ++i) {
        const double step = pow(e->m->rope_theta, -(double)i / half);

        for (uint32_t t = 0; t < n; ++t) {
            const double angle = step * ((double)position + t);

            e->cosines[(size_t)t * half + i] = (float)cos(angle);
            e->sines[(size_t)t * half + i] = (float)sin(angle);
        }
    }
}

/* Turn pairs of channels i and i + half of each head. */
static void turn(const engine *e, float *x, uint32_t n, uint32_t n_heads)
{
    const uint32_t half = e->m->head_dim / 2;

    for (uint32_t t = 0; t < n; ++t) {
        const float *cosines = e->cosines + (size_t)t * half;
        const float *sines = e->sines + (size_t)t * half;

        for (uint32_t h = 0; h < n_heads; ++h, x += 2 * (size_t)half)
            for (uint32_t i = 0; i < half; ++i) {
                const float low = x[i], high = x[i + half];

                x[i] = low * cosines[i] - high * sines[i];
                x[i + half] = high * cosines[i] + low * sines[i];
            }
    }
}

/* Put a chunk's keys and values behind each head's rows. */
static void append(const engine *e, cache *c, uint32_t layer, uint32_t n)
{
    const size_t dim = c->head_dim;

    for (uint32_t g = 0; g < c->n_kv_heads; ++g) {
        uint32_t *rows = &c->rows[(size_t)layer * c->n_kv_heads + g];
        size_t to = cache_head(c, layer, g) + *rows * dim;

        if (n > c->capacity - *rows)
            die("cache", "no room for %u rows behind %u of %u", n, *rows,
                c->capacity);
        for (uint32_t t = 0; t < n; ++t, to += dim) {
            const size_t from = ((size_t)t * c->n_kv_heads + g) * dim;

            memcpy(c->keys + to, e->keys + from, dim * sizeof *c->keys);
            memcpy(c->values + to, e->values + from, dim * sizeof *c->values);
        }
        *rows += n;
    }
}

/* A query sees the rows that were there before its chunk, and the chunk's up to
   its own.  How many that is differs from head to head once heads keep
   different numbers of rows; a token's position plays no part in it. */
static void attend(engine *e, const cache *c, uint32_t layer, uint32_t n,
                   uint32_t stride)
{
    const uint32_t dim = c->head_dim;
    const uint32_t group = c->n_heads / c->n_kv_heads;
    const float scale = 1.0f / sqrtf((float)dim);

    for (uint32_t h = 0; h < c->n_heads; ++h) {
        const uint32_t g = h / group;
        const size_t head = (size_t)layer * c->n_heads + h;
        const size_t rows = cache_head(c, layer, g);
        const uint32_t before = c->rows[(size_t)layer * c->n_kv_heads + g] - n;
        const attention_sink sink = {
            .logit = c->sink_logits[head],
            .value = c->sink_values + head * dim,
        };

        for (uint32_t t = 0; t < n; ++t) {
            const size_t at = ((size_t)t * c->n_heads + h) * dim;
            float *logits = e->logits + ((size_t)h * n + t) * stride;

            attention_logits(e->queries + at, c->keys + rows, before + t + 1,
                             dim, scale, logits);
            e->lse[(size_t)h * n + t] =
                attention_mix(logits, c->values + rows, before + t + 1, dim,
                              sink, e->weights, e->mixed + at);
        }
    }
}

static void feed_forward(engine *e, const layer_weights *w, uint32_t n)
{
    const model *m = e->m;

    norm(m, e->stream, w->mlp_norm, n, e->normed);
    product(e->normed, w->gate, n, m->hidden, m->n_inner, e->gate);
    product(e->normed, w->up, n, m->hidden, m->n_inner, e->up);
    for (size_t i = 0; i < (size_t)n * m->n_inner; ++i)
        e->gate[i] *= e->up[i] / (1.0f + expf(-e->gate[i]));
    product(e->gate, w->down, n, m->n_inner, m->hidden, e->normed);
    add(e->stream, e->normed, (size_t)n * m->hidden);
}

/* ---- A chunk ------------------------------------------------------------- */

static void grow(float **floats, size_t *size, size_t wanted)
{
    if (wanted <= *size)
        return;
    free(*floats);
    *size = wanted + wanted / 2;
    *floats = take(*size, sizeof **floats);
}

static void run_layer(engine *e, cache *c, uint32_t layer, uint32_t n)
{
    const model *m = e->m;
    const layer_weights *w = &m->layers[layer];
    const uint32_t queries = m->n_heads * m->head_dim;
    const uint32_t keys = m->n_kv_heads * m->head_dim;

    norm(m, e->stream, w->attention_norm, n, e->normed);
    product(e->normed, w->query, n, m->hidden, queries, e->queries);
    product(e->normed, w->key, n, m->hidden, keys, e->keys);
    product(e->normed, w->value, n, m->hidden, keys, e->values);
    turn(e, e->queries, n, m->n_heads);
    turn(e, e->keys, n, m->n_kv_heads);
    append(e, c, layer, n);

    const uint32_t stride = cache_layer_rows(c, layer);
    grow(&e->logits, &e->logits_size, times((size_t)m->n_heads * n, stride));
    grow(&e->weights, &e->weights_size, stride);
    attend(e, c, layer, n, stride);
    if (c->remains.size > 0)
        correct_layer(c, layer, n, e->queries, e->lse, e->mixed);
    const attention_seen seen = {
        .layer = layer,
        .first = c->position,
        .n_queries = n,
        .queries = e->queries,
        .logits = e->logits,
        .logits_stride = stride,
        .cache = c,
    };
    if (e->watcher.watch != NULL)
        e->watcher.watch(e->watcher.context, &seen);

    product(e->mixed, w->output, n, queries, m->hidden, e->normed);
    add(e->stream, e->normed, (size_t)n * m->hidden);
    feed_forward(e, w, n);
}

void engine_run(engine *e, cache *c, const float *embeddings, uint32_t n,
                float *next)
{
    const model *m = e->m;
    uint32_t chunk;

    for (uint32_t done = 0; done < n; done += chunk) {
        chunk = n - done < e->chunk ? n - done : e->chunk;
        if (chunk > m->n_positions - c->position)
            die("sequence", "more tokens than the model's %u positions",
                m->n_positions);
        memcpy(e->stream, embeddings + (size_t)done * m->hidden,
               (size_t)chunk * m->hidden * sizeof *e->stream);
        turn_angles(e, c->position, chunk);
        for (uint32_t l = 0; l < m->n_layers; ++l)
            run_layer(e, c, l, chunk);
        c->position += chunk;
        if (next != NULL && done + chunk == n) {
            norm(m, e->stream + (size_t)(chunk - 1) * m->hidden, m->norm, 1,
                 e->normed);
            product(e->normed, m->head, 1, m->hidden, m->n_vocab, next);
        }
    }
}

void engine_step(engine *e, cache *c, int32_t token, float *next)
{
    const model *m = e->m;

    if (token < 0 || (uint32_t)token >= m->n_vocab)
        die("token", "%d is not in a vocabulary of %u", token, m->n_vocab);
    engine_run(e, c, m->embeddings + (size_t)token * m->hidden, 1, next);
}

int32_t most_likely(const float *logits, uint32_t n_vocab)
{
    uint32_t best = 0;

    for (uint32_t i = 1; i < n_vocab; ++i)
        if (logits[i] > logits[best])
            best = i;
    return (int32_t)best;
}
