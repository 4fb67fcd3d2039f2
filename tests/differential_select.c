/*
 * differential_select.c - kept rows and their report against the oracle
 *
 * Scores are float32 here and float64 there, so where they are computed from
 * importance (weights, heads, pooling, blocks) nearly equal ones may change
 * places.  Such a choice stands only with a witness: scores that differ from
 * the oracle's by less than one part in 10^6 each, and of which the choice is
 * exactly the right one.
 */
#include "differential.h"

#include <math.h>
#include <string.h>

#define TIE_BOUND 1e-6
#define N_WITNESSES 64

/* ---- Lists --------------------------------------------------------------- */

/* A list as the reason of each row, 0 where dropped; requires that it ascends
   and stays inside. */
static void read_list(diff_case *c, uint32_t list, uint32_t n_rows,
                      uint8_t *reasons)
{
    uint32_t count;
    const uint32_t *rows = kept_of(&c->kept, list, &count);
    const uint8_t *given = c->kept.reasons + (rows - c->kept.rows);
    memset(reasons, 0, n_rows);
    require(c, count <= n_rows, "select: %u of %u rows", count, n_rows);
    for (uint32_t i = 0; i < count; i++) {
        require(c, rows[i] < n_rows && (i == 0 || rows[i] > rows[i - 1]),
                "select: list %u does not ascend at %u", list, i);
        require(c, given[i] != 0, "select: list %u, row %u for no reason", list,
                rows[i]);
        reasons[rows[i]] = given[i];
    }
}

/* What holds of every selection, whatever the scores. */
static void require_contract(diff_case *c, uint32_t list, uint32_t n_rows,
                             const uint8_t *reasons)
{
    const csp_config *config = &c->config;
    const uint32_t count = c->kept.counts[list];
    const bool exact = config->selection == CSP_EXACT;
    require(c, count <= csp_kept_bound(&c->tokens, config),
            "select: above the bound");
    if (exact && (config->block == 1 || n_rows <= config->budget))
        require(c, count == (n_rows < config->budget ? n_rows : config->budget),
                "select: list %u has %u rows of a budget of %u", list, count,
                config->budget);
    require(c, !exact || count <= config->budget, "select: above the budget");
    for (uint32_t k = 0; k < n_rows; k++) {
        const bool is_protected =
            k < config->sinks || n_rows - k <= config->recent;
        require(c, reasons[k] != 0 || !is_protected,
                "select: protected row %u was dropped", k);
    }
    if (exact && config->block == 1 && count < n_rows)
        cover(c, F6_BUDGET_MET);
}

/* ---- Choice -------------------------------------------------------------- */

/* The choice of one list: what the library made, and what the oracle makes. */
typedef struct list_choice {
    const uint8_t *actual; /* reasons, as the other */
    uint32_t actual_both;
    uint8_t expected[ORACLE_MAX_KEYS];
    uint32_t n_both;
} list_choice;

static bool is_same(list_choice *choice, const csp_config *config,
                    const oracle_ranking *ranking, oracle_quota quota)
{
    choice->n_both = oracle_choose(config, ranking, quota, choice->expected);
    return choice->n_both == choice->actual_both &&
           memcmp(choice->expected, choice->actual, ranking->n_rows) == 0;
}

/* Which way a score by intra (0), by inter (1) or by both (2) has to move, for
   a row of that reason to come out: up if listed by it, down if dropped. */
static double direction(uint8_t reason, int by)
{
    const uint8_t list = by == 0 ? CSP_REASON_INTRA : CSP_REASON_INTER;

    if (reason == 0)
        return -1.0;
    if (by == 2 || reason == list || reason == CSP_REASON_BOTH)
        return 1.0;
    return reason == CSP_REASON_FILLED ? 0.0 : -1.0;
}

/* Move each score by at most TIE_BOUND: for what the library listed by it and
   against what it did not, or at random. */
static void nudge(diff_case *c, const list_choice *choice, bool at_random,
                  const oracle_ranking *ranking, oracle_ranking *nudged)
{
    for (uint32_t k = 0; k < ranking->n_rows; k++) {
        double factors[3];
        for (int i = 0; i < 3; i++) {
            const double drawn = 2.0 * random_unit(&c->random) - 1.0;
            const double wanted = direction(choice->actual[k], i);
            factors[i] = 1.0 + TIE_BOUND * (at_random ? drawn : wanted);
        }
        nudged->intra[k] = ranking->intra[k] * factors[0];
        nudged->inter[k] = ranking->inter[k] * factors[1];
        nudged->both[k] = ranking->both[k] * factors[2];
    }
}

