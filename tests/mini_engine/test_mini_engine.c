/*
 * test_mini_engine.c - the decoder against NumPy, and its parts
 */
#include "mini_test.h"

#include "attention.h"
#include "csp.h"
#include "arrays.h"
#include "recorder.h"
#include "reference.h"
#include "support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const watcher nobody = {0};

/* The expected logits [token][n_vocab] of a checkpoint. */
static array expected_logits(const char *dtype)
{
    char *folder = join(MINI_DATA_DIR, dtype);
    char *path = join(folder, "logits.npy");
    array logits = array_read(path, "<f4", 2);

    free(path);
    free(folder);
    return logits;
}

static void assert_logits(const char *dtype)
{
    scene s = scene_make(dtype);
    array expected = expected_logits(dtype);
    engine e = engine_make(&s.m, 1);
    cache c = cache_make(&s.m, s.p.n_tokens);
    float *next = take(s.m.n_vocab, sizeof *next);

    assert_int_equal(expected.shape[0], s.p.n_tokens);
    assert_int_equal(expected.shape[1], s.m.n_vocab);
    for (uint32_t t = 0; t < s.p.n_tokens; ++t) {
        engine_run(&e, &c, s.embeddings + (size_t)t * s.m.hidden, 1, next);
        for (uint32_t i = 0; i < s.m.n_vocab; ++i) {
            const float x = expected.f32[(size_t)t * s.m.n_vocab + i];

            assert_true(fabsf(next[i] - x) <= 1e-4f);
        }
    }
    free(next);
    cache_free(&c);
    engine_free(&e);
    free(expected.f32);
    scene_free(&s);
}

TEST(logits_of_f32_weights_are_numpys)
{
    assert_logits("f32");
}

TEST(logits_of_f16_weights_are_numpys)
{
    assert_logits("f16");
}

TEST(logits_of_tied_bf16_weights_are_numpys)
{
    assert_logits("bf16");
}

/* Other tests lean on the reference. */
TEST(reference_is_numpys)
{
    scene s = scene_make("f32");
    array expected = expected_logits("f32");
    reference r = reference_make(&s.m, s.p.n_tokens);
    double *next = take(s.m.n_vocab, sizeof *next);

    for (uint32_t t = 0; t < s.p.n_tokens; ++t) {
        reference_step(&r, s.embeddings + (size_t)t * s.m.hidden, next);
        for (uint32_t i = 0; i < s.m.n_vocab; ++i) {
            const float x = expected.f32[(size_t)t * s.m.n_vocab + i];

            assert_true(fabs(next[i] - (double)x) <= 1e-5);
        }
    }
    free(next);
    reference_free(&r);
    free(expected.f32);
    scene_free(&s);
}

TEST(chunks_change_no_bit)
{
    static const uint32_t chunks[] = {1, 5, 47, 64};
    scene s = scene_make("f32");
    const uint32_t n = s.p.n_tokens;
    const size_t size = s.m.n_vocab * sizeof(float);
    float *whole = take(s.m.n_vocab, sizeof *whole);
    float *next = take(s.m.n_vocab, sizeof *next);
    cache all = scene_read(&s, n, n, n, nobody, whole);

    for (size_t i = 0; i < sizeof chunks / sizeof *chunks; ++i) {
        cache c = scene_read(&s, n, n, chunks[i], nobody, next);

        assert_same_cache(&all, &c);
        assert_memory_equal(whole, next, size);
        cache_free(&c);
    }
    cache_free(&all);
    free(next);
    free(whole);
    scene_free(&s);
}

TEST(copy_of_cache_goes_on_alike)
{
    scene s = scene_make("f32");
    const uint32_t n = s.p.n_tokens;
    engine e = engine_make(&s.m, 8);
    float *next = take(s.m.n_vocab, sizeof *next);
    float *other = take(s.m.n_vocab, sizeof *other);
    cache c = scene_read(&s, n - 4, n, 8, nobody, NULL);
    cache copy = cache_copy(&c, n + 3);
    const float *rest = s.embeddings + (size_t)(n - 4) * s.m.hidden;

    engine_run(&e, &c, rest, 4, next);
    engine_run(&e, &copy, rest, 4, other);

    assert_same_cache(&c, &copy);
    assert_memory_equal(next, other, s.m.n_vocab * sizeof *next);
    cache_free(&copy);
    cache_free(&c);
    free(other);
    free(next);
    engine_free(&e);
    scene_free(&s);
}

