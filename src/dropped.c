/*
 * dropped.c - rows that a selection does not keep, and what they weigh
 *
 * A row of logits with its kept keys masked is a row like any other: the log
 * of its sum of exponentials is the log of the dropped mass.
 */
#include "dropped.h"

#include <math.h>

#include "numeric.h"
#include "tokens.h"

csp__dropped csp__dropped_rows(const csp_tokens *tokens, const csp_kept *kept,
                               uint32_t kv_head)
{
    return (csp__dropped){.kept = csp__kept_rows(kept, kv_head),
                          .n_kept = kept->counts[csp__list(kept, kv_head)],
                          .n_rows = csp__count(tokens, kv_head)};
}

bool csp__next_dropped(csp__dropped *dropped, uint32_t *row)
{
    while (dropped->next_kept < dropped->n_kept &&
           dropped->kept[dropped->next_kept] == dropped->next) {
        dropped->next_kept++;
        dropped->next++;
    }
    if (dropped->next >= dropped->n_rows)
        return false;
    *row = dropped->next++;
    return true;
}

/* A row of probabilities less its kept keys: exponentials as they are, in the
   scale of the row's log-sum-exp. */
static csp_status take_probabilities(const csp__feed *feed, const csp__row *row,
                                     float *e, csp__exps *exps)
{
    double sum = 0.0;

    for (size_t i = 0; i < row->n; i++) {
        if (!(e[i] >= 0.0f) || !csp__is_finite(e[i]))
            return CSP_E_NOT_FINITE;
        sum += (double)e[i];
    }
    *exps = (csp__exps){.sum = sum};
    exps->offset = csp__row_lse(feed->window, row);
    if (sum > 0.0 && sum < 0x1p-60) { /* so that 1 / sum is a float; exact */
        for (size_t i = 0; i < row->n; i++)
            e[i] *= 0x1p100f;
        exps->sum *= 0x1p100;
        exps->shift = -100;
    }
    return CSP_OK;
}

static csp_status take_logits(const csp__kernels *k, const csp__row *row,
                              float *e, csp__exps *exps)
{
    const float masked = row->dtype == CSP_F16 ? CSP__MASKED_F16 : CSP__MASKED;

    for (size_t i = 0; i < row->n; i++)
        if (e[i] <= masked)
            e[i] = -INFINITY;
    return csp__exp_exactly(k, CSP_F32, e, row->n, e, exps);
}

csp_status csp__exp_dropped(const csp__feed *feed, const csp__row *row,
                            const csp_kept *kept, float *e, csp__exps *exps)
{
    const csp__kernels *k = feed->kernels;
    const csp__window *w = feed->window;
    const uint32_t g = feed->kv_head;
    const uint32_t *rows = csp__kept_rows(kept, g);
    const uint32_t n_kept = kept->counts[csp__list(kept, g)];
    const bool probabilities = w->attention->source == CSP_PROBABILITIES;
    const float nothing = probabilities ? 0.0f : -INFINITY;

    /* Kept keys count for nothing, but must be numbers too. */
    if (!csp__is_log(k->row_max[row->dtype](row->x, row->n)))
        return CSP_E_NOT_FINITE;
    k->load[row->dtype](row->x, row->n, e);
    for (uint32_t i = 0; i < n_kept && rows[i] < row->n; i++)
        e[rows[i]] = nothing;
    return probabilities ? take_probabilities(feed, row, e, exps)
                         : take_logits(k, row, e, exps);
}
