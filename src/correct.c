/*
 * correct.c - attention outputs corrected for dropped tokens (E9, E10)
 */
#include <math.h>
#include <string.h>

#include "kernels.h"
#include "numeric.h"
#include "views.h"

/* Channels corrected together. */
#define CHUNK 256u

/* What the checks establish. */
typedef struct job {
    const csp_tensor *outputs;
    const csp_tensor *lse;
    csp_lse_unit unit;
    const float *sink_logits;
    const float *residual;
    unsigned char *corrected;
} job;

static float lse_at(const csp_tensor *lse, size_t h, size_t r)
{
    float x;
    memcpy(&x, csp__row_at(lse, h, r), sizeof x);
    return x;
}

/*
 * s = 1 / (1 + n exp(-lse)), the kept keys' share of the mass.  Nothing
 * dropped: 1, even for a row that saw no kept key.
 */
static float share_of_kept(const job *j, size_t h, size_t r)
{
    double lse = (double)lse_at(j->lse, h, r);
    double sink = (double)j->sink_logits[h];

    if (sink == -(double)INFINITY)
        return 1.0f;
    if (j->unit == CSP_LSE_BASE2)
        lse *= CSP__LN2;
    return (float)(1.0 / (1.0 + csp__exp(sink - lse)));
}

static void copy_row(const unsigned char *in, size_t stride, size_t size,
                     size_t n, unsigned char *out)
{
    for (size_t i = 0; i < n && in != out; i++)
        memcpy(out + i * stride, in + i * stride, size);
}

static void correct_row(const csp__kernels *k, const job *j, size_t h, size_t r)
{
    const csp_tensor *t = j->outputs;
    const size_t offset = h * t->head_stride + r * t->row_stride;
    const unsigned char *in = (const unsigned char *)t->data + offset;
    unsigned char *out = j->corrected + offset;
    const float share = share_of_kept(j, h, r);
    float chunk[CHUNK];

    if (share == 1.0f) { /* bit for bit, which a conversion of NaN is not */
        copy_row(in, t->col_stride, csp__dtype_size(t->dtype), t->n_cols, out);
        return;
    }
    for (size_t begin = 0; begin < t->n_cols; begin += CHUNK) {
        const size_t n = t->n_cols - begin < CHUNK ? t->n_cols - begin : CHUNK;
        csp__load(k, t, in + begin * t->col_stride, n, chunk);
        for (size_t i = 0; i < n; i++) {
            float mean = j->residual != NULL
                             ? j->residual[h * t->n_cols + begin + i]
                             : 0.0f;
            chunk[i] = share > 0.0f ? fmaf(share, chunk[i] - mean, mean) : mean;
        }
        csp__store(k, t, chunk, n, out + begin * t->col_stride);
    }
}

static csp_status check_numbers(const job *j)
{
    const csp_tensor *t = j->outputs;

    for (size_t h = 0; h < t->n_heads; h++) {
        if (!csp__is_log(j->sink_logits[h]))
            return CSP_E_NOT_FINITE;
        for (size_t r = 0; r < t->n_rows; r++)
            if (!csp__is_log(lse_at(j->lse, h, r)))
                return CSP_E_NOT_FINITE;
        for (size_t i = 0; j->residual != NULL && i < t->n_cols; i++)
            if (!csp__is_finite(j->residual[h * t->n_cols + i]))
                return CSP_E_NOT_FINITE;
    }
    return CSP_OK;
}

static csp_status check_views(const job *j)
{
    const csp_tensor *lse = j->lse;
    size_t extent, lse_extent;

    csp_status status = csp__check_tensor(j->outputs, false, false, &extent);
    if (status != CSP_OK)
        return status;
    if (lse->dtype != CSP_F32)
        return CSP_E_DTYPE;
    if (lse->n_heads != j->outputs->n_heads ||
        lse->n_rows != j->outputs->n_rows || lse->n_cols != 1)
        return CSP_E_SHAPE;
    if ((status = csp__check_tensor(lse, true, false, &lse_extent)) != CSP_OK)
        return status;
    if (extent > 0 && (j->sink_logits == NULL || j->corrected == NULL))
        return CSP_E_NULL;
    if ((j->corrected != j->outputs->data &&
         csp__overlap(j->corrected, extent, j->outputs->data, extent)) ||
        csp__overlap(j->corrected, extent, lse->data, lse_extent))
        return CSP_E_OVERLAP;
    return extent > 0 ? check_numbers(j) : CSP_OK;
}

csp_status csp_correct(const csp_tensor *outputs, const csp_tensor *lse,
                       csp_lse_unit unit, const float *sink_logits,
                       const float *residual, void *corrected)
{
    const job j = {.outputs = outputs,
                   .lse = lse,
                   .unit = unit,
                   .sink_logits = sink_logits,
                   .residual = residual,
                   .corrected = corrected};
    csp__kernels kernels;

    if (outputs == NULL || lse == NULL)
        return CSP_E_NULL;
    if ((unsigned)unit > CSP_LSE_BASE2)
        return CSP_E_CONFIG;
    csp_status status = check_views(&j);
    if (status != CSP_OK || outputs->n_cols == 0)
        return status;
    csp__kernels_choose(NULL, &kernels);
    for (size_t h = 0; h < outputs->n_heads; h++)
        for (size_t r = 0; r < outputs->n_rows; r++)
            correct_row(&kernels, &j, h, r);
    return CSP_OK;
}
