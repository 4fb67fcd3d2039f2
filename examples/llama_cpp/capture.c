/*
 * capture.c - attention of llama_decode -> csp_pruner_score
 *
 * llama.cpp calls back before each node of its graph, to ask whether we want to
 * see it, and after those we want, when their data are ready and nothing later
 * has run.  Two kinds of node show a layer's attention:
 *
 *   kq_soft_max-<layer>  f32 [head][query][cell], without flash attention
 *   flash_attn_ext       its sources are the queries, f32 [head][query][dim],
 *                        and a view of the cached keys [head][cell][dim], or
 *                        a copy of it
 *
 * A prompt longer than a micro-batch comes in pieces, with as many cells as are
 * in use so far, rounded up; what lies beyond the tokens seen is never read.
 */
#include "csp_llama.h"

#include "ggml-backend.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Which node, which layer --------------------------------------------- */

static bool is_flash_attention(const struct ggml_tensor *node)
{
    return node->op == GGML_OP_FLASH_ATTN_EXT;
}

static bool is_softmax(const struct ggml_tensor *node)
{
    return node->op == GGML_OP_SOFT_MAX &&
           strncmp(node->name, "kq_soft_max-", 12) == 0;
}

/* The whole number that a name is from 'before' on. */
static bool number_after(const char *name, const char *before, uint32_t *number)
{
    const size_t length = strlen(before);

    if (strncmp(name, before, length) != 0 || name[length] < '0' ||
        name[length] > '9')
        return false;
    char *end;
    const unsigned long x = strtoul(name + length, &end, 10);
    *number = (uint32_t)x;
    return *end == '\0' && x <= UINT32_MAX;
}

/* The layer in a name, "kq_soft_max-3" or "cache_k_l3". */
static bool layer_of(const csp_llama_capture *c, const struct ggml_tensor *node,
                     uint32_t *layer)
{
    const char *name = node->name, *before = "kq_soft_max-";

    if (!is_softmax(node)) {
        const struct ggml_tensor *keys = node->src[1];
        /* An f32 cache comes as a copy in f16. */
        const struct ggml_tensor *cache =
            (keys->op == GGML_OP_CPY ? keys->src[0] : keys)->view_src;

        if (!cache)
            return false;
        name = cache->name;
        before = "cache_k_l";
    }
    return number_after(name, before, layer) && *layer < c->model.n_layers;
}

/* ---- Data that the CPU can read ------------------------------------------ */

/* What the capture's buffers hold. */
enum { ROWS_COPY, KEYS_COPY, KEYS_F32 };

static void *buffer(csp_llama_capture *c, int which, size_t size)
{
    if (c->sizes[which] < size) {
        free(c->buffers[which]);
        c->buffers[which] = malloc(size);
        c->sizes[which] = c->buffers[which] ? size : 0;
    }
    return c->buffers[which];
}

/* The bytes of a tensor: where they are, or a copy from the device. */
static const char *host_data(csp_llama_capture *c, int which,
                             const struct ggml_tensor *t, const void **data)
{
    const struct ggml_tensor *root = t->view_src ? t->view_src : t;
    void *copy;

    *data = t->data;
    if (!root->buffer || ggml_backend_buffer_is_host(root->buffer))
        return NULL;
    if (!(copy = buffer(c, which, ggml_nbytes(t))))
        return "out of memory";
    ggml_backend_tensor_get(t, copy, 0, ggml_nbytes(t));
    *data = copy;
    return NULL;
}

/* Numbers [ne2][ne1][ne0] of a tensor whose bytes are at 'data'. */
static csp_tensor view_of(const struct ggml_tensor *t, const void *data,
                          csp_dtype dtype)
{
    return (csp_tensor){
        .data = data,
        .dtype = dtype,
        .n_heads = (uint32_t)t->ne[2],
        .n_rows = (uint32_t)t->ne[1],
        .n_cols = (uint32_t)t->ne[0],
        .head_stride = t->nb[2],
        .row_stride = t->nb[1],
        .col_stride = t->nb[0],
    };
}

