/*
 * attention.c - attention of one query over one head's cached rows
 *
 * Softmax over the kept keys gives each of them too much: the weight of those
 * dropped is spread over them.  A sink takes that weight back.  It is one more
 * key, of logit log n, where n is the sum of exp(logit) over the dropped keys
 * as measured before they went (E8).  With a value of zero that is n-softmax
 * (E1); with the mean value of the dropped keys it also puts back what they
 * used to say (E10):
 *
 *   output = (sum_j exp(x_j) v_j + n v) / (sum_j exp(x_j) + n)
 */
#include "attention.h"

#include <math.h>
#include <string.h>

enum { LANES = 8 };

/* In as many partial sums as vector units like, always added up alike. */
static float dot(const float *a, const float *b, uint32_t n)
{
    float lanes[LANES] = {0};
    float sum = 0.0f;
    uint32_t i = 0;

    for (; i + LANES <= n; i += LANES)
        for (uint32_t k = 0; k < LANES; ++k)
            lanes[k] += a[i + k] * b[i + k];
    for (; i < n; ++i)
        sum += a[i] * b[i];
    for (uint32_t k = 0; k < LANES; ++k)
        sum += lanes[k];
    return sum;
}

void attention_logits(const float *query, const float *keys, uint32_t n,
                      uint32_t head_dim, float scale, float *logits)
{
    for (uint32_t j = 0; j < n; ++j)
        logits[j] = scale * dot(query, keys + (size_t)j * head_dim, head_dim);
}

static void add_scaled(float *sum, float weight, const float *row, uint32_t n)
{
    for (uint32_t d = 0; d < n; ++d)
        sum[d] += weight * row[d];
}

float attention_mix(const float *logits, const float *values, uint32_t n,
                    uint32_t head_dim, attention_sink sink, float *weights,
                    float *output)
{
    float top = sink.logit;
    float mass = 0.0f;

    for (uint32_t j = 0; j < n; ++j)
        top = logits[j] > top ? logits[j] : top;
    for (uint32_t j = 0; j < n; ++j) {
        weights[j] = expf(logits[j] - top);
        mass += weights[j];
    }
    const float lse = top + logf(mass);

    memset(output, 0, head_dim * sizeof *output);
    for (uint32_t j = 0; j < n; ++j)
        add_scaled(output, weights[j], values + (size_t)j * head_dim, head_dim);
    const float sink_mass = expf(sink.logit - top);
    if (sink.value != NULL && sink_mass > 0.0f)
        add_scaled(output, sink_mass, sink.value, head_dim);
    mass += sink_mass;
    for (uint32_t d = 0; d < head_dim; ++d)
        output[d] /= mass;
    return lse;
}
