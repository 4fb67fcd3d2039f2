/*
 * oracle_budget.c - quotas of spans and heads that share, in the plainest way
 *
 * Whatever is the best of something is found by looking at every row, again and
 * again, and the order of ties is the order of the loop.
 */
#include "oracle_budget.h"

#include <math.h>
#include <string.h>

#include "oracle.h"

#define KEYS ORACLE_LIST_KEYS

typedef struct row {
    double intra, inter, both;
    uint32_t token;
    bool is_protected, claimed, in_intra, in_inter, filled;
} row;

typedef struct list {
    row rows[KEYS];
    uint32_t n;
    uint32_t own; /* rows that are this list's, whatever others hold */
} list;

static bool is_kept(const row *r)
{
    return r->is_protected || r->claimed || r->in_intra || r->in_inter ||
           r->filled;
}

static uint8_t reason_of(const row *r)
{
    if (!is_kept(r))
        return 0;
    return r->is_protected              ? CSP_REASON_PROTECTED
           : r->claimed                 ? CSP_REASON_CLAIMED
           : r->in_intra && r->in_inter ? CSP_REASON_BOTH
           : r->in_intra                ? CSP_REASON_INTRA
           : r->in_inter                ? CSP_REASON_INTER
                                        : CSP_REASON_FILLED;
}

static uint32_t count_kept(const list *l)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < l->n; i++)
        n += is_kept(&l->rows[i]);
    return n;
}

