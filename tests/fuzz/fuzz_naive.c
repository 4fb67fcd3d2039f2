/*
 * fuzz_naive.c - what kept rows have to be
 *
 * Rows are chosen one by one, each by looking at all of them.
 */
#include "fuzz_naive.h"

#include <string.h>

/* One list and what it may hold. */
typedef struct list {
    const uint32_t *rows;
    uint32_t count;
    uint32_t n_rows; /* of its heads */
    bool kept[FUZZ_MAX_ROWS];
} list;

static list list_of(const csp_tokens *tokens, const csp_kept *kept, uint32_t i)
{
    list l = {.count = kept->counts[i], .n_rows = fuzz_rows(tokens, i)};

    if (kept->rows != NULL)
        l.rows = kept->rows + (size_t)i * kept->capacity;

    REQUIRE(l.count <= kept->capacity && l.count <= l.n_rows,
            "kept: list %u has %u of %u rows", i, l.count, l.n_rows);
    for (uint32_t j = 0; j < l.count; j++) {
        REQUIRE(l.rows[j] < l.n_rows && (j == 0 || l.rows[j] > l.rows[j - 1]),
                "kept: list %u does not ascend to row %u", i, l.rows[j]);
        l.kept[l.rows[j]] = true;
    }
    return l;
}

static bool is_protected(const csp_config *c, uint32_t n_rows, uint32_t row)
{
    return row < c->sinks || (uint64_t)row + c->recent >= n_rows;
}

static void check_protected(const csp_config *c, const list *l)
{
    for (uint32_t row = 0; row < l->n_rows; row++)
        REQUIRE(l->kept[row] || !is_protected(c, l->n_rows, row),
                "kept: protected row %u of %u is not", row, l->n_rows);
}

static void check_blocks(const csp_config *c, const list *l)
{
    for (uint32_t row = 1; row < l->n_rows; row++)
        REQUIRE(row % c->block == 0 || l->kept[row] == l->kept[row - 1],
                "kept: row %u breaks a block of %u", row, c->block);
}

/* Rows of a head between two tokens. */
static void check_quota(const csp_tokens *tokens, const csp_config *c,
                        uint32_t head, const list *l)
{
    for (uint32_t i = 0; i < tokens->n_spans && c->span_quota > 0; i++) {
        const csp_span *span = &tokens->spans[i];
        uint32_t there = 0, kept = 0;
        for (uint32_t row = 0; row < l->n_rows; row++) {
            const uint32_t token = fuzz_token(tokens, head, row);
            const bool inside = token >= span->begin && token < span->end;
            there += inside;
            kept += inside && l->kept[row];
        }
        REQUIRE(span->modality == 0 ||
                    kept >= (there < c->span_quota ? there : c->span_quota),
                "kept: span %u has %u of its quota %u", i, kept, c->span_quota);
    }
}

/* ---- By hand ------------------------------------------------------------- */

/* The best row of a set by a + b, lowest first; n_rows: there is none. */
static uint32_t best_row(const bool *open, uint32_t n_rows, const float *a,
                         const float *b, bool positive)
{
    uint32_t best = n_rows;
    float highest = 0.0f;

    for (uint32_t row = 0; row < n_rows; row++) {
        const float score = b != NULL ? a[row] + b[row] : a[row];
        if (!open[row] || (positive && !(score > 0.0f)))
            continue;
        if (best == n_rows || score > highest) {
            best = row;
            highest = score;
        }
    }
    return best;
}

/* Add the n best of what is open to 'set'. */
static void add_best(const bool *candidates, uint32_t n_rows, const float *a,
                     const float *b, bool positive, uint64_t n, bool *set)
{
    bool open[FUZZ_MAX_ROWS];

    memcpy(open, candidates, sizeof open);
    for (; n > 0; n--) {
        const uint32_t row = best_row(open, n_rows, a, b, positive);
        if (row == n_rows)
            return;
        open[row] = false;
        set[row] = true;
    }
}

static uint32_t count(const bool *set, uint32_t n_rows)
{
    uint32_t n = 0;

    for (uint32_t row = 0; row < n_rows; row++)
        n += set[row];
    return n;
}

/* Both lists' lengths, by what the budget leaves. */
static void lengths(const csp_config *c, uint64_t room, uint64_t *n_intra,
                    uint64_t *n_inter)
{
    *n_intra = c->n_intra;
    *n_inter = c->n_inter;
    if (c->selection != CSP_EXACT)
        return;
    if (*n_inter > room)
        *n_inter = room;
    if (c->n_intra == CSP_REST || *n_intra > room - *n_inter)
        *n_intra = room - *n_inter;
}

