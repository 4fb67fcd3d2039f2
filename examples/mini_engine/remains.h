/*
 * remains.h - a cache's remains as the library's structs
 */
#ifndef REMAINS_H
#define REMAINS_H

#include "cache.h"
#include "csp.h"

static inline csp_summary remains_summary(const cache *c, uint32_t layer)
{
    const remains *r = &c->remains;
    const size_t head = (size_t)layer * c->n_kv_heads;

    return (csp_summary){
        .keys = r->keys + head * (1 + 2 * (size_t)r->rank) * c->head_dim,
        .values = r->values + head * (1 + (size_t)r->rank) * c->head_dim,
        .log_count = r->log_count + head,
        .variance = r->variance + head,
        .dtype = CSP_F32,
        .n_kv_heads = c->n_kv_heads,
        .key_dim = c->head_dim,
        .value_dim = c->head_dim,
        .rank = r->rank,
    };
}

static inline csp_fit remains_fit(const cache *c, uint32_t layer)
{
    const remains *r = &c->remains;
    const size_t head = (size_t)layer * c->n_heads;

    return (csp_fit){.offset = r->offset + head,
                     .slope = r->slope + head,
                     .limit = r->limit + head};
}

#endif /* REMAINS_H */
