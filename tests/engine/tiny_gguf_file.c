/*
 * tiny_gguf_file.c - keys, tensors and vocabularies of a model file
 *
 * A thin layer over ggml's writer, which copies keys at once, but only points
 * at tensors: they stay in the ggml context until the file is written.
 */
#include "tiny_gguf.h"

#include <ggml.h>
#include <gguf.h>

#include <stdio.h>
#include <stdlib.h>

/* Far above the longest name of a key or tensor here. */
#define MAX_NAME 96

/* What "tokenizer.ggml.token_type" says of a token. */
enum { NORMAL = 1, UNKNOWN = 2, CONTROL = 3, BYTE = 6 };

bool tiny_open(tiny_file *file, const char *architecture, size_t n_tensors,
               size_t size)
{
    const struct ggml_init_params room = {
        .mem_size =
            size + n_tensors * (ggml_tensor_overhead() + GGML_MEM_ALIGN),
    };
    *file = (tiny_file){
        .gguf = gguf_init_empty(),
        .tensors = ggml_init(room),
        .architecture = architecture,
    };
    if (!file->gguf || !file->tensors) {
        fprintf(stderr, "tiny_gguf: no memory for %zu bytes of tensors\n",
                size);
        tiny_close(file);
        return false;
    }
    gguf_set_val_str(file->gguf, "general.architecture", architecture);
    return true;
}

void tiny_close(tiny_file *file)
{
    gguf_free(file->gguf);
    ggml_free(file->tensors);
    *file = (tiny_file){0};
}

bool tiny_write(const tiny_file *file, const char *path)
{
    FILE *out = fopen(path, "wb");
    if (!out) {
        perror(path);
        return false;
    }
    bool written = gguf_write_to_file_ptr(file->gguf, out, false);
    written = fclose(out) == 0 && written;
    if (!written)
        fprintf(stderr, "tiny_gguf: %s: not written in full\n", path);
    return written;
}

static const char *key(const tiny_file *file, const char *name,
                       char (*buffer)[MAX_NAME])
{
    snprintf(*buffer, MAX_NAME, "%s.%s", file->architecture, name);
    return *buffer;
}

void tiny_u32(tiny_file *file, const char *name, uint32_t value)
{
    char buffer[MAX_NAME];
    gguf_set_val_u32(file->gguf, key(file, name, &buffer), value);
}

void tiny_u32s(tiny_file *file, const char *name, const uint32_t *values,
               size_t n)
{
    char buffer[MAX_NAME];
    gguf_set_arr_data(file->gguf, key(file, name, &buffer), GGUF_TYPE_UINT32,
                      values, n);
}

void tiny_f32(tiny_file *file, const char *name, float value)
{
    char buffer[MAX_NAME];
    gguf_set_val_f32(file->gguf, key(file, name, &buffer), value);
}

float *tiny_tensor(tiny_file *file, int layer, const char *name,
                   uint32_t columns, uint32_t rows)
{
    struct ggml_tensor *tensor =
        ggml_new_tensor_2d(file->tensors, GGML_TYPE_F32, columns, rows);
    if (layer == TINY_NO_LAYER)
        ggml_set_name(tensor, name);
    else
        ggml_format_name(tensor, "blk.%d.%s", layer, name);
    gguf_add_tensor(file->gguf, tensor);
    return ggml_get_data_f32(tensor);
}

/* Keys that both vocabularies have.  All scores are equal: nothing merges. */
static void vocabulary(tiny_file *file, const char **words,
                       const int32_t *types, const float *scores, uint32_t n)
{
    struct gguf_context *gguf = file->gguf;
    gguf_set_val_str(gguf, "tokenizer.ggml.model", "llama");
    gguf_set_val_bool(gguf, "tokenizer.ggml.add_space_prefix", false);
    gguf_set_arr_str(gguf, "tokenizer.ggml.tokens", words, n);
    gguf_set_arr_data(gguf, "tokenizer.ggml.token_type", GGUF_TYPE_INT32, types,
                      n);
    gguf_set_arr_data(gguf, "tokenizer.ggml.scores", GGUF_TYPE_FLOAT32, scores,
                      n);
    tiny_u32(file, "vocab_size", n);
}

static void special(tiny_file *file, uint32_t begin, uint32_t end)
{
    gguf_set_val_u32(file->gguf, "tokenizer.ggml.bos_token_id", begin);
    gguf_set_val_u32(file->gguf, "tokenizer.ggml.eos_token_id", end);
}

void tiny_vocabulary_of_bytes(tiny_file *file)
{
    static const float scores[TINY_VOCABULARY];
    const char *words[TINY_VOCABULARY] = {
        [TINY_UNKNOWN] = "<unk>",
        [TINY_BEGIN] = "<s>",
        [TINY_END] = "</s>",
        [TINY_SPACE] = "\xE2\x96\x81", /* U+2581: what spaces become */
    };
    int32_t types[TINY_VOCABULARY] = {
        [TINY_UNKNOWN] = UNKNOWN,
        [TINY_BEGIN] = CONTROL,
        [TINY_END] = CONTROL,
        [TINY_SPACE] = NORMAL,
    };
    char bytes[256][sizeof "<0xFF>"];
    for (unsigned b = 0; b < 256; b++) {
        snprintf(bytes[b], sizeof bytes[b], "<0x%02X>", b & 0xFF);
        words[TINY_BYTES + b] = bytes[b];
        types[TINY_BYTES + b] = BYTE;
    }
    vocabulary(file, words, types, scores, TINY_VOCABULARY);
    special(file, TINY_BEGIN, TINY_END);
}

bool tiny_vocabulary_of_words(tiny_file *file, const tiny_words *words)
{
    float *scores = calloc(words->n, sizeof *scores);
    int32_t *types = calloc(words->n, sizeof *types);
    if (scores && types) {
        for (uint32_t i = 0; i < words->n; i++)
            types[i] = i < words->n_control ? CONTROL : NORMAL;
        vocabulary(file, words->words, types, scores, words->n);
        special(file, words->begin, words->end);
    }
    const bool done = scores && types;
    if (!done)
        fprintf(stderr, "tiny_gguf: no memory for %u words\n", words->n);
    free(scores);
    free(types);
    return done;
}
