/*
 * attention_gap.c - how differently the modalities attend
 *
 * Cross-self pruning rests on a claim: attention weights within a modality and
 * across are distributed differently, so that one ranking starves one of them.
 * This measures it as the Jensen-Shannon divergence of the two distributions of
 * log weights, as histograms, which so many weights fill without smoothing.
 *
 * Text and image queries are also looked at apart, because together they mix
 * two effects; and an image's attention to itself is compared with that to
 * other images, since two kinds of pairs may differ without any modality.
 */
#include "attention_gap.h"

#include "attention_views.h"
#include "attention.h"
#include "support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const gap_kind_names[N_GAP_KINDS] = {
    [GAP_ALL] = "all",
    [GAP_TEXT] = "text",
    [GAP_IMAGE] = "image",
    [GAP_IMAGES] = "images",
};

gap gap_make(uint32_t n_layers, uint32_t n_heads)
{
    const size_t n = times(times(n_layers, n_heads), N_PAIRINGS);

    return (gap){.n_layers = n_layers,
                 .n_heads = n_heads,
                 .counts = take(times(n, GAP_BINS), sizeof(double)),
                 .mass = take(n, sizeof(double))};
}

void gap_free(gap *g)
{
    free(g->mass);
    free(g->counts);
    *g = (gap){0};
}

void gap_merge(gap *g, const gap *other)
{
    const size_t n = (size_t)g->n_layers * g->n_heads * N_PAIRINGS;

    for (size_t i = 0; i < n * GAP_BINS; ++i)
        g->counts[i] += other->counts[i];
    for (size_t i = 0; i < n; ++i)
        g->mass[i] += other->mass[i];
}

/* ---- Count --------------------------------------------------------------- */

/* The image of each token, from 1; 0 is text. */
static uint32_t *images_of(const scene *s)
{
    uint32_t *images = take(scene_keys(s), sizeof *images);

    for (uint32_t i = 0; i < s->n_spans; ++i)
        if (s->spans[i].modality != 0)
            for (uint32_t t = s->spans[i].begin; t < s->spans[i].end; ++t)
                images[t] = i + 1;
    return images;
}

static pairing pair_of(uint32_t query, uint32_t key)
{
    if (query == 0)
        return key == 0 ? TEXT_TO_TEXT : TEXT_TO_IMAGE;
    return key == 0       ? IMAGE_TO_TEXT
           : key == query ? IMAGE_TO_OWN
                          : IMAGE_TO_OTHER;
}

static uint32_t bin_of(double log_weight)
{
    const double bin = GAP_BINS + log_weight * GAP_BINS_PER_NAT;

    return bin < 0.0 ? 0 : bin < GAP_BINS - 1 ? (uint32_t)bin : GAP_BINS - 1;
}

static double log_sum(const float *logits, uint32_t n)
{
    double top = (double)logits[0], sum = 0.0;

    for (uint32_t j = 1; j < n; ++j)
        top = fmax(top, (double)logits[j]);
    for (uint32_t j = 0; j < n; ++j)
        sum += exp((double)logits[j] - top);
    return top + log(sum);
}

/* Add the weights of the query of token 'position'. */
static void add_row(gap *g, size_t head, const uint32_t *images,
                    const float *logits, uint32_t position)
{
    const double lse = log_sum(logits, position + 1);

    for (uint32_t j = 0; j <= position; ++j) {
        const double log_weight = (double)logits[j] - lse;
        const size_t at =
            head * N_PAIRINGS + pair_of(images[position], images[j]);

        g->counts[at * GAP_BINS + bin_of(log_weight)] += 1.0;
        g->mass[at] += exp(log_weight);
    }
}

