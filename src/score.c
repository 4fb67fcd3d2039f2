/*
 * score.c - attention -> importance (E1, E2)
 *
 * For each KV head, query rows are taken modality by modality.  Then one array
 * of column sums is enough: what it holds after the rows of modality m is
 * intra for keys of m and inter for all others, selected, never multiplied by
 * a mask.
 *
 * A row costs one pass.  Its exponentials need a shift; instead of looking for
 * the row's maximum first, the shift of the row before serves as a guess, and
 * a sum out of the safe range sends the row round again with its own maximum.
 * Its weight 1 / (n + sum) is known when its pass ends, so its exponentials
 * are added to the column sums during the pass of the next row.
 */
#include <string.h>

#include "config.h"
#include "exps.h"
#include "numeric.h"
#include "pieces.h"
#include "rows.h"
#include "tokens.h"
#include "views.h"

/* Rows that meet BLAS together, and exponentials. */
#define MAX_BLAS_ROWS 16u
#define MAX_BLAS_LOGITS (UINT32_C(1) << 17)

typedef struct scratch {
    csp__feed feed;
    float *e;                /* [e_rows][n_keys] exponentials */
    uint32_t e_rows;         /* more than one for BLAS */
    bool in_pieces;          /* no row is kept; e is [CSP__PIECE_KEYS] */
    float *sums;             /* [n_keys] column sums of one modality's rows */
    uint32_t *queries;       /* [n_queries] voting rows */
    uint32_t *chosen;        /* [n_queries] those of one modality */
    uint8_t *query_modality; /* [n_queries] */
} scratch;

/* Rows of exponentials that meet BLAS together: no more than a cache holds. */
static uint32_t blas_rows(uint32_t n_keys)
{
    uint32_t rows = n_keys > 0 ? MAX_BLAS_LOGITS / n_keys : MAX_BLAS_ROWS;

    rows = rows > MAX_BLAS_ROWS ? MAX_BLAS_ROWS : rows;
    return rows > 0 ? rows : 1;
}

/*
 * Floats between e and sums.  A load whose address has the low 12 bits of a
 * store still under way waits for that store, so arrays walked together must
 * not begin at like places of their pages: sums begins 5/8 of a page behind.
 */
static size_t gap_behind(uint32_t n_keys)
{
    const uint32_t page = 4096 / sizeof(float);
    const uint32_t used = n_keys % page;

    return n_keys < page ? 0 : (page + page / 8 * 5 - used) % page;
}

static void carve(scratch *s, const csp__window *w, const csp_config *config,
                  csp__arena *arena)
{
    const uint32_t n_keys = w->tokens->n_keys;
    const bool blas = config->compute.column_sums == CSP_PATH_BLAS;

    s->in_pieces = csp__in_pieces(w);
    if (s->in_pieces) {
        csp__feed_carve(&s->feed, w, CSP__PIECE_ROWS, CSP__PIECE_KEYS, arena);
        s->e = csp__arena_take(arena, 1, CSP__PIECE_KEYS, sizeof(float));
    } else {
        csp__feed_carve(&s->feed, w, w->tile_rows, n_keys, arena);
        s->e_rows = blas ? blas_rows(n_keys) : 1;
        s->e = csp__arena_take(arena, s->e_rows, n_keys, sizeof(float));
        csp__arena_take(arena, 1, gap_behind(n_keys), sizeof(float));
    }
    s->sums = csp__arena_take(arena, 1, n_keys, sizeof(float));
    s->queries = csp__arena_take(arena, 1, w->n_queries, sizeof(uint32_t));
    s->chosen = csp__arena_take(arena, 1, w->n_queries, sizeof(uint32_t));
    s->query_modality = csp__arena_take(arena, 1, w->n_queries, 1);
}

static csp_status check(const csp_attention *attention,
                        const csp_tokens *tokens, const csp_config *config,
                        bool shapes_only, csp__window *window)
{
    csp_status status = csp__check_voting(config);

    if (status != CSP_OK)
        return status;
    status = csp__check_window(attention, tokens, shapes_only, window);
    if (status != CSP_OK)
        return status;
    if (attention->source == CSP_PROBABILITIES && attention->lse.data == NULL &&
        config->n > 0.0 && !shapes_only)
        return CSP_E_CONFIG;
    return CSP_OK;
}

