/*
 * tiny_gguf_made.c - small models of random weights
 *
 * The kinds are rows of one table: a size, and the parts in which architectures
 * differ.  Weights are normal and scaled so that layers keep the size of what
 * passes through them, that attention logits have a deviation of about 3, so
 * that a few keys get most of the mass, and that output logits are well apart.
 * The seed is fixed: a kind is the same file everywhere.
 */
#include "tiny_gguf.h"
#include "../../src/cli/digest/random.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    GATED = 1 << 0,     /* the feed-forward has a gate */
    FFN_NORM = 1 << 1,  /* and a norm of its own, not that of the attention */
    OUTPUT = 1 << 2,    /* an output matrix, not the transposed embedding */
    LAYERNORM = 1 << 3, /* the norm subtracts the mean */
    BIASES = 1 << 4,    /* biases all over, and q, k, v in one matrix */
    POSITIONS = 1 << 5, /* learned positions */
    EMBEDDING_NORM = 1 << 6,
    SECTIONS = 1 << 7,   /* RoPE by time, row and column */
    WINDOW = 1 << 8,     /* attention within a sliding window */
    SCAN_FIRST = 1 << 9, /* the first layer is a scan, with norms inside */
    SCAN_ALL = 1 << 10,  /* every layer is a scan, and nothing but that */
    UNEVEN = 1 << 11     /* the first layer has twice the KV heads */
};

enum {
    LLAMA = GATED | FFN_NORM | OUTPUT,
    GPT = FFN_NORM | OUTPUT | LAYERNORM | BIASES
};

typedef struct made_kind {
    const char *name, *architecture;
    uint32_t n_layers, n_heads, n_kv_heads, head_dim;
    uint32_t width, ffn_width, n_positions;
    unsigned parts;
} made_kind;

/* Of llama4k, attention over some thousand keys is most of the work. */
static const made_kind kinds[] = {
    {"llama", "llama", 3, 4, 2, 32, 128, 256, 4096, LLAMA},
    {"llama64", "llama", 3, 4, 2, 64, 256, 512, 4096, LLAMA},
    {"llama4k", "llama", 4, 16, 4, 64, 256, 256, 16384, LLAMA},
    {"mrope", "qwen2vl", 2, 4, 2, 32, 128, 256, 4096, LLAMA | SECTIONS},
    {"swa", "cohere2", 4, 4, 2, 32, 128, 256, 4096, GATED | LAYERNORM | WINDOW},
    {"alibi", "bloom", 2, 4, 4, 32, 128, 256, 4096, GPT | EMBEDDING_NORM},
    {"uneven", "deci", 2, 4, 2, 32, 128, 256, 4096, LLAMA | UNEVEN},
    {"learned", "gpt2", 2, 4, 4, 32, 128, 256, 1024, GPT | POSITIONS},
    {"recurrent", "mamba", 2, 0, 0, 0, 128, 0, 4096, OUTPUT | SCAN_ALL},
    {"hybrid", "jamba", 2, 4, 2, 32, 128, 256, 4096, LLAMA | SCAN_FIRST},
};

enum { N_KINDS = sizeof kinds / sizeof *kinds };

/* A window short enough that a test prompt is longer. */
#define WINDOW_TOKENS 16

/* Sizes of a scan: its inner width is twice the model's. */
enum { SCAN_KERNEL = 4, SCAN_STATE = 16, SCAN_RANK = 8 };

/* More than any kind takes. */
enum { MAX_TENSORS = 64, MAX_BYTES = 32 << 20 };

typedef struct maker {
    tiny_file *file;
    const made_kind *kind;
    random_source random;
    int layer;
} maker;

static void constant(maker *m, const char *name, uint32_t n, float value)
{
    float *x = tiny_tensor(m->file, m->layer, name, n, 1);
    for (uint32_t i = 0; i < n; i++)
        x[i] = value;
}