/* The rows that a head keeps. */
static void keep(const csp_config *c, const float *intra, const float *inter,
                 uint32_t n_rows, bool *kept)
{
    bool candidates[FUZZ_MAX_ROWS] = {false};
    bool a[FUZZ_MAX_ROWS] = {false}, b[FUZZ_MAX_ROWS] = {false};
    const bool exact = c->selection == CSP_EXACT;
    uint64_t n_intra, n_inter;

    for (uint32_t row = 0; row < n_rows; row++) {
        kept[row] =
            is_protected(c, n_rows, row) || (exact && c->budget >= n_rows);
        candidates[row] = !kept[row];
    }
    if (count(candidates, n_rows) == 0)
        return;
    lengths(c, exact ? c->budget - count(kept, n_rows) : 0, &n_intra, &n_inter);
    add_best(candidates, n_rows, intra, NULL, exact, n_intra, a);
    add_best(candidates, n_rows, inter, NULL, exact, n_inter, b);
    for (uint32_t row = 0; row < n_rows; row++) {
        kept[row] |= c->selection == CSP_INTERSECTION ? a[row] && b[row]
                                                      : a[row] || b[row];
        candidates[row] = candidates[row] && !kept[row];
    }
    if (exact)
        add_best(candidates, n_rows, intra, inter, false,
                 c->budget - count(kept, n_rows), kept);
}

/* Whether scores are ranked as they are, each head's by itself. */
static bool is_plain(const csp_config *c)
{
    return c->scope == CSP_PER_HEAD && c->block == 1 && !c->weigh_rows &&
           !c->weigh_values && c->pooling == CSP_POOL_NONE && !c->auto_share &&
           c->span_quota == 0 && c->head_floor == 1.0;
}

static void check_plain(const csp_importance *from, const csp_config *c,
                        uint32_t head, const list *l)
{
    const size_t at = (size_t)head * from->capacity;
    bool expected[FUZZ_MAX_ROWS] = {false};

    if (!is_plain(c) || l->n_rows == 0)
        return;
    keep(c, from->intra + at, from->inter + at, l->n_rows, expected);
    for (uint32_t row = 0; row < l->n_rows; row++)
        REQUIRE(expected[row] == l->kept[row],
                "kept: head %u, row %u of %u is %s", head, row, l->n_rows,
                l->kept[row] ? "kept, others are better" : "dropped");
}

/* ---- Counts -------------------------------------------------------------- */

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static void check_count(const csp_config *c, const list *l)
{
    if (c->selection != CSP_EXACT || c->head_floor < 1.0)
        return;
    if (c->block == 1)
        REQUIRE(l->count == least(c->budget, l->n_rows),
                "kept: %u rows of %u, budget %u", l->count, l->n_rows,
                c->budget);
    else
        REQUIRE(l->count <= c->budget, "kept: %u rows, budget %u", l->count,
                c->budget);
}

/* Heads that share a budget keep as much together as apart. */
static void check_total(const csp_tokens *tokens, const csp_config *c,
                        const csp_kept *kept)
{
    uint64_t rows = 0, total = 0;

    if (c->head_floor >= 1.0)
        return;
    for (uint32_t g = 0; g < tokens->n_kv_heads; g++) {
        rows += fuzz_rows(tokens, g);
        total += kept->counts[g];
    }
    const uint64_t budget = (uint64_t)tokens->n_kv_heads * c->budget;
    REQUIRE(total == (budget < rows ? budget : rows),
            "kept: %llu rows in all, budgets of %llu",
            (unsigned long long)total, (unsigned long long)budget);
}

void fuzz_check_kept(const csp_importance *importance, const csp_tokens *tokens,
                     const csp_config *config, const csp_kept *kept)
{
    for (uint32_t i = 0; i < kept->n_lists; i++) {
        const list l = list_of(tokens, kept, i);
        check_protected(config, &l);
        check_blocks(config, &l);
        check_count(config, &l);
        check_quota(tokens, config, i, &l);
        check_plain(importance, config, i, &l);
        REQUIRE(kept->n_both == NULL || kept->n_both[i] <= l.count,
                "kept: list %u has %u rows in both", i, kept->n_both[i]);
    }
    check_total(tokens, config, kept);
}
