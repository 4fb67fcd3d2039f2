/*
 * oracle_budget.h - quotas of spans and heads that share, in the plainest way
 *
 * For CSP_EXACT and single rows.  The scores are oracle_rank()'s; what is
 * chosen by them is written out here once more, with a budget for each list.
 */
#ifndef ORACLE_BUDGET_H
#define ORACLE_BUDGET_H

#include "csp.h"

#define ORACLE_MAX_LISTS 8
#define ORACLE_LIST_KEYS 160

typedef struct oracle_lists {
    uint32_t n_lists;
    bool over_budget; /* protected and claimed rows of a list are too many */
    uint32_t n_rows[ORACLE_MAX_LISTS];
    uint8_t reasons[ORACLE_MAX_LISTS][ORACLE_LIST_KEYS]; /* 0: dropped */
    uint32_t n_both[ORACLE_MAX_LISTS];
} oracle_lists;

/* What csp_select is to keep of at most ORACLE_LIST_KEYS rows a head. */
void oracle_select_budgets(const csp_importance *importance,
                           const csp_tokens *tokens, const csp_config *config,
                           oracle_lists *lists);

#endif
