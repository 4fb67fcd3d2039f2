/*
 * fit.c - log n(q) fitted to rows whose dropped mass is known (E11)
 *
 * Keys are not Gaussian: their tails make q'Sq / 2 too large, and the rows of a
 * window know by how much.  Over the rows of each query head this takes the
 * sums of a linear regression: what log m + q.mu leave of the log of the
 * dropped mass, on q'Sq / 2.
 */
#include <math.h>
#include <string.h>

#include "config.h"
#include "dropped.h"
#include "mass.h"
#include "moments.h"
#include "numeric.h"
#include "tokens.h"
#include "views.h"
#include "workspace.h"

/* The sums of a query head. */
enum { ROWS, REST, QUADRATIC, QUADRATIC_2, PRODUCT, TOP };

typedef struct scratch {
    csp__feed feed;
    csp__mass mass;
    float *e;          /* [n_keys] one row, kept keys masked */
    uint32_t *queries; /* [n_queries] all of them */
    double *own;       /* [n_heads][CSP_FIT_SUMS] */
} scratch;

static void carve(scratch *s, const csp__window *w, const csp_summary *summary,
                  csp__arena *arena)
{
    csp__feed_carve(&s->feed, w, w->tile_rows, w->tokens->n_keys, arena);
    csp__mass_carve(&s->mass, summary, arena);
    s->e = csp__arena_take(arena, 1, w->tokens->n_keys, sizeof(float));
    s->queries = csp__arena_take(arena, 1, w->n_queries, sizeof(uint32_t));
    s->own = csp__arena_take(arena, w->n_heads, CSP_FIT_SUMS, sizeof(double));
}

static void add_row(double *sums, double log_mass, csp__log_mass gauss)
{
    const double rest = log_mass - gauss.linear;

    sums[TOP] = sums[ROWS] > 0.0 && sums[TOP] > log_mass ? sums[TOP] : log_mass;
    sums[ROWS] += 1.0;
    sums[REST] += rest;
    sums[QUADRATIC] += gauss.quadratic;
    sums[QUADRATIC_2] += gauss.quadratic * gauss.quadratic;
    sums[PRODUCT] += gauss.quadratic * rest;
}

static csp_status fit_head(scratch *s, const csp_kept *kept, uint32_t g)
{
    const csp__window *w = s->feed.window;
    const csp_attention *a = w->attention;
    csp__row row;

    if (w->n_queries == 0 || csp__count(w->tokens, g) == 0)
        return CSP_OK;
    csp__mass_start(&s->mass, g);
    csp__feed_start(&s->feed, g, s->queries, w->n_queries);
    while (csp__feed_next(&s->feed, &row)) {
        csp__log_mass gauss;
        csp__exps exps;
        csp_status status = csp__exp_dropped(&s->feed, &row, kept, s->e, &exps);
        if (status != CSP_OK)
            return status;
        const double log_mass = csp__log_sum(&exps);
        if (log_mass == -(double)INFINITY)
            continue;
        if (!csp__mass_of(&s->mass, &a->queries, a->scale, row.head, row.query,
                          &gauss))
            return CSP_E_NOT_FINITE;
        /* Dropped here, but not summarised: a summary of other tokens. */
        if (gauss.linear == -(double)INFINITY)
            continue;
        add_row(s->own + (size_t)row.head * CSP_FIT_SUMS, log_mass, gauss);
    }
    return CSP_OK;
}

static csp_status check(const csp_attention *attention,
                        const csp_tokens *tokens, const csp_summary *summary,
                        bool shapes_only, csp__window *window)
{
    csp_status status =
        csp__check_window(attention, tokens, shapes_only, window);

    if (status != CSP_OK)
        return status;
    csp_tensor queries = attention->queries;
    if (shapes_only)
        queries.data = &queries;
    if (!csp__is_finite(attention->scale) || attention->softcap != 0.0f ||
        (attention->source == CSP_PROBABILITIES &&
         attention->lse.data == NULL && !shapes_only))
        return CSP_E_CONFIG;
    if (queries.n_heads != window->n_heads ||
        queries.n_rows != window->n_queries ||
        queries.n_cols != summary->key_dim ||
        tokens->n_kv_heads != summary->n_kv_heads)
        return CSP_E_SHAPE;
    return csp__check_tensor(&queries, true, false, NULL);
}

