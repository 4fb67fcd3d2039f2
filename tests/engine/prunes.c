/*
 * prunes.c - every KV head its own tokens, through the state
 */
#include "engine.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N = 60, BUDGET = 24 };

static const engine_setup plain = {
    .kind = "llama", .type_k = GGML_TYPE_F16, .type_v = GGML_TYPE_F16};

/* ---- Every head keeps its own -------------------------------------------- */

static void assert_cell(const csp_cells *from, uint32_t row,
                        const csp_cells *to, uint32_t at, uint32_t head)
{
    for (uint32_t c = 0; c < from->n_channels; c++)
        assert_memory_equal(
            (const char *)to->data + head * to->head_stride +
                c * to->channel_stride + at * to->token_stride,
            (const char *)from->data + head * from->head_stride +
                c * from->channel_stride + row * from->token_stride,
            from->cell_size);
}

/* The cells of 'after' are the planned rows of 'before', bit for bit. */
static void assert_gathered(const engine *e, const csp_llama_state *before,
                            const csp_llama_state *after)
{
    bool heads_differ = false;
    csp_kept kept;

    for (uint32_t layer = 0; layer < e->model.n_layers; layer++) {
        assert_ok(csp_pruner_kept(e->pruner, layer, &kept));
        for (int v = 0; v < 2; v++) {
            const bool elements =
                v && (before->v_transposed || after->v_transposed);
            const csp_cells from =
                csp_llama_state_cells(before, layer, v, elements);
            const csp_cells to =
                csp_llama_state_cells(after, layer, v, elements);

            for (uint32_t h = 0; h < kept.n_lists; h++)
                for (uint32_t i = 0; i < kept.counts[h]; i++)
                    assert_cell(&from, kept.rows[h * kept.capacity + i], &to, i,
                                h);
        }
        for (uint32_t h = 1; h < kept.n_lists; h++)
            heads_differ |= memcmp(kept.rows, kept.rows + h * kept.capacity,
                                   BUDGET * sizeof *kept.rows) != 0;
    }
    assert_true(heads_differ);
}

static void prune_per_head(engine_setup setup)
{
    const csp_config config = engine_config(CSP_PER_HEAD, BUDGET);
    engine e = engine_prompted(setup, &config, N);
    csp_llama_state before = engine_state(&e, e.context), after;

    assert_no_problem(csp_llama_state_values(&before, e.pruner));
    assert_ok(csp_pruner_plan(e.pruner));
    assert_no_problem(
        csp_llama_state_prune(&before, e.pruner, before.v_transposed, &after));
    assert_int_equal(after.n_cells, BUDGET);
    assert_true(after.size < before.size);
    assert_gathered(&e, &before, &after);
    csp_llama_state_free(&before);

    /* In one call, to the same bytes. */
    assert_no_problem(csp_llama_prune(e.context, 0, &e.model, e.pruner, NULL));
    before = engine_state(&e, e.context);
    assert_same_state(&before, &after);
    for (uint32_t i = 0; i < 8; i++)
        free(engine_decode(&e, e.context, 0, N + i));
    csp_llama_state_free(&before);
    csp_llama_state_free(&after);
    engine_close(&e);
}

TEST(each_head_keeps_its_own_rows_bit_for_bit)
{
    static const engine_setup setups[] = {
        {"llama", false, GGML_TYPE_F16, GGML_TYPE_F16, 0, 0, 0, NULL},
        {"llama", false, GGML_TYPE_F32, GGML_TYPE_F32, 0, 0, 0, NULL},
        {"llama", false, GGML_TYPE_BF16, GGML_TYPE_BF16, 0, 0, 0, NULL},
        {"llama", true, GGML_TYPE_F16, GGML_TYPE_F16, 0, 0, 0, NULL},
        {"llama64", false, GGML_TYPE_Q8_0, GGML_TYPE_F16, 0, 0, 0, NULL},
        {"llama64", true, GGML_TYPE_Q8_0, GGML_TYPE_Q8_0, 0, 0, 0, NULL},
        {"llama64", true, GGML_TYPE_Q4_0, GGML_TYPE_Q4_1, 0, 0, 0, NULL},
        {"llama64", true, GGML_TYPE_Q5_0, GGML_TYPE_IQ4_NL, 0, 0, 0, NULL},
        {"learned", false, GGML_TYPE_F16, GGML_TYPE_F16, 0, 0, 0, NULL},
        {"mrope", false, GGML_TYPE_F16, GGML_TYPE_F16, 0, 0, 0, NULL},
    };

    for (size_t i = 0; i < COUNT(setups); i++)
        prune_per_head(setups[i]);
}

/* ---- Into another context ------------------------------------------------ */

