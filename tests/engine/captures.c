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
            assert_no_problem(
                csp_llama_prune_global(e.context, 0, &e.model, e.pruner));
            if (compact)
                assert_no_problem(csp_llama_compact(e.context, 0, &e.model));
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

/* ---- Nodes made by hand -------------------------------------------------- */

enum { HEADS = 4, KV_HEADS = 2, DIM = 8, ROWS = 6 };

static void fill(struct ggml_tensor *t, random_source *random)
{
    float *x = ggml_get_data_f32(t);

    for (int64_t i = 0; i < ggml_nelements(t); i++)
        x[i] = 2.0f * (float)random_normal(random);
}

/* Attention of ROWS tokens in as many cells, f32. */
static struct ggml_tensor *made_node(struct ggml_context *g, csp_mask seen,
                                     float softcap)
{
    struct ggml_tensor *q =
        ggml_new_tensor_3d(g, GGML_TYPE_F32, DIM, ROWS, HEADS);
    struct ggml_tensor *cache =
        ggml_new_tensor_3d(g, GGML_TYPE_F32, DIM, ROWS, KV_HEADS);
    struct ggml_tensor *mask = ggml_new_tensor_2d(g, GGML_TYPE_F16, ROWS, ROWS);
    ggml_fp16_t *bits = mask->data;
    random_source random = {.state = 7};

    fill(q, &random);
    fill(cache, &random);
    for (int i = 0; i < ROWS * ROWS; i++)
        bits[i] = seen == CSP_CAUSAL && i % ROWS > i / ROWS ? 0xfc00 : 0;
    ggml_set_name(cache, "cache_k_l0");
    struct ggml_tensor *keys = ggml_view_tensor(g, cache);
    return ggml_flash_attn_ext(g, q, keys, keys, mask, 0.5f, 0.0f, softcap);
}

static struct ggml_context *node_memory(void)
{
    const struct ggml_init_params params = {.mem_size = 1 << 20};
    struct ggml_context *g = ggml_init(params);

    assert_non_null(g);
    return g;
}

static const char *eval(struct ggml_tensor *node, csp_mask mask,
                        csp_pruner **pruner)
{
    const csp_llama_model model = {1, HEADS, KV_HEADS, false};
    const csp_config config = engine_config(CSP_PER_HEAD, 2);
    csp_llama_capture capture;

    assert_ok(csp_pruner_create(1, KV_HEADS, &config, NULL, NULL, pruner));
    assert_no_problem(csp_llama_capture_init(&model, pruner, 1, &capture));
    capture.mask = mask;
    assert_true(csp_llama_eval(node, true, &capture));
    assert_true(csp_llama_eval(node, false, &capture));
    const char *failure = capture.failure;
    assert_int_equal(csp_llama_eval(node, true, &capture), !failure);
    csp_llama_capture_free(&capture);
    return failure;
}

static void score_as_expected(csp_mask mask, float softcap)
{
    const csp_config config = engine_config(CSP_PER_HEAD, 2);
    struct ggml_context *g = node_memory();
    struct ggml_tensor *node = made_node(g, mask, softcap);
    const csp_attention expected = {
        .source = CSP_QUERY_KEY,
        .mask = mask,
        .queries =
            csp_tensor_packed(node->src[0]->data, CSP_F32, HEADS, ROWS, DIM),
        .keys =
            csp_tensor_packed(node->src[1]->data, CSP_F32, KV_HEADS, ROWS, DIM),
        .scale = 0.5f,
        .softcap = softcap,
    };
    csp_pruner *a, *b;
    csp_importance x, y;

    assert_no_problem(eval(node, mask, &a));
    assert_ok(csp_pruner_create(1, KV_HEADS, &config, NULL, NULL, &b));
    assert_ok(csp_pruner_score(b, 0, &expected));
    assert_ok(csp_pruner_importance(a, 0, &x));
    assert_ok(csp_pruner_importance(b, 0, &y));
    for (uint32_t h = 0; h < KV_HEADS; h++)
        assert_memory_equal(x.intra + (size_t)h * x.capacity,
                            y.intra + (size_t)h * y.capacity,
                            ROWS * sizeof *x.intra);
    csp_pruner_destroy(a);
    csp_pruner_destroy(b);
    ggml_free(g);
}

TEST(logits_are_capped_and_masked_as_the_node_says)
{
    score_as_expected(CSP_CAUSAL, 0.0f);
    score_as_expected(CSP_CAUSAL, 1.5f);
    score_as_expected(CSP_FULL, 0.0f);
}

static void refuse(struct ggml_tensor *node, const char *part)
{
    csp_pruner *pruner;

    assert_problem(eval(node, CSP_CAUSAL, &pruner), part);
    csp_pruner_destroy(pruner);
}

TEST(nodes_of_other_shapes_are_refused)
{
    struct ggml_context *g = node_memory();
    struct ggml_tensor *node = made_node(g, CSP_CAUSAL, 0.0f);

    node->src[0]->ne[3] = 2;
    refuse(node, "more than one sequence");
    node = made_node(g, CSP_CAUSAL, 0.0f);
    node->src[0]->ne[2] = HEADS / 2;
    refuse(node, "differ in their heads");
    node = made_node(g, CSP_CAUSAL, 0.0f);
    node->src[1]->ne[2] = 1;
    refuse(node, "differ in their heads");
    node = made_node(g, CSP_CAUSAL, 0.0f);
    node->src[0]->type = GGML_TYPE_F16;
    refuse(node, "not f32");
    node = made_node(g, CSP_CAUSAL, 0.0f);
    ggml_set_name(node->src[1]->view_src, "cache_k_l1");
    refuse(node, "unknown layer");
    node = made_node(g, CSP_CAUSAL, 0.0f);
    node->src[1] = node->src[1]->view_src;
    refuse(node, "unknown layer");
    ggml_free(g);
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
    cmocka_unit_test(logits_are_capped_and_masked_as_the_node_says),
    cmocka_unit_test(nodes_of_other_shapes_are_refused),
};
const size_t n_capture_tests = COUNT(capture_tests);
