/*
 * numeric.h - number formats, orderings and elementary functions
 *
 * Own code because results must be the same bits everywhere: no libm function
 * but the correctly rounded ones (fmaf, sqrtf, sqrt) and the exact ones (ldexp)
 * touches a result.
 */
#ifndef CSP_NUMERIC_H
#define CSP_NUMERIC_H

#include <float.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* FLT_EVAL_METHOD 16 is 0 for float: it says that halves stay halves. */
#if defined(__FAST_MATH__) ||                                                  \
    (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__) ||                 \
    (FLT_EVAL_METHOD != 0 && FLT_EVAL_METHOD != 16)
/* i386 wants -msse2 -mfpmath=sse, s390x -fexcess-precision=fast. */
#error "IEEE floats only: no -ffast-math, no x87, no floats kept in double"
#endif

/* A fused a * b + c rounds once; results would differ from CPU to CPU.  GCC
   does not know the standard's pragma, clang not GCC's. */
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off")
#endif

#define CSP__LN2 0x1.62e42fefa39efp-1
#define CSP__LOG2E 0x1.71547652b82fep+0

/* e^x and ln x in double, within 2 ulp; IEEE at the ends (NaN, inf, 0,
   overflow). */
double csp__exp(double x);
double csp__log(double x);

static inline uint32_t csp__float_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float csp__float_of(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline bool csp__is_finite(float x)
{
    return (csp__float_bits(x) & 0x7f800000u) != 0x7f800000u;
}

/* Finite, or -inf: what a logarithm of a mass can be. */
static inline bool csp__is_log(float x)
{
    return csp__is_finite(x) || x < 0.0f;
}

/* Sixteen partial sums put together, halves of 8, 4, 2, 1. */
static inline float csp__fold(float partial[16])
{
    for (int width = 8; width > 0; width /= 2)
        for (int i = 0; i < width; i++)
            partial[i] += partial[i + width];
    return partial[0];
}

/* x[0..n) . y[0..n) in eight partial sums, so that a compiler can take vectors
   of any width without other bits. */
static inline double csp__dot(const double *x, const double *y, size_t n)
{
    double partial[8] = {0.0};
    size_t i = 0;

    for (; n - i >= 8; i += 8)
        for (size_t j = 0; j < 8; j++)
            partial[j] += x[i + j] * y[i + j];
    for (size_t j = 0; i + j < n; j++)
        partial[j] += x[i + j] * y[i + j];
    for (size_t width = 4; width > 0; width /= 2)
        for (size_t j = 0; j < width; j++)
            partial[j] += partial[j + width];
    return partial[0];
}

static inline float csp__from_bf16(uint16_t h)
{
    return csp__float_of((uint32_t)h << 16);
}

/* Exact.  No half is a subnormal float, so subnormal halves are scaled
   arithmetically. */
static inline float csp__from_f16(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16;
    uint32_t exponent = (h >> 10) & 31u;
    uint32_t mantissa = h & 1023u;

    if (exponent == 31)
        return csp__float_of(sign | 0x7f800000u | mantissa << 13);
    if (exponent != 0)
        return csp__float_of(sign | (exponent + 112) << 23 | mantissa << 13);
    float tiny = (float)mantissa * 0x1p-24f;
    return csp__float_of(sign | csp__float_bits(tiny));
}

/* Nearest, ties to even; NaN stays a quiet NaN. */
static inline uint16_t csp__to_bf16(float x)
{
    uint32_t bits = csp__float_bits(x);

    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)(bits >> 16 | 0x40u);
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

static inline uint16_t csp__to_f16(float x)
{
    uint32_t bits = csp__float_bits(x);
    uint32_t sign = bits >> 16 & 0x8000u;
    uint32_t magnitude = bits & 0x7fffffffu;

    if (magnitude > 0x7f800000u)
        return (uint16_t)(sign | 0x7e00u | (magnitude >> 13 & 0x3ffu));
    if (magnitude >= 0x477ff000u) /* 65520 and more round to infinity */
        return (uint16_t)(sign | 0x7c00u);
    if (magnitude >= 0x38800000u) { /* 2^-14: normal halves */
        uint32_t rounded = magnitude + 0xfffu + (magnitude >> 13 & 1u);
        return (uint16_t)(sign | ((rounded - 0x38000000u) >> 13));
    }
    /* Subnormal halves are multiples of 2^-24, and 0.5 + x rounds x to
       those. */
    float sum = 0.5f + csp__float_of(magnitude);
    return (uint16_t)(sign | (csp__float_bits(sum) - 0x3f000000u));
}

/*
 * A number whose unsigned order is the order of floats, -0 equal to +0, NaN
 * below all, and which is never 0, so that 0 can stand below them.
 */
static inline uint32_t csp__order_of(float x)
{
    uint32_t bits = csp__float_bits(x + 0.0f);

    if (x != x)
        return 1;
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

#endif
