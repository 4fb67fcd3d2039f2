/*
 * attention_moments.c - moments of the dropped rows, in three ways
 *
 * Moments are plain sums in the caller's memory and a summary is a documented
 * array, so what the library does not offer can be tried on top of it: tokens
 * that count by the attention they had, and an expansion around the queries at
 * hand.
 */
#include "attention_moments.h"

#include "attention_methods.h"
#include "attention_views.h"
#include "support.h"

#include <stdlib.h>
#include <string.h>

/* ---- Moments ------------------------------------------------------------- */

static csp_moments moments_make(const scene *s)
{
    const size_t n = s->n_kv_heads, dim = s->head_dim;

    return (csp_moments){.count = take(n, sizeof(double)),
                         .key = take(n * dim, sizeof(double)),
                         .value = take(n * dim, sizeof(double)),
                         .key_key = take(n * dim * dim, sizeof(double)),
                         .key_value = take(n * dim * dim, sizeof(double)),
                         .n_kv_heads = s->n_kv_heads,
                         .key_dim = s->head_dim,
                         .value_dim = s->head_dim};
}

static void moments_free(csp_moments *m)
{
    free(m->key_value);
    free(m->key_key);
    free(m->value);
    free(m->key);
    free(m->count);
    *m = (csp_moments){0};
}

static void add_alike(const scene *s, uint32_t layer, const csp_kept *kept,
                      const csp_moments *m)
{
    const csp_tensor keys = scene_rows(s, layer, s->full->keys);
    const csp_tensor values = scene_rows(s, layer, s->full->values);
    const csp_tokens tokens = scene_tokens(s);
    const size_t size = csp_moments_workspace_size(m->key_dim, m->value_dim);
    void *workspace = take(size, 1);

    csp_check(csp_moments_add(&keys, &values, &tokens, kept, NULL, workspace,
                              size, m),
              "csp_moments_add");
    free(workspace);
}

static void add_token(const csp_moments *m, uint32_t g, double weight,
                      const float *key, const float *value)
{
    const size_t dim = m->key_dim;
    double *sum_k = m->key + g * dim, *sum_v = m->value + g * dim;
    double *sum_kk = m->key_key + g * dim * dim;
    double *sum_kv = m->key_value + g * dim * dim;

    m->count[g] += weight;
    for (size_t a = 0; a < dim; ++a) {
        const double k = weight * (double)key[a];

        sum_k[a] += k;
        sum_v[a] += weight * (double)value[a];
        for (size_t b = 0; b < dim; ++b) {
            sum_kk[a * dim + b] += k * (double)key[b];
            sum_kv[a * dim + b] += k * (double)value[b];
        }
    }
}

/* A head's dropped tokens, each as often as its share of their attention says;
   alike where they had none.  They count as many as they are. */
static void add_head_weighted(const scene *s, uint32_t layer, uint32_t g,
                              const csp_kept *kept, const float *attention,
                              const csp_moments *m)
{
    const uint32_t n_keys = scene_keys(s);
    const uint32_t list = kept->n_lists == 1 ? 0 : g;
    uint8_t *mask = take(n_keys, 1);
    double total = 0.0;

    csp_check(csp_kept_mask(kept->rows + (size_t)list * kept->capacity,
                            kept->counts[list], n_keys, mask),
              "csp_kept_mask");
    const double dropped = n_keys - kept->counts[list];
    for (uint32_t j = 0; j < n_keys; ++j)
        total += mask[j] ? 0.0 : (double)attention[j];
    for (uint32_t j = 0; j < n_keys; ++j) {
        const size_t at =
            cache_head(s->full, layer, g) + (size_t)j * s->head_dim;
        const double weight =
            total > 0.0 ? dropped * (double)attention[j] / total : 1.0;

        if (!mask[j])
            add_token(m, g, weight, s->full->keys + at, s->full->values + at);
    }
    free(mask);
}

static void add_weighted(const scene *s, uint32_t layer, const csp_kept *kept,
                         uint32_t n_rows, const csp_moments *m)
{
    const csp_attention attention = scene_attention(s, layer, n_rows);
    choice c = choice_make(s);
    csp_config config;

    csp_check(csp_config_init(&config), "csp_config_init");
    config.n = 0.0;
    score(s, &attention, &config, &c.importance);
    for (uint32_t g = 0; g < s->n_kv_heads; ++g) {
        float *intra = c.importance.intra + (size_t)g * c.importance.capacity;
        float *inter = c.importance.inter + (size_t)g * c.importance.capacity;

        for (uint32_t j = 0; j < scene_keys(s); ++j)
            intra[j] += inter[j];
        add_head_weighted(s, layer, g, kept, intra, m);
    }
    choice_free(&c);
}