/* Whether no score of 'witness' is off by more than TIE_BOUND. */
static bool is_close(const oracle_ranking *witness,
                     const oracle_ranking *ranking)
{
    for (uint32_t k = 0; k < ranking->n_rows; k++) {
        if (!is_near(witness->intra[k], ranking->intra[k], TIE_BOUND, 0.0) ||
            !is_near(witness->inter[k], ranking->inter[k], TIE_BOUND, 0.0) ||
            !is_near(witness->both[k], ranking->both[k], TIE_BOUND, 0.0))
            return false;
    }
    return true;
}

static oracle_ranking take_ranking(diff_case *c)
{
    const uint32_t n = c->layer.n_keys;
    return (oracle_ranking){.intra = take_plain(c, n, sizeof(double)),
                            .inter = take_plain(c, n, sizeof(double)),
                            .both = take_plain(c, n, sizeof(double))};
}

/* Look for scores next to the oracle's that give the library's choice: first
   those that come out when every step is rounded to float32. */
static bool has_witness(diff_case *c, uint32_t list, list_choice *choice,
                        const oracle_ranking *ranking, oracle_quota quota)
{
    oracle_ranking witness = take_ranking(c);
    oracle_rank(&c->importance, &c->layer, &c->config, list, true, &witness);
    if (is_close(&witness, ranking) &&
        is_same(choice, &c->config, &witness, quota))
        return true;
    for (uint32_t i = 0; i < N_WITNESSES; i++) {
        nudge(c, choice, i > 0, ranking, &witness);
        if (is_same(choice, &c->config, &witness, quota))
            return true;
    }
    return false;
}

/* Whether the choice, not the oracle's, is one that rounding may lead to. */
static bool is_tie(diff_case *c, uint32_t list, list_choice *choice,
                   const oracle_ranking *ranking, oracle_quota quota)
{
    const bool rounds = !oracle_rank_is_exact(&c->layer, &c->config);
    if (rounds && has_witness(c, list, choice, ranking, quota))
        return true;
    if (!quota.near_half)
        return false;
    /* Half a row of share: the other way, then. */
    const uint32_t k = quota.n_intra + quota.n_inter;
    for (uint32_t up = 0; up < 2; up++) {
        oracle_quota other = quota;
        other.n_inter = up ? quota.n_inter + 1 : quota.n_inter - 1;
        other.n_intra = k - other.n_inter;
        if (other.n_inter <= k &&
            (is_same(choice, &c->config, ranking, other) ||
             (rounds && has_witness(c, list, choice, ranking, other))))
            return true;
    }
    return false;
}

static void require_same(diff_case *c, uint32_t list, list_choice *choice,
                         const oracle_ranking *ranking, oracle_quota quota)
{
    if (is_same(choice, &c->config, ranking, quota))
        return;
    if (is_tie(c, list, choice, ranking, quota)) {
        c->tally->n_ties++;
        return;
    }
    is_same(choice, &c->config, ranking, quota);
    for (uint32_t k = 0; k < ranking->n_rows; k++)
        require(c, choice->expected[k] == choice->actual[k],
                "select: list %u, row %u for reason %u, expected %u "
                "(intra %.9g, inter %.9g; lists %u + %u)",
                list, k, choice->actual[k], choice->expected[k],
                ranking->intra[k], ranking->inter[k], quota.n_intra,
                quota.n_inter);
    require(c, false, "select: list %u has %u rows in both lists instead of %u",
            list, choice->actual_both, choice->n_both);
}

/* ---- Coverage ------------------------------------------------------------ */

static bool is_candidate(const csp_config *config, uint32_t n_rows, uint32_t k)
{
    return !oracle_protected(config, n_rows, k / config->block);
}

/* Returns whether there was something to choose: candidates of different
   scores, some kept and some dropped. */
static bool cover_choice(diff_case *c, const list_choice *choice,
                         const oracle_ranking *ranking)
{
    double kept_low = (double)INFINITY, kept_high = 0.0,
           protected_low = (double)INFINITY;
    double dropped_low = (double)INFINITY, dropped_high = -1.0;
    double intra = 0.0, inter = 0.0;
    for (uint32_t k = 0; k < ranking->n_rows; k++) {
        const double score = ranking->both[k];
        intra += ranking->intra[k];
        inter += ranking->inter[k];
        if (!is_candidate(&c->config, ranking->n_rows, k)) {
            protected_low = fmin(protected_low, score);
        } else if (choice->actual[k]) {
            kept_low = fmin(kept_low, score);
            kept_high = fmax(kept_high, score);
        } else {
            dropped_low = fmin(dropped_low, score);
            dropped_high = fmax(dropped_high, score);
        }
    }
    const bool chosen = kept_low <= kept_high && dropped_low <= dropped_high;
    if (protected_low < dropped_high)
        cover(c, F5_WEAK_PROTECTED);
    if (ranking->n_rows > 0 && (intra == 0.0 || inter == 0.0))
        cover(c, F10_ONE_MODALITY);
    if (chosen && kept_low == dropped_high)
        cover(c, F11_TIES);
    if (choice->actual_both > 0)
        cover(c, F7_IN_BOTH_LISTS);
    return chosen && !(kept_low == kept_high && kept_low == dropped_low &&
                       kept_low == dropped_high);
}

