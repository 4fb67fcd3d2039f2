/*
 * differential_settings.c - drawing what csp_select is told, and lists of kept
 * rows
 */
#include "differential.h"

#include <math.h>

/* ---- Settings ------------------------------------------------------------ */

static bool heads_are_alike(const diff_case *c)
{
    for (uint32_t g = 1; g < c->layer.n_kv_heads; g++) {
        if (c->layer.n_rows[g] != c->layer.n_rows[0])
            return false;
    }
    return true;
}

static void draw_ranking(diff_case *c)
{
    static const csp_pooling poolings[] = {CSP_POOL_NONE, CSP_POOL_NONE,
                                           CSP_POOL_AVG, CSP_POOL_MAX};
    csp_config *config = &c->config;
    config->weigh_rows =
        c->importance.intra_rows != NULL && random_chance(&c->random, 40);
    config->weigh_values = random_chance(&c->random, 25);
    config->reduce = random_chance(&c->random, 50) ? CSP_MEAN : CSP_SUM;
    config->pooling = poolings[random_below(&c->random, 4)];
    if (config->pooling != CSP_POOL_NONE)
        config->pool_width = 2 * random_below(&c->random, 5) + 1;
}

static uint32_t draw_protected(diff_case *c)
{
    const uint32_t n_keys = c->layer.n_keys;
    const uint32_t kind = random_below(&c->random, 100);
    return kind < 40   ? 0
           : kind < 97 ? random_below(&c->random, n_keys / 4 + 2)
                       : random_below(&c->random, 2 * n_keys + 2);
}

static void draw_budget(diff_case *c)
{
    csp_config *config = &c->config;
    const uint32_t least = config->sinks + config->recent;
    const uint32_t n_keys = c->layer.n_keys;
    const uint32_t kind = random_below(&c->random, 100);
    config->budget = least;
    if (kind >= 8 && least < n_keys)
        config->budget = random_between(&c->random, least, n_keys);
    if (kind >= 95)
        config->budget += n_keys;

    const uint32_t k = config->budget - least;
    config->n_inter =
        random_chance(&c->random, 15) ? 0 : random_below(&c->random, k + 1);
    config->n_intra = random_chance(&c->random, 60)
                          ? CSP_REST
                          : random_below(&c->random, k - config->n_inter + 1);
    if (least == config->budget || config->budget >= n_keys)
        cover(c, F9_BUDGET_EDGE);
}

static void draw_lists(diff_case *c)
{
    csp_config *config = &c->config;
    const uint32_t n_keys = c->layer.n_keys;
    config->budget = random_below(&c->random, n_keys + 1);
    config->n_intra = random_below(&c->random, n_keys + 2);
    config->n_inter = random_below(&c->random, n_keys + 2);
    if (random_chance(&c->random, 3) && !config->auto_share)
        config->n_intra = UINT32_MAX - 1;
    if (config->n_intra + config->sinks + config->recent >= n_keys)
        cover(c, F9_BUDGET_EDGE);
}

void draw_selection(diff_case *c)
{
    static const csp_selection selections[] = {CSP_EXACT, CSP_EXACT, CSP_EXACT,
                                               CSP_UNION, CSP_INTERSECTION};
    static const uint32_t blocks[] = {2, 3, 4, 8, 16};
    csp_config *config = &c->config;
    draw_ranking(c);
    config->selection = selections[random_below(&c->random, 5)];
    config->block =
        random_chance(&c->random, 70) ? 1 : blocks[random_below(&c->random, 5)];
    config->auto_share = random_chance(&c->random, 30);
    config->scope = CSP_PER_HEAD;
    if (heads_are_alike(c) && random_chance(&c->random, 35))
        config->scope =
            random_chance(&c->random, 50) ? CSP_PER_LAYER : CSP_GLOBAL;
    config->sinks = draw_protected(c);
    config->recent = draw_protected(c);
    if (config->selection == CSP_EXACT)
        draw_budget(c);
    else
        draw_lists(c);
}

/* Hard importance, in place of what csp_score left; never below -0. */
static float draw_importance_like(diff_case *c, uint32_t style)
{
    const double x = random_normal(&c->random);
    switch (style) {
    case 0:
        return (float)(x * x);
    case 1:
        return (float)random_below(&c->random, 4) / 4.0f;
    case 2:
        return random_chance(&c->random, 10) ? (float)(x * x) : 0.0f;
    case 3:
        return random_chance(&c->random, 50) ? -0.0f : 0.0f;
    case 4:
        return (float)exp(8.0 * x);
    default:
        return 0.25f;
    }
}

void draw_synthetic(diff_case *c)
{
    const csp_importance *importance = &c->importance;
    const uint32_t intra_style = random_below(&c->random, 6);
    const uint32_t inter_style = random_chance(&c->random, 50)
                                     ? intra_style
                                     : random_below(&c->random, 6);
    for (uint32_t g = 0; g < c->layer.n_kv_heads; g++) {
        for (uint32_t k = 0; k < c->layer.n_rows[g]; k++) {
            const size_t at = (size_t)g * importance->capacity + k;
            importance->intra[at] = draw_importance_like(c, intra_style);
            importance->inter[at] = draw_importance_like(c, inter_style);
            if (importance->intra_rows != NULL) {
                importance->intra_rows[at] = (float)random_below(&c->random, 6);
                importance->inter_rows[at] = (float)random_below(&c->random, 6);
            }
        }
    }
}

/* ---- Lists --------------------------------------------------------------- */

csp_kept draw_kept(diff_case *c, uint32_t n_lists, const uint32_t *n_rows,
                   uint32_t percent)
{
    uint32_t longest = 0;
    for (uint32_t i = 0; i < n_lists; i++)
        longest = n_rows[i] > longest ? n_rows[i] : longest;
    csp_kept kept = {.n_lists = n_lists,
                     .capacity = longest + random_below(&c->random, 3)};
    kept.rows =
        arena_take(&c->arena, sizeof(uint32_t) * n_lists * kept.capacity, 0);
    kept.counts = arena_take(&c->arena, n_lists * sizeof(uint32_t), 0);
    for (uint32_t i = 0; i < n_lists; i++) {
        kept.counts[i] = 0;
        for (uint32_t k = 0; k < n_rows[i]; k++) {
            if (random_chance(&c->random, percent))
                kept.rows[(size_t)i * kept.capacity + kept.counts[i]++] = k;
        }
    }
    return kept;
}

const uint32_t *kept_of(const csp_kept *kept, uint32_t g, uint32_t *count)
{
    const uint32_t list = kept->n_lists == 1 ? 0 : g;
    *count = kept->counts[list];
    return kept->rows + (size_t)list * kept->capacity;
}
