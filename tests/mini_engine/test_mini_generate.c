/*
 * test_mini_generate.c - decoding by itself, and what it refuses
 */
#include "mini_test.h"

#include "attention.h"
#include "generate.h"
#include "refusal.h"
#include "support.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { READ = 36, MOST = 12, EVERY = 5 };

static const watcher nobody = {0};
static const prune_settings settings = {
    .correction = CORRECT_RESIDUAL, .keep = 0.4, .recent = -1.0};

/* ---- Decoding ------------------------------------------------------------ */

TEST(generate_goes_on_with_the_most_likely)
{
    scene s = scene_make("f32");
    engine e = engine_make(&s.m, 1);
    cache a = scene_read(&s, READ, READ + MOST, READ, nobody, NULL);
    cache b = cache_copy(&a, READ + MOST);
    float *next = take(s.m.n_vocab, sizeof *next);
    int32_t tokens[MOST], token = s.p.tokens[READ];

    assert_int_equal(generate(&e, &a, token, MOST, NULL, tokens), MOST);
    for (uint32_t i = 0; i < MOST; ++i) {
        engine_step(&e, &b, token, next);
        token = most_likely(next, s.m.n_vocab);
        assert_int_equal(tokens[i], token);
    }
    assert_same_cache(&a, &b);

    free(next);
    cache_free(&b);
    cache_free(&a);
    engine_free(&e);
    scene_free(&s);
}

TEST(generate_ends_with_the_text_and_the_positions)
{
    scene s = scene_make("f32");
    engine e = engine_make(&s.m, 1);
    int32_t tokens[MOST], again[MOST];
    uint32_t n = 0;

    for (int run = 0; run < 3; ++run) {
        cache c = scene_read(&s, READ, READ + MOST, READ, nobody, NULL);

        if (run == 1)
            s.m.end_of_text = tokens[3];
        if (run == 2)
            s.m.n_positions = READ + 2;
        n = generate(&e, &c, s.p.tokens[READ], MOST, NULL,
                     run == 0 ? tokens : again);
        cache_free(&c);
        if (run == 1) {
            assert_true(n >= 1 && n <= 4);
            assert_int_equal(again[n - 1], tokens[3]);
        }
        s.m.end_of_text = -1;
    }
    assert_int_equal(n, 2);
    assert_memory_equal(tokens, again, 2 * sizeof *tokens);

    engine_free(&e);
    scene_free(&s);
}

TEST(generate_prunes_every_so_many_tokens)
{
    scene s = scene_make("f32");
    engine e = engine_make(&s.m, 1);
    cache caches[2];
    int32_t tokens[2][MOST];
    float *next = take(s.m.n_vocab, sizeof *next);

    for (int by_hand = 0; by_hand < 2; ++by_hand) {
        prune_state *p =
            prune_start(&s.m, &settings, s.p.spans, s.p.n_spans, READ);
        cache c = scene_read(&s, READ, READ + MOST, READ,
                             (watcher){prune_watch, p}, NULL);
        prune_rounds r = {.pruning = p,
                          .every = EVERY,
                          .rows = prune_budget(&settings, READ)};
        int32_t token = s.p.tokens[READ];

        prune_cache(p, &c);
        if (by_hand == 0) {
            generate(&e, &c, token, MOST, &r, tokens[0]);
            assert_int_equal(r.done, MOST / EVERY);
            assert_int_equal(cache_rows(&c), r.rows + MOST % EVERY);
        } else {
            prune_while_decoding(p, r.rows);
            e.watcher = (watcher){prune_watch, p};
            for (uint32_t i = 0; i < MOST; ++i) {
                engine_step(&e, &c, token, next);
                token = tokens[1][i] = most_likely(next, s.m.n_vocab);
                if ((i + 1) % EVERY == 0)
                    prune_cache(p, &c);
            }
        }
        prune_end(p);
        caches[by_hand] = c;
    }
    assert_memory_equal(tokens[0], tokens[1], sizeof tokens[0]);
    assert_same_cache(&caches[0], &caches[1]);

    cache_free(&caches[1]);
    cache_free(&caches[0]);
    free(next);
    engine_free(&e);
    scene_free(&s);
}

static void count_calls(void *context, const attention_seen *seen)
{
    *(uint32_t *)context += seen->n_queries;
}

