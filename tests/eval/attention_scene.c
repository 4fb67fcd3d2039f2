/*
 * attention_scene.c - a cache to prune, and the queries that come after
 *
 * Attention over the cache and attention over the later tokens themselves are
 * computed apart, each with its log-sum-exp; put together by these they are
 * attention over both, exactly.  So pruning needs to redo the first part only.
 */
#include "attention_scene.h"

#include "attention_views.h"

#include "attention.h"
#include "support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- Make ---------------------------------------------------------------- */

scene scene_make(const cache *full, const recorder *seen, const prompt *p,
                 bool own_keys, uint64_t seed)
{
    scene s = {.n_layers = full->n_layers,
               .n_heads = full->n_heads,
               .n_kv_heads = full->n_kv_heads,
               .head_dim = full->head_dim,
               .scale = 1.0f / sqrtf((float)full->head_dim),
               .full = full,
               .seen = seen,
               .n_spans = p->n_spans,
               .own_keys = own_keys,
               .seed = seed};

    s.layers = take(s.n_layers, sizeof *s.layers);
    s.spans = take(p->n_spans, sizeof *s.spans);
    for (uint32_t i = 0; i < p->n_spans; ++i)
        s.spans[i] = (csp_span){.begin = p->spans[i].begin,
                                .end = p->spans[i].end,
                                .modality = p->spans[i].modality};
    return s;
}

void outputs_free(outputs *o)
{
    free(o->lse);
    free(o->rows);
    *o = (outputs){0};
}

void scene_free(scene *s)
{
    for (uint32_t l = 0; l < s->n_layers; ++l) {
        outputs_free(&s->layers[l].full);
        outputs_free(&s->layers[l].own);
        free(s->layers[l].queries);
    }
    free(s->layers);
    free(s->spans);
    *s = (scene){0};
}

static outputs room(const scene *s, uint32_t n)
{
    const size_t heads = times(n, s->n_heads);

    return (outputs){.rows = take(times(heads, s->head_dim), sizeof(float)),
                     .lse = take(heads, sizeof(float))};
}

outputs outputs_make(const scene *s)
{
    return room(s, s->n);
}

static void grow(float **rows, size_t used, size_t wanted)
{
    float *larger = take(wanted, sizeof *larger);

    if (used > 0)
        memcpy(larger, *rows, used * sizeof *larger);
    free(*rows);
    *rows = larger;
}

static void make_room(const scene *s, later_rows *l, uint32_t n)
{
    if (n <= l->capacity)
        return;
    const size_t capacity = 2 * (size_t)n;
    const size_t used = (size_t)s->n * s->n_heads;
    const size_t wanted = times(capacity, s->n_heads);

    grow(&l->queries, used * s->head_dim, times(wanted, s->head_dim));
    grow(&l->own.rows, used * s->head_dim, times(wanted, s->head_dim));
    grow(&l->full.rows, used * s->head_dim, times(wanted, s->head_dim));
    grow(&l->own.lse, used, wanted);
    grow(&l->full.lse, used, wanted);
    l->capacity = (uint32_t)capacity;
}

uint32_t scene_keys(const scene *s)
{
    return s->full->position;
}

/* ---- Attend -------------------------------------------------------------- */

/* Put attention over other keys into 'output' and 'lse'. */
static void merge(const float *other, float other_lse, uint32_t n,
                  float *output, float *lse)
{
    const float top = fmaxf(*lse, other_lse);
    const float mass = expf(*lse - top), more = expf(other_lse - top);

    for (uint32_t d = 0; d < n; ++d)
        output[d] = (mass * output[d] + more * other[d]) / (mass + more);
    *lse = top + logf(mass + more);
}

/* Keys and values [n_kv_heads][capacity][head_dim], rows[g] of them in use. */
typedef struct layer_rows {
    float *keys, *values;
    uint32_t capacity, *rows;
} layer_rows;

static void attend(const scene *s, uint32_t layer, const layer_rows *r,
                   outputs *o)
{
    const later_rows *l = &s->layers[layer];
    const uint32_t dim = s->head_dim, group = s->n_heads / s->n_kv_heads;
    const attention_sink none = {.logit = -INFINITY};
    float *logits = take(r->capacity, sizeof *logits);
    float *weights = take(r->capacity, sizeof *weights);

    for (uint32_t h = 0; h < s->n_heads; ++h) {
        const size_t first = (size_t)(h / group) * r->capacity * dim;
        const uint32_t n = r->rows[h / group];

        for (uint32_t t = 0; t < s->n; ++t) {
            const size_t at = (size_t)t * s->n_heads + h;

            attention_logits(l->queries + at * dim, r->keys + first, n, dim,
                             s->scale, logits);
            o->lse[at] = attention_mix(logits, r->values + first, n, dim, none,
                                       weights, o->rows + at * dim);
            if (s->own_keys)
                merge(l->own.rows + at * dim, l->own.lse[at], dim,
                      o->rows + at * dim, &o->lse[at]);
        }
    }
    free(weights);
    free(logits);
}

