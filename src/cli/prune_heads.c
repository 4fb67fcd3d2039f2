/*
 * prune_heads.c - the library's verbs on one layer, KV heads side by side
 *
 * A KV head and its query heads are a layer of their own to the library, so
 * each is a task; whoever is free takes the next one.  The results are the same
 * bits for any number of threads, and the first head that fails is the one to
 * be named.
 */
#include "prune_heads.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* What is done to every KV head of a layer. */
typedef struct job {
    head_work *work;
    const csp_attention *attention;
    const csp_tokens *tokens;
    const csp_importance *importance; /* NULL: calibrate */
    const csp_kept *kept;
    const csp_calibration *sums;
    atomic_uint next;
} job;

outcome outcome_of(csp_status status)
{
    switch (status) {
    case CSP_OK:
        return DONE;
    case CSP_E_CONFIG:
    case CSP_E_BUDGET:
    case CSP_E_UNSUPPORTED:
        return BAD_USAGE;
    case CSP_E_NOT_FINITE:
    case CSP_E_OVERFLOW:
        return BAD_INPUT;
    case CSP_E_NULL:
    case CSP_E_SHAPE:
    case CSP_E_GQA:
    case CSP_E_SPAN:
    case CSP_E_STRIDE:
    case CSP_E_DTYPE:
    case CSP_E_WORKSPACE:
    case CSP_E_CAPACITY:
    case CSP_E_OVERLAP:
    case CSP_E_INDEX:
    case CSP_E_MEMORY:
    case CSP_E_STATE:
        break;
    }
    return INTERNAL;
}

csp_attention prune_attention(const prune_options *o, const prune_input *in)
{
    csp_attention attention = {.source = (csp_source)o->kind,
                               .mask = (csp_mask)o->mask,
                               .first_query = in->first_query};

    attention.scores =
        csp_tensor_packed(in->scores.data, in->scores.dtype, in->n_heads,
                          in->n_queries, in->n_keys);
    if (in->lse.data != NULL)
        attention.lse = csp_tensor_packed(in->lse.data, CSP_F32, in->n_heads,
                                          in->n_queries, 1);
    return attention;
}

static csp_tensor values_of(const prune_input *in)
{
    return csp_tensor_packed(in->values.data, in->values.dtype, in->n_kv_heads,
                             in->n_keys, in->value_dim);
}

/* ---- One KV head --------------------------------------------------------- */

/* 'count' heads of a tensor from 'first' on. */
static csp_tensor heads_of(csp_tensor tensor, uint32_t first, uint32_t count)
{
    if (tensor.data != NULL)
        tensor.data =
            (const unsigned char *)tensor.data + first * tensor.head_stride;
    tensor.n_heads = count;
    return tensor;
}

static csp_attention attention_of(const job *j, uint32_t g)
{
    const uint32_t group = j->work->in->n_heads / j->work->in->n_kv_heads;
    csp_attention attention = *j->attention;

    attention.scores = heads_of(attention.scores, g * group, group);
    attention.lse = heads_of(attention.lse, g * group, group);
    return attention;
}

static float *row_of(float *rows, uint32_t g, uint32_t capacity)
{
    return rows != NULL ? rows + (size_t)g * capacity : NULL;
}

static csp_status score_head(const job *j, uint32_t g, csp_tokens tokens,
                             unsigned char *workspace)
{
    const csp_importance *all = j->importance;
    const uint32_t capacity = all->capacity;
    const csp_attention attention = attention_of(j, g);
    const csp_importance importance = {
        .intra = row_of(all->intra, g, capacity),
        .inter = row_of(all->inter, g, capacity),
        .intra_rows = row_of(all->intra_rows, g, capacity),
        .inter_rows = row_of(all->inter_rows, g, capacity),
        .value_norm = row_of(all->value_norm, g, capacity),
        .capacity = capacity};
    const csp_status status =
        csp_score(&attention, &tokens, j->work->config, workspace,
                  j->work->workspace_size, &importance);

    if (status != CSP_OK || importance.value_norm == NULL)
        return status;
    const csp_tensor values = heads_of(values_of(j->work->in), g, 1);
    if (!j->work->config->center_values)
        return csp_value_norms(&values, &tokens, capacity,
                               importance.value_norm);
    return csp_value_distances(&values, &tokens, workspace,
                               j->work->workspace_size, capacity,
                               importance.value_norm);
}

