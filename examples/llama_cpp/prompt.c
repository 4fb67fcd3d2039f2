/*
 * prompt.c - text, token ids and image embeddings -> pieces with modalities
 */
#include "program.h"

#include "npy.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Files --------------------------------------------------------------- */

/* A whole file, with a zero byte behind it. */
static char *read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    char *text = NULL;
    size_t room = 0;

    if (!file)
        fail(path, strerror(errno));
    for (*size = 0;;) {
        if (room - *size < 2) {
            room = room ? 2 * room : 1 << 16;
            if (!(text = realloc(text, room)))
                fail(path, "out of memory");
        }
        const size_t n = fread(text + *size, 1, room - *size - 1, file);
        if (n == 0)
            break;
        *size += n;
    }
    if (ferror(file))
        fail(path, "cannot be read");
    fclose(file);
    text[*size] = '\0';
    return text;
}

/* The next whole number of a text, at most 'max'; false at its end. */
static bool next_number(const char *path, char **text, unsigned long max,
                        uint32_t *number)
{
    char *end;

    while (isspace((unsigned char)**text))
        ++*text;
    if (**text == '\0')
        return false;
    errno = 0;
    const unsigned long x = strtoul(*text, &end, 10);
    if (!isdigit((unsigned char)**text) || errno || x > max ||
        (*end && !isspace((unsigned char)*end)))
        fail(path, "not whole numbers within range");
    *text = end;
    *number = (uint32_t)x;
    return true;
}

/* ---- Pieces -------------------------------------------------------------- */

static void read_text(const struct llama_model *model, const char *path,
                      bool first, piece *part)
{
    const struct llama_vocab *vocab = llama_model_get_vocab(model);
    size_t size;
    char *text = read_file(path, &size);

    if (size > INT_MAX)
        fail(path, "too long");
    const int32_t n =
        -llama_tokenize(vocab, text, (int32_t)size, NULL, 0, first, true);
    if (n <= 0)
        fail(path, "no tokens in it");
    part->n = (uint32_t)n;
    part->tokens = allocate(part->n, sizeof *part->tokens);
    if (llama_tokenize(vocab, text, (int32_t)size, part->tokens, n, first,
                       true) != n)
        fail(path, "cannot be tokenised");
    free(text);
}

static void read_tokens(const struct llama_model *model, const char *path,
                        piece *part)
{
    const int32_t n_vocab = llama_vocab_n_tokens(llama_model_get_vocab(model));
    size_t size;
    char *text = read_file(path, &size), *at = text;
    uint32_t token;

    /* Every number takes two characters, the last one. */
    part->tokens = allocate(size / 2 + 1, sizeof *part->tokens);
    while (next_number(path, &at, (unsigned long)n_vocab - 1, &token))
        part->tokens[part->n++] = (llama_token)token;
    if (part->n == 0)
        fail(path, "no tokens in it");
    free(text);
}

static void read_image(const struct llama_model *model,
                       const piece_option *option, piece *part)
{
    const enum llama_rope_type rope = llama_model_rope_type(model);
    const bool planes =
        rope == LLAMA_ROPE_TYPE_MROPE || rope == LLAMA_ROPE_TYPE_IMROPE;
    npy_array array;

    if (!npy_read(option->path, "<f4", &array))
        fail(option->path, "not a .npy file of f32, or not there");
    if (array.rank != 2 || array.shape[0] == 0 ||
        array.shape[1] != (uint32_t)llama_model_n_embd_inp(model))
        fail(option->path, "not f32 [tokens][the model's embedding]");
    part->embeddings = array.data;
    part->n = array.shape[0];
    part->grid_width = option->grid_width;
    part->grid_height = option->grid_height;
    if (planes && (uint64_t)part->grid_width * part->grid_height != part->n)
        fail(option->path, "M-RoPE needs --grid WxH of as many patches");
}

/* ---- Spans --------------------------------------------------------------- */

static void read_spans(const char *path, prompt *p)
{
    size_t size;
    char *text = read_file(path, &size), *at = text;
    csp_span span;

    p->spans = allocate(size / 6 + 1, sizeof *p->spans);
    while (next_number(path, &at, UINT32_MAX, &span.begin)) {
        if (!next_number(path, &at, p->n_tokens, &span.end) ||
            !next_number(path, &at, CSP_MAX_MODALITIES - 1, &span.modality))
            fail(path, "spans are three numbers: begin, end, modality");
        p->spans[p->n_spans++] = span;
    }
    free(text);
}

static void spans_of_images(prompt *p)
{
    uint32_t at = 0;

    p->spans = allocate(MAX_PIECES, sizeof *p->spans);
    for (uint32_t i = 0; i < p->n_pieces; ++i) {
        const piece *part = &p->pieces[i];

        if (part->embeddings)
            p->spans[p->n_spans++] =
                (csp_span){.begin = at, .end = at + part->n, .modality = IMAGE};
        at += part->n;
    }
}

/* ---- Prompt -------------------------------------------------------------- */

static void add_piece(const struct llama_model *model,
                      const piece_option *option, prompt *p)
{
    piece *part = &p->pieces[p->n_pieces];

    switch (option->kind) {
    case PIECE_TEXT:
        read_text(model, option->path, p->n_pieces == 0, part);
        break;
    case PIECE_TOKENS:
        read_tokens(model, option->path, part);
        break;
    case PIECE_IMAGE:
        read_image(model, option, part);
        break;
    }
    if (part->n > INT32_MAX - p->n_tokens)
        fail(option->path, "the prompt is too long");
    p->n_tokens += part->n;
    ++p->n_pieces;
}

/* The last tokens of the last piece become the continuation. */
static void hold_out(uint32_t n, prompt *p)
{
    piece *last = &p->pieces[p->n_pieces - 1];

    if (!last->tokens || n >= last->n)
        fail("--hold-out", "the prompt does not end in so much text");
    last->n -= n;
    p->n_tokens -= n;
    p->continuation = last->tokens + last->n;
    p->n_continuation = n;
}

/* No more than 'n_max' tokens, less at the end of the last piece. */
static void truncate_prompt(uint32_t n_max, prompt *p)
{
    piece *last = &p->pieces[p->n_pieces - 1];

    if (p->n_tokens <= n_max)
        return;
    const uint32_t excess = p->n_tokens - n_max;
    if (!last->tokens || excess >= last->n)
        fail("--max-tokens", "cuts away more than the text at the end");
    last->n -= excess;
    p->n_tokens -= excess;
}

void read_prompt(const struct llama_model *model, const piece_option *options,
                 uint32_t n_options, const char *spans_path,
                 uint32_t n_held_out, uint32_t n_max, prompt *p)
{
    *p = (prompt){.n_embd = (uint32_t)llama_model_n_embd_inp(model)};
    for (uint32_t i = 0; i < n_options; ++i)
        add_piece(model, &options[i], p);
    truncate_prompt(n_max, p);
    if (n_held_out > 0)
        hold_out(n_held_out, p);
    if (p->n_tokens < 2)
        fail("prompt", "too short to prune");
    if (spans_path)
        read_spans(spans_path, p);
    else
        spans_of_images(p);
}

void free_prompt(prompt *p)
{
    for (uint32_t i = 0; i < p->n_pieces; ++i) {
        free(p->pieces[i].tokens);
        free(p->pieces[i].embeddings);
    }
    free(p->spans);
}
