/*
 * compact_files.h - caches and keep lists for tests of csp compact
 *
 * Every cell of the caches says where it is: layer, head, key and channel.
 */
#ifndef COMPACT_FILES_H
#define COMPACT_FILES_H

#include "cli_test.h"

enum { LAYERS = 2, HEADS = 3, KEYS = 7, DIM = 2, WIDTH = 4 };

#define NONE UINT32_MAX

typedef enum form { HEAD_FIRST, TOKEN_FIRST, CHANNELS, N_FORMS } form;

extern const uint32_t kept[LAYERS][HEADS][WIDTH];

void write_array(const char *name, const char *descr, uint32_t rank,
                 const uint64_t *shape, const void *data, size_t size);

uint32_t cell(uint32_t layer, uint32_t head, uint32_t key, uint32_t channel);

/* Where a cell lies in a layer of 'n_keys' keys. */
size_t place(form f, uint32_t n_keys, uint32_t head, uint32_t key,
             uint32_t channel);
void shape_of(form f, uint32_t n_keys, uint64_t shape[4]);

/* u4 numbers in cache.npy; without the axis of layers, the first of them. */
void write_cache(form f, bool has_layers);

/* 'kept' in keep.npy, of all layers or the first. */
void write_kept(uint32_t n_layers);

/* csp compact cache.npy by keep.npy to out.npy. */
outcome compact_cache(const char *layout);

#endif /* COMPACT_FILES_H */
