/*
 * prompt.c - tokens and image patches of one prompt
 *
 * A text token is a row of the embedding table.  An image patch is its pixels,
 * as numbers from -1 to 1, times the projector: a vision encoder of one matrix.
 */
#include "prompt.h"

#include "arrays.h"
#include "support.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static void read_spans(prompt *p, const char *path)
{
    array rows = array_read(path, "<i4", 2);

    if (rows.shape[1] != 3)
        die(path, "spans are rows of begin, end, modality");
    p->n_spans = rows.shape[0];
    p->spans = take(p->n_spans, sizeof *p->spans);
    for (uint32_t s = 0; s < p->n_spans; ++s) {
        const int32_t *row = rows.i32 + 3 * (size_t)s;

        if (row[0] < 0 || row[1] < 0 || row[2] < 0)
            die(path, "span %u has a negative number", s);
        p->spans[s] = (span){.begin = (uint32_t)row[0],
                             .end = (uint32_t)row[1],
                             .modality = (uint32_t)row[2]};
    }
    free(rows.i32);
}

prompt prompt_read(const char *tokens, const char *pixels, const char *places,
                   const char *spans)
{
    array list = array_read(tokens, "<i4", 1);
    prompt p = {.n_tokens = list.shape[0], .tokens = list.i32};

    if (pixels != NULL && places != NULL) {
        array patches = array_read(pixels, "|u1", 2);
        array where = array_read(places, "<i4", 1);

        if (where.shape[0] != patches.shape[0])
            die(places, "%u places for %u patches", where.shape[0],
                patches.shape[0]);
        p.n_patches = patches.shape[0];
        p.patch_size = patches.shape[1];
        p.pixels = patches.u8;
        p.places = where.i32;
    }
    if (spans != NULL)
        read_spans(&p, spans);
    else
        prompt_find_spans(&p);
    return p;
}

void prompt_free(prompt *p)
{
    free(p->spans);
    free(p->pixels);
    free(p->places);
    free(p->tokens);
    *p = (prompt){0};
}

void prompt_find_spans(prompt *p)
{
    p->spans = take(p->n_patches, sizeof *p->spans);
    p->n_spans = 0;
    for (uint32_t i = 0; i < p->n_patches; ++i) {
        const uint32_t place = (uint32_t)p->places[i];

        if (i == 0 || place != p->spans[p->n_spans - 1].end)
            p->spans[p->n_spans++] = (span){place, place, 1};
        p->spans[p->n_spans - 1].end = place + 1;
    }
}

void prompt_check(const prompt *p, const model *m, const char *subject)
{
    if (p->n_tokens == 0)
        die(subject, "no tokens");
    for (uint32_t i = 0; i < p->n_tokens; ++i)
        if (p->tokens[i] < 0 || (uint32_t)p->tokens[i] >= m->n_vocab)
            die(subject, "token %u is %d, not in a vocabulary of %u", i,
                p->tokens[i], m->n_vocab);
    if (p->n_patches > 0 && p->patch_size != m->patch_size)
        die(subject, "patches have %u bytes, the model takes %u", p->patch_size,
            m->patch_size);
    for (uint32_t i = 0; i < p->n_patches; ++i)
        if (p->places[i] < 0 || (uint32_t)p->places[i] >= p->n_tokens ||
            (i > 0 && p->places[i] <= p->places[i - 1]))
            die(subject, "patch %u: place %d is out of range or order", i,
                p->places[i]);
    for (uint32_t s = 0; s < p->n_spans; ++s)
        if (p->spans[s].begin >= p->spans[s].end ||
            p->spans[s].end > p->n_tokens ||
            (s > 0 && p->spans[s].begin < p->spans[s - 1].end))
            die(subject, "span %u is empty or out of range or order", s);
}

static void embed_patch(const model *m, const uint8_t *pixels, float *x)
{
    memset(x, 0, m->hidden * sizeof *x);
    for (uint32_t i = 0; i < m->patch_size; ++i) {
        const float pixel = (float)pixels[i] * (2.0f / 255.0f) - 1.0f;
        const float *row = m->projector + (size_t)i * m->hidden;

        for (uint32_t d = 0; d < m->hidden; ++d)
            x[d] += pixel * row[d];
    }
}

float *prompt_embed(const prompt *p, const model *m)
{
    float *x = take(times(p->n_tokens, m->hidden), sizeof *x);

    for (size_t t = 0; t < p->n_tokens; ++t)
        memcpy(x + t * m->hidden,
               m->embeddings + (size_t)p->tokens[t] * m->hidden,
               m->hidden * sizeof *x);
    for (size_t i = 0; i < p->n_patches; ++i)
        embed_patch(m, p->pixels + i * p->patch_size,
                    x + (size_t)p->places[i] * m->hidden);
    return x;
}
