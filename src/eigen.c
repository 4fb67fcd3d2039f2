/*
 * eigen.c - eigenvectors of small symmetric matrices
 *
 * Reflections make the matrix tridiagonal, rotations (implicit QL with
 * Wilkinson's shift) make that diagonal.  The rotations are written down; a
 * vector is a unit vector taken back through rotations and reflections, so
 * those that nobody wants cost nothing, and eight at a time fill any CPU's
 * registers in plain C.  Only +, -, *, / and square roots, in an order that the
 * source fixes: the same bits come out everywhere.
 *
 * The matrix is first scaled so that its largest element is near 1.  What is
 * below the rounding of that is then taken for zero, so that nothing that is
 * squared and divided by underflows.
 */
#include "eigen.h"

#include <math.h>
#include <string.h>

#include "numeric.h"

enum { PANEL = 8 };

/* The last place of a number, as a part of it. */
#define EPSILON 0x1p-52

/* Plane (i, i + 1): x, y = c x - s y, s x + c y. */
typedef struct csp__rotation {
    double c, s;
} csp__rotation;

/* Rotations of planes first + n - 1 down to first. */
typedef struct csp__sweep {
    uint32_t first, n;
} csp__sweep;

/*
 * Room for n times as many.  Large matrices need 1.2 n^2 rotations in 2.2 n
 * sweeps; a search among small ones for the worst found 1.8 n^2 and 2.6 n.
 * Where room should end, what is left off the diagonal is dropped.
 */
static size_t rotations_for(size_t n)
{
    return 2 * (n + 8);
}

enum { SWEEPS = 8 };

/* ---- Tridiagonal form ---------------------------------------------------- */

/*
 * The reflection I - tau v v' that leaves of x[0..n) the last element only,
 * which it returns.  x becomes v.
 */
static double reflect(double *x, size_t n, double *tau)
{
    const double last = x[n - 1];
    const double rest = csp__dot(x, x, n - 1);

    *tau = 0.0;
    if (rest <= EPSILON * EPSILON)
        return last;
    const double norm = sqrt(rest + last * last);
    const double made = last > 0.0 ? -norm : norm;
    *tau = 1.0 / (norm * (norm + fabs(last)));
    x[n - 1] = last - made;
    return made;
}

/* y = A v, for the lower triangle of rows 'stride' apart. */
static void multiply(const double *a, size_t stride, size_t n, const double *v,
                     double *y)
{
    for (size_t i = 0; i < n; i++) {
        const double *row = a + i * stride;
        const double x = v[i];
        for (size_t j = 0; j < i; j++)
            y[j] += x * row[j];
        y[i] = csp__dot(row, v, i + 1);
    }
}

/* A -= v w' + w v'. */
static void subtract(double *a, size_t stride, size_t n, const double *v,
                     const double *w)
{
    for (size_t i = 0; i < n; i++) {
        double *row = a + i * stride;
        const double x = v[i], y = w[i];
        for (size_t j = 0; j <= i; j++)
            row[j] -= x * w[j] + y * v[j];
    }
}

/* Row i of 'a' keeps the vector of the reflection that made element i - 1 of
   s->beside. */
static void make_tridiagonal(double *a, size_t n, csp__eigen_scratch *s,
                             double *diagonal)
{
    for (size_t i = n - 1; i > 0; i--) {
        double *v = a + i * n, *w = s->work;
        double tau;
        diagonal[i] = v[i];
        s->beside[i - 1] = reflect(v, i, &tau);
        s->tau[i] = tau;
        if (tau == 0.0)
            continue;
        multiply(a, n, i, v, w);
        const double along = 0.5 * tau * tau * csp__dot(v, w, i);
        for (size_t j = 0; j < i; j++)
            w[j] = tau * w[j] - along * v[j];
        subtract(a, n, i, v, w);
    }
    diagonal[0] = a[0];
}

/* ---- Diagonal form ------------------------------------------------------- */

/* The value of [a b; b d] that is nearer to a, for a b that is not zero. */
static double shift_of(double a, double b, double d)
{
    const double half = 0.5 * (d - a);
    const double root = sqrt(half * half + b * b);

    return a - b * b / (half < 0.0 ? half - root : half + root);
}

/*
 * One step of QL on rows first..last: rotations chase the bulge upwards.  Where
 * it vanishes on its way the matrix has come apart.
 */
static void sweep(double *d, uint32_t first, uint32_t last, double negligible,
                  csp__eigen_scratch *s)
{
    csp__rotation *rotation = s->rotations + s->n_rotations;
    double *beside = s->beside;
    double x = d[last] - shift_of(d[first], beside[first], d[first + 1]);
    double bulge = beside[last - 1];
    uint32_t i = last;

    for (; i > first; rotation++) {
        const double length = sqrt(x * x + bulge * bulge);
        if (i < last) {
            beside[i] = length > negligible ? length : 0.0;
            if (beside[i] == 0.0)
                break;
        }
        i--;
        const csp__rotation by = {.c = x / length, .s = bulge / length};
        const double y = by.s * (d[i + 1] - d[i]) - 2.0 * by.c * beside[i];
        d[i + 1] -= by.s * y;
        d[i] += by.s * y;
        x = -(by.c * y) - beside[i];
        beside[i] = x;
        if (i > first) {
            bulge = by.s * beside[i - 1];
            beside[i - 1] *= by.c;
        }
        *rotation = by;
    }
    s->sweeps[s->n_sweeps++] = (csp__sweep){.first = i, .n = last - i};
    s->n_rotations += last - i;
}

