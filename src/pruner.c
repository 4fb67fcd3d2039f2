/*
 * pruner.c - the pruner object: memory, settings, views
 *
 * All arrays over cached rows lie in one block that grows by half, so a
 * growing cache costs a few allocations in all, and running out of memory
 * leaves the old block as it was.
 */
#include "pruner.h"

#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "tokens.h"
#include "workspace.h"

static void *allocate_by_malloc(void *context, size_t size)
{
    (void)context;
    return malloc(size);
}

static void deallocate_by_free(void *context, void *memory)
{
    (void)context;
    free(memory);
}

void *csp__allocate(const csp_pruner *pruner, size_t size)
{
    return pruner->allocator.allocate(pruner->allocator.context, size);
}

void csp__deallocate(const csp_pruner *pruner, void *memory)
{
    if (memory != NULL)
        pruner->allocator.deallocate(pruner->allocator.context, memory);
}

static csp_importance carve_importance(csp__arena *arena, size_t n_heads,
                                       uint32_t capacity)
{
    csp_importance importance = {.capacity = capacity};

    importance.intra = csp__arena_take(arena, n_heads, capacity, sizeof(float));
    importance.inter = csp__arena_take(arena, n_heads, capacity, sizeof(float));
    importance.intra_rows =
        csp__arena_take(arena, n_heads, capacity, sizeof(float));
    importance.inter_rows =
        csp__arena_take(arena, n_heads, capacity, sizeof(float));
    return importance;
}

static void carve_store(const csp_pruner *pruner, csp__store *store,
                        csp__arena *arena)
{
    size_t n_heads = (size_t)pruner->n_layers * pruner->n_kv_heads;
    uint32_t capacity = store->capacity;

    store->importance = carve_importance(arena, n_heads, capacity);
    store->importance.value_norm =
        csp__arena_take(arena, n_heads, capacity, sizeof(float));
    store->spare = carve_importance(arena, pruner->n_kv_heads, capacity);
    store->positions =
        csp__arena_take(arena, n_heads, capacity, sizeof(uint32_t));
}

/* Copy each head's rows to an array of another capacity; elements are 4
   bytes. */
static void copy_rows(const csp_pruner *pruner, const void *from,
                      uint32_t from_capacity, void *to, uint32_t to_capacity)
{
    size_t n_heads = (size_t)pruner->n_layers * pruner->n_kv_heads;

    for (size_t g = 0; g < n_heads; g++)
        memcpy((unsigned char *)to + g * to_capacity * 4,
               (const unsigned char *)from + g * from_capacity * 4,
               (size_t)pruner->counts[g] * 4);
}

static void copy_store(const csp_pruner *pruner, const csp__store *from,
                       csp__store *to)
{
    const csp_importance *a = &from->importance;
    const csp_importance *b = &to->importance;

    copy_rows(pruner, a->intra, a->capacity, b->intra, b->capacity);
    copy_rows(pruner, a->inter, a->capacity, b->inter, b->capacity);
    copy_rows(pruner, a->intra_rows, a->capacity, b->intra_rows, b->capacity);
    copy_rows(pruner, a->inter_rows, a->capacity, b->inter_rows, b->capacity);
    copy_rows(pruner, a->value_norm, a->capacity, b->value_norm, b->capacity);
    copy_rows(pruner, from->positions, from->capacity, to->positions,
              to->capacity);
}

csp_status csp__store_grow(const csp_pruner *pruner, uint32_t capacity,
                           csp__store *store)
{
    csp__arena arena = {0};

    *store = pruner->store;
    if (capacity <= store->capacity)
        return CSP_OK;
    store->capacity += store->capacity / 2;
    if (store->capacity < capacity)
        store->capacity = capacity;
    carve_store(pruner, store, &arena);
    const size_t size = csp__arena_size(&arena);
    if (size == 0)
        return CSP_E_OVERFLOW;
    store->memory = csp__allocate(pruner, size);
    if (store->memory == NULL)
        return CSP_E_MEMORY;
    arena = csp__arena_over(store->memory);
    carve_store(pruner, store, &arena);
    if (pruner->store.memory != NULL)
        copy_store(pruner, &pruner->store, store);
    return CSP_OK;
}

void csp__store_take(csp_pruner *pruner, const csp__store *store)
{
    if (store->memory != pruner->store.memory)
        csp__deallocate(pruner, pruner->store.memory);
    pruner->store = *store;
}

void csp__store_drop(const csp_pruner *pruner, const csp__store *store)
{
    if (store->memory != pruner->store.memory)
        csp__deallocate(pruner, store->memory);
}