/* ---- Select -------------------------------------------------------------- */

static csp_status expected_status(const diff_case *c)
{
    const csp_config *config = &c->config;
    for (uint32_t list = 0; list < c->kept.n_lists; list++) {
        const uint32_t n_rows = c->layer.n_rows[list];
        if (config->selection == CSP_EXACT && n_rows > config->budget &&
            oracle_n_protected(config, n_rows) > config->budget / config->block)
            return CSP_E_BUDGET;
    }
    return CSP_OK;
}

static void take_kept(diff_case *c)
{
    const bool shared = c->config.scope != CSP_PER_HEAD;
    csp_kept *kept = &c->kept;
    *kept = (csp_kept){.n_lists = shared ? 1 : c->layer.n_kv_heads,
                       .capacity = csp_kept_bound(&c->tokens, &c->config) +
                                   random_below(&c->random, 3)};
    const size_t n = kept->n_lists;
    kept->rows =
        arena_take(&c->arena, sizeof(uint32_t) * n * kept->capacity, 0);
    kept->counts = arena_take(&c->arena, sizeof(uint32_t) * n, 0);
    kept->n_both = arena_take(&c->arena, sizeof(uint32_t) * n, 0);
    kept->reasons = arena_take(&c->arena, n * kept->capacity, 0);
}

static void compare_lists(diff_case *c)
{
    double *scratch =
        take_plain(c, 2 * (size_t)c->layer.n_keys, sizeof(double));
    const double share =
        oracle_share(&c->importance, &c->layer, &c->config, scratch);
    oracle_ranking ranking = take_ranking(c);
    bool chosen = false;
    for (uint32_t list = 0; list < c->kept.n_lists; list++) {
        const size_t at = (size_t)list * c->kept.capacity;
        uint8_t reasons[ORACLE_MAX_KEYS];
        const uint32_t n_rows = c->layer.n_rows[list];
        read_list(c, list, n_rows, reasons);
        require_contract(c, list, n_rows, reasons);
        oracle_rank(&c->importance, &c->layer, &c->config, list, false,
                    &ranking);
        const oracle_quota quota = oracle_count(&c->config, n_rows, share);
        list_choice choice = {.actual = reasons,
                              .actual_both = c->kept.n_both[list]};
        require_same(c, list, &choice, &ranking, quota);
        chosen |= cover_choice(c, &choice, &ranking);
        if (c->config.auto_share && quota.n_intra + quota.n_inter > 0)
            cover(c, F8_SHARE_ROUNDED);
        arena_accept(&c->arena, c->kept.rows + at,
                     c->kept.counts[list] * sizeof(uint32_t));
        arena_accept(&c->arena, c->kept.reasons + at, c->kept.counts[list]);
    }
    c->tally->n_selections += chosen;
}

/* Near the smallest float32 numbers no relative bound holds, so where scores
   are computed from importance, it is not that small. */
static void drop_tiny(diff_case *c)
{
    const csp_importance *importance = &c->importance;
    for (uint32_t g = 0; g < c->layer.n_kv_heads; g++) {
        for (uint32_t k = 0; k < c->layer.n_rows[g]; k++) {
            const size_t at = (size_t)g * importance->capacity + k;
            if (importance->intra[at] < 1e-30f)
                importance->intra[at] = 0.0f;
            if (importance->inter[at] < 1e-30f)
                importance->inter[at] = 0.0f;
        }
    }
}

void check_select(diff_case *c)
{
    draw_selection(c);
    if (random_chance(&c->random, 40))
        draw_synthetic(c);
    else if (!oracle_rank_is_exact(&c->layer, &c->config))
        drop_tiny(c);
    take_kept(c);
    const size_t size = csp_select_workspace_size(&c->tokens, &c->config);
    require(c, size > 0, "select: no workspace size");
    void *workspace = take_workspace(c, size);

    arena_snapshot(&c->arena);
    const csp_status expected = expected_status(c);
    const csp_status status = csp_select(&c->importance, &c->tokens, &c->config,
                                         workspace, size, &c->kept);
    require(c, status == expected, "select: %s instead of %s",
            csp_status_string(status), csp_status_string(expected));
    arena_accept(&c->arena, workspace, size);
    c->has_kept = status == CSP_OK;
    if (c->has_kept) {
        compare_lists(c);
        arena_accept(&c->arena, c->kept.counts,
                     c->kept.n_lists * sizeof(uint32_t));
        arena_accept(&c->arena, c->kept.n_both,
                     c->kept.n_lists * sizeof(uint32_t));
    }
    require_intact(c, "select");
}
