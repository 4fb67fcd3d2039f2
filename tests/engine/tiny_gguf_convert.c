/*
 * tiny_gguf_convert.c - a trained model of llama's shape, to a model file
 *
 * The one difference in the numbers is the order of the rows of q and k: RoPE
 * turns row i of a head with row i + head_dim / 2 in the source, and row 2 i
 * with row 2 i + 1 in a file of architecture "llama".
 *
 * What turns image patches into embeddings is no part of a model file: whoever
 * runs the model multiplies by the projector and feeds embeddings.
 */
#include "tiny_gguf.h"
#include "tiny_gguf_source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of sizes in config.json: a product of two fits 32 bits. */
enum { MAX_COUNT = 1 << 15, MAX_LAYERS = 512 };

/* Tensors of a layer, and those in none. */
enum { LAYER_TENSORS = 9, OTHER_TENSORS = 3 };

typedef struct converter {
    tiny_source source;
    tiny_file *file;
    uint32_t width, n_layers, n_heads, n_kv_heads, head_dim, ffn_width;
    uint32_t n_words, n_positions, n_control, begin, end;
    float epsilon, theta;
} converter;

static bool count(const converter *c, const char *name, uint32_t *value)
{
    return tiny_source_count(&c->source, name, 1, MAX_COUNT, value);
}

static bool read_heads(converter *c)
{
    if (!count(c, "num_attention_heads", &c->n_heads) ||
        !count(c, "num_key_value_heads", &c->n_kv_heads) ||
        !count(c, "head_dim", &c->head_dim))
        return false;
    if (c->head_dim % 2 != 0)
        return tiny_source_wrong("head_dim", "not even in config.json");
    if (c->n_heads % c->n_kv_heads != 0)
        return tiny_source_wrong("num_attention_heads",
                                 "no multiple of num_key_value_heads");
    return true;
}

/* Tokens up to that of an image patch are control tokens, the others words. */
static bool read_tokens(converter *c)
{
    if (!count(c, "vocab_size", &c->n_words))
        return false;
    const uint32_t last = c->n_words - 1;
    if (!tiny_source_count(&c->source, "bos_token_id", 0, last, &c->begin) ||
        !tiny_source_count(&c->source, "eos_token_id", 0, last, &c->end) ||
        !tiny_source_count(&c->source, "image_token_id", 0, last,
                           &c->n_control))
        return false;
    c->n_control++;
    return true;
}

static bool read_config(converter *c)
{
    return count(c, "hidden_size", &c->width) &&
           count(c, "intermediate_size", &c->ffn_width) &&
           count(c, "max_position", &c->n_positions) &&
           tiny_source_count(&c->source, "num_hidden_layers", 1, MAX_LAYERS,
                             &c->n_layers) &&
           tiny_source_positive(&c->source, "rms_norm_eps", &c->epsilon) &&
           tiny_source_positive(&c->source, "rope_theta", &c->theta) &&
           read_heads(c) && read_tokens(c);
}

/* Bytes of the tensors that the configuration asks for. */
static uint64_t tensor_bytes(const converter *c)
{
    const uint64_t q = (uint64_t)c->n_heads * c->head_dim;
    const uint64_t kv = (uint64_t)c->n_kv_heads * c->head_dim;
    const uint64_t rows =
        2 * (uint64_t)c->n_words + 1 +
        c->n_layers * (2 * (q + kv) + 2 + 3 * (uint64_t)c->ffn_width);
    return sizeof(float) * c->width * rows;
}

static void add_keys(const converter *c)
{
    tiny_u32(c->file, "context_length", c->n_positions);
    tiny_u32(c->file, "embedding_length", c->width);
    tiny_u32(c->file, "block_count", c->n_layers);
    tiny_u32(c->file, "feed_forward_length", c->ffn_width);
    tiny_u32(c->file, "attention.head_count", c->n_heads);
    tiny_u32(c->file, "attention.head_count_kv", c->n_kv_heads);
    tiny_u32(c->file, "attention.key_length", c->head_dim);
    tiny_u32(c->file, "attention.value_length", c->head_dim);
    tiny_f32(c->file, "attention.layer_norm_rms_epsilon", c->epsilon);
    tiny_f32(c->file, "rope.freq_base", c->theta);
}

