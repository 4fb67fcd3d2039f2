/*
 * captures.c - what the capture scores, against sums of the same probabilities
 */
#include "engine.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 100, MAX_LAYERS = 4, MAX_KV_HEADS = 4 };

/* ---- The oracle: columns of kq_soft_max, added up in double -------------- */

typedef struct columns {
    csp_llama_model model;
    uint32_t first_vote;
    uint32_t n_rows[MAX_LAYERS]; /* seen */
    double sums[MAX_LAYERS][MAX_KV_HEADS][N];
} columns;

static bool add_columns(struct ggml_tensor *node, bool ask, void *user)
{
    columns *c = user;
    unsigned layer;

    if (sscanf(node->name, "kq_soft_max-%u", &layer) != 1)
        return false;
    if (ask)
        return true;
    const uint32_t group = c->model.n_heads / c->model.n_kv_heads;
    for (uint32_t h = 0; h < c->model.n_heads; h++)
        for (uint32_t q = 0; q < (uint32_t)node->ne[1]; q++) {
            const float *row =
                (const float *)((const char *)node->data + h * node->nb[2] +
                                q * node->nb[1]);

            if (c->n_rows[layer] + q < c->first_vote)
                continue;
            for (uint32_t i = 0; i < N; i++)
                if (i < (uint32_t)node->ne[0])
                    c->sums[layer][h / group][i] += (double)row[i];
        }
    c->n_rows[layer] += (uint32_t)node->ne[1];
    return true;
}

static void oracle(const engine *e, uint32_t first_vote, columns *c)
{
    struct llama_context_params params = llama_context_default_params();

    memset(c, 0, sizeof *c);
    c->model = e->model;
    c->first_vote = first_vote;
    params.n_ctx = 256;
    params.n_batch = params.n_ubatch = 64;
    params.n_threads = params.n_threads_batch = 1;
    params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
    params.type_k = params.type_v = GGML_TYPE_F32;
    params.cb_eval = add_columns;
    params.cb_eval_user_data = c;
    engine twin = *e;
    twin.capture = NULL;
    twin.n_tokens = 0;
    twin.context = llama_init_from_model(e->llama, params);
    assert_non_null(twin.context);
    engine_prompt(&twin, N);
    llama_free(twin.context);
}

/* ---- Comparing ----------------------------------------------------------- */

/* All is in 'intra': the prompt is text. */
static void compare(const engine *e, const columns *c, double tolerance)
{
    csp_importance importance;

    for (uint32_t layer = 0; layer < e->model.n_layers; layer++) {
        assert_ok(csp_pruner_importance(e->pruner, layer, &importance));
        for (uint32_t h = 0; h < e->model.n_kv_heads; h++)
            for (uint32_t i = 0; i < N; i++) {
                const double got =
                    (double)
                        importance.intra[(size_t)h * importance.capacity + i];
                const double expected = c->sums[layer][h][i];

                if (!(fabs(got - expected) <= tolerance * (1.0 + expected)))
                    fail_msg("layer %u head %u cell %u: %g, expected %g", layer,
                             h, i, got, expected);
            }
    }
}

static void score_and_compare(engine_setup setup, uint32_t first_vote,
                              double tolerance)
{
    csp_config config = engine_config(CSP_PER_HEAD, 20);
    static columns expected;

    config.first_vote = first_vote;
    setup.config = &config;
    engine e = engine_open(&setup);
    engine_prompt(&e, N);
    oracle(&e, first_vote, &expected);
    compare(&e, &expected, tolerance);
    engine_close(&e);
}

static const engine_setup softmax = {
    .kind = "llama", .type_k = GGML_TYPE_F32, .type_v = GGML_TYPE_F32};

TEST(probabilities_are_summed_by_kv_head)
{
    score_and_compare(softmax, 0, 1e-5);
}

TEST(micro_batches_of_any_size_sum_to_the_same)
{
    static const uint32_t sizes[] = {1, 7, 33, 128};

    for (size_t i = 0; i < COUNT(sizes); i++) {
        engine_setup setup = softmax;

        setup.n_ubatch = sizes[i];
        score_and_compare(setup, 0, 1e-5);
        score_and_compare(setup, 70, 1e-5);
    }
}

TEST(rows_before_the_first_vote_are_only_counted)
{
    score_and_compare(softmax, 64, 1e-5);
    score_and_compare(softmax, 90, 1e-5);
    score_and_compare(softmax, N - 1, 1e-5);
}

/* The attention node converts an f32 cache to f16, and so sees other keys than
   the oracle by 2^-11. */
TEST(queries_and_keys_give_what_softmax_gives)
{
    engine_setup setup = softmax;

    setup.flash = true;
    score_and_compare(setup, 0, 3e-2);
    setup.type_k = setup.type_v = GGML_TYPE_F16;
    score_and_compare(setup, 0, 3e-2);
    setup.n_ubatch = 9;
    score_and_compare(setup, 75, 3e-2);
}