/* Block-quantised keys as f32. */
static const char *dequantised(csp_llama_capture *c,
                               const struct ggml_tensor *keys, const void *data,
                               csp_tensor *view)
{
    const struct ggml_type_traits *traits = ggml_get_type_traits(keys->type);
    const size_t dim = (size_t)keys->ne[0];
    const size_t rows = (size_t)(keys->ne[1] * keys->ne[2]);
    float *out = NULL;

    if (!traits->to_float)
        return "keys of this type cannot be read";
    if (dim > SIZE_MAX / sizeof *out / rows ||
        !(out = buffer(c, KEYS_F32, rows * dim * sizeof *out)))
        return "out of memory";
    *view = csp_tensor_packed(out, CSP_F32, (uint32_t)keys->ne[2],
                              (uint32_t)keys->ne[1], (uint32_t)dim);
    for (int64_t h = 0; h < keys->ne[2]; ++h)
        for (int64_t i = 0; i < keys->ne[1]; ++i, out += dim)
            traits->to_float((const char *)data + (size_t)h * keys->nb[2] +
                                 (size_t)i * keys->nb[1],
                             out, keys->ne[0]);
    return NULL;
}

static const char *keys_view(csp_llama_capture *c,
                             const struct ggml_tensor *keys, csp_tensor *view)
{
    const char *problem;
    const void *data;

    if ((problem = host_data(c, KEYS_COPY, keys, &data)))
        return problem;
    switch ((int)keys->type) {
    case GGML_TYPE_F32:
        *view = view_of(keys, data, CSP_F32);
        return NULL;
    case GGML_TYPE_F16:
        *view = view_of(keys, data, CSP_F16);
        return NULL;
    case GGML_TYPE_BF16:
        *view = view_of(keys, data, CSP_BF16);
        return NULL;
    default:
        return dequantised(c, keys, data, view);
    }
}

/* ---- The mask ------------------------------------------------------------ */

static bool is_visible(const char *row, enum ggml_type type, uint32_t cell)
{
    if (type == GGML_TYPE_F16)
        return ((const ggml_fp16_t *)(const void *)row)[cell] != 0xfc00;
    return ((const float *)(const void *)row)[cell] > -INFINITY;
}

/* Query rows from 'skip' on see the pruner's rows, one more each, and nothing
   else: no other sequence's cells, and no holes.  A mask is all layers'. */
static const char *check_mask(csp_llama_capture *c,
                              const struct ggml_tensor *node, uint32_t n_rows,
                              uint32_t skip)
{
    const struct ggml_tensor *mask = node->src[is_softmax(node) ? 1 : 3];
    const char *problem;
    const void *data;
    csp_tokens tokens;

    if (!mask || c->n_pruners == 0 ||
        csp_pruner_tokens(c->pruners[0], 0, &tokens))
        return NULL;
    if (mask->type != GGML_TYPE_F16 && mask->type != GGML_TYPE_F32)
        return "a mask is neither f16 nor f32";
    if ((problem = host_data(c, ROWS_COPY, mask, &data)))
        return problem;
    for (uint32_t r = skip; r < n_rows; ++r) {
        const char *row = (const char *)data + r * mask->nb[1];
        const uint32_t n_seen =
            tokens.n_keys + (c->mask == CSP_CAUSAL ? r + 1 : n_rows);

        for (uint32_t i = 0; i < (uint32_t)mask->ne[0]; ++i)
            if (is_visible(row, mask->type, i) != (i < n_seen))
                return "tokens see other rows than the first cells up to their "
                       "own";
    }
    return NULL;
}

/* ---- Attention views ----------------------------------------------------- */

/* Scale and ALiBi's slope stand first in both operators' parameters, then flash
   attention's soft cap. */
static void parameters(const struct ggml_tensor *node, float *scale,
                       float *alibi, float *softcap)
{
    float values[3] = {0};

    memcpy(values, node->op_params, sizeof values);
    *scale = values[0];
    *alibi = values[1];
    *softcap = is_flash_attention(node) ? values[2] : 0.0f;
}

/* The rows of a view from 'first' on. */
static csp_tensor rows_from(csp_tensor view, uint32_t first)
{
    view.data = (const char *)view.data + first * view.row_stride;
    view.n_rows -= first;
    return view;
}

