/*
 * pruner_score.c - chunks of attention come in
 *
 * A chunk is scored into a spare and added when all of it succeeded, so a NaN
 * leaves the pruner as it was.  Each KV head is one task: a slice of the
 * views, scored by csp_score.
 */
#include <string.h>

#include "parallel.h"
#include "pruner.h"
#include "slices.h"
#include "tokens.h"

typedef struct job {
    const csp_pruner *pruner;
    const csp__store *store;
    const csp__window *window;
} job;

static csp_importance spare_of(const csp__store *store, uint32_t g)
{
    csp_importance spare = store->spare;
    size_t at = (size_t)g * spare.capacity;

    spare.intra += at;
    spare.inter += at;
    spare.intra_rows += at;
    spare.inter_rows += at;
    return spare;
}

static void zero(const csp_importance *spare, uint32_t n_rows)
{
    const size_t size = n_rows * sizeof(float);

    memset(spare->intra, 0, size);
    memset(spare->inter, 0, size);
    memset(spare->intra_rows, 0, size);
    memset(spare->inter_rows, 0, size);
}

/* A chunk without queries leaves the spare of every head zero. */
static csp_status score_nothing(const csp_pruner *p, const csp__store *store)
{
    for (uint32_t g = 0; g < p->n_kv_heads; g++) {
        const csp_importance spare = spare_of(store, g);
        zero(&spare, p->next_counts[g]);
    }
    return CSP_OK;
}

static csp_status score_head(void *argument, uint32_t g, uint32_t worker)
{
    const job *j = argument;
    const csp_pruner *p = j->pruner;
    const csp_attention attention = csp__slice_attention(j->window, g);
    const csp_tokens tokens = csp__slice_tokens(*j->window->tokens, g);
    const csp_importance spare = spare_of(j->store, g);

    zero(&spare, csp__count(&tokens, 0));
    return csp_score(&attention, &tokens, &p->config,
                     csp__worker_memory(p, worker), p->worker_size, &spare);
}

/* sums[0..n_old) += chunk; rows that are new begin with it. */
static void add_rows(float *sums, const float *chunk, size_t n_old,
                     size_t n_new)
{
    for (size_t i = 0; i < n_old; i++)
        sums[i] += chunk[i];
    memcpy(sums + n_old, chunk + n_old, (n_new - n_old) * sizeof *sums);
}

/* Cannot fail. */
static void commit(csp_pruner *p, uint32_t layer, uint32_t n_tokens,
                   const csp__store *store)
{
    uint32_t *counts = p->counts + (size_t)layer * p->n_kv_heads;

    csp__store_take(p, store);
    const csp_importance to = csp__layer_importance(p, layer);
    for (uint32_t g = 0; g < p->n_kv_heads && store->capacity > 0; g++) {
        const csp_importance spare = spare_of(store, g);
        const size_t at = (size_t)g * to.capacity;
        const uint32_t n_old = counts[g];
        const uint32_t n_new = p->next_counts[g];
        add_rows(to.intra + at, spare.intra, n_old, n_new);
        add_rows(to.inter + at, spare.inter, n_old, n_new);
        add_rows(to.intra_rows + at, spare.intra_rows, n_old, n_new);
        add_rows(to.inter_rows + at, spare.inter_rows, n_old, n_new);
        counts[g] = n_new;
    }
    if (n_tokens > p->layers[layer].n_tokens)
        p->layers[layer].has_values = false;
    p->layers[layer].n_tokens = n_tokens;
    csp__plan_drop(p);
}

/* What the layer will hold once the chunk is in; without positions. */
static csp_tokens coming_tokens(csp_pruner *p, uint32_t layer,
                                uint32_t n_tokens)
{
    const uint32_t *counts = p->counts + (size_t)layer * p->n_kv_heads;
    csp_tokens tokens = csp__layer_tokens(p, layer);

    for (uint32_t g = 0; g < p->n_kv_heads; g++)
        p->next_counts[g] = counts[g] + (n_tokens - p->layers[layer].n_tokens);
    tokens.counts = p->next_counts;
    tokens.n_keys = csp__max_count(p->next_counts, p->n_kv_heads);
    tokens.positions = NULL;
    return tokens;
}

/* Give 'tokens' their positions: those since the last chunk go behind the rows
   in use, where they mean nothing until the commit. */
