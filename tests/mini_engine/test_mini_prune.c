/*
 * test_mini_prune.c - pruned decoding against decoding with masked keys
 *
 * Dropping a row and masking it must come to the same.  So the reference keeps
 * every token, is told which rows the pruned cache lacks, by head, and has to
 * say the same as the engine.
 */
#include "mini_test.h"

#include "prune.h"
#include "reference.h"
#include "support.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { READ = 36, LATER = 12 }; /* tokens before and after the first round */

static prune_settings settings_of(method how, correction c, double keep)
{
    return (prune_settings){.method = how,
                            .correction = c,
                            .keep = keep,
                            .rank = 2,
                            .recent = -1.0};
}

/* Rows [0, n) of the prompt in a cache, watched and pruned. */
static cache read_pruned(const scene *s, const prune_settings *settings,
                         prune_state **pruning, prune_outcome *outcome)
{
    *pruning = prune_start(&s->m, settings, s->p.spans, s->p.n_spans, READ);
    cache c = scene_read(s, READ, READ + LATER, 10,
                         (watcher){prune_watch, *pruning}, NULL);
    *outcome = prune_cache(*pruning, &c);
    return c;
}

/* ---- Masks --------------------------------------------------------------- */

/* Mark the tokens whose keys the pruned cache lacks.  'full' holds the keys of
   the same tokens, as that cache had them; kept rows are in order, so a walk
   along both finds each of them. */
static void mark_dropped(const cache *pruned, const cache *full, reference *r)
{
    const uint32_t dim = full->head_dim;

    for (uint32_t l = 0; l < full->n_layers; ++l)
        for (uint32_t g = 0; g < full->n_kv_heads; ++g) {
            const size_t head = (size_t)l * full->n_kv_heads + g;
            const float *kept = pruned->keys + cache_head(pruned, l, g);
            const float *key = full->keys + cache_head(full, l, g);
            uint32_t found = 0;

            for (uint32_t t = 0; t < full->rows[head]; ++t, key += dim) {
                bool same = found < pruned->rows[head] &&
                            memcmp(kept, key, dim * sizeof *key) == 0;

                r->dropped[head * r->capacity + t] = !same;
                found += same ? 1 : 0;
                kept += same ? dim : 0;
            }
            assert_int_equal(found, pruned->rows[head]);
        }
}

/* Run token t on both and compare what they say. */
static void step_alike(const scene *s, engine *e, cache *c, reference *r,
                       uint32_t t)
{
    float *next = take(s->m.n_vocab, sizeof *next);
    double *expected = take(s->m.n_vocab, sizeof *expected);
    const float *x = s->embeddings + (size_t)t * s->m.hidden;

    assert_int_equal(c->position, t);
    assert_int_equal(r->n_tokens, t);
    engine_run(e, c, x, 1, next);
    reference_step(r, x, expected);
    for (uint32_t i = 0; i < s->m.n_vocab; ++i)
        assert_true(fabs((double)next[i] - expected[i]) <= 1e-4);
    free(expected);
    free(next);
}

/* A reference that has read what the caches have. */
static reference read_reference(const scene *s)
{
    reference r = reference_make(&s->m, READ + LATER);
    double *next = take(s->m.n_vocab, sizeof *next);

    for (uint32_t t = 0; t < READ; ++t)
        reference_step(&r, s->embeddings + (size_t)t * s->m.hidden, next);
    free(next);
    return r;
}

/* ---- One round ----------------------------------------------------------- */

static void assert_masked_alike(const scene *s, const prune_settings *settings)
{
    static const watcher nobody = {0};
    prune_state *pruning;
    prune_outcome outcome;
    cache full = scene_read(s, READ, READ, READ, nobody, NULL);
    cache c = read_pruned(s, settings, &pruning, &outcome);
    reference r = read_reference(s);
    engine e = engine_make(&s->m, 1);

    assert_true(outcome.rows_after < outcome.rows_before);
    assert_int_equal(outcome.bytes_before, cache_bytes(&full));
    assert_int_equal(outcome.bytes_after + c.remains.size * sizeof(float),
                     cache_bytes(&c));
    assert_true((c.remains.size > 0) ==
                (settings->correction == CORRECT_MOMENTS));
    mark_dropped(&c, &full, &r);
    r.sinks = &c;
    for (uint32_t h = 0; h < s->m.n_layers * s->m.n_heads; ++h)
        assert_true((c.sink_logits[h] > -INFINITY) ==
                    (settings->correction == CORRECT_SINK ||
                     settings->correction == CORRECT_RESIDUAL));
    for (uint32_t t = READ; t < READ + LATER; ++t)
        step_alike(s, &e, &c, &r, t);
    engine_free(&e);
    reference_free(&r);
    cache_free(&c);
    cache_free(&full);
    prune_end(pruning);
}

