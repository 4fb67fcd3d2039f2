/*
 * moments.h - checks that the verbs around moments and summaries share
 */
#ifndef CSP_MOMENTS_H
#define CSP_MOMENTS_H

#include "csp.h"
#include "kernels.h"

csp_status csp__check_moments(const csp_moments *moments);

/* Counts and type of a summary, and its pointers unless 'shapes_only'. */
csp_status csp__check_summary(const csp_summary *summary, bool shapes_only);

static inline bool csp__same_shape(const csp_summary *summary,
                                   const csp_moments *moments)
{
    return summary->n_kv_heads == moments->n_kv_heads &&
           summary->key_dim == moments->key_dim &&
           summary->value_dim == moments->value_dim;
}

/* A summary's rows of one KV head, widened: [1 + 2 rank][key_dim] and
   [1 + rank][value_dim]. */
void csp__summary_load(const csp__kernels *kernels, const csp_summary *summary,
                       uint32_t kv_head, float *keys, float *values);

#endif
