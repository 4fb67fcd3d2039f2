/*
 * test_pruner_faults.c - a pruner's whole life with every allocation failing
 *
 * Usage: test_pruner_faults [--figures]
 *
 * The life has every csp_pruner_* call in it: those that only show something
 * are what a snapshot is made of.  Each is made with its first allocation
 * failing, then its second, until none is left: once, or from there on.  A call
 * that fails changes nothing, and the life ends as one without faults does.
 */
#include "test.h"

#include <stdio.h>

#include "pruner_fixture.h"

enum { N_LAYERS = 2, N_KV_HEADS = 2, GROUP = 2, CAPACITY = 90, CHUNK = 30 };
enum { HEADS = N_KV_HEADS * GROUP, MAX_DIM = 16 };

/* What of a layer is not in the cache any more. */
typedef struct totals {
    double log_mass[HEADS], rows[HEADS];
    float value[HEADS * MAX_DIM];
} totals;

typedef struct life {
    ledger book;
    engine e;
    csp_config config;
    csp_parallel hook;
    csp_pruner *pruner;
    chunk_kind kind;
    uint32_t begin; /* of tokens to be scored */
    totals dropped[N_LAYERS];
    bool fails, forever;
} life;

static csp_status create(life *l)
{
    return csp_pruner_create(N_LAYERS, N_KV_HEADS, &l->config, &l->book.hooks,
                             &l->hook, &l->pruner);
}

static csp_status set_spans(life *l)
{
    return csp_pruner_set_spans(l->pruner, engine_spans, N_SPANS);
}

/* There are new tokens, and no queries yet. */
static csp_status announce(life *l)
{
    csp_status status = CSP_OK;

    for (uint32_t i = 0; i < N_LAYERS && status == CSP_OK; i++)
        status = engine_score(&l->e, l->pruner, i, l->e.n_tokens, l->e.n_tokens,
                              l->kind);
    return status;
}

/* By the last token alone, so that calibration, which has more rows, needs more
   memory than scoring had. */
static csp_status score(life *l, uint32_t layer)
{
    return engine_score(&l->e, l->pruner, layer, l->e.n_tokens - 1,
                        l->e.n_tokens, l->kind);
}

static csp_status score_first(life *l)
{
    return score(l, 0);
}

static csp_status score_second(life *l)
{
    return score(l, 1);
}

static csp_status set_first(life *l)
{
    const csp_tensor values = engine_values(&l->e, 0);
    return csp_pruner_set_values(l->pruner, 0, &values);
}

static csp_status set_second(life *l)
{
    const csp_tensor values = engine_values(&l->e, 1);
    return csp_pruner_set_values(l->pruner, 1, &values);
}

static csp_status plan(life *l)
{
    return csp_pruner_plan(l->pruner);
}

static csp_status configure(life *l)
{
    return csp_pruner_configure(l->pruner, &l->config);
}

static csp_status calibrate(life *l, uint32_t layer)
{
    totals *t = &l->dropped[layer];
    const csp_tensor values = engine_values(&l->e, layer);
    const csp_calibration sums = {t->log_mass, t->rows, t->value, HEADS,
                                  l->e.dim};
    chunk c = engine_chunk(&l->e, layer, l->begin, l->e.n_tokens, l->kind);
    const csp_status status =
        csp_pruner_calibrate(l->pruner, layer, &c.view, &values, &sums);

    free(c.memory);
    return status;
}

static csp_status calibrate_first(life *l)
{
    return calibrate(l, 0);
}

static csp_status calibrate_second(life *l)
{
    return calibrate(l, 1);
}

static csp_status apply(life *l)
{
    engine_apply(&l->e, l->pruner);
    return CSP_OK;
}

/* The engine has another sequence, too. */
static csp_status reset(life *l)
{
    engine_free(&l->e);
    engine_init(&l->e, N_LAYERS, N_KV_HEADS, GROUP, CAPACITY, 6);
    return csp_pruner_reset(l->pruner);
}

/* ---- Failing ------------------------------------------------------------- */

typedef struct step {
    csp_status (*call)(life *);
    bool needs_memory; /* at least once */
} step;

static const step steps[] = {
    {create, true},           {set_spans, true},   {announce, true},
    {set_first, true},        {set_second, false}, {score_first, true},
    {score_second, false},    {plan, true},        {calibrate_first, true},
    {calibrate_second, true}, {configure, false},  {plan, true},
    {apply, false},           {reset, false},
};

