/*
 * fuzz_chain.h - the way from dropped rows to corrected outputs, for
 * fuzz_moments.c
 */
#ifndef FUZZ_CHAIN_H
#define FUZZ_CHAIN_H

#include "fuzz_input.h"

/* What a fuzzer's first byte can break. */
enum {
    NOTHING,
    TOKENS,
    KEPT,
    KEYS,
    COMPUTE,
    SCRATCH,
    MOMENTS,
    SUMMARY,
    ATTENTION,
    OUTPUTS,
    N_BREAKS
};

typedef struct chain {
    fuzz_input in;
    fuzz_numbers numbers;
    uint32_t broken;
    bool refused; /* what was broken has to be */
    csp_tokens tokens;
    csp_kept kept;
    csp_tensor keys, values;
    csp_compute compute;
    csp_moments moments, expanded;
    csp_summary summary;
    csp_attention attention;
    double *sums;
    csp_fit fit;
    csp_tensor outputs, queries, lse;
    csp_lse_unit unit;
    void *corrected;
    void *workspace;
    size_t workspace_size;
} chain;

/* Scratch for a step, or too little of it. */
void chain_scratch(chain *c, size_t size);

/* Whether the next step has something to work on. */
bool chain_run(chain *c, const char *name, fuzz_call *call,
               csp_compute *compute);

/* Zeros. */
double *chain_doubles(size_t count);

/* Draw rows, add the dropped ones, summarise them, expand the summary. */
bool chain_summarise(chain *c);

#endif /* FUZZ_CHAIN_H */
