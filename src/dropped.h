/*
 * dropped.h - rows that a selection does not keep, and what they weigh
 */
#ifndef CSP_DROPPED_H
#define CSP_DROPPED_H

#include "csp.h"
#include "exps.h"
#include "kernels.h"
#include "rows.h"

/* The dropped rows of a KV head, ascending. */
typedef struct csp__dropped {
    const uint32_t *kept;
    uint32_t n_kept, next_kept;
    uint32_t n_rows, next;
} csp__dropped;

csp__dropped csp__dropped_rows(const csp_tokens *tokens, const csp_kept *kept,
                               uint32_t kv_head);

/* The next one; false at the end. */
bool csp__next_dropped(csp__dropped *dropped, uint32_t *row);

/*
 * The exponentials of a row's dropped keys, kept ones 0, in e[0..row->n); their
 * scale and sum in 'exps', the log of which is the dropped mass.
 *
 * CSP_E_NOT_FINITE if a score, kept or dropped, is NaN or +inf.
 */
csp_status csp__exp_dropped(const csp__feed *feed, const csp__row *row,
                            const csp_kept *kept, float *e, csp__exps *exps);

#endif
