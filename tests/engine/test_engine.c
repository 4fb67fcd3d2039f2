/*
 * test_engine.c - the adapters against a real llama.cpp
 *
 *     test_engine MODELS BACKENDS
 *
 * MODELS has the files of tiny_gguf, BACKENDS the libraries that ggml loads.
 * Ends with what was measured on the way.
 */
#include "engine.h"

#include "ggml-backend.h"

#include <stdio.h>

static int n_failed;
static size_t n_passed;

static void quiet(enum ggml_log_level level, const char *text, void *unused)
{
    (void)level;
    (void)text;
    (void)unused;
}

static void run(const char *name, const struct CMUnitTest *tests, size_t n)
{
    const int failed = _cmocka_run_group_tests(name, tests, n, NULL, NULL);

    n_failed += failed != 0;
    n_passed += n - (failed > 0 && (size_t)failed <= n ? (size_t)failed : 0);
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: test_engine MODELS BACKENDS\n");
        return 2;
    }
    engine_models = argv[1];
    llama_log_set(quiet, NULL);
    ggml_backend_load_all_from_path(argv[2]);
    llama_backend_init();
    run("refusals", refusal_tests, n_refusal_tests);
    run("captures", capture_tests, n_capture_tests);
    run("states", state_tests, n_state_tests);
    run("prunes", prune_tests, n_prune_tests);
    run("refused prunes", refused_prune_tests, n_refused_prune_tests);
    run("rounds", round_tests, n_round_tests);
    run("globals", global_tests, n_global_tests);
    if (n_failed == 0) {
        printf("figure engine_checks_passed %zu\n", n_passed);
        printf("figure engine_permute_maxdiff %.3g\n", figure_permute_maxdiff);
        printf("figure engine_seqrm_vs_blob_maxdiff %.3g\n",
               figure_seqrm_vs_blob_maxdiff);
        printf("figure engine_decode_speedup_4k %.2f\n",
               engine_speedup(4096, 20));
    }
    llama_backend_free();
    return n_failed ? 1 : 0;
}