/* Largest sum of magnitudes in a row. */
static double norm_of(const double *d, const double *beside, size_t n)
{
    double norm = 0.0, above = 0.0;

    for (size_t i = 0; i < n; i++) {
        const double below = i + 1 < n ? fabs(beside[i]) : 0.0;
        const double sum = above + fabs(d[i]) + below;
        norm = sum > norm ? sum : norm;
        above = below;
    }
    return norm;
}

static void make_diagonal(double *d, uint32_t n, csp__eigen_scratch *s)
{
    const double negligible = EPSILON * norm_of(d, s->beside, n);
    uint32_t first = 0;

    s->n_rotations = s->n_sweeps = 0;
    while (first + 1 < n) {
        uint32_t last = first;
        while (last + 1 < n && fabs(s->beside[last]) > negligible)
            last++;
        if (last == first || s->n_sweeps == SWEEPS * (size_t)n ||
            s->n_rotations + (last - first) > rotations_for(n) * n)
            first++;
        else
            sweep(d, first, last, negligible, s);
    }
}

/* ---- Vectors ------------------------------------------------------------- */

/* The rotations of a sweep, those before 'end', last one first.  Each hands a
   row to the next. */
static void rotate_back(const csp__rotation *end, csp__sweep by, double *panel)
{
    double *row = panel + (size_t)by.first * PANEL;
    double above[PANEL];

    memcpy(above, row, sizeof above);
    for (uint32_t i = 0; i < by.n; i++) {
        end--;
        const double c = end->c, s = end->s;
        for (size_t j = 0; j < PANEL; j++) {
            const double below = row[PANEL + j];
            row[j] = c * above[j] + s * below;
            above[j] = c * below - s * above[j];
        }
        row += PANEL;
    }
    memcpy(row, above, sizeof above);
}

static void reflect_back(const double *v, size_t n, double tau, double *panel)
{
    double along[PANEL] = {0.0};

    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < PANEL; j++)
            along[j] += v[i] * panel[i * PANEL + j];
    for (size_t j = 0; j < PANEL; j++)
        along[j] *= tau;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < PANEL; j++)
            panel[i * PANEL + j] -= v[i] * along[j];
}

/* Vectors s->order[0..count) as the columns of s->panel. */
static void make_vectors(const double *a, size_t n, size_t count,
                         const uint32_t *order, const csp__eigen_scratch *s)
{
    const csp__rotation *end = s->rotations + s->n_rotations;

    memset(s->panel, 0, n * PANEL * sizeof *s->panel);
    for (size_t j = 0; j < count; j++)
        s->panel[(size_t)order[j] * PANEL + j] = 1.0;
    for (size_t i = s->n_sweeps; i-- > 0;) {
        rotate_back(end, s->sweeps[i], s->panel);
        end -= s->sweeps[i].n;
    }
    for (size_t i = 2; i < n; i++)
        if (s->tau[i] != 0.0)
            reflect_back(a + i * n, i, s->tau[i], s->panel);
}

/* Values in descending order, and where they were. */
static void sort(double *values, uint32_t *order, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        const double value = values[i];
        uint32_t at = i;
        for (; at > 0 && values[at - 1] < value; at--) {
            values[at] = values[at - 1];
            order[at] = order[at - 1];
        }
        values[at] = value;
        order[at] = i;
    }
}

/* ---- All of it ----------------------------------------------------------- */

/* The exponent of the largest element of the lower triangle. */
static int exponent_of(const double *a, size_t n)
{
    double most = 0.0;
    int exponent;

    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j <= i; j++) {
            const double x = fabs(a[i * n + j]);
            most = x > most ? x : most;
        }
    (void)frexp(most, &exponent);
    return exponent;
}

/* x *= 2^exponent, in two steps since one may be beyond a double. */
static void scale(double *x, size_t n, int exponent)
{
    const double some = ldexp(1.0, exponent / 2);
    const double rest = ldexp(1.0, exponent - exponent / 2);

    for (size_t i = 0; i < n; i++)
        x[i] = x[i] * some * rest;
}

void csp__eigen_carve(csp__eigen_scratch *s, uint32_t n, csp__arena *arena)
{
    s->beside = csp__arena_take(arena, 1, n, sizeof *s->beside);
    s->tau = csp__arena_take(arena, 1, n, sizeof *s->tau);
    s->work = csp__arena_take(arena, 1, n, sizeof *s->work);
    s->panel = csp__arena_take(arena, n, PANEL, sizeof *s->panel);
    s->order = csp__arena_take(arena, 1, n, sizeof *s->order);
    s->rotations =
        csp__arena_take(arena, n, rotations_for(n), sizeof *s->rotations);
    s->sweeps = csp__arena_take(arena, n, SWEEPS, sizeof *s->sweeps);
}

void csp__eigen(double *a, uint32_t n, uint32_t n_vectors,
                csp__eigen_scratch *s, double *vectors, double *values)
{
    const int exponent = exponent_of(a, n);

    for (size_t i = 0; i < n; i++)
        scale(a + i * n, i + 1, -exponent);
    make_tridiagonal(a, n, s, values);
    make_diagonal(values, n, s);
    sort(values, s->order, n);
    scale(values, n, exponent);
    for (uint32_t i = 0; i < n_vectors; i += PANEL) {
        const uint32_t count = n_vectors - i < PANEL ? n_vectors - i : PANEL;
        make_vectors(a, n, count, s->order + i, s);
        for (size_t j = 0; j < count; j++)
            for (size_t c = 0; c < n; c++)
                vectors[(i + j) * n + c] = s->panel[c * PANEL + j];
    }
}