/* A layer's rows, copied or moved together; all heads' lists if there is but
   one. */
static void gather(const scene *s, uint32_t layer, const csp_kept *kept,
                   const layer_rows *r)
{
    const size_t cell = s->head_dim * sizeof(float);
    const size_t first = cache_head(s->full, layer, 0);
    const csp_cells src[2] = {
        csp_cells_packed(s->full->keys + first, s->n_kv_heads,
                         s->full->capacity, cell),
        csp_cells_packed(s->full->values + first, s->n_kv_heads,
                         s->full->capacity, cell),
    };
    const csp_cells dst[2] = {
        csp_cells_packed(r->keys, s->n_kv_heads, r->capacity, cell),
        csp_cells_packed(r->values, s->n_kv_heads, r->capacity, cell),
    };

    csp_check(csp_compact(src, 2, kept, dst), "csp_compact");
    for (uint32_t g = 0; g < s->n_kv_heads; ++g)
        r->rows[g] = kept->counts[kept->n_lists == 1 ? 0 : g];
}

void scene_attend(const scene *s, uint32_t layer, const csp_kept *kept,
                  outputs *o)
{
    const uint32_t n_keys = scene_keys(s);
    const size_t size = times(times(s->n_kv_heads, n_keys), s->head_dim);
    layer_rows r = {.keys = take(size, sizeof(float)),
                    .values = take(size, sizeof(float)),
                    .capacity = n_keys,
                    .rows = take(s->n_kv_heads, sizeof *r.rows)};
    uint32_t *all = take(n_keys, sizeof *all);
    const csp_kept everything = {
        .rows = all, .counts = &r.capacity, .n_lists = 1, .capacity = n_keys};

    for (uint32_t i = 0; i < n_keys; ++i)
        all[i] = i;
    gather(s, layer, kept != NULL ? kept : &everything, &r);
    attend(s, layer, &r, o);
    free(all);
    free(r.rows);
    free(r.values);
    free(r.keys);
}

/* ---- Read ---------------------------------------------------------------- */

/* Attention of token t of those just read to them, up to itself. */
static void attend_own(const scene *s, uint32_t layer, const cache *c,
                       uint32_t n, float *logits, float *weights)
{
    later_rows *l = &s->layers[layer];
    const uint32_t dim = s->head_dim, group = s->n_heads / s->n_kv_heads;
    const attention_sink none = {.logit = -INFINITY};

    for (uint32_t t = 0; t < n; ++t)
        for (uint32_t h = 0; h < s->n_heads; ++h) {
            const size_t at = (size_t)(s->n + t) * s->n_heads + h;
            const size_t first =
                cache_head(c, layer, h / group) + (size_t)scene_keys(s) * dim;

            attention_logits(l->queries + at * dim, c->keys + first, t + 1, dim,
                             s->scale, logits);
            l->own.lse[at] =
                attention_mix(logits, c->values + first, t + 1, dim, none,
                              weights, l->own.rows + at * dim);
        }
}

void scene_read(scene *s, engine *e, const float *embeddings, uint32_t n)
{
    cache c = cache_copy(s->full, scene_keys(s) + n);
    recorder r = recorder_make(e->m, n);
    float *logits = take(n, sizeof *logits), *weights = take(n, sizeof *logits);
    const size_t row = (size_t)s->n_heads * s->head_dim;

    e->watcher = (watcher){recorder_watch, &r};
    engine_run(e, &c, embeddings, n, NULL);
    e->watcher = (watcher){0};
    for (uint32_t l = 0; l < s->n_layers; ++l) {
        make_room(s, &s->layers[l], s->n + n);
        memcpy(s->layers[l].queries + s->n * row,
               recorder_view(&r, l, &c).queries, n * row * sizeof(float));
        attend_own(s, l, &c, n, logits, weights);
    }
    s->n += n;
    free(weights);
    free(logits);
    recorder_free(&r);
    cache_free(&c);
}

void scene_finish(scene *s)
{
    for (uint32_t l = 0; l < s->n_layers; ++l)
        scene_attend(s, l, NULL, &s->layers[l].full);
}
