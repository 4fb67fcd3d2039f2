/*
 * rows.h - attention as a sequence of rows, wherever they come from
 *
 * Score and calibrate want the rows of one KV head in a fixed order: for one
 * set of query rows, query head by query head.  A feed hands them out one by
 * one; rows of CSP_QUERY_KEY are computed a tile ahead, so that the product
 * has some rows to work on and the logits of a head never exist as a whole.
 */
#ifndef CSP_ROWS_H
#define CSP_ROWS_H

#include "csp.h"
#include "kernels.h"
#include "workspace.h"

/* A checked attention view. */
typedef struct csp__window {
    const csp_attention *attention;
    const csp_tokens *tokens;
    uint32_t n_heads;
    uint32_t group; /* query heads of a KV head */
    uint32_t n_queries;
    uint32_t head_dim;  /* CSP_QUERY_KEY, else 0 */
    uint32_t tile_rows; /* CSP_QUERY_KEY: rows computed together, else 0 */
} csp__window;

/* Check attention and tokens.  'shapes_only': read counts, not data (workspace
   sizes). */
csp_status csp__check_window(const csp_attention *attention,
                             const csp_tokens *tokens, bool shapes_only,
                             csp__window *window);

/* One row of logits or probabilities. */
typedef struct csp__row {
    const void *x;
    csp_dtype dtype;
    uint32_t head;  /* query head */
    uint32_t query; /* row of the view */
    uint32_t n;     /* cached rows it may see: a prefix */
    size_t skipped; /* bytes from there to the next row, if that is near */
} csp__row;

typedef struct csp__feed {
    const csp__window *window;
    const csp__kernels *kernels;
    uint32_t kv_head;
    const uint32_t *queries; /* the query rows wanted, ascending */
    uint32_t n_queries;
    uint32_t next;       /* of group * n_queries rows */
    uint32_t tile_begin; /* rows [begin, end) are in the tile */
    uint32_t tile_end;
    uint32_t tile_seen; /* cached rows that one of them may see: a prefix */
    uint32_t tile_rows; /* the most there can be; 0 but for CSP_QUERY_KEY */
    uint32_t tile_keys;
    float *tile;      /* [tile_rows][tile_keys] logits */
    float *tile_q;    /* [tile_rows][head_dim] */
    float *key_chunk; /* some keys in f32 */
} csp__feed;

/* Take a feed's scratch.  csp__feed_next wants a tile of window->tile_rows and
   all keys. */
void csp__feed_carve(csp__feed *feed, const csp__window *window,
                     uint32_t tile_rows, uint32_t tile_keys, csp__arena *arena);

/* Start over with other rows of a KV head. */
void csp__feed_start(csp__feed *feed, uint32_t kv_head, const uint32_t *queries,
                     uint32_t n_queries);

/* The next row; false at the end.  'row' is valid until the next call. */
bool csp__feed_next(csp__feed *feed, csp__row *row);

/*
 * What csp__feed_next does for CSP_QUERY_KEY, step by step: load the queries of
 * the rows to come, at most tile_rows, and say how many; then compute their
 * logits with keys [begin, end), at most tile_keys, from column 0 of the tile
 * on.  The caller moves feed->next on.
 */
uint32_t csp__feed_load(csp__feed *feed);
void csp__feed_multiply(csp__feed *feed, size_t begin, size_t end);

/* Where row 'index' of the feed is and what it may see; x is not set. */
void csp__feed_locate(const csp__feed *feed, uint32_t index, csp__row *row);

/* Log-sum-exp of a row in natural units; 0 where the view has none. */
double csp__row_lse(const csp__window *window, const csp__row *row);

/* The token of a query row. */
static inline uint32_t csp__query_token(const csp__window *window,
                                        uint32_t query)
{
    return window->attention->first_query + query;
}

/*
 * Query rows that vote, ascending, and the modality of each; returns how many.
 */
uint32_t csp__voting_rows(const csp__window *window, const csp_config *config,
                          uint32_t *queries, uint8_t *modalities);

#endif
