/*
 * pruner_plan.c - the plan, and what carrying it out does
 */
#include <string.h>

#include "compact.h"
#include "config.h"
#include "parallel.h"
#include "pruner.h"
#include "tokens.h"
#include "workspace.h"

typedef struct select_job {
    csp_pruner *pruner;
    csp__plan *plan;
} select_job;

static bool is_global(const csp_pruner *pruner)
{
    return pruner->config.scope == CSP_GLOBAL;
}

/* Heads that csp_select sees as one array: a layer's, or all for one global
   list. */
static csp_tokens tokens_of_task(const csp_pruner *pruner, uint32_t task)
{
    csp_tokens tokens = csp__layer_tokens(pruner, task);

    if (is_global(pruner)) {
        tokens.n_kv_heads = pruner->n_layers * pruner->n_kv_heads;
        tokens.n_keys = csp__max_count(tokens.counts, tokens.n_kv_heads);
    }
    return tokens;
}

static uint32_t n_tasks(const csp_pruner *pruner)
{
    return is_global(pruner) ? 1 : pruner->n_layers;
}

/* Settings of a task: those of the pruner, with the layer's budget. */
static csp_config config_of_task(const csp_pruner *pruner, uint32_t task)
{
    if (pruner->config.layer_spread == CSP_LAYERS_EQUAL)
        return pruner->config;
    return csp__with_budget(&pruner->config, pruner->shares[task].rows);
}

static csp_status select_task(void *argument, uint32_t task, uint32_t worker)
{
    const select_job *j = argument;
    const csp_pruner *p = j->pruner;
    const csp_tokens tokens = tokens_of_task(p, task);
    const csp_importance importance = csp__layer_importance(p, task);
    const csp_config config = config_of_task(p, task);
    const csp_kept kept = csp__plan_kept(j->plan, task);

    return csp_select(&importance, &tokens, &config,
                      csp__worker_memory(p, worker), p->worker_size, &kept);
}

static void carve_plan(csp__plan *plan, csp__arena *arena)
{
    csp_kept *kept = &plan->kept;

    kept->rows =
        csp__arena_take(arena, kept->n_lists, kept->capacity, sizeof(uint32_t));
    kept->counts = csp__arena_take(arena, 1, kept->n_lists, sizeof(uint32_t));
    kept->n_both = csp__arena_take(arena, 1, kept->n_lists, sizeof(uint32_t));
    kept->reasons = csp__arena_take(arena, kept->n_lists, kept->capacity, 1);
}

static csp_status allocate_plan(const csp_pruner *pruner, uint32_t capacity,
                                csp__plan *plan)
{
    csp__arena arena = {0};
    const uint32_t per_layer =
        pruner->config.scope == CSP_PER_HEAD ? pruner->n_kv_heads : 1;

    *plan = (csp__plan){.lists_per_layer = is_global(pruner) ? 0 : per_layer};
    plan->kept.n_lists = is_global(pruner) ? 1 : per_layer * pruner->n_layers;
    plan->kept.capacity = capacity;
    carve_plan(plan, &arena);
    size_t size = csp__arena_size(&arena);
    if (size == 0)
        return CSP_E_OVERFLOW;
    plan->memory = csp__allocate(pruner, size);
    if (plan->memory == NULL)
        return CSP_E_MEMORY;
    arena = csp__arena_over(plan->memory);
    carve_plan(plan, &arena);
    return CSP_OK;
}

/* Whether a list can be shared: row i holds the same token in every head of
   the 'n_heads' from 'head' on.  Unequal counts are csp_select's to refuse. */
static bool hold_the_same(const csp_pruner *pruner, size_t head, size_t n_heads)
{
    const size_t capacity = pruner->store.capacity;
    const uint32_t count = pruner->counts[head];

    for (size_t g = head + 1; g < head + n_heads; g++)
        if (pruner->counts[g] != count)
            return true;
    for (size_t g = head + 1; g < head + n_heads && count > 0; g++)
        if (memcmp(pruner->store.positions + g * capacity,
                   pruner->store.positions + head * capacity,
                   count * sizeof(uint32_t)) != 0)
            return false;
    return true;
}

/* Layers must have come equally far, with value norms where these are to
   weigh, and heads that share a list must hold the same tokens. */
static csp_status check_layers(const csp_pruner *pruner)
{
    const csp_scope scope = pruner->config.scope;
    const size_t sharing = scope == CSP_PER_HEAD
                               ? 1
                               : (size_t)pruner->n_kv_heads *
                                     (is_global(pruner) ? pruner->n_layers : 1);
    const size_t n_heads = (size_t)pruner->n_kv_heads * pruner->n_layers;

    for (uint32_t i = 0; i < pruner->n_layers; i++) {
        const csp__layer *layer = &pruner->layers[i];
        if (layer->n_tokens != pruner->layers[0].n_tokens ||
            (pruner->config.weigh_values && !layer->has_values &&
             layer->n_tokens > 0))
            return CSP_E_STATE;
    }
    for (size_t head = 0; head < n_heads; head += sharing)
        if (!hold_the_same(pruner, head, sharing))
            return CSP_E_STATE;
    return CSP_OK;
}

/* The largest task sets the size of lists and of scratch. */
static csp_status measure(const csp_pruner *pruner, size_t *size,
                          uint32_t *capacity)
{
    *size = 0;
    *capacity = 0;
    for (uint32_t task = 0; task < n_tasks(pruner); task++) {
        const csp_tokens tokens = tokens_of_task(pruner, task);
        const csp_config config = config_of_task(pruner, task);
        const size_t needed = csp_select_workspace_size(&tokens, &config);
        const uint32_t bound = csp_kept_bound(&tokens, &config);
        if (needed == 0)
            return CSP_E_OVERFLOW;
        *size = needed > *size ? needed : *size;
        *capacity = bound > *capacity ? bound : *capacity;
    }
    return CSP_OK;
}