enum { CREATE, SET_SPANS, ROUND, RESET = COUNT(steps) - 1 };

static unsigned long n_faults, faults_of[COUNT(steps)];

static void assert_unharmed(life *l, snapshot *before, const totals *dropped)
{
    if (l->pruner != NULL)
        assert_unchanged(before, l->pruner, N_LAYERS);
    assert_memory_equal(l->dropped, dropped, sizeof l->dropped);
}

/* Fail each of its allocations in turn, until it does without. */
static void take_step(life *l, size_t number)
{
    const size_t first = l->fails ? 0 : SIZE_MAX;

    for (size_t index = first;; index++) {
        snapshot before = {0};
        totals dropped[N_LAYERS];
        memcpy(dropped, l->dropped, sizeof dropped);
        if (l->pruner != NULL)
            before = take_snapshot(l->pruner, N_LAYERS);
        ledger_fail(&l->book, index, l->forever);
        const csp_status status = steps[number].call(l);
        const bool failed = ledger_failed(&l->book);
        ledger_heal(&l->book);
        if (!failed) {
            free(before.bytes);
            assert_ok(status);
            return;
        }
        n_faults++;
        faults_of[number]++;
        assert_status(status, CSP_E_MEMORY);
        assert_unharmed(l, &before, dropped);
    }
}

static void take_round(life *l)
{
    l->begin = l->e.n_tokens;
    engine_append(&l->e, CHUNK);
    for (size_t i = ROUND; i < RESET; i++)
        take_step(l, i);
    assert_true(engine_caches_are_right(&l->e));
}

/* ---- Lives --------------------------------------------------------------- */

typedef struct death {
    snapshot pruner;
    totals dropped[N_LAYERS];
} death;

static csp_config settings(chunk_kind kind)
{
    csp_config config = plain_config(12);

    config.n = kind == PROBABILITIES ? 0.0 : 1.0;
    config.head_floor = 0.5;
    config.weigh_values = config.center_values = true;
    config.layer_spread = CSP_LAYERS_SPARSITY;
    return config;
}

static death live(chunk_kind kind, uint32_t workers, bool fails, bool forever)
{
    life l = {.kind = kind,
              .hook = hook_threads(workers),
              .config = settings(kind),
              .fails = fails,
              .forever = forever};
    death end;

    ledger_init(&l.book);
    engine_init(&l.e, N_LAYERS, N_KV_HEADS, GROUP, CAPACITY, 5);
    assert_true(l.e.dim <= MAX_DIM && l.e.n_heads == HEADS);
    take_step(&l, CREATE);
    take_step(&l, SET_SPANS);
    for (int i = 0; i < 3; i++)
        take_round(&l);
    take_step(&l, RESET);
    take_step(&l, SET_SPANS);
    take_round(&l);
    end.pruner = take_snapshot(l.pruner, N_LAYERS);
    memcpy(end.dropped, l.dropped, sizeof end.dropped);
    csp_pruner_destroy(l.pruner);
    assert_int_equal(l.book.n_live, 0);
    assert_false(l.book.broken);
    engine_free(&l.e);
    return end;
}

TEST(a_life_out_of_memory_ends_as_one_with_enough)
{
    for (int kind = 0; kind < N_KINDS; kind++)
        for (uint32_t workers = 1; workers <= 3; workers += 2) {
            death well = live((chunk_kind)kind, workers, false, false);
            for (int forever = 0; forever < 2; forever++) {
                death got = live((chunk_kind)kind, workers, true, forever != 0);
                assert_true(same_snapshots(&got.pruner, &well.pruner));
                assert_memory_equal(got.dropped, well.dropped,
                                    sizeof got.dropped);
                free(got.pruner.bytes);
            }
            assert_true(well.dropped[0].rows[0] > 0.0);
            free(well.pruner.bytes);
        }
    for (size_t i = 0; i < COUNT(steps); i++)
        if ((faults_of[i] > 0) != steps[i].needs_memory)
            fail_msg("step %zu failed %lu times", i, faults_of[i]);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_life_out_of_memory_ends_as_one_with_enough),
    };
    const int failed = RUN(tests);

    if (argc > 1 && strcmp(argv[1], "--figures") == 0)
        printf("faults of memory %lu\n", n_faults);
    return failed != 0;
}