static void draw(maker *m, const char *name, float deviation, uint32_t columns,
                 uint32_t rows)
{
    float *x = tiny_tensor(m->file, m->layer, name, columns, rows);
    for (size_t i = 0; i < (size_t)columns * rows; i++)
        x[i] = deviation * (float)random_normal(&m->random);
}

/* The name of a tensor with its end: "attn_q" and "weight", say. */
typedef struct full_name {
    char text[40];
} full_name;

static full_name name_of(const char *name, const char *end)
{
    full_name full;
    snprintf(full.text, sizeof full.text, "%s.%s", name, end);
    return full;
}

/* Multiplies the deviation of what goes through it by 'gain'. */
static void linear(maker *m, const char *name, float gain, uint32_t columns,
                   uint32_t rows)
{
    draw(m, name_of(name, "weight").text, gain / sqrtf((float)columns), columns,
         rows);
    if (m->kind->parts & BIASES && m->layer != TINY_NO_LAYER)
        draw(m, name_of(name, "bias").text, 0.1f, rows, 1);
}

static void norm(maker *m, const char *name, uint32_t n)
{
    constant(m, name_of(name, "weight").text, n, 1.0f);
    if (m->kind->parts & BIASES)
        draw(m, name_of(name, "bias").text, 0.1f, n, 1);
}

static uint32_t kv_heads(const made_kind *k, int layer)
{
    if (layer > 0)
        return k->n_kv_heads;
    return k->parts & SCAN_FIRST ? 0
           : k->parts & UNEVEN   ? 2 * k->n_kv_heads
                                 : k->n_kv_heads;
}

static void attention(maker *m)
{
    const made_kind *k = m->kind;
    const uint32_t q = k->n_heads * k->head_dim;
    const uint32_t kv = kv_heads(k, m->layer) * k->head_dim;
    if (k->parts & BIASES) {
        linear(m, "attn_qkv", 1.7f, k->width, q + 2 * kv);
    } else {
        linear(m, "attn_q", 1.7f, k->width, q);
        linear(m, "attn_k", 1.7f, k->width, kv);
        linear(m, "attn_v", 1.7f, k->width, kv);
    }
    linear(m, "attn_output", 1.0f, q, k->width);
}

/* Decay rates -1, -2, ... in every channel; steps of about 0.1. */
static void scan(maker *m)
{
    const uint32_t width = m->kind->width, inner = 2 * width;
    linear(m, "ssm_in", 1.0f, width, 2 * inner);
    linear(m, "ssm_conv1d", 1.0f, SCAN_KERNEL, inner);
    draw(m, "ssm_conv1d.bias", 0.1f, inner, 1);
    linear(m, "ssm_x", 1.0f, inner, SCAN_RANK + 2 * SCAN_STATE);
    linear(m, "ssm_dt", 0.5f, SCAN_RANK, inner);
    constant(m, "ssm_dt.bias", inner, -2.0f);
    float *a = tiny_tensor(m->file, m->layer, "ssm_a", SCAN_STATE, inner);
    for (uint32_t i = 0; i < SCAN_STATE * inner; i++)
        a[i] = -(float)(i % SCAN_STATE + 1);
    constant(m, "ssm_d", inner, 1.0f);
    linear(m, "ssm_out", 1.0f, inner, width);
    if (m->kind->parts & SCAN_FIRST) {
        norm(m, "ssm_dt_norm", SCAN_RANK);
        norm(m, "ssm_b_norm", SCAN_STATE);
        norm(m, "ssm_c_norm", SCAN_STATE);
    }
}

static void feed_forward(maker *m)
{
    const made_kind *k = m->kind;
    if (k->parts & FFN_NORM)
        norm(m, "ffn_norm", k->width);
    if (k->parts & GATED)
        linear(m, "ffn_gate", 1.0f, k->width, k->ffn_width);
    linear(m, "ffn_up", 1.0f, k->width, k->ffn_width);
    linear(m, "ffn_down", 1.0f, k->ffn_width, k->width);
}