static csp_status check_importance(const csp_importance *importance,
                                   const csp_tokens *tokens)
{
    if (importance == NULL)
        return CSP_E_NULL;
    if (tokens->n_keys == 0)
        return CSP_OK;
    if (importance->intra == NULL || importance->inter == NULL ||
        (importance->intra_rows == NULL) != (importance->inter_rows == NULL))
        return CSP_E_NULL;
    if (importance->capacity < tokens->n_keys)
        return CSP_E_CAPACITY;
    return csp__check_array(tokens->n_kv_heads, importance->capacity);
}

/* A scale for the rows to come, and n in it. */
typedef struct guess {
    int shift;
    double sink;
} guess;

static guess guess_of(int shift, double n)
{
    const csp__exps exps = {.shift = shift};

    return (guess){.shift = shift, .sink = csp__sink(&exps, n)};
}

/* The row whose exponentials wait in e for their weight's turn. */
typedef struct pending {
    float weight;
    size_t n;
} pending;

/* e[0..n) of 'row' and its weight, adding the pending row on the way. */
static csp_status step(const csp__kernels *k, double n_softmax,
                       const csp__row *row, guess *by, pending *p, float *e,
                       float *sums)
{
    const size_t n = row->n;

    if (p->n > n) /* what the pending row has beyond this one */
        k->add_row[CSP_F32](e + n, p->n - n, p->weight, sums + n);
    else
        memset(e + p->n, 0, (n - p->n) * sizeof *e);
    double sum =
        k->weigh_row[row->dtype](row->x, n, by->shift, p->weight, e, sums);
    k->pass_over((const unsigned char *)row->x +
                     n * csp__dtype_size(row->dtype),
                 row->skipped);
    double total = by->sink + sum;
    if (!csp__scale_is_safe(sum, total)) {
        csp__exps exps;
        csp_status status =
            csp__exp_exactly(k, row->dtype, row->x, n, e, &exps);
        if (status != CSP_OK)
            return status;
        sum = exps.sum;
        total = csp__sink(&exps, n_softmax) + sum;
        *by = guess_of(csp__guess(exps.shift), n_softmax);
    }
    p->weight = csp__weight(sum, total);
    p->n = n;
    return CSP_OK;
}

static csp_status sum_logits(const csp__kernels *k, const csp_config *config,
                             scratch *s)
{
    guess by = guess_of(0, config->n);
    pending p = {0};
    csp__row row;

    while (csp__feed_next(&s->feed, &row)) {
        csp_status status = step(k, config->n, &row, &by, &p, s->e, s->sums);
        if (status != CSP_OK)
            return status;
    }
    k->add_row[CSP_F32](s->e, p.n, p.weight, s->sums);
    return CSP_OK;
}

/* The same with a tile of exponentials and BLAS. */
static csp_status sum_logits_blas(const csp__kernels *k,
                                  const csp_config *config, scratch *s)
{
    const size_t n_keys = s->feed.window->tokens->n_keys;
    float weights[MAX_BLAS_ROWS];
    size_t filled = 0;
    csp__row row;

    while (csp__feed_next(&s->feed, &row)) {
        float *e = s->e + filled * n_keys;
        csp__exps exps;
        csp_status status =
            csp__exp_exactly(k, row.dtype, row.x, row.n, e, &exps);
        if (status != CSP_OK)
            return status;
        memset(e + row.n, 0, (n_keys - row.n) * sizeof *e);
        double total = csp__sink(&exps, config->n) + exps.sum;
        weights[filled++] = csp__weight(exps.sum, total);
        if (filled == s->e_rows) {
            k->column_sums(s->e, n_keys, filled, n_keys, weights, s->sums);
            filled = 0;
        }
    }
    if (filled > 0)
        k->column_sums(s->e, n_keys, filled, n_keys, weights, s->sums);
    return CSP_OK;
}

/* w = p / (1 + n exp(-lse)), E1. */
static csp_status sum_probabilities(const csp__kernels *k,
                                    const csp_config *config, scratch *s)
{
    const double log_n = csp__log(config->n);
    csp__row row;

    while (csp__feed_next(&s->feed, &row)) {
        double weight = 1.0;
        if (config->n > 0.0) {
            double lse = csp__row_lse(s->feed.window, &row);
            weight = 1.0 / (1.0 + csp__exp(log_n - lse));
        }
        double sum =
            k->add_row[row.dtype](row.x, row.n, (float)weight, s->sums);
        if (!(sum - sum == 0.0)) /* NaN or inf */
            return CSP_E_NOT_FINITE;
    }
    return CSP_OK;
}

