/*
 * select.c - importance -> kept rows (E5, E6)
 *
 * Scores become sets: the best by intra, the best by inter, what fills up the
 * budget.  A set has a bit for each candidate, so lists are joined and counted
 * by words, and come out in ascending order.  A row's reason is which sets it
 * is in.
 */
#include "adapt.h"
#include "best.h"
#include "bits.h"
#include "config.h"
#include "kernels.h"
#include "lists.h"
#include "quota.h"
#include "rank.h"
#include "tokens.h"
#include "views.h"

#include <string.h>

typedef struct scratch {
    csp__ranking ranking;
    uint32_t *keys;   /* [n_keys] of candidates */
    uint32_t *active; /* [n_keys] those that a threshold may still be */
    uint64_t *intra;  /* [words] candidates listed by intra */
    uint64_t *inter;  /* [words] by inter */
    uint64_t *filled; /* [words] by what the budget leaves */
    uint64_t *kept;   /* [words] candidates kept */
    uint64_t *quota;  /* [words] by the quotas of spans, if there are any */
    const uint64_t *claimed; /* 'quota' where it claims any, or NULL */
    csp__common common;
} scratch;

static void carve(scratch *s, const csp_tokens *tokens,
                  const csp_config *config, csp__arena *arena)
{
    const size_t words = csp__words(tokens->n_keys);

    csp__ranking_carve(&s->ranking, tokens->n_keys, arena);
    s->keys = csp__arena_take(arena, 1, tokens->n_keys, sizeof(uint32_t));
    s->active = csp__arena_take(arena, 1, tokens->n_keys, sizeof(uint32_t));
    s->intra = csp__arena_take(arena, 1, words, sizeof(uint64_t));
    s->inter = csp__arena_take(arena, 1, words, sizeof(uint64_t));
    s->filled = csp__arena_take(arena, 1, words, sizeof(uint64_t));
    s->kept = csp__arena_take(arena, 1, words, sizeof(uint64_t));
    if (config->span_quota > 0)
        s->quota = csp__arena_take(arena, 1, words, sizeof(uint64_t));
    if (csp__shares_heads(config))
        csp__common_carve(&s->common, tokens, arena);
}

/* Lists in units: with CSP_EXACT no longer than what the budget leaves beside
   protected and claimed units; else as they are, even beyond the candidates. */
static void list_sizes(const csp__units *units, const csp_config *config,
                       uint32_t n_claimed, double share, uint64_t *n_intra,
                       uint64_t *n_inter)
{
    uint64_t inter = config->n_inter / config->block;
    uint64_t intra = config->n_intra / config->block;

    if (config->selection == CSP_EXACT) {
        const uint64_t room = units->budget - n_claimed -
                              (units->n - (units->last - units->first));
        inter = inter < room ? inter : room;
        if (config->n_intra == CSP_REST || intra > room - inter)
            intra = room - inter;
    }
    if (config->auto_share) {
        const uint64_t k = intra + inter;
        inter = (uint64_t)((double)k * share + 0.5);
        intra = k - inter;
    }
    *n_intra = intra;
    *n_inter = inter;
}

/* The n_best of the candidates that no quota claims. */
static void choose_list(const csp__kernels *k, const scratch *s,
                        const float *scores, uint32_t n_claimed, uint32_t least,
                        uint64_t n_best, uint64_t *set)
{
    const csp__units *units = &s->ranking.units;
    const size_t n = units->last - units->first;

    k->order(scores + units->first, NULL, n, s->keys);
    if (n_claimed > 0)
        csp__strike(s->quota, csp__words(n), s->keys);
    csp__choose_best(k, s->keys, n, least, n_best, s->active, set);
}

