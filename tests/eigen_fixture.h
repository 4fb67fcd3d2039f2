/*
 * eigen_fixture.h - symmetric matrices, and what their eigenvectors must be
 *
 * What eigenvectors are is checked by its definition: A v = lambda v, unit
 * length, at right angles, eigenvalues descending.
 */
#ifndef EIGEN_FIXTURE_H
#define EIGEN_FIXTURE_H

#include "test.h"

#include "eigen.h"
#include "random.h"

enum { MAX_N = 130 }; /* the panels of eight are not all full */

typedef struct fixture {
    size_t n;
    double a[MAX_N * MAX_N];
    double vectors[MAX_N * MAX_N], values[MAX_N];
} fixture;

static fixture the_fixture;

static inline fixture *set_up(size_t n)
{
    memset(&the_fixture, 0, sizeof the_fixture);
    the_fixture.n = n;
    return &the_fixture;
}

static inline size_t scratch_size(uint32_t n)
{
    csp__eigen_scratch s;
    csp__arena arena = {0};

    csp__eigen_carve(&s, n, &arena);
    return csp__arena_size(&arena);
}

/* All values, and as many vectors as are wanted; scratch of this byte. */
static inline void solve_some(fixture *f, size_t n_vectors, int byte)
{
    const size_t n = f->n;
    guarded a = guard(f->a, n * n * sizeof *f->a);
    guarded vectors = guard(NULL, n_vectors * n * sizeof *f->vectors);
    guarded values = guard(NULL, n * sizeof *f->values);
    guarded workspace = guard(NULL, scratch_size((uint32_t)n));
    memset(workspace.data, byte, workspace.size);
    csp__arena arena = csp__arena_over(workspace.data);
    csp__eigen_scratch s;
    csp__eigen_carve(&s, (uint32_t)n, &arena);

    csp__eigen((double *)(void *)a.data, (uint32_t)n, (uint32_t)n_vectors, &s,
               (double *)(void *)vectors.data, (double *)(void *)values.data);

    memcpy(f->vectors, vectors.data, vectors.size);
    memcpy(f->values, values.data, values.size);
    unguard(&a);
    unguard(&vectors);
    unguard(&values);
    unguard(&workspace);
}

static inline void solve(fixture *f)
{
    solve_some(f, f->n, 0x5a);
}

static inline int descending(const void *x, const void *y)
{
    const double a = *(const double *)x, b = *(const double *)y;

    return a < b ? 1 : a > b ? -1 : 0;
}

static inline void assert_orthonormal(const fixture *f)
{
    const size_t n = f->n;

    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j <= i; j++) {
            double dot = 0.0;
            for (size_t c = 0; c < n; c++)
                dot += f->vectors[i * n + c] * f->vectors[j * n + c];
            assert_true(fabs(dot - (i == j ? 1.0 : 0.0)) < 1e-13);
        }
}

/* A v = lambda v for all, within 'error' in each element. */
static inline void assert_eigen(const fixture *f, double error)
{
    const size_t n = f->n;

    for (size_t i = 0; i < n; i++) {
        const double *v = f->vectors + i * n;
        assert_true(i == 0 || f->values[i] <= f->values[i - 1]);
        for (size_t r = 0; r < n; r++) {
            double product = 0.0;
            for (size_t c = 0; c < n; c++)
                product += f->a[r * n + c] * v[c];
            assert_true(fabs(product - f->values[i] * v[r]) <= error);
        }
    }
    assert_orthonormal(f);
}

/* Numbers of mean 'shift' and spread 'scale', symmetric. */
static inline void fill_symmetric(fixture *f, double shift, double scale)
{
    random_source random = {f->n};

    for (size_t i = 0; i < f->n; i++)
        for (size_t j = 0; j <= i; j++)
            f->a[i * f->n + j] = f->a[j * f->n + i] =
                scale * (shift + random_normal(&random));
}

#endif
