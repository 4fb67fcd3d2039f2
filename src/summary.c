/*
 * summary.c - moments made small: means and low-rank factors (E11)
 *
 * The covariance of keys keeps its largest eigenvectors and the mean of the
 * other eigenvalues.  The cross-covariance C with values is cut to its largest
 * singular vectors: u_i of C C', with C' u_i beside each.
 */
#include <math.h>
#include <string.h>

#include "eigen.h"
#include "moments.h"
#include "numeric.h"
#include "views.h"
#include "workspace.h"

#define LARGEST_F16 65504.0
#define LARGEST_F32 0x1p127 /* and bf16, with room to round */

typedef struct scratch {
    double *covariance; /* [key_dim][key_dim], lower triangle */
    double *cross;      /* [key_dim][value_dim] */
    double *vectors;    /* [key_dim][key_dim] */
    double *values;     /* [key_dim] */
    double *product;    /* [value_dim] */
    float *row;         /* [max(key_dim, value_dim)] */
    csp__eigen_scratch eigen;
} scratch;

static void carve(scratch *s, uint32_t key_dim, uint32_t value_dim,
                  csp__arena *arena)
{
    const uint32_t widest = key_dim > value_dim ? key_dim : value_dim;

    s->covariance = csp__arena_take(arena, key_dim, key_dim, sizeof(double));
    s->cross = csp__arena_take(arena, key_dim, value_dim, sizeof(double));
    s->vectors = csp__arena_take(arena, key_dim, key_dim, sizeof(double));
    s->values = csp__arena_take(arena, 1, key_dim, sizeof(double));
    s->product = csp__arena_take(arena, 1, value_dim, sizeof(double));
    s->row = csp__arena_take(arena, 1, widest, sizeof(float));
    csp__eigen_carve(&s->eigen, key_dim, arena);
}

/* ---- Rows of a summary --------------------------------------------------- */

typedef struct shape {
    size_t key_rows, value_rows;
} shape;

static shape shape_of(const csp_summary *s)
{
    return (shape){.key_rows = 1 + 2 * (size_t)s->rank,
                   .value_rows = 1 + (size_t)s->rank};
}

static unsigned char *key_row(const csp_summary *s, size_t g, size_t i)
{
    return (unsigned char *)s->keys + (g * shape_of(s).key_rows + i) *
                                          s->key_dim *
                                          csp__dtype_size(s->dtype);
}

static unsigned char *value_row(const csp_summary *s, size_t g, size_t i)
{
    return (unsigned char *)s->values + (g * shape_of(s).value_rows + i) *
                                            s->value_dim *
                                            csp__dtype_size(s->dtype);
}

csp_status csp__check_summary(const csp_summary *s, bool shapes_only)
{
    size_t size;

    if (s == NULL)
        return CSP_E_NULL;
    if ((unsigned)s->dtype > CSP_BF16)
        return CSP_E_DTYPE;
    if (s->n_kv_heads == 0 || s->key_dim == 0 || s->value_dim == 0 ||
        s->rank > s->key_dim)
        return CSP_E_SHAPE;
    const size_t widest = s->key_dim > s->value_dim ? s->key_dim : s->value_dim;
    /* One row more, for the two floats of a head. */
    if (!csp__add(s->rank, 1, &size) || !csp__mul(size, 2, &size) ||
        !csp__mul(size, s->n_kv_heads, &size) ||
        !csp__mul(size, widest, &size) ||
        !csp__mul(size, sizeof(double), &size))
        return CSP_E_OVERFLOW;
    if (!shapes_only && (s->keys == NULL || s->values == NULL ||
                         s->log_count == NULL || s->variance == NULL))
        return CSP_E_NULL;
    return CSP_OK;
}

void csp__summary_load(const csp__kernels *kernels, const csp_summary *summary,
                       uint32_t kv_head, float *keys, float *values)
{
    const shape n = shape_of(summary);

    kernels->load[summary->dtype](key_row(summary, kv_head, 0),
                                  n.key_rows * summary->key_dim, keys);
    kernels->load[summary->dtype](value_row(summary, kv_head, 0),
                                  n.value_rows * summary->value_dim, values);
}

/* ---- Moments -> summary -------------------------------------------------- */

/* Central moments of a KV head in s->covariance and s->cross. */
static void center(const csp_moments *m, size_t g, scratch *s)
{
    const size_t dk = m->key_dim, dv = m->value_dim;
    const double *key = m->key + g * dk, *value = m->value + g * dv;
    const double n = m->count[g];

    for (size_t i = 0; i < dk; i++) {
        const double mean = key[i] / n;
        const double *kk = m->key_key + (g * dk + i) * dk;
        const double *kv = m->key_value + (g * dk + i) * dv;
        for (size_t j = 0; j <= i; j++)
            s->covariance[i * dk + j] = kk[j] / n - mean * (key[j] / n);
        for (size_t j = 0; j < dv; j++)
            s->cross[i * dv + j] = kv[j] / n - mean * (value[j] / n);
    }
}