/* Fill up to the budget by intra + inter, zeros allowed. */
static void fill_up(const csp__kernels *k, const scratch *s)
{
    const csp__units *units = &s->ranking.units;
    const size_t n = units->last - units->first;
    const size_t taken = units->n - n + csp__count_bits(s->kept, csp__words(n));

    k->order(s->ranking.intra + units->first, s->ranking.inter + units->first,
             n, s->keys);
    csp__strike(s->kept, csp__words(n), s->keys);
    csp__choose_best(k, s->keys, n, CSP__ANY, units->budget - taken, s->active,
                     s->filled);
    for (size_t i = 0; i < csp__words(n); i++)
        s->kept[i] |= s->filled[i];
}

/* The sets of a list, 'n_claimed' of them by quotas; scores are in the
   ranking. */
static void choose(const csp__kernels *k, const csp_config *config,
                   uint32_t n_claimed, double share, const scratch *s)
{
    const csp__units *units = &s->ranking.units;
    const bool exact = config->selection == CSP_EXACT;
    const uint32_t least = exact ? CSP__POSITIVE : CSP__ANY;
    const size_t words = csp__words(units->last - units->first);
    uint64_t n_intra, n_inter;

    list_sizes(units, config, n_claimed, share, &n_intra, &n_inter);
    choose_list(k, s, s->ranking.intra, n_claimed, least, n_intra, s->intra);
    choose_list(k, s, s->ranking.inter, n_claimed, least, n_inter, s->inter);
    for (size_t i = 0; i < words; i++)
        s->kept[i] = config->selection == CSP_INTERSECTION
                         ? s->intra[i] & s->inter[i]
                         : s->intra[i] | s->inter[i];
    for (size_t i = 0; i < words && n_claimed > 0; i++)
        s->kept[i] |= s->quota[i];
    if (exact)
        fill_up(k, s);
}

static void choose_all(const scratch *s)
{
    const csp__units *units = &s->ranking.units;
    const size_t words = csp__words(units->last - units->first);

    memset(s->intra, 0, words * sizeof *s->intra);
    memset(s->inter, 0, words * sizeof *s->inter);
    memset(s->kept, 0xff, words * sizeof *s->kept);
}

static void write_list(const scratch *s, const csp_config *config,
                       const uint64_t *set, uint32_t list, const csp_kept *kept)
{
    uint32_t n = 0;

    if (kept->rows != NULL)
        n = csp__list_rows(&s->ranking.units, config->block, set,
                           kept->rows + (size_t)list * kept->capacity);
    kept->counts[list] = n;
}

/* Why the rows of a list are kept that was written, by the sets it is made
   of. */
static void write_reasons(const scratch *s, const csp_config *config,
                          uint32_t list, const csp_kept *kept)
{
    const size_t at = (size_t)list * kept->capacity;
    const csp__sets sets = {s->intra, s->inter, s->claimed};

    if (kept->reasons != NULL && kept->counts[list] > 0)
        csp__list_reasons(&s->ranking.units, config->block, sets,
                          kept->rows + at, kept->counts[list],
                          kept->reasons + at);
}

/* What csp_select is asked to do. */
typedef struct selection {
    const csp__kernels *kernels;
    const csp_importance *importance;
    const csp_tokens *tokens;
    const csp_config *config;
    const csp_kept *kept;
    double share;
} selection;

/* Choose one list's units by these settings, which may have a budget of their
   own, and count those in both lists. */
static void select_list(const selection *j, const csp_config *config,
                        uint32_t list, scratch *s)
{
    const uint32_t end =
        config->scope == CSP_PER_HEAD ? list + 1 : j->tokens->n_kv_heads;
    csp__units *units = &s->ranking.units;

    s->claimed = NULL;
    csp__units_of(csp__count(j->tokens, list), config, units);
    if (units->keep_all) {
        choose_all(s);
    } else {
        csp_config rest = *config;
        const uint32_t n_claimed =
            csp__quota_size(j->tokens, list, config, units);
        csp__rank(&s->ranking, j->importance, list, end, config);
        if (n_claimed > 0) {
            csp__quota_choose(j->kernels, j->tokens, list, config, &s->ranking,
                              s->keys, s->active, s->filled, s->quota);
            s->claimed = s->quota;
            /* From the settings as given: lists are rounded once. */
            rest = csp__with_budget(j->config, config->budget - n_claimed);
        }
        choose(j->kernels, &rest, n_claimed, j->share, s);
    }
    if (j->kept->n_both != NULL)
        j->kept->n_both[list] =
            csp__rows_in_both(units, config->block, s->intra, s->inter);
}

