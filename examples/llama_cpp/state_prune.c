/*
 * state_prune.c - a state with the kept rows only, and the prune by way of it
 *
 * The cells of a context are shared by all layers and heads, so each head must
 * keep equally many.  The pruned cells claim the positions of layer 0, head 0;
 * of these only the order and the last matter, as all lie before what comes.
 */
#include "csp_llama.h"

#include <stdlib.h>
#include <string.h>

/* ---- The pruner ---------------------------------------------------------- */

/* Is it of this model, and has each head as many rows as the state? */
static const char *check_pruner(const csp_llama_state *state,
                                const csp_pruner *pruner)
{
    csp_tokens tokens;

    for (uint32_t i = 0; i < state->model.n_layers; ++i) {
        if (csp_pruner_tokens(pruner, i, &tokens) ||
            tokens.n_kv_heads != state->model.n_kv_heads)
            return "the pruner is of another model";
        for (uint32_t h = 0; h < tokens.n_kv_heads; ++h)
            if (tokens.counts[h] != state->n_cells)
                return "the cache holds other tokens than the pruner has seen";
    }
    return NULL;
}

/* ---- Values -------------------------------------------------------------- */

/* V of a layer as f32 [head][token][channel]. */
static void values_f32(const csp_llama_state *state, uint32_t layer, float *out)
{
    const csp_llama_rows *v = &state->v[layer];
    const struct ggml_type_traits *traits = ggml_get_type_traits(v->type);
    const csp_cells blocks = csp_llama_state_cells(state, layer, true, true);
    const int64_t block = traits->blck_size;
    /* Blocks need not be aligned in a state; to_float wants them so. */
    _Alignas(16) char aligned[512];

    for (uint32_t h = 0; h < blocks.n_heads; ++h)
        for (uint32_t t = 0; t < blocks.n_tokens; ++t)
            for (uint32_t c = 0; c < blocks.n_channels; ++c, out += block) {
                memcpy(aligned,
                       (const char *)blocks.data + h * blocks.head_stride +
                           t * blocks.token_stride + c * blocks.channel_stride,
                       blocks.cell_size);
                traits->to_float(aligned, out, block);
            }
}

/* What csp_tensor can say of V's bytes; false for block types. */
static bool values_view(const csp_llama_state *state, uint32_t layer,
                        csp_tensor *view)
{
    const csp_cells cells = csp_llama_state_cells(state, layer, true, true);
    csp_dtype dtype;

    switch ((int)state->v[layer].type) {
    case GGML_TYPE_F32:
        dtype = CSP_F32;
        break;
    case GGML_TYPE_F16:
        dtype = CSP_F16;
        break;
    case GGML_TYPE_BF16:
        dtype = CSP_BF16;
        break;
    default:
        return false;
    }
    *view = (csp_tensor){
        .data = cells.data,
        .dtype = dtype,
        .n_heads = cells.n_heads,
        .n_rows = cells.n_tokens,
        .n_cols = cells.n_channels,
        .head_stride = cells.head_stride,
        .row_stride = cells.token_stride,
        .col_stride = cells.channel_stride,
    };
    return true;
}

static const char *set_block_values(const csp_llama_state *state,
                                    uint32_t layer, csp_pruner *pruner)
{
    const csp_llama_rows *v = &state->v[layer];
    const struct ggml_type_traits *traits = ggml_get_type_traits(v->type);
    const uint32_t n_heads = state->model.n_kv_heads;
    const size_t head_size = v->row_size / n_heads;
    const size_t dim =
        head_size / traits->type_size * (size_t)traits->blck_size;
    float *values;

    if (!traits->to_float || traits->type_size > 512)
        return "values of this type cannot be read";
    if (dim > SIZE_MAX / sizeof *values / n_heads / state->n_cells ||
        !(values = malloc(dim * n_heads * state->n_cells * sizeof *values)))
        return "out of memory";
    values_f32(state, layer, values);
    const csp_tensor view = csp_tensor_packed(values, CSP_F32, n_heads,
                                              state->n_cells, (uint32_t)dim);
    const csp_status e = csp_pruner_set_values(pruner, layer, &view);
    free(values);
    return e ? csp_status_string(e) : NULL;
}

