/*
 * test_threads.c - many threads at once get the bytes that one alone gets
 *
 * Sixteen threads that a barrier lets go together: on the first call of a
 * process, when all find out what the CPU can do; on one input and one plan
 * that all read; each on a pruner of its own.
 */
#include "test.h"

#include <pthread.h>
#include <sys/wait.h>

#include "digest.h"
#include "pruner_fixture.h"

enum { N_THREADS = 16, ROOM = MAX_KV_HEADS * (MAX_KEYS + 1) };

/* ---- Threads ------------------------------------------------------------- */

typedef struct runner {
    pthread_t thread;
    pthread_barrier_t *barrier;
    void (*work)(void *);
    void *argument;
} runner;

static void *wait_and_run(void *context)
{
    const runner *r = context;

    pthread_barrier_wait(r->barrier);
    r->work(r->argument);
    return NULL;
}

/* work(arguments[i]) in all threads at once; whether there were threads. */
static bool run_together(void (*work)(void *), void *const *arguments)
{
    pthread_barrier_t barrier;
    runner runners[N_THREADS];

    if (pthread_barrier_init(&barrier, NULL, N_THREADS) != 0)
        return false;
    for (size_t i = 0; i < N_THREADS; i++) {
        runners[i] = (runner){
            .barrier = &barrier, .work = work, .argument = arguments[i]};
        /* Those before it would wait for ever. */
        if (pthread_create(&runners[i].thread, NULL, wait_and_run,
                           &runners[i]) != 0)
            abort();
    }
    for (size_t i = 0; i < N_THREADS; i++)
        pthread_join(runners[i].thread, NULL);
    pthread_barrier_destroy(&barrier);
    return true;
}

/* ---- The first call ------------------------------------------------------ */

enum { FIRST_KEYS = 67, FIRST_PROCESSES = 20 };

static float first_logits[FIRST_KEYS];

typedef struct first_result {
    float intra[FIRST_KEYS], inter[FIRST_KEYS];
    csp_status status;
    bool has[5]; /* tiers */
} first_result;

/* Nothing of the library was called before. */
static void call_first(void *context)
{
    first_result *r = context;
    float scratch[4 * FIRST_KEYS + 64];
    const csp_attention attention = {
        .first_query = FIRST_KEYS - 1,
        .scores = {first_logits, CSP_F32, 1, 1, FIRST_KEYS, 0, 0, 4}};
    const csp_tokens tokens = {.n_kv_heads = 1, .n_keys = FIRST_KEYS};
    const csp_importance importance = {
        .intra = r->intra, .inter = r->inter, .capacity = FIRST_KEYS};
    csp_config config;

    csp_config_init(&config);
    r->status = csp_score(&attention, &tokens, &config, scratch, sizeof scratch,
                          &importance);
    for (int tier = 0; tier < 5; tier++)
        r->has[tier] = csp_has_tier((csp_tier)tier);
}

/* In a process of its own: 0 if all threads and a later call agree. */
static int first_calls(void)
{
    static first_result results[N_THREADS], expected;
    void *arguments[N_THREADS];

    for (size_t i = 0; i < FIRST_KEYS; i++)
        first_logits[i] = (float)(i % 11) - 4.0f;
    for (size_t i = 0; i < N_THREADS; i++)
        arguments[i] = &results[i];
    if (!run_together(call_first, arguments))
        return 2;
    call_first(&expected);
    for (size_t i = 0; i < N_THREADS; i++)
        if (memcmp(&results[i], &expected, sizeof expected) != 0)
            return 3;
    return expected.status == CSP_OK && expected.intra[10] > 0.0f ? 0 : 4;
}

