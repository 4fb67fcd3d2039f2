/*
 * compact.c - kept cells move to the front (E7)
 *
 * A kept list ascends, so a cell moves to a place at or before its own, and
 * moving cells in order never overwrites one that is still to move.
 * Everything that could fail is checked before the first byte moves.
 */
#include "compact.h"

#include <string.h>

#include "tokens.h"
#include "views.h"
#include "workspace.h"

#define N_DIMS 4

/* The dimensions of a view; pages, if any, are the last. */
static void dims_of(const csp_cells *cells, csp__dim *dims)
{
    dims[0] = (csp__dim){cells->n_heads, cells->head_stride};
    dims[1] = (csp__dim){cells->n_channels, cells->channel_stride};
    dims[2] = (csp__dim){cells->n_tokens, cells->token_stride};
    dims[3] = (csp__dim){1, 0};
    if (cells->pages != NULL) {
        if (dims[2].count > cells->page_tokens)
            dims[2].count = cells->page_tokens;
        dims[3] = (csp__dim){cells->n_pages, cells->page_stride};
    }
}

/* 'extent' receives the bytes from the first to behind the last cell. */
static csp_status check_strides(const csp_cells *cells, bool written,
                                size_t *extent)
{
    csp__dim dims[N_DIMS];

    dims_of(cells, dims);
    return csp__check_cells(dims, N_DIMS, cells->cell_size, !written, extent);
}

static csp_status check_view(const csp_cells *cells, bool written)
{
    size_t extent;

    if (cells->cell_size == 0)
        return CSP_E_SHAPE;
    if (cells->pages != NULL) {
        const uint32_t page = cells->page_tokens;
        if (page == 0)
            return CSP_E_SHAPE;
        uint32_t used = cells->n_tokens / page + (cells->n_tokens % page != 0);
        for (uint32_t i = 0; i < used; i++)
            if (cells->pages[i] >= cells->n_pages)
                return CSP_E_INDEX;
    }
    csp_status status = check_strides(cells, written, &extent);
    if (status != CSP_OK)
        return status;
    return extent > 0 && cells->data == NULL ? CSP_E_NULL : CSP_OK;
}

/* Split dimensions by a distance: those with smaller strides span 'extent',
   the others are returned; how many, too. */
static size_t split_dims(const csp_cells *cells, size_t distance,
                         csp__dim *outer, size_t *extent)
{
    csp__dim dims[N_DIMS];
    csp__dim inner[N_DIMS];
    size_t n_outer = 0;
    size_t n_inner = 0;

    dims_of(cells, dims);
    for (size_t i = 0; i < N_DIMS; i++) {
        if (dims[i].count < 2)
            continue;
        if (dims[i].stride < distance)
            inner[n_inner++] = dims[i];
        else
            outer[n_outer++] = dims[i];
    }
    csp__check_cells(inner, n_inner, cells->cell_size, true, extent);
    return n_outer;
}

/*
 * Whether cells of two views take turns: what strides below their distance
 * span is one piece of each, the second behind the first, and both step on
 * with the same strides over the two of them.
 */
static bool interleaved(const csp_cells *a, const csp_cells *b)
{
    const csp_cells *low = (uintptr_t)a->data < (uintptr_t)b->data ? a : b;
    const csp_cells *high = low == a ? b : a;
    const size_t distance = (uintptr_t)high->data - (uintptr_t)low->data;
    csp__dim outer[N_DIMS], other[N_DIMS];
    size_t low_size, high_size, both, extent;

    size_t n = split_dims(low, distance, outer, &low_size);
    if (split_dims(high, distance, other, &high_size) != n ||
        low_size > distance || !csp__add(distance, high_size, &both))
        return false;
    for (size_t i = 0; i < n; i++) {
        if (outer[i].stride != other[i].stride)
            return false;
        if (outer[i].count < other[i].count)
            outer[i].count = other[i].count;
    }
    return csp__check_cells(outer, n, both, false, &extent) == CSP_OK;
}

/* Both checked by check_view. */
static bool overlap(const csp_cells *a, const csp_cells *b)
{
    size_t a_size, b_size;

    check_strides(a, false, &a_size);
    check_strides(b, false, &b_size);
    return csp__overlap(a->data, a_size, b->data, b_size) && !interleaved(a, b);
}

