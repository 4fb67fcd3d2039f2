/*
 * test_pruner_rounds.c - prune, go on, prune again
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

#include "pruner_fixture.h"

/* Let the sequence grow by a chunk, and score it. */
static void advance(engine *e, csp_pruner *pruner, uint32_t n_tokens,
                    chunk_kind kind)
{
    const uint32_t begin = e->n_tokens;

    engine_append(e, n_tokens);
    engine_score_all(e, pruner, begin, e->n_tokens, kind);
}

static void prune(engine *e, csp_pruner *pruner)
{
    assert_int_equal(csp_pruner_plan(pruner), CSP_OK);
    engine_apply(e, pruner);
}

/* Settings that keep a part of some 30 rows. */
static csp_config config_of(csp_selection selection)
{
    csp_config config = plain_config(17);

    config.selection = selection;
    config.n_intra = selection == CSP_INTERSECTION ? 16 : 6;
    config.n_inter = selection == CSP_INTERSECTION ? 16 : 6;
    return config;
}

/* ---- Positions and caches ------------------------------------------------ */

static void apply_composes_positions_over_rounds(void **state)
{
    (void)state;
    for (uint32_t selection = CSP_EXACT; selection <= CSP_INTERSECTION;
         selection++)
        for (uint32_t kind = 0; kind < N_KINDS; kind++) {
            const csp_config config = config_of((csp_selection)selection);
            engine e;
            engine_init(&e, 2, 3, 2, 60, 20 + kind);
            csp_pruner *pruner = new_pruner(&e, &config, NULL, NULL);

            for (uint32_t round = 0; round < 3; round++) {
                advance(&e, pruner, round == 0 ? 30 : 9, (chunk_kind)kind);
                advance(&e, pruner, 3, (chunk_kind)kind);
                prune(&e, pruner);
                assert_true(engine_agrees(&e, pruner));
                assert_true(engine_caches_are_right(&e));
            }
            csp_pruner_destroy(pruner);
            engine_free(&e);
        }
}

static void apply_of_a_union_makes_ragged_heads_that_go_on(void **state)
{
    const csp_config config = config_of(CSP_UNION);
    engine e;
    csp_tokens tokens;

    (void)state;
    engine_init(&e, 1, 3, 1, 60, 31);
    csp_pruner *pruner = new_pruner(&e, &config, NULL, NULL);
    advance(&e, pruner, 30, LOGITS);
    prune(&e, pruner);
    const uint32_t counts[] = {e.counts[0], e.counts[1], e.counts[2]};
    assert_true(counts[0] != counts[1] || counts[1] != counts[2]);

    advance(&e, pruner, 5, LOGITS);

    csp_pruner_tokens(pruner, 0, &tokens);
    for (uint32_t g = 0; g < 3; g++) {
        assert_int_equal(tokens.counts[g], counts[g] + 5);
        for (uint32_t i = 0; i < 5; i++)
            assert_int_equal(
                tokens.positions[g * tokens.capacity + counts[g] + i], 30 + i);
    }
    csp_pruner_destroy(pruner);
    engine_free(&e);
}

static void rounds_are_the_same_bits_under_every_hook(void **state)
{
    csp_config config = config_of(CSP_UNION);
    engine engines[2];
    csp_pruner *pruners[2];

    (void)state;
    config.decay = 0.7;
    for (uint32_t hook = 0; hook < N_HOOKS; hook++) {
        const csp_parallel parallel = hook_number(hook);
        for (uint32_t i = 0; i < 2; i++) {
            engine_init(&engines[i], 2, 5, 2, 60, 40);
            pruners[i] =
                new_pruner(&engines[i], &config, NULL, i ? &parallel : NULL);
            for (uint32_t round = 0; round < 3; round++) {
                advance(&engines[i], pruners[i], round == 0 ? 30 : 9, QUERIES);
                engine_set_values(&engines[i], pruners[i]);
                prune(&engines[i], pruners[i]);
            }
        }

        snapshot serial = take_snapshot(pruners[0], 2);
        assert_unchanged(&serial, pruners[1], 2);
        assert_memory_equal(engines[0].k_cache, engines[1].k_cache,
                            (size_t)2 * 5 * 60 * engines[0].dim *
                                sizeof(float));
        for (uint32_t i = 0; i < 2; i++) {
            csp_pruner_destroy(pruners[i]);
            engine_free(&engines[i]);
        }
    }
}

/* Pruning to a fixed size every 'interval' tokens, for as long as there are
   tokens. */
static void decode(uint32_t interval, bool token_by_token)
{
    csp_config config = plain_config(16);
    engine e;
    csp_tokens tokens;

    config.decay = 0.9;
    engine_init(&e, 2, 2, 1, 300, 50 + interval);
    csp_pruner *pruner = new_pruner(&e, &config, NULL, NULL);
    advance(&e, pruner, 24, LOGITS);
    while (e.n_tokens + interval <= e.capacity) {
        for (uint32_t i = 0; token_by_token && i < interval; i++)
            advance(&e, pruner, 1, LOGITS);
        if (!token_by_token)
            advance(&e, pruner, interval, LOGITS);
        prune(&e, pruner);

        for (uint32_t layer = 0; layer < 2; layer++) {
            csp_pruner_tokens(pruner, layer, &tokens);
            for (uint32_t g = 0; g < 2; g++) {
                const uint32_t *at =
                    tokens.positions + (size_t)g * tokens.capacity;
                assert_int_equal(tokens.counts[g], 16);
                assert_int_equal(at[0], 0);
                assert_int_equal(at[1], 1);
                for (uint32_t i = 1; i < 16; i++)
                    assert_true(at[i] > at[i - 1]);
                for (uint32_t i = 0; i < 3; i++)
                    assert_int_equal(at[13 + i], e.n_tokens - 3 + i);
            }
        }
    }
    assert_true(engine_agrees(&e, pruner));
    assert_true(engine_caches_are_right(&e));
    csp_pruner_destroy(pruner);
    engine_free(&e);
}

