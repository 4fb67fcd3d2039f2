/*
 * fma.h - a * b + c with one rounding, fast on every processor
 *
 * Where there is an instruction fmaf is it.  Elsewhere fmaf is a slow call, and
 * double nearly does: the product of two floats is exact there, and rounding
 * the sum first to double and then to float goes wrong only if the double lies
 * halfway between two floats, or below the normal ones, where floats are
 * coarser.  Those few go to fmaf.
 */
#ifndef CSP_FMA_H
#define CSP_FMA_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__FP_FAST_FMAF) || defined(__aarch64__) || defined(__s390x__) ||   \
    (defined(__riscv_flen) && __riscv_flen >= 32) || defined(__powerpc64__)
#define CSP__HAS_FMA
#endif

static inline float csp__fma(float a, float b, float c)
{
#if defined(CSP__HAS_FMA)
    return fmaf(a, b, c);
#else
    const double sum = (double)a * (double)b + (double)c;
    const float rounded = (float)sum;
    uint64_t bits;

    /* A double has 29 bits more; halfway is the first of them alone. */
    memcpy(&bits, &sum, sizeof bits);
    if ((bits & 0x1fffffff) == 0x10000000 ||
        (fabs(sum) < 0x1p-126 && sum != 0.0))
        return fmaf(a, b, c);
    return rounded;
#endif
}

#endif
