/*
 * config.c - settings: checks, initial values, presets, counts from ratios
 */
#include "config.h"

#include <float.h>

#include "numeric.h"

/* NaN fails both comparisons. */
static bool in_range(double x, double low, double high)
{
    return x >= low && x <= high;
}

csp_status csp__check_config(const csp_config *config)
{
    if (config == NULL)
        return CSP_E_NULL;
    return config->struct_size == sizeof *config ? CSP_OK : CSP_E_CONFIG;
}

csp_status csp__check_voting(const csp_config *config)
{
    csp_status status = csp__check_config(config);

    if (status != CSP_OK)
        return status;
    if (!in_range(config->n, 0.0, DBL_MAX))
        return CSP_E_CONFIG;
    return csp__check_compute(&config->compute);
}

static csp_status check_counts(const csp_config *config)
{
    uint64_t protected_rows = (uint64_t)config->sinks + config->recent;

    if (config->selection != CSP_EXACT)
        return config->n_intra == CSP_REST || config->n_inter == CSP_REST
                   ? CSP_E_CONFIG
                   : CSP_OK;
    if (protected_rows > config->budget)
        return CSP_E_BUDGET;
    uint64_t listed = config->n_intra == CSP_REST ? 0 : config->n_intra;
    if (protected_rows + listed + config->n_inter > config->budget)
        return CSP_E_BUDGET;
    return CSP_OK;
}

/* What only exact selection of single rows has. */
static csp_status check_shares(const csp_config *config)
{
    const bool rows = config->selection == CSP_EXACT && config->block == 1;

    if (!in_range(config->head_floor, 0.0, 1.0))
        return CSP_E_CONFIG;
    if (config->head_floor < 1.0 && (!rows || config->scope != CSP_PER_HEAD))
        return CSP_E_CONFIG;
    return config->span_quota == 0 || rows ? CSP_OK : CSP_E_CONFIG;
}

csp_status csp__check_selection(const csp_config *config)
{
    csp_status status = csp__check_config(config);

    if (status != CSP_OK)
        return status;
    /* As unsigned: what an enum of C may hold besides its names. */
    if ((unsigned)config->reduce > CSP_MEAN ||
        (unsigned)config->pooling > CSP_POOL_MAX ||
        (unsigned)config->selection > CSP_INTERSECTION ||
        (unsigned)config->scope > CSP_GLOBAL || config->block == 0 ||
        (config->pooling != CSP_POOL_NONE && config->pool_width % 2 == 0))
        return CSP_E_CONFIG;
    if ((status = check_shares(config)) != CSP_OK ||
        (status = check_counts(config)) != CSP_OK)
        return status;
    return csp__check_compute(&config->compute);
}

csp_status csp__check_layers(const csp_config *config)
{
    csp_status status = csp__check_config(config);

    if (status != CSP_OK)
        return status;
    if (config->layer_spread != CSP_LAYERS_EQUAL &&
        (config->selection != CSP_EXACT || config->scope == CSP_GLOBAL ||
         config->block != 1))
        return CSP_E_CONFIG;
    switch (config->layer_spread) {
    case CSP_LAYERS_EQUAL:
        return CSP_OK;
    case CSP_LAYERS_PYRAMID: /* below 1 */
        return in_range(config->layer_slope, 0.0, 1.0 - DBL_EPSILON / 2)
                   ? CSP_OK
                   : CSP_E_CONFIG;
    case CSP_LAYERS_SPARSITY:
        return in_range(config->layer_threshold, DBL_TRUE_MIN, 1.0)
                   ? CSP_OK
                   : CSP_E_CONFIG;
    }
    return CSP_E_CONFIG;
}

/* n of 'before' rows as part of 'after' rows, to the nearest. */
static uint32_t in_proportion(uint32_t n, uint64_t before, uint64_t after)
{
    return (uint32_t)((n * after + before / 2) / before);
}

