/*
 * kernels_avx2.c - sixteen floats in two registers
 *
 * Needs FMA and F16C as well, which every CPU with AVX2 has.  Empty for other
 * processors; the file asks for its instructions itself.
 */
#include "kernels.h"

#if defined(__x86_64__) && defined(__GNUC__)

#include <immintrin.h>
#include <string.h>

#include "exponential.h"

#define NEEDS "avx2,fma,f16c"
#define KERNEL static __attribute__((target(NEEDS)))
#define INLINE static inline __attribute__((target(NEEDS), always_inline))

/* Rows and keys of a tile of the product: 8 of 16 registers hold sums. */
#define BLOCK_ROWS 2

/* Vectors of a row treated together: one is two registers. */
#define TOGETHER 1

typedef struct lanes {
    __m256 low;
    __m256 high;
} lanes;

INLINE lanes splat(float x)
{
    return (lanes){_mm256_set1_ps(x), _mm256_set1_ps(x)};
}

/* All bits in the first n of eight elements, from the element 'begin' on. */
INLINE __m256i below(size_t n, int begin)
{
    const __m256i index = _mm256_add_epi32(
        _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), _mm256_set1_epi32(begin));
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), index);
}

INLINE lanes load_f32(const void *p)
{
    const float *x = p;
    return (lanes){_mm256_loadu_ps(x), _mm256_loadu_ps(x + 8)};
}

INLINE lanes part_f32(const void *p, size_t n)
{
    const float *x = p;
    return (lanes){_mm256_maskload_ps(x, below(n, 0)),
                   n > 8 ? _mm256_maskload_ps(x + 8, below(n, 8))
                         : _mm256_setzero_ps()};
}

INLINE lanes load_f16(const void *p)
{
    const __m128i *x = p;
    return (lanes){_mm256_cvtph_ps(_mm_loadu_si128(x)),
                   _mm256_cvtph_ps(_mm_loadu_si128(x + 1))};
}

INLINE lanes part_f16(const void *p, size_t n)
{
    uint16_t whole[16] = {0};
    memcpy(whole, p, n * sizeof *whole);
    return load_f16(whole);
}

INLINE __m256 widen_bf16(__m128i halves)
{
    return _mm256_castsi256_ps(
        _mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
}

INLINE lanes load_bf16(const void *p)
{
    const __m128i *x = p;
    return (lanes){widen_bf16(_mm_loadu_si128(x)),
                   widen_bf16(_mm_loadu_si128(x + 1))};
}

INLINE lanes part_bf16(const void *p, size_t n)
{
    uint16_t whole[16] = {0};
    memcpy(whole, p, n * sizeof *whole);
    return load_bf16(whole);
}

INLINE void save_f32(void *p, lanes v)
{
    float *x = p;
    _mm256_storeu_ps(x, v.low);
    _mm256_storeu_ps(x + 8, v.high);
}

INLINE void save_part_f32(void *p, lanes v, size_t n)
{
    float *x = p;
    _mm256_maskstore_ps(x, below(n, 0), v.low);
    if (n > 8)
        _mm256_maskstore_ps(x + 8, below(n, 8), v.high);
}

#define NEAREST (_MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)

INLINE void save_f16(void *p, lanes v)
{
    __m128i *x = p;
    _mm_storeu_si128(x, _mm256_cvtps_ph(v.low, NEAREST));
    _mm_storeu_si128(x + 1, _mm256_cvtps_ph(v.high, NEAREST));
}

/* As csp__to_bf16, in the low halves of eight words. */
INLINE __m256i narrow_bf16(__m256 v)
{
    const __m256i bits = _mm256_castps_si256(v);
    const __m256i high = _mm256_srli_epi32(bits, 16);
    const __m256i odd = _mm256_and_si256(high, _mm256_set1_epi32(1));
    const __m256i rounded = _mm256_srli_epi32(
        _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)),
                         odd),
        16);
    const __m256i quiet = _mm256_or_si256(high, _mm256_set1_epi32(0x40));
    const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q));
    return _mm256_blendv_epi8(rounded, quiet, nan);
}

