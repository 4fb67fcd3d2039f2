/*
 * reasons.c - why each row was kept
 *
 * Ranks the rows once more (E3, E12) with the same operations in the same
 * order as the library, so that the two lists come out the same, and looks up
 * each kept row in them.
 */
#include "reasons.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Units are blocks of rows; candidates are [first, last). */
typedef struct lists {
    const csp_importance *importance;
    const csp_config *config;
    size_t n_rows, n_units, first, last;
    float *intra, *inter; /* [n_rows] scores of units */
    float *head, *pooled; /* [n_rows] */
    uint8_t *in;          /* [n_units] of IN_INTRA, IN_INTER */
} lists;

enum { IN_INTRA = 1, IN_INTER = 2 };

static void find_units(lists *l)
{
    const csp_config *c = l->config;
    const size_t n = l->n_rows, block = c->block;
    const size_t sinks = c->sinks < n ? c->sinks : n;
    const size_t rest = c->recent < n ? n - c->recent : 0;

    l->n_units = n / block + (n % block != 0);
    l->first = sinks / block + (sinks % block != 0);
    l->last = rest == n ? l->n_units : rest / block;
    if (l->last < l->first)
        l->last = l->first;
}

/* ---- Scores -------------------------------------------------------------- */

static void weigh(const lists *l, const float *sums, const float *rows,
                  size_t at, float *scores)
{
    const float *norm =
        l->config->weigh_values ? l->importance->value_norm + at : NULL;

    for (size_t i = 0; i < l->n_rows; i++) {
        float x = sums[at + i];
        if (l->config->weigh_rows)
            x = rows[at + i] > 0.0f ? x / rows[at + i] : 0.0f;
        scores[i] = norm != NULL ? x * norm[i] : x;
    }
}

static void pool(const lists *l, float *x)
{
    const csp_config *c = l->config;
    const size_t reach = c->pool_width / 2;
    const size_t n = c->recent < l->n_rows ? l->n_rows - c->recent : 0;

    if (c->pooling == CSP_POOL_NONE)
        return;
    for (size_t i = 0; i < n; i++) {
        const size_t end = n - i > reach ? i + reach + 1 : n;
        float sum = 0.0f, most = 0.0f;
        for (size_t j = i > reach ? i - reach : 0; j < end; j++) {
            sum += x[j];
            most = x[j] > most ? x[j] : most;
        }
        l->pooled[i] =
            c->pooling == CSP_POOL_AVG ? sum / (float)c->pool_width : most;
    }
    memcpy(x, l->pooled, n * sizeof *x);
}

static void sum_blocks(const lists *l, float *x)
{
    const size_t block = l->config->block;

    for (size_t i = 0; block > 1 && i < l->n_rows; i += block) {
        float sum = 0.0f;
        for (size_t j = i; j < l->n_rows && j < i + block; j++)
            sum += x[j];
        x[i / block] = sum;
    }
}

/* Scores of heads [begin, end), put together, by units. */
static void rank(const lists *l, const float *sums, const float *rows,
                 size_t begin, size_t end, float *scores)
{
    const size_t capacity = l->importance->capacity;

    weigh(l, sums, rows, begin * capacity, scores);
    for (size_t g = begin + 1; g < end; g++) {
        weigh(l, sums, rows, g * capacity, l->head);
        for (size_t i = 0; i < l->n_rows; i++)
            scores[i] += l->head[i];
    }
    if (l->config->reduce == CSP_MEAN && end - begin > 1)
        for (size_t i = 0; i < l->n_rows; i++)
            scores[i] /= (float)(end - begin);
    pool(l, scores);
    sum_blocks(l, scores);
}

static void rank_both(const lists *l, size_t begin, size_t end)
{
    const csp_importance *m = l->importance;

    rank(l, m->intra, m->intra_rows, begin, end, l->intra);
    rank(l, m->inter, m->inter_rows, begin, end, l->inter);
}

/* ---- Sizes of the lists -------------------------------------------------- */

static double sum_of(const lists *l, const float *scores)
{
    double sum = 0.0;

    for (size_t i = l->first; i < l->last; i++)
        sum += (double)scores[i];
    return sum;
}

/* What inter has of the candidates' scores, averaged over heads. */
static double auto_share(const lists *l, size_t n_heads)
{
    double shares = 0.0, n = 0.0;

    for (size_t g = 0; g < n_heads; g++) {
        rank_both(l, g, g + 1);
        const double intra = sum_of(l, l->intra), inter = sum_of(l, l->inter);
        if (intra + inter > 0.0) {
            shares += inter / (intra + inter);
            n += 1.0;
        }
    }
    return n > 0.0 ? shares / n : 0.0;
}

