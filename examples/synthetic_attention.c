/*
 * synthetic_attention.c - the engine's side: plain attention
 *
 * Sums are double, so that the errors measured are those of pruning.
 */
#include "synthetic.h"

#include <math.h>
#include <stdlib.h>

const float *query_rows(const prompt *p, uint32_t layer, uint32_t head)
{
    size_t row = ((size_t)layer * p->n_heads + head) * p->n_tokens;

    return p->queries + row * p->head_dim;
}

size_t kv_offset(const prompt *p, uint32_t layer, uint32_t kv_head)
{
    return ((size_t)layer * p->n_kv_heads + kv_head) * p->n_tokens *
           p->head_dim;
}

uint32_t modality_of(const prompt *p, uint32_t token)
{
    for (uint32_t s = 0; s < p->n_spans; ++s)
        if (token >= p->spans[s].begin && token < p->spans[s].end)
            return p->spans[s].modality;
    return TEXT;
}

static float logit(const prompt *p, const float *query, const float *key)
{
    double sum = 0.0;

    for (uint32_t d = 0; d < p->head_dim; ++d)
        sum += (double)query[d] * (double)key[d];
    return (float)(sum * (double)p->scale);
}

void prompt_window(prompt *p)
{
    const uint32_t group = p->n_heads / p->n_kv_heads;
    const uint32_t first = p->n_context - p->n_window;
    float *out = p->window;

    for (uint32_t l = 0; l < p->n_layers; ++l)
        for (uint32_t h = 0; h < p->n_heads; ++h) {
            const float *keys = p->keys + kv_offset(p, l, h / group);
            const float *queries = query_rows(p, l, h);

            for (uint32_t t = first; t < p->n_context; ++t)
                for (uint32_t j = 0; j < p->n_context; ++j)
                    *out++ = j <= t
                                 ? logit(p, queries + (size_t)t * p->head_dim,
                                         keys + (size_t)j * p->head_dim)
                                 : -INFINITY;
        }
}

void attend(const prompt *p, const float *query, const float *keys,
            const float *values, uint32_t n, float *scratch, float *output,
            float *lse)
{
    float top = -INFINITY;
    double mass = 0.0;

    for (uint32_t j = 0; j < n; ++j) {
        scratch[j] = logit(p, query, keys + (size_t)j * p->head_dim);
        top = fmaxf(top, scratch[j]);
    }
    for (uint32_t j = 0; j < n; ++j) {
        scratch[j] = expf(scratch[j] - top);
        mass += (double)scratch[j];
    }
    for (uint32_t d = 0; d < p->head_dim; ++d) {
        double sum = 0.0;

        for (uint32_t j = 0; j < n; ++j)
            sum += (double)scratch[j] *
                   (double)values[(size_t)j * p->head_dim + d];
        output[d] = (float)(sum / mass);
    }
    *lse = (float)((double)top + log(mass));
}

float *attend_full(const prompt *p)
{
    const uint32_t group = p->n_heads / p->n_kv_heads;
    const uint32_t n_later = p->n_tokens - p->n_context;
    float *outputs = take((size_t)p->n_layers * p->n_heads * n_later,
                          p->head_dim * sizeof(float));
    float *scratch = take(p->n_tokens, sizeof(float));
    float *out = outputs;
    float lse;

    for (uint32_t l = 0; l < p->n_layers; ++l)
        for (uint32_t h = 0; h < p->n_heads; ++h) {
            size_t at = kv_offset(p, l, h / group);

            for (uint32_t t = p->n_context; t < p->n_tokens;
                 ++t, out += p->head_dim)
                attend(p, query_rows(p, l, h) + (size_t)t * p->head_dim,
                       p->keys + at, p->values + at, t + 1, scratch, out, &lse);
        }
    free(scratch);
    return outputs;
}
