/*
 * prompt.h - tokens and image patches of one prompt
 */
#ifndef PROMPT_H
#define PROMPT_H

#include "model.h"

#include <stdint.h>

/* Tokens [begin, end) of one modality: 0 text, 1 image. */
typedef struct span {
    uint32_t begin, end, modality;
} span;

typedef struct prompt {
    uint32_t n_tokens, n_patches, n_spans, patch_size;
    int32_t *tokens;
    int32_t *places; /* [n_patches] which token a patch is, ascending */
    uint8_t *pixels; /* [n_patches][patch_size] */
    span *spans;     /* ascending */
} prompt;

/*
 * Read .array files: tokens i32 [n]; pixels u8 [patches][bytes] and places i32
 * [patches], both NULL for text; spans i32 [n][3] of begin, end and modality,
 * NULL for one span of each run of patches.
 */
prompt prompt_read(const char *tokens, const char *pixels, const char *places,
                   const char *spans);
void prompt_free(prompt *p);

/* Whether a token list, its patches and spans fit together and to the model;
   'subject' is named if they do not. */
void prompt_check(const prompt *p, const model *m, const char *subject);

/* One image span of each run of patches, where p->spans is NULL. */
void prompt_find_spans(prompt *p);

/* [n_tokens][hidden] embeddings of a checked prompt; release with free(). */
float *prompt_embed(const prompt *p, const model *m);

#endif /* PROMPT_H */
