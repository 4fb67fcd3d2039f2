/*
 * test_pruner.c - the pruner object: memory, settings, views
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "pruner_fixture.h"

static csp_status plan_status(const bench *b)
{
    csp_kept kept;

    return csp_pruner_kept(b->pruner, 0, &kept);
}

/* ---- create -------------------------------------------------------------- */

/* Status of a create with these; the output must be left alone unless it is
   CSP_OK. */
static csp_status create_status(uint32_t n_layers, uint32_t n_kv_heads,
                                const csp_config *config,
                                const csp_allocator *allocator,
                                const csp_parallel *parallel)
{
    int mark;
    csp_pruner *const untouched = (csp_pruner *)(void *)&mark;
    csp_pruner *pruner = untouched;
    csp_status status = csp_pruner_create(n_layers, n_kv_heads, config,
                                          allocator, parallel, &pruner);

    if (status == CSP_OK)
        csp_pruner_destroy(pruner);
    else
        assert_ptr_equal(pruner, untouched);
    return status;
}

static void create_works_without_hooks(void **state)
{
    const csp_config config = plain_config(12);

    (void)state;
    assert_int_equal(create_status(3, 2, &config, NULL, NULL), CSP_OK);
}

static void create_refuses_null(void **state)
{
    const csp_config config = plain_config(12);

    (void)state;
    assert_int_equal(csp_pruner_create(1, 1, &config, NULL, NULL, NULL),
                     CSP_E_NULL);
    assert_int_equal(create_status(1, 1, NULL, NULL, NULL), CSP_E_NULL);
}

static void create_refuses_hooks_without_functions(void **state)
{
    const csp_config config = plain_config(12);
    const csp_parallel no_run = {NULL, 2, NULL};
    ledger book;

    (void)state;
    ledger_init(&book);
    csp_allocator no_allocate = book.hooks;
    csp_allocator no_deallocate = book.hooks;
    no_allocate.allocate = NULL;
    no_deallocate.deallocate = NULL;

    assert_int_equal(create_status(1, 1, &config, &no_allocate, NULL),
                     CSP_E_NULL);
    assert_int_equal(create_status(1, 1, &config, &no_deallocate, NULL),
                     CSP_E_NULL);
    assert_int_equal(create_status(1, 1, &config, NULL, &no_run), CSP_E_NULL);
}

static void create_refuses_zero_counts(void **state)
{
    const csp_config config = plain_config(12);
    const csp_parallel nobody = hook_none(0);

    (void)state;
    assert_int_equal(create_status(0, 1, &config, NULL, NULL), CSP_E_SHAPE);
    assert_int_equal(create_status(1, 0, &config, NULL, NULL), CSP_E_SHAPE);
    assert_int_equal(create_status(1, 1, &config, NULL, &nobody), CSP_E_SHAPE);
}

static void create_names_bad_settings(void **state)
{
    csp_config configs[N_BAD_CONFIGS];
    csp_status expected[N_BAD_CONFIGS];

    (void)state;
    bad_configs(configs, expected);
    for (uint32_t i = 0; i < N_BAD_CONFIGS; i++)
        assert_int_equal(create_status(1, 1, &configs[i], NULL, NULL),
                         expected[i]);
}

static void create_refuses_more_heads_than_count(void **state)
{
    const csp_config config = plain_config(12);
    ledger book;

    (void)state;
    ledger_init(&book);
    assert_int_equal(create_status(UINT32_MAX, 2, &config, &book.hooks, NULL),
                     CSP_E_OVERFLOW);
    assert_int_equal(create_status(65536, 65536, &config, &book.hooks, NULL),
                     CSP_E_OVERFLOW);
    assert_int_equal(book.n_calls, 0);
}

static void create_out_of_memory_allocates_nothing(void **state)
{
    const csp_config config = plain_config(12);
    ledger book;

    (void)state;
    ledger_init(&book);
    ledger_fail(&book, 0, false);

    assert_int_equal(create_status(2, 2, &config, &book.hooks, NULL),
                     CSP_E_MEMORY);
    assert_int_equal(book.n_live, 0);
    assert_int_equal(create_status(2, 2, &config, &book.hooks, NULL), CSP_OK);
    assert_int_equal(book.n_live, 0);
}

static void create_copies_settings_and_hooks(void **state)
{
    ledger book;
    engine e;

    (void)state;
    ledger_init(&book);
    engine_init(&e, 1, 2, 1, 30, 2);
    engine_append(&e, 20);
    csp_config config = plain_config(8);
    csp_allocator allocator = book.hooks;
    csp_parallel parallel = hook_reversed(2);
    csp_pruner *pruner = new_pruner(&e, &config, &allocator, &parallel);
    memset(&config, 0xff, sizeof config);
    memset(&allocator, 0, sizeof allocator);
    memset(&parallel, 0, sizeof parallel);

    engine_score_all(&e, pruner, 0, 20, LOGITS);
    csp_status status = csp_pruner_plan(pruner);
    csp_pruner_destroy(pruner);

    assert_int_equal(status, CSP_OK);
    assert_int_equal(book.n_live, 0);
    assert_false(book.broken);
    engine_free(&e);
}

