/*
 * kernels_lanes.h - the inner loops, sixteen floats at a time
 *
 * One text for every SIMD tier, so that all do the same operations in the same
 * order and agree with kernels_scalar.c in every bit.  Before it includes this
 * file, a tier defines INLINE and KERNEL, which let functions use its
 * instructions, the type 'lanes' of sixteen floats, BLOCK_ROWS, TOGETHER, and
 *
 *   splat(x)
 *   load_f32(p) load_f16(p) load_bf16(p)    sixteen numbers, any alignment
 *   part_f32(p, n) part_f16 part_bf16       the first n < 16, others 0
 *   save_f32(p, v) save_f16 save_bf16       to nearest even
 *   add sub mul, mul_add(a, b, c) = a b + c, mul_sub(a, b, c) = a b - c
 *   larger(a, b) smaller(a, b)              b where one of them is NaN
 *   first(v, n, rest)                       v's first n < 16, then rest's
 *   unmask(v, limit)                        -inf where v <= limit
 *   power(rounded)                          2^(i / 8) for the integer i that
 *                                           the low bits hold, see POWERS
 *   note_nan(seen, v) any_nan(seen)         collects NaN; starts from splat(0)
 *   fold(v)                                 halves of 8, 4, 2, 1 added up
 *   save_folds(sums, scale, logits, stride) logits[r * stride + j] = scale *
 *                                           fold(sums[r][j]), if it can do
 *                                           better than one by one; then it
 *                                           defines FOLDS_TOGETHER
 *   highest(v)                              the largest; no NaN among them
 *   save_part_f32(p, v, n)                  the first n < 16
 *   save_order(keys, v)                     csp__order_of
 *   count_at_least, reach                   of kernels.h
 */
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "exponential.h"
#include "numeric.h"

#define LANES 16

/* Logits are fetched twice: far ahead into the second cache, which has room for
   what comes from memory, and from there into the first, which scratch needs
   for itself.  The hardware's own prefetching suffices for a plain sum, not for
   a loop that computes and stores as well.  Bytes, tuned by tests/bench. */
#define FAR_AHEAD 24576
#define NEAR_AHEAD 8192

/* Bytes fetched at once. */
#define LINE ((size_t)64)

/* From this shift on, a half that means masked comes out as 0 by itself. */
#define SAFE_SHIFT_F16 (-90000)

/* A type's ways from memory; constants once inlined. */
typedef struct reader {
    lanes (*load)(const void *x);
    lanes (*part)(const void *x, size_t n);
    size_t size;
} reader;

/* Where the block of a long sum that begins at 'begin' ends, and its last
   whole vector. */
INLINE size_t block_end(size_t begin, size_t n)
{
    return n - begin < CSP__BLOCK ? n : begin + CSP__BLOCK;
}

INLINE size_t whole_end(size_t begin, size_t end)
{
    return end - (end - begin) % LANES;
}

/* Addresses, as they may be beyond the end of what there is: fetching from
   there is harmless. */
INLINE void fetch_ahead(const unsigned char *at, size_t size)
{
    const uintptr_t begin = (uintptr_t)at;

    for (uintptr_t line = begin; line < begin + size; line += LINE) {
        /* NOLINTBEGIN(performance-no-int-to-ptr): nothing is read there */
        __builtin_prefetch((const void *)(line + FAR_AHEAD), 0, 2);
        __builtin_prefetch((const void *)(line + NEAR_AHEAD), 0, 3);
        /* NOLINTEND(performance-no-int-to-ptr) */
    }
}

KERNEL void pass_over(const void *x, size_t size)
{
    fetch_ahead(x, size);
}

#include "kernels_lanes_exp.h"

INLINE float row_max(reader in, const void *x, size_t n)
{
    const unsigned char *at = x;
    lanes max = splat(-INFINITY);
    lanes nan = splat(0.0f);
    size_t i = 0;

    for (; i + LANES <= n; i += LANES) {
        lanes y = in.load(at + i * in.size);
        max = larger(y, max);
        nan = note_nan(nan, y);
    }
    if (i < n) {
        lanes y = first(in.part(at + i * in.size, n - i), n - i, max);
        max = larger(y, max);
        nan = note_nan(nan, y);
    }
    return any_nan(nan) ? NAN : highest(max);
}

INLINE double add_row(reader in, const void *x, size_t n, float weight,
                      float *restrict sums)
{
    const unsigned char *at = x;
    const lanes w = splat(weight);
    double total = 0.0;

    for (size_t i = 0; i < n;) {
        const size_t end = block_end(i, n);
        lanes sum = splat(0.0f);
        for (const size_t whole = whole_end(i, end); i < whole; i += LANES) {
            if (i * in.size % LINE == 0)
                fetch_ahead(at + i * in.size, LINE);
            lanes y = in.load(at + i * in.size);
            save_f32(sums + i, mul_add(w, y, load_f32(sums + i)));
            sum = add(sum, y);
        }
        if (i < end) {
            lanes y = in.part(at + i * in.size, n - i);
            lanes s = mul_add(w, y, part_f32(sums + i, n - i));
            save_part_f32(sums + i, s, n - i);
            sum = add(sum, y);
            i = end;
        }
        total += (double)fold(sum);
    }
    return total;
}

