/*
 * rows.c - attention as a sequence of rows
 *
 * For CSP_QUERY_KEY a tile of query rows meets chunks of keys: both are small
 * enough to stay in cache, each key is widened once a tile, and scratch is a
 * few rows of logits.
 */
#include "rows.h"

#include <string.h>

#include "numeric.h"
#include "tokens.h"
#include "views.h"

/* Logits computed ahead: enough rows for the product to be efficient, in about
   512 KiB, but some rows however long they are.  The kernels like fours. */
#define TILE_LOGITS ((uint32_t)1 << 17)
#define MAX_TILE_ROWS 64u
#define MIN_TILE_ROWS 2u

/* Bytes from the end of one row to the next that do not break a stream. */
#define NEAR 4096u

/* Keys widened together. */
#define CHUNK_KEYS 256u

static csp_status check_scores(const csp_attention *attention,
                               const csp_tokens *tokens, bool shapes_only,
                               csp__window *window)
{
    csp_tensor scores = attention->scores;

    window->n_heads = scores.n_heads;
    window->n_queries = scores.n_rows;
    if (scores.n_cols < tokens->n_keys)
        return CSP_E_SHAPE;
    scores.n_cols = tokens->n_keys; /* padding behind is never touched */
    if (shapes_only)
        scores.data = &scores;
    return csp__check_tensor(&scores, true, true, NULL);
}

static csp_status check_lse(const csp_attention *attention, bool shapes_only)
{
    csp_tensor lse = attention->lse;

    if (lse.data == NULL)
        return CSP_OK;
    if ((unsigned)attention->lse_unit > CSP_LSE_BASE2)
        return CSP_E_CONFIG;
    if (lse.dtype != CSP_F32)
        return CSP_E_DTYPE;
    if (lse.n_heads != attention->scores.n_heads ||
        lse.n_rows != attention->scores.n_rows || lse.n_cols != 1)
        return CSP_E_SHAPE;
    csp_status status = csp__check_tensor(&lse, true, false, NULL);
    if (status != CSP_OK || shapes_only)
        return status;
    for (uint32_t h = 0; h < lse.n_heads; h++)
        for (uint32_t r = 0; r < lse.n_rows; r++) {
            float x;
            memcpy(&x, csp__row_at(&lse, h, r), sizeof x);
            if (!csp__is_log(x))
                return CSP_E_NOT_FINITE;
        }
    return CSP_OK;
}

static csp_status check_query_key(const csp_attention *attention,
                                  const csp_tokens *tokens, bool shapes_only,
                                  csp__window *window)
{
    csp_tensor queries = attention->queries;
    csp_tensor keys = attention->keys;

    window->n_heads = queries.n_heads;
    window->n_queries = queries.n_rows;
    window->head_dim = queries.n_cols;
    if (queries.n_cols == 0 || keys.n_cols != queries.n_cols ||
        keys.n_heads != tokens->n_kv_heads || keys.n_rows < tokens->n_keys)
        return CSP_E_SHAPE;
    if (!csp__is_finite(attention->scale) ||
        !csp__is_finite(attention->softcap) || attention->softcap < 0.0f)
        return CSP_E_CONFIG;
    keys.n_rows = tokens->n_keys;
    if (shapes_only)
        queries.data = keys.data = &keys;
    csp_status status = csp__check_tensor(&queries, true, false, NULL);
    if (status != CSP_OK)
        return status;
    return csp__check_tensor(&keys, true, false, NULL);
}

static uint32_t tile_rows_for(const csp__window *window)
{
    uint64_t all = (uint64_t)window->group * window->n_queries;
    uint32_t n_keys = window->tokens->n_keys;
    uint32_t rows = n_keys > 0 ? TILE_LOGITS / n_keys : MAX_TILE_ROWS;

    rows = rows > 4 ? rows - rows % 4 : rows;
    rows = rows < MIN_TILE_ROWS ? MIN_TILE_ROWS : rows;
    rows = rows > MAX_TILE_ROWS ? MAX_TILE_ROWS : rows;
    return all < rows ? (uint32_t)all : rows;
}

