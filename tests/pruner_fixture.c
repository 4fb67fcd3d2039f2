/*
 * pruner_fixture.c - what the pruner's tests share
 */
#include "pruner_fixture.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* ---- Memory -------------------------------------------------------------- */

/* 16 bytes before a block: memory stays aligned as malloc's. */
#define STAMP UINT64_C(0x7ed9e2a11fab1e55)
#define HEADER 16u

static void *ledger_allocate(void *context, size_t size)
{
    ledger *book = context;
    size_t call = book->n_calls++;

    if (size == 0)
        book->broken = true;
    if (call == book->fail_at || (book->fail_forever && call > book->fail_at))
        return NULL;
    unsigned char *block = malloc(size + HEADER);
    if (block == NULL)
        return NULL;
    const uint64_t stamp = STAMP;
    memcpy(block, &stamp, sizeof stamp);
    memset(block + HEADER, 0xff, size);
    book->n_live++;
    return block + HEADER;
}

static void ledger_deallocate(void *context, void *memory)
{
    ledger *book = context;
    uint64_t stamp;

    if (memory == NULL) {
        book->broken = true;
        return;
    }
    unsigned char *block = (unsigned char *)memory - HEADER;
    memcpy(&stamp, block, sizeof stamp);
    if (stamp != STAMP || book->n_live == 0) {
        book->broken = true;
        return;
    }
    memset(block, 0, HEADER);
    book->n_live--;
    free(block);
}

void ledger_init(ledger *book)
{
    *book = (ledger){
        .hooks = {book, ledger_allocate, ledger_deallocate},
        .fail_at = SIZE_MAX,
    };
}

void ledger_fail(ledger *book, size_t index, bool forever)
{
    book->n_calls = 0;
    book->fail_at = index;
    book->fail_forever = forever;
}

void ledger_heal(ledger *book)
{
    book->fail_at = SIZE_MAX;
    book->fail_forever = false;
}

bool ledger_failed(const ledger *book)
{
    return book->n_calls > book->fail_at;
}

/* ---- Parallel hooks ------------------------------------------------------ */

#define MAX_THREADS 16

typedef void (*work_function)(void *argument, uint32_t worker);

typedef struct start {
    work_function work;
    void *argument;
    uint32_t worker;
} start;

static void *run_thread(void *context)
{
    const start *s = context;

    s->work(s->argument, s->worker);
    return NULL;
}

static void run_threads(void *context, uint32_t n_workers, work_function work,
                        void *argument)
{
    pthread_t threads[MAX_THREADS];
    start starts[MAX_THREADS];
    bool created[MAX_THREADS];

    (void)context;
    for (uint32_t w = 0; w < n_workers && w < MAX_THREADS; w++) {
        starts[w] = (start){work, argument, w};
        created[w] =
            pthread_create(&threads[w], NULL, run_thread, &starts[w]) == 0;
    }
    for (uint32_t w = 0; w < n_workers && w < MAX_THREADS; w++)
        if (created[w])
            pthread_join(threads[w], NULL);
}

static void run_reversed(void *context, uint32_t n_workers, work_function work,
                         void *argument)
{
    (void)context;
    for (uint32_t w = n_workers; w-- > 0;)
        work(argument, w);
}

static void run_one(void *context, uint32_t n_workers, work_function work,
                    void *argument)
{
    (void)context;
    work(argument, n_workers - 1);
}

static void run_none(void *context, uint32_t n_workers, work_function work,
                     void *argument)
{
    (void)context;
    (void)n_workers;
    (void)work;
    (void)argument;
}

csp_parallel hook_threads(uint32_t n_workers)
{
    return (csp_parallel){NULL, n_workers, run_threads};
}

csp_parallel hook_reversed(uint32_t n_workers)
{
    return (csp_parallel){NULL, n_workers, run_reversed};
}

csp_parallel hook_one(uint32_t n_workers)
{
    return (csp_parallel){NULL, n_workers, run_one};
}

csp_parallel hook_none(uint32_t n_workers)
{
    return (csp_parallel){NULL, n_workers, run_none};
}

csp_parallel hook_number(uint32_t i)
{
    static const uint32_t threads[] = {1, 2, 3, 5, 8, 16};

    if (i < 6)
        return hook_threads(threads[i]);
    return i == 6 ? hook_reversed(4) : i == 7 ? hook_one(4) : hook_none(4);
}

/* ---- Pruners ------------------------------------------------------------- */

csp_config plain_config(uint32_t budget)
{
    csp_config config;

    assert_int_equal(csp_config_init(&config), CSP_OK);
    config.budget = budget;
    config.sinks = 2;
    config.recent = 3;
    return config;
}

csp_pruner *new_pruner(const engine *e, const csp_config *config,
                       const csp_allocator *allocator,
                       const csp_parallel *parallel)
{
    csp_pruner *pruner = NULL;

    assert_int_equal(csp_pruner_create(e->n_layers, e->n_kv_heads, config,
                                       allocator, parallel, &pruner),
                     CSP_OK);
    assert_int_equal(csp_pruner_set_spans(pruner, engine_spans, N_SPANS),
                     CSP_OK);
    return pruner;
}

