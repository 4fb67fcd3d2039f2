/*
 * quota.h - rows that each span keeps, so that no image vanishes
 *
 * A span of modality > 0 claims its best candidates by intra + inter, as many
 * as its protected rows leave of min(config->span_quota, its rows).  Units are
 * single rows here.
 */
#ifndef CSP_QUOTA_H
#define CSP_QUOTA_H

#include "csp.h"
#include "kernels.h"
#include "rank.h"

/* Candidates of KV head g that all spans together claim. */
uint32_t csp__quota_size(const csp_tokens *tokens, uint32_t g,
                         const csp_config *config, const csp__units *units);

/*
 * Choose them by the scores in 'ranking'.
 *
 * 'keys', 'active'  [n_keys] scratch.
 * 'best'            [words of candidates] scratch.
 * 'set'             [words of candidates] receives them.
 */
void csp__quota_choose(const csp__kernels *k, const csp_tokens *tokens,
                       uint32_t g, const csp_config *config,
                       const csp__ranking *ranking, uint32_t *keys,
                       uint32_t *active, uint64_t *best, uint64_t *set);

#endif
