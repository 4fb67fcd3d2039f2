/*
 * select.c - importance -> kept rows (E5, E6)
 *
 * A list's k best are found by their threshold: scores become unsigned keys of
 * the same order, and the k-th largest key is built bit by bit, counting how
 * many keys reach each trial.  No sorting, no data-dependent branches, and
 * ties fall to the lowest rows by themselves when the keys are walked in
 * order.
 */
#include "config.h"
#include "kernels.h"
#include "numeric.h"
#include "rank.h"
#include "tokens.h"
#include "views.h"

#include <string.h>

/* Why a unit is kept. */
enum { PROTECTED = 1, IN_INTRA = 2, IN_INTER = 4, FILLED = 8 };

typedef struct scratch {
    csp__ranking ranking;
    uint32_t *keys; /* [n_keys] of candidates */
    uint8_t *marks; /* [n_keys] of units */
} scratch;

static void carve(scratch *s, const csp_tokens *tokens, csp__arena *arena)
{
    csp__ranking_carve(&s->ranking, tokens->n_keys, arena);
    s->keys = csp__arena_take(arena, 1, tokens->n_keys, sizeof(uint32_t));
    s->marks = csp__arena_take(arena, 1, tokens->n_keys, 1);
}

/* Put 'mark' on the k largest keys; 0 is no candidate.  Lowest index first on
   ties. */
static void mark_best(const csp__kernels *k, const uint32_t *keys, size_t n,
                      uint64_t n_best, uint8_t mark, uint8_t *marks)
{
    uint32_t threshold = 0;
    size_t ties = 0;

    if (n_best == 0)
        return;
    if (k->count_at_least(keys, n, 1) > n_best) {
        for (uint32_t bit = 0x80000000u; bit != 0; bit >>= 1)
            if (k->count_at_least(keys, n, threshold | bit) >= n_best)
                threshold |= bit;
        size_t above = threshold < UINT32_MAX
                           ? k->count_at_least(keys, n, threshold + 1)
                           : 0;
        ties = (size_t)n_best - above;
    }
    for (size_t i = 0; i < n; i++) {
        if (keys[i] > threshold)
            marks[i] |= mark;
        else if (keys[i] == threshold && ties > 0) {
            marks[i] |= mark;
            ties--;
        }
    }
}

/* Lists in units: with CSP_EXACT no longer than what the budget leaves beside
   protected units; else as they are, even beyond the candidates. */