static size_t measure(const csp__window *window, const csp_summary *summary)
{
    csp__arena arena = {0};
    scratch s;

    carve(&s, window, summary, &arena);
    return csp__arena_size(&arena);
}

size_t csp_fit_rows_workspace_size(const csp_attention *attention,
                                   const csp_tokens *tokens,
                                   const csp_summary *summary)
{
    csp__window window;

    if (csp__check_summary(summary, true) != CSP_OK ||
        check(attention, tokens, summary, true, &window) != CSP_OK)
        return 0;
    return measure(&window, summary);
}

static void commit(const double *own, uint32_t n_heads, double *sums)
{
    for (uint32_t h = 0; h < n_heads;
         h++, own += CSP_FIT_SUMS, sums += CSP_FIT_SUMS) {
        if (own[ROWS] == 0.0)
            continue;
        if (sums[ROWS] == 0.0 || own[TOP] > sums[TOP])
            sums[TOP] = own[TOP];
        for (int i = 0; i < TOP; i++)
            sums[i] += own[i];
    }
}

csp_status csp_fit_rows(const csp_attention *attention,
                        const csp_tokens *tokens, const csp_kept *kept,
                        const csp_summary *summary, const csp_compute *compute,
                        void *workspace, size_t workspace_size, double *sums)
{
    csp__window window;
    csp__kernels kernels;
    scratch s = {0};
    csp_status status;

    if (kept == NULL || sums == NULL)
        return CSP_E_NULL;
    if ((status = csp__check_summary(summary, false)) != CSP_OK ||
        (status = check(attention, tokens, summary, false, &window)) !=
            CSP_OK ||
        (status = csp__check_compute(compute)) != CSP_OK)
        return status;
    csp__kernels_choose(compute, &kernels);
    if ((status = csp__check_kept(kept, tokens)) != CSP_OK ||
        (status = csp__check_workspace(workspace, workspace_size,
                                       measure(&window, summary))) != CSP_OK)
        return status;
    csp__arena arena = csp__arena_over(workspace);
    carve(&s, &window, summary, &arena);
    memset(s.own, 0, (size_t)window.n_heads * CSP_FIT_SUMS * sizeof *s.own);
    s.feed.kernels = s.mass.kernels = &kernels;
    for (uint32_t r = 0; r < window.n_queries; r++)
        s.queries[r] = r;
    for (uint32_t g = 0; g < tokens->n_kv_heads && status == CSP_OK; g++)
        status = fit_head(&s, kept, g);
    if (status == CSP_OK)
        commit(s.own, window.n_heads, sums);
    return status;
}

csp_status csp_fit_finish(const double *sums, uint32_t n_heads,
                          const csp_fit *fit)
{
    if (fit == NULL ||
        (n_heads > 0 && (sums == NULL || fit->offset == NULL ||
                         fit->slope == NULL || fit->limit == NULL)))
        return CSP_E_NULL;
    for (uint32_t h = 0; h < n_heads; h++, sums += CSP_FIT_SUMS) {
        const double n = sums[ROWS];
        double slope = 0.0;
        if (n > 0.0) {
            const double mean = sums[QUADRATIC] / n;
            const double spread = sums[QUADRATIC_2] - mean * sums[QUADRATIC];
            const double common = sums[PRODUCT] - mean * sums[REST];
            if (spread > 0x1p-40 * sums[QUADRATIC_2] && common > 0.0)
                slope = common < spread ? common / spread : 1.0;
        }
        fit->slope[h] = (float)slope;
        fit->offset[h] =
            n > 0.0 ? (float)((sums[REST] - slope * sums[QUADRATIC]) / n)
                    : 0.0f;
        fit->limit[h] = n > 0.0 ? (float)sums[TOP] : -INFINITY;
    }
    return CSP_OK;
}