static csp_status calibrate_head(const job *j, uint32_t g, csp_tokens tokens,
                                 unsigned char *workspace)
{
    const prune_input *in = j->work->in;
    const csp_calibration *all = j->sums;
    const uint32_t group = in->n_heads / in->n_kv_heads;
    const uint32_t list = j->kept->n_lists > 1 ? g : 0;
    const csp_attention attention = attention_of(j, g);
    const csp_kept kept = {.rows =
                               j->kept->rows + (size_t)list * j->kept->capacity,
                           .counts = j->kept->counts + list,
                           .n_lists = 1,
                           .capacity = j->kept->capacity};
    const csp_calibration sums = {
        .log_mass = all->log_mass + (size_t)g * group,
        .rows = all->rows + (size_t)g * group,
        .value = row_of(all->value, g * group, all->value_dim),
        .n_heads = group,
        .value_dim = all->value_dim};
    const csp_tensor values = heads_of(values_of(in), g, 1);

    return csp_calibrate(
        &attention, &tokens, &kept, all->value != NULL ? &values : NULL,
        &j->work->config->compute, workspace, j->work->workspace_size, &sums);
}

/* ---- All of them --------------------------------------------------------- */

static void work_on(void *argument, uint32_t worker)
{
    job *j = argument;
    head_work *w = j->work;
    unsigned char *workspace = w->workspaces + worker * w->workspace_size;
    csp_tokens tokens = *j->tokens;

    tokens.n_kv_heads = 1;
    for (;;) {
        const uint32_t g = atomic_fetch_add(&j->next, 1);
        if (g >= w->in->n_kv_heads)
            return;
        w->statuses[g] = j->importance != NULL
                             ? score_head(j, g, tokens, workspace)
                             : calibrate_head(j, g, tokens, workspace);
    }
}

static outcome run(job *j, uint32_t layer)
{
    head_work *w = j->work;

    atomic_init(&j->next, 0);
    w->hook.run(w->hook.context, w->hook.n_workers, work_on, j);
    for (uint32_t g = 0; g < w->in->n_kv_heads; g++)
        if (w->statuses[g] != CSP_OK)
            return fail(outcome_of(w->statuses[g]),
                        "%s: layer %u, KV head %u: %s",
                        w->in->scores.array.name, layer, g,
                        csp_status_string(w->statuses[g]));
    return DONE;
}

outcome heads_score(head_work *w, uint32_t layer,
                    const csp_attention *attention, const csp_tokens *tokens,
                    const csp_importance *importance)
{
    job j = {.work = w,
             .attention = attention,
             .tokens = tokens,
             .importance = importance};

    return run(&j, layer);
}

outcome heads_calibrate(head_work *w, uint32_t layer,
                        const csp_attention *attention,
                        const csp_tokens *tokens, const csp_kept *kept,
                        const csp_calibration *sums)
{
    job j = {.work = w,
             .attention = attention,
             .tokens = tokens,
             .kept = kept,
             .sums = sums};

    return run(&j, layer);
}

/* ---- Room ---------------------------------------------------------------- */

/* What either verb needs for one KV head; 0 if the library takes neither. */
static size_t workspace_for(const prune_options *o, const prune_input *in,
                            const csp_config *config, bool calibrates)
{
    const csp_tokens tokens = {.n_kv_heads = 1, .n_keys = in->n_keys};
    csp_attention attention = prune_attention(o, in);

    attention.scores.n_heads = in->n_heads / in->n_kv_heads;
    attention.lse.n_heads = attention.scores.n_heads;
    const size_t score = csp_score_workspace_size(&attention, &tokens, config);
    const size_t calibrate =
        calibrates
            ? csp_calibrate_workspace_size(&attention, &tokens, in->value_dim)
            : score;
    if (score == 0 || calibrate == 0)
        return 0;
    const size_t values = csp_value_distances_workspace_size(1, in->value_dim);
    const size_t most = score > calibrate ? score : calibrate;
    return most > values ? most : values;
}

outcome heads_start(const prune_options *o, const prune_input *in,
                    const csp_config *config, bool calibrates, head_work *w)
{
    uint32_t n_workers = o->given[OPTION_THREADS] ? o->threads : pool_cpus();

    if (n_workers > in->n_kv_heads)
        n_workers = in->n_kv_heads;
    *w = (head_work){.in = in, .config = config};
    w->workspace_size = workspace_for(o, in, config, calibrates);
    if (w->workspace_size == 0)
        return fail(BAD_INPUT, "%s: the library takes no scores of this shape",
                    in->scores.array.name);
    w->pool = pool_start(n_workers);
    w->workspaces = calloc(n_workers, w->workspace_size);
    w->statuses = calloc(in->n_kv_heads, sizeof *w->statuses);
    if (w->pool == NULL || w->workspaces == NULL || w->statuses == NULL)
        return fail(INTERNAL, "not enough memory to work in");
    w->hook = pool_hook(w->pool);
    return DONE;
}

void heads_stop(head_work *w)
{
    pool_stop(w->pool);
    free(w->workspaces);
    free(w->statuses);
}
