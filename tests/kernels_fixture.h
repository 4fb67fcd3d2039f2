/*
 * kernels_fixture.h - rows of every type that end at a guard page
 */
#ifndef KERNELS_FIXTURE_H
#define KERNELS_FIXTURE_H

#include "test.h"

#include <float.h>

#include "kernels.h"
#include "numeric.h"

#define MAX_N 1100 /* two blocks of a long sum and some */

static inline csp__kernels kernels_of(csp_tier tier)
{
    const csp_compute compute = {.tier = tier, .product = CSP_PATH_KERNEL};
    csp__kernels kernels;

    csp__kernels_choose(&compute, &kernels);
    return kernels;
}

static const csp_tier tiers[] = {CSP_TIER_SCALAR, CSP_TIER_AVX2,
                                 CSP_TIER_AVX512, CSP_TIER_NEON};

static const float hostile[] = {0.0f,      -0.0f,     1.0f,   -1.0f,
                                -INFINITY, 0x1p-149f, 50.0f,  -FLT_MAX,
                                2.5f,      -1e30f,    -88.0f, 0x1p-126f};

/* n numbers of a type, ending at a guard page. */
static inline guarded row_of(csp_dtype dtype, size_t n, size_t seed)
{
    unsigned char bytes[4 * MAX_N];

    for (size_t i = 0; i < n; i++) {
        float x = hostile[(i * 7 + seed) % COUNT(hostile)];
        uint16_t half = dtype == CSP_F16 ? csp__to_f16(x) : csp__to_bf16(x);
        if (dtype == CSP_F32)
            memcpy(bytes + 4 * i, &x, 4);
        else
            memcpy(bytes + 2 * i, &half, 2);
    }
    return guard(bytes, n * (dtype == CSP_F32 ? 4 : 2));
}

static inline float number_at(csp_dtype dtype, const guarded *row, size_t i)
{
    uint16_t half;
    float x;

    if (dtype == CSP_F32) {
        memcpy(&x, row->data + 4 * i, 4);
        return x;
    }
    memcpy(&half, row->data + 2 * i, 2);
    return dtype == CSP_F16 ? csp__from_f16(half) : csp__from_bf16(half);
}

static inline float logit_at(csp_dtype dtype, const guarded *row, size_t i)
{
    float x = number_at(dtype, row, i);
    return dtype == CSP_F16 && x <= -65504.0f ? -INFINITY : x;
}

/* The sum in 16 lanes, and that in blocks, that every tier must give. */
static inline float sum_in_lanes(const float *x, size_t n)
{
    float lanes[16] = {0.0f};

    for (size_t i = 0; i < n; i++)
        lanes[i % 16] += x[i];
    for (size_t width = 8; width > 0; width /= 2)
        for (size_t i = 0; i < width; i++)
            lanes[i] += lanes[i + width];
    return lanes[0];
}

static inline double sum_in_blocks(const float *x, size_t n)
{
    double sum = 0.0;

    for (size_t i = 0; i < n; i += 512)
        sum += (double)sum_in_lanes(x + i, n - i < 512 ? n - i : 512);
    return sum;
}

static const size_t long_rows[] = {511, 512, 513, 527, 528, 1024, 1025, 1100};

typedef void (*check)(const csp__kernels *k, csp_dtype dtype, size_t n);

/* On each tier of this CPU, type and length. */
static inline void for_all(check run)
{
    for (size_t t = 0; t < COUNT(tiers); t++) {
        if (!csp_has_tier(tiers[t]))
            continue;
        const csp__kernels k = kernels_of(tiers[t]);
        for (int dtype = 0; dtype < CSP__N_DTYPES; dtype++)
            for (size_t n = 0; n <= 70; n++)
                run(&k, (csp_dtype)dtype, n);
        for (int dtype = 0; dtype < CSP__N_DTYPES; dtype++)
            for (size_t i = 0; i < COUNT(long_rows); i++)
                run(&k, (csp_dtype)dtype, long_rows[i]);
    }
}

#endif