static void list_sizes(const lists *l, double share, uint64_t *n_intra,
                       uint64_t *n_inter)
{
    const csp_config *c = l->config;
    uint64_t inter = c->n_inter / c->block, intra = c->n_intra / c->block;

    if (c->selection == CSP_EXACT) {
        const uint64_t held = l->n_units - (l->last - l->first);
        const uint64_t budget = c->budget / c->block;
        const uint64_t room = budget > held ? budget - held : 0;
        inter = inter < room ? inter : room;
        if (c->n_intra == CSP_REST || intra > room - inter)
            intra = room - inter;
    }
    if (c->auto_share) {
        const uint64_t k = intra + inter;
        inter = (uint64_t)((double)k * share + 0.5);
        intra = k - inter;
    }
    *n_intra = intra;
    *n_inter = inter;
}

/* ---- Lists --------------------------------------------------------------- */

/* Scores are not negative, so their bits are in the order they are in. */
static uint32_t bits_of(float x)
{
    uint32_t bits;

    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static size_t count_from(const lists *l, const float *scores, uint32_t least)
{
    size_t n = 0;

    for (size_t i = l->first; i < l->last; i++)
        n += bits_of(scores[i]) >= least;
    return n;
}

/* Mark the n_best candidates; the threshold is found bit by bit. */
static void choose(const lists *l, const float *scores, uint64_t n_best,
                   uint8_t mark)
{
    const uint32_t least = l->config->selection == CSP_EXACT ? 1 : 0;
    uint32_t threshold = 0;

    if (n_best == 0)
        return;
    for (uint32_t bit = UINT32_C(1) << 30; bit > 0; bit >>= 1)
        if (count_from(l, scores, threshold | bit) >= n_best)
            threshold |= bit;
    uint64_t ties = n_best - count_from(l, scores, threshold + 1);
    for (size_t i = l->first; i < l->last; i++) {
        const uint32_t bits = bits_of(scores[i]);
        if (bits < least || bits < threshold || (bits == threshold && !ties))
            continue;
        ties -= bits == threshold;
        l->in[i] |= mark;
    }
}

static reason reason_of(const lists *l, size_t row)
{
    static const reason of[4] = {REASON_FILLED, REASON_INTRA, REASON_INTER,
                                 REASON_BOTH};
    const size_t unit = row / l->config->block;

    if (unit < l->first || unit >= l->last)
        return REASON_PROTECTED;
    return of[l->in[unit]];
}

static void explain_list(const lists *l, size_t list, double share,
                         const csp_tokens *tokens, const csp_kept *kept,
                         uint8_t *reasons)
{
    const uint32_t *rows = kept->rows + list * kept->capacity;
    const bool all =
        l->config->selection == CSP_EXACT && l->n_rows <= l->config->budget;
    uint64_t n_intra, n_inter;

    memset(l->in, 0, l->n_units);
    if (!all) {
        const bool apart = l->config->scope == CSP_PER_HEAD;
        rank_both(l, list, apart ? list + 1 : tokens->n_kv_heads);
        list_sizes(l, share, &n_intra, &n_inter);
        choose(l, l->intra, n_intra, IN_INTRA);
        choose(l, l->inter, n_inter, IN_INTER);
    }
    memset(reasons, REASON_DROPPED, l->n_rows);
    for (uint32_t i = 0; i < kept->counts[list]; i++)
        reasons[rows[i]] = (uint8_t)reason_of(l, rows[i]);
}

outcome reasons_of(const csp_importance *importance, const csp_tokens *tokens,
                   const csp_config *config, const csp_kept *kept,
                   uint8_t *reasons)
{
    const size_t n = tokens->n_keys;
    float *scratch = malloc((n > 0 ? n : 1) * (4 * sizeof(float) + 1));
    lists l = {.importance = importance, .config = config, .n_rows = n};

    if (scratch == NULL)
        return fail(INTERNAL, "out of memory");
    l.intra = scratch;
    l.inter = l.intra + n;
    l.head = l.inter + n;
    l.pooled = l.head + n;
    l.in = (uint8_t *)(l.pooled + n);
    find_units(&l);
    const double share =
        config->auto_share ? auto_share(&l, tokens->n_kv_heads) : 0.0;
    for (uint32_t list = 0; list < kept->n_lists; list++)
        explain_list(&l, list, share, tokens, kept, reasons + list * n);
    free(scratch);
    return DONE;
}
