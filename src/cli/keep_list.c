/*
 * keep_list.c - which rows csp prune kept, read back
 */
#include "keep_list.h"

#include "size.h"

#include <stdlib.h>
#include <string.h>

/* Fills a list up to the width of the widest. */
#define NO_ROW UINT32_MAX

static outcome take_shape(keep_list *k, uint32_t n_layers, uint32_t n_heads)
{
    const array *a = &k->a;
    const uint64_t width = a->rank > 0 ? a->shape[a->rank - 1] : 0;
    const uint64_t lists = a->rank > 1 ? a->shape[a->rank - 2] : 1;
    const uint64_t layers = a->rank > 2 ? a->shape[0] : 1;

    if (a->element != ELEMENT_U32 && a->element != ELEMENT_I32 &&
        a->element != ELEMENT_I64)
        return fail(BAD_INPUT, "%s: is %s, expected u32, i32 or i64", a->name,
                    array_describe(a));
    if (a->rank < 1 || a->rank > 3 || width > k->n_keys ||
        (lists != 1 && lists != n_heads) || (layers != 1 && layers != n_layers))
        return fail(BAD_INPUT,
                    "%s: is %s, expected [%u][%u][kept] or [%u][kept], with at "
                    "most %u kept, for this cache",
                    a->name, array_describe(a), n_layers, n_heads, n_heads,
                    k->n_keys);
    k->width = (uint32_t)width;
    k->n_lists = (uint32_t)lists;
    k->n_layers = (uint32_t)layers;
    return DONE;
}

outcome keep_list_open(const char *path, uint32_t n_layers, uint32_t n_heads,
                       uint32_t n_keys, keep_list *k)
{
    uint64_t size;

    *k = (keep_list){.n_keys = n_keys};
    outcome result = array_open(path, NULL, false, &k->a);
    if (result != DONE)
        return result;
    result = take_shape(k, n_layers, n_heads);
    if (result == DONE) {
        /* i64 is read into the same memory, and then narrowed. */
        if (size_mul((uint64_t)k->n_lists * k->width, sizeof(int64_t), &size) &&
            size < SIZE_MAX)
            k->rows = malloc((size_t)size + 1);
        k->counts = calloc(k->n_lists, sizeof *k->counts);
        if (k->rows == NULL || k->counts == NULL)
            result = fail(INTERNAL, "%s: not enough memory", path);
    }
    if (result != DONE)
        keep_list_close(k);
    return result;
}

void keep_list_close(keep_list *k)
{
    free(k->rows);
    free(k->counts);
    array_close(&k->a);
    k->rows = k->counts = NULL;
}

/* The number at 'i', or -1 for no row and whatever is none. */
static int64_t number_at(const keep_list *k, uint64_t i)
{
    const unsigned char *at =
        (const unsigned char *)k->rows + i * k->a.element_size;
    uint32_t narrow;
    int32_t narrow_signed;
    int64_t wide;

    if (k->a.element == ELEMENT_I64) {
        memcpy(&wide, at, sizeof wide);
        return wide == (int64_t)NO_ROW ? -1 : wide;
    }
    if (k->a.element == ELEMENT_I32) {
        memcpy(&narrow_signed, at, sizeof narrow_signed);
        return narrow_signed;
    }
    memcpy(&narrow, at, sizeof narrow);
    return narrow == NO_ROW ? -1 : (int64_t)narrow;
}

/* Check a list and make it u32, in the same memory: an element is written at
   or before the place that it was read from. */
static outcome take_list(keep_list *k, uint32_t layer, uint32_t list)
{
    const uint64_t begin = (uint64_t)list * k->width;
    int64_t before = -1;
    uint32_t n = 0;

    for (uint32_t i = 0; i < k->width; i++) {
        const int64_t row = number_at(k, begin + i);
        const bool is_padding = row == -1;
        if (!is_padding && (n < i || row <= before || row >= k->n_keys))
            return fail(BAD_INPUT,
                        "%s: layer %u, list %u, entry %u is %lld, expected "
                        "rows below %u, ascending, and 4294967295 only behind "
                        "them",
                        k->a.name, layer, list, i, (long long)row, k->n_keys);
        k->rows[begin + i] = is_padding ? NO_ROW : (uint32_t)row;
        n += !is_padding;
        before = is_padding ? before : row;
    }
    k->counts[list] = n;
    return DONE;
}

outcome keep_list_read(keep_list *k, uint32_t layer)
{
    const uint64_t n = (uint64_t)k->n_lists * k->width;
    const uint64_t first = k->n_layers > 1 ? layer * n : 0;
    outcome result = array_read(&k->a, first, n, k->rows);

    for (uint32_t list = 0; list < k->n_lists && result == DONE; list++)
        result = take_list(k, layer, list);
    return result;
}
