/*
 * eigen.h - eigenvectors of small symmetric matrices
 */
#ifndef CSP_EIGEN_H
#define CSP_EIGEN_H

#include "workspace.h"

struct csp__rotation;
struct csp__sweep;

/* Scratch for a matrix of n x n. */
typedef struct csp__eigen_scratch {
    double *beside; /* [n - 1], off the diagonal; room for n */
    double *tau;    /* [n], of the reflections */
    double *work;   /* [n] */
    double *panel;  /* [n][8], vectors */
    uint32_t *order;
    struct csp__rotation *rotations;
    struct csp__sweep *sweeps;
    size_t n_rotations, n_sweeps; /* written down so far */
} csp__eigen_scratch;

void csp__eigen_carve(csp__eigen_scratch *s, uint32_t n, csp__arena *arena);

/*
 * 'a'        [n][n] symmetric and finite, of which only the lower triangle is
 *            read; destroyed.
 * 'vectors'  receives [n_vectors][n], row i the unit eigenvector of values[i].
 * 'values'   receives all [n], descending.
 *
 * Values are within some n 2^-53 of the largest magnitude, A v = value v as
 * well; vectors are at right angles within that, however close their values.
 * Nothing is NaN, and nothing infinite unless a value is beyond a double.
 *
 * 2/3 n^3 multiplications, and some 6 n^2 for each vector, rounded up to eight
 * of them; bounded, whatever the matrix.
 */
void csp__eigen(double *a, uint32_t n, uint32_t n_vectors,
                csp__eigen_scratch *s, double *vectors, double *values);

#endif
