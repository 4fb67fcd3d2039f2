/*
 * views.h - checks of strided views, once for all verbs
 */
#ifndef CSP_VIEWS_H
#define CSP_VIEWS_H

#include "csp.h"
#include "kernels.h"

/* One dimension of a strided array. */
typedef struct csp__dim {
    size_t count;
    size_t stride; /* bytes */
} csp__dim;

/* Bytes of an element; 0 for an unknown type. */
size_t csp__dtype_size(csp_dtype dtype);

/*
 * Check an array of cells of 'size' bytes with up to five dimensions: *extent
 * receives the bytes from its first to behind its last one, 0 if a count is 0.
 *
 * 'repeats'  whether stride 0 may repeat cells (inputs).
 *
 * Returns CSP_E_OVERFLOW if the extent exceeds PTRDIFF_MAX, CSP_E_STRIDE
 * unless strides, ordered by size, each step over all that the smaller ones
 * span: then cells are apart.
 */
csp_status csp__check_cells(const csp__dim *dims, size_t n_dims, size_t size,
                            bool repeats, size_t *extent);

/*
 * Check a tensor: type, strides, extent, data not NULL unless empty.
 *
 * 'contiguous'  whether columns must be contiguous.
 * 'extent'      receives the bytes it spans; NULL: not wanted.
 */
csp_status csp__check_tensor(const csp_tensor *tensor, bool repeats,
                             bool contiguous, size_t *extent);

/* Whether packed arrays [n_rows][capacity] of 4-byte elements fit the address
   space: CSP_E_OVERFLOW if not. */
csp_status csp__check_array(uint32_t n_rows, uint32_t capacity);

/* Whether [a, a + a_size) and [b, b + b_size) share a byte. */
bool csp__overlap(const void *a, size_t a_size, const void *b, size_t b_size);

/* Numbers of a view, n columns from 'x' on, to and from floats. */
void csp__load(const csp__kernels *kernels, const csp_tensor *tensor,
               const unsigned char *x, size_t n, float *y);
void csp__store(const csp__kernels *kernels, const csp_tensor *tensor,
                const float *y, size_t n, unsigned char *x);

/* An empty view may have no data, and no row that is read. */
static inline const unsigned char *csp__row_at(const csp_tensor *tensor,
                                               size_t head, size_t row)
{
    if (tensor->data == NULL)
        return NULL;
    return (const unsigned char *)tensor->data + head * tensor->head_stride +
           row * tensor->row_stride;
}

#endif
