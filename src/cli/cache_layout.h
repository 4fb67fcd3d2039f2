/*
 * cache_layout.h - where the heads and rows of a stored cache lie
 */
#ifndef CLI_CACHE_LAYOUT_H
#define CLI_CACHE_LAYOUT_H

#include "array.h"
#include "csp.h"

#include <stddef.h>

typedef enum layout {
    HEAD_TOKEN,  /* [layers][heads][keys][dim] */
    TOKEN_HEAD,  /* [layers][keys][heads][dim] */
    HEAD_CHANNEL /* [layers][heads][dim][keys] */
} layout;

/* Of keys or values, with or without the axis of layers. */
typedef struct cache_shape {
    layout layout;
    uint32_t n_layers; /* 1 where there is no such axis */
    uint32_t n_heads, n_keys, n_channels;
    uint32_t element_size;
    uint64_t layer_elements;
} cache_shape;

/* "head-token", "token-head" or "head-channel"; false: none of them. */
bool layout_of_name(const char *name, layout *l);

/* BAD_INPUT unless 'a' is a cache of that layout with no count 0. */
outcome cache_shape_of(const array *a, layout l, cache_shape *c);

/* The axis of 'a' that counts keys. */
uint32_t cache_key_axis(const array *a, layout l);

/* One layer with 'n_keys' keys, in memory as in the file. */
csp_cells cache_cells(const cache_shape *c, void *data, uint32_t n_keys);

/* Bytes of one layer with 'n_keys' keys, at most c->n_keys. */
size_t cache_layer_size(const cache_shape *c, uint32_t n_keys);

#endif /* CLI_CACHE_LAYOUT_H */
