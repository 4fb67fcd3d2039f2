/*
 * states.c - the bytes of a sequence's state: understood, or refused
 */
#include "engine.h"

#include <stdlib.h>
#include <string.h>

double figure_permute_maxdiff;

/* ---- Permuted cells ------------------------------------------------------ */

static void shuffle(uint32_t *order, uint32_t n, random_source *random)
{
    for (uint32_t i = 0; i < n; i++)
        order[i] = i;
    for (uint32_t i = n - 1; i > 0; i--) {
        const uint32_t j = random_below(random, i + 1), t = order[i];

        order[i] = order[j];
        order[j] = t;
    }
}

/* Cell i of one head becomes what cell order[i] was. */
static void permute(const csp_cells *cells, uint32_t head,
                    const uint32_t *order)
{
    const size_t size = cells->cell_size;
    char *base = (char *)cells->data + head * cells->head_stride;
    char *old = malloc(cells->n_tokens * size);

    assert_non_null(old);
    for (uint32_t c = 0; c < cells->n_channels; c++) {
        char *channel = base + c * cells->channel_stride;

        for (uint32_t i = 0; i < cells->n_tokens; i++)
            memcpy(old + i * size, channel + i * cells->token_stride, size);
        for (uint32_t i = 0; i < cells->n_tokens; i++)
            memcpy(channel + i * cells->token_stride, old + order[i] * size,
                   size);
    }
    free(old);
}

/* K and V of each head of each layer, in an order of its own. */
static void permute_state(const csp_llama_state *state)
{
    random_source random = {.state = 5};
    uint32_t order[512];

    for (uint32_t i = 0; i < state->model.n_layers; i++) {
        const csp_cells k = csp_llama_state_cells(state, i, false, false);
        const csp_cells v = csp_llama_state_cells(state, i, true, false);

        for (uint32_t h = 0; h < state->model.n_kv_heads; h++) {
            shuffle(order, state->n_cells, &random);
            permute(&k, h, order);
            permute(&v, h, order);
        }
    }
}

static double permuted_difference(engine_setup setup)
{
    engine e = engine_open(&setup);

    engine_prompt(&e, 40);
    csp_llama_state state = engine_state(&e, e.context);
    struct llama_context *other = engine_context(&e, &setup);
    permute_state(&state);
    assert_no_problem(csp_llama_state_set(other, 0, &state));
    const double difference =
        engine_difference(&e, e.context, other, e.n_tokens, 4);
    csp_llama_state_free(&state);
    llama_free(other);
    engine_close(&e);
    return difference;
}

TEST(permuting_the_cells_of_each_head_changes_sums_by_rounding)
{
    static const engine_setup setups[] = {
        {"llama", false, GGML_TYPE_F32, GGML_TYPE_F32, 0, 0, 0, NULL},
        {"llama64", false, GGML_TYPE_F32, GGML_TYPE_F32, 0, 0, 0, NULL},
        {"learned", false, GGML_TYPE_F32, GGML_TYPE_F32, 0, 0, 0, NULL},
        {"mrope", false, GGML_TYPE_F32, GGML_TYPE_F32, 0, 0, 0, NULL},
        {"llama", false, GGML_TYPE_F16, GGML_TYPE_F16, 0, 0, 0, NULL},
        {"llama", false, GGML_TYPE_BF16, GGML_TYPE_BF16, 0, 0, 0, NULL},
        {"llama64", false, GGML_TYPE_Q8_0, GGML_TYPE_F16, 0, 0, 0, NULL},
        {"llama64", false, GGML_TYPE_Q4_0, GGML_TYPE_F32, 0, 0, 0, NULL},
        {"learned", false, GGML_TYPE_F16, GGML_TYPE_F16, 0, 0, 0, NULL},
        {"mrope", false, GGML_TYPE_F16, GGML_TYPE_F16, 0, 0, 0, NULL},
        {"llama", true, GGML_TYPE_F16, GGML_TYPE_F16, 0, 0, 0, NULL},
        {"llama64", true, GGML_TYPE_Q8_0, GGML_TYPE_Q8_0, 0, 0, 0, NULL},
        {"llama64", true, GGML_TYPE_Q5_1, GGML_TYPE_Q4_0, 0, 0, 0, NULL},
    };

    for (size_t i = 0; i < COUNT(setups); i++) {
        const double difference = permuted_difference(setups[i]);

        if (setups[i].type_k == GGML_TYPE_F32)
            figure_permute_maxdiff = fmax(figure_permute_maxdiff, difference);
        if (!(difference < engine_tolerance(&setups[i])))
            fail_msg("%s, %zu: logits differ by %g", setups[i].kind, i,
                     difference);
    }
}

/* ---- Broken states ------------------------------------------------------- */

