/*
 * fuzz_engine.h - what an engine around a pruner has, for fuzz_pruner.c
 */
#ifndef FUZZ_ENGINE_H
#define FUZZ_ENGINE_H

#include "fuzz_input.h"

enum { ENGINE_LAYERS = 2, ENGINE_HEADS = 2, ENGINE_ROWS = 48, ENGINE_DIM = 5 };

/* Memory that can be told to run out. */
typedef struct fuzz_ledger {
    uint32_t n_live;
    uint32_t fail_at; /* allocations that succeed before; UINT32_MAX: all */
    bool fail_on;     /* and all behind it fail, too */
} fuzz_ledger;

csp_allocator fuzz_ledger_hooks(fuzz_ledger *ledger);

/* Workers one behind the other, the last first, the first not at all. */
csp_parallel fuzz_parallel(uint32_t n_workers);

/* A row of a cache says whose it is. */
typedef struct engine_cell {
    uint32_t token, head;
} engine_cell;

typedef struct fuzz_engine {
    uint32_t n_layers, n_kv_heads, group;
    uint32_t n_tokens[ENGINE_LAYERS]; /* that the pruner has seen */
    engine_cell cache[ENGINE_LAYERS][ENGINE_HEADS][ENGINE_ROWS];
    bool has_plan;
    csp_config config;
    csp_pruner *pruner;
} fuzz_engine;

/* Rows of the longest head of a layer. */
uint32_t engine_rows(const fuzz_engine *e, uint32_t layer);

/* Put tokens behind each head's rows. */
void engine_append(fuzz_engine *e, uint32_t layer, uint32_t n_tokens);

/* All that can be seen of the pruner, as one number; and whether that is what
   the caches say. */
uint64_t engine_digest(const fuzz_engine *e);
void engine_require_agreement(const fuzz_engine *e);

csp_cells engine_cells(fuzz_engine *e, uint32_t layer);

/* Settings that csp_pruner_create takes. */
csp_config engine_config(fuzz_input *in);

#endif /* FUZZ_ENGINE_H */
