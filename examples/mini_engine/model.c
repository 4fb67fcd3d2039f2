/*
 * model.c - weights and settings of a llama-style decoder
 */
#include "model.h"

#include "safetensors.h"
#include "support.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* In place of a default, where there is none. */
enum { REQUIRED = -2 };

enum { MAX_COUNT = 1 << 24, MAX_NAME = 128 };

/* ---- config.json --------------------------------------------------------- */

typedef struct config {
    const char *path;
    const cJSON *root;
} config;

static const cJSON *setting(const config *c, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(c->root, name);

    return cJSON_IsNull(item) ? NULL : item;
}

/* A number in [low, high]; 'otherwise' where none is given. */
static double number(const config *c, const char *name, double low, double high,
                     double otherwise)
{
    const cJSON *item = setting(c, name);

    if (item == NULL && otherwise > REQUIRED)
        return otherwise;
    if (item == NULL || !cJSON_IsNumber(item) || !(item->valuedouble >= low) ||
        !(item->valuedouble <= high))
        die(c->path, "\"%s\" is no number from %.10g to %.10g", name, low,
            high);
    return item->valuedouble;
}

static uint32_t count(const config *c, const char *name, double otherwise)
{
    double x = number(c, name, 1.0, MAX_COUNT, otherwise);

    if (x != floor(x))
        die(c->path, "\"%s\" is no whole number", name);
    return (uint32_t)x;
}

static bool flag(const config *c, const char *name)
{
    return cJSON_IsTrue(setting(c, name));
}

/* The strings of a list, each copied; NULL where there is no list. */
static char **strings(const config *c, const char *name, uint32_t *n)
{
    const cJSON *list = setting(c, name);
    const cJSON *item;

    *n = 0;
    if (list == NULL)
        return NULL;
    if (!cJSON_IsArray(list))
        die(c->path, "\"%s\" is no list of strings", name);
    char **copies = take((size_t)cJSON_GetArraySize(list), sizeof *copies);
    cJSON_ArrayForEach(item, list)
    {
        if (!cJSON_IsString(item))
            die(c->path, "\"%s\" is no list of strings", name);
        copies[(*n)++] =
            duplicate(item->valuestring, strlen(item->valuestring) + 1, 1);
    }
    return copies;
}

static void refuse_unknown(const config *c)
{
    static const char *const absent[] = {
        "rope_scaling", "partial_rotary_factor", "sliding_window",
        "quantization_config"};
    const cJSON *activation = setting(c, "hidden_act");

    if (activation != NULL && (!cJSON_IsString(activation) ||
                               strcmp(activation->valuestring, "silu") != 0))
        die(c->path, "\"hidden_act\" is not \"silu\"");
    if (flag(c, "attention_bias") || flag(c, "mlp_bias"))
        die(c->path, "biases are not supported");
    for (size_t i = 0; i < sizeof absent / sizeof *absent; ++i)
        if (setting(c, absent[i]) != NULL)
            die(c->path, "\"%s\" is not supported", absent[i]);
}

/* RoPE's base, which newer checkpoints keep in an object of its own. */
static double rope_theta(const config *c)
{
    const cJSON *parameters = setting(c, "rope_parameters");
    const config rope = {.path = c->path, .root = parameters};
    const cJSON *type;

    if (parameters == NULL)
        return number(c, "rope_theta", 1.0, 1e12, 10000.0);
    type = setting(&rope, "rope_type");
    if (type == NULL || !cJSON_IsString(type) ||
        strcmp(type->valuestring, "default") != 0)
        die(c->path, "\"rope_type\" is not \"default\"");
    return number(&rope, "rope_theta", 1.0, 1e12, REQUIRED);
}

static void read_settings(const config *c, model *m)
{
    uint32_t n_words;

    refuse_unknown(c);
    m->n_vocab = count(c, "vocab_size", REQUIRED);
    m->hidden = count(c, "hidden_size", REQUIRED);
    m->n_inner = count(c, "intermediate_size", REQUIRED);
    m->n_layers = count(c, "num_hidden_layers", REQUIRED);
    m->n_heads = count(c, "num_attention_heads", REQUIRED);
    m->n_kv_heads = count(c, "num_key_value_heads", m->n_heads);
    m->head_dim = count(c, "head_dim", floor((double)m->hidden / m->n_heads));
    if (m->head_dim == 0)
        die(c->path, "%u heads are too many for %u channels", m->n_heads,
            m->hidden);
    m->norm_epsilon = (float)number(c, "rms_norm_eps", 0.0, 1.0, 1e-6);
    m->rope_theta = rope_theta(c);
    m->n_positions = (uint32_t)number(c, "max_position_embeddings", 1.0,
                                      UINT32_MAX, UINT32_MAX);
    m->end_of_text =
        (int32_t)number(c, "eos_token_id", -1.0, m->n_vocab - 1.0, -1.0);
    if ((uint64_t)m->n_heads * m->head_dim > MAX_COUNT)
        die(c->path, "%u heads of %u channels are too many", m->n_heads,
            m->head_dim);
    if (m->n_heads % m->n_kv_heads != 0)
        die(c->path, "%u query heads are no multiple of %u KV heads",
            m->n_heads, m->n_kv_heads);
    if (m->head_dim % 2 != 0)
        die(c->path, "RoPE turns pairs, but heads have %u channels",
            m->head_dim);
    m->words = strings(c, "vocab", &n_words);
    m->tasks = strings(c, "tasks", &m->n_tasks);
    if (m->words != NULL && n_words != m->n_vocab)
        die(c->path, "\"vocab\" has %u words, not %u", n_words, m->n_vocab);
}

