/*
 * calibrate.c - what the dropped tokens weighed (E8, E10)
 *
 * A row of logits with its kept keys masked is a row like any other: the log
 * of its sum of exponentials is the log of the dropped mass, and its softmax,
 * summed over rows, says how much of each dropped value the attention lost.
 */
#include "calibrate.h"

#include <math.h>
#include <string.h>

#include "config.h"
#include "dropped.h"
#include "numeric.h"
#include "rows.h"
#include "tokens.h"
#include "views.h"

/* Channels of a value row widened together. */
#define CHUNK 256u

typedef struct scratch {
    csp__feed feed;
    float *e;            /* [n_keys] one row, kept keys masked */
    float *weights;      /* [n_keys] sum over rows of dropped keys' softmax */
    uint32_t *queries;   /* [n_queries] all of them */
    csp_calibration own; /* what to add to the caller's sums */
} scratch;

static void carve(scratch *s, const csp__window *w, const csp_calibration *like,
                  csp__arena *arena)
{
    csp__feed_carve(&s->feed, w, w->tile_rows, w->tokens->n_keys, arena);
    s->e = csp__arena_take(arena, 1, w->tokens->n_keys, sizeof(float));
    s->weights = csp__arena_take(arena, 1, w->tokens->n_keys, sizeof(float));
    s->queries = csp__arena_take(arena, 1, w->n_queries, sizeof(uint32_t));
    csp__sums_carve(&s->own, like, arena);
}

/* Add to a head's value sum the dropped value rows, by weight. */
static void add_values(const csp__kernels *k, scratch *s,
                       const csp_tensor *values, uint32_t h, size_t n)
{
    float *sums = s->own.value + (size_t)h * values->n_cols;
    float chunk[CHUNK];

    for (size_t t = 0; t < n; t++) {
        if (s->weights[t] == 0.0f)
            continue;
        const unsigned char *row = csp__row_at(values, s->feed.kv_head, t);
        for (size_t begin = 0; begin < values->n_cols; begin += CHUNK) {
            size_t left = values->n_cols - begin;
            size_t count = left < CHUNK ? left : CHUNK;
            csp__load(k, values, row + begin * values->col_stride, count,
                      chunk);
            k->add_row[CSP_F32](chunk, count, s->weights[t], sums + begin);
        }
    }
}

/* Close query head h: weights over its rows have been summed. */
static csp_status finish_head(const csp__kernels *k, scratch *s,
                              const csp_tensor *values, uint32_t h, size_t n)
{
    if (values == NULL)
        return CSP_OK;
    add_values(k, s, values, h, n);
    for (size_t i = 0; i < values->n_cols; i++)
        if (!csp__is_finite(s->own.value[(size_t)h * values->n_cols + i]))
            return CSP_E_NOT_FINITE;
    return CSP_OK;
}

static csp_status calibrate_head(const csp__kernels *k, scratch *s,
                                 const csp_kept *kept, const csp_tensor *values,
                                 uint32_t g)
{
    const csp__window *w = s->feed.window;
    const size_t n = csp__count(w->tokens, g);
    csp__row row;

    if (w->n_queries == 0 || n == 0)
        return CSP_OK;
    csp__feed_start(&s->feed, g, s->queries, w->n_queries);
    for (uint32_t h = g * w->group; h < (g + 1) * w->group; h++) {
        memset(s->weights, 0, n * sizeof *s->weights);
        for (uint32_t i = 0; i < w->n_queries && csp__feed_next(&s->feed, &row);
             i++) {
            csp__exps exps;
            csp_status status =
                csp__exp_dropped(&s->feed, &row, kept, s->e, &exps);
            if (status != CSP_OK)
                return status;
            const double log_mass = csp__log_sum(&exps);
            if (log_mass == -(double)INFINITY)
                continue;
            s->own.log_mass[h] += log_mass;
            s->own.rows[h] += 1.0;
            k->add_row[CSP_F32](s->e, row.n, (float)(1.0 / exps.sum),
                                s->weights);
        }
        csp_status status = finish_head(k, s, values, h, n);
        if (status != CSP_OK)
            return status;
    }
    return CSP_OK;
}

csp_status csp__check_sums(const csp__window *window, const csp_tensor *values,
                           const csp_calibration *sums, csp_tensor *used)
{
    const csp_attention *attention = window->attention;

    if (attention->source == CSP_PROBABILITIES && attention->lse.data == NULL)
        return CSP_E_CONFIG;
    if (sums->log_mass == NULL || sums->rows == NULL ||
        (values == NULL) != (sums->value == NULL))
        return CSP_E_NULL;
    if (sums->n_heads != window->n_heads)
        return CSP_E_SHAPE;
    if (values == NULL)
        return CSP_OK;
    *used = *values;
    if (used->n_heads != window->tokens->n_kv_heads ||
        used->n_rows < window->tokens->n_keys ||
        used->n_cols != sums->value_dim)
        return CSP_E_SHAPE;
    used->n_rows = window->tokens->n_keys;
    return csp__check_tensor(used, true, false, NULL);
}

