/*
 * kernels_scalar.c - the inner loops in portable C
 *
 * The reference for every other tier, bit for bit.  Each loop over typed rows
 * is written once, for a load function that the compiler inlines.
 */
#include "kernels.h"

#include <math.h>
#include <string.h>

#include "exponential.h"
#include "fma.h"
#include "numeric.h"

#define LANES 16

typedef float (*load_one)(const unsigned char *x);

static inline float load_f32(const unsigned char *x)
{
    float y;
    memcpy(&y, x, sizeof y);
    return y;
}

static inline float load_f16(const unsigned char *x)
{
    uint16_t h;
    memcpy(&h, x, sizeof h);
    return csp__from_f16(h);
}

static inline float load_bf16(const unsigned char *x)
{
    uint16_t h;
    memcpy(&h, x, sizeof h);
    return csp__from_bf16(h);
}

/* As a logit the lowest half means masked. */
static inline float load_f16_logit(const unsigned char *x)
{
    float y = load_f16(x);
    return y <= CSP__MASKED_F16 ? -INFINITY : y;
}

/* What exp2_scaled needs of a shift. */
typedef struct exponent {
    float low;   /* logits at or below give 0 */
    float high;  /* logits at or above give inf */
    float round; /* rounds, and leaves k - 8 shift in the low bits */
} exponent;

static inline exponent exponent_of(int shift)
{
    return (exponent){
        .low = LOW(shift), .high = HIGH(shift), .round = ROUND(shift)};
}

/* Sixteen elements in steps, so that a compiler can do several at once. */
/* NOLINTNEXTLINE(bugprone-macro-parentheses): a declaration takes none */
#define EACH(i) for (int i = 0; i < LANES; i++)

/*
 * e[i] = exp(x[i]) * 2^-shift, one by one: x 8 log2(e) = k + f with k an
 * integer and f in two fused steps, so f is good to 2^-25 for every logit a
 * shift can fit; powers of two are exact, so the result does not depend on the
 * shift as long as it is a normal number.  The comparisons let NaN through.
 */
static void exp2_plainly(const float *x, exponent by, float *e)
{
    static const uint32_t powers[8] = {POWERS};

    EACH (i) {
        float y = by.low > x[i] ? by.low : x[i];
        y = by.high < y ? by.high : y;
        const float rounded = fmaf(y, EIGHTHS_HI, by.round);
        const float k = rounded - by.round;
        const float f = fmaf(y, EIGHTHS_LO, fmaf(y, EIGHTHS_HI, -k));
        const uint32_t bits = csp__float_bits(rounded);
        const float power = csp__float_of(powers[bits & 7u] + (bits << 20));
        const float q = fmaf(fmaf(C3, f, C2), f, C1);
        e[i] = fmaf(power * f, q, power);
    }
}

/*
 * The same, fast where fmaf is slow.  x EIGHTHS_HI - k is exact in double, and
 * an f too small to be normal does not change the result.
 */
static void exp2_scaled(const float *x, exponent by, float *e)
{
    static const uint32_t powers[8] = {POWERS};
    float y[LANES], k[LANES], f[LANES], power[LANES], q[LANES];
    uint32_t bits[LANES];
    uint32_t doubt = 0;

    EACH (i)
        y[i] = by.low > x[i] ? by.low : x[i];
    EACH (i)
        y[i] = by.high < y[i] ? by.high : y[i];
    EACH (i)
        k[i] = csp__fma_or_doubt((double)y[i], (double)EIGHTHS_HI,
                                 (double)by.round, &doubt);
    EACH (i)
        bits[i] = csp__float_bits(k[i]);
    EACH (i)
        power[i] = csp__float_of(powers[bits[i] & 7u] + (bits[i] << 20));
    EACH (i)
        k[i] -= by.round;
    EACH (i)
        f[i] = (float)((double)y[i] * (double)EIGHTHS_HI - (double)k[i]);
    EACH (i)
        f[i] = csp__fma_or_doubt((double)y[i], (double)EIGHTHS_LO, (double)f[i],
                                 &doubt);
    EACH (i)
        q[i] = csp__fma_or_doubt((double)C3, (double)f[i], (double)C2, &doubt);
    EACH (i)
        q[i] =
            csp__fma_or_doubt((double)q[i], (double)f[i], (double)C1, &doubt);
    EACH (i)
        f[i] *= power[i];
    EACH (i)
        e[i] = csp__fma_or_doubt((double)f[i], (double)q[i], (double)power[i],
                                 &doubt);
    EACH (i)
        doubt |= (power[i] < 0x1p-125f) & (power[i] > 0.0f);
    if (doubt != 0)
        exp2_plainly(x, by, e);
}

