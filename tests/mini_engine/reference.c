/*
 * reference.c - a decoder that forgets nothing, to compare with
 */
#include "reference.h"

#include "support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

reference reference_make(const model *m, uint32_t capacity)
{
    const size_t n = (size_t)m->n_layers * m->n_kv_heads * capacity;
    reference r = {.m = m, .capacity = capacity};

    r.keys = take(n * m->head_dim, sizeof *r.keys);
    r.values = take(n * m->head_dim, sizeof *r.values);
    r.dropped = take(n, 1);
    return r;
}

void reference_free(reference *r)
{
    free(r->dropped);
    free(r->values);
    free(r->keys);
}

static void multiply(const double *x, const float *w, uint32_t n_in,
                     uint32_t n_out, double *y)
{
    for (uint32_t o = 0; o < n_out; ++o) {
        y[o] = 0.0;
        for (uint32_t i = 0; i < n_in; ++i)
            y[o] += x[i] * (double)w[(size_t)i * n_out + o];
    }
}

static void norm(const model *m, const double *x, const float *w, double *y)
{
    double mean = 0.0;

    for (uint32_t i = 0; i < m->hidden; ++i)
        mean += x[i] * x[i] / m->hidden;
    for (uint32_t i = 0; i < m->hidden; ++i)
        y[i] = x[i] / sqrt(mean + (double)m->norm_epsilon) * (double)w[i];
}

static void turn(const model *m, double *x, uint32_t n_heads, uint32_t position)
{
    const uint32_t half = m->head_dim / 2;

    for (uint32_t h = 0; h < n_heads; ++h, x += m->head_dim)
        for (uint32_t i = 0; i < half; ++i) {
            const double angle = position * pow(m->rope_theta, -1.0 * i / half);
            const double low = x[i], high = x[i + half];

            x[i] = low * cos(angle) - high * sin(angle);
            x[i + half] = high * cos(angle) + low * sin(angle);
        }
}

/* q.row / sqrt(dim) */
static double scaled_dot(const double *q, const float *row, uint32_t dim)
{
    double sum = 0.0;

    for (uint32_t d = 0; d < dim; ++d)
        sum += q[d] * (double)row[d] / sqrt(dim);
    return sum;
}

/* The summary's key: its mass, and what it adds to an output (E11). */
static double add_remains(const cache *c, uint32_t layer, uint32_t h,
                          const double *q, double *out)
{
    const remains *r = &c->remains;
    const uint32_t dim = c->head_dim, rank = r->rank;
    const size_t head = (size_t)layer * c->n_heads + h;
    const size_t g =
        (size_t)layer * c->n_kv_heads + h / (c->n_heads / c->n_kv_heads);
    const float *keys = r->keys + g * (1 + 2 * (size_t)rank) * dim;
    const float *values = r->values + g * (1 + (size_t)rank) * dim;
    double norm = 0.0;

    for (uint32_t d = 0; d < dim; ++d)
        norm += q[d] * q[d] / dim;
    double quadratic = (double)r->variance[g] * norm;
    for (uint32_t i = 1; i <= rank; ++i)
        quadratic += pow(scaled_dot(q, keys + (size_t)i * dim, dim), 2.0);
    const double log_n = fmin(
        (double)r->limit[head],
        (double)r->log_count[g] + scaled_dot(q, keys, dim) +
            (double)r->offset[head] + (double)r->slope[head] * quadratic / 2.0);
    const double n = exp(log_n);
    for (uint32_t d = 0; d < dim; ++d) {
        double v = (double)values[d];
        for (uint32_t i = 1; i <= rank; ++i)
            v += scaled_dot(q, keys + (size_t)(rank + i) * dim, dim) *
                 (double)values[(size_t)i * dim + d];
        out[d] += n * v;
    }
    return n;
}

/* One head's output: a weighted mean of the values that are not dropped, and
   of what stands for the others. */
