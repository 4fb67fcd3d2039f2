/*
 * peers_job.c - the whole pruning of one layer as one call, for peers.py
 *
 * Views and scratch are made beforehand, as an engine would; the clock runs
 * around the verbs and the zeroing of what csp_score adds to.
 */
#define _POSIX_C_SOURCE 199309L

#include "peers_job.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

struct peers_job {
    csp_attention attention;
    csp_tokens tokens;
    csp_config config;
    csp_importance importance;
    csp_kept kept;
    csp_cells src[2], dst[2];
    size_t importance_size; /* bytes of intra, and of inter */
    void *workspace;
    size_t workspace_size;
};

/* ---- Views --------------------------------------------------------------- */

static void view_attention(const peers_task *task, csp_attention *attention)
{
    csp_tensor scores = csp_tensor_packed(task->logits, CSP_F32, task->n_heads,
                                          task->n_queries, task->n_keys);

    scores.head_stride = (size_t)task->logits_head_stride;
    scores.row_stride = (size_t)task->logits_row_stride;
    attention->source = CSP_LOGITS;
    attention->mask = CSP_CAUSAL;
    attention->first_query = task->n_keys - task->n_queries;
    attention->scores = scores;
}

static void view_cache(float *rows, float *kept_rows, const peers_task *task,
                       uint32_t capacity, csp_cells *src, csp_cells *dst)
{
    const size_t cell_size = task->head_dim * sizeof(float);

    *src = csp_cells_packed(rows, task->n_kv_heads, task->n_keys, cell_size);
    *dst = csp_cells_packed(kept_rows, task->n_kv_heads, capacity, cell_size);
}

static void view_task(const peers_task *task, peers_job *job)
{
    const uint32_t capacity = task->n_intra + task->n_inter + task->n_queries;

    view_attention(task, &job->attention);
    job->tokens.n_kv_heads = task->n_kv_heads;
    job->tokens.n_keys = task->n_keys;
    job->tokens.spans = task->spans;
    job->tokens.n_spans = task->n_spans;
    job->importance.intra = task->intra;
    job->importance.inter = task->inter;
    job->importance.capacity = task->n_keys;
    job->importance_size =
        (size_t)task->n_kv_heads * task->n_keys * sizeof(float);
    job->kept.rows = task->kept;
    job->kept.counts = task->n_kept;
    job->kept.n_lists = task->n_kv_heads;
    job->kept.capacity = capacity;
    view_cache(task->keys, task->keys_kept, task, capacity, &job->src[0],
               &job->dst[0]);
    view_cache(task->values, task->values_kept, task, capacity, &job->src[1],
               &job->dst[1]);
}

/* The choice of the published code: the best of each list, or both. */
static csp_status set_config(const peers_task *task, csp_config *config)
{
    const csp_status status = csp_config_init(config);

    config->selection = CSP_UNION;
    config->recent = task->n_queries;
    config->n_intra = task->n_intra;
    config->n_inter = task->n_inter;
    return status;
}

/* ---- Functions for Python ------------------------------------------------ */

peers_job *peers_job_create(const peers_task *task)
{
    peers_job *job = calloc(1, sizeof(*job));

    if (job == NULL || set_config(task, &job->config) != CSP_OK)
        goto fail;
    view_task(task, job);

    const size_t score_size =
        csp_score_workspace_size(&job->attention, &job->tokens, &job->config);
    const size_t select_size =
        csp_select_workspace_size(&job->tokens, &job->config);
    if (score_size == 0 || select_size == 0)
        goto fail;

    job->workspace_size = score_size > select_size ? score_size : select_size;
    job->workspace = malloc(job->workspace_size);
    if (job->workspace == NULL)
        goto fail;
    memset(job->workspace, 0, job->workspace_size);
    return job;

fail:
    peers_job_destroy(job);
    return NULL;
}

static csp_status run(peers_job *job)
{
    memset(job->importance.intra, 0, job->importance_size);
    memset(job->importance.inter, 0, job->importance_size);

    csp_status status =
        csp_score(&job->attention, &job->tokens, &job->config, job->workspace,
                  job->workspace_size, &job->importance);
    if (status == CSP_OK)
        status = csp_select(&job->importance, &job->tokens, &job->config,
                            job->workspace, job->workspace_size, &job->kept);
    if (status == CSP_OK)
        status = csp_compact(job->src, 2, &job->kept, job->dst);
    return status;
}

csp_status peers_job_run(peers_job *job, double *seconds)
{
    struct timespec begin, end;

    clock_gettime(CLOCK_MONOTONIC, &begin);
    const csp_status status = run(job);
    clock_gettime(CLOCK_MONOTONIC, &end);
    *seconds = (double)(end.tv_sec - begin.tv_sec) +
               (double)(end.tv_nsec - begin.tv_nsec) * 1e-9;
    return status;
}

void peers_job_destroy(peers_job *job)
{
    if (job != NULL)
        free(job->workspace);
    free(job);
}
