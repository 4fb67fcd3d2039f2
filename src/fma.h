/*
 * fma.h - a * b + c with one rounding, sixteen at a time, fast without FMA
 *
 * Where there is an instruction, fmaf is it.  Elsewhere fmaf is a slow call,
 * and double nearly does: the product of two floats is exact there, and
 * rounding the sum first to double and then to float goes wrong only if the
 * double lies halfway between two floats, or not above the least normal one,
 * below which floats are coarser.  Such a sum is noticed, not repaired, so that
 * a compiler can do several at once; then all sixteen are done again by fmaf.
 */
#ifndef CSP_FMA_H
#define CSP_FMA_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__FP_FAST_FMAF) || defined(__FMA__) || defined(__aarch64__) ||     \
    defined(__s390x__) || (defined(__riscv_flen) && __riscv_flen >= 32) ||     \
    defined(__powerpc64__)
#define CSP__HAS_FMA 1
#else
#define CSP__HAS_FMA 0
#endif

/* A double has 29 bits more; halfway is the first of them alone. */
static inline uint32_t csp__is_halfway(double sum)
{
    uint64_t bits;
    memcpy(&bits, &sum, sizeof bits);
    return (uint32_t)bits << 3 == UINT32_C(0x80000000);
}

/*
 * a * b + c of floats, given as doubles, where the result is 0 or a normal
 * float.  *doubt becomes nonzero if it may be rounded wrong.
 */
static inline float csp__fma_or_doubt(double a, double b, double c,
                                      uint32_t *doubt)
{
    if (CSP__HAS_FMA)
        return fmaf((float)a, (float)b, (float)c);
    const double sum = a * b + c;
    *doubt |= csp__is_halfway(sum);
    return (float)sum;
}

/* c[i] = a[i] * b[i] + c[i], sixteen of them, any numbers. */
static inline void csp__fma16(const float *a, const float *b, float *c)
{
    float sums[16];
    uint32_t doubt = 0;

    for (int i = 0; i < 16; i++)
        sums[i] =
            csp__fma_or_doubt((double)a[i], (double)b[i], (double)c[i], &doubt);
    for (int i = 0; i < 16; i++)
        doubt |= (fabsf(sums[i]) <= 0x1p-126f) & (a[i] != 0.0f);
    if (!CSP__HAS_FMA && doubt != 0)
        for (int i = 0; i < 16; i++)
            sums[i] = fmaf(a[i], b[i], c[i]);
    memcpy(c, sums, sizeof sums);
}

#endif
