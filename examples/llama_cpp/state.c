/*
 * state.c - the bytes of llama_state_seq_get_data, understood to the last one
 *
 * In native byte order, without padding:
 *
 *   u32 magic, i32 sequence, u32 n_streams, and of each stream u32 n_cells
 *   then, of the one stream whose n_cells is not zero:
 *     n_cells x { i32 position, u32 1, [extension of 12 bytes], i32 sequence }
 *     u32 V transposed, u32 n_layers
 *     n_layers x { i32 type, u64 row size, n_cells rows }         K
 *     n_layers x { i32 type, u64 row size, n_cells rows }         V, or
 *     n_layers x { i32 type, u32 element size, u32 n_channels,
 *                  n_channels x n_cells elements }     V transposed
 *
 * Whether cells carry an extension (M-RoPE) is not said; of the two readings at
 * most one fits.
 */
#include "csp_llama.h"

#include <stdlib.h>
#include <string.h>

#if LLAMA_STATE_SEQ_VERSION != 3
#error "csp_llama knows the layout of LLAMA_STATE_SEQ_VERSION 3 only"
#endif

enum { EXTENSION = 12, MAX_STREAMS = 1024 };

static const uint32_t magic = 0xaf143cd8;

static const char not_understood[] =
    "the state is not laid out as in LLAMA_STATE_SEQ_VERSION 3";

/* ---- Reading ------------------------------------------------------------- */

typedef struct reader {
    const uint8_t *data;
    size_t size, at;
    bool failed;
} reader;

static size_t skip(reader *r, uint64_t n, uint64_t size)
{
    const size_t from = r->at;

    if (r->failed || (size && n > (r->size - r->at) / size)) {
        r->failed = true;
        return 0;
    }
    r->at += (size_t)(n * size);
    return from;
}

static uint32_t u32(reader *r)
{
    uint32_t x = 0;
    const size_t at = skip(r, 1, sizeof x);

    if (!r->failed)
        memcpy(&x, r->data + at, sizeof x);
    return x;
}

static uint64_t u64(reader *r)
{
    uint64_t x = 0;
    const size_t at = skip(r, 1, sizeof x);

    if (!r->failed)
        memcpy(&x, r->data + at, sizeof x);
    return x;
}

/* Whether rows of this type and size fall into whole blocks for each head. */
static bool read_type(reader *r, const csp_llama_state *s, uint32_t type,
                      uint64_t row_size, csp_llama_rows *rows)
{
    if (r->failed || type >= GGML_TYPE_COUNT ||
        ggml_blck_size((enum ggml_type)type) == 0 || row_size == 0 ||
        row_size % s->model.n_kv_heads != 0 ||
        row_size / s->model.n_kv_heads % ggml_type_size((enum ggml_type)type) !=
            0)
        return false;
    rows->type = (enum ggml_type)type;
    rows->row_size = (size_t)row_size;
    return true;
}

static bool read_rows(reader *r, const csp_llama_state *s, csp_llama_rows *rows)
{
    const uint32_t type = u32(r);
    const uint64_t row_size = u64(r);

    if (!read_type(r, s, type, row_size, rows))
        return false;
    rows->offset = skip(r, s->n_cells, row_size);
    return !r->failed;
}

static bool read_columns(reader *r, const csp_llama_state *s,
                         csp_llama_rows *rows)
{
    const uint32_t type = u32(r);
    const uint64_t element_size = u32(r);
    const uint64_t row_size = element_size * u32(r);

    if (!read_type(r, s, type, row_size, rows) ||
        ggml_blck_size(rows->type) != 1 ||
        element_size != ggml_type_size(rows->type))
        return false;
    rows->offset = skip(r, s->n_cells, row_size);
    return !r->failed;
}

/* One stream holds the sequence: its number and cells. */
static bool read_streams(reader *r, csp_llama_state *s)
{
    s->n_streams = u32(r);
    if (r->failed || s->n_streams == 0 || s->n_streams > MAX_STREAMS)
        return false;
    for (s->stream = 0; s->stream < s->n_streams; ++s->stream)
        if ((s->n_cells = u32(r)) != 0)
            return !r->failed;
    return false;
}

static bool read_cells(reader *r, csp_llama_state *s)
{
    s->cells = skip(r, s->n_cells, s->cell_size);
    if (r->failed)
        return false;
    for (uint32_t i = 0; i < s->n_cells; ++i) {
        uint32_t n_sequences;

        memcpy(&n_sequences, s->data + s->cells + i * s->cell_size + 4,
               sizeof n_sequences);
        if (n_sequences != 1)
            return false;
    }
    return true;
}