/* Half the tokens in a context of half the size, with the other attention. */
static double transfer_difference(bool from_flash, bool to_flash)
{
    const csp_config config = engine_config(CSP_PER_HEAD, BUDGET);
    engine_setup setup = plain, target_setup = plain;

    setup.flash = from_flash;
    target_setup.flash = to_flash;
    target_setup.n_ctx = 256;
    engine e = engine_prompted(setup, &config, N),
           twin = engine_prompted(setup, &config, N);
    const csp_llama_target target = {
        .context = engine_context(&e, &target_setup),
        .flash_attention = to_flash,
    };
    csp_llama_state before = engine_state(&e, e.context);
    assert_no_problem(
        csp_llama_prune(e.context, 0, &e.model, e.pruner, &target));
    csp_llama_state after = engine_state(&e, e.context);
    assert_same_state(&before, &after); /* the source stays */
    assert_no_problem(
        csp_llama_prune(twin.context, 0, &twin.model, twin.pruner, NULL));
    const double difference =
        engine_difference(&e, twin.context, target.context, N, 8);
    csp_llama_state_free(&before);
    csp_llama_state_free(&after);
    llama_free(target.context);
    engine_close(&twin);
    engine_close(&e);
    return difference;
}

TEST(pruned_into_a_smaller_context)
{
    assert_true(transfer_difference(false, false) < 1e-4);
    assert_true(transfer_difference(true, true) < 1e-4);
}

TEST(pruned_into_one_with_flash_attention_and_back)
{
    assert_true(transfer_difference(false, true) < 3e-2);
    assert_true(transfer_difference(true, false) < 3e-2);
}

TEST(a_target_without_room_is_refused)
{
    enum { TOKENS = 300 }; /* contexts have 256 cells at least */
    const csp_config config = engine_config(CSP_PER_HEAD, TOKENS - 10);
    engine_setup setup = plain;

    setup.config = &config;
    engine e = engine_open(&setup);
    engine_prompt(&e, TOKENS);
    setup.n_ctx = 256;
    const csp_llama_target target = {.context = engine_context(&e, &setup)};
    assert_problem(csp_llama_prune(e.context, 0, &e.model, e.pruner, &target),
                   "no room");
    llama_free(target.context);
    engine_close(&e);
}

/* Sequence 2 of a context with a stream for each of three, in place, and from
   there to sequence 1. */
TEST(other_sequences_than_the_first_are_pruned)
{
    csp_config config = engine_config(CSP_PER_HEAD, BUDGET);
    engine_setup setup = plain;

    setup.n_seq_max = 3;
    setup.config = &config;
    engine e = engine_open(&setup);
    for (uint32_t i = 0; i < N; i++)
        free(engine_decode(&e, e.context, 2, i));
    assert_no_problem(e.capture->failure);
    e.capture->on = false;
    assert_no_problem(csp_llama_prune(e.context, 2, &e.model, e.pruner, NULL));
    config.budget = BUDGET / 2;
    assert_ok(csp_pruner_configure(e.pruner, &config));
    const csp_llama_target target = {.context = e.context, .seq = 1};
    assert_no_problem(
        csp_llama_prune(e.context, 2, &e.model, e.pruner, &target));
    config.budget = BUDGET / 4;
    assert_ok(csp_pruner_configure(e.pruner, &config));
    assert_no_problem(csp_llama_prune(e.context, 1, &e.model, e.pruner, NULL));
    for (llama_seq_id seq = 1; seq < 3; seq++) {
        csp_llama_state state;

        assert_no_problem(
            csp_llama_state_get(e.context, seq, &e.model, &state));
        assert_int_equal(state.stream, seq);
        assert_int_equal(state.n_cells, seq == 1 ? BUDGET / 4 : BUDGET);
        csp_llama_state_free(&state);
        free(engine_decode(&e, e.context, seq, N));
    }
    engine_close(&e);
}

/* What a target refuses can be tried again with another. */
TEST(a_target_that_does_not_fit_changes_nothing)
{
    const csp_config config = engine_config(CSP_PER_HEAD, BUDGET);
    engine_setup other = plain;
    engine e = engine_prompted(plain, &config, N);
    csp_llama_state before = engine_state(&e, e.context);

    other.type_v = GGML_TYPE_F32;
    csp_llama_target target = {.context = engine_context(&e, &other)};
    assert_problem(csp_llama_prune(e.context, 0, &e.model, e.pruner, &target),
                   "does not take");
    llama_free(target.context);
    target.context = engine_context(&e, &plain);
    target.flash_attention = true; /* not so */
    assert_problem(csp_llama_prune(e.context, 0, &e.model, e.pruner, &target),
                   "does not take");
    target.flash_attention = false;
    free(engine_decode(&e, target.context, 0, 0));
    assert_problem(csp_llama_prune(e.context, 0, &e.model, e.pruner, &target),
                   "not empty");
    llama_memory_clear(llama_get_memory(target.context), true);
    assert_no_problem(
        csp_llama_prune(e.context, 0, &e.model, e.pruner, &target));
    csp_llama_state after = engine_state(&e, e.context);
    assert_same_state(&before, &after);
    csp_llama_state_free(&before);
    csp_llama_state_free(&after);
    llama_free(target.context);
    engine_close(&e);
}

