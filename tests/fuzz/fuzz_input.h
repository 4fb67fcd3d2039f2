/*
 * fuzz_input.h - bytes of a fuzzer become shapes, strides, spans and settings
 *
 * A draw takes a byte or two from the front; where they have run out it is 0,
 * the plainest choice.  What comes out is legal.  A fuzzer then breaks one
 * thing, or none, by a number it took first of all.
 */
#ifndef FUZZ_INPUT_H
#define FUZZ_INPUT_H

#include "csp.h"
#include "fuzz_check.h"
#include "random.h"

typedef struct fuzz_input {
    const uint8_t *bytes;
    size_t size, at;
    random_source noise; /* for numbers by the hundred */
    uint32_t broken;     /* what is to break; 0: nothing */
} fuzz_input;

/* The first byte says what to break: below 'legal' of 256 nothing. */
fuzz_input fuzz_open(const uint8_t *data, size_t size, uint32_t legal);

uint8_t fuzz_byte(fuzz_input *in);
uint32_t fuzz_word(fuzz_input *in);              /* 32 bits */
uint32_t fuzz_below(fuzz_input *in, uint32_t n); /* [0, n), n > 0 */
uint32_t fuzz_between(fuzz_input *in, uint32_t low, uint32_t high); /* both */
bool fuzz_chance(fuzz_input *in, uint32_t of_256);

/* A count, mostly small, at most 'high'. */
uint32_t fuzz_count(fuzz_input *in, uint32_t low, uint32_t high);

/* ---- Numbers ------------------------------------------------------------- */

typedef enum fuzz_numbers {
    FUZZ_ANY,      /* NaN and infinities too, if the bytes say so */
    FUZZ_FINITE,   /* of any size and sign */
    FUZZ_POSITIVE, /* finite, >= 0 */
    FUZZ_SMALL,    /* |x| < 4 */
    FUZZ_SHARES    /* [0, 1) */
} fuzz_numbers;

/* How numbers of an array are drawn. */
typedef struct fuzz_style {
    uint32_t kind;
    fuzz_numbers range;
    double scale, offset;
} fuzz_style;

fuzz_style fuzz_draw_style(fuzz_input *in, fuzz_numbers range);
double fuzz_number(fuzz_input *in, const fuzz_style *style);

/* ---- Views --------------------------------------------------------------- */

typedef enum fuzz_layout {
    FUZZ_ROWS,   /* columns contiguous, memory may repeat */
    FUZZ_CELLS,  /* any strides, memory may repeat */
    FUZZ_WRITTEN /* any strides, elements apart */
} fuzz_layout;

csp_dtype fuzz_dtype(fuzz_input *in);

/* A tensor in a block of its own, filled with such numbers. */
csp_tensor fuzz_tensor(fuzz_input *in, csp_dtype dtype, const uint32_t *counts,
                       fuzz_layout layout, fuzz_role role,
                       fuzz_numbers numbers);

void *fuzz_element(const csp_tensor *t, uint32_t head, uint32_t row,
                   uint32_t col);
double fuzz_get(const csp_tensor *t, uint32_t head, uint32_t row, uint32_t col);

/* Spoil one thing about a view, never so that more memory is read than there
   is.  Returns whether it has to be refused, if all of the view is read. */
bool fuzz_break_tensor(fuzz_input *in, csp_tensor *t);

/* Floats in a block. */
float *fuzz_floats(fuzz_input *in, size_t count, fuzz_role role,
                   fuzz_numbers numbers);

/* Cached rows: counts, positions and spans in blocks. */
csp_tokens fuzz_tokens(fuzz_input *in, uint32_t max_heads, uint32_t max_keys);
bool fuzz_break_tokens(fuzz_input *in, csp_tokens *tokens);
uint32_t fuzz_rows(const csp_tokens *tokens, uint32_t head);
uint32_t fuzz_token(const csp_tokens *tokens, uint32_t head, uint32_t row);

/* Attention that these rows got, by any of the three sources. */
csp_attention fuzz_attention(fuzz_input *in, const csp_tokens *tokens,
                             fuzz_numbers numbers);
bool fuzz_break_attention(fuzz_input *in, uint32_t n_keys,
                          csp_attention *attention);
uint32_t fuzz_heads(const csp_attention *attention);
uint32_t fuzz_queries(const csp_attention *attention);

/* Tier and paths that give the same bits. */
csp_compute fuzz_compute(fuzz_input *in);

/* Settings that csp_score and csp_select take for so many rows. */
csp_config fuzz_config(fuzz_input *in, uint32_t n_keys);
bool fuzz_break_config(fuzz_input *in, csp_config *config);

/* Lists of kept rows, one or one a head, in blocks. */
csp_kept fuzz_kept(fuzz_input *in, const csp_tokens *tokens);
bool fuzz_break_kept(fuzz_input *in, csp_kept *kept);

/* Scratch of exactly this size, of any alignment. */
void *fuzz_workspace(fuzz_input *in, size_t size);

#endif /* FUZZ_INPUT_H */
