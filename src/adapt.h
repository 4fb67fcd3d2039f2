/*
 * adapt.h - heads that share their budgets
 *
 * With config->head_floor < 1 a head owns its protected rows, what quotas claim
 * and a part of its budget; the best candidates left over in all heads share
 * what the budgets leave (AdaKV, arXiv 2407.11550).  Units are single rows
 * here.
 */
#ifndef CSP_ADAPT_H
#define CSP_ADAPT_H

#include "csp.h"
#include "kernels.h"
#include "rank.h"
#include "workspace.h"

static inline bool csp__shares_heads(const csp_config *config)
{
    return config->head_floor < 1.0;
}

/* Rows of all heads together: n_kv_heads budgets, if there are so many. */
uint64_t csp__shared_rows(const csp_tokens *tokens, const csp_config *config);

/* Rows that KV head g keeps whatever the others hold; 'n_claimed' by quotas. */
uint32_t csp__own_rows(const csp_tokens *tokens, uint32_t g,
                       const csp_config *config, uint32_t n_claimed);

/* Rows one head can come to hold at most.  Reads counts only. */
uint32_t csp__shared_bound(const csp_tokens *tokens, const csp_config *config);

/* Candidates of all heads, [n_heads][words] as sets, [n_heads][words * 64] as
   keys; those that are kept have the key 0. */
typedef struct csp__common {
    uint32_t *keys;
    uint32_t *active;
    uint64_t *kept;
    uint64_t *chosen;
    size_t words; /* of each head */
    uint32_t n_heads;
} csp__common;

void csp__common_carve(csp__common *common, const csp_tokens *tokens,
                       csp__arena *arena);

/* Head g keeps 'kept'; its other candidates, by the scores in 'ranking', are in
   question. */
void csp__common_add(const csp__kernels *k, const csp__ranking *ranking,
                     const uint64_t *kept, uint32_t g,
                     const csp__common *common);

/* Keep the n_best of all heads too: score descending, head ascending, row
   ascending. */
void csp__common_choose(const csp__kernels *k, uint64_t n_best,
                        const csp__common *common);

/*
 * The reasons of what head g keeps, once the best of all heads are chosen.
 *
 * 'rows'     [n] all that it keeps.
 * 'reasons'  [n] of which the first are those of what it kept before.
 */
void csp__common_reasons(const csp__common *common, uint32_t g,
                         const csp__units *units, const uint32_t *rows,
                         uint32_t n, uint8_t *reasons);

static inline const uint64_t *csp__common_kept(const csp__common *common,
                                               uint32_t g)
{
    return common->kept + g * common->words;
}

#endif
