/*
 * statistics.h - what the numbers of an array are like
 */
#ifndef CLI_STATISTICS_H
#define CLI_STATISTICS_H

#include "array.h"
#include "entropy.h"

/* What the rows along the last axis are taken for. */
typedef enum row_kind {
    ROWS_UNKNOWN,
    ROWS_LOGITS,
    ROWS_PROBABILITIES
} row_kind;

typedef struct statistics {
    bool is_float;
    uint64_t n_nan, n_plus_inf, n_minus_inf;
    uint64_t n_finite;
    double min, max, sum;             /* of finite numbers */
    int64_t min_integer, max_integer; /* exact, where not is_float */
    uint64_t n_low;                   /* logits that csp.h calls masked */
    uint64_t n_zero;
    row_kind kind;
    const char *why; /* 'kind' was taken */
    entropy rows;
} statistics;

/*
 * Read the whole array once, piece by piece, with a progress bar.
 *
 * 'kind'  ROWS_UNKNOWN: find out.
 */
outcome statistics_of(const array *a, row_kind kind, statistics *s);

#endif /* CLI_STATISTICS_H */
