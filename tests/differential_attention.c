/*
 * differential_attention.c - drawing the numbers of a configuration
 *
 * What the library may not read stays NaN: keys of the future, rows not in use,
 * padding.
 */
#include "differential.h"

#include <math.h>
#include <string.h>

/* An lse in base 2 times this is natural. */
#define LN2 0.69314718055994531

/* ---- Numbers ------------------------------------------------------------- */

/* What the rows of a case look like. */
typedef struct logit_style {
    double sigma;
    double offset;
    bool mixed_offsets;
    bool quantised; /* to halves: ties */
    bool constant;
    bool giant; /* one logit far above the others */
    uint32_t masked;
    uint32_t masked_rows;
} logit_style;

static double draw_offset(diff_case *c)
{
    static const double offsets[] = {0,     0,      0,   0,   12,   -12,
                                     -11.5, 90,     -90, 150, -150, 1e4,
                                     -1e4,  -65504, 30,  -30};
    return offsets[random_below(&c->random, 16)];
}

static logit_style draw_style(diff_case *c)
{
    static const double sigmas[] = {0.1, 1, 1, 3, 10};
    static const uint32_t masked[] = {0, 0, 10, 50};
    static const uint32_t masked_rows[] = {0, 0, 0, 10, 30};
    return (logit_style){.sigma = sigmas[random_below(&c->random, 5)],
                         .offset = draw_offset(c),
                         .mixed_offsets = random_chance(&c->random, 15),
                         .quantised = random_chance(&c->random, 15),
                         .constant = random_chance(&c->random, 5),
                         .giant = random_chance(&c->random, 5),
                         .masked = masked[random_below(&c->random, 4)],
                         .masked_rows =
                             random_chance(&c->random, 2)
                                 ? 100
                                 : masked_rows[random_below(&c->random, 5)]};
}

static void draw_row(diff_case *c, const logit_style *style, uint32_t n,
                     double *x)
{
    const double offset = style->mixed_offsets ? draw_offset(c) : style->offset;
    const bool all_masked = random_chance(&c->random, style->masked_rows);
    for (uint32_t k = 0; k < n; k++) {
        x[k] =
            offset +
            (style->constant ? 0.0 : style->sigma * random_normal(&c->random));
        if (style->quantised)
            x[k] = nearbyint(2.0 * x[k]) / 2.0;
        if (all_masked || random_chance(&c->random, style->masked))
            x[k] = -(double)INFINITY;
    }
    if (style->giant && n > 0 && !all_masked)
        x[random_below(&c->random, n)] = offset + 60.0;
    if (all_masked && n > 0)
        cover(c, F1_MASKED_ROW);
}

/* One of the ways to write "masked". */
static double draw_mask(diff_case *c, csp_dtype dtype)
{
    if (random_chance(&c->random, 40))
        return -(double)INFINITY;
    switch (dtype) {
    case CSP_F32:
        return random_chance(&c->random, 50) ? -0x1.fffffep127 : (double)-1e30f;
    case CSP_F16:
        return -65504.0;
    case CSP_BF16:
        return random_chance(&c->random, 50) ? -3.38e38 : -1.1e30;
    }
    return 0.0;
}

static double *x_row(const diff_case *c, uint32_t h, uint32_t r)
{
    return c->layer.x + ((size_t)h * c->layer.n_queries + r) * c->layer.n_keys;
}

/* Whether the head may see the key; all others keep their NaN. */
static bool is_read(const diff_case *c, uint32_t h, uint32_t r, uint32_t k)
{
    return oracle_sees(&c->layer, h / (c->layer.n_heads / c->layer.n_kv_heads),
                       r, k);
}

/* Write what the oracle has, then let it have what was written. */
static void store_scores(diff_case *c)
{
    const csp_tensor *scores = &c->attention.scores;
    const bool logits = !c->layer.probabilities;
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t h = 0; h < c->layer.n_heads; h++) {
            for (uint32_t r = 0; r < c->layer.n_queries; r++) {
                double *x = x_row(c, h, r);
                for (uint32_t k = 0; k < c->layer.n_keys; k++) {
                    if (!is_read(c, h, r, k)) {
                        cover(c, F2_UNREAD_NAN);
                    } else if (pass == 0) {
                        const bool masked = logits && isinf(x[k]);
                        tensor_put(scores, h, r, k,
                                   masked ? draw_mask(c, scores->dtype) : x[k]);
                    } else {
                        x[k] = tensor_get(scores, h, r, k);
                        if (logits && oracle_masked(x[k], scores->dtype))
                            x[k] = -(double)INFINITY;
                    }
                }
            }
        }
    }
}

