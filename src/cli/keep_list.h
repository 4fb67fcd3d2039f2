/*
 * keep_list.h - which rows csp prune kept, read back
 */
#ifndef CLI_KEEP_LIST_H
#define CLI_KEEP_LIST_H

#include "array.h"
#include "csp.h"

/*
 * u32, i32 or i64, [lists][kept] or [layers][lists][kept], or [kept] for one
 * list: ascending rows, and behind them, where a list is shorter than the
 * widest, 4294967295 (or -1).
 */
typedef struct keep_list {
    array a;
    uint32_t n_layers; /* 1: the same in every layer */
    uint32_t n_lists;  /* 1: of all heads */
    uint32_t width;
    uint32_t n_keys;
    uint32_t *rows;   /* [n_lists][width] of the layer read last */
    uint32_t *counts; /* [n_lists] */
} keep_list;

/*
 * Open a keep list for a cache of so many layers, KV heads and keys.  Release
 * it with keep_list_close; after an error there is nothing to release.
 */
outcome keep_list_open(const char *path, uint32_t n_layers, uint32_t n_heads,
                       uint32_t n_keys, keep_list *k);
void keep_list_close(keep_list *k);

/* Read and check the lists of a layer; k->rows and k->counts receive them. */
outcome keep_list_read(keep_list *k, uint32_t layer);

#endif /* CLI_KEEP_LIST_H */
