/*
 * tiny_gguf_source.h - reading a model's config.json and model.safetensors
 *
 * Neither file is trusted: sizes are checked before they are multiplied, places
 * before they are read.  What fails says what was wrong on standard error.
 */
#ifndef TINY_GGUF_SOURCE_H
#define TINY_GGUF_SOURCE_H

#include <cjson/cJSON.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct tiny_source {
    cJSON *config;  /* config.json */
    cJSON *header;  /* of model.safetensors: where each tensor is */
    char *contents; /* the whole of that */
    size_t data;    /* where the tensors begin */
    size_t size;    /* of all tensors together */
} tiny_source;

bool tiny_source_open(tiny_source *source, const char *directory);

void tiny_source_close(tiny_source *source);

/* A whole number in config.json, within [low, high]. */
bool tiny_source_count(const tiny_source *source, const char *name,
                       uint32_t low, uint32_t high, uint32_t *count);

/* A positive number in config.json. */
bool tiny_source_positive(const tiny_source *source, const char *name,
                          float *number);

/*
 * The f32 tensor of that name and shape; a vector is of one row.  The bytes
 * need not be aligned.  NULL if it is not there, or another.
 */
const char *tiny_source_tensor(const tiny_source *source, const char *name,
                               uint32_t columns, uint32_t rows);

/* Says what is wrong with what, and returns false. */
bool tiny_source_wrong(const char *name, const char *what);

#endif /* TINY_GGUF_SOURCE_H */