TEST(dropped_rows_are_masked_rows)
{
    scene s = scene_make("f32");

    for (int m = 0; m < N_METHODS; ++m)
        for (int c = 0; c < N_CORRECTIONS; ++c) {
            prune_settings settings =
                settings_of((method)m, (correction)c, 0.4);

            for (int from = 0; from < N_SOURCES; ++from) {
                settings.source = (source)from;
                assert_masked_alike(&s, &settings);
            }
        }
    scene_free(&s);
}

/* With the mass of the dropped keys in the sink, and their mean in its value,
   or with a summary of them, the logits of the next token come nearer to those
   of the full cache. */
TEST(corrections_come_nearer_to_the_full_cache)
{
    static const watcher nobody = {0};
    scene s = scene_make("f32");
    float *next = take(s.m.n_vocab, sizeof *next);
    float *full_next = take(s.m.n_vocab, sizeof *full_next);
    double error[N_CORRECTIONS] = {0};
    const float *rest = s.embeddings + (size_t)READ * s.m.hidden;

    for (int k = 0; k < N_CORRECTIONS; ++k) {
        prune_settings settings = settings_of(METHOD_CSP, (correction)k, 0.4);
        engine e = engine_make(&s.m, 1);
        prune_state *pruning;
        prune_outcome outcome;
        cache c = read_pruned(&s, &settings, &pruning, &outcome);
        cache full = scene_read(&s, READ, READ + LATER, READ, nobody, NULL);

        for (uint32_t t = 0; t < LATER; ++t) {
            const float *x = rest + (size_t)t * s.m.hidden;

            engine_run(&e, &c, x, 1, next);
            engine_run(&e, &full, x, 1, full_next);
            for (uint32_t i = 0; i < s.m.n_vocab; ++i)
                error[k] += fabs((double)next[i] - (double)full_next[i]);
        }
        cache_free(&full);
        cache_free(&c);
        prune_end(pruning);
        engine_free(&e);
    }
    assert_true(error[CORRECT_RESIDUAL] < error[CORRECT_NONE]);
    assert_true(error[CORRECT_MOMENTS] < error[CORRECT_NONE]);
    free(full_next);
    free(next);
    scene_free(&s);
}

TEST(logits_and_queries_score_alike)
{
    scene s = scene_make("f32");

    for (int m = 0; m < N_METHODS; ++m) {
        prune_settings settings = settings_of((method)m, CORRECT_RESIDUAL, 0.4);
        prune_state *pruning;
        prune_outcome a, b;
        cache c = read_pruned(&s, &settings, &pruning, &a);

        prune_end(pruning);
        settings.source = FROM_QUERIES;
        cache d = read_pruned(&s, &settings, &pruning, &b);
        prune_end(pruning);

        assert_same_cache(&c, &d);
        assert_int_equal(a.rows_after, b.rows_after);
        if (m != METHOD_STREAMING) /* the others scored something */
            assert_true(fabs(a.retained - b.retained) < 1e-5);
        cache_free(&d);
        cache_free(&c);
    }
    scene_free(&s);
}

TEST(keeping_all_changes_no_bit)
{
    static const watcher nobody = {0};
    static const method exact[] = {METHOD_CSP, METHOD_SNAPKV, METHOD_H2O,
                                   METHOD_STREAMING};
    scene s = scene_make("f32");

    for (size_t m = 0; m < sizeof exact / sizeof *exact; ++m)
        for (int k = 0; k < N_CORRECTIONS; ++k) {
            prune_settings settings = settings_of(exact[m], (correction)k, 1.0);
            prune_state *pruning;
            prune_outcome outcome;
            cache full = scene_read(&s, READ, READ + LATER, READ, nobody, NULL);
            cache c = read_pruned(&s, &settings, &pruning, &outcome);
            engine e = engine_make(&s.m, LATER);
            const float *rest = s.embeddings + (size_t)READ * s.m.hidden;

            assert_int_equal(outcome.rows_after, outcome.rows_before);
            for (uint32_t h = 0; h < s.m.n_layers * s.m.n_heads; ++h)
                assert_true(c.sink_logits[h] == -INFINITY);
            assert_same_cache(&full, &c);
            engine_run(&e, &full, rest, LATER, NULL);
            engine_run(&e, &c, rest, LATER, NULL);
            assert_same_cache(&full, &c);
            engine_free(&e);
            cache_free(&c);
            cache_free(&full);
            prune_end(pruning);
        }
    scene_free(&s);
}