/* Query rows [skip, n) of the node, the first of which is token 'token'. */
static const char *attention_of(csp_llama_capture *c,
                                const struct ggml_tensor *node, uint32_t token,
                                uint32_t skip, csp_attention *attention)
{
    const struct ggml_tensor *q = is_softmax(node) ? node : node->src[0];
    float scale, alibi, softcap;
    const char *problem;
    const void *data;

    parameters(node, &scale, &alibi, &softcap);
    if (alibi > 0.0f)
        return "ALiBi biases by position, which pruned cells no longer have";
    if (q->type != GGML_TYPE_F32)
        return "queries or probabilities are not f32";
    *attention = (csp_attention){
        .source = is_softmax(node) ? CSP_PROBABILITIES : CSP_QUERY_KEY,
        .mask = c->mask,
        .first_query = token + skip,
        .scale = scale,
        .softcap = softcap,
    };
    if (is_flash_attention(node) && node->src[4])
        return "learned sinks take part in attention: score by softmax";
    if (is_flash_attention(node) &&
        (problem = keys_view(c, node->src[1], &attention->keys)))
        return problem;
    if ((problem = host_data(c, ROWS_COPY, q, &data)))
        return problem;
    const csp_tensor rows = rows_from(view_of(q, data, CSP_F32), skip);
    *(is_softmax(node) ? &attention->scores : &attention->queries) = rows;
    return NULL;
}

static const char *score(csp_llama_capture *c, uint32_t layer,
                         const csp_attention *attention)
{
    for (uint32_t i = 0; i < c->n_pruners; ++i) {
        csp_status e = csp_pruner_score(c->pruners[i], layer, attention);

        if (e)
            return csp_status_string(e);
    }
    return NULL;
}

static const char *capture_node(csp_llama_capture *c,
                                const struct ggml_tensor *node)
{
    const struct ggml_tensor *q = is_softmax(node) ? node : node->src[0];
    csp_attention attention = {.source = CSP_PROBABILITIES};
    const char *problem;
    uint32_t layer;

    if (!layer_of(c, node, &layer))
        return "attention of an unknown layer";
    if (q->ne[3] != 1)
        return "more than one sequence in a batch";
    if (q->ne[2] != c->model.n_heads ||
        (is_flash_attention(node) &&
         node->src[1]->ne[2] != c->model.n_kv_heads))
        return "layers differ in their heads";
    const uint32_t first = c->n_tokens[layer], n_rows = (uint32_t)q->ne[1];
    const uint32_t end = first + n_rows;
    if (end <= c->first_vote) {
        attention.first_query = end; /* no row votes; they only count */
    } else {
        const uint32_t skip = first < c->first_vote ? c->first_vote - first : 0;

        if (layer == 0 && (problem = check_mask(c, node, n_rows, skip)))
            return problem;
        if ((problem = attention_of(c, node, first, skip, &attention)))
            return problem;
    }
    if ((problem = score(c, layer, &attention)))
        return problem;
    c->n_tokens[layer] = end;
    return NULL;
}

/* ---- Interface ----------------------------------------------------------- */

bool csp_llama_eval(struct ggml_tensor *node, bool ask, void *capture)
{
    csp_llama_capture *c = capture;

    if (ask)
        return c->on && !c->failure &&
               (is_flash_attention(node) || is_softmax(node));
    c->failure = capture_node(c, node);
    return true; /* the computation goes on in any case */
}

const char *csp_llama_capture_init(const csp_llama_model *model,
                                   csp_pruner **pruners, uint32_t n_pruners,
                                   csp_llama_capture *capture)
{
    uint32_t *n_tokens = calloc(model->n_layers, sizeof *n_tokens);

    if (!n_tokens)
        return "out of memory";
    *capture = (csp_llama_capture){
        .on = true,
        .model = *model,
        .pruners = pruners,
        .n_pruners = n_pruners,
        .n_tokens = n_tokens,
    };
    return NULL;
}

void csp_llama_capture_free(csp_llama_capture *capture)
{
    free(capture->n_tokens);
    for (int i = 0; i < 3; ++i)
        free(capture->buffers[i]);
    *capture = (csp_llama_capture){.on = false};
}
