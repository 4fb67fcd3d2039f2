/*
 * kernels_blas.c - the two products that BLAS can do
 *
 * Empty in a build without BLAS.  Sums come in whatever order the library
 * likes, so these are outside the promise of equal bits.
 */
#ifdef CSP_WITH_BLAS

#include "kernels.h"

#include <cblas.h>

/* Columns of one call: keeps counts inside a 32-bit blasint. */
#define MAX_COLUMNS ((size_t)1 << 24)

/* Sizes beyond what BLAS counts with go to the kernels of plain C. */
static void product(const float *restrict q, size_t n_rows,
                    const float *restrict k, size_t k_stride, size_t n_keys,
                    size_t dim, float scale, float *restrict logits,
                    size_t logits_stride)
{
    if (dim > INT32_MAX || k_stride > INT32_MAX || logits_stride > INT32_MAX) {
        csp__kernels scalar;
        csp__kernels_scalar(&scalar);
        scalar.product(q, n_rows, k, k_stride, n_keys, dim, scale, logits,
                       logits_stride);
        return;
    }
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (blasint)n_rows,
                (blasint)n_keys, (blasint)dim, scale, q, (blasint)dim, k,
                (blasint)k_stride, 0.0f, logits, (blasint)logits_stride);
}

/* Rows that lie further apart than BLAS can count are added one by one. */
static void column_sums(const float *restrict e, size_t e_stride, size_t n_rows,
                        size_t n, const float *restrict weights,
                        float *restrict sums)
{
    for (size_t begin = 0; begin < n; begin += MAX_COLUMNS) {
        size_t count = n - begin < MAX_COLUMNS ? n - begin : MAX_COLUMNS;
        if (e_stride <= INT32_MAX)
            cblas_sgemv(CblasRowMajor, CblasTrans, (blasint)n_rows,
                        (blasint)count, 1.0f, e + begin, (blasint)e_stride,
                        weights, 1, 1.0f, sums + begin, 1);
        else
            for (size_t r = 0; r < n_rows; r++)
                cblas_saxpy((blasint)count, weights[r],
                            e + r * e_stride + begin, 1, sums + begin, 1);
    }
}

void csp__kernels_blas_product(csp__kernels *kernels)
{
    kernels->product = product;
}

void csp__kernels_blas_column_sums(csp__kernels *kernels)
{
    kernels->column_sums = column_sums;
}

#else

typedef int csp__no_blas; /* ISO C wants a declaration in every file */

#endif