/* ---- Rounds -------------------------------------------------------------- */

/* A round.  What earlier ones dropped stays dropped: no sink weighs less than
   before, and some weigh more if this round drops more. */
static void assert_sinks_grow(prune_state *pruning, cache *c,
                              prune_outcome *outcome)
{
    const size_t n_sinks = (size_t)c->n_layers * c->n_heads;
    float *before = duplicate(c->sink_logits, n_sinks, sizeof *before);
    size_t grown = 0;

    *outcome = prune_cache(pruning, c);
    for (size_t h = 0; h < n_sinks; ++h) {
        assert_true(c->sink_logits[h] >= before[h]);
        grown += c->sink_logits[h] > before[h] ? 1 : 0;
    }
    assert_true((grown > 0) == (outcome->rows_after < outcome->rows_before));
    free(before);
}

/* Prune again every few tokens, to the budget; methods that do not fill it may
   be below it and drop nothing.  Keys of all tokens are collected from the
   pruned caches themselves, as later keys depend on what was dropped. */
static void assert_rounds_alike(const scene *s, method how)
{
    enum { EVERY = 4 };
    static const watcher nobody = {0};
    const prune_settings settings = settings_of(how, CORRECT_RESIDUAL, 0.4);
    const uint32_t budget = prune_budget(&settings, READ);
    const uint32_t n_heads = s->m.n_layers * s->m.n_kv_heads;
    const size_t row = s->m.head_dim * sizeof(float);
    prune_state *pruning;
    prune_outcome outcome;
    cache all = scene_read(s, READ, READ + LATER, READ, nobody, NULL);
    cache c = read_pruned(s, &settings, &pruning, &outcome);
    reference r = read_reference(s);
    engine e = engine_make(&s->m, 1);

    mark_dropped(&c, &all, &r);
    r.sinks = &c;
    prune_while_decoding(pruning, budget);
    e.watcher = (watcher){prune_watch, pruning};
    for (uint32_t t = READ; t < READ + LATER; ++t) {
        step_alike(s, &e, &c, &r, t);
        for (uint32_t l = 0; l < s->m.n_layers; ++l)
            for (uint32_t g = 0; g < s->m.n_kv_heads; ++g) {
                const size_t head = (size_t)l * s->m.n_kv_heads + g;
                const size_t from =
                    cache_head(&c, l, g) + (c.rows[head] - 1) * s->m.head_dim;
                const size_t to =
                    cache_head(&all, l, g) + all.rows[head]++ * s->m.head_dim;

                memcpy(all.keys + to, c.keys + from, row);
            }
        if ((t + 1 - READ) % EVERY == 0) {
            assert_sinks_grow(pruning, &c, &outcome);
            if (how != METHOD_PAPER && how != METHOD_REFERENCE)
                assert_int_equal(outcome.rows_after, budget * n_heads);
            assert_true(cache_rows(&c) <= budget);
            assert_int_equal(c.position, t + 1);
            mark_dropped(&c, &all, &r);
        }
    }
    engine_free(&e);
    reference_free(&r);
    cache_free(&c);
    cache_free(&all);
    prune_end(pruning);
}

TEST(rounds_while_decoding_are_masked_rows)
{
    scene s = scene_make("f32");

    for (int m = 0; m < N_METHODS; ++m)
        assert_rounds_alike(&s, (method)m);
    scene_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dropped_rows_are_masked_rows),
        cmocka_unit_test(corrections_come_nearer_to_the_full_cache),
        cmocka_unit_test(logits_and_queries_score_alike),
        cmocka_unit_test(keeping_all_changes_no_bit),
        cmocka_unit_test(rounds_while_decoding_are_masked_rows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
