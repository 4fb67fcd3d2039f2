/*
 * kernels_avx512.c - sixteen floats in one register
 *
 * Empty for other processors; the file asks for its instructions itself, so a
 * plain build has it.
 */
#include "kernels.h"

#if defined(__x86_64__) && defined(__GNUC__)

#include <immintrin.h>

#include "exponential.h"

#define NEEDS "avx512f,avx512bw,avx512vl,avx512dq,f16c,fma,avx2"
#define KERNEL static __attribute__((target(NEEDS)))
#define INLINE static inline __attribute__((target(NEEDS), always_inline))

/* Rows and keys of a tile of the product: 16 of 32 registers hold sums. */
#define BLOCK_ROWS 4

/* Vectors of a row treated together: registers suffice for four. */
#define TOGETHER 4

typedef __m512 lanes;

INLINE lanes splat(float x)
{
    return _mm512_set1_ps(x);
}

INLINE __mmask16 below(size_t n)
{
    return (__mmask16)((1u << n) - 1u);
}

INLINE lanes load_f32(const void *p)
{
    return _mm512_loadu_ps(p);
}

INLINE lanes part_f32(const void *p, size_t n)
{
    return _mm512_maskz_loadu_ps(below(n), p);
}

INLINE lanes load_f16(const void *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256(p));
}

INLINE lanes part_f16(const void *p, size_t n)
{
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(below(n), p));
}

INLINE lanes widen_bf16(__m256i halves)
{
    return _mm512_castsi512_ps(
        _mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
}

INLINE lanes load_bf16(const void *p)
{
    return widen_bf16(_mm256_loadu_si256(p));
}

INLINE lanes part_bf16(const void *p, size_t n)
{
    return widen_bf16(_mm256_maskz_loadu_epi16(below(n), p));
}

INLINE void save_f32(void *p, lanes v)
{
    _mm512_storeu_ps(p, v);
}

INLINE void save_part_f32(void *p, lanes v, size_t n)
{
    _mm512_mask_storeu_ps(p, below(n), v);
}

#define NEAREST (_MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)

INLINE void save_f16(void *p, lanes v)
{
    const __mmask16 all = 0xffff;
    _mm256_storeu_si256(p, _mm512_maskz_cvtps_ph(all, v, NEAREST));
}

/* As csp__to_bf16. */
INLINE void save_bf16(void *p, lanes v)
{
    const __m512i bits = _mm512_castps_si512(v);
    const __m512i high = _mm512_srli_epi32(bits, 16);
    const __m512i odd = _mm512_and_si512(high, _mm512_set1_epi32(1));
    const __m512i rounded = _mm512_srli_epi32(
        _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)),
                         odd),
        16);
    const __m512i quiet = _mm512_or_si512(high, _mm512_set1_epi32(0x40));
    const __mmask16 nan = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
    _mm256_storeu_si256(
        p, _mm512_cvtepi32_epi16(_mm512_mask_mov_epi32(rounded, nan, quiet)));
}

INLINE lanes add(lanes a, lanes b)
{
    return _mm512_add_ps(a, b);
}

INLINE lanes sub(lanes a, lanes b)
{
    return _mm512_sub_ps(a, b);
}

INLINE lanes mul(lanes a, lanes b)
{
    return _mm512_mul_ps(a, b);
}

INLINE lanes mul_add(lanes a, lanes b, lanes c)
{
    return _mm512_fmadd_ps(a, b, c);
}

INLINE lanes mul_sub(lanes a, lanes b, lanes c)
{
    return _mm512_fmsub_ps(a, b, c);
}

INLINE lanes larger(lanes a, lanes b)
{
    return _mm512_max_ps(a, b);
}

INLINE lanes smaller(lanes a, lanes b)
{
    return _mm512_min_ps(a, b);
}

INLINE lanes first(lanes v, size_t n, lanes rest)
{
    return _mm512_mask_mov_ps(rest, below(n), v);
}

INLINE lanes unmask(lanes v, lanes limit)
{
    const __mmask16 masked = _mm512_cmp_ps_mask(v, limit, _CMP_LE_OQ);
    return _mm512_mask_mov_ps(v, masked, splat(-__builtin_inff()));
}

INLINE lanes power(lanes rounded)
{
    const __m512i powers = _mm512_broadcast_i64x4(_mm256_setr_epi32(POWERS));
    const __m512i bits = _mm512_castps_si512(rounded);
    return _mm512_castsi512_ps(_mm512_add_epi32(
        _mm512_permutexvar_epi32(bits, powers), _mm512_slli_epi32(bits, 20)));
}

INLINE lanes note_nan(lanes seen, lanes v)
{
    const __mmask16 nan = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
    return _mm512_mask_mov_ps(seen, nan, splat(1.0f));
}

INLINE int any_nan(lanes seen)
{
    return _mm512_cmp_ps_mask(seen, splat(0.0f), _CMP_NEQ_OQ) != 0;
}

INLINE float fold(lanes v)
{
    __m256 eight =
        _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight),
                             _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

/* a and b: quarters 0, 1 of one and of the other, plus quarters 2, 3. */
INLINE __m512 fold_16_to_8(__m512 a, __m512 b)
{
    return _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x44),
                         _mm512_shuffle_f32x4(a, b, 0xee));
}

INLINE __m512 fold_8_to_4(__m512 a, __m512 b)
{
    return _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x88),
                         _mm512_shuffle_f32x4(a, b, 0xdd));
}

INLINE __m512 fold_4_to_2(__m512 a, __m512 b)
{
    return _mm512_add_ps(_mm512_shuffle_ps(a, b, 0x44),
                         _mm512_shuffle_ps(a, b, 0xee));
}

