/*
 * pruner.h - the pruner's state, shared by its source files
 */
#ifndef CSP_PRUNER_H
#define CSP_PRUNER_H

#include "csp.h"
#include "layers.h"

/*
 * What is known of every cached row, arrays [n_layers * n_kv_heads][capacity].
 * Rows from a head's count on hold nothing.
 */
typedef struct csp__store {
    void *memory;
    uint32_t capacity;
    csp_importance importance;
    csp_importance spare; /* [n_kv_heads][capacity] a chunk's, till it is in */
    uint32_t *positions;
} csp__store;

typedef struct csp__plan {
    void *memory;             /* NULL: no plan */
    csp_kept kept;            /* lists of all layers, or the one of all */
    uint32_t lists_per_layer; /* 0: one list for all layers */
} csp__plan;

typedef struct csp__layer {
    uint32_t n_tokens; /* of the sequence, seen so far */
    bool has_values;   /* value norms are those of every cached row */
} csp__layer;

struct csp_pruner {
    void *self_memory; /* as allocated; the object lies aligned in it */
    csp_allocator allocator;
    csp_parallel parallel;
    csp_config config;
    uint32_t n_layers;
    uint32_t n_kv_heads;
    csp__layer *layers;    /* [n_layers] */
    uint32_t *counts;      /* [n_layers][n_kv_heads] cached rows */
    uint32_t *next_counts; /* [n_kv_heads] while a chunk is scored */
    csp__share *shares;    /* [n_layers] while a plan is made */
    csp_span *spans;
    uint32_t n_spans;
    csp__store store;
    csp__plan plan;
    void *workspace; /* [n_workers][worker_size] */
    size_t worker_size;
};

void *csp__allocate(const csp_pruner *pruner, size_t size);
void csp__deallocate(const csp_pruner *pruner, void *memory);

/*
 * A store with room for 'capacity' rows a head: the pruner's own, or a larger
 * copy of it, which the pruner takes over with csp__store_take, or which goes
 * with csp__store_drop.
 */
csp_status csp__store_grow(const csp_pruner *pruner, uint32_t capacity,
                           csp__store *store);
void csp__store_take(csp_pruner *pruner, const csp__store *store);
void csp__store_drop(const csp_pruner *pruner, const csp__store *store);

/* Make sure each worker has 'size' bytes. */
csp_status csp__workspace_grow(csp_pruner *pruner, size_t size);

static inline void *csp__worker_memory(const csp_pruner *pruner,
                                       uint32_t worker)
{
    return (unsigned char *)pruner->workspace + worker * pruner->worker_size;
}

/* Set the rows of pruner->shares by config.layer_spread; they stay as they are
   with CSP_LAYERS_EQUAL.  CSP_E_BUDGET if layers need more than there is. */
csp_status csp__divide_budget(csp_pruner *pruner);

void csp__plan_drop(csp_pruner *pruner);

/* Largest of a layer's counts. */
uint32_t csp__max_count(const uint32_t *counts, uint32_t n_kv_heads);

/* Views of a layer, which must exist. */
csp_tokens csp__layer_tokens(const csp_pruner *pruner, uint32_t layer);
csp_importance csp__layer_importance(const csp_pruner *pruner, uint32_t layer);

/* A layer's lists, or the one of all. */
csp_kept csp__plan_kept(const csp__plan *plan, uint32_t layer);

#endif