static void add_positions(const csp_pruner *p, uint32_t layer,
                          uint32_t n_tokens, const csp__store *store,
                          csp_tokens *tokens)
{
    const size_t head = (size_t)layer * p->n_kv_heads;
    const uint32_t seen = p->layers[layer].n_tokens;

    for (size_t g = head; g < head + p->n_kv_heads; g++)
        for (uint32_t i = 0; i < n_tokens - seen; i++)
            store->positions[g * store->capacity + p->counts[g] + i] = seen + i;
    tokens->positions = store->positions + head * store->capacity;
    tokens->capacity = store->capacity;
}

/* As csp_score does, which is not asked where there are no rows. */
static csp_status check_chunk(const csp_pruner *p,
                              const csp_attention *attention,
                              const csp_tokens *tokens, csp__window *window)
{
    csp_status status = csp__check_window(attention, tokens, false, window);

    if (status == CSP_OK && attention->source == CSP_PROBABILITIES &&
        attention->lse.data == NULL && p->config.n > 0.0)
        return CSP_E_CONFIG;
    return status;
}

/* Score a checked window, head by head, into the spare of 'store'. */
static csp_status score_heads(csp_pruner *p, const csp__window *window,
                              const csp__store *store)
{
    const csp_attention first = csp__slice_attention(window, 0);
    const csp_tokens first_tokens = csp__slice_tokens(*window->tokens, 0);
    job j = {.pruner = p, .store = store, .window = window};

    csp_status status = csp__workspace_grow(
        p, csp_score_workspace_size(&first, &first_tokens, &p->config));
    if (status != CSP_OK)
        return status;
    return csp__run_tasks(&p->parallel, p->n_kv_heads, score_head, &j);
}

csp_status csp_pruner_score(csp_pruner *pruner, uint32_t layer,
                            const csp_attention *attention)
{
    csp__window window;
    csp__store store;

    if (pruner == NULL || attention == NULL)
        return CSP_E_NULL;
    if (layer >= pruner->n_layers)
        return CSP_E_SHAPE;
    const uint32_t n_queries = attention->source == CSP_QUERY_KEY
                                   ? attention->queries.n_rows
                                   : attention->scores.n_rows;
    if (n_queries > UINT32_MAX - attention->first_query)
        return CSP_E_OVERFLOW;
    const uint32_t n_tokens = attention->first_query + n_queries;
    if (n_tokens < pruner->layers[layer].n_tokens)
        return CSP_E_STATE;
    csp_tokens tokens = coming_tokens(pruner, layer, n_tokens);
    csp_status status = CSP_OK;
    if (n_queries > 0) /* else there is no view to look at */
        status = check_chunk(pruner, attention, &tokens, &window);
    if (status != CSP_OK)
        return status;
    status = csp__store_grow(pruner, tokens.n_keys, &store);
    if (status != CSP_OK)
        return status;
    if (tokens.n_keys > 0) {
        add_positions(pruner, layer, n_tokens, &store, &tokens);
        status = n_queries > 0 ? score_heads(pruner, &window, &store)
                               : score_nothing(pruner, &store);
    }
    if (status == CSP_OK)
        commit(pruner, layer, n_tokens, &store);
    else
        csp__store_drop(pruner, &store);
    return status;
}

static csp_status set_distances(csp_pruner *pruner, const csp_tensor *values,
                                const csp_tokens *tokens,
                                const csp_importance *importance)
{
    /* Views first: with no workspace that is what is wrong, if nothing else
       is. */
    csp_status status =
        csp_value_distances(values, tokens, pruner, 0, importance->capacity,
                            importance->value_norm);

    if (status != CSP_E_WORKSPACE)
        return status;
    status = csp__workspace_grow(
        pruner,
        csp_value_distances_workspace_size(pruner->n_kv_heads, values->n_cols));
    if (status != CSP_OK)
        return status;
    return csp_value_distances(values, tokens, pruner->workspace,
                               pruner->worker_size, importance->capacity,
                               importance->value_norm);
}

csp_status csp_pruner_set_values(csp_pruner *pruner, uint32_t layer,
                                 const csp_tensor *values)
{
    if (pruner == NULL || values == NULL)
        return CSP_E_NULL;
    if (layer >= pruner->n_layers)
        return CSP_E_SHAPE;
    const csp_tokens tokens = csp__layer_tokens(pruner, layer);
    const csp_importance importance = csp__layer_importance(pruner, layer);
    csp_status status =
        pruner->config.center_values
            ? set_distances(pruner, values, &tokens, &importance)
            : csp_value_norms(values, &tokens, importance.capacity,
                              importance.value_norm);
    if (status == CSP_OK) {
        pruner->layers[layer].has_values = true;
        csp__plan_drop(pruner);
    }
    return status;
}