void bad_configs(csp_config *configs, csp_status *expected)
{
    for (uint32_t i = 0; i < N_BAD_CONFIGS; i++) {
        configs[i] = plain_config(12);
        expected[i] = CSP_E_CONFIG;
    }
    configs[0].struct_size--;
    configs[1].n = -1.0;
    configs[2].n = (double)NAN;
    configs[3].decay = -0.01;
    configs[4].decay = 1.01;
    configs[5].decay = (double)NAN;
    configs[6].block = 0;
    configs[7].scope = (csp_scope)3;
    configs[8].reduce = (csp_reduce)2;
    configs[9].pooling = CSP_POOL_MAX;
    configs[9].pool_width = 4;
    configs[10].selection = CSP_UNION; /* n_intra is CSP_REST */
    configs[11].budget = 4;
    expected[11] = CSP_E_BUDGET;
    configs[12].compute.product = csp_has_blas() ? (csp_path)7 : CSP_PATH_BLAS;
    expected[12] = csp_has_blas() ? CSP_E_CONFIG : CSP_E_UNSUPPORTED;
}

int setup_bench(void **state)
{
    bench *b = calloc(1, sizeof *b);

    assert_non_null(b);
    ledger_init(&b->book);
    engine_init(&b->e, 2, 2, 2, 60, 1);
    engine_append(&b->e, 30);
    b->config = plain_config(12);
    b->pruner = new_pruner(&b->e, &b->config, &b->book.hooks, NULL);
    engine_score_all(&b->e, b->pruner, 0, 30, LOGITS);
    engine_set_values(&b->e, b->pruner);
    assert_int_equal(csp_pruner_plan(b->pruner), CSP_OK);
    *state = b;
    return 0;
}

int teardown_bench(void **state)
{
    bench *b = *state;

    csp_pruner_destroy(b->pruner);
    const bool clean = b->book.n_live == 0 && !b->book.broken;
    engine_free(&b->e);
    free(b);
    return clean ? 0 : -1;
}

void bench_second_round(bench *b)
{
    b->config.decay = 0.0; /* or the carried rows would win everywhere */
    assert_int_equal(csp_pruner_configure(b->pruner, &b->config), CSP_OK);
    assert_int_equal(csp_pruner_plan(b->pruner), CSP_OK);
    engine_apply(&b->e, b->pruner);
    engine_append(&b->e, 10);
    engine_score_all(&b->e, b->pruner, 30, 40, LOGITS);
    assert_int_equal(csp_pruner_plan(b->pruner), CSP_OK);
}

bool kept_has(const csp_kept *kept, uint32_t g, uint32_t row)
{
    const uint32_t list = kept->n_lists == 1 ? 0 : g;

    for (uint32_t i = 0; i < kept->counts[list]; i++)
        if (kept->rows[(size_t)list * kept->capacity + i] == row)
            return true;
    return false;
}

static void put(snapshot *s, const void *bytes, size_t size)
{
    s->bytes = realloc(s->bytes, s->size + size + 1);
    assert_non_null(s->bytes);
    if (size > 0)
        memcpy(s->bytes + s->size, bytes, size);
    s->size += size;
}

static void put_head(snapshot *s, const csp_tokens *tokens,
                     const csp_importance *importance, uint32_t g)
{
    const uint32_t count = tokens->counts[g];
    const size_t at = (size_t)g * importance->capacity;

    put(s, &count, sizeof count);
    if (count == 0)
        return;
    put(s, tokens->positions + (size_t)g * tokens->capacity,
        count * sizeof(uint32_t));
    put(s, importance->intra + at, count * sizeof(float));
    put(s, importance->inter + at, count * sizeof(float));
    put(s, importance->intra_rows + at, count * sizeof(float));
    put(s, importance->inter_rows + at, count * sizeof(float));
    if (importance->value_norm != NULL)
        put(s, importance->value_norm + at, count * sizeof(float));
}

static void put_plan(snapshot *s, const csp_kept *kept)
{
    put(s, &kept->n_lists, sizeof kept->n_lists);
    put(s, kept->counts, kept->n_lists * sizeof(uint32_t));
    put(s, kept->n_both, kept->n_lists * sizeof(uint32_t));
    for (uint32_t i = 0; i < kept->n_lists; i++) {
        const size_t at = (size_t)i * kept->capacity;
        put(s, kept->rows + at, kept->counts[i] * sizeof(uint32_t));
        put(s, kept->reasons + at, kept->counts[i]);
    }
}

snapshot take_snapshot(const csp_pruner *pruner, uint32_t n_layers)
{
    snapshot s = {0};

    for (uint32_t layer = 0; layer < n_layers; layer++) {
        csp_tokens tokens;
        csp_importance importance;
        csp_kept kept;
        assert_int_equal(csp_pruner_tokens(pruner, layer, &tokens), CSP_OK);
        assert_int_equal(csp_pruner_importance(pruner, layer, &importance),
                         CSP_OK);
        put(&s, &tokens.n_keys, sizeof tokens.n_keys);
        put(&s, tokens.spans, tokens.n_spans * sizeof *tokens.spans);
        for (uint32_t g = 0; g < tokens.n_kv_heads; g++)
            put_head(&s, &tokens, &importance, g);
        const csp_status status = csp_pruner_kept(pruner, layer, &kept);
        put(&s, &status, sizeof status);
        if (status == CSP_OK)
            put_plan(&s, &kept);
    }
    return s;
}

bool same_snapshots(const snapshot *a, const snapshot *b)
{
    return a->size == b->size && memcmp(a->bytes, b->bytes, a->size) == 0;
}

void assert_unchanged(snapshot *before, const csp_pruner *pruner,
                      uint32_t n_layers)
{
    snapshot now = take_snapshot(pruner, n_layers);

    assert_true(same_snapshots(before, &now));
    free(now.bytes);
    free(before->bytes);
    *before = (snapshot){0};
}
