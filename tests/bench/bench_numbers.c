/*
 * bench_numbers.c - random numbers, and floats in other types
 */
#include "scene.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define TAU 6.283185307179586

/* ---- Random numbers ------------------------------------------------------ */

/* SplitMix64 (Steele, Lea, Flood 2014). */
double random_uniform(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);

    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    z ^= z >> 31;
    return (double)(z >> 11) * 0x1p-53;
}

/* Box and Muller's two at a time. */
void random_normal(uint64_t *state, double deviation, float *x, size_t n)
{
    for (size_t i = 0; i < n; i += 2) {
        const float u = (float)(1.0 - random_uniform(state));
        const float angle = (float)(TAU * random_uniform(state));
        const float radius = (float)deviation * sqrtf(-2.0f * logf(u));
        x[i] = radius * cosf(angle);
        if (i + 1 < n)
            x[i + 1] = radius * sinf(angle);
    }
}

/* ---- Types --------------------------------------------------------------- */

const char *dtype_name(csp_dtype dtype)
{
    switch (dtype) {
    case CSP_F32:
        return "f32";
    case CSP_F16:
        return "f16";
    case CSP_BF16:
        return "bf16";
    }
    return "";
}

size_t dtype_size(csp_dtype dtype)
{
    return dtype == CSP_F32 ? sizeof(float) : sizeof(uint16_t);
}

/* Nearest, ties to even; below the range of f16 the lowest it has. */
static uint16_t to_f16(float x)
{
    const float size = fabsf(x);
    uint32_t bits, low;

    memcpy(&bits, &x, sizeof bits);
    const uint32_t sign = bits >> 16 & 0x8000u;
    if (size >= 65504.0f)
        return (uint16_t)(sign | 0x7bffu);
    if (size < 0x1p-14f)
        return (uint16_t)(sign | (uint32_t)lrintf(size * 0x1p24f));
    memcpy(&low, &size, sizeof low);
    low += 0xfffu + (low >> 13 & 1u);
    return (uint16_t)(sign | (low - (112u << 23)) >> 13);
}

/* Nearest, ties to even; the lowest float would round to -inf. */
static uint16_t to_bf16(float x)
{
    uint32_t bits;

    if (x <= -FLT_MAX)
        return 0xff7fu;
    memcpy(&bits, &x, sizeof bits);
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

void store_numbers(csp_dtype dtype, const float *x, size_t n, size_t at,
                   void *to)
{
    uint16_t *half = (uint16_t *)to + at;

    if (dtype == CSP_F32)
        memcpy((float *)to + at, x, n * sizeof *x);
    else
        for (size_t i = 0; i < n; i++)
            half[i] = dtype == CSP_F16 ? to_f16(x[i]) : to_bf16(x[i]);
}
