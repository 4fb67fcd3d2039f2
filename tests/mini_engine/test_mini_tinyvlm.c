/*
 * test_mini_tinyvlm.c - a trained vision-language model, and what it answers
 *
 * Arguments: the model's folder, with samples in samples/, and the folder of
 * its test set.
 */
#include "mini_test.h"

#include "arrays.h"
#include "support.h"
#include "testset.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const char *model_folder, *testset_folder;

/* The prompts of samples/p0 to p3; row 0 of each file is the full cache. */
TEST(logits_are_those_of_the_samples)
{
    static const uint32_t prompts[] = {3, 17, 18, 31};
    model m = model_load(model_folder);
    testset t = testset_read(testset_folder, &m);
    float *next = take(m.n_vocab, sizeof *next);

    for (uint32_t i = 0; i < sizeof prompts / sizeof *prompts; ++i) {
        char name[64];
        snprintf(name, sizeof name, "samples/p%u_declogits.npy", i);
        char *path = join(model_folder, name);
        array expected = array_read(path, "<f4", 2);
        prompt p = testset_prompt(&t, prompts[i]);
        float *x = prompt_embed(&p, &m);
        engine e = engine_make(&m, 32);
        cache c = cache_make(&m, p.n_tokens);

        engine_run(&e, &c, x, p.n_tokens, next);
        assert_int_equal(expected.shape[1], m.n_vocab);
        for (uint32_t k = 0; k < m.n_vocab; ++k)
            assert_true(fabsf(next[k] - expected.f32[k]) <= 1e-3f);
        cache_free(&c);
        engine_free(&e);
        free(x);
        prompt_free(&p);
        free(expected.f32);
        free(path);
    }
    free(next);
    testset_free(&t);
    model_free(&m);
}

static uint32_t right_answers(const accuracy *a)
{
    uint32_t sum = 0;

    for (int t = 0; t < MAX_TASKS; ++t)
        sum += a->right[t];
    return sum;
}

/* With the full cache nearly all; half a cache loses some, a fifth more. */
TEST(answers_are_right_as_far_as_the_cache_goes)
{
    enum { PROMPTS = 63 };
    static const prune_settings settings[] = {
        {.method = METHOD_H2O, .keep = 0.5, .recent = 0.1},
        {.method = METHOD_H2O, .keep = 0.2, .recent = 0.1},
        {.method = METHOD_CSP, .keep = 1.0, .recent = -1.0},
    };
    model m = model_load(model_folder);
    testset t = testset_read(testset_folder, &m);

    for (int p = 0; p < N_PROTOCOLS; ++p) {
        verdicts v = testset_run(&t, &m, (protocol)p, settings, 3, 0, PROMPTS);
        uint32_t right[4];

        for (uint32_t k = 0; k < 4; ++k) {
            const accuracy a = accuracy_of(&t, &v, k);

            right[k] = right_answers(&a);
        }
        assert_true(right[0] >= PROMPTS - 1);
        assert_int_equal(right[3], right[0]);
        assert_true(right[1] > right[2]);
        assert_true(right[0] > right[1]);
        verdicts_free(&v);
    }
    testset_free(&t);
    model_free(&m);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_are_those_of_the_samples),
        cmocka_unit_test(answers_are_right_as_far_as_the_cache_goes),
    };

    if (argc != 3)
        die("arguments", "a model's folder and a test set's are needed");
    model_folder = argv[1];
    testset_folder = argv[2];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
