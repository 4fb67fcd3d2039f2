/*
 * recorder.c - the queries of a sequence's last tokens, layer by layer
 */
#include "recorder.h"

#include "support.h"

#include <stdlib.h>
#include <string.h>

recorder recorder_make(const model *m, uint32_t capacity)
{
    recorder r = {
        .n_layers = m->n_layers,
        .capacity = capacity,
        .row_size = m->n_heads * m->head_dim,
    };

    r.first = take(m->n_layers, sizeof *r.first);
    r.n = take(m->n_layers, sizeof *r.n);
    r.queries = take(times(times(m->n_layers, capacity), r.row_size),
                     sizeof *r.queries);
    return r;
}

void recorder_free(recorder *r)
{
    free(r->queries);
    free(r->n);
    free(r->first);
    *r = (recorder){0};
}

void recorder_cut(recorder *r, uint32_t n)
{
    for (uint32_t l = 0; l < r->n_layers; ++l)
        r->n[l] = r->n[l] < n ? r->n[l] : n;
}

void recorder_watch(void *context, const attention_seen *seen)
{
    recorder *r = context;
    const uint32_t layer = seen->layer;
    const size_t row = r->row_size * sizeof *r->queries;
    float *queries = r->queries + (size_t)layer * r->capacity * r->row_size;
    /* Of the chunk the last rows that fit, of the old ones what is left. */
    const uint32_t skip =
        seen->n_queries > r->capacity ? seen->n_queries - r->capacity : 0;
    const uint32_t added = seen->n_queries - skip;
    const uint32_t room = r->capacity - added;
    const uint32_t kept = r->n[layer] < room ? r->n[layer] : room;

    memmove(queries, queries + (size_t)(r->n[layer] - kept) * r->row_size,
            kept * row);
    memcpy(queries + (size_t)kept * r->row_size,
           seen->queries + (size_t)skip * r->row_size, added * row);
    r->n[layer] = kept + added;
    r->first[layer] = seen->first + seen->n_queries - r->n[layer];
}

attention_seen recorder_view(const recorder *r, uint32_t layer, const cache *c)
{
    return (attention_seen){
        .layer = layer,
        .first = r->first[layer],
        .n_queries = r->n[layer],
        .queries = r->queries + (size_t)layer * r->capacity * r->row_size,
        .cache = c,
    };
}
