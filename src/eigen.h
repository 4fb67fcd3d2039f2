/*
 * eigen.h - eigenvectors of small symmetric matrices
 */
#ifndef CSP_EIGEN_H
#define CSP_EIGEN_H

#include <stddef.h>

/*
 * 'a'        [n][n] symmetric and finite; destroyed.
 * 'vectors'  receives [n][n], row i the unit eigenvector of values[i].
 * 'values'   receives [n], descending.
 *
 * O(n^3), some forty multiplications for each.
 */
void csp__eigen(double *a, size_t n, double *vectors, double *values);

#endif
