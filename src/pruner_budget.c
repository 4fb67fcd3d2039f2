/*
 * pruner_budget.c - what a plan gives each layer
 */
#include "parallel.h"
#include "pruner.h"
#include "quota.h"

/* Weight and bounds of a layer, where layers share. */
static csp_status weigh_task(void *argument, uint32_t layer, uint32_t worker)
{
    const csp_pruner *p = argument;
    const csp_config *config = &p->config;
    const csp_tokens tokens = csp__layer_tokens(p, layer);
    csp__share *share = &p->shares[layer];
    csp__units units;

    (void)worker;
    *share = (csp__share){.high = tokens.n_keys};
    if (config->layer_spread == CSP_LAYERS_PYRAMID) {
        share->weight = csp__pyramid(layer, p->n_layers, config->layer_slope);
    } else {
        const csp_importance importance = csp__layer_importance(p, layer);
        share->weight = csp__density(&importance, &tokens, config);
    }
    for (uint32_t g = 0; g < p->n_kv_heads; g++) {
        csp__units_of(tokens.counts[g], config, &units);
        const uint32_t low = units.n - (units.last - units.first) +
                             csp__quota_size(&tokens, g, config, &units);
        share->low = low > share->low ? low : share->low;
    }
    return CSP_OK;
}

csp_status csp__divide_budget(csp_pruner *pruner)
{
    uint64_t total = (uint64_t)pruner->n_layers * pruner->config.budget;
    uint64_t low = 0;
    uint64_t high = 0;

    if (pruner->config.layer_spread == CSP_LAYERS_EQUAL)
        return CSP_OK;
    csp__run_tasks(&pruner->parallel, pruner->n_layers, weigh_task, pruner);
    for (uint32_t i = 0; i < pruner->n_layers; i++) {
        low += pruner->shares[i].low;
        high += pruner->shares[i].high;
    }
    total = total < high ? total : high;
    if (low > total)
        return CSP_E_BUDGET;
    csp__apportion(pruner->shares, pruner->n_layers, total);
    return CSP_OK;
}
