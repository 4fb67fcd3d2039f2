/*
 * variants.c - the ways to prune that are compared
 *
 * Each is a preset of the library and what is changed of it: the window, that
 * is which rows vote and how many stay as recent; the lists; the weights.
 */
#include "variants.h"

#include "csp.h"

#include <stddef.h>
#include <string.h>

/* Zero leaves everything as the preset has it. */
struct recipe {
    const char *name;
    method method;
    enum { PRESET, BY_PROTOCOL, TENTH, HALF, ALL_ROWS } window;
    enum { AUTO, JOINT, SHARED } lists;
    double share; /* of the inter list, if SHARED */
    enum { SAME, NONE, NORMS, DISTANCES, DISTANCES_AND_ROWS } weights;
    bool much_recent; /* a tenth of the rows, at most half of the budget */
    enum { PRESET_N, SOFTMAX, N_1 } n;
    bool no_pooling;
    enum { PRESET_SINKS, NO_SINKS, FOUR_SINKS } sinks;
    double floor; /* of heads that share a budget; 0: they do not */
    csp_layer_spread layers;
    uint32_t quota; /* rows of each image */
    correction correction;
    uint32_t rank;
    uint32_t cost; /* rows of a summary, taken off the budget */
};

/* 1 + 1.5 rank rows, rounded up. */
enum { COST_0 = 1, COST_1 = 3, COST_4 = 7 };