static bool add_words(const converter *c)
{
    const cJSON *list =
        cJSON_GetObjectItemCaseSensitive(c->source.config, "vocab");
    const char **words = calloc(c->n_words, sizeof *words);
    if (!words)
        return tiny_source_wrong("vocab", "no memory");
    uint32_t n = 0;
    const cJSON *item = cJSON_IsArray(list) ? list->child : NULL;
    for (; cJSON_IsString(item) && n < c->n_words; item = item->next)
        words[n++] = item->valuestring;
    const tiny_words vocabulary = {words, n, c->n_control, c->begin, c->end};
    const bool added =
        n == c->n_words && !item
            ? tiny_vocabulary_of_words(c->file, &vocabulary)
            : tiny_source_wrong("vocab", "not vocab_size words in config.json");
    free(words);
    return added;
}

static bool add_matrix(const converter *c, int layer, const char *name,
                       const char *from, uint32_t columns, uint32_t rows)
{
    char full[80];
    if (layer == TINY_NO_LAYER)
        snprintf(full, sizeof full, "%s.weight", from);
    else
        snprintf(full, sizeof full, "model.layers.%d.%s.weight", layer, from);
    const char *bytes = tiny_source_tensor(&c->source, full, columns, rows);
    if (!bytes)
        return false;
    memcpy(tiny_tensor(c->file, layer, name, columns, rows), bytes,
           sizeof(float) * columns * rows);
    return true;
}

/* As add_matrix() for q or k, whose rows change places. */
static bool add_turned(const converter *c, int layer, const char *name,
                       const char *from, uint32_t n_heads)
{
    char full[80];
    snprintf(full, sizeof full, "model.layers.%d.%s.weight", layer, from);
    const uint32_t rows = n_heads * c->head_dim, half = c->head_dim / 2;
    const char *bytes = tiny_source_tensor(&c->source, full, c->width, rows);
    if (!bytes)
        return false;
    float *to = tiny_tensor(c->file, layer, name, c->width, rows);
    for (uint32_t row = 0; row < rows; row++) {
        const uint32_t in_head = row % c->head_dim;
        const size_t source = row - in_head + in_head / 2 + in_head % 2 * half;
        memcpy(to + (size_t)row * c->width,
               bytes + source * c->width * sizeof *to, c->width * sizeof *to);
    }
    return true;
}

static bool add_layer(const converter *c, int i)
{
    const uint32_t width = c->width, ffn = c->ffn_width;
    const uint32_t q = c->n_heads * c->head_dim;
    const uint32_t kv = c->n_kv_heads * c->head_dim;
    return add_matrix(c, i, "attn_norm.weight", "input_layernorm", width, 1) &&
           add_turned(c, i, "attn_q.weight", "self_attn.q_proj", c->n_heads) &&
           add_turned(c, i, "attn_k.weight", "self_attn.k_proj",
                      c->n_kv_heads) &&
           add_matrix(c, i, "attn_v.weight", "self_attn.v_proj", width, kv) &&
           add_matrix(c, i, "attn_output.weight", "self_attn.o_proj", q,
                      width) &&
           add_matrix(c, i, "ffn_norm.weight", "post_attention_layernorm",
                      width, 1) &&
           add_matrix(c, i, "ffn_gate.weight", "mlp.gate_proj", width, ffn) &&
           add_matrix(c, i, "ffn_up.weight", "mlp.up_proj", width, ffn) &&
           add_matrix(c, i, "ffn_down.weight", "mlp.down_proj", ffn, width);
}

static bool add_tensors(const converter *c)
{
    if (!add_matrix(c, TINY_NO_LAYER, "token_embd.weight", "model.embed_tokens",
                    c->width, c->n_words) ||
        !add_matrix(c, TINY_NO_LAYER, "output_norm.weight", "model.norm",
                    c->width, 1) ||
        !add_matrix(c, TINY_NO_LAYER, "output.weight", "lm_head", c->width,
                    c->n_words))
        return false;
    for (int i = 0; i < (int)c->n_layers; i++)
        if (!add_layer(c, i))
            return false;
    return true;
}

static bool convert(converter *c)
{
    if (!read_config(c))
        return false;
    const uint64_t size = tensor_bytes(c);
    if (size > c->source.size)
        return tiny_source_wrong("model.safetensors",
                                 "smaller than what config.json asks for");
    if (!tiny_open(c->file, "llama",
                   OTHER_TENSORS + LAYER_TENSORS * (size_t)c->n_layers,
                   (size_t)size))
        return false;
    add_keys(c);
    return add_words(c) && add_tensors(c);
}

bool tiny_convert(const char *directory, tiny_file *file)
{
    converter c = {.file = file};
    if (!tiny_source_open(&c.source, directory))
        return false;
    const bool converted = convert(&c);
    tiny_source_close(&c.source);
    return converted;
}