/* Turn a row of logits into probabilities over the keys it sees; returns its
   lse. */
static double soften(diff_case *c, uint32_t h, uint32_t r)
{
    double *x = x_row(c, h, r);
    double seen[ORACLE_MAX_KEYS] = {0}, p[ORACLE_MAX_KEYS];
    double max = -(double)INFINITY, sum = 0.0;
    for (uint32_t k = 0; k < c->layer.n_keys; k++) {
        seen[k] = is_read(c, h, r, k) ? x[k] : -(double)INFINITY;
        max = fmax(max, seen[k]);
    }
    oracle_nsoftmax(seen, c->layer.n_keys, -(double)INFINITY, p);
    memcpy(x, p, c->layer.n_keys * sizeof(*x));
    if (isinf(max))
        return max;
    for (uint32_t k = 0; k < c->layer.n_keys; k++)
        sum += exp(seen[k] - max);
    return max + log(sum);
}

static void draw_probabilities(diff_case *c)
{
    const oracle_layer *layer = &c->layer;
    const bool has_lse = random_chance(&c->random, 65);
    const size_t n = (size_t)layer->n_heads * layer->n_queries;
    double *numbers = take_plain(c, n, sizeof(double));

    c->attention.source = CSP_PROBABILITIES;
    c->attention.lse_unit =
        random_chance(&c->random, 50) ? CSP_LSE_BASE2 : CSP_LSE_NATURAL;
    const double unit = c->attention.lse_unit == CSP_LSE_BASE2 ? LN2 : 1.0;
    if (has_lse)
        c->attention.lse = draw_tensor(c, CSP_F32, layer->n_heads,
                                       layer->n_queries, 1, TENSOR_OUTPUT);
    for (uint32_t h = 0; h < layer->n_heads; h++) {
        for (uint32_t r = 0; r < layer->n_queries; r++) {
            const double lse = soften(c, h, r);
            if (!has_lse)
                continue;
            tensor_put(&c->attention.lse, h, r, 0, lse / unit);
            numbers[h * layer->n_queries + r] =
                unit * tensor_get(&c->attention.lse, h, r, 0);
        }
    }
    c->layer.probabilities = true;
    c->layer.lse = has_lse && c->attention.lse.data != NULL ? numbers : NULL;
    if (!has_lse || c->attention.lse.data == NULL)
        c->config.n = 0.0;
}

static void draw_scores(diff_case *c)
{
    const oracle_layer *layer = &c->layer;
    const logit_style style = draw_style(c);
    const csp_dtype dtype = draw_dtype(c);
    for (uint32_t h = 0; h < layer->n_heads; h++) {
        for (uint32_t r = 0; r < layer->n_queries; r++)
            draw_row(c, &style, layer->n_keys, x_row(c, h, r));
    }
    c->attention.source = CSP_LOGITS;
    if (random_chance(&c->random, 33))
        draw_probabilities(c);
    const uint32_t padding = random_chance(&c->random, 50) ? 0 : 5;
    c->attention.scores = draw_tensor(
        c, dtype, layer->n_heads, layer->n_queries,
        layer->n_keys + random_below(&c->random, padding + 1), TENSOR_ROWS);
    store_scores(c);
    if (dtype == CSP_F16 && style.offset < -11.0 && c->config.n > 0.0)
        cover(c, F3_HALF_RANGE);
    if (dtype != CSP_F32 && layer->n_queries >= 16)
        cover(c, F4_HALF_SUMS);
}

/* ---- Queries and keys ---------------------------------------------------- */

/* Whether any query may see the key; others keep their NaN. */
static bool is_key_read(const diff_case *c, uint32_t g, uint32_t k)
{
    for (uint32_t r = 0; r < c->layer.n_queries; r++) {
        if (oracle_sees(&c->layer, g, r, k))
            return true;
    }
    return false;
}

static void fill_row(diff_case *c, const csp_tensor *tensor, uint32_t h,
                     uint32_t r)
{
    for (uint32_t i = 0; i < tensor->n_cols; i++)
        tensor_put(tensor, h, r, i, random_normal(&c->random));
}

