/*
 * rank.c - importance -> the scores that are ranked (E3, E12)
 *
 * Weights belong to a head's own keys, so they come first; heads are then put
 * together; pooling spreads what is left over neighbours, and blocks add
 * neighbours up.
 */
#include "rank.h"

#include <string.h>

#include "numeric.h"
#include "tokens.h"

csp_status csp__units_of(uint32_t n_rows, const csp_config *config,
                         csp__units *units)
{
    const uint32_t block = config->block;
    uint32_t sinks = config->sinks < n_rows ? config->sinks : n_rows;
    uint32_t rest = config->recent < n_rows ? n_rows - config->recent : 0;

    units->n_rows = n_rows;
    units->n = n_rows / block + (n_rows % block != 0);
    units->first = sinks / block + (sinks % block != 0);
    units->last = rest == n_rows ? units->n : rest / block;
    if (units->last < units->first)
        units->last = units->first;
    units->budget = config->budget / block;
    units->keep_all =
        config->selection == CSP_EXACT && n_rows <= config->budget;
    if (config->selection == CSP_EXACT && !units->keep_all &&
        units->n - (units->last - units->first) > units->budget)
        return CSP_E_BUDGET;
    return CSP_OK;
}

void csp__ranking_carve(csp__ranking *ranking, uint32_t n_keys,
                        csp__arena *arena)
{
    ranking->intra = csp__arena_take(arena, 1, n_keys, sizeof(float));
    ranking->inter = csp__arena_take(arena, 1, n_keys, sizeof(float));
    ranking->head_intra = csp__arena_take(arena, 1, n_keys, sizeof(float));
    ranking->head_inter = csp__arena_take(arena, 1, n_keys, sizeof(float));
    ranking->pooled = csp__arena_take(arena, 1, n_keys, sizeof(float));
}

/* One head's importance with E12's weights; a key that no row could see weighs
   nothing. */
static void weigh(const float *sums, const float *rows, const float *norm,
                  size_t n, float *scores)
{
    memcpy(scores, sums, n * sizeof *scores);
    if (rows != NULL)
        for (size_t i = 0; i < n; i++)
            scores[i] = rows[i] > 0.0f ? scores[i] / rows[i] : 0.0f;
    if (norm != NULL)
        for (size_t i = 0; i < n; i++)
            scores[i] *= norm[i];
}

static void weigh_head(const csp_importance *importance, uint32_t g, size_t n,
                       const csp_config *config, float *intra, float *inter)
{
    size_t at = (size_t)g * importance->capacity;
    const float *intra_rows =
        config->weigh_rows ? importance->intra_rows + at : NULL;
    const float *inter_rows =
        config->weigh_rows ? importance->inter_rows + at : NULL;
    const float *norm =
        config->weigh_values ? importance->value_norm + at : NULL;

    weigh(importance->intra + at, intra_rows, norm, n, intra);
    weigh(importance->inter + at, inter_rows, norm, n, inter);
}

/*
 * Pool x[0..n) in place (E3): the average, or the largest, of the 'width'
 * numbers around each, with zeros beyond both ends.  O(n * width): widths are
 * small.
 */
static void pool(const csp_config *config, float *x, size_t n, float *pooled)
{
    const size_t reach = config->pool_width / 2;

    if (config->pooling == CSP_POOL_NONE)
        return;
    for (size_t i = 0; i < n; i++) {
        size_t begin = i > reach ? i - reach : 0;
        size_t end = n - i > reach ? i + reach + 1 : n;
        const bool beyond = end - begin < config->pool_width;
        float sum = 0.0f;
        float max = beyond ? 0.0f : x[begin];
        for (size_t j = begin; j < end; j++) {
            sum += x[j];
            max = x[j] > max ? x[j] : max;
        }
        pooled[i] = config->pooling == CSP_POOL_AVG
                        ? sum / (float)config->pool_width
                        : max;
    }
    memcpy(x, pooled, n * sizeof *x);
}

/* SnapKV pools what the window looks back on, so the recent rows stay out. */
static void pool_both(csp__ranking *ranking, const csp_config *config,
                      float *intra, float *inter)
{
    uint32_t n = ranking->units.n_rows;
    size_t before = config->recent < n ? n - config->recent : 0;

    pool(config, intra, before, ranking->pooled);
    pool(config, inter, before, ranking->pooled);
}

static void sum_blocks(float *x, size_t n, size_t block)
{
    for (size_t i = 0; i < n; i += block) {
        float sum = 0.0f;
        for (size_t j = i; j < n && j < i + block; j++)
            sum += x[j];
        x[i / block] = sum;
    }
}

void csp__rank(csp__ranking *ranking, const csp_importance *importance,
               uint32_t begin, uint32_t end, const csp_config *config)
{
    const size_t n = ranking->units.n_rows;
    float *intra = ranking->intra;
    float *inter = ranking->inter;

    if (n == 0)
        return;
    weigh_head(importance, begin, n, config, intra, inter);
    for (uint32_t g = begin + 1; g < end; g++) {
        weigh_head(importance, g, n, config, ranking->head_intra,
                   ranking->head_inter);
        for (size_t i = 0; i < n; i++) {
            intra[i] += ranking->head_intra[i];
            inter[i] += ranking->head_inter[i];
        }
    }
    if (config->reduce == CSP_MEAN && end - begin > 1)
        for (size_t i = 0; i < n; i++) {
            intra[i] /= (float)(end - begin);
            inter[i] /= (float)(end - begin);
        }
    pool_both(ranking, config, intra, inter);
    if (config->block > 1) {
        sum_blocks(intra, n, config->block);
        sum_blocks(inter, n, config->block);
    }
}

double csp__auto_share(const csp__kernels *kernels, csp__ranking *ranking,
                       const csp_importance *importance,
                       const csp_tokens *tokens, const csp_config *config)
{
    const csp__units *units = &ranking->units;
    double shares = 0.0;
    uint32_t n_shares = 0;

    for (uint32_t g = 0; g < tokens->n_kv_heads; g++) {
        csp__units_of(csp__count(tokens, g), config, &ranking->units);
        csp__rank(ranking, importance, g, g + 1, config);
        const size_t n = units->last - units->first;
        double intra = kernels->sum(ranking->intra + units->first, n);
        double inter = kernels->sum(ranking->inter + units->first, n);
        if (intra + inter > 0.0) {
            double share = inter / (intra + inter);
            shares += share > 0.0 ? (share < 1.0 ? share : 1.0) : 0.0;
            n_shares++;
        }
    }
    return n_shares > 0 ? shares / (double)n_shares : 0.0;
}