TEST(recorder_keeps_the_last_rows)
{
    enum { LAST = 7 };
    scene s = scene_make("f32");
    const uint32_t n = s.p.n_tokens;
    recorder all = recorder_make(&s.m, n), last = recorder_make(&s.m, LAST);
    cache a = scene_read(&s, n, n, n, (watcher){recorder_watch, &all}, NULL);
    cache b = scene_read(&s, n, n, 5, (watcher){recorder_watch, &last}, NULL);

    for (uint32_t l = 0; l < s.m.n_layers; ++l) {
        const attention_seen x = recorder_view(&all, l, &a);
        const attention_seen y = recorder_view(&last, l, &b);

        assert_int_equal(x.first, 0);
        assert_int_equal(x.n_queries, n);
        assert_int_equal(y.first, n - LAST);
        assert_int_equal(y.n_queries, LAST);
        assert_memory_equal(x.queries + (size_t)(n - LAST) * all.row_size,
                            y.queries, LAST * all.row_size * sizeof(float));
    }
    cache_free(&b);
    cache_free(&a);
    recorder_free(&last);
    recorder_free(&all);
    scene_free(&s);
}

/* ---- Sinks --------------------------------------------------------------- */

enum { ROWS = 5, DIM = 3 };

static const float some_logits[ROWS] = {0.5f, -1.0f, 2.0f, 0.0f, 1.25f};
static const float some_values[ROWS * DIM] = {1, 2, 3, 4,  5,  6,  7, 8,
                                              9, 0, 1, -2, -3, -4, -5};

TEST(sink_of_minus_infinity_is_none)
{
    static const float value[DIM] = {100.0f, 100.0f, 100.0f};
    float weights[ROWS], with[DIM], without[DIM];

    attention_mix(some_logits, some_values, ROWS, DIM,
                  (attention_sink){-INFINITY, value}, weights, with);
    attention_mix(some_logits, some_values, ROWS, DIM,
                  (attention_sink){-INFINITY, NULL}, weights, without);

    assert_memory_equal(with, without, sizeof with);
}

/* What a sink does inside is what csp_correct does afterwards. */
TEST(sink_is_the_librarys_correction)
{
    static const float value[DIM] = {0.25f, -8.0f, 3.0f};
    static const float sinks[] = {-20.0f, 0.0f, 1.5f, 40.0f};
    float weights[ROWS], inside[DIM], after[DIM];

    for (size_t i = 0; i < sizeof sinks / sizeof *sinks; ++i) {
        float lse =
            attention_mix(some_logits, some_values, ROWS, DIM,
                          (attention_sink){-INFINITY, NULL}, weights, after);
        csp_tensor out = csp_tensor_packed(after, CSP_F32, 1, 1, DIM);
        csp_tensor lses = csp_tensor_packed(&lse, CSP_F32, 1, 1, 1);

        assert_int_equal(
            csp_correct(&out, &lses, CSP_LSE_NATURAL, &sinks[i], value, after),
            CSP_OK);
        attention_mix(some_logits, some_values, ROWS, DIM,
                      (attention_sink){sinks[i], value}, weights, inside);
        for (int d = 0; d < DIM; ++d)
            assert_true(fabsf(inside[d] - after[d]) <= 2e-6f * 8.0f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_of_f32_weights_are_numpys),
        cmocka_unit_test(logits_of_f16_weights_are_numpys),
        cmocka_unit_test(logits_of_tied_bf16_weights_are_numpys),
        cmocka_unit_test(reference_is_numpys),
        cmocka_unit_test(chunks_change_no_bit),
        cmocka_unit_test(copy_of_cache_goes_on_alike),
        cmocka_unit_test(recorder_keeps_the_last_rows),
        cmocka_unit_test(sink_of_minus_infinity_is_none),
        cmocka_unit_test(sink_is_the_librarys_correction),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
