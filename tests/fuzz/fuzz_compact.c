/*
 * fuzz_compact.c - csp_compact on caches of any layout
 *
 * What the kept cells must be is read from the bytes as they were; then every
 * other byte has to be what it was.
 */
#include "fuzz_input.h"

#include "compact.h"
#include "kernels.h"

#include <string.h>

enum { HEADS, CHANNELS, TOKENS, PAGES, VIEWS, N_DIMS };
enum { MAX_VIEWS = 2 };

typedef struct moving {
    csp_cells src[MAX_VIEWS], dst[MAX_VIEWS];
    const csp_cells *src_in, *dst_in;
    uint32_t n_views;
    csp_kept kept;
    const csp_kept *kept_in;
    csp_compute compute;
} moving;

/* csp_compact takes the best tier; any other one by the parts it is made of,
   after the same checks. */
static csp_status compact(void *context)
{
    const moving *m = context;
    csp__kernels kernels;

    if (m->compute.tier == CSP_TIER_AUTO || m->src_in == NULL ||
        m->kept_in == NULL || m->kept.counts == NULL)
        return csp_compact(m->src_in, m->n_views, m->kept_in, m->dst_in);
    for (uint32_t i = 0; i < m->n_views; i++) {
        const csp_status status = csp__check_compact(
            &m->src[i], &m->kept, m->dst_in != NULL ? &m->dst[i] : NULL);
        if (status != CSP_OK)
            return status;
    }
    const csp_status apart = csp__check_apart(m->src, m->n_views, m->dst_in);
    if (apart != CSP_OK)
        return apart;
    csp__kernels_choose(&m->compute, &kernels);
    for (uint32_t i = 0; i < m->n_views; i++)
        csp__move(&kernels, &m->src[i], &m->kept,
                  m->dst_in != NULL ? &m->dst[i] : NULL);
    return CSP_OK;
}

/* ---- Draws --------------------------------------------------------------- */

/* Dimensions nest in any order; returns the extent. */
static size_t draw_layout(fuzz_input *in, const uint32_t *counts, size_t cell,
                          size_t *strides)
{
    uint32_t order[N_DIMS] = {TOKENS, CHANNELS, HEADS, PAGES, VIEWS};
    const uint32_t gap = fuzz_chance(in, 80) ? fuzz_below(in, 70) + 1 : 1;
    bool empty = false;
    size_t extent = cell;

    for (uint32_t i = 0; i < N_DIMS; i++) {
        const uint32_t j = i + fuzz_below(in, N_DIMS - i);
        const uint32_t dim = order[j];
        order[j] = order[i];
        strides[dim] = extent + random_below(&in->noise, gap);
        empty = empty || counts[dim] == 0;
        if (counts[dim] > 1)
            extent += strides[dim] * (counts[dim] - 1);
    }
    return empty ? 0 : extent;
}

/* A table of distinct pages in any order. */
static const uint32_t *draw_pages(fuzz_input *in, uint32_t n_used,
                                  uint32_t n_pages)
{
    uint32_t all[256];
    uint32_t *pages = fuzz_take(n_used * sizeof *pages, 0, FUZZ_INPUT);

    for (uint32_t i = 0; i < n_pages; i++)
        all[i] = i;
    for (uint32_t i = 0; i < n_used; i++) {
        const uint32_t j = i + random_below(&in->noise, n_pages - i);
        pages[i] = all[j];
        all[j] = all[i];
    }
    return pages;
}

/* Caches that take turns in one block. */
static void draw_cells(fuzz_input *in, const csp_cells *shape, uint32_t n_views,
                       fuzz_role role, csp_cells *cells)
{
    const bool paged = fuzz_chance(in, 80);
    const uint32_t page_tokens = fuzz_between(in, 1, 9);
    const uint32_t n_used = (shape->n_tokens + page_tokens - 1) / page_tokens;
    const uint32_t n_pages = n_used + fuzz_below(in, 4);
    const uint32_t counts[N_DIMS] = {shape->n_heads, shape->n_channels,
                                     paged ? page_tokens : shape->n_tokens,
                                     paged ? n_pages : 1, n_views};
    size_t strides[N_DIMS];
    const size_t extent = draw_layout(in, counts, shape->cell_size, strides);
    unsigned char *data = fuzz_take(extent, fuzz_below(in, 16), role);

    for (size_t i = 0; i < extent; i++)
        data[i] = (unsigned char)random_bits(&in->noise);
    const uint32_t *pages = paged ? draw_pages(in, n_used, n_pages) : NULL;
    for (uint32_t i = 0; i < n_views; i++) {
        cells[i] = *shape;
        cells[i].data = extent > 0 ? data + i * strides[VIEWS] : data;
        cells[i].head_stride = strides[HEADS];
        cells[i].channel_stride = strides[CHANNELS];
        cells[i].token_stride = strides[TOKENS];
        cells[i].pages = pages;
        cells[i].page_tokens = page_tokens;
        cells[i].n_pages = n_pages;
        cells[i].page_stride = strides[PAGES];
    }
}

static void draw(fuzz_input *in, moving *m)
{
    const bool in_place = !fuzz_chance(in, 100);
    csp_cells shape = {.n_heads = fuzz_between(in, 1, 4),
                       .n_channels = fuzz_between(in, 1, 4),
                       .n_tokens = fuzz_count(in, 0, 120),
                       .cell_size = fuzz_between(in, 1, 20)};

    if (fuzz_chance(in, 80)) /* what kernels move with wide stores */
        shape.cell_size = 64 * fuzz_between(in, 1, 3);
    m->n_views = fuzz_between(in, 1, MAX_VIEWS);
    draw_cells(in, &shape, m->n_views, in_place ? FUZZ_OUTPUT : FUZZ_INPUT,
               m->src);
    const csp_tokens tokens = {.n_kv_heads = shape.n_heads,
                               .n_keys = shape.n_tokens};
    m->kept = fuzz_kept(in, &tokens);
    if (in_place)
        return;
    shape.n_tokens = m->kept.counts[0];
    for (uint32_t i = 1; i < m->kept.n_lists; i++)
        if (m->kept.counts[i] > shape.n_tokens)
            shape.n_tokens = m->kept.counts[i];
    shape.n_tokens += fuzz_below(in, 3);
    draw_cells(in, &shape, m->n_views, FUZZ_OUTPUT, m->dst);
    m->dst_in = m->dst;
}