static void select_apart(const selection *j, scratch *s)
{
    for (uint32_t list = 0; list < j->kept->n_lists; list++) {
        select_list(j, j->config, list, s);
        write_list(s, j->config, s->kept, list, j->kept);
        write_reasons(s, j->config, list, j->kept);
    }
}

/* Each head first what is its own, then the best of all heads. */
static void select_together(const selection *j, scratch *s)
{
    const csp_config *config = j->config;
    const size_t stride = j->kept->capacity;
    csp__units *units = &s->ranking.units;
    uint64_t left = csp__shared_rows(j->tokens, config);

    for (uint32_t g = 0; g < j->kept->n_lists; g++) {
        csp__units_of(csp__count(j->tokens, g), config, units);
        const uint32_t n_claimed = csp__quota_size(j->tokens, g, config, units);
        const uint32_t n_own = csp__own_rows(j->tokens, g, config, n_claimed);
        const csp_config own = csp__with_budget(config, n_own);
        select_list(j, &own, g, s);
        if (j->kept->reasons != NULL) { /* while its sets are there */
            write_list(s, config, s->kept, g, j->kept);
            write_reasons(s, config, g, j->kept);
        }
        csp__common_add(j->kernels, &s->ranking, s->kept, g, &s->common);
        left -= n_own;
    }
    csp__common_choose(j->kernels, left, &s->common);
    for (uint32_t g = 0; g < j->kept->n_lists; g++) {
        csp__units_of(csp__count(j->tokens, g), config, units);
        write_list(s, config, csp__common_kept(&s->common, g), g, j->kept);
        if (j->kept->reasons != NULL && j->kept->counts[g] > 0)
            csp__common_reasons(&s->common, g, units,
                                j->kept->rows + g * stride, j->kept->counts[g],
                                j->kept->reasons + g * stride);
    }
}

static csp_status check_importance(const csp__kernels *k,
                                   const csp_importance *importance,
                                   const csp_tokens *tokens,
                                   const csp_config *config)
{
    if (tokens->n_keys == 0)
        return CSP_OK;
    if (importance->intra == NULL || importance->inter == NULL ||
        (config->weigh_values && importance->value_norm == NULL) ||
        (config->weigh_rows &&
         (importance->intra_rows == NULL || importance->inter_rows == NULL)))
        return CSP_E_NULL;
    if (importance->capacity < tokens->n_keys)
        return CSP_E_CAPACITY;
    if (csp__check_array(tokens->n_kv_heads, importance->capacity) != CSP_OK)
        return CSP_E_OVERFLOW;
    for (uint32_t g = 0; g < tokens->n_kv_heads; g++) {
        size_t at = (size_t)g * importance->capacity;
        size_t n = csp__count(tokens, g);
        if (!k->all_finite(importance->intra + at, n) ||
            !k->all_finite(importance->inter + at, n) ||
            (config->weigh_values &&
             !k->all_finite(importance->value_norm + at, n)) ||
            (config->weigh_rows &&
             (!k->all_finite(importance->intra_rows + at, n) ||
              !k->all_finite(importance->inter_rows + at, n))))
            return CSP_E_NOT_FINITE;
    }
    return CSP_OK;
}