const char *csp_llama_state_values(const csp_llama_state *state,
                                   csp_pruner *pruner)
{
    const char *problem = check_pruner(state, pruner);

    for (uint32_t i = 0; !problem && i < state->model.n_layers; ++i) {
        csp_tensor view;

        if (values_view(state, i, &view)) {
            csp_status e = csp_pruner_set_values(pruner, i, &view);

            problem = e ? csp_status_string(e) : NULL;
        } else {
            problem = set_block_values(state, i, pruner);
        }
    }
    return problem;
}

/* ---- The plan ------------------------------------------------------------ */

/* One layer's plan: does it keep 'n_kept' in every list, and the last token? */
static const char *check_layer(const csp_llama_state *state,
                               const csp_kept *kept, uint32_t n_kept)
{
    for (uint32_t i = 0; i < kept->n_lists; ++i) {
        const uint32_t *rows = kept->rows + (size_t)i * kept->capacity;

        if (kept->counts[i] != n_kept)
            return "heads keep different numbers of tokens";
        if (n_kept == 0 || rows[n_kept - 1] != state->n_cells - 1)
            return "the last token must be kept, where decoding goes on";
    }
    return NULL;
}

static const char *check_plan(const csp_llama_state *state,
                              const csp_pruner *pruner, uint32_t *n_kept)
{
    const char *problem = check_pruner(state, pruner);
    csp_kept kept;

    if (problem)
        return problem;
    for (uint32_t i = 0; i < state->model.n_layers; ++i) {
        csp_status e = csp_pruner_kept(pruner, i, &kept);

        if (e)
            return csp_status_string(e);
        if (i == 0)
            *n_kept = kept.counts[0];
        if ((problem = check_layer(state, &kept, *n_kept)))
            return problem;
    }
    return NULL;
}

/* ---- Writing ------------------------------------------------------------- */

/* With 'data' NULL it only measures. */
typedef struct writer {
    uint8_t *data;
    size_t at;
} writer;

static void put(writer *w, const void *bytes, size_t size)
{
    if (w->data)
        memcpy(w->data + w->at, bytes, size);
    w->at += size;
}

static void put_u32(writer *w, uint32_t x)
{
    put(w, &x, sizeof x);
}

static void put_u64(writer *w, uint64_t x)
{
    put(w, &x, sizeof x);
}

/* The rows themselves are left for csp_compact. */
static void put_rows(writer *w, const csp_llama_rows *from, uint32_t n_cells,
                     bool columns, csp_llama_rows *to)
{
    const size_t element_size = ggml_type_size(from->type);

    put_u32(w, (uint32_t)from->type);
    if (columns) {
        put_u32(w, (uint32_t)element_size);
        put_u32(w, (uint32_t)(from->row_size / element_size));
    } else {
        put_u64(w, from->row_size);
    }
    *to = *from;
    to->offset = w->at;
    w->at += from->row_size * n_cells;
}

/* The cells of 'rows', and all headers around what is to be compacted. */
static void put_state(writer *w, const csp_llama_state *state,
                      const uint32_t *rows, csp_llama_state *pruned)
{
    put(w, state->data, 2 * sizeof(uint32_t)); /* magic, sequence */
    put_u32(w, state->n_streams);
    for (uint32_t i = 0; i < state->stream; ++i)
        put_u32(w, 0);
    put_u32(w, pruned->n_cells);
    pruned->cells = w->at;
    for (uint32_t i = 0; i < pruned->n_cells; ++i)
        put(w, state->data + state->cells + rows[i] * state->cell_size,
            state->cell_size);
    put_u32(w, pruned->v_transposed);
    put_u32(w, state->model.n_layers);
    for (uint32_t i = 0; i < state->model.n_layers; ++i)
        put_rows(w, &state->k[i], pruned->n_cells, false, &pruned->k[i]);
    for (uint32_t i = 0; i < state->model.n_layers; ++i)
        put_rows(w, &state->v[i], pruned->n_cells, pruned->v_transposed,
                 &pruned->v[i]);
    for (uint32_t i = state->stream + 1; i < state->n_streams; ++i)
        put_u32(w, 0);
}

