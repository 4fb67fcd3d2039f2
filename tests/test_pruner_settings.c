/*
 * test_pruner_settings.c - settings and spans of the pruner
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>

#include "pruner_fixture.h"

static csp_status plan_status(const bench *b)
{
    csp_kept kept;

    return csp_pruner_kept(b->pruner, 0, &kept);
}

/* ---- configure ----------------------------------------------------------- */

static void configure_refuses_null(void **state)
{
    bench *b = *state;
    snapshot before = take_snapshot(b->pruner, 2);

    assert_int_equal(csp_pruner_configure(NULL, &b->config), CSP_E_NULL);
    assert_int_equal(csp_pruner_configure(b->pruner, NULL), CSP_E_NULL);
    assert_unchanged(&before, b->pruner, 2);
}

static void configure_with_bad_settings_changes_nothing(void **state)
{
    bench *b = *state;
    csp_config configs[N_BAD_CONFIGS];
    csp_status expected[N_BAD_CONFIGS];
    csp_kept kept;

    bad_configs(configs, expected);
    for (uint32_t i = 0; i < N_BAD_CONFIGS; i++) {
        snapshot before = take_snapshot(b->pruner, 2);
        assert_int_equal(csp_pruner_configure(b->pruner, &configs[i]),
                         expected[i]);
        assert_unchanged(&before, b->pruner, 2);
    }

    assert_int_equal(csp_pruner_plan(b->pruner),
                     CSP_OK); /* by the old settings */
    csp_pruner_kept(b->pruner, 0, &kept);
    assert_int_equal(kept.counts[0], 12);
}

static void configure_drops_the_plan_and_nothing_else(void **state)
{
    bench *b = *state;
    snapshot before = take_snapshot(b->pruner, 2);

    assert_int_equal(csp_pruner_configure(b->pruner, &b->config), CSP_OK);

    assert_int_equal(plan_status(b), CSP_E_STATE);
    csp_pruner_plan(b->pruner);
    assert_unchanged(&before, b->pruner, 2);
}

static void configure_sets_what_the_next_plan_uses(void **state)
{
    bench *b = *state;
    csp_kept kept;

    b->config.budget = 9;
    b->config.scope = CSP_PER_LAYER;
    csp_pruner_configure(b->pruner, &b->config);

    assert_int_equal(csp_pruner_plan(b->pruner), CSP_OK);
    assert_int_equal(csp_pruner_kept(b->pruner, 1, &kept), CSP_OK);
    assert_int_equal(kept.n_lists, 1);
    assert_int_equal(kept.counts[0], 9);
}

/* ---- reset --------------------------------------------------------------- */

/* What is seen of the plan of a prompt, and after it was applied. */
static void prune_prompt(const bench *b, csp_pruner *pruner, snapshot *seen)
{
    csp_pruner_set_spans(pruner, engine_spans, N_SPANS);
    engine_score_all(&b->e, pruner, 0, 30, LOGITS);
    engine_set_values(&b->e, pruner);
    assert_int_equal(csp_pruner_plan(pruner), CSP_OK);
    seen[0] = take_snapshot(pruner, 2);
    assert_int_equal(csp_pruner_apply(pruner, NULL, 0, NULL), CSP_OK);
    seen[1] = take_snapshot(pruner, 2);
}

static void reset_keeps_every_setting(void **state)
{
    bench *b = *state;
    snapshot expected[2], seen[2];
    b->config.first_vote = 9;
    b->config.n = 0.25;
    b->config.decay = 0.5;
    b->config.weigh_values = b->config.center_values = true;
    csp_pruner *fresh = new_pruner(&b->e, &b->config, NULL, NULL);
    prune_prompt(b, fresh, expected);
    csp_pruner_destroy(fresh);

    csp_pruner_configure(b->pruner, &b->config);
    csp_pruner_reset(b->pruner);
    prune_prompt(b, b->pruner, seen);

    for (int i = 0; i < 2; i++) {
        assert_true(same_snapshots(&seen[i], &expected[i]));
        free(seen[i].bytes);
        free(expected[i].bytes);
    }
}

/* ---- set_spans ----------------------------------------------------------- */