static const engine_setup plain = {
    .kind = "llama", .type_k = GGML_TYPE_F16, .type_v = GGML_TYPE_F16};
static const engine_setup with_flash = {.kind = "llama",
                                        .flash = true,
                                        .type_k = GGML_TYPE_F16,
                                        .type_v = GGML_TYPE_F16};

/* Bytes of their own, so that a sanitizer sees what reads further. */
static uint8_t *first_bytes(const csp_llama_state *from, size_t size)
{
    uint8_t *data = calloc(size ? size : 1, 1);

    assert_non_null(data);
    memcpy(data, from->data, size < from->size ? size : from->size);
    return data;
}

static const char *parse(const csp_llama_state *like, uint8_t *data,
                         size_t size)
{
    csp_llama_state parsed;
    const char *problem =
        csp_llama_state_parse(data, size, &like->model, &parsed);

    if (problem)
        free(data);
    else
        csp_llama_state_free(&parsed);
    return problem;
}

static const char *parse_first(const csp_llama_state *from, size_t size)
{
    return parse(from, first_bytes(from, size), size);
}

static const char *parse_changed(const csp_llama_state *from, size_t at,
                                 uint32_t value)
{
    uint8_t *data = first_bytes(from, from->size);

    memcpy(data + at, &value, sizeof value);
    return parse(from, data, from->size);
}

static void refuse_every_truncation(const engine_setup *setup)
{
    engine e = engine_open(setup);

    engine_prompt(&e, 5);
    csp_llama_state state = engine_state(&e, e.context);
    assert_no_problem(parse_first(&state, state.size));
    for (size_t size = 0; size < state.size; size++)
        assert_problem(parse_first(&state, size), "LLAMA_STATE_SEQ_VERSION");
    assert_problem(parse_first(&state, state.size + 4),
                   "LLAMA_STATE_SEQ_VERSION");
    csp_llama_state_free(&state);
    engine_close(&e);
}

TEST(a_state_of_any_other_length_is_refused)
{
    refuse_every_truncation(&plain);
    refuse_every_truncation(&with_flash);
}

static void refuse_changed_headers(const engine_setup *setup)
{
    engine e = engine_open(setup);

    engine_prompt(&e, 5);
    csp_llama_state state = engine_state(&e, e.context);
    const size_t layers = state.cells + state.n_cells * state.cell_size;
    const size_t k = state.k[0].offset, v = state.v[0].offset;
    const struct {
        size_t at;
        uint32_t value;
    } changes[] = {
        {0, 0xaf143cd9}, /* magic of another version */
        {8, 0},          /* streams */
        {8, 2},
        {8, UINT32_MAX},
        {12, 0}, /* cells */
        {12, 4},
        {12, 6},
        {12, UINT32_MAX},
        {state.cells + 4, 2}, /* sequences of a cell */
        {state.cells, 3},     /* position out of order */
        {layers, !state.v_transposed},
        {layers, 2},
        {layers + 4, 2}, /* layers */
        {layers + 4, UINT32_MAX},
        {k - 12, GGML_TYPE_COUNT}, /* type of K */
        {k - 12, GGML_TYPE_Q8_0},
        {k - 8, 127}, /* its row */
        {k - 4, 1},
        {k - 8, 0},
        {v - 12, UINT32_MAX}, /* type of V */
        {v - 8, 0},
        {v - 8, UINT32_MAX},
        {v - 4, UINT32_MAX},
    };

    for (size_t i = 0; i < COUNT(changes); i++)
        if (!parse_changed(&state, changes[i].at, changes[i].value))
            fail_msg("change %zu was not noticed", i);
    csp_llama_state_free(&state);
    engine_close(&e);
}

TEST(a_state_with_any_header_changed_is_refused)
{
    refuse_changed_headers(&plain);
    refuse_changed_headers(&with_flash);
}

/* Whatever is accepted lies inside the bytes. */
TEST(random_changes_are_refused_or_harmless)
{
    engine e = engine_open(&plain);
    random_source random = {.state = 11};

    engine_prompt(&e, 5);
    csp_llama_state state = engine_state(&e, e.context);
    const size_t headers = state.k[0].offset;
    for (int i = 0; i < 20000; i++) {
        const size_t at = random_below(&random, (uint32_t)headers);
        uint8_t *data = malloc(state.size);
        csp_llama_state s;

        assert_non_null(data);
        memcpy(data, state.data, state.size);
        data[at] = (uint8_t)random_bits(&random);
        if (csp_llama_state_parse(data, state.size, &e.model, &s)) {
            free(data);
            continue;
        }
        for (uint32_t j = 0; j < s.model.n_layers; j++) {
            assert_true(s.k[j].offset + s.n_cells * s.k[j].row_size <= s.size);
            assert_true(s.v[j].offset + s.n_cells * s.v[j].row_size <= s.size);
        }
        csp_llama_state_free(&s);
    }
    csp_llama_state_free(&state);
    engine_close(&e);
}