TEST(quantised_keys_are_read)
{
    engine_setup setup = softmax;

    setup.kind = "llama64";
    setup.flash = true;
    setup.type_k = setup.type_v = GGML_TYPE_Q8_0;
    score_and_compare(setup, 0, 0.3);
    setup.type_k = setup.type_v = GGML_TYPE_BF16;
    score_and_compare(setup, 0, 0.3);
}

TEST(other_architectures_show_their_attention_too)
{
    engine_setup setup = softmax;

    setup.kind = "learned";
    score_and_compare(setup, 0, 1e-5);
    setup.kind = "mrope";
    score_and_compare(setup, 50, 1e-5);
}

TEST(nothing_is_scored_while_the_capture_is_off)
{
    csp_config config = engine_config(CSP_PER_HEAD, 20);
    engine_setup setup = softmax;
    csp_tokens tokens;

    setup.config = &config;
    engine e = engine_open(&setup);
    e.capture->on = false;
    engine_prompt(&e, 10);
    assert_ok(csp_pruner_tokens(e.pruner, 0, &tokens));
    assert_int_equal(tokens.n_keys, 0);
    engine_close(&e);
}

/* Cells that were removed are not the pruner's rows any more. */
TEST(holes_between_the_cells_are_a_failure)
{
    csp_config config = engine_config(CSP_GLOBAL, 20);
    engine_setup setup = softmax;

    for (int flash = 0; flash < 2; flash++)
        for (int compact = 0; compact < 2; compact++) {
            setup.flash = flash;
            setup.config = &config;
            engine e = engine_open(&setup);
            engine_prompt(&e, 40);
            assert_no_problem(csp_llama_prune_global(e.context, 0, &e.model,
                                                     e.pruner, compact));
            free(engine_decode(&e, e.context, 0, 40));
            if (compact)
                assert_no_problem(e.capture->failure);
            else
                assert_problem(e.capture->failure, "first cells");
            engine_close(&e);
        }
}

/* Five tokens, decoded as 'causal' says and scored by 'mask'. */
static const char *failure_of(bool causal, csp_mask mask, bool flash)
{
    csp_config config = engine_config(CSP_PER_HEAD, 20);
    engine_setup setup = softmax;

    setup.flash = flash;
    setup.config = &config;
    engine e = engine_open(&setup), unchecked = e;
    unchecked.capture = NULL;
    e.capture->mask = mask;
    llama_set_causal_attn(e.context, causal);
    engine_prompt(&unchecked, 5);
    const char *failure = e.capture->failure;
    engine_close(&e);
    return failure;
}

TEST(a_mask_that_is_not_the_context_s_is_a_failure)
{
    for (int flash = 0; flash < 2; flash++) {
        assert_no_problem(failure_of(true, CSP_CAUSAL, flash));
        assert_no_problem(failure_of(false, CSP_FULL, flash));
        assert_problem(failure_of(true, CSP_FULL, flash), "first cells");
        assert_problem(failure_of(false, CSP_CAUSAL, flash), "first cells");
    }
}

/* A pruner for fewer layers than the model has. */
TEST(a_failure_is_kept_and_decoding_goes_on)
{
    csp_config config = engine_config(CSP_PER_HEAD, 20);
    engine_setup setup = softmax;

    setup.config = &config;
    engine e = engine_open(&setup);
    csp_pruner_destroy(e.pruner);
    assert_ok(csp_pruner_create(e.model.n_layers - 1, e.model.n_kv_heads,
                                &config, NULL, NULL, &e.pruner));
    e.capture->pruners[0] = e.pruner;
    free(engine_decode(&e, e.context, 0, 0));
    assert_problem(e.capture->failure, csp_status_string(CSP_E_SHAPE));
    free(engine_decode(&e, e.context, 0, 1));
    engine_close(&e);
}

const struct CMUnitTest capture_tests[] = {
    cmocka_unit_test(probabilities_are_summed_by_kv_head),
    cmocka_unit_test(micro_batches_of_any_size_sum_to_the_same),
    cmocka_unit_test(rows_before_the_first_vote_are_only_counted),
    cmocka_unit_test(queries_and_keys_give_what_softmax_gives),
    cmocka_unit_test(quantised_keys_are_read),
    cmocka_unit_test(other_architectures_show_their_attention_too),
    cmocka_unit_test(nothing_is_scored_while_the_capture_is_off),
    cmocka_unit_test(holes_between_the_cells_are_a_failure),
    cmocka_unit_test(a_mask_that_is_not_the_context_s_is_a_failure),
    cmocka_unit_test(a_failure_is_kept_and_decoding_goes_on),
};
const size_t n_capture_tests = COUNT(capture_tests);