static void set_spans_copies(void **state)
{
    bench *b = *state;
    csp_span spans[3] = {{0, 3, 1}, {3, 7, 2}, {9, 9000, 15}};
    csp_tokens tokens;

    assert_int_equal(csp_pruner_set_spans(b->pruner, spans, 3), CSP_OK);
    spans[1].modality = 7;

    assert_int_equal(csp_pruner_tokens(b->pruner, 1, &tokens), CSP_OK);
    assert_int_equal(tokens.n_spans, 3);
    assert_int_equal(tokens.spans[1].modality, 2);
    assert_int_equal(tokens.spans[2].end, 9000);
}

static void set_spans_takes_its_own_view_back(void **state)
{
    bench *b = *state;
    csp_tokens tokens;

    csp_pruner_tokens(b->pruner, 0, &tokens);
    assert_int_equal(csp_pruner_set_spans(b->pruner, tokens.spans + 1, 1),
                     CSP_OK);

    csp_pruner_tokens(b->pruner, 0, &tokens);
    assert_int_equal(tokens.n_spans, 1);
    assert_memory_equal(tokens.spans, engine_spans + 1, sizeof *tokens.spans);
}

static void set_spans_none_removes_all(void **state)
{
    bench *b = *state;
    csp_tokens tokens;

    assert_int_equal(csp_pruner_set_spans(b->pruner, NULL, 0), CSP_OK);

    csp_pruner_tokens(b->pruner, 0, &tokens);
    assert_int_equal(tokens.n_spans, 0);
}

static void set_spans_refuses_null(void **state)
{
    bench *b = *state;
    snapshot before = take_snapshot(b->pruner, 2);

    assert_int_equal(csp_pruner_set_spans(NULL, engine_spans, 1), CSP_E_NULL);
    assert_int_equal(csp_pruner_set_spans(b->pruner, NULL, 1), CSP_E_NULL);
    assert_unchanged(&before, b->pruner, 2);
}

static void set_spans_refuses_bad_spans(void **state)
{
    bench *b = *state;
    const csp_span overlapping[] = {{0, 4, 1}, {3, 5, 2}};
    const csp_span unordered[] = {{5, 6, 1}, {0, 4, 1}};
    const csp_span backwards[] = {{6, 5, 1}};
    const csp_span unknown[] = {{0, 4, CSP_MAX_MODALITIES}};
    snapshot before = take_snapshot(b->pruner, 2);

    assert_int_equal(csp_pruner_set_spans(b->pruner, overlapping, 2),
                     CSP_E_SPAN);
    assert_int_equal(csp_pruner_set_spans(b->pruner, unordered, 2), CSP_E_SPAN);
    assert_int_equal(csp_pruner_set_spans(b->pruner, backwards, 1), CSP_E_SPAN);
    assert_int_equal(csp_pruner_set_spans(b->pruner, unknown, 1), CSP_E_SPAN);
    assert_unchanged(&before, b->pruner, 2);
}

static void set_spans_out_of_memory_keeps_the_old(void **state)
{
    bench *b = *state;
    const csp_span spans[] = {{0, 1, 1}, {1, 2, 2}};
    snapshot before = take_snapshot(b->pruner, 2);

    ledger_fail(&b->book, 0, false);
    assert_int_equal(csp_pruner_set_spans(b->pruner, spans, 2), CSP_E_MEMORY);
    assert_unchanged(&before, b->pruner, 2);
    assert_int_equal(csp_pruner_set_spans(b->pruner, spans, 2), CSP_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_bench(configure_refuses_null),
        with_bench(configure_with_bad_settings_changes_nothing),
        with_bench(configure_drops_the_plan_and_nothing_else),
        with_bench(configure_sets_what_the_next_plan_uses),
        with_bench(reset_keeps_every_setting),
        with_bench(set_spans_copies),
        with_bench(set_spans_takes_its_own_view_back),
        with_bench(set_spans_none_removes_all),
        with_bench(set_spans_refuses_null),
        with_bench(set_spans_refuses_bad_spans),
        with_bench(set_spans_out_of_memory_keeps_the_old),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
