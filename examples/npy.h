/*
 * npy.h - arrays of numbers from .npy files, for the examples
 */
#ifndef CSP_EXAMPLE_NPY_H
#define CSP_EXAMPLE_NPY_H

#include <stddef.h>

typedef enum npy_type { NPY_F32, NPY_I32, NPY_U8 } npy_type;

enum { NPY_MAX_RANK = 6 };

typedef struct npy_array {
    npy_type type;
    size_t rank;
    size_t shape[NPY_MAX_RANK];
    size_t n; /* elements */
    void *data;
} npy_array;

/*
 * Read a file of format 1.0: little-endian f4 or i4, or u1, C order.  Returns
 * NULL, or what is wrong with it; free array->data after use.
 */
const char *npy_read(const char *path, npy_array *array);

#endif /* CSP_EXAMPLE_NPY_H */
