/*
 * kernels_neon.c - sixteen floats in four registers
 *
 * Every AArch64 CPU has the instructions.  Empty for other processors.
 */
#include "kernels.h"

#if defined(__aarch64__) && defined(__GNUC__)

#include <arm_neon.h>
#include <string.h>

#include "exponential.h"

#define KERNEL static
#define INLINE static inline __attribute__((always_inline))

/* Rows and keys of a tile of the product: 16 of 32 registers hold sums. */
#define BLOCK_ROWS 2

/* Vectors of a row treated together: one is four registers. */
#define TOGETHER 1

typedef struct lanes {
    float32x4_t q[4];
} lanes;

INLINE lanes splat(float x)
{
    const float32x4_t v = vdupq_n_f32(x);
    return (lanes){{v, v, v, v}};
}

INLINE lanes load_f32(const void *p)
{
    const uint8_t *x = p;
    lanes v;
    for (size_t i = 0; i < 4; i++)
        v.q[i] = vreinterpretq_f32_u8(vld1q_u8(x + 16 * i));
    return v;
}

INLINE lanes part_f32(const void *p, size_t n)
{
    float whole[16] = {0.0f};
    memcpy(whole, p, n * sizeof *whole);
    return load_f32(whole);
}

INLINE float16x4_t halves(const void *p, size_t i)
{
    return vreinterpret_f16_u8(vld1_u8((const uint8_t *)p + 8 * i));
}

INLINE lanes load_f16(const void *p)
{
    lanes v;
    for (size_t i = 0; i < 4; i++)
        v.q[i] = vcvt_f32_f16(halves(p, i));
    return v;
}

INLINE lanes part_f16(const void *p, size_t n)
{
    uint16_t whole[16] = {0};
    memcpy(whole, p, n * sizeof *whole);
    return load_f16(whole);
}

INLINE lanes load_bf16(const void *p)
{
    lanes v;
    for (size_t i = 0; i < 4; i++) {
        uint16x4_t half = vreinterpret_u16_f16(halves(p, i));
        v.q[i] = vreinterpretq_f32_u32(vshll_n_u16(half, 16));
    }
    return v;
}

INLINE lanes part_bf16(const void *p, size_t n)
{
    uint16_t whole[16] = {0};
    memcpy(whole, p, n * sizeof *whole);
    return load_bf16(whole);
}

INLINE void save_f32(void *p, lanes v)
{
    uint8_t *x = p;
    for (size_t i = 0; i < 4; i++)
        vst1q_u8(x + 16 * i, vreinterpretq_u8_f32(v.q[i]));
}

INLINE void save_part_f32(void *p, lanes v, size_t n)
{
    float whole[16];
    save_f32(whole, v);
    memcpy(p, whole, n * sizeof *whole);
}

INLINE void save_f16(void *p, lanes v)
{
    uint8_t *x = p;
    for (size_t i = 0; i < 4; i++)
        vst1_u8(x + 8 * i, vreinterpret_u8_f16(vcvt_f16_f32(v.q[i])));
}

/* As csp__to_bf16. */
INLINE uint16x4_t narrow_bf16(float32x4_t v)
{
    const uint32x4_t bits = vreinterpretq_u32_f32(v);
    const uint32x4_t high = vshrq_n_u32(bits, 16);
    const uint32x4_t odd = vandq_u32(high, vdupq_n_u32(1));
    const uint32x4_t rounded =
        vaddq_u32(vaddq_u32(bits, vdupq_n_u32(0x7fff)), odd);
    const uint32x4_t quiet = vorrq_u32(high, vdupq_n_u32(0x40));
    const uint32x4_t number = vceqq_f32(v, v);
    return vmovn_u32(vbslq_u32(number, vshrq_n_u32(rounded, 16), quiet));
}

INLINE void save_bf16(void *p, lanes v)
{
    uint8_t *x = p;
    for (size_t i = 0; i < 4; i++)
        vst1_u8(x + 8 * i, vreinterpret_u8_u16(narrow_bf16(v.q[i])));
}

INLINE lanes add(lanes a, lanes b)
{
    for (size_t i = 0; i < 4; i++)
        a.q[i] = vaddq_f32(a.q[i], b.q[i]);
    return a;
}

INLINE lanes sub(lanes a, lanes b)
{
    for (size_t i = 0; i < 4; i++)
        a.q[i] = vsubq_f32(a.q[i], b.q[i]);
    return a;
}

INLINE lanes mul(lanes a, lanes b)
{
    for (size_t i = 0; i < 4; i++)
        a.q[i] = vmulq_f32(a.q[i], b.q[i]);
    return a;
}

INLINE lanes mul_add(lanes a, lanes b, lanes c)
{
    for (size_t i = 0; i < 4; i++)
        c.q[i] = vfmaq_f32(c.q[i], a.q[i], b.q[i]);
    return c;
}

INLINE lanes mul_sub(lanes a, lanes b, lanes c)
{
    for (size_t i = 0; i < 4; i++)
        c.q[i] = vfmaq_f32(vnegq_f32(c.q[i]), a.q[i], b.q[i]);
    return c;
}

INLINE lanes larger(lanes a, lanes b)
{
    for (size_t i = 0; i < 4; i++)
        a.q[i] = vbslq_f32(vcgtq_f32(a.q[i], b.q[i]), a.q[i], b.q[i]);
    return a;
}

INLINE lanes smaller(lanes a, lanes b)
{
    for (size_t i = 0; i < 4; i++)
        a.q[i] = vbslq_f32(vcltq_f32(a.q[i], b.q[i]), a.q[i], b.q[i]);
    return a;
}