TEST(first_calls_of_a_process_may_race)
{
    for (int i = 0; i < FIRST_PROCESSES; i++) {
        const pid_t child = fork();
        int status = -1;
        assert_true(child >= 0);
        if (child == 0)
            _exit(first_calls());
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
    assert_int_equal(first_calls(), 0);
}

/* ---- Shared input -------------------------------------------------------- */

/* A case, its plan, and a cache to compact: nobody writes here. */
static struct {
    sample s;
    uint32_t pages[ROOM];
    float cache[ROOM];
    uint32_t rows[ROOM], counts[MAX_KV_HEADS];
    csp_kept plan;
} shared;

/* What one thread writes. */
typedef struct results {
    float sums[5][ROOM];
    uint32_t rows[ROOM], counts[MAX_KV_HEADS], n_both[MAX_KV_HEADS];
    uint8_t reasons[ROOM], mask[ROOM], bits[ROOM];
    csp_range ranges[ROOM], gaps[ROOM];
    csp_move moves[ROOM];
    uint32_t blocks[ROOM], n[4][MAX_KV_HEADS];
    uint32_t indptr[MAX_KV_HEADS + 1], indices[ROOM], last_page[MAX_KV_HEADS];
    float cells[ROOM];
    double log_mass[MAX_HEADS], mass_rows[MAX_HEADS];
    csp_report report;
    bool failed;
} results;

typedef struct reader {
    results r;
    unsigned char workspace[1 << 20];
} reader;

static void note(results *r, csp_status status)
{
    r->failed = r->failed || status != CSP_OK;
}

static csp_kept kept_in(uint32_t *rows, uint32_t *counts, uint32_t *n_both,
                        uint8_t *reasons)
{
    const uint32_t n_lists =
        shared.s.config.scope == CSP_PER_HEAD ? shared.s.n_kv_heads : 1;

    return (csp_kept){rows, counts, n_both, n_lists, shared.s.n_keys, reasons};
}

static void run_verbs(reader *to)
{
    const sample *s = &shared.s;
    results *r = &to->r;
    const csp_importance importance = {r->sums[0], r->sums[1], r->sums[2],
                                       r->sums[3], r->sums[4], s->n_keys};
    const csp_kept kept = kept_in(r->rows, r->counts, r->n_both, r->reasons);
    const csp_calibration sums = {
        .log_mass = r->log_mass, .rows = r->mass_rows, .n_heads = s->n_heads};

    note(r, csp_value_norms(&s->values.view, &s->tokens, s->n_keys,
                            importance.value_norm));
    note(r, csp_score(&s->attention, &s->tokens, &s->config, to->workspace,
                      sizeof to->workspace, &importance));
    note(r, csp_select(&importance, &s->tokens, &s->config, to->workspace,
                       sizeof to->workspace, &kept));
    note(r,
         csp_report_add(&importance, &s->tokens, &shared.plan, 16, &r->report));
    if (s->attention.source != CSP_PROBABILITIES)
        note(r,
             csp_calibrate(&s->attention, &s->tokens, &shared.plan, NULL, NULL,
                           to->workspace, sizeof to->workspace, &sums));
}

static void run_forms(reader *to)
{
    const uint32_t n_keys = shared.s.n_keys;
    results *r = &to->r;

    for (uint32_t i = 0; i < shared.plan.n_lists; i++) {
        const uint32_t *rows = shared.plan.rows + (size_t)i * n_keys;
        const uint32_t n = shared.plan.counts[i];
        const size_t at = (size_t)i * (n_keys + 1);
        note(r, csp_kept_mask(rows, n, n_keys, r->mask + at));
        note(r, csp_kept_bits(rows, n, n_keys, r->bits + at));
        note(r, csp_kept_ranges(rows, n, n_keys, n_keys, r->ranges + at,
                                &r->n[0][i]));
        note(r, csp_dropped_ranges(rows, n, n_keys, n_keys + 1, r->gaps + at,
                                   &r->n[1][i]));
        note(r, csp_kept_blocks(rows, n, n_keys, 4, n_keys, r->blocks + at,
                                &r->n[2][i]));
        note(r, csp_kept_moves(rows, n, n_keys, n_keys, r->moves + at,
                               &r->n[3][i]));
    }
    note(r, csp_kept_pages(&shared.plan, n_keys, 4, shared.pages, true, ROOM,
                           r->indptr, r->indices, r->last_page));
    const csp_cells src =
        csp_cells_packed(shared.cache, shared.s.n_kv_heads, n_keys, 4);
    const csp_cells dst =
        csp_cells_packed(r->cells, shared.s.n_kv_heads, n_keys, 4);
    note(r, csp_compact(&src, 1, &shared.plan, &dst));
}

/* Sums start anew each time. */
static void read_shared(void *context)
{
    reader *to = context;

    for (int i = 0; i < 40; i++) {
        memset(&to->r, 0, sizeof to->r);
        if (i % 8 == 7)
            run_verbs(to);
        run_forms(to);
    }
}

/* The plan is what 'alone' selects, or the first case's would be empty. */
static void share_case(uint64_t seed, reader *alone)
{
    draw_case(&shared.s, seed, false);
    memset(&alone->r, 0, sizeof alone->r);
    shared.plan = kept_in(shared.rows, shared.counts, NULL, NULL);
    memset(shared.counts, 0, sizeof shared.counts);
    run_verbs(alone);
    memcpy(shared.rows, alone->r.rows, sizeof shared.rows);
    memcpy(shared.counts, alone->r.counts, sizeof shared.counts);
    for (size_t i = 0; i < ROOM; i++) {
        shared.pages[i] = (uint32_t)(ROOM - i);
        shared.cache[i] = (float)i;
    }
}

TEST(shared_input_and_plan_give_each_thread_the_same_bytes)
{
    reader *readers = calloc(N_THREADS + 1, sizeof *readers);
    reader *alone = &readers[N_THREADS];
    void *arguments[N_THREADS];
    assert_non_null(readers);
    for (size_t i = 0; i < N_THREADS; i++)
        arguments[i] = &readers[i];

    for (uint64_t seed = 0; seed < 24; seed++) {
        share_case(seed, alone);
        assert_true(run_together(read_shared, arguments));
        read_shared(alone);
        assert_false(alone->r.failed);
        for (size_t i = 0; i < N_THREADS; i++)
            assert_memory_equal(&readers[i].r, &alone->r, sizeof alone->r);
    }
    free(readers);
}

/* ---- Pruners ------------------------------------------------------------- */

typedef struct sequence {
    uint64_t seed;
    snapshot seen[3];
    bool right;
} sequence;

/* Two rounds and a plan, of caches that grow. */
static void prune_sequence(void *context)
{
    sequence *q = context;
    const chunk_kind kind = (chunk_kind)(q->seed % N_KINDS);
    csp_config config = plain_config(12);
    engine e;

    config.n = kind == PROBABILITIES ? 0.0 : 1.0;
    engine_init(&e, 2, 2, 2, 90, q->seed);
    csp_pruner *pruner = new_pruner(&e, &config, NULL, NULL);
    q->right = true;
    for (int round = 0; round < 3; round++) {
        const uint32_t begin = e.n_tokens;
        engine_append(&e, 30);
        engine_score_all(&e, pruner, begin, begin + 30, kind);
        engine_set_values(&e, pruner);
        q->right = q->right && csp_pruner_plan(pruner) == CSP_OK;
        q->seen[round] = take_snapshot(pruner, 2);
        engine_apply(&e, pruner);
        q->right = q->right && engine_caches_are_right(&e);
    }
    csp_pruner_destroy(pruner);
    engine_free(&e);
}

TEST(pruners_of_their_own_see_what_they_see_alone)
{
    for (uint64_t run = 0; run < 8; run++) {
        sequence together[N_THREADS], alone[N_THREADS];
        void *arguments[N_THREADS];
        for (size_t i = 0; i < N_THREADS; i++) {
            together[i].seed = alone[i].seed = run * N_THREADS + i;
            arguments[i] = &together[i];
        }

        assert_true(run_together(prune_sequence, arguments));

        for (size_t i = 0; i < N_THREADS; i++) {
            prune_sequence(&alone[i]);
            assert_true(alone[i].right && together[i].right);
            for (int round = 0; round < 3; round++) {
                assert_true(same_snapshots(&together[i].seen[round],
                                           &alone[i].seen[round]));
                free(together[i].seen[round].bytes);
                free(alone[i].seen[round].bytes);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_calls_of_a_process_may_race), /* be first */
        cmocka_unit_test(shared_input_and_plan_give_each_thread_the_same_bytes),
        cmocka_unit_test(pruners_of_their_own_see_what_they_see_alone),
    };

    return RUN(tests);
}