static void tensors(maker *m)
{
    const made_kind *k = m->kind;
    m->layer = TINY_NO_LAYER;
    draw(m, "token_embd.weight", 1.0f, k->width, TINY_VOCABULARY);
    if (k->parts & POSITIONS)
        draw(m, "position_embd.weight", 0.5f, k->width, k->n_positions);
    if (k->parts & EMBEDDING_NORM)
        norm(m, "token_embd_norm", k->width);
    norm(m, "output_norm", k->width);
    if (k->parts & OUTPUT)
        linear(m, "output", 3.0f, k->width, TINY_VOCABULARY);

    for (m->layer = 0; m->layer < (int)k->n_layers; m->layer++) {
        norm(m, "attn_norm", k->width);
        if (k->parts & SCAN_ALL || (k->parts & SCAN_FIRST && m->layer == 0))
            scan(m);
        else
            attention(m);
        if (!(k->parts & SCAN_ALL))
            feed_forward(m);
    }
}

static void attention_keys(tiny_file *file, const made_kind *k)
{
    tiny_u32(file, "feed_forward_length", k->ffn_width);
    tiny_u32(file, "attention.head_count", k->n_heads);
    tiny_u32(file, "attention.key_length", k->head_dim);
    tiny_u32(file, "attention.value_length", k->head_dim);
    if (k->parts & (SCAN_FIRST | UNEVEN)) {
        const uint32_t counts[] = {kv_heads(k, 0), kv_heads(k, 1)};

        tiny_u32s(file, "attention.head_count_kv", counts, 2);
    } else {
        tiny_u32(file, "attention.head_count_kv", k->n_kv_heads);
    }
    if (k->parts & SECTIONS) {
        const uint32_t quarter = k->head_dim / 8; /* of head_dim / 2 pairs */
        const uint32_t sections[] = {2 * quarter, quarter, quarter, 0};
        tiny_u32s(file, "rope.dimension_sections", sections, 4);
    }
    if (k->parts & WINDOW) {
        tiny_u32(file, "attention.sliding_window", WINDOW_TOKENS);
        tiny_f32(file, "logit_scale", 3.0f / sqrtf((float)k->width));
    }
}

static void keys(tiny_file *file, const made_kind *k)
{
    tiny_u32(file, "context_length", k->n_positions);
    tiny_u32(file, "embedding_length", k->width);
    tiny_u32(file, "block_count", k->n_layers);
    tiny_f32(file,
             k->parts & LAYERNORM ? "attention.layer_norm_epsilon"
                                  : "attention.layer_norm_rms_epsilon",
             1e-5f);
    if (k->n_heads > 0)
        attention_keys(file, k);
    if (k->parts & (SCAN_ALL | SCAN_FIRST)) {
        tiny_u32(file, "ssm.conv_kernel", SCAN_KERNEL);
        tiny_u32(file, "ssm.inner_size", 2 * k->width);
        tiny_u32(file, "ssm.state_size", SCAN_STATE);
        tiny_u32(file, "ssm.time_step_rank", SCAN_RANK);
    }
}

static const made_kind *find(const char *name)
{
    for (size_t i = 0; i < N_KINDS; i++)
        if (strcmp(kinds[i].name, name) == 0)
            return &kinds[i];
    return NULL;
}

bool tiny_is_made(const char *kind)
{
    return find(kind) != NULL;
}

bool tiny_make(const char *kind, tiny_file *file)
{
    const made_kind *k = find(kind);
    if (!tiny_open(file, k->architecture, MAX_TENSORS, MAX_BYTES))
        return false;
    tiny_vocabulary_of_bytes(file);
    keys(file, k);
    maker m = {.file = file, .kind = k, .random = {2412}};
    tensors(&m);
    return true;
}

void tiny_print_kinds(void)
{
    for (size_t i = 0; i < N_KINDS; i++)
        fprintf(stderr, "%s ", kinds[i].name);
}