csp_config csp__with_budget(const csp_config *config, uint32_t budget)
{
    const uint32_t protected_rows = config->sinks + config->recent;
    csp_config other = *config;

    other.budget = budget > protected_rows ? budget : protected_rows;
    const uint64_t before = config->budget - protected_rows;
    const uint64_t after = other.budget - protected_rows;
    if (before == 0)
        return other;
    other.n_inter = in_proportion(config->n_inter, before, after);
    if (config->n_intra != CSP_REST) {
        const uint64_t rest = after - other.n_inter;
        const uint32_t n_intra = in_proportion(config->n_intra, before, after);
        other.n_intra = n_intra < rest ? n_intra : (uint32_t)rest;
    }
    return other;
}

csp_status csp_config_init(csp_config *config)
{
    if (config == NULL)
        return CSP_E_NULL;
    *config = (csp_config){
        .struct_size = sizeof *config,
        .n = 1.0,
        .pool_width = 1,
        .n_intra = CSP_REST,
        .block = 1,
        .head_floor = 1.0,
        .layer_threshold = 0.01,
        .decay = 1.0,
    };
    return CSP_OK;
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* The last 'rows' tokens are kept, and their query rows vote: at least one
   does. */
static void set_window(csp_config *config, uint32_t n_keys, uint32_t rows)
{
    config->recent = rows;
    config->first_vote = n_keys - (rows > 0 ? rows : least(1, n_keys));
}

/* The published code's counts for a budget: as much recent as the other
   methods. */
static csp_status set_reference(csp_config *config, uint32_t n_keys,
                                uint32_t budget, uint32_t recent)
{
    const double keys = n_keys != 0 ? (double)n_keys : 1.0;

    config->selection = CSP_UNION;
    /* Half a token up, so that int() cannot fall short of a whole one. */
    double recent_ratio = ((double)recent + 0.5) / keys;
    double hh_ratio = ((double)(budget - recent) + 0.5) / keys;
    csp_status status = csp_config_set_reference(
        n_keys, hh_ratio < 1.0 ? hh_ratio : 1.0,
        recent_ratio < 1.0 ? recent_ratio : 1.0, 1.0, 0.5, config);
    if (status == CSP_OK)
        set_window(config, n_keys, recent);
    return status;
}

/* Both lists share what the recent tokens leave of the budget. */
static void set_paper(csp_config *config, uint32_t n_keys, uint32_t recent)
{
    config->selection = CSP_INTERSECTION;
    config->scope = CSP_PER_LAYER;
    config->reduce = CSP_MEAN;
    set_window(config, n_keys, recent);
    config->n_inter = (config->budget - recent) / 2;
    config->n_intra = config->budget - recent - config->n_inter;
}

/* No lists: all is filled up by intra + inter, and softmax weighs. */
static void rank_jointly(csp_config *config)
{
    config->n = 0.0;
    config->n_intra = 0;
}

/*
 * Few rows are kept for being recent, as ranking finds better ones; the window
 * is no longer than a question is likely to be.  A sink that attention leans on
 * ranks high by itself: one is protected where that is a small price.
 */
static void set_default(csp_config *config, uint32_t n_keys, uint32_t most)
{
    const uint32_t twentieth = n_keys / 20;

    set_window(config, n_keys, twentieth);
    config->recent = least(twentieth, most);
    config->sinks = least(1, config->budget / 32);
    config->auto_share = true;
    config->weigh_values = config->center_values = true;
}

/* Settings of a known preset over plain ones with a budget. */
static csp_status set_preset(csp_preset preset, uint32_t n_keys,
                             csp_config *config)
{
    const uint32_t half = config->budget / 2;
    const uint32_t tenth = least(n_keys / 10, half);

    switch (preset) {
    case CSP_PRESET_DEFAULT:
        set_default(config, n_keys, config->budget / 3);
        break;
    case CSP_PRESET_AGNOSTIC:
        set_default(config, n_keys, config->budget / 4);
        config->weigh_rows = true;
        config->first_vote = 0;
        break;
    case CSP_PRESET_PAPER:
        set_paper(config, n_keys, tenth);
        break;
    case CSP_PRESET_REFERENCE:
        return set_reference(config, n_keys, config->budget, tenth);
    case CSP_PRESET_SNAPKV:
        rank_jointly(config);
        config->pooling = CSP_POOL_AVG;
        config->pool_width = 7;
        set_window(config, n_keys, least(32, half));
        break;
    case CSP_PRESET_H2O:
        rank_jointly(config);
        config->recent = half;
        break;
    case CSP_PRESET_STREAMING:
        rank_jointly(config);
        config->sinks = least(4, config->budget);
        config->recent = config->budget - config->sinks;
        config->first_vote = n_keys;
        break;
    }
    return CSP_OK;
}

csp_status csp_config_preset(csp_preset preset, uint32_t n_keys,
                             uint32_t budget, csp_config *config)
{
    csp_config plain;

    if (config == NULL)
        return CSP_E_NULL;
    if (budget > n_keys)
        return CSP_E_BUDGET;
    if ((unsigned)preset > CSP_PRESET_AGNOSTIC)
        return CSP_E_CONFIG;
    csp_config_init(&plain);
    plain.budget = budget;
    csp_status status = set_preset(preset, n_keys, &plain);
    if (status == CSP_OK)
        *config = plain;
    return status;
}

/* x in [0, 2^32); to the nearest, halves up. */
static uint32_t nearest(double x)
{
    uint32_t whole = (uint32_t)x;

    return whole + (x - (double)whole >= 0.5);
}

csp_status csp_config_set_ratios(uint32_t n_keys, double keep, double recent,
                                 double inter_share, csp_config *config)
{
    csp_status status = csp__check_config(config);

    if (status != CSP_OK)
        return status;
    if (!in_range(keep, 0.0, 1.0) || !in_range(recent, 0.0, 1.0) ||
        !in_range(inter_share, 0.0, 1.0))
        return CSP_E_CONFIG;
    uint32_t budget = least(nearest(keep * (double)n_keys), n_keys);
    if (budget < config->sinks)
        return CSP_E_BUDGET;
    uint32_t rest = budget - config->sinks;
    uint32_t last = least(nearest(recent * (double)n_keys), rest);
    rest -= last;
    config->budget = budget;
    config->recent = last;
    config->n_inter = least(nearest(inter_share * (double)rest), rest);
    config->n_intra = rest - config->n_inter;
    return CSP_OK;
}

csp_status csp_config_set_reference(uint32_t n_keys, double hh_ratio,
                                    double recent_ratio, double bias,
                                    double inter_share, csp_config *config)
{
    csp_status status = csp__check_config(config);

    if (status != CSP_OK)
        return status;
    if (!in_range(hh_ratio, 0.0, 1.0) || !in_range(recent_ratio, 0.0, 1.0) ||
        !in_range(bias, 0.0, 0x1p20) || !in_range(inter_share, -DBL_MAX, 1.0))
        return CSP_E_CONFIG;

    /* As Python's int(): towards zero, after a product in double. */
    int64_t heavy = (int64_t)((double)n_keys * hh_ratio);
    int64_t window = (int64_t)((double)n_keys * recent_ratio);
    int64_t recent = bias == 1.0 ? window : (int64_t)((double)window * bias);
    int64_t k = heavy + window - recent;
    if (k < 0)
        return CSP_E_BUDGET;
    int64_t n_inter = 1;
    int64_t n_intra = 308;
    if (inter_share > 0.0) {
        n_inter = (int64_t)((double)k * inter_share);
        n_intra = (int64_t)((double)k * (1.0 - inter_share));
    }
    if (n_inter + n_intra + recent >= UINT32_MAX)
        return CSP_E_OVERFLOW;
    config->recent = (uint32_t)recent;
    config->first_vote = n_keys - (uint32_t)window;
    config->n_inter = (uint32_t)n_inter;
    config->n_intra = (uint32_t)n_intra;
    config->budget = (uint32_t)(n_inter + n_intra + recent);
    return CSP_OK;
}
