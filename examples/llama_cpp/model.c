/*
 * model.c - what of a llama.cpp model can be pruned
 *
 * Per-head pruning gives the cells of the cache to other tokens in each head,
 * so nothing but causality may depend on the position that a cell claims.
 */
#include "csp_llama.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TEXT = 128 };

static const char alibi[] =
    "ALiBi biases by position, which pruned cells no longer have";

/* The value of a key of the model file; empty if it has none. */
static void metadata(const struct llama_model *model, const char *key,
                     char *value)
{
    if (llama_model_meta_val_str(model, key, value, MAX_TEXT) < 0)
        value[0] = '\0';
}

/* That of "<architecture>.<key>". */
static void own_metadata(const struct llama_model *model, const char *key,
                         char *value)
{
    char architecture[MAX_TEXT], name[2 * MAX_TEXT];

    metadata(model, "general.architecture", architecture);
    snprintf(name, sizeof name, "%s.%s", architecture, key);
    metadata(model, name, value);
}

/* Architectures that always have ALiBi, and those whose file says how much.
   The capture sees it in the graph, too. */
static bool has_alibi(const struct llama_model *model)
{
    static const char *const always[] = {"bloom", "refact", "jina-bert-v2"};
    enum { BAICHUAN_13B_LAYERS = 40 };
    char text[MAX_TEXT];

    own_metadata(model, "attention.max_alibi_bias", text);
    if (strtod(text, NULL) > 0.0)
        return true;
    metadata(model, "general.architecture", text);
    for (size_t i = 0; i < sizeof always / sizeof *always; ++i)
        if (strcmp(text, always[i]) == 0)
            return true;
    return strcmp(text, "baichuan") == 0 &&
           llama_model_n_layer(model) == BAICHUAN_13B_LAYERS;
}

static const char *refusal(const struct llama_model *model)
{
    char text[MAX_TEXT];

    if (llama_model_is_recurrent(model) || llama_model_is_hybrid(model))
        return "recurrent layers have no cached tokens to drop";
    if (llama_model_has_encoder(model) || !llama_model_has_decoder(model))
        return "only models of a decoder alone have such a cache";
    if (llama_model_n_swa(model) > 0)
        return "sliding-window layers mask by position, which pruned cells "
               "no longer have";
    if (has_alibi(model))
        return alibi;
    own_metadata(model, "attention.key_length_mla", text);
    if (text[0] != '\0')
        return "latent attention (MLA) caches no values to drop";
    return NULL;
}

const char *csp_llama_model_of(const struct llama_model *model,
                               csp_llama_model *shape)
{
    const enum llama_rope_type rope = llama_model_rope_type(model);
    const char *problem = refusal(model);

    if (problem)
        return problem;
    const int32_t n_layers = llama_model_n_layer(model);
    const int32_t n_heads = llama_model_n_head(model);
    const int32_t n_kv_heads = llama_model_n_head_kv(model);
    if (n_layers <= 0 || n_heads <= 0 || n_kv_heads <= 0 ||
        n_heads % n_kv_heads != 0)
        return "the model has no attention heads in equal groups";
    *shape = (csp_llama_model){
        .n_layers = (uint32_t)n_layers,
        .n_heads = (uint32_t)n_heads,
        .n_kv_heads = (uint32_t)n_kv_heads,
        .shared_positions =
            rope == LLAMA_ROPE_TYPE_MROPE || rope == LLAMA_ROPE_TYPE_IMROPE,
    };
    return NULL;
}