static inline float row_max(load_one load, size_t size, const void *x, size_t n)
{
    const unsigned char *at = x;
    float max = -INFINITY;

    for (size_t i = 0; i < n; i++) {
        float y = load(at + i * size);
        if (y != y)
            return y;
        max = y > max ? y : max;
    }
    return max;
}

/* Where the block of a long sum that begins at 'begin' ends. */
static inline size_t block_end(size_t begin, size_t n)
{
    return n - begin < CSP__BLOCK ? n : begin + CSP__BLOCK;
}

/* y[0..n) = elements, n <= 16; what is behind becomes 0. */
static inline void load_some(load_one load, size_t size, const unsigned char *x,
                             size_t n, float *y)
{
    if (n == LANES) {
        EACH (i)
            y[i] = load(x + (size_t)i * size);
        return;
    }
    memset(y, 0, LANES * sizeof *y);
    for (size_t i = 0; i < n; i++)
        y[i] = load(x + i * size);
}

/* sums[i] = fma(weight, x[i], sums[i]), n <= 16 of them. */
static inline void weigh_some(const float *weights, const float *x, size_t n,
                              float *sums)
{
    float y[LANES] = {0.0f};
    float partial[LANES] = {0.0f};

    if (n == LANES) {
        csp__fma16(x, weights, sums);
        return;
    }
    memcpy(y, x, n * sizeof *x);
    memcpy(partial, sums, n * sizeof *sums);
    csp__fma16(y, weights, partial);
    memcpy(sums, partial, n * sizeof *sums);
}

static inline void add_some(const float *x, size_t n, float *lanes)
{
    if (n == LANES)
        EACH (i)
            lanes[i] += x[i];
    else
        for (size_t i = 0; i < n; i++)
            lanes[i] += x[i];
}

static inline size_t some(size_t n)
{
    return n < LANES ? n : LANES;
}

/* exp_row, and where 'sums' is not NULL weigh_row. */
static inline double exp_blocks(load_one load, size_t size, const void *x,
                                size_t n, int shift, float weight, float *e,
                                float *sums)
{
    const unsigned char *at = x;
    const exponent by = exponent_of(shift);
    float weights[LANES], y[LANES], exps[LANES];
    double sum = 0.0;

    EACH (j)
        weights[j] = weight;
    for (size_t i = 0; i < n;) {
        float lanes[LANES] = {0.0f};
        for (const size_t end = block_end(i, n); i < end; i += some(end - i)) {
            const size_t count = some(end - i);
            if (sums != NULL)
                weigh_some(weights, e + i, count, sums + i);
            load_some(load, size, at + i * size, count, y);
            exp2_scaled(y, by, exps);
            memcpy(e + i, exps, count * sizeof *e);
            add_some(exps, count, lanes);
        }
        sum += (double)csp__fold(lanes);
    }
    return sum;
}

static inline double add_row(load_one load, size_t size, const void *x,
                             size_t n, float weight, float *restrict sums)
{
    const unsigned char *at = x;
    float weights[LANES], y[LANES];
    double sum = 0.0;

    EACH (j)
        weights[j] = weight;
    for (size_t i = 0; i < n;) {
        float lanes[LANES] = {0.0f};
        for (const size_t end = block_end(i, n); i < end; i += some(end - i)) {
            const size_t count = some(end - i);
            load_some(load, size, at + i * size, count, y);
            weigh_some(weights, y, count, sums + i);
            add_some(y, count, lanes);
        }
        sum += (double)csp__fold(lanes);
    }
    return sum;
}

static inline void load_row(load_one load, size_t size, const void *x, size_t n,
                            float *restrict y)
{
    const unsigned char *at = x;

    for (size_t i = 0; i < n; i++)
        y[i] = load(at + i * size);
}

/* The typed entries: one line a function, so that each loop above exists
   once. */