static const recipe recipes[] = {
    {.name = "csp", .method = METHOD_CSP, .window = BY_PROTOCOL},
    {.name = "csp_moments",
     .method = METHOD_CSP,
     .window = BY_PROTOCOL,
     .correction = CORRECT_MOMENTS,
     .rank = 1,
     .cost = COST_1},
    {.name = "csp_moments_rank0",
     .method = METHOD_CSP,
     .window = BY_PROTOCOL,
     .correction = CORRECT_MOMENTS,
     .cost = COST_0},
    {.name = "csp_moments_rank4",
     .method = METHOD_CSP,
     .window = BY_PROTOCOL,
     .correction = CORRECT_MOMENTS,
     .rank = 4,
     .cost = COST_4},
    {.name = "csp_moments_free",
     .method = METHOD_CSP,
     .window = BY_PROTOCOL,
     .correction = CORRECT_MOMENTS,
     .rank = 1},
    {.name = "csp_moments_full",
     .method = METHOD_CSP,
     .window = BY_PROTOCOL,
     .correction = CORRECT_MOMENTS,
     .rank = 32},
    {.name = "csp_calibrated",
     .method = METHOD_CSP,
     .window = BY_PROTOCOL,
     .correction = CORRECT_SINK},
    {.name = "csp_residual",
     .method = METHOD_CSP,
     .window = BY_PROTOCOL,
     .correction = CORRECT_RESIDUAL},
    {.name = "csp_softmax",
     .method = METHOD_CSP,
     .window = BY_PROTOCOL,
     .n = SOFTMAX},
    {.name = "csp_share_0",
     .method = METHOD_CSP,
     .window = BY_PROTOCOL,
     .lists = SHARED,
     .share = 0.0},
    {.name = "csp_share_10",
     .method = METHOD_CSP,
     .window = BY_PROTOCOL,
     .lists = SHARED,
     .share = 0.1},
    {.name = "csp_share_30",
     .method = METHOD_CSP,
     .window = BY_PROTOCOL,
     .lists = SHARED,
     .share = 0.3},
    {.name = "csp_share_50",
     .method = METHOD_CSP,
     .window = BY_PROTOCOL,
     .lists = SHARED,
     .share = 0.5},
    {.name = "csp_share_70",
     .method = METHOD_CSP,
     .window = BY_PROTOCOL,
     .lists = SHARED,
     .share = 0.7},
    {.name = "csp_share_90",
     .method = METHOD_CSP,
     .window = BY_PROTOCOL,
     .lists = SHARED,
     .share = 0.9},
    {.name = "csp_share_100",
     .method = METHOD_CSP,
     .window = BY_PROTOCOL,
     .lists = SHARED,
     .share = 1.0},
    {.name = "csp_no_weights",
     .method = METHOD_CSP,
     .window = TENTH,
     .weights = NONE},
    {.name = "csp_tenth",
     .method = METHOD_CSP,
     .window = TENTH,
     .weights = DISTANCES},
    {.name = "csp_half",
     .method = METHOD_CSP,
     .window = HALF,
     .weights = DISTANCES_AND_ROWS},
    {.name = "csp_all",
     .method = METHOD_CSP,
     .window = ALL_ROWS,
     .weights = DISTANCES_AND_ROWS},
    {.name = "csp_half_recent",
     .method = METHOD_CSP,
     .window = BY_PROTOCOL,
     .much_recent = true},
    {.name = "csp_norms",
     .method = METHOD_CSP,
     .window = BY_PROTOCOL,
     .weights = NORMS},
    {.name = "csp_no_sinks",
     .method = METHOD_CSP,
     .window = BY_PROTOCOL,
     .sinks = NO_SINKS},
    {.name = "csp_four_sinks",
     .method = METHOD_CSP,
     .window = BY_PROTOCOL,
     .sinks = FOUR_SINKS},
    {.name = "csp_adaptive_heads",
     .method = METHOD_CSP,
     .window = BY_PROTOCOL,
     .floor = 0.2},
    {.name = "csp_pyramid",
     .method = METHOD_CSP,
     .window = BY_PROTOCOL,
     .layers = CSP_LAYERS_PYRAMID},
    {.name = "csp_sparsity",
     .method = METHOD_CSP,
     .window = BY_PROTOCOL,
     .layers = CSP_LAYERS_SPARSITY},
    {.name = "csp_quota",
     .method = METHOD_CSP,
     .window = BY_PROTOCOL,
     .quota = 1},
    {.name = "csp_paper", .method = METHOD_PAPER},
    {.name = "csp_reference", .method = METHOD_REFERENCE},
    {.name = "joint",
     .method = METHOD_CSP,
     .window = TENTH,
     .lists = JOINT,
     .sinks = NO_SINKS,
     .weights = NONE,
     .n = SOFTMAX},
    {.name = "joint_n1",
     .method = METHOD_CSP,
     .window = TENTH,
     .lists = JOINT,
     .sinks = NO_SINKS,
     .weights = NONE,
     .n = N_1},
    {.name = "joint_values",
     .method = METHOD_CSP,
     .window = TENTH,
     .lists = JOINT,
     .sinks = NO_SINKS,
     .weights = DISTANCES},
    {.name = "joint_by_protocol",
     .method = METHOD_CSP,
     .window = BY_PROTOCOL,
     .lists = JOINT},
    {.name = "joint_moments",
     .method = METHOD_CSP,
     .window = TENTH,
     .lists = JOINT,
     .sinks = NO_SINKS,
     .weights = NONE,
     .n = SOFTMAX,
     .correction = CORRECT_MOMENTS,
     .rank = 1,
     .cost = COST_1},
    {.name = "snapkv", .method = METHOD_SNAPKV},
    {.name = "snapkv_no_pooling", .method = METHOD_SNAPKV, .no_pooling = true},
    {.name = "snapkv_moments",
     .method = METHOD_SNAPKV,
     .correction = CORRECT_MOMENTS,
     .rank = 1,
     .cost = COST_1},
    {.name = "h2o", .method = METHOD_H2O},
    {.name = "h2o_tenth", .method = METHOD_H2O, .window = ALL_ROWS},
    {.name = "h2o_moments",
     .method = METHOD_H2O,
     .correction = CORRECT_MOMENTS,
     .rank = 1,
     .cost = COST_1},
    {.name = "streaming", .method = METHOD_STREAMING},
    {.name = "random", .method = METHOD_RANDOM},
};

