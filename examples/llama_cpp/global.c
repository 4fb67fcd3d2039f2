/*
 * global.c - the prune by llama_memory_seq_rm: the same tokens everywhere
 */
#include "csp_llama.h"

#include <stdlib.h>
#include <string.h>

/* Positions of a sequence whose token t stands at 'origin' + t. */
static const char *origin_of(struct llama_context *context, llama_seq_id seq,
                             const csp_tokens *tokens, llama_pos *origin)
{
    const llama_memory_t memory = llama_get_memory(context);
    const uint32_t last = tokens->n_keys - 1;
    const uint32_t first_token = tokens->positions ? tokens->positions[0] : 0;
    const uint32_t last_token =
        tokens->positions ? tokens->positions[last] : last;

    *origin = llama_memory_seq_pos_min(memory, seq) - (llama_pos)first_token;
    if (llama_memory_seq_pos_max(memory, seq) !=
        *origin + (llama_pos)last_token)
        return "the cache holds other tokens than the pruner has seen";
    return NULL;
}

/* Rows [begin, end) have no other rows between their positions. */
static bool drop(llama_memory_t memory, llama_seq_id seq,
                 const csp_tokens *tokens, llama_pos origin, csp_range rows)
{
    const uint32_t *positions = tokens->positions;
    const uint32_t from = positions ? positions[rows.begin] : rows.begin;
    const uint32_t to = positions ? positions[rows.end - 1] : rows.end - 1;

    return llama_memory_seq_rm(memory, seq, origin + (llama_pos)from,
                               origin + (llama_pos)to + 1);
}

/* Every layer's list is the first one's. */
static bool same_everywhere(const csp_pruner *pruner, uint32_t n_layers,
                            const csp_kept *first)
{
    csp_kept kept;

    for (uint32_t i = 0; i < n_layers; ++i)
        if (csp_pruner_kept(pruner, i, &kept) || kept.n_lists != 1 ||
            kept.counts[0] != first->counts[0] ||
            memcmp(kept.rows, first->rows,
                   kept.counts[0] * sizeof *kept.rows) != 0)
            return false;
    return true;
}

static const char *drop_all(struct llama_context *context, llama_seq_id seq,
                            const csp_tokens *tokens, const csp_kept *kept)
{
    const uint32_t n_kept = kept->counts[0];
    const char *problem;
    llama_pos origin;
    csp_range *runs;
    uint32_t n_runs;
    csp_status e;

    if (seq < 0 || (uint32_t)seq >= llama_n_seq_max(context))
        return "the context has no sequence of this number";
    if (n_kept == 0 || kept->rows[n_kept - 1] != tokens->n_keys - 1)
        return "the last token must be kept, where decoding goes on";
    if ((problem = origin_of(context, seq, tokens, &origin)))
        return problem;
    if (!(runs = malloc(((size_t)n_kept + 1) * sizeof *runs)))
        return "out of memory";
    if ((e = csp_dropped_ranges(kept->rows, n_kept, tokens->n_keys, n_kept + 1,
                                runs, &n_runs)))
        problem = csp_status_string(e);
    for (uint32_t i = n_runs; !problem && i-- > 0;)
        if (!drop(llama_get_memory(context), seq, tokens, origin, runs[i]))
            problem = "llama.cpp cannot drop part of a sequence of this model";
    free(runs);
    return problem;
}

const char *csp_llama_prune_global(struct llama_context *context,
                                   llama_seq_id seq,
                                   const csp_llama_model *model,
                                   csp_pruner *pruner)
{
    csp_tokens tokens;
    const char *problem;
    csp_kept kept;
    csp_status e;

    if (model->shared_positions)
        return "M-RoPE gives a whole image one position; prune by the state";
    if ((e = csp_pruner_plan(pruner)) ||
        (e = csp_pruner_tokens(pruner, 0, &tokens)) ||
        (e = csp_pruner_kept(pruner, 0, &kept)))
        return csp_status_string(e);
    if (!same_everywhere(pruner, model->n_layers, &kept))
        return "only CSP_GLOBAL drops the same tokens everywhere";
    if ((problem = drop_all(context, seq, &tokens, &kept)))
        return problem;
    e = csp_pruner_apply(pruner, NULL, 0, NULL);
    return e ? csp_status_string(e) : NULL;
}