INLINE void save_bf16(void *p, lanes v)
{
    const __m256i packed =
        _mm256_packus_epi32(narrow_bf16(v.low), narrow_bf16(v.high));
    _mm256_storeu_si256(p, _mm256_permute4x64_epi64(packed, 0xd8));
}

INLINE lanes add(lanes a, lanes b)
{
    return (lanes){_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)};
}

INLINE lanes sub(lanes a, lanes b)
{
    return (lanes){_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)};
}

INLINE lanes mul(lanes a, lanes b)
{
    return (lanes){_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)};
}

INLINE lanes mul_add(lanes a, lanes b, lanes c)
{
    return (lanes){_mm256_fmadd_ps(a.low, b.low, c.low),
                   _mm256_fmadd_ps(a.high, b.high, c.high)};
}

INLINE lanes mul_sub(lanes a, lanes b, lanes c)
{
    return (lanes){_mm256_fmsub_ps(a.low, b.low, c.low),
                   _mm256_fmsub_ps(a.high, b.high, c.high)};
}

INLINE lanes larger(lanes a, lanes b)
{
    return (lanes){_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)};
}

INLINE lanes smaller(lanes a, lanes b)
{
    return (lanes){_mm256_min_ps(a.low, b.low), _mm256_min_ps(a.high, b.high)};
}

INLINE lanes first(lanes v, size_t n, lanes rest)
{
    const __m256 low = _mm256_castsi256_ps(below(n, 0));
    const __m256 high = _mm256_castsi256_ps(below(n, 8));
    return (lanes){_mm256_blendv_ps(rest.low, v.low, low),
                   _mm256_blendv_ps(rest.high, v.high, high)};
}

INLINE lanes unmask(lanes v, lanes limit)
{
    const __m256 minus = _mm256_set1_ps(-__builtin_inff());
    const __m256 low = _mm256_cmp_ps(v.low, limit.low, _CMP_LE_OQ);
    const __m256 high = _mm256_cmp_ps(v.high, limit.high, _CMP_LE_OQ);
    return (lanes){_mm256_blendv_ps(v.low, minus, low),
                   _mm256_blendv_ps(v.high, minus, high)};
}

INLINE __m256 power_of_eight(__m256 rounded)
{
    const __m256i powers = _mm256_setr_epi32(POWERS);
    const __m256i bits = _mm256_castps_si256(rounded);
    return _mm256_castsi256_ps(
        _mm256_add_epi32(_mm256_permutevar8x32_epi32(powers, bits),
                         _mm256_slli_epi32(bits, 20)));
}

INLINE lanes power(lanes rounded)
{
    return (lanes){power_of_eight(rounded.low), power_of_eight(rounded.high)};
}

INLINE lanes note_nan(lanes seen, lanes v)
{
    return (lanes){
        _mm256_or_ps(seen.low, _mm256_cmp_ps(v.low, v.low, _CMP_UNORD_Q)),
        _mm256_or_ps(seen.high, _mm256_cmp_ps(v.high, v.high, _CMP_UNORD_Q))};
}

INLINE int any_nan(lanes seen)
{
    return _mm256_movemask_ps(_mm256_or_ps(seen.low, seen.high)) != 0;
}

INLINE float fold(lanes v)
{
    __m256 eight = _mm256_add_ps(v.low, v.high);
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight),
                             _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

/* Halves of a and of b, each plus the other half. */
INLINE __m256 fold_8_to_4(lanes a, lanes b)
{
    const __m256 x = _mm256_add_ps(a.low, a.high);
    const __m256 y = _mm256_add_ps(b.low, b.high);
    return _mm256_add_ps(_mm256_permute2f128_ps(x, y, 0x20),
                         _mm256_permute2f128_ps(x, y, 0x31));
}