/* Well-formed, but of types that the context does not have. */
TEST(what_llama_refuses_leaves_the_sequence_empty)
{
    engine e = engine_open(&plain);
    const int32_t bf16 = GGML_TYPE_BF16;

    engine_prompt(&e, 5);
    csp_llama_state state = engine_state(&e, e.context);
    struct llama_context *other = engine_context(&e, &plain);
    memcpy(state.data + state.k[1].offset - 12, &bf16, sizeof bf16);
    assert_problem(csp_llama_state_set(other, 0, &state), "does not take");
    assert_int_equal(llama_memory_seq_pos_max(llama_get_memory(other), 0), -1);
    csp_llama_state_free(&state);
    llama_free(other);
    engine_close(&e);
}

TEST(an_empty_sequence_has_no_state_to_prune)
{
    engine e = engine_open(&plain);
    csp_llama_state state;

    assert_problem(csp_llama_state_get(e.context, 0, &e.model, &state),
                   "empty");
    engine_close(&e);
}

/* llama.cpp itself takes -1 for every sequence, and aborts at others. */
TEST(a_sequence_that_the_context_has_not_is_refused)
{
    static const llama_seq_id numbers[] = {-1, 1, 255, 256, 1 << 20};
    engine e = engine_open(&plain);
    csp_llama_state state, other;

    engine_prompt(&e, 5);
    state = engine_state(&e, e.context);
    for (size_t i = 0; i < COUNT(numbers); i++) {
        assert_problem(
            csp_llama_state_get(e.context, numbers[i], &e.model, &other),
            "no sequence");
        assert_problem(csp_llama_state_set(e.context, numbers[i], &state),
                       "no sequence");
    }
    other = engine_state(&e, e.context);
    assert_same_state(&state, &other);
    csp_llama_state_free(&state);
    csp_llama_state_free(&other);
    engine_close(&e);
}

/* The next token's, of two sequences that hold the same. */
static void assert_same_logits(const engine *e, struct llama_context *a,
                               llama_seq_id seq_a, struct llama_context *b,
                               llama_seq_id seq_b, uint32_t position)
{
    float *x = engine_decode(e, a, seq_a, position);
    float *y = engine_decode(e, b, seq_b, position);

    for (uint32_t i = 0; i < e->n_vocab; i++)
        assert_true(fabsf(x[i] - y[i]) < 1e-4f);
    free(x);
    free(y);
}

/* Each sequence in a stream of its own; another context has one. */
TEST(the_state_of_a_later_stream_is_understood)
{
    engine_setup setup = plain;

    setup.n_seq_max = 3;
    engine e = engine_open(&setup);
    for (uint32_t i = 0; i < 9; i++)
        free(engine_decode(&e, e.context, 2, i));
    csp_llama_state state;
    assert_no_problem(csp_llama_state_get(e.context, 2, &e.model, &state));
    assert_int_equal(state.n_streams, 3);
    assert_int_equal(state.stream, 2);
    assert_int_equal(state.n_cells, 9);
    const engine_setup one = plain;
    struct llama_context *small = engine_context(&e, &one);
    assert_no_problem(csp_llama_state_set(small, 0, &state));
    assert_same_logits(&e, e.context, 2, small, 0, 9);
    csp_llama_state_free(&state);
    assert_no_problem(csp_llama_state_get(small, 0, &e.model, &state));
    assert_int_equal(state.n_streams, 1);
    llama_memory_seq_rm(llama_get_memory(e.context), 1, -1, -1);
    assert_no_problem(csp_llama_state_set(e.context, 1, &state));
    assert_same_logits(&e, e.context, 1, small, 0, 10);
    llama_free(small);
    csp_llama_state_free(&state);
    engine_close(&e);
}

const struct CMUnitTest state_tests[] = {
    cmocka_unit_test(permuting_the_cells_of_each_head_changes_sums_by_rounding),
    cmocka_unit_test(a_state_of_any_other_length_is_refused),
    cmocka_unit_test(a_state_with_any_header_changed_is_refused),
    cmocka_unit_test(random_changes_are_refused_or_harmless),
    cmocka_unit_test(what_llama_refuses_leaves_the_sequence_empty),
    cmocka_unit_test(an_empty_sequence_has_no_state_to_prune),
    cmocka_unit_test(a_sequence_that_the_context_has_not_is_refused),
    cmocka_unit_test(the_state_of_a_later_stream_is_understood),
};
const size_t n_state_tests = COUNT(state_tests);