static void attend(const reference *r, uint32_t layer, uint32_t h,
                   const double *query, double *out)
{
    const model *m = r->m;
    const uint32_t dim = m->head_dim;
    const uint32_t g = h / (m->n_heads / m->n_kv_heads);
    const size_t at = ((size_t)layer * m->n_kv_heads + g) * r->capacity;
    double mass = 0.0;

    for (uint32_t d = 0; d < dim; ++d)
        out[d] = 0.0;
    for (size_t j = at; j <= at + r->n_tokens; ++j) {
        double logit = 0.0;

        for (uint32_t d = 0; d < dim; ++d)
            logit += query[d] * r->keys[j * dim + d] / sqrt(dim);
        const double weight = r->dropped[j] ? 0.0 : exp(logit);
        mass += weight;
        for (uint32_t d = 0; d < dim; ++d)
            out[d] += weight * r->values[j * dim + d];
    }
    if (r->sinks != NULL) {
        const size_t head = (size_t)layer * m->n_heads + h;
        const double n = exp((double)r->sinks->sink_logits[head]);

        mass += n;
        for (uint32_t d = 0; d < dim; ++d)
            out[d] += n * (double)r->sinks->sink_values[head * dim + d];
    }
    if (r->sinks != NULL && r->sinks->remains.size > 0)
        mass += add_remains(r->sinks, layer, h, query, out);
    for (uint32_t d = 0; d < dim; ++d)
        out[d] /= mass;
}

static void attention(reference *r, uint32_t layer, const double *x,
                      double *out)
{
    const model *m = r->m;
    const layer_weights *w = &m->layers[layer];
    const uint32_t dim = m->head_dim, keys = m->n_kv_heads * dim;
    double *q = take((size_t)m->n_heads * dim, sizeof *q);
    double *mixed = take((size_t)m->n_heads * dim, sizeof *mixed);
    double *k = take(keys, sizeof *k), *v = take(keys, sizeof *v);

    multiply(x, w->query, m->hidden, m->n_heads * dim, q);
    multiply(x, w->key, m->hidden, keys, k);
    multiply(x, w->value, m->hidden, keys, v);
    turn(m, q, m->n_heads, r->n_tokens);
    turn(m, k, m->n_kv_heads, r->n_tokens);
    for (uint32_t g = 0; g < m->n_kv_heads; ++g) {
        const size_t row =
            ((size_t)layer * m->n_kv_heads + g) * r->capacity + r->n_tokens;

        memcpy(r->keys + row * dim, k + (size_t)g * dim, dim * sizeof *k);
        memcpy(r->values + row * dim, v + (size_t)g * dim, dim * sizeof *v);
    }
    for (uint32_t h = 0; h < m->n_heads; ++h)
        attend(r, layer, h, q + (size_t)h * dim, mixed + (size_t)h * dim);
    multiply(mixed, w->output, m->n_heads * dim, m->hidden, out);
    free(v);
    free(k);
    free(mixed);
    free(q);
}

static void feed_forward(const model *m, const layer_weights *w,
                         const double *x, double *out)
{
    double *gate = take(m->n_inner, sizeof *gate);
    double *up = take(m->n_inner, sizeof *up);

    multiply(x, w->gate, m->hidden, m->n_inner, gate);
    multiply(x, w->up, m->hidden, m->n_inner, up);
    for (uint32_t i = 0; i < m->n_inner; ++i)
        gate[i] *= up[i] / (1.0 + exp(-gate[i]));
    multiply(gate, w->down, m->n_inner, m->hidden, out);
    free(up);
    free(gate);
}

void reference_step(reference *r, const float *embedding, double *next)
{
    const model *m = r->m;
    double *x = take(m->hidden, sizeof *x);
    double *normed = take(m->hidden, sizeof *normed);
    double *out = take(m->hidden, sizeof *out);

    for (uint32_t i = 0; i < m->hidden; ++i)
        x[i] = (double)embedding[i];
    for (uint32_t l = 0; l < m->n_layers; ++l) {
        norm(m, x, m->layers[l].attention_norm, normed);
        attention(r, l, normed, out);
        for (uint32_t i = 0; i < m->hidden; ++i)
            x[i] += out[i];
        norm(m, x, m->layers[l].mlp_norm, normed);
        feed_forward(m, &m->layers[l], normed, out);
        for (uint32_t i = 0; i < m->hidden; ++i)
            x[i] += out[i];
    }
    norm(m, x, m->norm, normed);
    multiply(normed, m->head, m->hidden, m->n_vocab, next);
    r->n_tokens++;
    free(out);
    free(normed);
    free(x);
}