/* Rounds of no pruning, or after no number of tokens, are none. */
TEST(generate_without_rounds_leaves_the_watcher_alone)
{
    scene s = scene_make("f32");
    engine e = engine_make(&s.m, 1);
    prune_state *p = prune_start(&s.m, &settings, s.p.spans, s.p.n_spans, READ);
    prune_rounds r = {.pruning = p, .every = 0, .rows = 8};
    int32_t tokens[MOST];
    uint32_t n_seen = 0;

    for (int with = 0; with < 2; ++with) {
        cache c = scene_read(&s, READ, READ + MOST, READ, nobody, NULL);

        e.watcher = (watcher){count_calls, &n_seen};
        generate(&e, &c, s.p.tokens[READ], MOST, with ? &r : NULL, tokens);
        cache_free(&c);
    }
    assert_int_equal(n_seen, 2 * MOST * s.m.n_layers);
    assert_int_equal(r.done, 0);

    prune_end(p);
    engine_free(&e);
    scene_free(&s);
}

TEST(most_likely_is_the_first_of_equals)
{
    static const float logits[] = {1.0f, 3.0f, 3.0f, -2.0f};

    assert_int_equal(most_likely(logits, 4), 1);
    assert_int_equal(most_likely(logits + 2, 2), 0);
}

/* ---- Attention ----------------------------------------------------------- */

TEST(logits_of_any_dimension_are_products)
{
    enum { LONGEST = 19 };
    float query[LONGEST], keys[2 * LONGEST], logits[2];

    for (uint32_t dim = 1; dim <= LONGEST; ++dim) {
        float sums[2] = {0};

        for (uint32_t i = 0; i < dim; ++i)
            query[i] = (float)(i + 1);
        for (uint32_t i = 0; i < 2 * dim; ++i) {
            keys[i] = (float)(i % 5) - 2.0f;
            sums[i / dim] += query[i % dim] * keys[i];
        }
        attention_logits(query, keys, 2, dim, 0.5f, logits);
        assert_true(logits[0] == 0.5f * sums[0]);
        assert_true(logits[1] == 0.5f * sums[1]);
    }
}

/* Neither a sink far above all keys nor one far below is too much. */
TEST(sinks_do_not_overflow)
{
    static const float logits[] = {-100.0f, 90.0f, 89.0f};
    static const float values[] = {7.0f, 1.0f, 1.0f}, value[] = {5.0f};
    float weights[3], out;

    attention_mix(logits, values, 3, 1, (attention_sink){300.0f, value},
                  weights, &out);
    assert_true(out == 5.0f);
    attention_mix(logits, values, 3, 1, (attention_sink){-300.0f, value},
                  weights, &out);
    assert_true(fabsf(out - 1.0f) < 1e-6f);
}

/* ---- Refusals ------------------------------------------------------------ */

static void run_beyond(uint32_t capacity, uint32_t n_positions, int32_t token)
{
    scene s = scene_make("f32");
    engine e = engine_make(&s.m, 4);
    cache c = cache_make(&s.m, capacity);

    s.m.n_positions = n_positions;
    engine_run(&e, &c, s.embeddings, 8, NULL);
    engine_step(&e, &c, token, NULL);
}

static void run_beyond_cache(void)
{
    run_beyond(8, UINT32_MAX, 0);
}

static void run_beyond_positions(void)
{
    run_beyond(9, 8, 0);
}

static void run_beyond_vocabulary(void)
{
    run_beyond(9, 9, 40);
}

static void run_negative(void)
{
    run_beyond(9, 9, -1);
}

static void run_to_the_end(void)
{
    run_beyond(9, 9, 39);
}

static void copy_into_too_little(void)
{
    scene s = scene_make("f32");
    cache c = scene_read(&s, 8, 8, 8, nobody, NULL);

    cache_copy(&c, 7);
}

TEST(what_does_not_fit_is_refused)
{
    assert_read(run_to_the_end);
    assert_refused(run_beyond_cache, "no room for 1 rows behind 8 of 8");
    assert_refused(run_beyond_positions, "the model's 8 positions");
    assert_refused(run_beyond_vocabulary, "40 is not in a vocabulary of 40");
    assert_refused(run_negative, "-1 is not in a vocabulary of 40");
    assert_refused(copy_into_too_little, "8 rows do not fit into 7");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(generate_goes_on_with_the_most_likely),
        cmocka_unit_test(generate_ends_with_the_text_and_the_positions),
        cmocka_unit_test(generate_prunes_every_so_many_tokens),
        cmocka_unit_test(generate_without_rounds_leaves_the_watcher_alone),
        cmocka_unit_test(most_likely_is_the_first_of_equals),
        cmocka_unit_test(logits_of_any_dimension_are_products),
        cmocka_unit_test(sinks_do_not_overflow),
        cmocka_unit_test(what_does_not_fit_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