csp_status csp__check_window(const csp_attention *attention,
                             const csp_tokens *tokens, bool shapes_only,
                             csp__window *window)
{
    csp_status status;

    if (attention == NULL || tokens == NULL)
        return CSP_E_NULL;
    if (tokens->n_kv_heads == 0)
        return CSP_E_SHAPE;
    if (!shapes_only && (status = csp__check_tokens(tokens)) != CSP_OK)
        return status;
    if ((unsigned)attention->source > CSP_QUERY_KEY ||
        (unsigned)attention->mask > CSP_FULL)
        return CSP_E_CONFIG;
    *window = (csp__window){.attention = attention, .tokens = tokens};
    if (attention->source == CSP_QUERY_KEY)
        status = check_query_key(attention, tokens, shapes_only, window);
    else
        status = check_scores(attention, tokens, shapes_only, window);
    if (status != CSP_OK)
        return status;
    if (window->n_heads == 0)
        return CSP_E_SHAPE;
    if (window->n_heads % tokens->n_kv_heads != 0)
        return CSP_E_GQA;
    window->group = window->n_heads / tokens->n_kv_heads;
    /* A feed counts the rows of a group, and the last query is a token: both
       in 32 bits. */
    if ((uint64_t)window->group * window->n_queries > UINT32_MAX ||
        window->n_queries > UINT32_MAX - attention->first_query)
        return CSP_E_OVERFLOW;
    if (attention->source == CSP_QUERY_KEY)
        window->tile_rows = tile_rows_for(window);
    if (attention->source == CSP_PROBABILITIES)
        return check_lse(attention, shapes_only);
    return CSP_OK;
}

void csp__feed_carve(csp__feed *feed, const csp__window *window,
                     uint32_t tile_rows, uint32_t tile_keys, csp__arena *arena)
{
    size_t dim = window->head_dim;

    feed->window = window;
    feed->tile_rows = window->head_dim > 0 ? tile_rows : 0;
    feed->tile_keys = tile_keys;
    feed->tile =
        csp__arena_take(arena, feed->tile_rows, tile_keys, sizeof(float));
    feed->tile_q = csp__arena_take(arena, feed->tile_rows, dim, sizeof(float));
    feed->key_chunk = csp__arena_take(arena, CHUNK_KEYS, dim, sizeof(float));
}

void csp__feed_start(csp__feed *feed, uint32_t kv_head, const uint32_t *queries,
                     uint32_t n_queries)
{
    feed->kv_head = kv_head;
    feed->queries = queries;
    feed->n_queries = n_queries;
    feed->next = 0;
    feed->tile_begin = 0;
    feed->tile_end = 0;
}

/* Whether floats of a view can be read in place, as rows of contiguous
   floats. */
static bool readable_in_place(const csp_tensor *tensor)
{
    return tensor->dtype == CSP_F32 &&
           (tensor->n_cols == 1 || tensor->col_stride == 4) &&
           tensor->row_stride % 4 == 0 &&
           tensor->row_stride / 4 >= tensor->n_cols &&
           tensor->row_stride / 4 <= INT32_MAX &&
           tensor->head_stride % 4 == 0 && (uintptr_t)tensor->data % 4 == 0;
}

/* softcap * tanh(x / softcap); NaN stays. */
static void cap_logits(float *x, size_t n, float softcap)
{
    for (size_t i = 0; i < n; i++) {
        double z = (double)x[i] / (double)softcap;
        double t = csp__exp(z < 0.0 ? 2.0 * z : -2.0 * z);
        double tanh_z = (1.0 - t) / (1.0 + t);
        x[i] = (float)((double)softcap * (z < 0.0 ? -tanh_z : tanh_z));
    }
}

void csp__feed_locate(const csp__feed *feed, uint32_t index, csp__row *row)
{
    const csp__window *w = feed->window;

    row->head = feed->kv_head * w->group + index / feed->n_queries;
    row->query = feed->queries[index % feed->n_queries];
    row->n = csp__visible(w->tokens, feed->kv_head, w->attention->mask,
                          csp__query_token(w, row->query));
}