static size_t measure(const csp__window *window, const csp_calibration *like)
{
    csp__arena arena = {0};
    scratch s;

    carve(&s, window, like, &arena);
    return csp__arena_size(&arena);
}

size_t csp_calibrate_workspace_size(const csp_attention *attention,
                                    const csp_tokens *tokens,
                                    uint32_t value_dim)
{
    csp__window window;
    float value; /* any address: it is only asked for NULL */

    if (csp__check_window(attention, tokens, true, &window) != CSP_OK)
        return 0;
    const csp_calibration like = {
        .value = &value, .n_heads = window.n_heads, .value_dim = value_dim};
    return measure(&window, &like);
}

csp_status csp_calibrate(const csp_attention *attention,
                         const csp_tokens *tokens, const csp_kept *kept,
                         const csp_tensor *values, const csp_compute *compute,
                         void *workspace, size_t workspace_size,
                         const csp_calibration *sums)
{
    csp__window window;
    csp__kernels kernels;
    csp_tensor used;
    scratch s = {0};

    if (kept == NULL || sums == NULL)
        return CSP_E_NULL;
    csp_status status = csp__check_window(attention, tokens, false, &window);
    if (status != CSP_OK)
        return status;
    if ((status = csp__check_compute(compute)) != CSP_OK)
        return status;
    csp__kernels_choose(compute, &kernels);
    if ((status = csp__check_kept(kept, tokens)) != CSP_OK ||
        (status = csp__check_sums(&window, values, sums, &used)) != CSP_OK)
        return status;
    status =
        csp__check_workspace(workspace, workspace_size, measure(&window, sums));
    if (status != CSP_OK)
        return status;

    csp__arena arena = csp__arena_over(workspace);
    carve(&s, &window, sums, &arena);
    memset(s.own.log_mass, 0, window.n_heads * sizeof *s.own.log_mass);
    memset(s.own.rows, 0, window.n_heads * sizeof *s.own.rows);
    if (s.own.value != NULL)
        memset(s.own.value, 0,
               (size_t)window.n_heads * sums->value_dim * sizeof *s.own.value);
    s.feed.kernels = &kernels;
    for (uint32_t r = 0; r < window.n_queries; r++)
        s.queries[r] = r;
    for (uint32_t g = 0; g < tokens->n_kv_heads && status == CSP_OK; g++)
        status = calibrate_head(&kernels, &s, kept,
                                values != NULL ? &used : NULL, g);
    if (status == CSP_OK)
        csp__sums_add(&s.own, sums);
    return status;
}

void csp__sums_carve(csp_calibration *sums, const csp_calibration *like,
                     csp__arena *arena)
{
    const uint32_t n = like->n_heads;

    *sums = *like;
    sums->log_mass = csp__arena_take(arena, 1, n, sizeof *sums->log_mass);
    sums->rows = csp__arena_take(arena, 1, n, sizeof *sums->rows);
    if (like->value != NULL)
        sums->value =
            csp__arena_take(arena, n, like->value_dim, sizeof *sums->value);
}

void csp__sums_add(const csp_calibration *from, const csp_calibration *to)
{
    for (uint32_t h = 0; h < to->n_heads; h++) {
        to->log_mass[h] += from->log_mass[h];
        to->rows[h] += from->rows[h];
    }
    if (from->value != NULL)
        for (size_t i = 0; i < (size_t)to->n_heads * to->value_dim; i++)
            to->value[i] += from->value[i];
}

csp_status csp_calibration_finish(const csp_calibration *sums,
                                  float *sink_logits, float *residual)
{
    if (sums == NULL)
        return CSP_E_NULL;
    if (sums->n_heads > 0 &&
        (sums->log_mass == NULL || sums->rows == NULL || sink_logits == NULL ||
         (residual != NULL && sums->value == NULL)))
        return CSP_E_NULL;
    for (uint32_t h = 0; h < sums->n_heads; h++) {
        const double rows = sums->rows[h];
        sink_logits[h] =
            rows > 0.0 ? (float)(sums->log_mass[h] / rows) : -INFINITY;
        if (residual == NULL)
            continue;
        for (size_t i = 0; i < sums->value_dim; i++) {
            size_t at = (size_t)h * sums->value_dim + i;
            residual[at] =
                rows > 0.0 ? (float)((double)sums->value[at] / rows) : 0.0f;
        }
    }
    return CSP_OK;
}
