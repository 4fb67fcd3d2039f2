/*
 * nsoftmax.c - n-softmax of rows (E1)
 *
 * Rows go through a small buffer in pieces: once for the sum under the row's
 * own maximum, once for the weights, so that no row needs scratch.  Numerator
 * and denominator carry the same scale, the sink's share of the denominator
 * too, so nothing overflows.
 */
#include <float.h>

#include "config.h"
#include "exps.h"
#include "numeric.h"
#include "views.h"

/* Keys of a row treated together. */
#define CHUNK ((size_t)CSP__BLOCK)

typedef struct job {
    const csp__kernels *kernels;
    const csp_tensor *logits;
    double n;
    const float *sink_logits;
    unsigned char *weights;
    size_t size; /* of an element */
} job;

static size_t chunk_size(size_t n, size_t begin)
{
    return n - begin < CHUNK ? n - begin : CHUNK;
}

static void soften_row(const job *j, size_t h, size_t r)
{
    const csp__kernels *k = j->kernels;
    const csp_tensor *t = j->logits;
    const size_t n = t->n_cols;
    const unsigned char *row = csp__row_at(t, h, r);
    unsigned char *out = j->weights + h * t->head_stride + r * t->row_stride;
    csp__exps exps = csp__scale_of(k->row_max[t->dtype](row, n));
    float e[CHUNK];
    float factor = 0.0f;

    for (size_t begin = 0; begin < n; begin += CHUNK)
        exps.sum += csp__exp_scaled(k, t->dtype, row + begin * j->size,
                                    chunk_size(n, begin), &exps, e);
    if (!exps.masked) {
        double sink = j->sink_logits != NULL
                          ? csp__sink_of_log(&exps, (double)j->sink_logits[h])
                          : csp__sink(&exps, j->n);
        factor = (float)(1.0 / (sink + exps.sum));
    }
    for (size_t begin = 0; begin < n; begin += CHUNK) {
        const size_t count = chunk_size(n, begin);
        csp__exp_scaled(k, t->dtype, row + begin * j->size, count, &exps, e);
        k->store[t->dtype](e, factor, count, out + begin * j->size);
    }
}

/* Every row's maximum must be a number or -inf, before a row is written. */
static csp_status check_numbers(const job *j)
{
    const csp_tensor *t = j->logits;

    for (size_t h = 0; h < t->n_heads; h++) {
        if (j->sink_logits != NULL && !csp__is_log(j->sink_logits[h]))
            return CSP_E_NOT_FINITE;
        for (size_t r = 0; r < t->n_rows; r++) {
            float max =
                j->kernels->row_max[t->dtype](csp__row_at(t, h, r), t->n_cols);
            if (!csp__is_log(max))
                return CSP_E_NOT_FINITE;
        }
    }
    return CSP_OK;
}

csp_status csp_nsoftmax(const csp_tensor *logits, double n,
                        const float *sink_logits, const csp_compute *compute,
                        void *weights)
{
    csp__kernels kernels;
    size_t extent;

    if (logits == NULL)
        return CSP_E_NULL;
    csp_status status = csp__check_tensor(logits, false, true, &extent);
    if (status != CSP_OK)
        return status;
    if (!(n >= 0.0 && n <= DBL_MAX))
        return CSP_E_CONFIG;
    if ((status = csp__check_compute(compute)) != CSP_OK)
        return status;
    csp__kernels_choose(compute, &kernels);
    if (extent == 0)
        return CSP_OK;
    if (weights == NULL)
        return CSP_E_NULL;
    if (weights != logits->data &&
        csp__overlap(weights, extent, logits->data, extent))
        return CSP_E_OVERLAP;

    const job j = {.kernels = &kernels,
                   .logits = logits,
                   .n = n,
                   .sink_logits = sink_logits,
                   .weights = weights,
                   .size = csp__dtype_size(logits->dtype)};
    status = check_numbers(&j);
    for (size_t h = 0; h < logits->n_heads && status == CSP_OK; h++)
        for (size_t r = 0; r < logits->n_rows; r++)
            soften_row(&j, h, r);
    return status;
}