void gap_add(gap *g, const scene *s)
{
    const uint32_t group = s->n_heads / s->n_kv_heads;
    uint32_t *images = images_of(s);
    float *logits = take(scene_keys(s), sizeof *logits);

    for (uint32_t l = 0; l < s->n_layers; ++l) {
        const csp_attention seen = scene_attention(s, l, scene_keys(s));
        const float *queries = seen.queries.data;

        for (uint32_t t = 0; t < seen.queries.n_rows; ++t)
            for (uint32_t h = 0; h < s->n_heads; ++h) {
                const uint32_t position = seen.first_query + t;

                attention_logits(
                    queries + ((size_t)t * s->n_heads + h) * s->head_dim,
                    s->full->keys + cache_head(s->full, l, h / group),
                    position + 1, s->head_dim, s->scale, logits);
                add_row(g, (size_t)l * s->n_heads + h, images, logits,
                        position);
            }
    }
    free(logits);
    free(images);
}

/* ---- Figures ------------------------------------------------------------- */

/* Which pairs are compared with which: 1 the first, 2 the second, 0 neither. */
static const uint8_t sides[N_GAP_KINDS][N_PAIRINGS] = {
    [GAP_ALL] = {[TEXT_TO_TEXT] = 1,
                 [TEXT_TO_IMAGE] = 2,
                 [IMAGE_TO_OWN] = 1,
                 [IMAGE_TO_OTHER] = 1,
                 [IMAGE_TO_TEXT] = 2},
    [GAP_TEXT] = {[TEXT_TO_TEXT] = 1, [TEXT_TO_IMAGE] = 2},
    [GAP_IMAGE] =
        {[IMAGE_TO_OWN] = 1, [IMAGE_TO_OTHER] = 1, [IMAGE_TO_TEXT] = 2},
    [GAP_IMAGES] = {[IMAGE_TO_OWN] = 1, [IMAGE_TO_OTHER] = 2},
};

/* A side's histogram and sums over heads [head, head + n). */
typedef struct side {
    double bins[GAP_BINS];
    double pairs, mass;
} side;

static void collect(const gap *g, uint32_t layer, uint32_t head, uint32_t n,
                    gap_kind kind, uint8_t which, side *s)
{
    memset(s, 0, sizeof *s);
    for (uint32_t h = head; h < head + n; ++h)
        for (uint32_t p = 0; p < N_PAIRINGS; ++p) {
            const size_t at = ((size_t)layer * g->n_heads + h) * N_PAIRINGS + p;

            if (sides[kind][p] != which)
                continue;
            s->mass += g->mass[at];
            for (uint32_t b = 0; b < GAP_BINS; ++b) {
                s->bins[b] += g->counts[at * GAP_BINS + b];
                s->pairs += g->counts[at * GAP_BINS + b];
            }
        }
}

/* Contribution of a bin to the divergence of p from the mean of p and q. */
static double surprise(double p, double q)
{
    return p > 0.0 ? 0.5 * p * log2(2.0 * p / (p + q)) : 0.0;
}

static double mean_log(const side *s)
{
    double sum = 0.0;

    for (uint32_t b = 0; b < GAP_BINS; ++b)
        sum += s->bins[b] * ((b + 0.5 - GAP_BINS) / GAP_BINS_PER_NAT);
    return sum / s->pairs;
}

gap_figures gap_of(const gap *g, uint32_t layer, uint32_t head, uint32_t n,
                   gap_kind kind)
{
    side a, b;

    collect(g, layer, head, n, kind, 1, &a);
    collect(g, layer, head, n, kind, 2, &b);
    gap_figures f = {.intra_mean = mean_log(&a),
                     .inter_mean = mean_log(&b),
                     .pairs = b.pairs / (a.pairs + b.pairs),
                     .mass = b.mass / (a.mass + b.mass)};
    for (uint32_t i = 0; i < GAP_BINS; ++i) {
        const double p = a.bins[i] / a.pairs, q = b.bins[i] / b.pairs;

        f.divergence += surprise(p, q) + surprise(q, p);
    }
    if (!(a.pairs > 0.0 && b.pairs > 0.0))
        f.divergence = (double)NAN;
    return f;
}

void gap_density(const gap *g, uint32_t layer, bool inter, double *density)
{
    side s;

    collect(g, layer, 0, g->n_heads, GAP_ALL, inter ? 2 : 1, &s);
    for (uint32_t b = 0; b < GAP_BINS; ++b)
        density[b] = s.bins[b] / s.pairs * GAP_BINS_PER_NAT;
}