INLINE void load_row(reader in, const void *x, size_t n, float *restrict y)
{
    const unsigned char *at = x;
    size_t i = 0;

    for (; i + LANES <= n; i += LANES)
        save_f32(y + i, in.load(at + i * in.size));
    if (i < n)
        save_part_f32(y + i, in.part(at + i * in.size, n - i), n - i);
}

INLINE void store_row(void (*save)(void *x, lanes v), size_t size,
                      const float *restrict y, float factor, size_t n, void *x)
{
    unsigned char *at = x;
    const lanes f = splat(factor);
    size_t i = 0;

    for (; i + LANES <= n; i += LANES)
        save(at + i * size, mul(load_f32(y + i), f));
    if (i < n) {
        unsigned char last[LANES * sizeof(float)];
        save(last, mul(part_f32(y + i, n - i), f));
        memcpy(at + i * size, last, (n - i) * size);
    }
}

KERNEL void add_squares(const float *x, size_t n, float partial[LANES])
{
    lanes sum = load_f32(partial);
    size_t i = 0;

    for (; i + LANES <= n; i += LANES) {
        const lanes y = load_f32(x + i);
        sum = mul_add(y, y, sum);
    }
    if (i < n) {
        const lanes y = part_f32(x + i, n - i);
        sum = first(mul_add(y, y, sum), n - i, sum);
    }
    save_f32(partial, sum);
}

#ifndef FOLDS_TOGETHER
INLINE void save_folds(lanes sums[BLOCK_ROWS][BLOCK_ROWS], float scale,
                       float *logits, size_t stride)
{
    for (size_t r = 0; r < BLOCK_ROWS; r++)
        for (size_t j = 0; j < BLOCK_ROWS; j++)
            logits[r * stride + j] = scale * fold(sums[r][j]);
}
#endif

/* The dot products of BLOCK_ROWS rows of q and of k, written out. */
INLINE void dot_block(const float *restrict q, const float *restrict k,
                      size_t k_stride, size_t dim, float scale,
                      float *restrict logits, size_t logits_stride)
{
    lanes sums[BLOCK_ROWS][BLOCK_ROWS];
    size_t d = 0;

    for (size_t r = 0; r < BLOCK_ROWS; r++)
        for (size_t j = 0; j < BLOCK_ROWS; j++)
            sums[r][j] = splat(0.0f);
    for (; d + LANES <= dim; d += LANES)
        for (size_t j = 0; j < BLOCK_ROWS; j++) {
            const lanes key = load_f32(k + j * k_stride + d);
            for (size_t r = 0; r < BLOCK_ROWS; r++)
                sums[r][j] =
                    mul_add(load_f32(q + r * dim + d), key, sums[r][j]);
        }
    if (d < dim)
        for (size_t j = 0; j < BLOCK_ROWS; j++) {
            const lanes key = part_f32(k + j * k_stride + d, dim - d);
            for (size_t r = 0; r < BLOCK_ROWS; r++)
                sums[r][j] = mul_add(part_f32(q + r * dim + d, dim - d), key,
                                     sums[r][j]);
        }
    save_folds(sums, scale, logits, logits_stride);
}

INLINE float dot(const float *restrict a, const float *restrict b, size_t n)
{
    lanes sum = splat(0.0f);
    size_t i = 0;

    for (; i + LANES <= n; i += LANES)
        sum = mul_add(load_f32(a + i), load_f32(b + i), sum);
    if (i < n)
        sum = mul_add(part_f32(a + i, n - i), part_f32(b + i, n - i), sum);
    return fold(sum);
}

KERNEL void product(const float *restrict q, size_t n_rows,
                    const float *restrict k, size_t k_stride, size_t n_keys,
                    size_t dim, float scale, float *restrict logits,
                    size_t logits_stride)
{
    const size_t rows = n_rows - n_rows % BLOCK_ROWS;
    const size_t keys = n_keys - n_keys % BLOCK_ROWS;

    for (size_t j = 0; j < keys; j += BLOCK_ROWS)
        for (size_t r = 0; r < rows; r += BLOCK_ROWS)
            dot_block(q + r * dim, k + j * k_stride, k_stride, dim, scale,
                      logits + r * logits_stride + j, logits_stride);
    for (size_t r = 0; r < n_rows; r++)
        for (size_t j = r < rows ? keys : 0; j < n_keys; j++)
            logits[r * logits_stride + j] =
                scale * dot(q + r * dim, k + j * k_stride, dim);
}

/*
 * The typed entries of a tier.  'plainly' says whether logits of a row can be
 * read as plain numbers, masked ones coming out as 0 by themselves.
 */