/* Four folds at once: those of row r end up in half r, key by key. */
#define FOLDS_TOGETHER
INLINE void save_folds(lanes sums[BLOCK_ROWS][BLOCK_ROWS], float scale,
                       float *logits, size_t stride)
{
    const __m256 key_0 = fold_8_to_4(sums[0][0], sums[1][0]);
    const __m256 key_1 = fold_8_to_4(sums[0][1], sums[1][1]);
    const __m256 twos = _mm256_add_ps(_mm256_shuffle_ps(key_0, key_1, 0x44),
                                      _mm256_shuffle_ps(key_0, key_1, 0xee));
    const __m256 ones = _mm256_add_ps(_mm256_shuffle_ps(twos, twos, 0x88),
                                      _mm256_shuffle_ps(twos, twos, 0xdd));
    const __m256 all = _mm256_mul_ps(_mm256_set1_ps(scale), ones);
    _mm_storel_pi((__m64 *)(void *)logits, _mm256_castps256_ps128(all));
    _mm_storel_pi((__m64 *)(void *)(logits + stride),
                  _mm256_extractf128_ps(all, 1));
}

INLINE float highest(lanes v)
{
    __m256 eight = _mm256_max_ps(v.low, v.high);
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight),
                             _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

/* As csp__order_of: the sign turns the other bits around, NaN is 1. */
INLINE __m256i order_of_eight(__m256 v)
{
    const __m256i bits =
        _mm256_castps_si256(_mm256_add_ps(v, _mm256_setzero_ps()));
    const __m256i turn = _mm256_or_si256(_mm256_srai_epi32(bits, 31),
                                         _mm256_set1_epi32(INT32_MIN));
    const __m256i number = _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_ORD_Q));
    return _mm256_blendv_epi8(_mm256_set1_epi32(1),
                              _mm256_xor_si256(bits, turn), number);
}

INLINE void save_order(uint32_t *keys, lanes v)
{
    _mm256_storeu_si256((__m256i *)(void *)keys, order_of_eight(v.low));
    _mm256_storeu_si256((__m256i *)(void *)(keys + 8), order_of_eight(v.high));
}

/* All bits where a key is at least 'least'. */
INLINE __m256i reaches(const uint32_t *keys, __m256i least)
{
    const __m256i k = _mm256_loadu_si256((const __m256i *)(const void *)keys);
    return _mm256_cmpeq_epi32(_mm256_max_epu32(k, least), k);
}

KERNEL size_t count_at_least(const uint32_t *keys, size_t n, uint32_t threshold)
{
    const __m256i least = _mm256_set1_epi32((int)threshold);
    __m256i counts = _mm256_setzero_si256();
    uint32_t partial[8];
    size_t i = 0;

    for (; i + 8 <= n; i += 8) /* true is all bits: minus one */
        counts = _mm256_sub_epi32(counts, reaches(keys + i, least));
    _mm256_storeu_si256((__m256i *)(void *)partial, counts);
    size_t count = 0;
    for (size_t j = 0; j < 8; j++)
        count += partial[j];
    for (; i < n; i++)
        count += keys[i] >= threshold;
    return count;
}

KERNEL void reach(const uint32_t *keys, size_t n, uint32_t threshold,
                  uint64_t *bits)
{
    const __m256i least = _mm256_set1_epi32((int)threshold);

    for (size_t begin = 0; begin < n; begin += 64) {
        const size_t end = n - begin < 64 ? n : begin + 64;
        uint64_t word = 0;
        size_t i = begin;
        for (; i + 8 <= end; i += 8) {
            const __m256 hits = _mm256_castsi256_ps(reaches(keys + i, least));
            word |= (uint64_t)(unsigned)_mm256_movemask_ps(hits) << (i - begin);
        }
        for (; i < end; i++)
            word |= (uint64_t)(keys[i] >= threshold) << (i - begin);
        bits[begin / 64] = word;
    }
}

#include "kernels_lanes.h"

void csp__kernels_avx2(csp__kernels *kernels)
{
    overlay(kernels);
}

#else

typedef int csp__no_avx2; /* ISO C wants a declaration in every file */

#endif
