/*
 * oracle.c - what the library should compute, in float64 and the plainest way
 */
#include "oracle.h"

#include <math.h>
#include <string.h>

/* ---- Numbers ------------------------------------------------------------- */

/* The three formats by their bits; all have hidden ones and denormals. */
typedef struct format {
    int mantissa_bits;
    int exponent_bits;
} format;

static format format_of(csp_dtype dtype)
{
    switch (dtype) {
    case CSP_F32:
        return (format){23, 8};
    case CSP_F16:
        return (format){10, 5};
    case CSP_BF16:
        return (format){7, 8};
    }
    return (format){0, 0};
}

size_t oracle_element_size(csp_dtype dtype)
{
    return dtype == CSP_F32 ? 4 : 2;
}

double oracle_decode(const void *element, csp_dtype dtype)
{
    const format f = format_of(dtype);
    uint32_t bits = 0;
    if (dtype == CSP_F32) {
        memcpy(&bits, element, 4);
    } else {
        uint16_t half;
        memcpy(&half, element, 2);
        bits = half;
    }

    const uint32_t mantissa = bits & ((1u << f.mantissa_bits) - 1);
    const uint32_t exponent =
        (bits >> f.mantissa_bits) & ((1u << f.exponent_bits) - 1);
    const double sign =
        bits >> (f.mantissa_bits + f.exponent_bits) ? -1.0 : 1.0;
    const int bias = (1 << (f.exponent_bits - 1)) - 1;
    if (exponent == (1u << f.exponent_bits) - 1)
        return mantissa != 0 ? (double)NAN : sign * (double)INFINITY;
    if (exponent == 0)
        return sign * ldexp(mantissa, 1 - bias - f.mantissa_bits);
    return sign * ldexp(mantissa + (1u << f.mantissa_bits),
                        (int)exponent - bias - f.mantissa_bits);
}

void oracle_encode(double value, csp_dtype dtype, void *element)
{
    const format f = format_of(dtype);
    const int bias = (1 << (f.exponent_bits - 1)) - 1;
    const uint32_t infinity = ((1u << f.exponent_bits) - 1) << f.mantissa_bits;
    uint32_t bits;
    if (isnan(value)) {
        bits = infinity | 1u << (f.mantissa_bits - 1);
    } else if (isinf(value)) {
        bits = infinity;
    } else {
        int exponent = -bias; /* of zero, frexp() would say 0 */
        if (value != 0.0)
            (void)frexp(value, &exponent);
        const int unit = exponent - 1 < 1 - bias ? 1 - bias : exponent - 1;
        const double steps =
            nearbyint(ldexp(fabs(value), f.mantissa_bits - unit));
        /* A carry into the exponent is right, up to infinity itself. */
        const uint64_t wide =
            (uint64_t)steps + ((uint64_t)(unit + bias - 1) << f.mantissa_bits);
        bits = wide > infinity ? infinity : (uint32_t)wide;
    }
    bits |= (uint32_t)(signbit(value) != 0)
            << (f.mantissa_bits + f.exponent_bits);

    const uint16_t half = (uint16_t)bits;
    if (dtype == CSP_F32)
        memcpy(element, &bits, 4);
    else
        memcpy(element, &half, 2);
}

/* ---- Attention ----------------------------------------------------------- */

uint32_t oracle_modality(const csp_tokens *tokens, uint32_t token)
{
    for (uint32_t i = 0; i < tokens->n_spans; i++) {
        const csp_span span = tokens->spans[i];
        if (span.begin <= token && token < span.end)
            return span.modality;
    }
    return 0;
}

void oracle_describe(const csp_tokens *tokens, oracle_layer *layer)
{
    for (uint32_t g = 0; g < layer->n_kv_heads; g++) {
        layer->n_rows[g] = tokens->counts ? tokens->counts[g] : layer->n_keys;
        for (uint32_t k = 0; k < layer->n_rows[g]; k++) {
            const size_t at = (size_t)g * layer->n_keys + k;
            layer->key_token[at] = k;
            if (tokens->positions)
                layer->key_token[at] =
                    tokens->positions[(size_t)g * tokens->capacity + k];
            layer->key_modality[at] =
                oracle_modality(tokens, layer->key_token[at]);
        }
    }
    for (uint32_t r = 0; r < layer->n_queries; r++)
        layer->query_modality[r] =
            oracle_modality(tokens, layer->first_query + r);
}

bool oracle_sees(const oracle_layer *layer, uint32_t g, uint32_t r, uint32_t k)
{
    if (k >= layer->n_rows[g])
        return false;
    const uint32_t token = layer->key_token[(size_t)g * layer->n_keys + k];
    return !layer->causal || token <= layer->first_query + r;
}

bool oracle_masked(double logit, csp_dtype dtype)
{
    /* -1e30 in float32, which is what a view can hold. */
    return logit <= (double)-1e30f || (dtype == CSP_F16 && logit <= -65504.0);
}

double oracle_logit(const double *query, const double *key, uint32_t head_dim,
                    double scale, double softcap)
{
    double dot = 0.0;
    for (uint32_t i = 0; i < head_dim; i++)
        dot += query[i] * key[i];
    const double logit = scale * dot;
    return softcap > 0.0 ? softcap * tanh(logit / softcap) : logit;
}