csp_status csp__workspace_grow(csp_pruner *pruner, size_t size)
{
    size_t total;

    if (size == 0)
        return CSP_E_OVERFLOW; /* views have been checked: only this is left */
    if (size <= pruner->worker_size)
        return CSP_OK;
    if (size < pruner->worker_size + pruner->worker_size / 2)
        size = pruner->worker_size + pruner->worker_size / 2;
    if (!csp__mul(size, pruner->parallel.n_workers, &total))
        return CSP_E_OVERFLOW;
    void *memory = csp__allocate(pruner, total);
    if (memory == NULL)
        return CSP_E_MEMORY;
    csp__deallocate(pruner, pruner->workspace);
    pruner->workspace = memory;
    pruner->worker_size = size;
    return CSP_OK;
}

void csp__plan_drop(csp_pruner *pruner)
{
    csp__deallocate(pruner, pruner->plan.memory);
    pruner->plan = (csp__plan){0};
}

uint32_t csp__max_count(const uint32_t *counts, uint32_t n_kv_heads)
{
    uint32_t max = 0;

    for (uint32_t g = 0; g < n_kv_heads; g++)
        max = counts[g] > max ? counts[g] : max;
    return max;
}

csp_tokens csp__layer_tokens(const csp_pruner *pruner, uint32_t layer)
{
    const size_t head = (size_t)layer * pruner->n_kv_heads;
    const uint32_t *counts = pruner->counts + head;

    return (csp_tokens){
        .n_kv_heads = pruner->n_kv_heads,
        .n_keys = csp__max_count(counts, pruner->n_kv_heads),
        .counts = counts,
        .spans = pruner->spans,
        .n_spans = pruner->n_spans,
        .n_tokens = UINT32_MAX,
        .positions =
            pruner->store.positions != NULL
                ? pruner->store.positions + head * pruner->store.capacity
                : NULL,
        .capacity = pruner->store.capacity,
    };
}

csp_importance csp__layer_importance(const csp_pruner *pruner, uint32_t layer)
{
    csp_importance importance = pruner->store.importance;
    const size_t at =
        (size_t)layer * pruner->n_kv_heads * pruner->store.capacity;

    if (importance.capacity == 0)
        return importance;
    importance.intra += at;
    importance.inter += at;
    importance.intra_rows += at;
    importance.inter_rows += at;
    importance.value_norm += at;
    return importance;
}

csp_kept csp__plan_kept(const csp__plan *plan, uint32_t layer)
{
    const size_t list = (size_t)layer * plan->lists_per_layer;
    csp_kept kept = plan->kept;

    kept.rows += list * kept.capacity;
    kept.counts += list;
    kept.n_both += list;
    kept.reasons += list * kept.capacity;
    kept.n_lists = plan->lists_per_layer != 0 ? plan->lists_per_layer : 1;
    return kept;
}

static csp_status check_settings(const csp_config *config)
{
    csp_status status = csp__check_voting(config);

    if (status != CSP_OK)
        return status;
    if (!(config->decay >= 0.0 && config->decay <= 1.0))
        return CSP_E_CONFIG;
    status = csp__check_layers(config);
    if (status != CSP_OK)
        return status;
    return csp__check_selection(config);
}

static csp_status check_hooks(const csp_allocator *allocator,
                              const csp_parallel *parallel)
{
    if (allocator != NULL &&
        (allocator->allocate == NULL || allocator->deallocate == NULL))
        return CSP_E_NULL;
    if (parallel == NULL)
        return CSP_OK;
    if (parallel->run == NULL)
        return CSP_E_NULL;
    return parallel->n_workers == 0 ? CSP_E_SHAPE : CSP_OK;
}

/* The object and its arrays of fixed size, one block. */
static void *carve_pruner(csp__arena *arena, csp_pruner *pruner)
{
    void *self = csp__arena_take(arena, 1, 1, sizeof *pruner);

    pruner->layers =
        csp__arena_take(arena, 1, pruner->n_layers, sizeof *pruner->layers);
    pruner->counts = csp__arena_take(
        arena, pruner->n_layers, pruner->n_kv_heads, sizeof *pruner->counts);
    pruner->next_counts = csp__arena_take(arena, 1, pruner->n_kv_heads,
                                          sizeof *pruner->next_counts);
    pruner->shares =
        csp__arena_take(arena, 1, pruner->n_layers, sizeof *pruner->shares);
    return self;
}