static void count_runs(void *context, uint32_t n_workers,
                       void (*work)(void *argument, uint32_t worker),
                       void *argument)
{
    uint32_t *runs = context;

    *runs += n_workers == 3;
    for (uint32_t w = 0; w < n_workers; w++)
        work(argument, w);
}

static void create_makes_score_plan_and_apply_run_by_the_hook(void **state)
{
    const csp_config config = plain_config(8);
    uint32_t runs = 0, after[3];
    const csp_parallel parallel = {&runs, 3, count_runs};
    engine e;

    (void)state;
    engine_init(&e, 2, 2, 1, 30, 2);
    engine_append(&e, 20);
    csp_pruner *pruner = new_pruner(&e, &config, NULL, &parallel);

    engine_score_all(&e, pruner, 0, 20, LOGITS);
    after[0] = runs;
    assert_int_equal(csp_pruner_plan(pruner), CSP_OK);
    after[1] = runs;
    engine_apply(&e, pruner);
    after[2] = runs;

    assert_int_equal(after[0], 2); /* layers */
    assert_int_equal(after[1], 3);
    assert_int_equal(after[2], 4);
    csp_pruner_destroy(pruner);
    engine_free(&e);
}

static void create_starts_with_an_empty_cache(void **state)
{
    const csp_config config = plain_config(8);
    csp_pruner *pruner;
    csp_tokens tokens;

    (void)state;
    assert_int_equal(csp_pruner_create(2, 3, &config, NULL, NULL, &pruner),
                     CSP_OK);
    assert_int_equal(csp_pruner_tokens(pruner, 1, &tokens), CSP_OK);
    assert_int_equal(tokens.n_kv_heads, 3);
    assert_int_equal(tokens.n_keys, 0);
    assert_int_equal(tokens.n_spans, 0);
    for (uint32_t g = 0; g < 3; g++)
        assert_int_equal(tokens.counts[g], 0);
    csp_pruner_destroy(pruner);
}

/* ---- destroy, reset ------------------------------------------------------ */

static void destroy_takes_null(void **state)
{
    (void)state;
    csp_pruner_destroy(NULL);
}

static void destroy_frees_everything(void **state)
{
    bench *b = *state;

    assert_true(b->book.n_live >= 4); /* object, spans, rows, workspace, plan */
    csp_pruner_destroy(b->pruner);
    b->pruner = NULL;

    assert_int_equal(b->book.n_live, 0);
    assert_false(b->book.broken);
}

static void every_allocation_goes_through_the_allocator(void **state)
{
    bench *b = *state;
    const csp_status want = CSP_E_MEMORY;

    /* Twice the rows, and twice the spans: all of it is new memory. */
    engine_append(&b->e, 30);
    ledger_fail(&b->book, 0, true);

    assert_int_equal(csp_pruner_set_spans(b->pruner, engine_spans, 2), want);
    assert_int_equal(engine_score(&b->e, b->pruner, 0, 30, 60, LOGITS), want);
    assert_int_equal(csp_pruner_plan(b->pruner), want);
    assert_int_equal(b->book.n_calls, 3);
    ledger_heal(&b->book);
}

static void reset_refuses_null(void **state)
{
    (void)state;
    assert_int_equal(csp_pruner_reset(NULL), CSP_E_NULL);
}

static void reset_forgets_the_sequence(void **state)
{
    bench *b = *state;
    csp_tokens tokens;

    assert_int_equal(csp_pruner_reset(b->pruner), CSP_OK);

    assert_int_equal(plan_status(b), CSP_E_STATE);
    for (uint32_t layer = 0; layer < 2; layer++) {
        assert_int_equal(csp_pruner_tokens(b->pruner, layer, &tokens), CSP_OK);
        assert_int_equal(tokens.n_keys, 0);
        assert_int_equal(tokens.n_spans, 0);
    }
}

static void reset_keeps_memory_and_settings(void **state)
{
    bench *b = *state;
    csp_kept kept;

    csp_pruner_reset(b->pruner);
    ledger_fail(&b->book, SIZE_MAX, false);
    engine_score_all(&b->e, b->pruner, 0, 30, LOGITS);

    assert_int_equal(b->book.n_calls, 0);
    assert_int_equal(csp_pruner_plan(b->pruner), CSP_OK);
    assert_int_equal(csp_pruner_kept(b->pruner, 0, &kept), CSP_OK);
    assert_int_equal(kept.counts[0], b->config.budget);
}

