/*
 * compact_fixture.h - lists, and compaction cell by cell
 */
#ifndef COMPACT_FIXTURE_H
#define COMPACT_FIXTURE_H

#include "test.h"

enum { MAX_BYTES = 8192 };

static uint32_t rows[] = {0, 2, 3, 6, 8, 9, 1, 5, 6, 0, 0, 0};
static uint32_t counts[] = {6, 3};

static inline csp_kept two_lists(void)
{
    return (csp_kept){
        .rows = rows, .counts = counts, .n_lists = 2, .capacity = 6};
}

static inline csp_kept one_list(void)
{
    return (csp_kept){
        .rows = rows, .counts = counts, .n_lists = 1, .capacity = 6};
}

/* Where a cell lies, written out once more. */
static inline size_t cell_at(const csp_cells *c, uint32_t h, uint32_t channel,
                             uint32_t token)
{
    size_t at = h * c->head_stride + channel * c->channel_stride;

    if (c->pages == NULL)
        return at + token * c->token_stride;
    return at + c->pages[token / c->page_tokens] * c->page_stride +
           (token % c->page_tokens) * c->token_stride;
}

static inline void fill(unsigned char *bytes, size_t size, unsigned seed)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = (unsigned char)((i * 2654435761u + seed) >> 7);
}

/* Carry the moves out on a copy, cell by cell, from 'before' to 'after'. */
static inline void expect(const csp_cells *src, const csp_kept *kept,
                          const csp_cells *dst, const unsigned char *before,
                          unsigned char *after)
{
    for (uint32_t h = 0; h < src->n_heads; h++) {
        const uint32_t list = kept->n_lists == 1 ? 0 : h;
        for (uint32_t c = 0; c < src->n_channels; c++)
            for (uint32_t i = 0; i < kept->counts[list]; i++)
                memcpy(after + cell_at(dst, h, c, i),
                       before + cell_at(src, h, c,
                                        kept->rows[list * kept->capacity + i]),
                       src->cell_size);
    }
}

#endif