static void
decode_with_pruning_keeps_budget_sinks_and_recent_tokens(void **state)
{
    (void)state;
    decode(1, false);
    decode(4, true);
    decode(7, false);
}

static void apply_allocates_nothing(void **state)
{
    bench *b = *state;

    ledger_fail(&b->book, 0, true);
    engine_apply(&b->e, b->pruner);
    ledger_heal(&b->book);

    assert_int_equal(b->book.n_calls, 0);
    assert_true(engine_caches_are_right(&b->e));
}

/* ---- Importance ---------------------------------------------------------- */

static void apply_carries_importance_times_decay(void **state)
{
    const double decays[] = {0.0, 0.5, 1.0};
    bench *b = *state;

    for (uint32_t i = 0; i < 3; i++) {
        float want[5][12];
        csp_importance from;
        csp_kept kept;
        b->config.decay = decays[i];
        csp_pruner *pruner =
            new_pruner(&b->e, &b->config, &b->book.hooks, NULL);
        engine_score_all(&b->e, pruner, 0, 30, LOGITS);
        engine_set_values(&b->e, pruner);
        assert_int_equal(csp_pruner_plan(pruner), CSP_OK);
        csp_pruner_importance(pruner, 1, &from);
        csp_pruner_kept(pruner, 1, &kept);
        for (uint32_t k = 0; k < 12; k++) { /* of the last head */
            const size_t row = from.capacity + kept.rows[kept.capacity + k];
            want[0][k] = from.intra[row] * (float)decays[i];
            want[1][k] = from.inter[row] * (float)decays[i];
            want[2][k] = from.intra_rows[row] * (float)decays[i];
            want[3][k] = from.inter_rows[row] * (float)decays[i];
            want[4][k] = from.value_norm[row];
        }

        assert_int_equal(csp_pruner_apply(pruner, NULL, 0, NULL), CSP_OK);

        csp_pruner_importance(pruner, 1, &from);
        assert_memory_equal(from.intra + from.capacity, want[0],
                            sizeof want[0]);
        assert_memory_equal(from.inter + from.capacity, want[1],
                            sizeof want[1]);
        assert_memory_equal(from.intra_rows + from.capacity, want[2],
                            sizeof want[2]);
        assert_memory_equal(from.inter_rows + from.capacity, want[3],
                            sizeof want[3]);
        assert_memory_equal(from.value_norm + from.capacity, want[4],
                            sizeof want[4]);
        csp_pruner_destroy(pruner);
    }
}

/* Whether the importance of every row is that of query tokens [begin, end)
   alone. */
static bool is_naive(const engine *e, const csp_pruner *pruner, uint32_t layer,
                     uint32_t begin, uint32_t end)
{
    const size_t count = (size_t)e->n_kv_heads * e->capacity;
    double *want = calloc(2 * count, sizeof *want);
    csp_importance got;
    bool near = true;

    engine_importance(e, layer, begin, end, 1.0, want, want + count);
    csp_pruner_importance(pruner, layer, &got);
    for (uint32_t g = 0; g < e->n_kv_heads; g++)
        for (uint32_t i = 0; i < e->counts[layer * e->n_kv_heads + g]; i++) {
            const double intra = want[(size_t)g * e->capacity + i];
            const double inter = want[count + (size_t)g * e->capacity + i];
            const size_t at = (size_t)g * got.capacity + i;
            near = near &&
                   fabs((double)got.intra[at] - intra) <= 5e-6 * intra &&
                   fabs((double)got.inter[at] - inter) <= 5e-6 * inter;
        }
    free(want);
    return near;
}

static void score_after_a_prune_knows_the_modality_of_every_row(void **state)
{
    (void)state;
    for (uint32_t selection = CSP_EXACT; selection <= CSP_INTERSECTION;
         selection++)
        for (uint32_t kind = 0; kind < N_KINDS; kind++) {
            csp_config config = config_of((csp_selection)selection);
            engine e;
            if (kind == LOGITS_F16)
                continue; /* rounded too much for this comparison */
            config.decay = 0.0;
            engine_init(&e, 2, 3, 2, 60, 60);
            csp_pruner *pruner = new_pruner(&e, &config, NULL, NULL);
            advance(&e, pruner, 19, LOGITS);
            prune(&e, pruner);

            advance(&e, pruner, 9, (chunk_kind)kind); /* of both modalities */

            for (uint32_t layer = 0; layer < 2; layer++)
                assert_true(is_naive(&e, pruner, layer, 19, 28));
            csp_pruner_destroy(pruner);
            engine_free(&e);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(apply_composes_positions_over_rounds),
        cmocka_unit_test(apply_of_a_union_makes_ragged_heads_that_go_on),
        cmocka_unit_test(rounds_are_the_same_bits_under_every_hook),
        cmocka_unit_test(
            decode_with_pruning_keeps_budget_sinks_and_recent_tokens),
        with_bench(apply_allocates_nothing),
        with_bench(apply_carries_importance_times_decay),
        cmocka_unit_test(score_after_a_prune_knows_the_modality_of_every_row),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
