/*
 * oracle.h - what the library should compute, in float64 and the plainest way
 *
 * Shares no code with src/.  Everything works on packed double arrays; which
 * token and which modality a key has is written out for each key.  Slow and
 * meant to be read: where the library disagrees with this file, one of them is
 * wrong.
 */
#ifndef ORACLE_H
#define ORACLE_H

#include "csp.h"

/* ---- Numbers ------------------------------------------------------------- */

size_t oracle_element_size(csp_dtype dtype);

/* The number at 'element', which needs no alignment. */
double oracle_decode(const void *element, csp_dtype dtype);

/* Round to nearest, ties to even; beyond the largest number is infinity. */
void oracle_encode(double value, csp_dtype dtype, void *element);

/* The longest row that the functions below take. */
#define ORACLE_MAX_KEYS 512

/* ---- Attention ----------------------------------------------------------- */

/*
 * The attention of one layer.
 *
 * 'n_rows'          [n_kv_heads] cached rows in use.
 * 'key_token'       [n_kv_heads][n_keys], 'key_modality' likewise.
 * 'query_modality'  [n_queries].
 * 'x'               [n_heads][n_queries][n_keys] logits, -INFINITY where
 *                   masked, or probabilities.  Entries that the row may not see
 *                   are not read.
 * 'lse'             [n_heads][n_queries] natural; NULL: none.
 */
typedef struct oracle_layer {
    uint32_t n_heads;
    uint32_t n_kv_heads;
    uint32_t n_queries;
    uint32_t n_keys;
    uint32_t first_query;
    uint32_t first_vote;
    bool causal;
    bool probabilities;
    uint32_t *n_rows;
    uint32_t *key_token;
    uint32_t *key_modality;
    uint32_t *query_modality;
    double *x;
    double *lse;
} oracle_layer;

/* Modality of a token. */
uint32_t oracle_modality(const csp_tokens *tokens, uint32_t token);

/* Fill in n_rows, key_token, key_modality and query_modality from 'tokens'. */
void oracle_describe(const csp_tokens *tokens, oracle_layer *layer);

/* Whether query row r may see cached row k of KV head g. */
bool oracle_sees(const oracle_layer *layer, uint32_t g, uint32_t r, uint32_t k);

/* Whether a number in a view of logits means "masked". */
bool oracle_masked(double logit, csp_dtype dtype);

/* The logit of a query and a key of 'head_dim' channels. */
double oracle_logit(const double *query, const double *key, uint32_t head_dim,
                    double scale, double softcap);

/* E1 on a whole row: exp(x_j) / (n + sum_i exp(x_i)), with 'log_n' = log n. */
void oracle_nsoftmax(const double *x, uint32_t n_cols, double log_n,
                     double *weights);

/* E2: add to intra and inter, [n_kv_heads][n_keys], and to the rows that could
   see. */
void oracle_score(const oracle_layer *layer, double n, double *intra,
                  double *inter, double *intra_rows, double *inter_rows);

/* ---- Selection ----------------------------------------------------------- */

/* Scores that one list is chosen by, [n_rows] each; 'both' is intra + inter,
   for single rows. */
typedef struct oracle_ranking {
    uint32_t n_rows;
    bool rounded; /* sums over blocks are rounded to float32 too */
    double *intra;
    double *inter;
    double *both;
} oracle_ranking;

/*
 * Final scores of list 'list' (E12, reduction, E3).
 *
 * 'rounded'  whether every step is rounded to float32, in the plainest order.
 *
 * Where nothing but the float32 numbers themselves is ranked, 'both' is their
 * sum in float32 in any case, as ties are decided by it.
 */
void oracle_rank(const csp_importance *importance, const oracle_layer *layer,
                 const csp_config *config, uint32_t list, bool rounded,
                 oracle_ranking *ranking);

/* Whether oracle_rank() gives the very numbers that are to be compared. */
bool oracle_rank_is_exact(const oracle_layer *layer, const csp_config *config);

/* Share of inter in the candidates' scores, averaged over heads (E12). */
double oracle_share(const csp_importance *importance, const oracle_layer *layer,
                    const csp_config *config, double *scratch);

/* Lengths of the two lists, in blocks. */
typedef struct oracle_quota {
    uint32_t n_intra;
    uint32_t n_inter;
    bool near_half; /* k * share may round either way */
} oracle_quota;

oracle_quota oracle_count(const csp_config *config, uint32_t n_rows,
                          double share);

/* E5 or E6: the csp_reason of each row to keep, 0 for others; returns how many
   stood in both lists. */
uint32_t oracle_choose(const csp_config *config, const oracle_ranking *ranking,
                       oracle_quota quota, uint8_t *reasons);

/* Whether block 'b' of 'n_rows' rows holds a protected row. */
bool oracle_protected(const csp_config *config, uint32_t n_rows, uint32_t b);

/* Blocks of 'n_rows' rows that hold a protected row. */
uint32_t oracle_n_protected(const csp_config *config, uint32_t n_rows);

/* ---- Calibration --------------------------------------------------------- */

typedef struct oracle_dropped {
    double log_mass; /* sum over rows */
    double rows;
    double magnitude; /* sum over rows of |log mass|, for error bounds */
} oracle_dropped;

/*
 * E8 and E10 of query head h over the keys that are not in 'kept' [n_keys].
 *
 * 'values'  [n_keys][value_dim] of its KV head; 'value' receives [value_dim].
 */
oracle_dropped oracle_calibrate(const oracle_layer *layer, uint32_t h,
                                const uint8_t *kept, const double *values,
                                uint32_t value_dim, double *value);

/* E9, E10: one channel of a corrected output. */
double oracle_correct(double output, double residual, double sink_logit,
                      double lse);

#endif /* ORACLE_H */