csp_status csp_pruner_create(uint32_t n_layers, uint32_t n_kv_heads,
                             const csp_config *config,
                             const csp_allocator *allocator,
                             const csp_parallel *parallel, csp_pruner **pruner)
{
    csp_pruner self = {
        .allocator = {NULL, allocate_by_malloc, deallocate_by_free},
        .parallel = {NULL, 1, NULL},
        .n_layers = n_layers,
        .n_kv_heads = n_kv_heads,
    };
    csp__arena arena = {0};

    if (pruner == NULL)
        return CSP_E_NULL;
    csp_status status = check_settings(config);
    if (status != CSP_OK)
        return status;
    if ((status = check_hooks(allocator, parallel)) != CSP_OK)
        return status;
    if (n_layers == 0 || n_kv_heads == 0)
        return CSP_E_SHAPE;
    carve_pruner(&arena, &self);
    size_t size = csp__arena_size(&arena);
    if ((uint64_t)n_layers * n_kv_heads > UINT32_MAX || size == 0)
        return CSP_E_OVERFLOW;
    self.config = *config;
    if (allocator != NULL)
        self.allocator = *allocator;
    if (parallel != NULL)
        self.parallel = *parallel;

    void *memory = csp__allocate(&self, size);
    if (memory == NULL)
        return CSP_E_MEMORY;
    arena = csp__arena_over(memory);
    csp_pruner *created = carve_pruner(&arena, &self);
    *created = self;
    created->self_memory = memory;
    memset(created->layers, 0, n_layers * sizeof *created->layers);
    memset(created->counts, 0,
           (size_t)n_layers * n_kv_heads * sizeof *created->counts);
    *pruner = created;
    return CSP_OK;
}

void csp_pruner_destroy(csp_pruner *pruner)
{
    if (pruner == NULL)
        return;
    csp_pruner self = *pruner;
    csp__deallocate(&self, self.plan.memory);
    csp__deallocate(&self, self.workspace);
    csp__deallocate(&self, self.store.memory);
    csp__deallocate(&self, self.spans);
    csp__deallocate(&self, self.self_memory);
}

csp_status csp_pruner_reset(csp_pruner *pruner)
{
    if (pruner == NULL)
        return CSP_E_NULL;
    csp__plan_drop(pruner);
    csp__deallocate(pruner, pruner->spans);
    pruner->spans = NULL;
    pruner->n_spans = 0;
    memset(pruner->layers, 0, pruner->n_layers * sizeof *pruner->layers);
    memset(pruner->counts, 0,
           (size_t)pruner->n_layers * pruner->n_kv_heads *
               sizeof *pruner->counts);
    return CSP_OK;
}

csp_status csp_pruner_configure(csp_pruner *pruner, const csp_config *config)
{
    if (pruner == NULL)
        return CSP_E_NULL;
    csp_status status = check_settings(config);
    if (status != CSP_OK)
        return status;
    csp__plan_drop(pruner);
    if (config->center_values != pruner->config.center_values)
        for (uint32_t i = 0; i < pruner->n_layers; i++)
            pruner->layers[i].has_values = false;
    pruner->config = *config;
    return CSP_OK;
}

csp_status csp_pruner_set_spans(csp_pruner *pruner, const csp_span *spans,
                                uint32_t n_spans)
{
    csp_span *copy = NULL;
    size_t size;

    if (pruner == NULL)
        return CSP_E_NULL;
    csp_status status = csp__check_spans(spans, n_spans, UINT32_MAX);
    if (status != CSP_OK)
        return status;
    if (n_spans > 0) {
        if (!csp__mul(n_spans, sizeof *copy, &size))
            return CSP_E_OVERFLOW;
        copy = csp__allocate(pruner, size);
        if (copy == NULL)
            return CSP_E_MEMORY;
        memcpy(copy, spans, size);
    }
    csp__deallocate(pruner, pruner->spans);
    pruner->spans = copy;
    pruner->n_spans = n_spans;
    return CSP_OK;
}

csp_status csp_pruner_tokens(const csp_pruner *pruner, uint32_t layer,
                             csp_tokens *tokens)
{
    if (pruner == NULL || tokens == NULL)
        return CSP_E_NULL;
    if (layer >= pruner->n_layers)
        return CSP_E_SHAPE;
    *tokens = csp__layer_tokens(pruner, layer);
    return CSP_OK;
}

csp_status csp_pruner_importance(const csp_pruner *pruner, uint32_t layer,
                                 csp_importance *importance)
{
    if (pruner == NULL || importance == NULL)
        return CSP_E_NULL;
    if (layer >= pruner->n_layers)
        return CSP_E_SHAPE;
    *importance = csp__layer_importance(pruner, layer);
    if (!pruner->layers[layer].has_values)
        importance->value_norm = NULL;
    return CSP_OK;
}