static void read_row(const csp_tensor *tensor, uint32_t h, uint32_t r,
                     double *row)
{
    for (uint32_t i = 0; i < tensor->n_cols; i++)
        row[i] = tensor_get(tensor, h, r, i);
}

enum { MAX_HEAD_DIM = 64 };

/* Logits of one head, and the bound on their error in float32: each of 'dim'
   products and sums may be off by 2^-24 of the sum of their sizes. */
static void compute_logits(diff_case *c, uint32_t h)
{
    const csp_attention *a = &c->attention;
    const uint32_t dim = a->queries.n_cols;
    const uint32_t g = h / (c->layer.n_heads / c->layer.n_kv_heads);
    double query[MAX_HEAD_DIM], key[MAX_HEAD_DIM];
    for (uint32_t r = 0; r < c->layer.n_queries; r++) {
        read_row(&a->queries, h, r, query);
        for (uint32_t k = 0; k < c->layer.n_keys; k++) {
            if (!oracle_sees(&c->layer, g, r, k))
                continue;
            read_row(&a->keys, g, k, key);
            x_row(c, h, r)[k] = oracle_logit(query, key, dim, (double)a->scale,
                                             (double)a->softcap);
            double size = 0.0;
            for (uint32_t i = 0; i < dim; i++)
                size += fabs(query[i] * key[i]);
            c->logit_error =
                fmax(c->logit_error,
                     (dim + 4) * 0x1p-24 * fabs((double)a->scale) * size);
        }
    }
}

static void draw_query_key(diff_case *c)
{
    static const uint32_t dims[] = {1, 2, 3, 5, 8, 16, 33, 64};
    static const float softcaps[] = {0.0f, 0.0f, 2.0f, 30.0f};
    static const csp_path paths[] = {CSP_PATH_AUTO, CSP_PATH_KERNEL};
    const oracle_layer *layer = &c->layer;
    const uint32_t dim =
        dims[random_below(&c->random, layer->n_keys > 80 ? 6 : 8)];
    csp_attention *a = &c->attention;

    a->source = CSP_QUERY_KEY;
    a->scale = (float)(random_between(&c->random, 1, 3) / sqrt(dim));
    a->softcap = softcaps[random_below(&c->random, 4)];
    c->config.compute.product = paths[random_below(&c->random, 2)];
    a->queries = draw_tensor(c, draw_dtype(c), layer->n_heads, layer->n_queries,
                             dim, TENSOR_INPUT);
    a->keys = draw_tensor(c, draw_dtype(c), layer->n_kv_heads,
                          layer->n_keys + random_below(&c->random, 3), dim,
                          TENSOR_INPUT);
    for (uint32_t h = 0; h < layer->n_heads; h++) {
        for (uint32_t r = 0; r < layer->n_queries; r++)
            fill_row(c, &a->queries, h, r);
    }
    for (uint32_t g = 0; g < layer->n_kv_heads; g++) {
        for (uint32_t k = 0; k < layer->n_keys; k++) {
            if (is_key_read(c, g, k))
                fill_row(c, &a->keys, g, k);
        }
    }
    for (uint32_t h = 0; h < layer->n_heads; h++)
        compute_logits(c, h);
}

void draw_values(diff_case *c)
{
    static const uint32_t dims[] = {1, 2, 3, 5, 8, 16, 33, 64};
    const oracle_layer *layer = &c->layer;
    const uint32_t dim =
        dims[random_below(&c->random, layer->n_keys > 80 ? 5 : 8)];
    c->values = draw_tensor(c, draw_dtype(c), layer->n_kv_heads,
                            layer->n_keys + random_below(&c->random, 3), dim,
                            TENSOR_INPUT);
    c->value_numbers = take_plain(
        c, (size_t)layer->n_kv_heads * layer->n_keys * dim, sizeof(double));
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t g = 0; g < layer->n_kv_heads; g++) {
            for (uint32_t k = 0; k < layer->n_rows[g]; k++) {
                if (pass == 0)
                    fill_row(c, &c->values, g, k);
                else
                    read_row(&c->values, g, k,
                             c->value_numbers +
                                 ((size_t)g * layer->n_keys + k) * dim);
            }
        }
    }
}

void draw_attention(diff_case *c)
{
    if (random_chance(&c->random, 25))
        draw_query_key(c);
    else
        draw_scores(c);
}