INLINE __m512 fold_2_to_1(__m512 a, __m512 b)
{
    return _mm512_add_ps(_mm512_shuffle_ps(a, b, 0x88),
                         _mm512_shuffle_ps(a, b, 0xdd));
}

/* Sixteen folds at once: every step halves two vectors into one.  The sums of
   key j end up in element j of the quarters, row r's in quarter r. */
#define FOLDS_TOGETHER
INLINE void save_folds(lanes sums[BLOCK_ROWS][BLOCK_ROWS], float scale,
                       float *logits, size_t stride)
{
    __m512 of_key[BLOCK_ROWS];

    for (size_t j = 0; j < BLOCK_ROWS; j++)
        of_key[j] = fold_8_to_4(fold_16_to_8(sums[0][j], sums[1][j]),
                                fold_16_to_8(sums[2][j], sums[3][j]));
    const __m512 all = _mm512_mul_ps(
        _mm512_set1_ps(scale), fold_2_to_1(fold_4_to_2(of_key[0], of_key[1]),
                                           fold_4_to_2(of_key[2], of_key[3])));
    _mm_storeu_ps(logits, _mm512_castps512_ps128(all));
    _mm_storeu_ps(logits + stride, _mm512_extractf32x4_ps(all, 1));
    _mm_storeu_ps(logits + 2 * stride, _mm512_extractf32x4_ps(all, 2));
    _mm_storeu_ps(logits + 3 * stride, _mm512_extractf32x4_ps(all, 3));
}

INLINE float highest(lanes v)
{
    return _mm512_reduce_max_ps(v);
}

/* As csp__order_of: the sign turns the other bits around, NaN is 1. */
INLINE void save_order(uint32_t *keys, lanes v)
{
    const __m512i bits =
        _mm512_castps_si512(_mm512_add_ps(v, _mm512_setzero_ps()));
    const __m512i turn = _mm512_or_si512(_mm512_srai_epi32(bits, 31),
                                         _mm512_set1_epi32(INT32_MIN));
    const __mmask16 number = _mm512_cmp_ps_mask(v, v, _CMP_ORD_Q);
    _mm512_storeu_si512(
        keys, _mm512_mask_xor_epi32(_mm512_set1_epi32(1), number, bits, turn));
}

KERNEL size_t count_at_least(const uint32_t *keys, size_t n, uint32_t threshold)
{
    const __m512i least = _mm512_set1_epi32((int)threshold);
    const __m512i one = _mm512_set1_epi32(1);
    __m512i counts[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
    size_t i = 0;

    for (; i + 32 <= n; i += 32) {
        const __m512i a = _mm512_loadu_si512(keys + i);
        const __m512i b = _mm512_loadu_si512(keys + i + 16);
        counts[0] = _mm512_mask_add_epi32(
            counts[0], _mm512_cmpge_epu32_mask(a, least), counts[0], one);
        counts[1] = _mm512_mask_add_epi32(
            counts[1], _mm512_cmpge_epu32_mask(b, least), counts[1], one);
    }
    for (; i < n; i += 16) {
        const __mmask16 valid = n - i < 16 ? below(n - i) : (__mmask16)0xffff;
        const __m512i k = _mm512_maskz_loadu_epi32(valid, keys + i);
        counts[0] = _mm512_mask_add_epi32(
            counts[0], _mm512_mask_cmpge_epu32_mask(valid, k, least), counts[0],
            one);
    }
    /* Each of 16 counters stays below 2^32 / 16. */
    return (uint32_t)_mm512_reduce_add_epi32(
        _mm512_add_epi32(counts[0], counts[1]));
}

/* What is stored reaches no further than what has been read. */
KERNEL size_t narrow(const uint32_t *keys, size_t n, uint32_t low,
                     uint32_t high, uint32_t *out)
{
    const __m512i begin = _mm512_set1_epi32((int)low);
    const __m512i size = _mm512_set1_epi32((int)(high - low));
    size_t count = 0;
    size_t i = 0;

    for (; i + 16 <= n; i += 16) {
        const __m512i k = _mm512_loadu_si512(keys + i);
        const __mmask16 inside =
            _mm512_cmple_epu32_mask(_mm512_sub_epi32(k, begin), size);
        _mm512_storeu_si512(out + count,
                            _mm512_maskz_compress_epi32(inside, k));
        count += (size_t)__builtin_popcount(inside);
    }
    for (; i < n; i++) {
        const uint32_t key = keys[i];
        out[count] = key;
        count += key - low <= high - low;
    }
    return count;
}

KERNEL void reach(const uint32_t *keys, size_t n, uint32_t threshold,
                  uint64_t *bits)
{
    const __m512i least = _mm512_set1_epi32((int)threshold);

    for (size_t begin = 0; begin < n; begin += 64) {
        uint64_t word = 0;
        for (size_t i = begin; i < begin + 64 && i < n; i += 16) {
            const __mmask16 valid =
                n - i < 16 ? below(n - i) : (__mmask16)0xffff;
            const __m512i k = _mm512_maskz_loadu_epi32(valid, keys + i);
            word |= (uint64_t)_mm512_mask_cmpge_epu32_mask(valid, k, least)
                    << (i - begin);
        }
        bits[begin / 64] = word;
    }
}

#include "kernels_lanes.h"

void csp__kernels_avx512(csp__kernels *kernels)
{
    overlay(kernels);
    kernels->narrow = narrow;
}

#else

typedef int csp__no_avx512; /* ISO C wants a declaration in every file */

#endif
