/*
 * tiny_gguf.h - writing small model files for tests against llama.cpp
 *
 * A model is built in memory, key by key and tensor by tensor, and written at
 * the end.  Every tensor is f32.  Functions that can fail say what was wrong on
 * standard error and return false.
 */
#ifndef TINY_GGUF_H
#define TINY_GGUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ggml_context;
struct gguf_context;

typedef struct tiny_file {
    struct gguf_context *gguf;
    struct ggml_context *tensors;
    const char *architecture; /* starts the names of the model's own keys */
} tiny_file;

/* Room for 'n_tensors' tensors of 'size' bytes together. */
bool tiny_open(tiny_file *file, const char *architecture, size_t n_tensors,
               size_t size);

void tiny_close(tiny_file *file);

bool tiny_write(const tiny_file *file, const char *path);

/* The key "ARCHITECTURE.name". */
void tiny_u32(tiny_file *file, const char *name, uint32_t value);
void tiny_u32s(tiny_file *file, const char *name, const uint32_t *values,
               size_t n);
void tiny_f32(tiny_file *file, const char *name, float value);

/* The layer of a tensor that is in none. */
#define TINY_NO_LAYER (-1)

/*
 * Add the tensor "blk.LAYER.name", or "name", of 'rows' rows of 'columns'
 * numbers.  Returns its numbers, row after row, not yet set.
 */
float *tiny_tensor(tiny_file *file, int layer, const char *name,
                   uint32_t columns, uint32_t rows);

/*
 * Vocabularies of kind "llama".  That of bytes reads any text: a token for each
 * byte but for the space, which is TINY_SPACE, after a token of the beginning.
 */
enum {
    TINY_UNKNOWN,
    TINY_BEGIN,
    TINY_END,
    TINY_SPACE,
    TINY_BYTES,
    TINY_VOCABULARY = TINY_BYTES + 256
};
void tiny_vocabulary_of_bytes(tiny_file *file);

/*
 * That of words is a list, the first 'n_control' of which are control tokens.
 * Text that is not made of these words must not be tokenised.
 */
typedef struct tiny_words {
    const char **words;
    uint32_t n, n_control, begin, end;
} tiny_words;
bool tiny_vocabulary_of_words(tiny_file *file, const tiny_words *words);

/* Models of random weights, by the name of their kind. */
bool tiny_is_made(const char *kind);
bool tiny_make(const char *kind, tiny_file *file);
void tiny_print_kinds(void);

/* A llama-like model from DIRECTORY/config.json and model.safetensors. */
bool tiny_convert(const char *directory, tiny_file *file);

#endif /* TINY_GGUF_H */