static bool read_layers(reader *r, csp_llama_state *s)
{
    const uint32_t v_transposed = u32(r), n_layers = u32(r);

    if (r->failed || v_transposed > 1 || n_layers != s->model.n_layers)
        return false;
    s->v_transposed = v_transposed;
    for (uint32_t i = 0; i < n_layers; ++i)
        if (!read_rows(r, s, &s->k[i]))
            return false;
    for (uint32_t i = 0; i < n_layers; ++i)
        if (!(s->v_transposed ? read_columns : read_rows)(r, s, &s->v[i]))
            return false;
    return true;
}

static bool read_state(csp_llama_state *s)
{
    reader r = {.data = s->data, .size = s->size};
    bool whole = u32(&r) == magic;

    (void)u32(&r); /* the sequence's number, which a reader may change */
    whole =
        whole && read_streams(&r, s) && read_cells(&r, s) && read_layers(&r, s);
    for (uint32_t i = s->stream + 1; whole && i < s->n_streams; ++i)
        whole = u32(&r) == 0;
    return whole && !r.failed && r.at == r.size;
}

/* Cells in the order of tokens, as scores have them. */
static bool in_order(const csp_llama_state *s)
{
    for (uint32_t i = 1; i < s->n_cells; ++i) {
        const llama_pos before = csp_llama_state_position(s, i - 1);
        const llama_pos here = csp_llama_state_position(s, i);

        if (s->model.shared_positions ? here < before : here <= before)
            return false;
    }
    return csp_llama_state_position(s, 0) >= 0;
}

/* Every layer's rows are as wide as the first one's; where layers differ in
   their KV heads, a head's share of a row would be something else. */
static bool even_layers(const csp_llama_state *s)
{
    for (uint32_t i = 1; i < s->model.n_layers; ++i)
        if (s->k[i].row_size != s->k[0].row_size ||
            s->v[i].row_size != s->v[0].row_size)
            return false;
    return true;
}

/* Why a state that was read cannot be pruned, or NULL. */
static const char *unsuitable(const csp_llama_state *s)
{
    if (!even_layers(s))
        return "layers differ in their heads";
    if (!in_order(s))
        return "the cells are not in the order of their tokens";
    return NULL;
}

/* ---- Interface ----------------------------------------------------------- */

const char *csp_llama_state_parse(uint8_t *data, size_t size,
                                  const csp_llama_model *model,
                                  csp_llama_state *state)
{
    csp_llama_state s = {.data = data, .size = size, .model = *model};
    csp_llama_state with_extension;

    if (!(s.k = calloc(2 * (size_t)model->n_layers, sizeof *s.k)))
        return "out of memory";
    s.v = s.k + model->n_layers;
    with_extension = s;
    s.cell_size = 2 * sizeof(int32_t) + sizeof(uint32_t);
    with_extension.cell_size = s.cell_size + EXTENSION;
    bool understood = read_state(&s);
    if (!understood && read_state(&with_extension)) {
        s = with_extension;
        understood = true;
    }
    const char *problem = understood ? unsuitable(&s) : not_understood;
    if (problem)
        free(s.k);
    else
        *state = s;
    return problem;
}

/* llama.cpp aborts at some numbers, and takes -1 for all sequences. */
static const char *check_seq(struct llama_context *context, llama_seq_id seq)
{
    if (seq < 0 || (uint32_t)seq >= llama_n_seq_max(context))
        return "the context has no sequence of this number";
    return NULL;
}

static bool is_empty(struct llama_context *context, llama_seq_id seq)
{
    return llama_memory_seq_pos_max(llama_get_memory(context), seq) < 0;
}

const char *csp_llama_state_get(struct llama_context *context, llama_seq_id seq,
                                const csp_llama_model *model,
                                csp_llama_state *state)
{
    const char *problem = check_seq(context, seq);

    if (problem)
        return problem;
    if (is_empty(context, seq))
        return "the sequence is empty";
    const size_t size = llama_state_seq_get_size(context, seq);
    uint8_t *data = size ? malloc(size) : NULL;

    if (!data)
        return size ? "out of memory" : "llama.cpp gives out no state";
    if (llama_state_seq_get_data(context, data, size, seq) != size)
        problem = "llama.cpp gives out no state";
    if (!problem)
        problem = csp_llama_state_parse(data, size, model, state);
    if (problem)
        free(data);
    return problem;
}

/* Streams of a context: its state of no tokens says how many. */
static uint32_t streams_of(struct llama_context *context, llama_seq_id seq)
{
    const size_t size = llama_state_seq_get_size(context, seq);
    uint8_t *data = size ? malloc(size) : NULL;
    reader r = {.data = data, .size = size};
    uint32_t n_streams = 0;

    if (data && llama_state_seq_get_data(context, data, size, seq) == size) {
        skip(&r, 2, sizeof(uint32_t)); /* magic, sequence */
        n_streams = u32(&r);
    }
    free(data);
    return r.failed || n_streams > MAX_STREAMS ? 0 : n_streams;
}