static const char *compact(const csp_llama_state *state,
                           const csp_pruner *pruner,
                           const csp_llama_state *pruned)
{
    const bool elements = state->v_transposed || pruned->v_transposed;

    for (uint32_t i = 0; i < state->model.n_layers; ++i) {
        const csp_cells from[] = {
            csp_llama_state_cells(state, i, false, false),
            csp_llama_state_cells(state, i, true, elements)};
        const csp_cells to[] = {
            csp_llama_state_cells(pruned, i, false, false),
            csp_llama_state_cells(pruned, i, true, elements)};
        csp_kept kept;
        csp_status e;

        if ((e = csp_pruner_kept(pruner, i, &kept)) ||
            (e = csp_compact(from, 2, &kept, to)))
            return csp_status_string(e);
    }
    return NULL;
}

const char *csp_llama_state_prune(const csp_llama_state *state,
                                  const csp_pruner *pruner, bool v_transposed,
                                  csp_llama_state *pruned)
{
    csp_llama_state out = *state;
    const char *problem;
    writer w = {.at = 0};
    csp_kept kept;

    if ((problem = check_plan(state, pruner, &out.n_cells)))
        return problem;
    for (uint32_t i = 0; v_transposed && i < state->model.n_layers; ++i)
        if (ggml_blck_size(state->v[i].type) != 1)
            return "quantised values need flash attention";
    if (csp_pruner_kept(pruner, 0, &kept) ||
        !(out.k = calloc(2 * (size_t)state->model.n_layers, sizeof *out.k)))
        return "out of memory";
    out.v = out.k + state->model.n_layers;
    out.v_transposed = v_transposed;
    put_state(&w, state, kept.rows, &out);
    out.size = w.at;
    if (!(out.data = malloc(out.size))) {
        free(out.k);
        return "out of memory";
    }
    w = (writer){.data = out.data};
    put_state(&w, state, kept.rows, &out);
    if ((problem = compact(state, pruner, &out))) {
        csp_llama_state_free(&out);
        return problem;
    }
    *pruned = out;
    return NULL;
}

/* ---- The prune ----------------------------------------------------------- */

static const char *prune(struct llama_context *context, llama_seq_id seq,
                         const csp_llama_state *state, csp_pruner *pruner,
                         const csp_llama_target *target)
{
    const bool transposed =
        target ? !target->flash_attention : state->v_transposed;
    csp_llama_state pruned;
    const char *problem;
    csp_status e;

    if ((problem = csp_llama_state_values(state, pruner)))
        return problem;
    if ((e = csp_pruner_plan(pruner)))
        return csp_status_string(e);
    if ((problem = csp_llama_state_prune(state, pruner, transposed, &pruned)))
        return problem;
    problem = target
                  ? csp_llama_state_set(target->context, target->seq, &pruned)
                  : csp_llama_state_replace(context, seq, state, &pruned);
    csp_llama_state_free(&pruned);
    if (!problem && (e = csp_pruner_apply(pruner, NULL, 0, NULL)))
        problem = csp_status_string(e);
    return problem;
}

const char *csp_llama_prune(struct llama_context *context, llama_seq_id seq,
                            const csp_llama_model *model, csp_pruner *pruner,
                            const csp_llama_target *target)
{
    csp_llama_state state;
    const char *problem;

    if ((problem = csp_llama_state_get(context, seq, model, &state)))
        return problem;
    problem = prune(context, seq, &state, pruner, target);
    csp_llama_state_free(&state);
    return problem;
}