static void reset_is_as_good_as_new(void **state)
{
    bench *b = *state;
    snapshot first = take_snapshot(b->pruner, 2);

    assert_int_equal(csp_pruner_apply(b->pruner, NULL, 0, NULL), CSP_OK);
    csp_pruner_reset(b->pruner);
    csp_pruner_set_spans(b->pruner, engine_spans, N_SPANS);
    engine_score_all(&b->e, b->pruner, 0, 30, LOGITS);
    engine_set_values(&b->e, b->pruner);
    csp_pruner_plan(b->pruner);

    assert_unchanged(&first, b->pruner, 2);
}

static void reset_forgets_value_norms(void **state)
{
    bench *b = *state;
    csp_importance importance;

    b->config.weigh_values = true;
    csp_pruner_configure(b->pruner, &b->config);
    assert_int_equal(csp_pruner_plan(b->pruner), CSP_OK);
    csp_pruner_reset(b->pruner);
    csp_pruner_importance(b->pruner, 0, &importance);
    assert_null(importance.value_norm);
    engine_score_all(&b->e, b->pruner, 0, 30, LOGITS);

    assert_int_equal(csp_pruner_plan(b->pruner), CSP_E_STATE);
}

/* ---- Views --------------------------------------------------------------- */

static void views_refuse_null(void **state)
{
    bench *b = *state;
    csp_tokens tokens;
    csp_importance importance;
    csp_kept kept;

    assert_int_equal(csp_pruner_tokens(NULL, 0, &tokens), CSP_E_NULL);
    assert_int_equal(csp_pruner_tokens(b->pruner, 0, NULL), CSP_E_NULL);
    assert_int_equal(csp_pruner_importance(NULL, 0, &importance), CSP_E_NULL);
    assert_int_equal(csp_pruner_importance(b->pruner, 0, NULL), CSP_E_NULL);
    assert_int_equal(csp_pruner_kept(NULL, 0, &kept), CSP_E_NULL);
    assert_int_equal(csp_pruner_kept(b->pruner, 0, NULL), CSP_E_NULL);
}

static void views_refuse_an_unknown_layer(void **state)
{
    bench *b = *state;
    csp_tokens tokens = {.n_keys = 77};
    csp_importance importance = {.capacity = 77};
    csp_kept kept = {.capacity = 77};

    assert_int_equal(csp_pruner_tokens(b->pruner, 2, &tokens), CSP_E_SHAPE);
    assert_int_equal(csp_pruner_importance(b->pruner, 2, &importance),
                     CSP_E_SHAPE);
    assert_int_equal(csp_pruner_kept(b->pruner, 2, &kept), CSP_E_SHAPE);
    assert_int_equal(tokens.n_keys, 77);
    assert_int_equal(importance.capacity, 77);
    assert_int_equal(kept.capacity, 77);
}

static void tokens_of_an_unpruned_cache_count_up(void **state)
{
    bench *b = *state;
    csp_tokens tokens;

    csp_pruner_tokens(b->pruner, 1, &tokens);

    assert_int_equal(tokens.n_keys, 30);
    for (uint32_t g = 0; g < 2; g++) {
        assert_int_equal(tokens.counts[g], 30);
        for (uint32_t i = 0; i < 30; i++)
            assert_int_equal(tokens.positions[g * tokens.capacity + i], i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(create_works_without_hooks),
        cmocka_unit_test(create_refuses_null),
        cmocka_unit_test(create_refuses_hooks_without_functions),
        cmocka_unit_test(create_refuses_zero_counts),
        cmocka_unit_test(create_names_bad_settings),
        cmocka_unit_test(create_refuses_more_heads_than_count),
        cmocka_unit_test(create_out_of_memory_allocates_nothing),
        cmocka_unit_test(create_copies_settings_and_hooks),
        cmocka_unit_test(create_makes_score_plan_and_apply_run_by_the_hook),
        cmocka_unit_test(create_starts_with_an_empty_cache),
        cmocka_unit_test(destroy_takes_null),
        with_bench(destroy_frees_everything),
        with_bench(every_allocation_goes_through_the_allocator),
        cmocka_unit_test(reset_refuses_null),
        with_bench(reset_forgets_the_sequence),
        with_bench(reset_keeps_memory_and_settings),
        with_bench(reset_is_as_good_as_new),
        with_bench(reset_forgets_value_norms),
        with_bench(views_refuse_null),
        with_bench(views_refuse_an_unknown_layer),
        with_bench(tokens_of_an_unpruned_cache_count_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