static csp_status sum_rows(const csp__kernels *k, const csp_config *config,
                           scratch *s)
{
    if (s->feed.window->attention->source == CSP_PROBABILITIES)
        return sum_probabilities(k, config, s);
    if (s->in_pieces)
        return csp__sum_pieces(k, config->n, &s->feed, s->e, s->sums);
    return k->column_sums != NULL ? sum_logits_blas(k, config, s)
                                  : sum_logits(k, config, s);
}

/* counts[0..n): how many of the chosen queries may see each cached row.
   Queries ascend, so what they see grows. */
static void count_visible(const scratch *s, uint32_t g, uint32_t n_chosen,
                          float *counts, uint32_t n)
{
    const csp__window *w = s->feed.window;
    uint32_t begin = 0;

    for (uint32_t i = 0; i < n_chosen; i++) {
        uint32_t end = csp__visible(w->tokens, g, w->attention->mask,
                                    csp__query_token(w, s->chosen[i]));
        for (; begin < end; begin++)
            counts[begin] = (float)(n_chosen - i);
    }
    for (; begin < n; begin++)
        counts[begin] = 0.0f;
}

/* Add x to intra where the key is of 'modality', to inter elsewhere. */
static void split(const csp_tokens *tokens, uint32_t g, uint32_t modality,
                  const float *x, float *intra, float *inter)
{
    csp__run run = {0};

    while (csp__next_run(tokens, g, &run)) {
        float *to = run.modality == modality ? intra : inter;
        for (uint32_t i = run.begin; i < run.end; i++)
            to[i] += x[i];
    }
}

static csp_status score_head(const csp__kernels *k, const csp_config *config,
                             scratch *s, uint32_t g, uint32_t n_voting,
                             const csp_importance *to)
{
    const csp_tokens *tokens = s->feed.window->tokens;
    const uint32_t n = csp__count(tokens, g);
    const size_t at = (size_t)g * to->capacity;
    uint32_t left = n_voting;

    for (uint32_t modality = 0; left > 0; modality++) {
        uint32_t n_chosen = 0;
        for (uint32_t i = 0; i < n_voting; i++)
            if (s->query_modality[i] == modality)
                s->chosen[n_chosen++] = s->queries[i];
        left -= n_chosen;
        if (n_chosen == 0)
            continue;
        memset(s->sums, 0, n * sizeof *s->sums);
        csp__feed_start(&s->feed, g, s->chosen, n_chosen);
        csp_status status = sum_rows(k, config, s);
        if (status != CSP_OK)
            return status;
        split(tokens, g, modality, s->sums, to->intra + at, to->inter + at);
        if (to->intra_rows != NULL) {
            count_visible(s, g, n_chosen, s->sums, n);
            split(tokens, g, modality, s->sums, to->intra_rows + at,
                  to->inter_rows + at);
        }
    }
    return CSP_OK;
}

static size_t measure(const csp__window *window, const csp_config *config)
{
    csp__arena arena = {0};
    scratch s;

    carve(&s, window, config, &arena);
    return csp__arena_size(&arena);
}

size_t csp_score_workspace_size(const csp_attention *attention,
                                const csp_tokens *tokens,
                                const csp_config *config)
{
    csp__window window;

    if (check(attention, tokens, config, true, &window) != CSP_OK)
        return 0;
    return measure(&window, config);
}

csp_status csp_score(const csp_attention *attention, const csp_tokens *tokens,
                     const csp_config *config, void *workspace,
                     size_t workspace_size, const csp_importance *importance)
{
    csp__window window;
    csp__kernels kernels;
    scratch s = {0};

    csp_status status = check(attention, tokens, config, false, &window);
    if (status != CSP_OK)
        return status;
    if ((status = check_importance(importance, tokens)) != CSP_OK)
        return status;
    status = csp__check_workspace(workspace, workspace_size,
                                  measure(&window, config));
    if (status != CSP_OK)
        return status;
    if (tokens->n_keys == 0)
        return CSP_OK;

    csp__arena arena = csp__arena_over(workspace);
    carve(&s, &window, config, &arena);
    csp__kernels_choose(&config->compute, &kernels);
    s.feed.kernels = &kernels;
    uint32_t n_voting =
        csp__voting_rows(&window, config, s.queries, s.query_modality);
    for (uint32_t g = 0; g < tokens->n_kv_heads && status == CSP_OK; g++)
        status = score_head(&kernels, config, &s, g, n_voting, importance);
    return status;
}
