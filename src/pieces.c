/*
 * pieces.c - rows of CSP_QUERY_KEY too long to be kept, scored in pieces
 *
 * A weight is known when its row has been summed, so a row has to be kept, or
 * computed again.  A tile of rows kept whole is read against all keys; the
 * longer the rows, the fewer fit a cache and the more often keys come from
 * memory.  From some length on the second product costs less than that.
 */
#include "pieces.h"

#include <math.h>

#include "exps.h"
#include "numeric.h"

/* Keys from which on it does, with keys of about 128 channels. */
#define LONG_ROW 16384u

/* A row of the tile. */
typedef struct piece_row {
    csp__exps exps;
    float max;    /* the largest logit; NaN if there is one */
    float weight; /* of an exponential, once the row is summed */
    uint32_t n;   /* cached rows it may see */
} piece_row;

bool csp__in_pieces(const csp__window *window)
{
    return window->attention->source == CSP_QUERY_KEY &&
           window->tokens->n_keys > LONG_ROW;
}

/* What row r sees of the piece that begins with key 'begin'. */
static size_t piece_of(const piece_row *row, size_t begin)
{
    const size_t left = row->n > begin ? row->n - begin : 0;

    return left < CSP__PIECE_KEYS ? left : CSP__PIECE_KEYS;
}

static void multiply_piece(csp__feed *feed, size_t begin)
{
    const size_t left = feed->tile_seen - begin;

    csp__feed_multiply(
        feed, begin, begin + (left < CSP__PIECE_KEYS ? left : CSP__PIECE_KEYS));
}

/* Sum the exponentials of every row, each in its own scale. */
static void sum_rows(const csp__kernels *k, csp__feed *feed, float *e,
                     piece_row *rows, uint32_t n_rows)
{
    for (uint32_t r = 0; r < n_rows; r++) {
        rows[r].exps.sum = 0.0;
        rows[r].max = -INFINITY;
    }
    for (size_t begin = 0; begin < feed->tile_seen; begin += CSP__PIECE_KEYS) {
        multiply_piece(feed, begin);
        for (uint32_t r = 0; r < n_rows; r++) {
            piece_row *row = &rows[r];
            const float *x = feed->tile + (size_t)r * feed->tile_keys;
            const size_t n = piece_of(row, begin);
            const float max = k->row_max[CSP_F32](x, n);
            if (row->max == row->max && !(max <= row->max))
                row->max = max; /* NaN is taken, and stays */
            row->exps.sum += csp__exp_scaled(k, CSP_F32, x, n, &row->exps, e);
        }
    }
}

/* Give a row its weight; false, and the right scale, if its sum is in one that
   is not safe. */
static bool weigh(piece_row *row, double n)
{
    const double total = csp__sink(&row->exps, n) + row->exps.sum;

    row->weight = csp__weight(row->exps.sum, total);
    return csp__scale_is_safe(row->exps.sum, total);
}

static csp_status weigh_rows(const csp__kernels *k, double n, csp__feed *feed,
                             float *e, piece_row *rows, uint32_t n_rows)
{
    bool safe = true;

    sum_rows(k, feed, e, rows, n_rows);
    for (uint32_t r = 0; r < n_rows; r++) {
        if (!csp__is_log(rows[r].max))
            return CSP_E_NOT_FINITE;
        if (weigh(&rows[r], n))
            continue;
        rows[r].exps = csp__scale_of(rows[r].max);
        safe = false;
    }
    if (safe)
        return CSP_OK;
    sum_rows(k, feed, e, rows, n_rows);
    for (uint32_t r = 0; r < n_rows; r++)
        weigh(&rows[r], n);
    return CSP_OK;
}

static void add_rows(const csp__kernels *k, csp__feed *feed, float *e,
                     const piece_row *rows, uint32_t n_rows, float *sums)
{
    for (size_t begin = 0; begin < feed->tile_seen; begin += CSP__PIECE_KEYS) {
        multiply_piece(feed, begin);
        for (uint32_t r = 0; r < n_rows; r++) {
            const size_t n = piece_of(&rows[r], begin);
            csp__exp_scaled(k, CSP_F32,
                            feed->tile + (size_t)r * feed->tile_keys, n,
                            &rows[r].exps, e);
            k->add_row[CSP_F32](e, n, rows[r].weight, sums + begin);
        }
    }
}

csp_status csp__sum_pieces(const csp__kernels *kernels, double n,
                           csp__feed *feed, float *e, float *sums)
{
    piece_row rows[CSP__PIECE_ROWS];
    int guess = 0;

    for (;;) {
        const uint32_t n_rows = csp__feed_load(feed);
        if (n_rows == 0)
            return CSP_OK;
        for (uint32_t r = 0; r < n_rows; r++) {
            csp__row row;
            csp__feed_locate(feed, feed->next + r, &row);
            rows[r] = (piece_row){.exps = {.shift = guess}, .n = row.n};
        }
        csp_status status = weigh_rows(kernels, n, feed, e, rows, n_rows);
        if (status != CSP_OK)
            return status;
        add_rows(kernels, feed, e, rows, n_rows, sums);
        guess = csp__guess(csp__scale_of(rows[n_rows - 1].max).shift);
        feed->next += n_rows;
    }
}