static uint32_t nearest(double x)
{
    return (uint32_t)floor(x + 0.5);
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* ---- Quotas -------------------------------------------------------------- */

static bool in_span(const row *r, const csp_span *span)
{
    return span->begin <= r->token && r->token < span->end;
}

static void claim(list *l, const csp_span *span, uint32_t quota)
{
    uint32_t n_rows = 0, n_safe = 0;

    for (uint32_t i = 0; i < l->n; i++)
        if (in_span(&l->rows[i], span)) {
            n_rows++;
            n_safe += l->rows[i].is_protected;
        }
    for (; n_safe < least(quota, n_rows); n_safe++) {
        row *best = NULL;
        for (uint32_t i = 0; i < l->n; i++) {
            row *r = &l->rows[i];
            if (in_span(r, span) && !r->is_protected && !r->claimed &&
                (best == NULL || r->both > best->both))
                best = r;
        }
        best->claimed = true;
    }
}

/* ---- One list ------------------------------------------------------------ */

/* Put the best rows that are not claimed on the list by intra or by inter. */
static void take(list *l, uint32_t count, bool by_intra)
{
    for (; count > 0; count--) {
        row *best = NULL;
        double most = 0.0; /* above zero only */
        for (uint32_t i = 0; i < l->n; i++) {
            row *r = &l->rows[i];
            const double score = by_intra ? r->intra : r->inter;
            const bool listed = by_intra ? r->in_intra : r->in_inter;
            if (!r->is_protected && !r->claimed && !listed && score > most) {
                best = r;
                most = score;
            }
        }
        if (best == NULL)
            return;
        if (by_intra)
            best->in_intra = true;
        else
            best->in_inter = true;
    }
}

/* E5 within l->own rows, of which some are claimed. */
static void choose(list *l, const csp_config *config, double share)
{
    const uint32_t before = config->budget - config->sinks - config->recent;

    if (l->n <= l->own) { /* nothing to choose, so nothing to claim */
        for (uint32_t i = 0; i < l->n; i++) {
            l->rows[i].claimed = false;
            l->rows[i].filled = true;
        }
        return;
    }
    const uint32_t room = l->own - count_kept(l);
    uint32_t n_inter =
        before > 0 ? nearest((double)config->n_inter * room / before) : 0;
    uint32_t n_intra = room - n_inter;
    if (config->n_intra != CSP_REST)
        n_intra = before > 0
                      ? least(nearest((double)config->n_intra * room / before),
                              n_intra)
                      : 0;
    if (config->auto_share) {
        const uint32_t k = n_intra + n_inter;
        n_inter = nearest(k * share);
        n_intra = k - n_inter;
    }
    take(l, n_intra, true);
    take(l, n_inter, false);
    while (count_kept(l) < l->own) {
        row *best = NULL;
        for (uint32_t i = 0; i < l->n; i++)
            if (!is_kept(&l->rows[i]) &&
                (best == NULL || l->rows[i].both > best->both))
                best = &l->rows[i];
        best->filled = true;
    }
}

/* ---- All lists ----------------------------------------------------------- */

/* Give 'count' more rows to the best of all lists. */
static void share_out(list *lists, uint32_t n_lists, uint32_t count)
{
    for (; count > 0; count--) {
        row *best = NULL;
        for (uint32_t g = 0; g < n_lists; g++)
            for (uint32_t i = 0; i < lists[g].n; i++) {
                row *r = &lists[g].rows[i];
                if (!is_kept(r) && (best == NULL || r->both > best->both))
                    best = r;
            }
        best->filled = true;
    }
}

static void fill_rows(const csp_importance *importance,
                      const oracle_layer *layer, const csp_config *config,
                      uint32_t g, list *l)
{
    double intra[ORACLE_MAX_KEYS], inter[ORACLE_MAX_KEYS];
    double both[ORACLE_MAX_KEYS];
    oracle_ranking ranking = {.intra = intra, .inter = inter, .both = both};

    oracle_rank(importance, layer, config, g, true, &ranking);
    l->n = ranking.n_rows;
    for (uint32_t i = 0; i < l->n; i++)
        l->rows[i] = (row){
            .intra = intra[i],
            .inter = inter[i],
            .both = both[i],
            .token = layer->key_token[(size_t)g * layer->n_keys + i],
            .is_protected = oracle_protected(config, l->n, i),
        };
}

/* Claims, and what is each list's own; true if the budgets hold them. */
static bool prepare(const csp_tokens *tokens, const csp_config *config, list *l)
{
    for (uint32_t i = 0; i < tokens->n_spans && config->span_quota > 0; i++)
        if (tokens->spans[i].modality > 0)
            claim(l, &tokens->spans[i], config->span_quota);
    const uint32_t safe = count_kept(l);
    const uint32_t part = nearest(config->head_floor * config->budget);
    l->own = least(l->n, safe > part ? safe : part);
    return l->n <= config->budget || safe <= config->budget;
}

static void choose_lists(const csp_tokens *tokens, const csp_config *config,
                         double share, list *all, oracle_lists *lists)
{
    uint64_t n_rows = 0, n_own = 0;

    for (uint32_t g = 0; g < lists->n_lists; g++) {
        lists->over_budget |= !prepare(tokens, config, &all[g]);
        n_rows += all[g].n;
        n_own += all[g].own;
    }
    if (lists->over_budget)
        return;
    for (uint32_t g = 0; g < lists->n_lists; g++)
        choose(&all[g], config, share);
    if (config->head_floor < 1.0) {
        const uint64_t budget = (uint64_t)lists->n_lists * config->budget;
        const uint64_t total = budget < n_rows ? budget : n_rows;
        share_out(all, lists->n_lists, (uint32_t)(total - n_own));
    }
}

void oracle_select_budgets(const csp_importance *importance,
                           const csp_tokens *tokens, const csp_config *config,
                           oracle_lists *lists)
{
    static list all[ORACLE_MAX_LISTS];
    static uint32_t key_token[ORACLE_MAX_LISTS * KEYS];
    static uint32_t key_modality[ORACLE_MAX_LISTS * KEYS];
    static double scratch[2 * KEYS];
    oracle_layer layer = {.n_kv_heads = tokens->n_kv_heads,
                          .n_keys = tokens->n_keys,
                          .n_rows = lists->n_rows,
                          .key_token = key_token,
                          .key_modality = key_modality};

    memset(lists, 0, sizeof *lists);
    lists->n_lists = config->scope == CSP_PER_HEAD ? tokens->n_kv_heads : 1;
    oracle_describe(tokens, &layer);
    const double share = config->auto_share
                             ? oracle_share(importance, &layer, config, scratch)
                             : 0.0;
    for (uint32_t g = 0; g < lists->n_lists; g++)
        fill_rows(importance, &layer, config, g, &all[g]);
    choose_lists(tokens, config, share, all, lists);
    for (uint32_t g = 0; g < lists->n_lists; g++)
        for (uint32_t i = 0; i < all[g].n; i++) {
            const row *r = &all[g].rows[i];
            lists->reasons[g][i] = reason_of(r);
            lists->n_both[g] += r->in_intra && r->in_inter;
        }
}
