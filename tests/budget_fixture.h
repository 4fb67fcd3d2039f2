/*
 * budget_fixture.h - what the tests of a pruner's budgets share
 */
#ifndef BUDGET_FIXTURE_H
#define BUDGET_FIXTURE_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "pruner_fixture.h"

/* A pruner that has seen all of an engine's attention and values. */
static inline csp_pruner *scored_pruner(const engine *e,
                                        const csp_config *config,
                                        const csp_parallel *parallel)
{
    csp_pruner *pruner = new_pruner(e, config, NULL, parallel);

    engine_score_all(e, pruner, 0, e->n_tokens, LOGITS);
    engine_set_values(e, pruner);
    return pruner;
}

/* Rows that all lists of a layer keep. */
static inline uint64_t layer_count(const csp_pruner *pruner, uint32_t layer)
{
    csp_kept kept;
    uint64_t n = 0;

    assert_int_equal(csp_pruner_kept(pruner, layer, &kept), CSP_OK);
    for (uint32_t i = 0; i < kept.n_lists; i++)
        n += kept.counts[i];
    return n;
}

#endif
