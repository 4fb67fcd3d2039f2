/*
 * quota.c - rows that each span keeps, so that no image vanishes
 *
 * Positions ascend, so the rows of a span are neighbours and a span is one run
 * of csp__next_run: the best of a run are found as the best of a list.
 */
#include "quota.h"

#include "best.h"
#include "bits.h"
#include "tokens.h"

#include <string.h>

/* Rows [begin, end) are a span's candidates, 'n' of which it claims. */
typedef struct claim {
    uint32_t begin, end;
    uint32_t n;
} claim;

/* The next claim of at least one row, from run->end on. */
static bool next_claim(const csp_tokens *tokens, uint32_t g, uint32_t quota,
                       const csp__units *units, csp__run *run, claim *c)
{
    while (csp__next_run(tokens, g, run)) {
        const uint32_t n_rows = run->end - run->begin;
        const uint32_t wanted = quota < n_rows ? quota : n_rows;
        c->begin = run->begin > units->first ? run->begin : units->first;
        c->end = run->end < units->last ? run->end : units->last;
        if (run->modality == 0 || c->begin >= c->end)
            continue;
        const uint32_t protected_rows = n_rows - (c->end - c->begin);
        if (wanted <= protected_rows)
            continue;
        c->n = wanted - protected_rows;
        return true;
    }
    return false;
}

uint32_t csp__quota_size(const csp_tokens *tokens, uint32_t g,
                         const csp_config *config, const csp__units *units)
{
    csp__run run = {0};
    claim c;
    uint32_t n = 0;

    if (config->span_quota == 0)
        return 0;
    while (next_claim(tokens, g, config->span_quota, units, &run, &c))
        n += c.n;
    return n;
}

/* Put the members of 'best' into 'set', 'offset' further on. */
static void put_set(const uint64_t *best, size_t n_words, size_t offset,
                    uint64_t *set)
{
    for (size_t i = 0; i < n_words; i++)
        for (uint64_t word = best[i]; word != 0; word &= word - 1) {
            const size_t at = offset + i * 64 + csp__lowest(word);
            set[at / 64] |= UINT64_C(1) << at % 64;
        }
}

void csp__quota_choose(const csp__kernels *k, const csp_tokens *tokens,
                       uint32_t g, const csp_config *config,
                       const csp__ranking *ranking, uint32_t *keys,
                       uint32_t *active, uint64_t *best, uint64_t *set)
{
    const csp__units *units = &ranking->units;
    csp__run run = {0};
    claim c;

    memset(set, 0, csp__words(units->last - units->first) * sizeof *set);
    while (next_claim(tokens, g, config->span_quota, units, &run, &c)) {
        const size_t n = c.end - c.begin;
        k->order(ranking->intra + c.begin, ranking->inter + c.begin, n, keys);
        csp__choose_best(k, keys, n, CSP__ANY, c.n, active, best);
        put_set(best, csp__words(n), c.begin - units->first, set);
    }
}