static void store(const csp__kernels *k, const csp_summary *s, const float *row,
                  size_t n, unsigned char *to)
{
    k->store[s->dtype](row, 1.0f, n, to);
}

static void store_mean(const csp__kernels *k, const csp_summary *to,
                       const double *sums, double n, size_t dim, float *row,
                       unsigned char *where)
{
    for (size_t i = 0; i < dim; i++)
        row[i] = (float)(sums[i] / n);
    store(k, to, row, dim, where);
}

/* Mean of the eigenvalues of S after the first 'rank'; no spread is below 0. */
static double rest_of(const scratch *s, size_t dk, size_t rank)
{
    double sum = 0.0;

    if (rank == dk)
        return 0.0;
    for (size_t i = rank; i < dk; i++)
        sum += rank == 0 ? s->covariance[i * (dk + 1)] : s->values[i];
    return sum > 0.0 ? sum / (double)(dk - rank) : 0.0;
}

/*
 * S = variance I + sum of rows 1..rank of keys, each times its transpose: exact
 * along the first eigenvectors, the mean of the other eigenvalues elsewhere,
 * which without vectors is that of the diagonal.
 */
static void store_spread(const csp__kernels *k, const csp_summary *to, size_t g,
                         scratch *s)
{
    const uint32_t dk = to->key_dim;

    if (to->rank > 0)
        csp__eigen(s->covariance, dk, to->rank, &s->eigen, s->vectors,
                   s->values);
    const double rest = rest_of(s, dk, to->rank);
    to->variance[g] = (float)rest;
    for (size_t i = 0; i < to->rank; i++) {
        const double more = s->values[i] - rest;
        const double deviation = more > 0.0 ? sqrt(more) : 0.0;
        for (size_t j = 0; j < dk; j++)
            s->row[j] = (float)(deviation * s->vectors[i * dk + j]);
        store(k, to, s->row, dk, key_row(to, g, 1 + i));
    }
}

/* s->row = C' u. */
static void project(const double *u, size_t dk, size_t dv, scratch *s)
{
    memset(s->product, 0, dv * sizeof *s->product);
    for (size_t j = 0; j < dk; j++)
        for (size_t c = 0; c < dv; c++)
            s->product[c] += s->cross[j * dv + c] * u[j];
    for (size_t c = 0; c < dv; c++)
        s->row[c] = (float)s->product[c];
}

/* Rows rank + 1..2 rank of keys are u_i, rows 1..rank of values C' u_i. */
static void store_cross(const csp__kernels *k, const csp_summary *to, size_t g,
                        scratch *s)
{
    const size_t dk = to->key_dim, dv = to->value_dim;

    for (size_t i = 0; i < dk; i++)
        for (size_t j = 0; j <= i; j++)
            s->covariance[i * dk + j] =
                csp__dot(s->cross + i * dv, s->cross + j * dv, dv);
    csp__eigen(s->covariance, to->key_dim, to->rank, &s->eigen, s->vectors,
               s->values);
    for (size_t i = 0; i < to->rank; i++) {
        const double *u = s->vectors + i * dk;
        for (size_t j = 0; j < dk; j++)
            s->row[j] = (float)u[j];
        store(k, to, s->row, dk, key_row(to, g, 1 + to->rank + i));
        project(u, dk, dv, s);
        store(k, to, s->row, dv, value_row(to, g, 1 + i));
    }
}

static void store_nothing(const csp_summary *to, size_t g)
{
    const shape n = shape_of(to);
    const size_t size = csp__dtype_size(to->dtype);

    memset(key_row(to, g, 0), 0, n.key_rows * to->key_dim * size);
    memset(value_row(to, g, 0), 0, n.value_rows * to->value_dim * size);
    to->variance[g] = 0.0f;
    to->log_count[g] = -INFINITY;
}

static void summarise_head(const csp__kernels *k, const csp_moments *m,
                           const csp_summary *to, size_t g, scratch *s)
{
    const double n = m->count[g];

    if (n == 0.0) {
        store_nothing(to, g);
        return;
    }
    center(m, g, s);
    to->log_count[g] = (float)csp__log(n);
    store_mean(k, to, m->key + g * m->key_dim, n, m->key_dim, s->row,
               key_row(to, g, 0));
    store_mean(k, to, m->value + g * m->value_dim, n, m->value_dim, s->row,
               value_row(to, g, 0));
    store_spread(k, to, g, s);
    if (to->rank > 0)
        store_cross(k, to, g, s);
}