/* ---- Breaks -------------------------------------------------------------- */

static bool is_empty(const csp_cells *cells)
{
    return cells->n_heads == 0 || cells->n_channels == 0 ||
           cells->n_tokens == 0;
}

static bool break_pages(fuzz_input *in, csp_cells *cells)
{
    if (cells->pages == NULL)
        return false;
    if (fuzz_chance(in, 128)) {
        cells->page_tokens = 0;
        return true;
    }
    cells->n_pages = 0;
    return cells->n_tokens > 0;
}

static bool break_cells(fuzz_input *in, moving *m)
{
    const bool written = m->dst_in != NULL && fuzz_chance(in, 128);
    csp_cells *cells = written ? m->dst : m->src;
    const bool empty = is_empty(cells);

    switch (fuzz_below(in, 7)) {
    case 0:
        cells->data = NULL;
        return !empty;
    case 1:
        cells->cell_size = 0;
        return true;
    case 2:
        cells->head_stride = SIZE_MAX / 2 + fuzz_byte(in);
        return !empty && cells->n_heads > 2;
    case 3: /* cells that overlap, where they are written */
        cells->token_stride = 0;
        return !empty && cells->n_tokens > 1 && cells->pages == NULL &&
               (written || m->dst_in == NULL);
    case 4:
        cells->n_channels = 0;
        return m->dst_in != NULL;
    case 5:
        cells->n_tokens = fuzz_below(in, cells->n_tokens + 1);
        return false;
    default:
        return break_pages(in, cells);
    }
}

static bool break_one(fuzz_input *in, moving *m)
{
    const bool empty = is_empty(m->src);

    switch (in->broken % 5) {
    case 0:
        return break_cells(in, m);
    case 1:
        return fuzz_break_kept(in, &m->kept);
    case 2: /* onto itself */
        m->dst_in = m->src;
        memcpy(m->dst, m->src, sizeof m->dst);
        return !empty;
    case 3: /* the same cache twice */
        m->n_views = MAX_VIEWS;
        m->src[1] = m->src[0];
        m->dst[1] = m->dst[0];
        return m->dst_in == NULL ? !empty : !is_empty(m->dst);
    default:
        if (fuzz_chance(in, 128))
            m->src_in = NULL;
        else
            m->kept_in = NULL;
        return true;
    }
}

/* ---- Check --------------------------------------------------------------- */

static size_t cell_offset(const csp_cells *cells, uint32_t h, uint32_t channel,
                          uint32_t token)
{
    const size_t at = h * cells->head_stride + channel * cells->channel_stride;

    if (cells->pages == NULL)
        return at + token * cells->token_stride;
    return at + cells->pages[token / cells->page_tokens] * cells->page_stride +
           token % cells->page_tokens * cells->token_stride;
}

static void check_view(const csp_cells *src, const csp_cells *dst,
                       const csp_kept *kept)
{
    for (uint32_t h = 0; h < src->n_heads; h++) {
        const size_t list = kept->n_lists == 1 ? 0 : h;
        if (kept->counts[list] == 0)
            continue;
        const uint32_t *rows = kept->rows + list * kept->capacity;
        for (uint32_t c = 0; c < src->n_channels; c++)
            for (uint32_t i = 0; i < kept->counts[list]; i++) {
                const unsigned char *from = src->data, *to = dst->data;
                from += cell_offset(src, h, c, rows[i]);
                to += cell_offset(dst, h, c, i);
                const unsigned char *before = fuzz_before(from);
                REQUIRE(memcmp(to, before, src->cell_size) == 0,
                        "compact: head %u, channel %u, cell %u", h, c, i);
            }
    }
}

/* What was right must not be in the way of what else is looked at. */
static void accept_view(const csp_cells *dst, const csp_kept *kept)
{
    for (uint32_t h = 0; h < dst->n_heads; h++)
        for (uint32_t c = 0; c < dst->n_channels; c++)
            for (uint32_t i = 0; i < kept->counts[kept->n_lists == 1 ? 0 : h];
                 i++)
                fuzz_accept((const unsigned char *)dst->data +
                                cell_offset(dst, h, c, i),
                            dst->cell_size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input in = fuzz_open(data, size, 176);
    moving m = {.kept_in = &m.kept};

    draw(&in, &m);
    m.src_in = m.src;
    const bool refused = in.broken != 0 && break_one(&in, &m);
    const csp_status status = fuzz_run("compact", compact, &m, &m.compute);
    REQUIRE(!refused || status != CSP_OK, "compact: took what is broken");
    REQUIRE(in.broken != 0 || status == CSP_OK,
            "compact: refused what is legal: %s", csp_status_string(status));
    const csp_cells *dst = m.dst_in != NULL ? m.dst : m.src;
    for (uint32_t i = 0; status == CSP_OK && i < m.n_views; i++)
        check_view(&m.src[i], &dst[i], &m.kept);
    for (uint32_t i = 0; status == CSP_OK && i < m.n_views; i++)
        accept_view(&dst[i], &m.kept);
    fuzz_require_kept("compact", false, false);
    fuzz_release();
    return 0;
}
