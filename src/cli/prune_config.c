/*
 * prune_config.c - settings of the library from options
 *
 * A preset fills them first, options go over it.  Without one they are plain.
 */
#include "prune_options.h"

/* Whether lists have lengths of their own, rather than shares of a budget. */
static bool has_lists(const csp_config *config)
{
    return config->selection != CSP_EXACT;
}

static outcome start(const prune_options *o, uint32_t n_keys,
                     csp_config *config)
{
    if (!o->given[OPTION_PRESET]) {
        csp_config_init(config);
        config->budget = amount_of(&o->budget, n_keys);
        return DONE;
    }
    if (!o->given[OPTION_BUDGET])
        return fail(BAD_USAGE, "--preset needs a --budget");
    const uint32_t budget = amount_of(&o->budget, n_keys);
    const csp_status status =
        csp_config_preset((csp_preset)o->preset, n_keys,
                          budget < n_keys ? budget : n_keys, config);
    return status == CSP_OK ? DONE
                            : fail(BAD_USAGE, "--preset %s: %s",
                                   prune_choice_name(OPTION_PRESET, o->preset),
                                   csp_status_string(status));
}

/* What stands for itself. */
static void override(const prune_options *o, uint32_t n_keys,
                     csp_config *config)
{
    const bool *given = o->given;

    config->compute.tier = (csp_tier)o->tier;
    if (given[OPTION_N])
        config->n = o->n;
    if (given[OPTION_SINKS])
        config->sinks = o->sinks;
    if (given[OPTION_RECENT])
        config->recent = amount_of(&o->recent, n_keys);
    if (given[OPTION_SELECT])
        config->selection = (csp_selection)o->select;
    if (given[OPTION_SCOPE])
        config->scope = (csp_scope)o->scope;
    if (given[OPTION_BLOCK])
        config->block = o->block;
    if (given[OPTION_POOL]) {
        config->pooling = (csp_pooling)o->pooling;
        config->pool_width = o->pool_width;
    }
    if (given[OPTION_WEIGHTS]) {
        config->weigh_values = o->weigh_values;
        config->center_values = o->center_values;
        config->weigh_rows = o->weigh_rows;
    }
}

/* Tokens that the budget leaves beside protected ones. */
static uint32_t rest_of(const csp_config *config)
{
    const uint64_t protected_rows = (uint64_t)config->sinks + config->recent;

    return config->budget > protected_rows
               ? config->budget - (uint32_t)protected_rows
               : 0;
}

/* The two lists: as given, or shares of what the budget leaves. */
static void set_lists(const prune_options *o, csp_config *config)
{
    const bool *given = o->given;
    const uint32_t rest = rest_of(config);

    if (given[OPTION_INTRA] || given[OPTION_INTER]) {
        config->auto_share = false;
        if (given[OPTION_INTER])
            config->n_inter = o->inter;
        if (given[OPTION_INTRA])
            config->n_intra = o->intra;
    } else if (given[OPTION_INTER_SHARE]) {
        config->auto_share = o->auto_share;
        config->n_inter =
            o->auto_share ? 0 : fraction_of(&o->inter_share, rest);
        config->n_intra = CSP_REST;
    }
    if (has_lists(config) && config->n_intra == CSP_REST)
        config->n_intra = rest > config->n_inter ? rest - config->n_inter : 0;
}

static outcome check(const prune_options *o, const csp_config *config)
{
    const bool *given = o->given;

    if (!given[OPTION_BUDGET] && !has_lists(config))
        return fail(BAD_USAGE, "expected a --budget");
    if (!given[OPTION_BUDGET] && !given[OPTION_INTRA])
        return fail(BAD_USAGE,
                    "--select %s: expected the lengths of both lists, --intra"
                    " and --inter, or a --budget",
                    prune_choice_name(OPTION_SELECT, (int)config->selection));
    if (config->weigh_values && o->values == NULL)
        return fail(BAD_USAGE,
                    "weights by values need --values; --weights none is"
                    " without");
    if (config->n > 0.0 && o->kind == CSP_PROBABILITIES && o->lse == NULL)
        return fail(BAD_USAGE,
                    "probabilities of an n-softmax need --lse; --n 0 takes them"
                    " as they are");
    return DONE;
}

static outcome check_budget(const csp_config *config)
{
    uint64_t needed = (uint64_t)config->sinks + config->recent;

    if (has_lists(config))
        return DONE;
    if (needed > config->budget)
        return fail(BAD_USAGE,
                    "a budget of %u tokens is below %u sinks and %u recent"
                    " tokens",
                    config->budget, config->sinks, config->recent);
    needed += config->n_inter;
    needed += config->n_intra != CSP_REST ? config->n_intra : 0;
    if (needed > config->budget)
        return fail(BAD_USAGE,
                    "a budget of %u tokens is below %u sinks, %u recent tokens"
                    " and lists of %u and %u",
                    config->budget, config->sinks, config->recent,
                    config->n_intra != CSP_REST ? config->n_intra : 0,
                    config->n_inter);
    return DONE;
}

outcome prune_options_config(const prune_options *o, uint32_t n_keys,
                             csp_config *config)
{
    outcome result = start(o, n_keys, config);

    if (result != DONE)
        return result;
    override(o, n_keys, config);
    set_lists(o, config);
    if ((result = check(o, config)) != DONE)
        return result;
    if (!csp_has_tier(config->compute.tier))
        return fail(BAD_USAGE, "--tier %s: not on this CPU",
                    prune_choice_name(OPTION_TIER, o->tier));
    return check_budget(config);
}
