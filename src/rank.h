/*
 * rank.h - importance -> the scores that are ranked (E3, E12)
 */
#ifndef CSP_RANK_H
#define CSP_RANK_H

#include "csp.h"
#include "kernels.h"
#include "workspace.h"

/* Units of one list: single rows, or blocks of config->block rows, the last
   maybe short. */
typedef struct csp__units {
    uint32_t n_rows;
    uint32_t n;     /* ceil(n_rows / block) */
    uint32_t first; /* candidates are [first, last), all others protected */
    uint32_t last;
    uint32_t budget; /* CSP_EXACT */
    bool keep_all;   /* CSP_EXACT: the budget holds every row */
} csp__units;

/* Units of a list over heads with n_rows rows.  CSP_E_BUDGET if those that are
   protected exceed the budget. */
csp_status csp__units_of(uint32_t n_rows, const csp_config *config,
                         csp__units *units);

typedef struct csp__ranking {
    csp__units units;
    float *intra; /* [n_keys] scores of units */
    float *inter;
    float *head_intra; /* [n_keys] one head's, while heads are put together */
    float *head_inter;
    float *pooled; /* [n_keys] */
} csp__ranking;

void csp__ranking_carve(csp__ranking *ranking, uint32_t n_keys,
                        csp__arena *arena);

/* Scores of heads [begin, end), put together, by units; ranking->units must be
   set. */
void csp__rank(csp__ranking *ranking, const csp_importance *importance,
               uint32_t begin, uint32_t end, const csp_config *config);

/*
 * Share of inter in the candidates' scores, averaged over the heads that have
 * any; 0 if none has.  Uses 'ranking' as scratch.
 */
double csp__auto_share(const csp__kernels *kernels, csp__ranking *ranking,
                       const csp_importance *importance,
                       const csp_tokens *tokens, const csp_config *config);

#endif