#define TYPED(type, size, load, load_logit)                                    \
    static float row_max_##type(const void *x, size_t n)                       \
    {                                                                          \
        return row_max(load_logit, size, x, n);                                \
    }                                                                          \
    static double exp_row_##type(const void *x, size_t n, int shift, float *e) \
    {                                                                          \
        return exp_blocks(load_logit, size, x, n, shift, 0.0f, e, NULL);       \
    }                                                                          \
    static double weigh_row_##type(const void *x, size_t n, int shift,         \
                                   float weight, float *restrict e,            \
                                   float *restrict sums)                       \
    {                                                                          \
        return exp_blocks(load_logit, size, x, n, shift, weight, e, sums);     \
    }                                                                          \
    static double add_row_##type(const void *x, size_t n, float weight,        \
                                 float *restrict sums)                         \
    {                                                                          \
        return add_row(load, size, x, n, weight, sums);                        \
    }                                                                          \
    static void load_row_##type(const void *x, size_t n, float *restrict y)    \
    {                                                                          \
        load_row(load, size, x, n, y);                                         \
    }

TYPED(f32, 4, load_f32, load_f32)
TYPED(f16, 2, load_f16, load_f16_logit)
TYPED(bf16, 2, load_bf16, load_bf16)

static void store_f32(const float *restrict y, float factor, size_t n, void *x)
{
    unsigned char *at = x;

    for (size_t i = 0; i < n; i++) {
        float scaled = y[i] * factor;
        memcpy(at + i * sizeof scaled, &scaled, sizeof scaled);
    }
}

static void store_f16(const float *restrict y, float factor, size_t n, void *x)
{
    unsigned char *at = x;

    for (size_t i = 0; i < n; i++) {
        uint16_t half = csp__to_f16(y[i] * factor);
        memcpy(at + i * sizeof half, &half, sizeof half);
    }
}

static void store_bf16(const float *restrict y, float factor, size_t n, void *x)
{
    unsigned char *at = x;

    for (size_t i = 0; i < n; i++) {
        uint16_t half = csp__to_bf16(y[i] * factor);
        memcpy(at + i * sizeof half, &half, sizeof half);
    }
}

/* lanes[i % 16] = fma(a[i], b[i], lanes[i % 16]). */
static inline void multiply_add(const float *a, const float *b, size_t n,
                                float *lanes)
{
    size_t i = 0;

    for (; i + LANES <= n; i += LANES)
        csp__fma16(a + i, b + i, lanes);
    for (size_t j = 0; i + j < n; j++)
        lanes[j] = fmaf(a[i + j], b[i + j], lanes[j]);
}

/* Arithmetic is slower than memory here. */
static void pass_over(const void *x, size_t size)
{
    (void)x;
    (void)size;
}

static void add_squares(const float *x, size_t n, float lanes[LANES])
{
    multiply_add(x, x, n, lanes);
}

static inline float dot(const float *restrict a, const float *restrict b,
                        size_t n)
{
    float lanes[LANES] = {0.0f};

    multiply_add(a, b, n, lanes);
    return csp__fold(lanes);
}

static void product(const float *restrict q, size_t n_rows,
                    const float *restrict k, size_t k_stride, size_t n_keys,
                    size_t dim, float scale, float *restrict logits,
                    size_t logits_stride)
{
    for (size_t r = 0; r < n_rows; r++)
        for (size_t j = 0; j < n_keys; j++)
            logits[r * logits_stride + j] =
                scale * dot(q + r * dim, k + j * k_stride, dim);
}

static double sum(const float *x, size_t n)
{
    double total = 0.0;

    for (size_t i = 0; i < n;) {
        float lanes[LANES] = {0.0f};
        for (const size_t end = block_end(i, n); i < end; i++)
            lanes[i % LANES] += x[i];
        total += (double)csp__fold(lanes);
    }
    return total;
}

void csp__kernels_scalar(csp__kernels *kernels)
{
    *kernels = (csp__kernels){
        .row_max = {row_max_f32, row_max_f16, row_max_bf16},
        .exp_row = {exp_row_f32, exp_row_f16, exp_row_bf16},
        .weigh_row = {weigh_row_f32, weigh_row_f16, weigh_row_bf16},
        .pass_over = pass_over,
        .add_row = {add_row_f32, add_row_f16, add_row_bf16},
        .load = {load_row_f32, load_row_f16, load_row_bf16},
        .store = {store_f32, store_f16, store_bf16},
        .add_squares = add_squares,
        .product = product,
        .sum = sum,
    };
    csp__kernels_scalar_rows(kernels);
}
