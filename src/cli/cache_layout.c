/*
 * cache_layout.c - where the heads and rows of a stored cache lie
 *
 * Sizes are products of counts of a file whose size they add up to, so none is
 * out of range; what is checked is that they fit the library's counts.
 */
#include "cache_layout.h"

#include <string.h>

static const char *const names[] = {
    [HEAD_TOKEN] = "head-token",
    [TOKEN_HEAD] = "token-head",
    [HEAD_CHANNEL] = "head-channel",
};

static const char *const forms[] = {
    [HEAD_TOKEN] = "[layers][heads][keys][dim]",
    [TOKEN_HEAD] = "[layers][keys][heads][dim]",
    [HEAD_CHANNEL] = "[layers][heads][dim][keys]",
};

/* Places of heads, keys and channels among the last three axes. */
static const struct {
    uint32_t head, key, channel;
} axes[] = {
    [HEAD_TOKEN] = {0, 1, 2},
    [TOKEN_HEAD] = {1, 0, 2},
    [HEAD_CHANNEL] = {0, 2, 1},
};

bool layout_of_name(const char *name, layout *l)
{
    for (int i = 0; i < (int)(sizeof names / sizeof *names); i++) {
        if (strcmp(name, names[i]) == 0) {
            *l = (layout)i;
            return true;
        }
    }
    return false;
}

uint32_t cache_key_axis(const array *a, layout l)
{
    return a->rank - 3 + axes[l].key;
}

outcome cache_shape_of(const array *a, layout l, cache_shape *c)
{
    bool usable = a->rank == 3 || a->rank == 4;

    for (uint32_t i = 0; usable && i < a->rank; i++)
        usable = a->shape[i] > 0 && a->shape[i] < UINT32_MAX;
    if (!usable)
        return fail(BAD_INPUT,
                    "%s: is %s, expected %s with or without the layers, no "
                    "count 0 or above 32 bits",
                    a->name, array_describe(a), forms[l]);
    const uint64_t *last = a->shape + a->rank - 3;
    *c = (cache_shape){.layout = l,
                       .n_layers = a->rank == 4 ? (uint32_t)a->shape[0] : 1,
                       .n_heads = (uint32_t)last[axes[l].head],
                       .n_keys = (uint32_t)last[axes[l].key],
                       .n_channels = (uint32_t)last[axes[l].channel],
                       .element_size = a->element_size};
    c->layer_elements = a->n_elements / c->n_layers;
    if (c->layer_elements >= SIZE_MAX / a->element_size)
        return fail(BAD_INPUT, "%s: is %s, a layer is more than memory holds",
                    a->name, array_describe(a));
    return DONE;
}

csp_cells cache_cells(const cache_shape *c, void *data, uint32_t n_keys)
{
    const size_t row = (size_t)c->n_channels * c->element_size;
    csp_cells cells = csp_cells_packed(data, c->n_heads, n_keys, row);

    switch (c->layout) {
    case HEAD_TOKEN:
        break;
    case TOKEN_HEAD:
        cells.head_stride = row;
        cells.token_stride = c->n_heads * row;
        break;
    case HEAD_CHANNEL:
        cells.n_channels = c->n_channels;
        cells.cell_size = c->element_size;
        cells.token_stride = c->element_size;
        cells.channel_stride = (size_t)n_keys * c->element_size;
        cells.head_stride = n_keys * row;
        break;
    }
    return cells;
}

size_t cache_layer_size(const cache_shape *c, uint32_t n_keys)
{
    return (size_t)(c->layer_elements / c->n_keys * n_keys) * c->element_size;
}