#define TYPED(type, bytes, logit_load, logit_part, plainly)                    \
    KERNEL float row_max_##type(const void *x, size_t n)                       \
    {                                                                          \
        return row_max((reader){logit_load, logit_part, bytes}, x, n);         \
    }                                                                          \
    KERNEL double exp_row_##type(const void *x, size_t n, int shift, float *e) \
    {                                                                          \
        const reader plain = {load_##type, part_##type, bytes};                \
        const reader logits = {logit_load, logit_part, bytes};                 \
        const weighing w = {false, splat(0.0f)};                               \
        return (plainly) ? exp_blocks(plain, x, n, shift, w, e, e)             \
                         : exp_blocks(logits, x, n, shift, w, e, e);           \
    }                                                                          \
    KERNEL double weigh_row_##type(const void *x, size_t n, int shift,         \
                                   float weight, float *restrict e,            \
                                   float *restrict sums)                       \
    {                                                                          \
        const reader plain = {load_##type, part_##type, bytes};                \
        const reader logits = {logit_load, logit_part, bytes};                 \
        const weighing w = {true, splat(weight)};                              \
        return (plainly) ? exp_blocks(plain, x, n, shift, w, e, sums)          \
                         : exp_blocks(logits, x, n, shift, w, e, sums);        \
    }                                                                          \
    KERNEL double add_row_##type(const void *x, size_t n, float weight,        \
                                 float *restrict sums)                         \
    {                                                                          \
        return add_row((reader){load_##type, part_##type, bytes}, x, n,        \
                       weight, sums);                                          \
    }                                                                          \
    KERNEL void load_row_##type(const void *x, size_t n, float *restrict y)    \
    {                                                                          \
        load_row((reader){load_##type, part_##type, bytes}, x, n, y);          \
    }                                                                          \
    KERNEL void store_row_##type(const float *restrict y, float factor,        \
                                 size_t n, void *x)                            \
    {                                                                          \
        store_row(save_##type, bytes, y, factor, n, x);                        \
    }

INLINE lanes load_logit_f16(const void *x)
{
    return unmask(load_f16(x), splat(CSP__MASKED_F16));
}

INLINE lanes part_logit_f16(const void *x, size_t n)
{
    return unmask(part_f16(x, n), splat(CSP__MASKED_F16));
}

TYPED(f32, 4, load_f32, part_f32, 1)
TYPED(f16, 2, load_logit_f16, part_logit_f16, shift >= SAFE_SHIFT_F16)
TYPED(bf16, 2, load_bf16, part_bf16, 1)

#define TYPES(entry)                                                           \
    {                                                                          \
        entry##_f32, entry##_f16, entry##_bf16                                 \
    }

KERNEL bool all_finite(const float *x, size_t n)
{
    lanes nan = splat(0.0f);
    size_t i = 0;

    for (; i + LANES <= n; i += LANES) /* infinity times zero is NaN, too */
        nan = note_nan(nan, mul(load_f32(x + i), splat(0.0f)));
    if (i < n)
        nan = note_nan(nan, mul(part_f32(x + i, n - i), splat(0.0f)));
    return !any_nan(nan);
}

KERNEL double sum_row(const float *x, size_t n)
{
    double total = 0.0;

    for (size_t i = 0; i < n;) {
        const size_t end = block_end(i, n);
        lanes sum = splat(0.0f);
        for (const size_t whole = whole_end(i, end); i < whole; i += LANES)
            sum = add(sum, load_f32(x + i));
        if (i < end)
            sum = add(sum, part_f32(x + i, end - i));
        i = end;
        total += (double)fold(sum);
    }
    return total;
}

KERNEL void order(const float *a, const float *b, size_t n,
                  uint32_t *restrict keys)
{
    size_t i = 0;

    for (; i + LANES <= n; i += LANES) {
        const lanes other = b != NULL ? load_f32(b + i) : splat(0.0f);
        save_order(keys + i, add(load_f32(a + i), other));
    }
    if (i < n) {
        uint32_t last[LANES];
        const lanes other = b != NULL ? part_f32(b + i, n - i) : splat(0.0f);
        save_order(last, add(part_f32(a + i, n - i), other));
        memcpy(keys + i, last, (n - i) * sizeof *keys);
    }
}

/* Overlay everything above on a table. */
static void overlay(csp__kernels *kernels)
{
    const csp__kernels tier = {
        .row_max = TYPES(row_max),
        .exp_row = TYPES(exp_row),
        .weigh_row = TYPES(weigh_row),
        .pass_over = pass_over,
        .add_row = TYPES(add_row),
        .load = TYPES(load_row),
        .store = TYPES(store_row),
        .add_squares = add_squares,
        .product = product,
        .column_sums = kernels->column_sums,
        .all_finite = all_finite,
        .sum = sum_row,
        .order = order,
        .count_at_least = count_at_least,
        .narrow = kernels->narrow,
        .reach = reach,
        .gather = kernels->gather,
    };
    *kernels = tier;
}
