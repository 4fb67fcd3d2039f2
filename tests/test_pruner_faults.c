/*
 * test_pruner_faults.c - a pruner's whole life with every allocation failing
 *
 * Usage: test_pruner_faults [--figures]
 *
 * Each call is made with its first allocation failing, then its second, until
 * none is left: once, or from there on.  A call that fails changes nothing, and
 * the life ends as one without faults does.
 */
#include "test.h"

#include <stdio.h>

#include "pruner_fixture.h"

static unsigned long n_faults;

typedef struct life {
    ledger book;
    engine e;
    csp_config config;
    csp_parallel hook;
    csp_pruner *pruner;
    chunk_kind kind;
    uint32_t begin; /* of tokens to be scored */
} life;

static csp_status create(life *l)
{
    return csp_pruner_create(2, 2, &l->config, &l->book.hooks, &l->hook,
                             &l->pruner);
}

static csp_status set_spans(life *l)
{
    return csp_pruner_set_spans(l->pruner, engine_spans, N_SPANS);
}

static csp_status score_first(life *l)
{
    return engine_score(&l->e, l->pruner, 0, l->begin, l->e.n_tokens, l->kind);
}

static csp_status score_second(life *l)
{
    return engine_score(&l->e, l->pruner, 1, l->begin, l->e.n_tokens, l->kind);
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

/* Fail each of its allocations in turn, until it does without. */
static void fail_each(life *l, bool forever, csp_status (*call)(life *))
{
    for (size_t index = 0;; index++) {
        snapshot before = {0};
        if (l->pruner != NULL)
            before = take_snapshot(l->pruner, 2);
        ledger_fail(&l->book, index, forever);
        const csp_status status = call(l);
        const bool failed = ledger_failed(&l->book);
        ledger_heal(&l->book);
        if (!failed) {
            free(before.bytes);
            assert_ok(status);
            return;
        }
        n_faults++;
        assert_status(status, CSP_E_MEMORY);
        if (l->pruner != NULL)
            assert_unchanged(&before, l->pruner, 2);
    }
}

static snapshot live(chunk_kind kind, uint32_t workers, bool fails,
                     bool forever)
{
    static csp_status (*const round[])(life *) = {
        score_first, score_second, set_first, set_second,
        plan,        configure,    plan};
    life l = {.kind = kind, .hook = hook_threads(workers)};
    ledger_init(&l.book);
    l.config = plain_config(12);
    l.config.n = kind == PROBABILITIES ? 0.0 : 1.0;
    l.config.head_floor = 0.5;
    l.config.weigh_values = l.config.center_values = true;
    l.config.layer_spread = CSP_LAYERS_SPARSITY;
    engine_init(&l.e, 2, 2, 2, 90, 5);
    if (fails) {
        fail_each(&l, forever, create);
        fail_each(&l, forever, set_spans);
    } else {
        assert_ok(create(&l));
        assert_ok(set_spans(&l));
    }
    for (int i = 0; i < 3; i++) {
        l.begin = l.e.n_tokens;
        engine_append(&l.e, 30);
        for (size_t j = 0; j < COUNT(round); j++) {
            if (fails)
                fail_each(&l, forever, round[j]);
            else
                assert_ok(round[j](&l));
        }
        ledger_fail(&l.book, 0, true); /* applying needs no memory */
        engine_apply(&l.e, l.pruner);
        ledger_heal(&l.book);
        assert_true(engine_caches_are_right(&l.e));
    }
    const snapshot end = take_snapshot(l.pruner, 2);
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
            snapshot well = live((chunk_kind)kind, workers, false, false);
            for (int forever = 0; forever < 2; forever++) {
                snapshot got =
                    live((chunk_kind)kind, workers, true, forever != 0);
                assert_true(same_snapshots(&got, &well));
                free(got.bytes);
            }
            free(well.bytes);
        }
    assert_true(n_faults > 100);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_life_out_of_memory_ends_as_one_with_enough),
    };
    const int failed = RUN(tests);

    if (argc > 1 && strcmp(argv[1], "--figures") == 0)
        printf("faults %lu\n", n_faults);
    return failed != 0;
}
