/*
 * oracle_select.c - which rows the library should keep, in the plainest way
 *
 * Each list is filled by looking through all candidates for the best one left,
 * again and again: O(n^2), and the order of ties is the order of the loop.
 */
#include "oracle.h"

#include <math.h>
#include <string.h>

/* ---- Ranking ------------------------------------------------------------- */

bool oracle_rank_is_exact(const oracle_layer *layer, const csp_config *config)
{
    return !config->weigh_rows && !config->weigh_values && config->block == 1 &&
           config->pooling == CSP_POOL_NONE &&
           (config->scope == CSP_PER_HEAD || layer->n_kv_heads == 1);
}

/* The result of one step; rounding a sum, product or quotient of two floats
   that double holds gives what float32 arithmetic gives. */
static double step(double x, bool rounded)
{
    return rounded ? (double)(float)x : x;
}

/* Scores of one head after the weights of E12. */
static void weigh(const csp_importance *importance, const csp_config *config,
                  uint32_t g, oracle_ranking *head)
{
    const size_t at = (size_t)g * importance->capacity;
    for (uint32_t k = 0; k < head->n_rows; k++) {
        double intra = (double)importance->intra[at + k];
        double inter = (double)importance->inter[at + k];
        if (config->weigh_rows) {
            const double seen_intra = (double)importance->intra_rows[at + k];
            const double seen_inter = (double)importance->inter_rows[at + k];
            intra = seen_intra > 0.0 ? intra / seen_intra : 0.0;
            inter = seen_inter > 0.0 ? inter / seen_inter : 0.0;
        }
        if (config->weigh_values) {
            const double norm = (double)importance->value_norm[at + k];
            intra = step(intra, head->rounded) * norm;
            inter = step(inter, head->rounded) * norm;
        }
        head->intra[k] = step(intra, head->rounded);
        head->inter[k] = step(inter, head->rounded);
    }
}

/* E3: pool scores[0..n_rows), zeros on both sides. */
static void pool(const csp_config *config, uint32_t n_rows, bool rounded,
                 double *scores)
{
    if (config->pooling == CSP_POOL_NONE)
        return;
    double pooled[ORACLE_MAX_KEYS];
    const int half = (int)config->pool_width / 2;
    for (int k = 0; k < (int)n_rows; k++) {
        double sum = 0.0, max = -(double)INFINITY;
        for (int i = k - half; i <= k + half; i++) {
            const double score = i >= 0 && i < (int)n_rows ? scores[i] : 0.0;
            sum = step(sum + score, rounded);
            max = fmax(max, score);
        }
        pooled[k] = config->pooling == CSP_POOL_MAX
                        ? max
                        : step(sum / config->pool_width, rounded);
    }
    memcpy(scores, pooled, n_rows * sizeof(*scores));
}

static void pool_before_recent(const csp_config *config,
                               oracle_ranking *ranking)
{
    const uint32_t n = ranking->n_rows;
    const uint32_t region = n > config->recent ? n - config->recent : 0;
    pool(config, region, ranking->rounded, ranking->intra);
    pool(config, region, ranking->rounded, ranking->inter);
}

/* Put the heads together that share a list. */
static void reduce(const csp_importance *importance, const oracle_layer *layer,
                   const csp_config *config, oracle_ranking *ranking)
{
    const uint32_t n_heads = layer->n_kv_heads;
    const uint32_t divisor = config->reduce == CSP_MEAN ? n_heads : 1;
    double intra[ORACLE_MAX_KEYS], inter[ORACLE_MAX_KEYS];
    oracle_ranking head = *ranking;
    head.intra = intra;
    head.inter = inter;
    for (uint32_t k = 0; k < ranking->n_rows; k++)
        ranking->intra[k] = ranking->inter[k] = 0.0;
    for (uint32_t g = 0; g < n_heads; g++) {
        const uint32_t by = g + 1 < n_heads ? 1 : divisor;
        weigh(importance, config, g, &head);
        for (uint32_t k = 0; k < ranking->n_rows; k++) {
            const double a = step(ranking->intra[k] + intra[k], head.rounded);
            const double b = step(ranking->inter[k] + inter[k], head.rounded);
            ranking->intra[k] = step(a / by, head.rounded);
            ranking->inter[k] = step(b / by, head.rounded);
        }
    }
}