enum { N_RECIPES = sizeof recipes / sizeof *recipes };
_Static_assert((int)N_RECIPES <= (int)MAX_VARIANTS,
               "more than there is room for");

/* A budget lower by a summary's rows, and recent rows in proportion. */
static void pay(uint32_t rows, csp_config *config)
{
    const uint32_t before = config->budget, least = config->sinks + 2;

    if (before <= least)
        return;
    config->budget = before > least + rows ? before - rows : least;
    config->recent = config->recent * config->budget / before;
}

static uint32_t much_recent(uint32_t n_rows, uint32_t budget)
{
    const uint32_t recent = n_rows / 10 < budget / 2 ? n_rows / 10 : budget / 2;

    return recent > 0 ? recent : 1;
}

static void set_window(int window, uint32_t n_rows, csp_config *config)
{
    const uint32_t recent = much_recent(n_rows, config->budget);

    config->recent = recent;
    config->first_vote = window == TENTH  ? n_rows - recent
                         : window == HALF ? n_rows - n_rows / 2
                                          : 0;
}

static void set_lists(const recipe *r, csp_config *config)
{
    const uint32_t kept = config->sinks + config->recent;
    const uint32_t rest = config->budget > kept ? config->budget - kept : 0;

    config->auto_share = r->lists == AUTO;
    config->n_inter =
        r->lists == SHARED ? (uint32_t)(r->share * rest + 0.5) : 0;
    config->n_intra = r->lists == SHARED  ? rest - config->n_inter
                      : r->lists == JOINT ? 0
                                          : CSP_REST;
}

static void adjust(const void *context, uint32_t n_rows,
                   struct csp_config *config)
{
    const variant *v = context;
    const recipe *r = v->made_by;
    if (r->sinks != PRESET_SINKS)
        config->sinks = r->sinks == NO_SINKS  ? 0
                        : config->budget < 16 ? config->budget / 4
                                              : 4;
    if (r->cost > 0)
        pay(r->cost, config);
    if (r->window != PRESET && r->window != BY_PROTOCOL)
        set_window((int)r->window, n_rows, config);
    if (r->method == METHOD_CSP)
        set_lists(r, config);
    if (r->much_recent)
        config->recent = much_recent(n_rows, config->budget);
    if (r->weights == NORMS) {
        config->center_values = false;
    } else if (r->weights != SAME) {
        config->weigh_values = r->weights != NONE;
        config->weigh_rows = r->weights == DISTANCES_AND_ROWS;
    }
    if (r->floor > 0.0)
        config->head_floor = r->floor;
    config->layer_spread = r->layers;
    config->layer_slope = 0.5;
    /* An image is six rows of a small budget, beside what is protected. */
    if (config->budget > config->sinks + config->recent + 6)
        config->span_quota = r->quota;
    if (r->no_pooling)
        config->pooling = CSP_POOL_NONE;
    if (r->n != PRESET_N)
        config->n = r->n == N_1 ? 1.0 : 0.0;
}

uint32_t variants_for(protocol how, const char *only, variant *list)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < N_RECIPES; ++i) {
        if (only != NULL && strstr(recipes[i].name, only) == NULL)
            continue;
        /* The preset for questions that are seen, and for those to come. */
        const bool later =
            recipes[i].window == BY_PROTOCOL && how == PROTOCOL_HQ;

        list[n] = (variant){
            .name = recipes[i].name,
            .settings = {.method = later ? METHOD_AGNOSTIC : recipes[i].method,
                         .correction = recipes[i].correction,
                         .source = FROM_QUERIES,
                         .rank = recipes[i].rank,
                         .recent = -1.0,
                         .adjust = adjust,
                         .adjust_context = &list[n]},
            .made_by = &recipes[i],
            .how = how,
        };
        ++n;
    }
    return n;
}
