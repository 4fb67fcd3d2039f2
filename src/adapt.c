/*
 * adapt.c - heads that share their budgets
 *
 * The candidates of all heads lie behind one another as one long list, each
 * head's padded to whole words with keys that are never chosen.  So the best of
 * all heads are the best of a list, and its order on ties, lowest index first,
 * is head by head and row by row.
 */
#include "adapt.h"

#include "best.h"
#include "bits.h"
#include "tokens.h"

#include <string.h>

/* Heads that need to be looked at: without counts all are as the first. */
static uint32_t n_different(const csp_tokens *tokens)
{
    return tokens->counts != NULL ? tokens->n_kv_heads : 1;
}

/* How many heads each of them stands for. */
static uint32_t n_alike(const csp_tokens *tokens)
{
    return tokens->counts != NULL ? 1 : tokens->n_kv_heads;
}

uint64_t csp__shared_rows(const csp_tokens *tokens, const csp_config *config)
{
    const uint64_t budget = (uint64_t)tokens->n_kv_heads * config->budget;
    const uint32_t n_heads = n_different(tokens);
    uint64_t n_rows = 0;

    for (uint32_t g = 0; g < n_heads; g++)
        n_rows += csp__count(tokens, g);
    n_rows *= n_alike(tokens);
    return budget < n_rows ? budget : n_rows;
}

uint32_t csp__own_rows(const csp_tokens *tokens, uint32_t g,
                       const csp_config *config, uint32_t n_claimed)
{
    const uint32_t n_rows = csp__count(tokens, g);
    const uint64_t kept = (uint64_t)config->sinks + config->recent + n_claimed;
    /* Below 2^32 + 1/2, and at most the budget. */
    const uint64_t least =
        (uint64_t)(config->head_floor * (double)config->budget + 0.5);
    const uint64_t own = kept > least ? kept : least;

    return own < n_rows ? (uint32_t)own : n_rows;
}

uint32_t csp__shared_bound(const csp_tokens *tokens, const csp_config *config)
{
    const uint64_t shared = csp__shared_rows(tokens, config);
    const uint32_t n_heads = n_different(tokens);
    uint64_t owned = 0;
    uint32_t bound = 0;

    for (uint32_t g = 0; g < n_heads; g++)
        owned += csp__own_rows(tokens, g, config, 0);
    owned *= n_alike(tokens);
    for (uint32_t g = 0; g < n_heads; g++) {
        const uint32_t n_rows = csp__count(tokens, g);
        const uint64_t most =
            shared - owned + csp__own_rows(tokens, g, config, 0);
        const uint32_t n = most < n_rows ? (uint32_t)most : n_rows;
        bound = n > bound ? n : bound;
    }
    return bound;
}

void csp__common_carve(csp__common *common, const csp_tokens *tokens,
                       csp__arena *arena)
{
    const size_t words = csp__words(tokens->n_keys);
    const uint32_t n_heads = tokens->n_kv_heads;

    common->words = words;
    common->n_heads = n_heads;
    common->keys =
        csp__arena_take(arena, n_heads, words, 64 * sizeof(uint32_t));
    common->active =
        csp__arena_take(arena, n_heads, words, 64 * sizeof(uint32_t));
    common->kept = csp__arena_take(arena, n_heads, words, sizeof(uint64_t));
    common->chosen = csp__arena_take(arena, n_heads, words, sizeof(uint64_t));
}

void csp__common_add(const csp__kernels *k, const csp__ranking *ranking,
                     const uint64_t *kept, uint32_t g,
                     const csp__common *common)
{
    const csp__units *units = &ranking->units;
    const size_t n = units->last - units->first;
    const size_t words = csp__words(n);
    uint32_t *keys = common->keys + g * common->words * 64;
    uint64_t *set = common->kept + g * common->words;

    memset(set, 0, common->words * sizeof *set);
    memcpy(set, kept, words * sizeof *set);
    memset(keys, 0, common->words * 64 * sizeof *keys);
    if (units->keep_all)
        return;
    k->order(ranking->intra + units->first, ranking->inter + units->first, n,
             keys);
    csp__strike(kept, words, keys);
}

void csp__common_choose(const csp__kernels *k, uint64_t n_best,
                        const csp__common *common)
{
    const size_t words = common->n_heads * common->words;

    csp__choose_best(k, common->keys, words * 64, CSP__ANY, n_best,
                     common->active, common->chosen);
    for (size_t i = 0; i < words; i++)
        common->kept[i] |= common->chosen[i];
}

/* From the end, so that no reason is overwritten before it has moved. */
void csp__common_reasons(const csp__common *common, uint32_t g,
                         const csp__units *units, const uint32_t *rows,
                         uint32_t n, uint8_t *reasons)
{
    const uint64_t *chosen = common->chosen + g * common->words;
    const uint32_t n_candidates = units->last - units->first;
    uint32_t own = n - (uint32_t)csp__count_bits(chosen, common->words);

    for (uint32_t i = n; i > own; i--) {
        /* Beyond all candidates for the protected rows in front of them. */
        const uint32_t at = rows[i - 1] - units->first;
        const bool is_chosen =
            at < n_candidates && (chosen[at / 64] >> at % 64 & 1);
        reasons[i - 1] =
            is_chosen ? (uint8_t)CSP_REASON_FILLED : reasons[--own];
    }
}