/* The same sequence as the first of 'n_streams'; which one it was has no
   meaning. */
static uint8_t *with_streams(const csp_llama_state *state, uint32_t n_streams,
                             size_t *size)
{
    const size_t word = sizeof(uint32_t);
    const size_t before = (3 + (size_t)state->stream) * word;
    const size_t after = (state->n_streams - state->stream - 1) * word;
    const size_t body = state->size - before - after;
    uint8_t *data;

    *size = 3 * word + body + (n_streams - 1) * word;
    if (!(data = calloc(*size, 1)))
        return NULL;
    memcpy(data, state->data, 2 * word); /* magic, sequence */
    memcpy(data + 2 * word, &n_streams, word);
    memcpy(data + 3 * word, state->data + before, body); /* n_cells first */
    return data;
}

static bool load(struct llama_context *context, llama_seq_id seq,
                 const uint8_t *data, size_t size)
{
    if (llama_state_seq_set_data(context, data, size, seq) == size)
        return true;
    llama_memory_seq_rm(llama_get_memory(context), seq, -1, -1);
    return false;
}

const char *csp_llama_state_set(struct llama_context *context, llama_seq_id seq,
                                const csp_llama_state *state)
{
    const char *problem = check_seq(context, seq);
    uint8_t *data = state->data;
    size_t size = state->size;

    if (problem)
        return problem;
    if (!is_empty(context, seq))
        return "the sequence to write to is not empty";
    if (state->n_cells > llama_n_ctx_seq(context))
        return "the context has no room for the kept rows";
    const uint32_t n_streams = streams_of(context, seq);
    if (n_streams == 0)
        return "llama.cpp gives out no state";
    if (n_streams != state->n_streams &&
        !(data = with_streams(state, n_streams, &size)))
        return "out of memory";
    if (!load(context, seq, data, size))
        problem = "llama.cpp does not take the state: its types, its layout of "
                  "V or its room differ";
    if (data != state->data)
        free(data);
    return problem;
}

const char *csp_llama_state_replace(struct llama_context *context,
                                    llama_seq_id seq,
                                    const csp_llama_state *old,
                                    const csp_llama_state *state)
{
    const char *problem;

    llama_memory_seq_rm(llama_get_memory(context), seq, -1, -1);
    if (!(problem = csp_llama_state_set(context, seq, state)))
        return NULL;
    if (csp_llama_state_set(context, seq, old))
        return "llama.cpp takes neither the new state nor its own back: the "
               "sequence is empty";
    return problem;
}

const char *csp_llama_compact(struct llama_context *context, llama_seq_id seq,
                              const csp_llama_model *model)
{
    csp_llama_state state;
    const char *problem;

    if ((problem = csp_llama_state_get(context, seq, model, &state)))
        return problem;
    problem = csp_llama_state_replace(context, seq, &state, &state);
    csp_llama_state_free(&state);
    return problem;
}

void csp_llama_state_free(csp_llama_state *state)
{
    free(state->data);
    free(state->k);
    *state = (csp_llama_state){.data = NULL};
}

llama_pos csp_llama_state_position(const csp_llama_state *state, uint32_t cell)
{
    int32_t position;

    memcpy(&position, state->data + state->cells + cell * state->cell_size,
           sizeof position);
    return position;
}

csp_cells csp_llama_state_cells(const csp_llama_state *state, uint32_t layer,
                                bool v, bool elements)
{
    const csp_llama_rows *rows = v ? &state->v[layer] : &state->k[layer];
    const bool transposed = v && state->v_transposed;
    const uint32_t n_heads = state->model.n_kv_heads;
    const size_t head_size = rows->row_size / n_heads;
    csp_cells cells = {
        .data = state->data + rows->offset,
        .n_heads = n_heads,
        .n_channels = 1,
        .n_tokens = state->n_cells,
        .cell_size = head_size,
        .head_stride = head_size,
        .token_stride = rows->row_size,
    };

    if (elements || transposed) {
        cells.cell_size = ggml_type_size(rows->type);
        cells.n_channels = (uint32_t)(head_size / cells.cell_size);
        cells.channel_stride = cells.cell_size;
    }
    if (transposed) {
        cells.token_stride = cells.cell_size;
        cells.channel_stride = state->n_cells * cells.cell_size;
        cells.head_stride = cells.n_channels * cells.channel_stride;
    }
    return cells;
}