csp_status csp_pruner_plan(csp_pruner *pruner)
{
    csp__plan plan;
    size_t size;
    uint32_t capacity;

    if (pruner == NULL)
        return CSP_E_NULL;
    csp_status status = check_layers(pruner);
    if (status != CSP_OK || (status = csp__divide_budget(pruner)) != CSP_OK ||
        (status = measure(pruner, &size, &capacity)) != CSP_OK ||
        (status = csp__workspace_grow(pruner, size)) != CSP_OK ||
        (status = allocate_plan(pruner, capacity, &plan)) != CSP_OK)
        return status;
    select_job j = {.pruner = pruner, .plan = &plan};
    status =
        csp__run_tasks(&pruner->parallel, n_tasks(pruner), select_task, &j);
    if (status != CSP_OK) {
        csp__deallocate(pruner, plan.memory);
        return status;
    }
    csp__plan_drop(pruner);
    pruner->plan = plan;
    return CSP_OK;
}

csp_status csp_pruner_kept(const csp_pruner *pruner, uint32_t layer,
                           csp_kept *kept)
{
    if (pruner == NULL || kept == NULL)
        return CSP_E_NULL;
    if (layer >= pruner->n_layers)
        return CSP_E_SHAPE;
    if (pruner->plan.memory == NULL)
        return CSP_E_STATE;
    *kept = csp__plan_kept(&pruner->plan, layer);
    return CSP_OK;
}

typedef struct move_job {
    const csp_pruner *pruner;
    const csp__kernels *kernels;
    const csp_cells *caches;
    const csp_cells *dst;
    uint32_t n_views;
} move_job;

static const csp_cells *nth(const csp_cells *cells, size_t i)
{
    return cells != NULL ? cells + i : NULL;
}

static csp_status check_caches(const move_job *j)
{
    const size_t n = (size_t)j->pruner->n_layers * j->n_views;

    for (size_t i = 0; i < n; i++) {
        const csp_kept kept =
            csp__plan_kept(&j->pruner->plan, (uint32_t)(i / j->n_views));
        csp_status status =
            csp__check_compact(j->caches + i, &kept, nth(j->dst, i));
        if (status != CSP_OK)
            return status;
    }
    return csp__check_apart(j->caches, n, j->dst);
}

static csp_status move_task(void *argument, uint32_t i, uint32_t worker)
{
    const move_job *j = argument;
    const csp_kept kept = csp__plan_kept(&j->pruner->plan, i / j->n_views);

    (void)worker;
    csp__move(j->kernels, j->caches + i, &kept, nth(j->dst, i));
    return CSP_OK;
}

static void keep_floats(float *x, const uint32_t *rows, uint32_t n,
                        float factor)
{
    for (uint32_t i = 0; i < n; i++)
        x[i] = x[rows[i]] * factor;
}

/* Importance and positions of one layer follow its cache. */
static void carry_over(csp_pruner *pruner, uint32_t layer)
{
    const csp_kept kept = csp__plan_kept(&pruner->plan, layer);
    const csp_importance importance = csp__layer_importance(pruner, layer);
    const float decay = (float)pruner->config.decay;

    for (uint32_t g = 0; g < pruner->n_kv_heads; g++) {
        const size_t head = (size_t)layer * pruner->n_kv_heads + g;
        const size_t at = (size_t)g * importance.capacity;
        const uint32_t *rows = csp__kept_rows(&kept, g);
        const uint32_t n = kept.counts[csp__list(&kept, g)];
        uint32_t *positions =
            pruner->store.positions + head * pruner->store.capacity;
        keep_floats(importance.intra + at, rows, n, decay);
        keep_floats(importance.inter + at, rows, n, decay);
        keep_floats(importance.intra_rows + at, rows, n, decay);
        keep_floats(importance.inter_rows + at, rows, n, decay);
        keep_floats(importance.value_norm + at, rows, n, 1.0f);
        for (uint32_t i = 0; i < n; i++)
            positions[i] = positions[rows[i]];
        pruner->counts[head] = n;
    }
}

csp_status csp_pruner_apply(csp_pruner *pruner, const csp_cells *caches,
                            uint32_t n_views, const csp_cells *dst)
{
    csp__kernels kernels;

    if (pruner == NULL || (caches == NULL && n_views > 0))
        return CSP_E_NULL;
    if (pruner->plan.memory == NULL)
        return CSP_E_STATE;
    if ((uint64_t)pruner->n_layers * n_views > UINT32_MAX)
        return CSP_E_OVERFLOW;
    move_job j = {.pruner = pruner,
                  .kernels = &kernels,
                  .caches = caches,
                  .dst = dst,
                  .n_views = n_views};
    if (n_views > 0) {
        csp_status status = check_caches(&j);
        if (status != CSP_OK)
            return status;
        csp__kernels_choose(&pruner->config.compute, &kernels);
        csp__run_tasks(&pruner->parallel, pruner->n_layers * n_views, move_task,
                       &j);
    }
    for (uint32_t layer = 0;
         layer < pruner->n_layers && pruner->store.memory != NULL; layer++)
        carry_over(pruner, layer);
    csp__plan_drop(pruner);
    return CSP_OK;
}