/* ---- Weights ------------------------------------------------------------- */

/* The matrix [n_out][n_in] of the file as [n_in][n_out]. */
static float *matrix(const safetensors *s, const char *name, uint32_t n_out,
                     uint32_t n_in)
{
    float *stored = safetensors_floats(s, name, n_out, n_in);
    float *turned = take(times(n_in, n_out), sizeof *turned);

    for (size_t o = 0; o < n_out; ++o)
        for (size_t i = 0; i < n_in; ++i)
            turned[i * n_out + o] = stored[o * n_in + i];
    free(stored);
    return turned;
}

static const char *layer_name(uint32_t layer, const char *part, char *name)
{
    snprintf(name, MAX_NAME, "model.layers.%u.%s.weight", layer, part);
    return name;
}

static void read_layer(const safetensors *s, const model *m, uint32_t i,
                       layer_weights *w)
{
    const uint32_t queries = m->n_heads * m->head_dim;
    const uint32_t keys = m->n_kv_heads * m->head_dim;
    char name[MAX_NAME];

#define PART(part) layer_name(i, part, name)
    w->attention_norm =
        safetensors_floats(s, PART("input_layernorm"), 0, m->hidden);
    w->query = matrix(s, PART("self_attn.q_proj"), queries, m->hidden);
    w->key = matrix(s, PART("self_attn.k_proj"), keys, m->hidden);
    w->value = matrix(s, PART("self_attn.v_proj"), keys, m->hidden);
    w->output = matrix(s, PART("self_attn.o_proj"), m->hidden, queries);
    w->mlp_norm =
        safetensors_floats(s, PART("post_attention_layernorm"), 0, m->hidden);
    w->gate = matrix(s, PART("mlp.gate_proj"), m->n_inner, m->hidden);
    w->up = matrix(s, PART("mlp.up_proj"), m->n_inner, m->hidden);
    w->down = matrix(s, PART("mlp.down_proj"), m->hidden, m->n_inner);
#undef PART
}

static void read_weights(const config *c, const safetensors *s, model *m)
{
    static const char projector[] = "model.mm_projector.weight";
    static const char embeddings[] = "model.embed_tokens.weight";

    m->embeddings = safetensors_floats(s, embeddings, m->n_vocab, m->hidden);
    m->head = matrix(
        s, flag(c, "tie_word_embeddings") ? embeddings : "lm_head.weight",
        m->n_vocab, m->hidden);
    m->norm = safetensors_floats(s, "model.norm.weight", 0, m->hidden);
    if (safetensors_has(s, projector)) {
        m->patch_size = safetensors_cols(s, projector, m->hidden);
        m->projector = matrix(s, projector, m->hidden, m->patch_size);
    }
    m->layers = take(m->n_layers, sizeof *m->layers);
    for (uint32_t i = 0; i < m->n_layers; ++i)
        read_layer(s, m, i, &m->layers[i]);
    /* Biases, norms of queries, experts: without them it is another model. */
    const char *unread =
        safetensors_unread(s, "model.layers.", "rotary_emb.inv_freq");
    if (unread != NULL)
        die(s->path, "tensor %s: this decoder has no place for it", unread);
}

model model_load(const char *folder)
{
    char *config_path = join(folder, "config.json");
    char *weights_path = join(folder, "model.safetensors");
    config c = {.path = config_path};
    model m = {0};
    size_t size;

    unsigned char *text = read_file(config_path, &size);
    cJSON *root = cJSON_ParseWithLength((const char *)text, size);
    c.root = root;
    if (!cJSON_IsObject(root))
        die(config_path, "not a JSON object");
    read_settings(&c, &m);
    safetensors s = safetensors_open(weights_path);
    read_weights(&c, &s, &m);
    safetensors_close(&s);
    cJSON_Delete(root);
    free(text);
    free(weights_path);
    free(config_path);
    return m;
}

static void free_strings(char **list, uint32_t n)
{
    for (uint32_t i = 0; list != NULL && i < n; ++i)
        free(list[i]);
    free(list);
}

void model_free(model *m)
{
    for (uint32_t i = 0; i < m->n_layers; ++i) {
        layer_weights *w = &m->layers[i];
        float *parts[] = {w->attention_norm, w->query,  w->key,
                          w->value,          w->output, w->mlp_norm,
                          w->gate,           w->up,     w->down};

        for (size_t p = 0; p < sizeof parts / sizeof *parts; ++p)
            free(parts[p]);
    }
    free(m->layers);
    free(m->head);
    free(m->norm);
    free(m->projector);
    free(m->embeddings);
    free_strings(m->words, m->n_vocab);
    free_strings(m->tasks, m->n_tasks);
}
