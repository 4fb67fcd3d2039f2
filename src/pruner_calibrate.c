/*
 * pruner_calibrate.c - what a plan drops, before it is applied
 *
 * Heads add to sums of the pruner's own, which reach the caller's when all
 * have succeeded.
 */
#include <string.h>

#include "calibrate.h"
#include "parallel.h"
#include "pruner.h"
#include "slices.h"
#include "tokens.h"

typedef struct job {
    const csp_pruner *pruner;
    const csp__window *window;
    csp_kept kept;
    const csp_tensor *values;
    csp_calibration sums;
} job;

static csp_calibration slice_sums(csp_calibration sums, uint32_t begin,
                                  uint32_t n_heads)
{
    sums.log_mass += begin;
    sums.rows += begin;
    if (sums.value != NULL)
        sums.value += (size_t)begin * sums.value_dim;
    sums.n_heads = n_heads;
    return sums;
}

static csp_status calibrate_head(void *argument, uint32_t g, uint32_t worker)
{
    const job *j = argument;
    const csp_pruner *p = j->pruner;
    const uint32_t group = j->window->group;
    const csp_attention attention = csp__slice_attention(j->window, g);
    const csp_tokens tokens = csp__slice_tokens(*j->window->tokens, g);
    const csp_kept kept = csp__slice_kept(j->kept, g);
    const csp_calibration sums = slice_sums(j->sums, g * group, group);
    csp_tensor values = {0};

    if (j->values != NULL)
        values = csp__slice_heads(*j->values, g, 1);
    return csp_calibrate(&attention, &tokens, &kept,
                         j->values != NULL ? &values : NULL, &p->config.compute,
                         csp__worker_memory(p, worker), p->worker_size, &sums);
}

/* With views checked and room for every worker: run the heads. */
static csp_status run(csp_pruner *pruner, job *j, const csp_calibration *sums)
{
    csp__arena arena = {0};

    csp__sums_carve(&j->sums, sums, &arena);
    const size_t size = csp__arena_size(&arena);
    if (size == 0)
        return CSP_E_OVERFLOW;
    void *memory = csp__allocate(pruner, size);
    if (memory == NULL)
        return CSP_E_MEMORY;
    memset(memory, 0, size);
    arena = csp__arena_over(memory);
    csp__sums_carve(&j->sums, sums, &arena);
    csp_status status = csp__run_tasks(&pruner->parallel, pruner->n_kv_heads,
                                       calibrate_head, j);
    if (status == CSP_OK)
        csp__sums_add(&j->sums, sums);
    csp__deallocate(pruner, memory);
    return status;
}

csp_status csp_pruner_calibrate(csp_pruner *pruner, uint32_t layer,
                                const csp_attention *attention,
                                const csp_tensor *values,
                                const csp_calibration *sums)
{
    csp__window window;
    csp_tensor used;

    if (pruner == NULL || attention == NULL || sums == NULL)
        return CSP_E_NULL;
    if (layer >= pruner->n_layers)
        return CSP_E_SHAPE;
    if (pruner->plan.memory == NULL)
        return CSP_E_STATE;
    const csp_tokens tokens = csp__layer_tokens(pruner, layer);
    csp_status status = csp__check_window(attention, &tokens, false, &window);
    if (status != CSP_OK)
        return status;
    status = csp__check_sums(&window, values, sums, &used);
    if (status != CSP_OK)
        return status;
    if (tokens.n_keys == 0)
        return CSP_OK;

    const csp_attention first = csp__slice_attention(&window, 0);
    const csp_tokens first_tokens = csp__slice_tokens(tokens, 0);
    status = csp__workspace_grow(
        pruner,
        csp_calibrate_workspace_size(&first, &first_tokens,
                                     values != NULL ? sums->value_dim : 0));
    if (status != CSP_OK)
        return status;
    job j = {.pruner = pruner,
             .window = &window,
             .kept = csp__plan_kept(&pruner->plan, layer),
             .values = values != NULL ? &used : NULL};
    return run(pruner, &j, sums);
}