void oracle_rank(const csp_importance *importance, const oracle_layer *layer,
                 const csp_config *config, uint32_t list, bool rounded,
                 oracle_ranking *ranking)
{
    const bool shared = config->scope != CSP_PER_HEAD;
    const bool round_sum = rounded || oracle_rank_is_exact(layer, config);
    ranking->n_rows = layer->n_rows[shared ? 0 : list];
    ranking->rounded = rounded;
    if (shared)
        reduce(importance, layer, config, ranking);
    else
        weigh(importance, config, list, ranking);
    pool_before_recent(config, ranking);
    for (uint32_t k = 0; k < ranking->n_rows; k++)
        ranking->both[k] =
            step(ranking->intra[k] + ranking->inter[k], round_sum);
}

double oracle_share(const csp_importance *importance, const oracle_layer *layer,
                    const csp_config *config, double *scratch)
{
    double shares = 0.0;
    uint32_t n_shares = 0;
    for (uint32_t g = 0; g < layer->n_kv_heads; g++) {
        oracle_ranking ranking = {.n_rows = layer->n_rows[g],
                                  .intra = scratch,
                                  .inter = scratch + layer->n_keys};
        weigh(importance, config, g, &ranking);
        pool_before_recent(config, &ranking);

        double intra = 0.0, inter = 0.0;
        for (uint32_t k = 0; k < ranking.n_rows; k++) {
            if (!oracle_protected(config, ranking.n_rows, k / config->block)) {
                intra += ranking.intra[k];
                inter += ranking.inter[k];
            }
        }
        if (intra + inter > 0.0) {
            shares += inter / (intra + inter);
            n_shares++;
        }
    }
    return n_shares > 0 ? shares / n_shares : 0.0;
}

/* ---- Choice -------------------------------------------------------------- */

bool oracle_protected(const csp_config *config, uint32_t n_rows, uint32_t b)
{
    for (uint32_t k = b * config->block; k < n_rows && k / config->block == b;
         k++) {
        if (k < config->sinks || n_rows - k <= config->recent)
            return true;
    }
    return false;
}

static uint32_t count_blocks(const csp_config *config, uint32_t n_rows)
{
    return n_rows / config->block + (n_rows % config->block != 0);
}

