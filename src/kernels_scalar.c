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

/*
 * exp(x) * 2^-shift.  x 8 log2(e) = k + f with k an integer and f in two fused
 * steps, so f is good to 2^-25 for every logit a shift can fit; powers of two
 * are exact, so the result does not depend on the shift as long as it is a
 * normal number.  The comparisons let NaN through.
 */
static inline float exp2_scaled(float x, exponent by)
{
    static const uint32_t powers[8] = {POWERS};

    x = by.low > x ? by.low : x;
    x = by.high < x ? by.high : x;
    float rounded = csp__fma(x, EIGHTHS_HI, by.round);
    float k = rounded - by.round;
    float f = csp__fma(x, EIGHTHS_LO, csp__fma(x, EIGHTHS_HI, -k));
    uint32_t bits = csp__float_bits(rounded);
    float power = csp__float_of(powers[bits & 7u] + (bits << 20));
    float q = csp__fma(csp__fma(C3, f, C2), f, C1);
    return csp__fma(power * f, q, power);
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

static inline double exp_row(load_one load, size_t size, const void *x,
                             size_t n, int shift, float *e)
{
    const unsigned char *at = x;
    const exponent by = exponent_of(shift);
    double sum = 0.0;

    for (size_t i = 0; i < n;) {
        float lanes[LANES] = {0.0f};
        for (const size_t end = block_end(i, n); i < end; i++) {
            e[i] = exp2_scaled(load(at + i * size), by);
            lanes[i % LANES] += e[i];
        }
        sum += (double)csp__fold(lanes);
    }
    return sum;
}

static inline double weigh_row(load_one load, size_t size, const void *x,
                               size_t n, int shift, float weight,
                               float *restrict e, float *restrict sums)
{
    const unsigned char *at = x;
    const exponent by = exponent_of(shift);
    double sum = 0.0;

    for (size_t i = 0; i < n;) {
        float lanes[LANES] = {0.0f};
        for (const size_t end = block_end(i, n); i < end; i++) {
            sums[i] = csp__fma(weight, e[i], sums[i]);
            e[i] = exp2_scaled(load(at + i * size), by);
            lanes[i % LANES] += e[i];
        }
        sum += (double)csp__fold(lanes);
    }
    return sum;
}

static inline double add_row(load_one load, size_t size, const void *x,
                             size_t n, float weight, float *restrict sums)
{
    const unsigned char *at = x;
    double sum = 0.0;

    for (size_t i = 0; i < n;) {
        float lanes[LANES] = {0.0f};
        for (const size_t end = block_end(i, n); i < end; i++) {
            float y = load(at + i * size);
            sums[i] = csp__fma(weight, y, sums[i]);
            lanes[i % LANES] += y;
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
        return exp_row(load_logit, size, x, n, shift, e);                      \
    }                                                                          \
    static double weigh_row_##type(const void *x, size_t n, int shift,         \
                                   float weight, float *restrict e,            \
                                   float *restrict sums)                       \
    {                                                                          \
        return weigh_row(load_logit, size, x, n, shift, weight, e, sums);      \
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

static void add_squares(const float *x, size_t n, float lanes[LANES])
{
    for (size_t i = 0; i < n; i++)
        lanes[i % LANES] = csp__fma(x[i], x[i], lanes[i % LANES]);
}

static inline float dot(const float *restrict a, const float *restrict b,
                        size_t n)
{
    float lanes[LANES] = {0.0f};

    for (size_t i = 0; i < n; i++)
        lanes[i % LANES] = csp__fma(a[i], b[i], lanes[i % LANES]);
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

static bool all_finite(const float *x, size_t n)
{
    bool finite = true;

    for (size_t i = 0; i < n; i++)
        finite &= csp__is_finite(x[i]);
    return finite;
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

static void order(const float *a, const float *b, size_t n,
                  uint32_t *restrict keys)
{
    for (size_t i = 0; i < n; i++)
        keys[i] = csp__order_of(a[i] + (b != NULL ? b[i] : 0.0f));
}

static size_t count_at_least(const uint32_t *keys, size_t n, uint32_t threshold)
{
    size_t count = 0;

    for (size_t i = 0; i < n; i++)
        count += keys[i] >= threshold;
    return count;
}

/* No branch: whether a key is in the range is anyone's guess. */
static size_t narrow(const uint32_t *keys, size_t n, uint32_t low,
                     uint32_t high, uint32_t *out)
{
    size_t count = 0;

    for (size_t i = 0; i < n; i++) {
        const uint32_t key = keys[i];
        out[count] = key;
        count += key - low <= high - low;
    }
    return count;
}

static void reach(const uint32_t *keys, size_t n, uint32_t threshold,
                  uint64_t *bits)
{
    for (size_t begin = 0; begin < n; begin += 64) {
        const size_t end = n - begin < 64 ? n : begin + 64;
        uint64_t word = 0;
        for (size_t i = begin; i < end; i++)
            word |= (uint64_t)(keys[i] >= threshold) << (i - begin);
        bits[begin / 64] = word;
    }
}

/* Cells that lie back to back move as runs; a run in place may overlap
   itself. */
static void gather_runs(unsigned char *dst, const unsigned char *src,
                        size_t size, const uint32_t *rows, size_t n)
{
    for (size_t i = 0; i < n;) {
        size_t run = 1;
        while (i + run < n && rows[i + run] == rows[i] + run)
            run++;
        const unsigned char *from = src + rows[i] * size;
        if (dst + i * size != from)
            memmove(dst + i * size, from, run * size);
        i += run;
    }
}

static inline void gather_cells(unsigned char *dst, size_t dst_stride,
                                const unsigned char *src, size_t src_stride,
                                size_t size, const uint32_t *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char *to = dst + i * dst_stride;
        const unsigned char *from = src + rows[i] * src_stride;
        if (to != from)
            memcpy(to, from, size);
    }
}

static void gather(unsigned char *dst, size_t dst_stride,
                   const unsigned char *src, size_t src_stride, size_t size,
                   const uint32_t *rows, size_t n)
{
    if (size == 2) /* a transposed cache: cells of one element, size known in
                      the loop */
        gather_cells(dst, dst_stride, src, src_stride, 2, rows, n);
    else if (size == 4)
        gather_cells(dst, dst_stride, src, src_stride, 4, rows, n);
    else if (dst_stride == size && src_stride == size)
        gather_runs(dst, src, size, rows, n);
    else
        gather_cells(dst, dst_stride, src, src_stride, size, rows, n);
}

void csp__kernels_scalar(csp__kernels *kernels)
{
    *kernels = (csp__kernels){
        .row_max = {row_max_f32, row_max_f16, row_max_bf16},
        .exp_row = {exp_row_f32, exp_row_f16, exp_row_bf16},
        .weigh_row = {weigh_row_f32, weigh_row_f16, weigh_row_bf16},
        .add_row = {add_row_f32, add_row_f16, add_row_bf16},
        .load = {load_row_f32, load_row_f16, load_row_bf16},
        .store = {store_f32, store_f16, store_bf16},
        .add_squares = add_squares,
        .product = product,
        .all_finite = all_finite,
        .sum = sum,
        .order = order,
        .count_at_least = count_at_least,
        .narrow = narrow,
        .reach = reach,
        .gather = gather,
    };
}
