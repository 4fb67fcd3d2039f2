/*
 * peers_job.h - the whole pruning of one layer as one call, for peers.py
 *
 * Score the window, select, gather keys and values.  Every array is the
 * caller's; a job has only the library's scratch.  peers_csp.py mirrors the
 * struct.
 */
#ifndef PEERS_JOB_H
#define PEERS_JOB_H

#include "csp.h"

/*
 * One layer, f32.
 *
 * 'logits'       [n_heads][n_queries] rows of n_keys, strides in bytes: the
 *                last rows of the prompt.  As many tokens are recent.
 * 'keys', 'values'          [n_kv_heads][n_keys][head_dim], packed.
 * 'intra', 'inter'          receive [n_kv_heads][n_keys].
 * 'kept'                    receives [n_kv_heads][capacity], capacity being
 *                           n_intra + n_inter + n_queries.
 * 'n_kept'                  receives [n_kv_heads].
 * 'keys_kept', 'values_kept'  receive [n_kv_heads][capacity][head_dim].
 */
typedef struct peers_task {
    const float *logits;
    float *keys, *values; /* only read */
    const csp_span *spans;
    float *intra, *inter;
    uint32_t *kept, *n_kept;
    float *keys_kept, *values_kept;
    uint64_t logits_head_stride, logits_row_stride;
    uint32_t n_heads, n_kv_heads, n_keys, n_queries, head_dim, n_spans;
    uint32_t n_intra, n_inter;
} peers_task;

typedef struct peers_job peers_job;

/* The arrays of 'task' are to outlive the job.  NULL where the library refuses
   the task or memory is short. */
peers_job *peers_job_create(const peers_task *task);

/* Do it all once; 'seconds' receives how long that took. */
csp_status peers_job_run(peers_job *job, double *seconds);

/* NULL is fine. */
void peers_job_destroy(peers_job *job);

#endif /* PEERS_JOB_H */