/* ---- Summaries ----------------------------------------------------------- */

static csp_summary summary_make(const scene *s, uint32_t rank)
{
    const size_t n = times(s->n_kv_heads, s->head_dim);

    return (csp_summary){.keys = take(n * (1 + 2 * rank), sizeof(float)),
                         .values = take(n * (1 + rank), sizeof(float)),
                         .log_count = take(s->n_kv_heads, sizeof(float)),
                         .variance = take(s->n_kv_heads, sizeof(float)),
                         .dtype = CSP_F32,
                         .n_kv_heads = s->n_kv_heads,
                         .key_dim = s->head_dim,
                         .value_dim = s->head_dim,
                         .rank = rank};
}

void summary_free(csp_summary *summary)
{
    free(summary->variance);
    free(summary->log_count);
    free(summary->values);
    free(summary->keys);
    *summary = (csp_summary){0};
}

static float dot(const float *a, const float *b, uint32_t n)
{
    float sum = 0.0f;

    for (uint32_t i = 0; i < n; ++i)
        sum += a[i] * b[i];
    return sum;
}

static void add_scaled(float *sum, float factor, const float *row, uint32_t n)
{
    for (uint32_t i = 0; i < n; ++i)
        sum[i] += factor * row[i];
}

/*
 * Moments of tokens as the query q0 weighs them describe the mass around q0:
 *
 *   log n(q) = const + (q - q0).mu + (q - q0)'S(q - q0) / 2
 *   v(q) = vbar + C'(q - q0)
 *
 * so mu - S q0 and vbar - C'q0 take the place of the means; the constant is the
 * fit's offset.
 */
static void tilt(const csp_summary *summary, uint32_t g, const float *q0,
                 float *shift)
{
    const uint32_t dim = summary->key_dim, rank = summary->rank;
    float *keys =
        (float *)summary->keys + (size_t)g * (1 + 2 * (size_t)rank) * dim;
    float *values =
        (float *)summary->values + (size_t)g * (1 + (size_t)rank) * dim;
    const float *roots = keys + dim;
    const float *singular = roots + (size_t)rank * dim;

    memset(shift, 0, dim * sizeof *shift);
    add_scaled(shift, summary->variance[g], q0, dim);
    for (size_t i = 0; i < rank; ++i) {
        add_scaled(shift, dot(roots + i * dim, q0, dim), roots + i * dim, dim);
        add_scaled(values, -dot(singular + i * dim, q0, dim),
                   values + (1 + i) * dim, dim);
    }
    add_scaled(keys, -1.0f, shift, dim);
}

/* Around the mean of a KV head's scaled queries. */
static void tilt_all(const scene *s, uint32_t layer, uint32_t n_rows,
                     const csp_summary *summary)
{
    const csp_tensor queries = scene_attention(s, layer, n_rows).queries;
    const uint32_t group = s->n_heads / s->n_kv_heads;
    const float *rows = queries.data;
    float *q0 = take(s->head_dim, sizeof *q0);
    float *shift = take(s->head_dim, sizeof *shift);

    for (uint32_t g = 0; g < s->n_kv_heads; ++g) {
        memset(q0, 0, s->head_dim * sizeof *q0);
        for (uint32_t r = 0; r < queries.n_rows; ++r)
            for (uint32_t h = g * group; h < (g + 1) * group; ++h)
                add_scaled(q0, s->scale / (float)(queries.n_rows * group),
                           rows + ((size_t)r * s->n_heads + h) * s->head_dim,
                           s->head_dim);
        tilt(summary, g, q0, shift);
    }
    free(shift);
    free(q0);
}

csp_summary summarise(const scene *s, uint32_t layer, const csp_kept *kept,
                      const correction_spec *c)
{
    const uint32_t rank = c->rank == RANK_FULL ? s->head_dim : c->rank;
    const size_t size = csp_summarise_workspace_size(s->head_dim, s->head_dim);
    void *workspace = take(size, 1);
    const csp_summary summary = summary_make(s, rank);
    csp_moments moments = moments_make(s);

    if (c->weight == WEIGHT_ALIKE)
        add_alike(s, layer, kept, &moments);
    else
        add_weighted(s, layer, kept, c->rows, &moments);
    csp_check(csp_summarise(&moments, workspace, size, &summary),
              "csp_summarise");
    if (c->weight == WEIGHT_TILTED)
        tilt_all(s, layer, c->rows, &summary);
    moments_free(&moments);
    free(workspace);
    return summary;
}
