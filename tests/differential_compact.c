/*
 * differential_compact.c - caches compacted at random layouts, against copying
 *
 * The oracle works on a copy of the bytes: it reads every kept cell from the
 * cache as it was, writes it where it belongs, and then all bytes must be
 * alike.
 */
#include "differential.h"

#include <string.h>

/* Dimensions of a cache; views are K and V in turn. */
enum { HEADS, CHANNELS, TOKENS, PAGES, VIEWS, N_DIMS };

/* Strides that keep cells apart: dimensions nest in any order.  Returns the
   extent. */
static size_t draw_layout(diff_case *c, const uint32_t *counts,
                          size_t cell_size, size_t *strides)
{
    uint32_t order[N_DIMS] = {0, 1, 2, 3, 4};
    const bool gaps = random_chance(&c->random, 30);
    size_t extent = cell_size;
    for (uint32_t i = 0; i < N_DIMS; i++) {
        const uint32_t j = random_between(&c->random, i, N_DIMS - 1);
        const uint32_t dim = order[j];
        order[j] = order[i];
        strides[dim] = extent + (gaps ? random_below(&c->random, 5) : 0);
        extent += strides[dim] * (counts[dim] - 1);
    }
    return extent;
}

/* A table of distinct pages, not in order. */
static const uint32_t *draw_pages(diff_case *c, uint32_t n_used,
                                  uint32_t n_pages)
{
    uint32_t *pages = arena_take(&c->arena, n_pages * sizeof(*pages), 0);
    for (uint32_t i = 0; i < n_pages; i++)
        pages[i] = i;
    for (uint32_t i = 0; i < n_used; i++) {
        const uint32_t j = random_between(&c->random, i, n_pages - 1);
        const uint32_t page = pages[j];
        pages[j] = pages[i];
        pages[i] = page;
    }
    return pages;
}

/* 'n_views' caches that take turns in one block of memory. */
static void draw_cells(diff_case *c, const csp_cells *shape, uint32_t n_views,
                       csp_cells *cells)
{
    const bool paged = random_chance(&c->random, 30);
    const uint32_t page_tokens = random_between(&c->random, 1, 8);
    const uint32_t n_used = (shape->n_tokens + page_tokens - 1) / page_tokens;
    const uint32_t n_pages = n_used + random_between(&c->random, 1, 3);
    const uint32_t counts[N_DIMS] = {shape->n_heads, shape->n_channels,
                                     paged ? page_tokens : shape->n_tokens,
                                     paged ? n_pages : 1, n_views};
    size_t strides[N_DIMS];
    const size_t extent = draw_layout(c, counts, shape->cell_size, strides);
    unsigned char *data =
        arena_take(&c->arena, extent, random_below(&c->random, 8));
    for (size_t i = 0; i < extent; i++)
        data[i] = (unsigned char)random_bits(&c->random);

    const uint32_t *pages = paged ? draw_pages(c, n_used, n_pages) : NULL;
    for (uint32_t i = 0; i < n_views; i++) {
        cells[i] = *shape;
        cells[i].data = data + i * strides[VIEWS];
        cells[i].head_stride = strides[HEADS];
        cells[i].channel_stride = strides[CHANNELS];
        cells[i].token_stride = strides[TOKENS];
        cells[i].pages = pages;
        cells[i].page_tokens = page_tokens;
        cells[i].n_pages = n_pages;
        cells[i].page_stride = strides[PAGES];
    }
}

static unsigned char *cell_at(const csp_cells *cells, uint32_t h,
                              uint32_t channel, uint32_t token)
{
    unsigned char *cell = cells->data;
    cell += h * cells->head_stride + channel * cells->channel_stride;
    if (cells->pages == NULL)
        return cell + token * cells->token_stride;
    cell += cells->pages[token / cells->page_tokens] * cells->page_stride;
    return cell + token % cells->page_tokens * cells->token_stride;
}

/* What must be in the cells of 'dst' now, taken from how 'src' was. */
static void compare_cells(diff_case *c, const unsigned char *before,
                          const csp_cells *src, const csp_cells *dst,
                          const csp_kept *kept)
{
    for (uint32_t h = 0; h < src->n_heads; h++) {
        uint32_t count;
        const uint32_t *rows = kept_of(kept, h, &count);
        for (uint32_t channel = 0; channel < src->n_channels; channel++) {
            for (uint32_t i = 0; i < count; i++) {
                const unsigned char *from = cell_at(src, h, channel, rows[i]);
                const unsigned char *to = cell_at(dst, h, channel, i);
                require(c,
                        memcmp(to, before + (from - c->arena.memory),
                               src->cell_size) == 0,
                        "compact: head %u, channel %u, cell %u", h, channel, i);
                arena_accept(&c->arena, to, src->cell_size);
            }
        }
    }
}

void check_compact(diff_case *c)
{
    const csp_cells shape = {.n_heads = random_between(&c->random, 1, 4),
                             .n_channels = random_between(&c->random, 1, 4),
                             .n_tokens = random_below(&c->random, 40) + 1,
                             .cell_size = random_between(&c->random, 1, 20)};
    const uint32_t n_views = random_between(&c->random, 1, 2);
    const bool in_place = random_chance(&c->random, 60);
    const uint32_t n_lists = random_chance(&c->random, 50) ? 1 : shape.n_heads;
    const uint32_t n_rows[4] = {shape.n_tokens, shape.n_tokens, shape.n_tokens,
                                shape.n_tokens};
    csp_cells src[2], dst[2];
    draw_cells(c, &shape, n_views, src);
    memcpy(dst, src, sizeof(dst));
    if (!in_place)
        draw_cells(c, &shape, n_views, dst);
    const csp_kept kept =
        draw_kept(c, n_lists, n_rows, 10 * random_below(&c->random, 11));

    arena_snapshot(&c->arena);
    unsigned char *before = take_plain(c, c->arena.used, 1);
    memcpy(before, c->arena.before, c->arena.used);
    const csp_status status =
        csp_compact(src, n_views, &kept, in_place ? NULL : dst);
    require(c, status == CSP_OK, "compact: %s", csp_status_string(status));
    for (uint32_t i = 0; i < n_views; i++)
        compare_cells(c, before, &src[i], &dst[i], &kept);
    require_intact(c, "compact");
}