TEST(quantised_values_do_not_go_where_v_is_transposed)
{
    const csp_config config = engine_config(CSP_PER_HEAD, BUDGET);
    const engine_setup setup = {
        "llama64", true, GGML_TYPE_Q8_0, GGML_TYPE_Q8_0, 0, 0, 0, NULL};
    engine e = engine_prompted(setup, &config, N);
    const csp_llama_target target = {.context = engine_context(&e, &plain)};

    assert_problem(csp_llama_prune(e.context, 0, &e.model, e.pruner, &target),
                   "quantised values");
    llama_free(target.context);
    engine_close(&e);
}

/* ---- M-RoPE -------------------------------------------------------------- */

enum { GRID = 6, BEFORE = 10, AFTER = 8 };

/* Text, an image of which all tokens share a position, text. */
static void prompt_with_image(engine *e)
{
    enum { PATCHES = GRID * GRID };
    const int32_t dim = llama_model_n_embd_inp(e->llama);
    struct llama_batch batch = llama_batch_init(4 * PATCHES, dim, 1);
    random_source random = {.state = 3};

    engine_prompt(e, BEFORE);
    for (int32_t i = 0; i < PATCHES * dim; i++)
        batch.embd[i] =
            (float)random_between(&random, 0, 2000) / 1000.0f - 1.0f;
    for (int i = 0; i < PATCHES; i++) {
        batch.pos[i] = BEFORE;
        batch.pos[PATCHES + i] = BEFORE + i / GRID;
        batch.pos[2 * PATCHES + i] = BEFORE + i % GRID;
        batch.pos[3 * PATCHES + i] = 0;
        batch.n_seq_id[i] = 1;
        batch.seq_id[i][0] = 0;
        batch.logits[i] = i == PATCHES - 1;
    }
    batch.n_tokens = PATCHES;
    assert_int_equal(llama_decode(e->context, batch), 0);
    llama_batch_free(batch);
    e->n_tokens += GRID; /* positions that the image takes */
    engine_prompt(e, AFTER);
}

TEST(tokens_of_an_image_with_one_position_are_pruned_apart)
{
    enum { TOKENS = BEFORE + GRID * GRID + AFTER };
    csp_config config = engine_config(CSP_PER_HEAD, BUDGET);
    const csp_span image = {BEFORE, BEFORE + GRID * GRID, 1};
    engine_setup setup = plain;

    config.n_inter = BUDGET / 3;
    setup.kind = "mrope";
    setup.config = &config;
    engine e = engine_open(&setup);
    assert_true(e.model.shared_positions);
    assert_ok(csp_pruner_set_spans(e.pruner, &image, 1));
    prompt_with_image(&e);
    e.capture->on = false;
    csp_llama_state before = engine_state(&e, e.context), after;
    assert_int_equal(before.n_cells, TOKENS);
    assert_no_problem(csp_llama_state_values(&before, e.pruner));
    assert_ok(csp_pruner_plan(e.pruner));
    assert_no_problem(
        csp_llama_state_prune(&before, e.pruner, before.v_transposed, &after));
    assert_gathered(&e, &before, &after);
    csp_report report = {0};
    csp_importance importance;
    csp_tokens tokens;
    csp_kept kept;
    assert_ok(csp_pruner_importance(e.pruner, 0, &importance));
    assert_ok(csp_pruner_tokens(e.pruner, 0, &tokens));
    assert_ok(csp_pruner_kept(e.pruner, 0, &kept));
    assert_ok(csp_report_add(&importance, &tokens, &kept, 1, &report));
    assert_true(report.kept_of_modality[1] > 0);
    assert_true(report.kept_of_modality[1] < report.keys_of_modality[1]);
    csp_llama_state_free(&before);
    assert_no_problem(csp_llama_prune(e.context, 0, &e.model, e.pruner, NULL));
    before = engine_state(&e, e.context);
    assert_same_state(&before, &after);
    csp_llama_state_free(&before);
    csp_llama_state_free(&after);
    for (uint32_t i = 0; i < 8; i++)
        free(engine_decode(&e, e.context, 0, e.n_tokens + i));
    engine_close(&e);
}

const struct CMUnitTest prune_tests[] = {
    cmocka_unit_test(each_head_keeps_its_own_rows_bit_for_bit),
    cmocka_unit_test(pruned_into_a_smaller_context),
    cmocka_unit_test(pruned_into_one_with_flash_attention_and_back),
    cmocka_unit_test(a_target_without_room_is_refused),
    cmocka_unit_test(other_sequences_than_the_first_are_pruned),
    cmocka_unit_test(a_target_that_does_not_fit_changes_nothing),
    cmocka_unit_test(quantised_values_do_not_go_where_v_is_transposed),
    cmocka_unit_test(tokens_of_an_image_with_one_position_are_pruned_apart),
};
const size_t n_prune_tests = COUNT(prune_tests);