static void list_sizes(const csp__units *units, const csp_config *config,
                       double share, uint64_t *n_intra, uint64_t *n_inter)
{
    uint64_t inter = config->n_inter / config->block;
    uint64_t intra = config->n_intra / config->block;

    if (config->selection == CSP_EXACT) {
        const uint64_t room =
            units->budget - (units->n - (units->last - units->first));
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

/* Keys of the candidates' scores; with 'positive', only of those above zero. */
static void make_keys(const float *scores, size_t n, bool positive,
                      uint32_t *keys)
{
    for (size_t i = 0; i < n; i++)
        keys[i] =
            positive && !(scores[i] > 0.0f) ? 0 : csp__order_of(scores[i]);
}

/* Fill up to the budget by intra + inter, zeros allowed. */
static void fill_up(const csp__kernels *k, scratch *s)
{
    const csp__units *units = &s->ranking.units;
    const float *intra = s->ranking.intra + units->first;
    const float *inter = s->ranking.inter + units->first;
    uint8_t *marks = s->marks + units->first;
    const size_t n = units->last - units->first;
    size_t taken = units->n - n;

    for (size_t i = 0; i < n; i++) {
        taken += marks[i] != 0;
        s->keys[i] = marks[i] != 0 ? 0 : csp__order_of(intra[i] + inter[i]);
    }
    mark_best(k, s->keys, n, units->budget - taken, FILLED, marks);
}

static bool is_kept(uint8_t marks, csp_selection selection)
{
    if (selection == CSP_INTERSECTION && (marks & PROTECTED) == 0)
        return (marks & IN_INTRA) != 0 && (marks & IN_INTER) != 0;
    return marks != 0;
}

/* Mark every unit of a list; scores are in the ranking. */
static void mark_units(const csp__kernels *k, const csp_config *config,
                       double share, scratch *s)
{
    const csp__units *units = &s->ranking.units;
    const bool exact = config->selection == CSP_EXACT;
    const size_t n = units->last - units->first;
    uint8_t *marks = s->marks + units->first;
    uint64_t n_intra, n_inter;

    memset(s->marks, PROTECTED, units->n);
    memset(marks, 0, n);
    if (units->keep_all) {
        memset(marks, FILLED, n);
        return;
    }
    list_sizes(units, config, share, &n_intra, &n_inter);
    make_keys(s->ranking.intra + units->first, n, exact, s->keys);
    mark_best(k, s->keys, n, n_intra, IN_INTRA, marks);
    make_keys(s->ranking.inter + units->first, n, exact, s->keys);
    mark_best(k, s->keys, n, n_inter, IN_INTER, marks);
    if (exact)
        fill_up(k, s);
}

static void write_list(const scratch *s, const csp_config *config,
                       uint32_t list, const csp_kept *kept)
{
    const csp__units *units = &s->ranking.units;
    uint32_t *rows = kept->rows;
    uint32_t n_kept = 0;
    uint32_t n_both = 0;
    uint32_t row = 0;

    if (rows != NULL)
        rows += (size_t)list * kept->capacity;
    for (uint32_t u = 0; u < units->n; u++) {
        uint32_t left = units->n_rows - row;
        uint32_t end = row + (left < config->block ? left : config->block);
        if ((s->marks[u] & IN_INTRA) != 0 && (s->marks[u] & IN_INTER) != 0)
            n_both += end - row;
        if (is_kept(s->marks[u], config->selection))
            for (uint32_t i = row; i < end; i++)
                rows[n_kept++] = i;
        row = end;
    }
    kept->counts[list] = n_kept;
    if (kept->n_both != NULL)
        kept->n_both[list] = n_both;
}

static bool all_finite(const float *x, size_t n)
{
    bool finite = true;

    for (size_t i = 0; i < n; i++)
        finite &= csp__is_finite(x[i]);
    return finite;
}

static csp_status check_importance(const csp_importance *importance,
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
        if (!all_finite(importance->intra + at, n) ||
            !all_finite(importance->inter + at, n) ||
            (config->weigh_values &&
             !all_finite(importance->value_norm + at, n)) ||
            (config->weigh_rows &&
             (!all_finite(importance->intra_rows + at, n) ||
              !all_finite(importance->inter_rows + at, n))))
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

uint32_t csp_kept_bound(const csp_tokens *tokens, const csp_config *config)
{
    if (tokens == NULL || tokens->n_kv_heads == 0 ||
        csp__check_selection(config) != CSP_OK)
        return 0;
    uint64_t bound = config->budget;
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
    scratch s;

    if (tokens == NULL || tokens->n_kv_heads == 0 ||
        csp__check_selection(config) != CSP_OK)
        return 0;
    carve(&s, tokens, &arena);
    return csp__arena_size(&arena);
}

csp_status csp_select(const csp_importance *importance,
                      const csp_tokens *tokens, const csp_config *config,
                      void *workspace, size_t workspace_size,
                      const csp_kept *kept)
{
    csp__kernels kernels;
    scratch s;
    double share = 0.0;

    if (importance == NULL || tokens == NULL || config == NULL ||
        kept == NULL || workspace == NULL)
        return CSP_E_NULL;
    csp_status status = csp__check_selection(config);
    if (status != CSP_OK)
        return status;
    if ((status = csp__check_tokens(tokens)) != CSP_OK ||
        (status = check_kept_room(tokens, config, kept)) != CSP_OK)
        return status;
    for (uint32_t list = 0; list < kept->n_lists; list++)
        if ((status = csp__units_of(csp__count(tokens, list), config,
                                    &s.ranking.units)) != CSP_OK)
            return status;
    size_t needed = csp_select_workspace_size(tokens, config);
    status = csp__check_workspace(workspace, workspace_size, needed);
    if (status != CSP_OK)
        return status;
    if ((status = check_importance(importance, tokens, config)) != CSP_OK)
        return status;

    csp__arena arena = csp__arena_over(workspace);
    carve(&s, tokens, &arena);
    csp__kernels_choose(&config->compute, &kernels);
    if (config->auto_share)
        share = csp__auto_share(&s.ranking, importance, tokens, config);
    for (uint32_t list = 0; list < kept->n_lists; list++) {
        uint32_t end =
            config->scope == CSP_PER_HEAD ? list + 1 : tokens->n_kv_heads;
        csp__units_of(csp__count(tokens, list), config, &s.ranking.units);
        if (!s.ranking.units.keep_all)
            csp__rank(&s.ranking, importance, list, end, config);
        mark_units(&kernels, config, share, &s);
        write_list(&s, config, list, kept);
    }
    return CSP_OK;
}