uint32_t csp__feed_load(csp__feed *feed)
{
    const csp__window *w = feed->window;
    const csp_tensor *queries = &w->attention->queries;
    const uint32_t left = w->group * feed->n_queries - feed->next;
    const uint32_t rows = left < feed->tile_rows ? left : feed->tile_rows;

    feed->tile_begin = feed->next;
    feed->tile_end = feed->next + rows;
    feed->tile_seen = 0;
    for (uint32_t i = 0; i < rows; i++) {
        csp__row row;
        csp__feed_locate(feed, feed->next + i, &row);
        feed->tile_seen = row.n > feed->tile_seen ? row.n : feed->tile_seen;
        csp__load(feed->kernels, queries,
                  csp__row_at(queries, row.head, row.query), w->head_dim,
                  feed->tile_q + i * (size_t)w->head_dim);
    }
    return rows;
}

void csp__feed_multiply(csp__feed *feed, size_t begin, size_t end)
{
    const csp__window *w = feed->window;
    const csp_attention *a = w->attention;
    const size_t dim = w->head_dim;
    const size_t rows = feed->tile_end - feed->tile_begin;
    const bool in_place = readable_in_place(&a->keys);
    const size_t n_keys = end - begin;

    for (size_t at = 0; at < n_keys; at += CHUNK_KEYS) {
        size_t n = n_keys - at < CHUNK_KEYS ? n_keys - at : CHUNK_KEYS;
        const float *keys = feed->key_chunk;
        size_t stride = dim;
        if (in_place) {
            keys = (const float *)(const void *)csp__row_at(
                &a->keys, feed->kv_head, begin + at);
            stride = a->keys.row_stride / sizeof(float);
        } else {
            for (size_t j = 0; j < n; j++)
                csp__load(feed->kernels, &a->keys,
                          csp__row_at(&a->keys, feed->kv_head, begin + at + j),
                          dim, feed->key_chunk + j * dim);
        }
        feed->kernels->product(feed->tile_q, rows, keys, stride, n, dim,
                               a->scale, feed->tile + at, feed->tile_keys);
    }
    if (a->softcap > 0.0f)
        for (size_t i = 0; i < rows; i++)
            cap_logits(feed->tile + i * feed->tile_keys, n_keys, a->softcap);
}

bool csp__feed_next(csp__feed *feed, csp__row *row)
{
    const csp__window *w = feed->window;

    if (feed->next == w->group * feed->n_queries)
        return false;
    csp__feed_locate(feed, feed->next, row);
    row->skipped = 0;
    if (w->attention->source == CSP_QUERY_KEY) {
        if (feed->next == feed->tile_end) {
            csp__feed_load(feed);
            csp__feed_multiply(feed, 0, feed->tile_seen);
        }
        row->x = feed->tile +
                 (size_t)(feed->next - feed->tile_begin) * feed->tile_keys;
        row->dtype = CSP_F32;
    } else {
        const csp_tensor *scores = &w->attention->scores;
        const size_t used = row->n * csp__dtype_size(scores->dtype);
        row->x = csp__row_at(scores, row->head, row->query);
        row->dtype = scores->dtype;
        if (scores->n_rows > 1 && scores->row_stride > used &&
            scores->row_stride - used < NEAR)
            row->skipped = scores->row_stride - used;
    }
    feed->next++;
    return true;
}

double csp__row_lse(const csp__window *window, const csp__row *row)
{
    const csp_attention *a = window->attention;
    float lse;

    if (a->lse.data == NULL)
        return 0.0;
    memcpy(&lse, csp__row_at(&a->lse, row->head, row->query), sizeof lse);
    return a->lse_unit == CSP_LSE_BASE2 ? (double)lse * CSP__LN2 : (double)lse;
}

uint32_t csp__voting_rows(const csp__window *window, const csp_config *config,
                          uint32_t *queries, uint8_t *modalities)
{
    uint32_t n = 0;

    for (uint32_t r = 0; r < window->n_queries; r++) {
        uint32_t token = csp__query_token(window, r);
        if (token < config->first_vote)
            continue;
        queries[n] = r;
        modalities[n++] = (uint8_t)csp__modality_of(window->tokens, token);
    }
    return n;
}
