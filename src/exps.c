/*
 * exps.c - the exponentials of one row of logits
 *
 * A shift is an integer exponent, so it cancels without rounding and the
 * weights do not depend on it.  Logits beyond 2^18 would lose their fraction on
 * the way; such a row is moved next to zero in float first, as any softmax
 * does.
 */
#include "exps.h"

#include <math.h>

#include "numeric.h"

/* Logits that a shift fits: eighths of octaves are exact up to 2^22. */
#define MAX_LOGIT 0x1p18f

/* The largest guess: what is safe under it, 100 octaves more, is no larger a
   logit, so that a guess takes no row from where its maximum belongs. */
#define MAX_GUESS 378000

int csp__guess(int shift)
{
    const int guess = shift - 24;

    return guess >= -MAX_GUESS && guess <= MAX_GUESS ? guess : 0;
}

float csp__weight(double sum, double total)
{
    return sum > 0.0 ? (float)(1.0 / total) : 0.0f;
}

csp__exps csp__scale_of(float max)
{
    csp__exps exps = {.masked = max <= CSP__MASKED};

    if (exps.masked)
        return exps;
    if (fabsf(max) <= MAX_LOGIT)
        exps.shift = (int)floor((double)max * CSP__LOG2E + 0.5);
    else
        exps.offset = (double)max;
    return exps;
}

double csp__exp_scaled(const csp__kernels *kernels, csp_dtype dtype,
                       const void *x, size_t n, const csp__exps *exps, float *e)
{
    if (exps->masked) {
        for (size_t i = 0; i < n; i++)
            e[i] = 0.0f;
        return 0.0;
    }
    if (exps->offset == 0.0)
        return kernels->exp_row[dtype](x, n, exps->shift, e);
    if (x != (const void *)e)
        kernels->load[dtype](x, n, e);
    for (size_t i = 0; i < n; i++)
        e[i] = e[i] <= CSP__MASKED ? -INFINITY : e[i] - (float)exps->offset;
    return kernels->exp_row[CSP_F32](e, n, 0, e);
}

csp_status csp__exp_exactly(const csp__kernels *kernels, csp_dtype dtype,
                            const void *x, size_t n, float *e, csp__exps *exps)
{
    const float max = kernels->row_max[dtype](x, n);

    if (!csp__is_log(max))
        return CSP_E_NOT_FINITE;
    *exps = csp__scale_of(max);
    exps->sum = csp__exp_scaled(kernels, dtype, x, n, exps, e);
    return CSP_OK;
}

double csp__sink(const csp__exps *exps, double n)
{
    if (n == 0.0)
        return 0.0;
    return ldexp(n, -exps->shift) * csp__exp(-exps->offset);
}

double csp__sink_of_log(const csp__exps *exps, double log_n)
{
    return csp__exp(log_n - (double)exps->shift * CSP__LN2 - exps->offset);
}

double csp__log_sum(const csp__exps *exps)
{
    return csp__log(exps->sum) + (double)exps->shift * CSP__LN2 + exps->offset;
}