void oracle_nsoftmax(const double *x, uint32_t n_cols, double log_n,
                     double *weights)
{
    double max = -(double)INFINITY;
    for (uint32_t j = 0; j < n_cols; j++)
        max = fmax(max, x[j]);
    const double shift = fmax(max, log_n);

    double sum = log_n > -(double)INFINITY ? exp(log_n - shift) : 0.0;
    for (uint32_t j = 0; j < n_cols; j++) {
        const bool some_mass =
            max > -(double)INFINITY && x[j] > -(double)INFINITY;
        weights[j] = some_mass ? exp(x[j] - shift) : 0.0;
        sum += weights[j];
    }
    for (uint32_t j = 0; j < n_cols && sum > 0.0; j++)
        weights[j] /= sum;
}

static const double *row_of(const oracle_layer *layer, uint32_t h, uint32_t r)
{
    return layer->x + ((size_t)h * layer->n_queries + r) * layer->n_keys;
}

/* The weights of one row, compressed to the keys it sees: weights[i] is key
   keys[i]. */
static uint32_t row_weights(const oracle_layer *layer, uint32_t h, uint32_t r,
                            double n, uint32_t *keys, double *x,
                            double *weights)
{
    const uint32_t g = h / (layer->n_heads / layer->n_kv_heads);
    const double *row = row_of(layer, h, r);
    uint32_t n_seen = 0;
    for (uint32_t k = 0; k < layer->n_keys; k++) {
        if (oracle_sees(layer, g, r, k)) {
            keys[n_seen] = k;
            x[n_seen++] = row[k];
        }
    }

    if (!layer->probabilities) {
        oracle_nsoftmax(x, n_seen, log(n), weights);
        return n_seen;
    }
    double factor = 1.0;
    if (layer->lse != NULL && n > 0.0)
        factor = 1.0 / (1.0 + n * exp(-layer->lse[h * layer->n_queries + r]));
    for (uint32_t i = 0; i < n_seen; i++)
        weights[i] = x[i] * factor;
    return n_seen;
}

void oracle_score(const oracle_layer *layer, double n, double *intra,
                  double *inter, double *intra_rows, double *inter_rows)
{
    uint32_t keys[ORACLE_MAX_KEYS];
    double x[ORACLE_MAX_KEYS], weights[ORACLE_MAX_KEYS];
    const uint32_t group = layer->n_heads / layer->n_kv_heads;
    for (uint32_t h = 0; h < layer->n_heads; h++) {
        for (uint32_t r = 0; r < layer->n_queries; r++) {
            if (layer->first_query + r < layer->first_vote)
                continue;
            const uint32_t n_seen =
                row_weights(layer, h, r, n, keys, x, weights);
            for (uint32_t i = 0; i < n_seen; i++) {
                const size_t at = (size_t)(h / group) * layer->n_keys + keys[i];
                const bool same =
                    layer->key_modality[at] == layer->query_modality[r];
                (same ? intra : inter)[at] += weights[i];
                if (h % group == 0)
                    (same ? intra_rows : inter_rows)[at] += 1.0;
            }
        }
    }
}

/* ---- Calibration --------------------------------------------------------- */

/* A logit as it is, or from its probability and the row's lse. */
static double logit_of(const oracle_layer *layer, uint32_t h, uint32_t r,
                       uint32_t k)
{
    const double x = row_of(layer, h, r)[k];
    if (!layer->probabilities)
        return x;
    return log(x) + layer->lse[h * layer->n_queries + r];
}

oracle_dropped oracle_calibrate(const oracle_layer *layer, uint32_t h,
                                const uint8_t *kept, const double *values,
                                uint32_t value_dim, double *value)
{
    const uint32_t g = h / (layer->n_heads / layer->n_kv_heads);
    oracle_dropped dropped = {0};
    memset(value, 0, value_dim * sizeof(*value));
    for (uint32_t r = 0; r < layer->n_queries; r++) {
        double x[ORACLE_MAX_KEYS], weights[ORACLE_MAX_KEYS],
            max = -(double)INFINITY;
        for (uint32_t k = 0; k < layer->n_keys; k++) {
            const bool counts = oracle_sees(layer, g, r, k) && !kept[k];
            x[k] = counts ? logit_of(layer, h, r, k) : -(double)INFINITY;
            max = fmax(max, x[k]);
        }
        if (!(max > -(double)INFINITY))
            continue;

        double sum = 0.0;
        for (uint32_t k = 0; k < layer->n_keys; k++)
            sum += exp(x[k] - max);
        dropped.log_mass += max + log(sum);
        dropped.magnitude += fabs(max + log(sum));
        dropped.rows += 1.0;

        oracle_nsoftmax(x, layer->n_keys, -(double)INFINITY, weights);
        for (uint32_t k = 0; k < layer->n_keys; k++) {
            for (uint32_t d = 0; d < value_dim && weights[k] > 0.0; d++)
                value[d] += weights[k] * values[(size_t)k * value_dim + d];
        }
    }
    return dropped;
}

double oracle_correct(double output, double residual, double sink_logit,
                      double lse)
{
    if (sink_logit == -(double)INFINITY)
        return output;
    const double share = 1.0 / (1.0 + exp(sink_logit - lse));
    return residual + share * (output - residual);
}