/* Largest magnitude of n sums divided by 'count'; NaN if one is not finite. */
static double largest(const double *x, size_t n, double count)
{
    double most = 0.0;

    for (size_t i = 0; i < n; i++) {
        const double y = fabs(x[i]) / count;
        if (!(y <= DBL_MAX))
            return (double)NAN;
        most = y > most ? y : most;
    }
    return most;
}

/* Square of the Frobenius norm of S as center() makes it, and of C. */
static void square_norms(const csp_moments *m, size_t g, double *spread,
                         double *cross)
{
    const size_t dk = m->key_dim, dv = m->value_dim;
    const double *key = m->key + g * dk, *value = m->value + g * dv;
    const double n = m->count[g];

    *spread = *cross = 0.0;
    for (size_t i = 0; i < dk; i++) {
        const double mean = key[i] / n;
        const double *kk = m->key_key + (g * dk + i) * dk;
        const double *kv = m->key_value + (g * dk + i) * dv;
        for (size_t j = 0; j <= i; j++) {
            const double c = kk[j] / n - mean * (key[j] / n);
            *spread += j == i ? c * c : 2.0 * c * c;
        }
        for (size_t j = 0; j < dv; j++) {
            const double c = kv[j] / n - mean * (value[j] / n);
            *cross += c * c;
        }
    }
}

/*
 * Whether what is stored will be finite.  Means are bounded by the largest one,
 * eigenvalues by S's Frobenius norm, even if S is no covariance, and C' u by
 * C's.
 */
static bool fits(const csp_moments *m, size_t g, csp_dtype dtype)
{
    const size_t dk = m->key_dim, dv = m->value_dim;
    const double n = m->count[g];
    const double most = dtype == CSP_F16 ? LARGEST_F16 : LARGEST_F32;
    const double most_spread = dtype == CSP_F16 ? most * most : LARGEST_F32;
    double spread, cross;

    if (n == 0.0)
        return true;
    if (!(n > 0.0 && n <= DBL_MAX) ||
        !(largest(m->key + g * dk, dk, n) <= most) ||
        !(largest(m->value + g * dv, dv, n) <= most) ||
        !(largest(m->key_key + g * dk * dk, dk * dk, n) <= 0x1p300) ||
        !(largest(m->key_value + g * dk * dv, dk * dv, n) <= 0x1p300))
        return false;
    square_norms(m, g, &spread, &cross);
    return spread <= most_spread * most_spread && cross <= most * most;
}

static size_t measure(uint32_t key_dim, uint32_t value_dim)
{
    csp__arena arena = {0};
    scratch s;

    carve(&s, key_dim, value_dim, &arena);
    return csp__arena_size(&arena);
}

size_t csp_summarise_workspace_size(uint32_t key_dim, uint32_t value_dim)
{
    return key_dim > 0 && value_dim > 0 ? measure(key_dim, value_dim) : 0;
}

size_t csp_summary_size(const csp_summary *summary)
{
    if (csp__check_summary(summary, true) != CSP_OK)
        return 0;
    const shape n = shape_of(summary);
    return summary->n_kv_heads * (csp__dtype_size(summary->dtype) *
                                      (n.key_rows * summary->key_dim +
                                       n.value_rows * summary->value_dim) +
                                  2 * sizeof(float));
}

csp_status csp_summarise(const csp_moments *moments, void *workspace,
                         size_t workspace_size, const csp_summary *summary)
{
    csp__kernels kernels;
    scratch s;
    csp_status status;

    if ((status = csp__check_moments(moments)) != CSP_OK ||
        (status = csp__check_summary(summary, false)) != CSP_OK)
        return status;
    if (!csp__same_shape(summary, moments))
        return CSP_E_SHAPE;
    status =
        csp__check_workspace(workspace, workspace_size,
                             measure(moments->key_dim, moments->value_dim));
    if (status != CSP_OK)
        return status;
    for (size_t g = 0; g < moments->n_kv_heads; g++)
        if (!fits(moments, g, summary->dtype))
            return CSP_E_NOT_FINITE;
    csp__kernels_choose(NULL, &kernels);
    csp__arena arena = csp__arena_over(workspace);
    carve(&s, moments->key_dim, moments->value_dim, &arena);
    for (size_t g = 0; g < moments->n_kv_heads; g++)
        summarise_head(&kernels, moments, summary, g, &s);
    return CSP_OK;
}