uint32_t oracle_n_protected(const csp_config *config, uint32_t n_rows)
{
    uint32_t n = 0;
    for (uint32_t b = 0; b < count_blocks(config, n_rows); b++)
        n += oracle_protected(config, n_rows, b);
    return n;
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

oracle_quota oracle_count(const csp_config *config, uint32_t n_rows,
                          double share)
{
    oracle_quota quota = {.n_inter = config->n_inter / config->block,
                          .n_intra = config->n_intra / config->block};
    if (config->selection == CSP_EXACT) {
        /* Protected blocks may hold more than the protected rows. */
        const uint32_t budget = config->budget / config->block;
        const uint32_t taken = oracle_n_protected(config, n_rows);
        const uint32_t room = budget > taken ? budget - taken : 0;
        quota.n_inter = least(quota.n_inter, room);
        if (config->n_intra == CSP_REST)
            quota.n_intra = room;
        quota.n_intra = least(quota.n_intra, room - quota.n_inter);
    }
    if (config->auto_share) {
        const uint32_t k = quota.n_intra + quota.n_inter;
        const double exact = k * share;
        quota.n_inter = (uint32_t)floor(exact + 0.5);
        quota.n_intra = k - quota.n_inter;
        quota.near_half = fabs(exact - floor(exact) - 0.5) < 1e-6 * k;
    }
    return quota;
}

/* What oracle_choose() knows of a block. */
typedef struct block_state {
    double intra;
    double inter;
    double both;
    bool is_protected;
    bool in_intra;
    bool in_inter;
    bool filled;
} block_state;

static bool is_kept(const block_state *block, csp_selection selection)
{
    if (block->is_protected)
        return true;
    if (selection == CSP_INTERSECTION)
        return block->in_intra && block->in_inter;
    return block->in_intra || block->in_inter || block->filled;
}

static uint8_t reason_of(const block_state *block, csp_selection selection)
{
    if (!is_kept(block, selection))
        return 0;
    if (block->is_protected)
        return CSP_REASON_PROTECTED;
    if (block->in_intra && block->in_inter)
        return CSP_REASON_BOTH;
    return block->in_intra   ? CSP_REASON_INTRA
           : block->in_inter ? CSP_REASON_INTER
                             : CSP_REASON_FILLED;
}

typedef enum list_name { LIST_INTRA, LIST_INTER, LIST_FILL } list_name;

static double score_in(const block_state *block, list_name list)
{
    return list == LIST_INTRA   ? block->intra
           : list == LIST_INTER ? block->inter
                                : block->both;
}

static bool *flag_in(block_state *block, list_name list)
{
    return list == LIST_INTRA   ? &block->in_intra
           : list == LIST_INTER ? &block->in_inter
                                : &block->filled;
}

/* Put the 'count' best candidates on a list, best first, the first of equals
   first. */
static void take_best(block_state *blocks, uint32_t n, list_name list,
                      uint32_t count, bool zeros)
{
    for (; count > 0; count--) {
        block_state *best = NULL;
        for (uint32_t b = 0; b < n; b++) {
            const double score = score_in(&blocks[b], list);
            const bool open = list == LIST_FILL
                                  ? !is_kept(&blocks[b], CSP_UNION)
                                  : !*flag_in(&blocks[b], list);
            if (open && !blocks[b].is_protected && (zeros || score > 0.0) &&
                (best == NULL || score > score_in(best, list)))
                best = &blocks[b];
        }
        if (best == NULL)
            return;
        *flag_in(best, list) = true;
    }
}

static void fill_up(const csp_config *config, block_state *blocks, uint32_t n)
{
    uint32_t n_kept = 0;
    for (uint32_t b = 0; b < n; b++)
        n_kept += is_kept(&blocks[b], CSP_EXACT);
    const uint32_t room = config->budget / config->block;
    take_best(blocks, n, LIST_FILL, room > n_kept ? room - n_kept : 0, true);
}

uint32_t oracle_choose(const csp_config *config, const oracle_ranking *ranking,
                       oracle_quota quota, uint8_t *reasons)
{
    const bool exact = config->selection == CSP_EXACT;
    const uint32_t n = count_blocks(config, ranking->n_rows);
    const bool keep_all = exact && ranking->n_rows <= config->budget;
    block_state blocks[ORACLE_MAX_KEYS] = {{0}};

    for (uint32_t k = 0; k < ranking->n_rows; k++) {
        block_state *block = &blocks[k / config->block];
        block->intra = step(block->intra + ranking->intra[k], ranking->rounded);
        block->inter = step(block->inter + ranking->inter[k], ranking->rounded);
        block->both = config->block == 1
                          ? ranking->both[k]
                          : step(block->intra + block->inter, ranking->rounded);
    }
    for (uint32_t b = 0; b < n; b++) {
        blocks[b].is_protected = oracle_protected(config, ranking->n_rows, b);
        blocks[b].filled = keep_all;
    }
    take_best(blocks, n, LIST_INTRA, keep_all ? 0 : quota.n_intra, !exact);
    take_best(blocks, n, LIST_INTER, keep_all ? 0 : quota.n_inter, !exact);
    if (exact && !keep_all)
        fill_up(config, blocks, n);

    uint32_t n_both = 0;
    for (uint32_t k = 0; k < ranking->n_rows; k++) {
        const block_state *block = &blocks[k / config->block];
        reasons[k] = reason_of(block, config->selection);
        n_both += block->in_intra && block->in_inter;
    }
    return n_both;
}