INLINE lanes first(lanes v, size_t n, lanes rest)
{
    static const uint32_t index[] = {0, 1, 2,  3,  4,  5,  6,  7,
                                     8, 9, 10, 11, 12, 13, 14, 15};
    const uint32x4_t count = vdupq_n_u32((uint32_t)n);
    for (size_t i = 0; i < 4; i++)
        v.q[i] = vbslq_f32(vcltq_u32(vld1q_u32(index + 4 * i), count), v.q[i],
                           rest.q[i]);
    return v;
}

INLINE lanes unmask(lanes v, lanes limit)
{
    const float32x4_t minus = vdupq_n_f32(-__builtin_inff());
    for (size_t i = 0; i < 4; i++)
        v.q[i] = vbslq_f32(vcleq_f32(v.q[i], limit.q[i]), minus, v.q[i]);
    return v;
}

/* The table is looked up byte by byte: four in a row for each power. */
INLINE lanes power(lanes rounded)
{
    static const uint32_t powers[8] = {POWERS};
    const uint8x16x2_t table = vld1q_u8_x2((const uint8_t *)powers);
    for (size_t i = 0; i < 4; i++) {
        const uint32x4_t bits = vreinterpretq_u32_f32(rounded.q[i]);
        const uint32x4_t at =
            vmlaq_u32(vdupq_n_u32(0x03020100), vandq_u32(bits, vdupq_n_u32(7)),
                      vdupq_n_u32(0x04040404));
        const uint8x16_t found = vqtbl2q_u8(table, vreinterpretq_u8_u32(at));
        rounded.q[i] = vreinterpretq_f32_u32(
            vaddq_u32(vreinterpretq_u32_u8(found), vshlq_n_u32(bits, 20)));
    }
    return rounded;
}

INLINE lanes note_nan(lanes seen, lanes v)
{
    for (size_t i = 0; i < 4; i++) {
        uint32x4_t nan = vmvnq_u32(vceqq_f32(v.q[i], v.q[i]));
        seen.q[i] = vreinterpretq_f32_u32(
            vorrq_u32(vreinterpretq_u32_f32(seen.q[i]), nan));
    }
    return seen;
}

INLINE int any_nan(lanes seen)
{
    uint32x4_t all = vreinterpretq_u32_f32(seen.q[0]);
    for (size_t i = 1; i < 4; i++)
        all = vorrq_u32(all, vreinterpretq_u32_f32(seen.q[i]));
    return vmaxvq_u32(all) != 0;
}

INLINE float fold(lanes v)
{
    const float32x4_t low = vaddq_f32(v.q[0], v.q[2]);
    const float32x4_t high = vaddq_f32(v.q[1], v.q[3]);
    const float32x4_t four = vaddq_f32(low, high);
    const float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
    return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}

INLINE float highest(lanes v)
{
    return vmaxvq_f32(
        vmaxq_f32(vmaxq_f32(v.q[0], v.q[1]), vmaxq_f32(v.q[2], v.q[3])));
}

/* As csp__order_of: the sign turns the other bits around, NaN is 1. */
INLINE void save_order(uint32_t *keys, lanes v)
{
    for (size_t i = 0; i < 4; i++) {
        const int32x4_t bits =
            vreinterpretq_s32_f32(vaddq_f32(v.q[i], vdupq_n_f32(0.0f)));
        const int32x4_t turn =
            vorrq_s32(vshrq_n_s32(bits, 31), vdupq_n_s32(INT32_MIN));
        const uint32x4_t order = vreinterpretq_u32_s32(veorq_s32(bits, turn));
        const uint32x4_t number = vceqq_f32(v.q[i], v.q[i]);
        vst1q_u32(keys + 4 * i, vbslq_u32(number, order, vdupq_n_u32(1)));
    }
}

KERNEL size_t count_at_least(const uint32_t *keys, size_t n, uint32_t threshold)
{
    const uint32x4_t least = vdupq_n_u32(threshold);
    uint32x4_t counts = vdupq_n_u32(0);
    size_t i = 0;

    for (; i + 4 <= n; i += 4) /* true is all bits: minus one */
        counts = vsubq_u32(counts, vcgeq_u32(vld1q_u32(keys + i), least));
    size_t count = vaddvq_u32(counts);
    for (; i < n; i++)
        count += keys[i] >= threshold;
    return count;
}

/* A lane that reaches leaves its own bit, and the bits add up. */
KERNEL void reach(const uint32_t *keys, size_t n, uint32_t threshold,
                  uint64_t *bits)
{
    static const uint32_t own[4] = {1, 2, 4, 8};
    const uint32x4_t least = vdupq_n_u32(threshold);
    const uint32x4_t bit = vld1q_u32(own);

    for (size_t begin = 0; begin < n; begin += 64) {
        const size_t end = n - begin < 64 ? n : begin + 64;
        uint64_t word = 0;
        size_t i = begin;
        for (; i + 4 <= end; i += 4) {
            const uint32x4_t hits = vcgeq_u32(vld1q_u32(keys + i), least);
            word |= (uint64_t)vaddvq_u32(vandq_u32(hits, bit)) << (i - begin);
        }
        for (; i < end; i++)
            word |= (uint64_t)(keys[i] >= threshold) << (i - begin);
        bits[begin / 64] = word;
    }
}

#include "kernels_lanes.h"

void csp__kernels_neon(csp__kernels *kernels)
{
    overlay(kernels);
}

#else

typedef int csp__no_neon; /* ISO C wants a declaration in every file */

#endif