static csp_status check_lists(const csp_kept *kept, const csp_cells *src,
                              const csp_cells *dst)
{
    if (kept->n_lists != 1 && kept->n_lists != src->n_heads)
        return CSP_E_SHAPE;
    for (uint32_t list = 0; list < kept->n_lists; list++) {
        const uint32_t count = kept->counts[list];
        if (count > kept->capacity || (dst != NULL && count > dst->n_tokens))
            return CSP_E_CAPACITY;
        csp_status status =
            csp__check_rows(csp__kept_rows(kept, list), count, src->n_tokens);
        if (status != CSP_OK)
            return status;
    }
    return CSP_OK;
}

csp_status csp__check_compact(const csp_cells *src, const csp_kept *kept,
                              const csp_cells *dst)
{
    csp_status status = check_view(src, dst == NULL);

    if (status != CSP_OK)
        return status;
    if (dst != NULL) {
        if (dst->n_heads != src->n_heads ||
            dst->n_channels != src->n_channels ||
            dst->cell_size != src->cell_size)
            return CSP_E_SHAPE;
        if ((status = check_view(dst, true)) != CSP_OK)
            return status;
    }
    return check_lists(kept, src, dst);
}

csp_status csp__check_apart(const csp_cells *src, size_t n_views,
                            const csp_cells *dst)
{
    const csp_cells *written = dst != NULL ? dst : src;

    for (size_t i = 0; i < n_views; i++) {
        for (size_t j = 0; j < i; j++)
            if (overlap(&written[i], &written[j]))
                return CSP_E_OVERLAP;
        for (size_t j = 0; dst != NULL && j < n_views; j++)
            if (overlap(&dst[i], &src[j]))
                return CSP_E_OVERLAP;
    }
    return CSP_OK;
}

static size_t token_offset(const csp_cells *cells, uint32_t token)
{
    if (cells->pages == NULL)
        return token * cells->token_stride;
    return cells->pages[token / cells->page_tokens] * cells->page_stride +
           token % cells->page_tokens * cells->token_stride;
}

static void move_channel(const csp__kernels *k, const csp_cells *src,
                         const csp_cells *dst, size_t from, size_t to,
                         const uint32_t *rows, uint32_t count)
{
    unsigned char *out = (unsigned char *)dst->data + to;
    const unsigned char *in = (const unsigned char *)src->data + from;

    if (src->pages == NULL && dst->pages == NULL) {
        k->gather(out, dst->token_stride, in, src->token_stride, src->cell_size,
                  rows, count);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        unsigned char *cell = out + token_offset(dst, i);
        const unsigned char *kept = in + token_offset(src, rows[i]);
        if (cell != kept)
            memcpy(cell, kept, src->cell_size);
    }
}

void csp__move(const csp__kernels *kernels, const csp_cells *src,
               const csp_kept *kept, const csp_cells *dst)
{
    if (dst == NULL)
        dst = src;
    for (uint32_t h = 0; h < src->n_heads; h++) {
        const uint32_t *rows = csp__kept_rows(kept, h);
        const uint32_t count = kept->counts[csp__list(kept, h)];
        for (uint32_t c = 0; c < src->n_channels && count > 0; c++)
            move_channel(kernels, src, dst,
                         h * src->head_stride + c * src->channel_stride,
                         h * dst->head_stride + c * dst->channel_stride, rows,
                         count);
    }
}

csp_status csp_compact(const csp_cells *src, uint32_t n_views,
                       const csp_kept *kept, const csp_cells *dst)
{
    csp__kernels kernels;

    if (n_views == 0)
        return CSP_OK;
    if (src == NULL || kept == NULL ||
        (kept->counts == NULL && kept->n_lists > 0))
        return CSP_E_NULL;
    for (uint32_t i = 0; i < n_views; i++) {
        csp_status status =
            csp__check_compact(&src[i], kept, dst != NULL ? &dst[i] : NULL);
        if (status != CSP_OK)
            return status;
    }
    csp_status status = csp__check_apart(src, n_views, dst);
    if (status != CSP_OK)
        return status;
    csp__kernels_choose(NULL, &kernels);
    for (uint32_t i = 0; i < n_views; i++)
        csp__move(&kernels, &src[i], kept, dst != NULL ? &dst[i] : NULL);
    return CSP_OK;
}
