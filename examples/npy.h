/*
 * npy.h - strict reader of .npy files, for examples and tests
 */
#ifndef NPY_H
#define NPY_H

#include <stdbool.h>
#include <stdint.h>

#define NPY_MAX_RANK 4

typedef struct npy_array {
    void *data; /* C order, native endianness; release it with free() */
    uint32_t rank;
    uint32_t shape[NPY_MAX_RANK];
} npy_array;

/*
 * Read the file 'path' into 'array'.
 *
 * 'descr'  the element type it must have: "<f4", "<f2", "<i4" or "|u1"; '<'
 *          stands for either order of bytes.
 *
 * Takes format version 1.0 in C order, rank 1 to 4 and less than 1 GiB, as
 * NumPy writes it, and nothing else: header and data must fill the file to the
 * byte.  Returns whether it did; if not, 'array' is as before.
 */
bool npy_read(const char *path, const char *descr, npy_array *array);

#endif /* NPY_H */
