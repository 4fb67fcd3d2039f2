/*
 * eigen.c - eigenvectors of small symmetric matrices
 *
 * Cyclic Jacobi rotations: slower than reducing to tridiagonal form first, but
 * short, accurate to the last bits even for tiny eigenvalues, and made of +, *,
 * / and square roots only, so the same bits come out everywhere.
 */
#include "eigen.h"

#include <math.h>
#include <stdbool.h>

#include "numeric.h"

/* Six to ten are enough in practice; none but a matrix of subnormal numbers
   needs more. */
enum { MAX_SWEEPS = 40 };

static void swap(double *x, double *y)
{
    const double t = *x;
    *x = *y;
    *y = t;
}

/* x, y = c x - s y, s x + c y. */
static void rotate(double *x, double *y, size_t n, size_t stride, double c,
                   double s)
{
    for (size_t i = 0; i < n; i++) {
        const double a = x[i * stride], b = y[i * stride];
        x[i * stride] = c * a - s * b;
        y[i * stride] = s * a + c * b;
    }
}

/* Make a[p][q] zero; false where it is already, next to its diagonal. */
static bool annihilate(double *a, size_t n, size_t p, size_t q, double *vectors)
{
    const double x = a[p * n + q];
    const double app = a[p * n + p], aqq = a[q * n + q];

    if (x == 0.0 || fabs(x) <= 0x1p-60 * sqrt(fabs(app)) * sqrt(fabs(aqq)))
        return false;
    /* The smaller root of t^2 + 2 theta t - 1 = 0: the smaller angle. */
    const double theta = (aqq - app) / (2.0 * x);
    const double t = fabs(theta) > 0x1p500
                         ? 0.5 / theta
                         : (theta < 0.0 ? -1.0 : 1.0) /
                               (fabs(theta) + sqrt(theta * theta + 1.0));
    const double c = 1.0 / sqrt(t * t + 1.0), s = t * c;
    rotate(a + p, a + q, n, n, c, s);
    rotate(a + p * n, a + q * n, n, 1, c, s);
    a[p * n + p] = app - t * x;
    a[q * n + q] = aqq + t * x;
    a[p * n + q] = a[q * n + p] = 0.0;
    rotate(vectors + p * n, vectors + q * n, n, 1, c, s);
    return true;
}

/* Selection sort: n is small beside n^3. */
static void sort(double *values, double *vectors, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t best = i;
        for (size_t j = i + 1; j < n; j++)
            if (values[j] > values[best])
                best = j;
        if (best == i)
            continue;
        swap(&values[i], &values[best]);
        for (size_t j = 0; j < n; j++)
            swap(&vectors[i * n + j], &vectors[best * n + j]);
    }
}

void csp__eigen(double *a, size_t n, double *vectors, double *values)
{
    bool rotated = true;

    for (size_t i = 0; i < n * n; i++)
        vectors[i] = i % (n + 1) == 0 ? 1.0 : 0.0;
    for (int sweep = 0; rotated && sweep < MAX_SWEEPS; sweep++) {
        rotated = false;
        for (size_t p = 0; p + 1 < n; p++)
            for (size_t q = p + 1; q < n; q++)
                rotated |= annihilate(a, n, p, q, vectors);
    }
    for (size_t i = 0; i < n; i++)
        values[i] = a[i * (n + 1)];
    sort(values, vectors, n);
}