static csp_status check_kept_room(const csp_tokens *tokens,
                                  const csp_config *config,
                                  const csp_kept *kept)
{
    uint32_t n_lists = config->scope == CSP_PER_HEAD ? tokens->n_kv_heads : 1;

    if (kept->n_lists != n_lists)
        return CSP_E_SHAPE;
    if (n_lists == 1)
        for (uint32_t g = 1; g < tokens->n_kv_heads; g++)
            if (csp__count(tokens, g) != csp__count(tokens, 0))
                return CSP_E_SHAPE;
    uint32_t bound = csp_kept_bound(tokens, config);
    if (kept->counts == NULL || (kept->rows == NULL && bound > 0))
        return CSP_E_NULL;
    if (kept->capacity < bound)
        return CSP_E_CAPACITY;
    return csp__check_array(n_lists, kept->capacity);
}

/* Whether the protected units of every list, and what quotas claim, fit the
   budget. */
static csp_status check_units(const csp_tokens *tokens,
                              const csp_config *config, uint32_t n_lists)
{
    csp__units units;

    for (uint32_t list = 0; list < n_lists; list++) {
        csp_status status =
            csp__units_of(csp__count(tokens, list), config, &units);
        if (status != CSP_OK)
            return status;
        if (!units.keep_all &&
            csp__quota_size(tokens, list, config, &units) >
                units.budget - (units.n - (units.last - units.first)))
            return CSP_E_BUDGET;
    }
    return CSP_OK;
}

uint32_t csp_kept_bound(const csp_tokens *tokens, const csp_config *config)
{
    if (tokens == NULL || tokens->n_kv_heads == 0 ||
        csp__check_selection(config) != CSP_OK)
        return 0;
    uint64_t bound = config->budget;
    if (csp__shares_heads(config))
        bound = csp__shared_bound(tokens, config);
    if (config->selection !=
        CSP_EXACT) /* both lists; protected blocks reach over edges */
        bound = (uint64_t)config->n_intra + config->n_inter + config->sinks +
                config->recent + 2 * ((uint64_t)config->block - 1);
    return bound < tokens->n_keys ? (uint32_t)bound : tokens->n_keys;
}

size_t csp_select_workspace_size(const csp_tokens *tokens,
                                 const csp_config *config)
{
    csp__arena arena = {0};
    scratch s = {0};

    if (tokens == NULL || tokens->n_kv_heads == 0 ||
        csp__check_selection(config) != CSP_OK)
        return 0;
    carve(&s, tokens, config, &arena);
    return csp__arena_size(&arena);
}

csp_status csp_select(const csp_importance *importance,
                      const csp_tokens *tokens, const csp_config *config,
                      void *workspace, size_t workspace_size,
                      const csp_kept *kept)
{
    csp__kernels kernels;
    scratch s = {0};
    double share = 0.0;

    if (importance == NULL || tokens == NULL || config == NULL ||
        kept == NULL || workspace == NULL)
        return CSP_E_NULL;
    csp_status status = csp__check_selection(config);
    if (status != CSP_OK)
        return status;
    if ((status = csp__check_tokens(tokens)) != CSP_OK ||
        (status = check_kept_room(tokens, config, kept)) != CSP_OK ||
        (status = check_units(tokens, config, kept->n_lists)) != CSP_OK)
        return status;
    size_t needed = csp_select_workspace_size(tokens, config);
    status = csp__check_workspace(workspace, workspace_size, needed);
    if (status != CSP_OK)
        return status;
    csp__kernels_choose(&config->compute, &kernels);
    if ((status = check_importance(&kernels, importance, tokens, config)) !=
        CSP_OK)
        return status;

    csp__arena arena = csp__arena_over(workspace);
    carve(&s, tokens, config, &arena);
    if (config->auto_share)
        share =
            csp__auto_share(&kernels, &s.ranking, importance, tokens, config);
    const selection job = {&kernels, importance, tokens, config, kept, share};
    if (csp__shares_heads(config))
        select_together(&job, &s);
    else
        select_apart(&job, &s);
    return CSP_OK;
}
