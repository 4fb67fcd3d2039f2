/*
 * pruner_fixture.h - what the pruner's tests share
 *
 * An allocator that counts and fails on demand, parallel hooks good and odd, a
 * small engine with real caches, and copies of all that a pruner shows.
 */
#ifndef PRUNER_FIXTURE_H
#define PRUNER_FIXTURE_H

#include "csp.h"

/* ---- Memory -------------------------------------------------------------- */

/* An allocator with a ledger.  Memory comes full of NaN, to be seen where it
   is read before it is written. */
typedef struct ledger {
    csp_allocator hooks; /* its context is the ledger: do not move it */
    size_t n_live;       /* blocks allocated and not freed */
    size_t n_calls;      /* allocations asked for since the last ledger_fail */
    size_t fail_at;      /* the call that fails */
    bool fail_forever;   /* and all after it */
    bool broken; /* a size of 0, or memory freed that is not from here */
} ledger;

void ledger_init(ledger *book);

/* Let call number 'index' from now on fail, 0 being the next. */
void ledger_fail(ledger *book, size_t index, bool forever);

/* Fail no more. */
void ledger_heal(ledger *book);

/* Whether a call failed since ledger_fail. */
bool ledger_failed(const ledger *book);

/* ---- Parallel hooks ------------------------------------------------------ */

/* A thread for each worker; n_workers <= 16. */
csp_parallel hook_threads(uint32_t n_workers);

/* One worker after the other, the last first. */
csp_parallel hook_reversed(uint32_t n_workers);

/* The last worker only. */
csp_parallel hook_one(uint32_t n_workers);

/* Nobody. */
csp_parallel hook_none(uint32_t n_workers);

#define N_HOOKS 9

/* All of them: threads of 1, 2, 3, 5, 8 and 16, then the odd ones. */
csp_parallel hook_number(uint32_t i);

/* ---- Engine -------------------------------------------------------------- */

/* Two images in a text; the second reaches far. */
#define N_SPANS 2
extern const csp_span engine_spans[N_SPANS];

/* 1 in an image of engine_spans, else 0. */
uint32_t engine_modality(uint32_t token);

/*
 * A model's attention layers in numbers, and the caches of one sequence.  What
 * a token's query, key and value are is known for good, so caches can be told
 * right or wrong at any time.
 */
typedef struct engine {
    uint32_t n_layers;
    uint32_t n_kv_heads;
    uint32_t n_heads;
    uint32_t dim;
    uint32_t capacity; /* tokens at most */
    uint32_t n_tokens; /* of the sequence so far */
    float *queries;    /* [n_layers][n_heads][capacity][dim] of each token */
    float *keys;       /* [n_layers][n_kv_heads][capacity][dim] likewise */
    float *values;
    float
        *k_cache; /* [n_layers][n_kv_heads][capacity][dim] of each cached row */
    float *v_cache;
    uint32_t *counts; /* [n_layers * n_kv_heads] cached rows */
    uint32_t *tokens; /* [n_layers * n_kv_heads][capacity] the token of each */
} engine;

void engine_init(engine *e, uint32_t n_layers, uint32_t n_kv_heads,
                 uint32_t group, uint32_t capacity, uint64_t seed);
void engine_free(engine *e);

/* Let the sequence grow, in every layer's caches. */
void engine_append(engine *e, uint32_t n_tokens);

/* The engine's own record of its rows follows a plan; caches do not. */
void engine_keep(engine *e, const csp_pruner *pruner);

/* The same with the caches: apply the plan. */
void engine_apply(engine *e, csp_pruner *pruner);

/* Whether pruner and engine agree on the token of every cached row. */
bool engine_agrees(const engine *e, const csp_pruner *pruner);

/* Whether every cached key and value is that of the token the engine has
   there. */
bool engine_caches_are_right(const engine *e);

#define MAX_LAYERS 4

/* K and V of all layers for csp_pruner_apply: [n_layers][2]. */
void engine_cells(const engine *e, csp_cells *cells);

csp_tensor engine_values(const engine *e, uint32_t layer);

typedef enum chunk_kind {
    LOGITS = 0,
    LOGITS_F16 = 1,
    PROBABILITIES = 2,
    QUERIES = 3
} chunk_kind;

#define N_KINDS 4

/*
 * The attention of query tokens [begin, end) over the cached rows.  Scores are
 * padded, and NaN wherever the library must not look.  Free 'memory'.
 */
typedef struct chunk {
    csp_attention view;
    void *memory;
} chunk;

chunk engine_chunk(const engine *e, uint32_t layer, uint32_t begin,
                   uint32_t end, chunk_kind kind);

/* Make one number of scores bad, in query head h: row 5, of the first key. */
void poison_chunk(const chunk *c, uint32_t h, float bad);

/* Score a chunk of one layer, of every layer. */
csp_status engine_score(const engine *e, csp_pruner *pruner, uint32_t layer,
                        uint32_t begin, uint32_t end, chunk_kind kind);
void engine_score_all(const engine *e, csp_pruner *pruner, uint32_t begin,
                      uint32_t end, chunk_kind kind);
void engine_set_values(const engine *e, csp_pruner *pruner);

/* The logit of query head h between two tokens, in float64. */
double engine_logit(const engine *e, uint32_t layer, uint32_t h, uint32_t query,
                    uint32_t key);

/* E1 and E2 in float64, added to intra and inter, [n_kv_heads][capacity]. */
void engine_importance(const engine *e, uint32_t layer, uint32_t begin,
                       uint32_t end, double n, double *intra, double *inter);

/* ---- Pruners ------------------------------------------------------------- */

/* Plain settings with a budget, 2 sinks and 3 recent tokens. */
csp_config plain_config(uint32_t budget);

/* A pruner for an engine, with engine_spans set. */
csp_pruner *new_pruner(const engine *e, const csp_config *config,
                       const csp_allocator *allocator,
                       const csp_parallel *parallel);

/* One each of the settings that are out of range, and what is to be said of
   it. */
#define N_BAD_CONFIGS 13
void bad_configs(csp_config *configs, csp_status *expected);

/* A pruner under a ledger: two layers of 30 tokens, scored, with value norms
   and a plan of plain_config(12).  The engine has room for 60. */
typedef struct bench {
    ledger book;
    engine e;
    csp_config config;
    csp_pruner *pruner;
} bench;

/* Prune the bench, let it grow by 10 tokens and plan again: rows are no
   longer tokens. */
void bench_second_round(bench *b);

/* Whether a planned list of KV head g holds a row. */
bool kept_has(const csp_kept *kept, uint32_t g, uint32_t row);

/* cmocka's; the teardown fails if memory leaked. */
int setup_bench(void **state);
int teardown_bench(void **state);

#define with_bench(test)                                                       \
    cmocka_unit_test_setup_teardown(test, setup_bench, teardown_bench)

/* All that a pruner shows, byte for byte: rows, importance, spans and plan.
   Free it. */
typedef struct snapshot {
    unsigned char *bytes;
    size_t size;
} snapshot;

snapshot take_snapshot(const csp_pruner *pruner, uint32_t n_layers);
bool same_snapshots(const snapshot *a, const snapshot *b);

/* Assert that the pruner shows 'before', and free it. */
void assert_unchanged(snapshot *before, const csp_pruner *pruner,
                      uint32_t n_layers);

#endif /* PRUNER_FIXTURE_H */
