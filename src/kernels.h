/*
 * kernels.h - every inner loop, as a table of functions
 *
 * The table is filled by value: scalar first, then what a tier of this CPU
 * does better, then BLAS where asked for.  Tiers agree in every bit, which
 * fixes the arithmetic:
 *
 *   lanes   A sum over i = 0, 1, 2... has 16 partial sums; element i is added
 *           to partial sum i % 16, in ascending order; then 8, 4, 2, 1 partial
 *           sums are left by adding the upper half to the lower.
 *   blocks  A long sum is the sum in double, in order, of sums in lanes of 512
 *           elements each: a partial sum grows by 32 elements only, so many
 *           small ones are not lost behind a large one.
 *   exp     2^(k/8) e^(f ln2 / 8) with x 8 log2(e) = k + f; see exponential.h
 *           and exp2_scaled in kernels_scalar.c.
 *   fma     One rounding where a contract writes fma, and nowhere else.
 *
 * Pointers to void are elements of the type the entry is for and need no
 * alignment; float and integer pointers are aligned for their type.  Arrays
 * are apart unless said.  n = 0 reads and writes nothing.
 */
#ifndef CSP_KERNELS_H
#define CSP_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Entries by type are indexed by csp_dtype. */
enum { CSP__F32, CSP__F16, CSP__BF16, CSP__N_DTYPES };

/* Logits at or below this are masked; in f16 the lowest finite one is, too. */
#define CSP__MASKED (-1e30f)
#define CSP__MASKED_F16 (-65504.0f)

/* Elements of a block of a long sum. */
#define CSP__BLOCK 512

typedef struct csp__kernels {
    /* Largest logit: NaN if there is one, -inf if n = 0. */
    float (*row_max[CSP__N_DTYPES])(const void *x, size_t n);

    /*
     * e[i] = exp(x[i]) * 2^-shift.  Below 2^-126 it is 0 or some number below
     * 2^-126, from 2^128 on inf or NaN; NaN stays.  Masked logits give 0.
     * Returns the sum of e in blocks.  x may be e (f32).
     */
    double (*exp_row[CSP__N_DTYPES])(const void *x, size_t n, int shift,
                                     float *e);

    /*
     * Like exp_row, but first adds the row that e holds: sums[i] = fma(weight,
     * e[i], sums[i]).  One pass does the end of one row and the beginning of
     * the next.
     */
    double (*weigh_row[CSP__N_DTYPES])(const void *x, size_t n, int shift,
                                       float weight, float *restrict e,
                                       float *restrict sums);

    /* Behind a row 'size' bytes from x on are not read: what the next row needs
       is fetched all the same, as its stream was not broken off. */
    void (*pass_over)(const void *x, size_t size);

    /* sums[i] = fma(weight, x[i], sums[i]).  Returns the sum of x in blocks. */
    double (*add_row[CSP__N_DTYPES])(const void *x, size_t n, float weight,
                                     float *restrict sums);

    /* y[i] = x[i]. */
    void (*load[CSP__N_DTYPES])(const void *x, size_t n, float *restrict y);

    /* x[i] = y[i] * factor, rounded to nearest even. */
    void (*store[CSP__N_DTYPES])(const float *restrict y, float factor,
                                 size_t n, void *x);

    /*
     * lanes[i % 16] = fma(x[i], x[i], lanes[i % 16]), n a multiple of 16 but
     * in the last call for a row.
     */
    void (*add_squares)(const float *x, size_t n, float lanes[16]);

    /*
     * logits[r * logits_stride + j] = scale * (q_r . k_j): q packed
     * [n_rows][dim], k_j at k + j * k_stride floats.  The dot product is fma
     * in lanes.
     */
    void (*product)(const float *restrict q, size_t n_rows,
                    const float *restrict k, size_t k_stride, size_t n_keys,
                    size_t dim, float scale, float *restrict logits,
                    size_t logits_stride);

    /*
     * sums[j] += sum over r of weights[r] * e[r * e_stride + j].  BLAS only:
     * NULL in tiers, where weigh_row does the work.
     */
    void (*column_sums)(const float *restrict e, size_t e_stride, size_t n_rows,
                        size_t n, const float *restrict weights,
                        float *restrict sums);

    /* Whether no x is NaN or infinite. */
    bool (*all_finite)(const float *x, size_t n);

    /* The sum of x in blocks. */
    double (*sum)(const float *x, size_t n);

    /* keys[i] = csp__order_of(a[i] + b[i]); b NULL: zeros. */
    void (*order)(const float *a, const float *b, size_t n,
                  uint32_t *restrict keys);

    /* How many keys are >= threshold. */
    size_t (*count_at_least)(const uint32_t *keys, size_t n,
                             uint32_t threshold);

    /* The keys in [low, high], in order, to 'out', which has room for n and may
       be 'keys'; returns how many. */
    size_t (*narrow)(const uint32_t *keys, size_t n, uint32_t low,
                     uint32_t high, uint32_t *out);

    /* Bit i % 64 of bits[i / 64] = keys[i] >= threshold; 0 behind the last. */
    void (*reach)(const uint32_t *keys, size_t n, uint32_t threshold,
                  uint64_t *bits);

    /*
     * Cell i = cell rows[i], i ascending, cells of 'size' bytes at the given
     * strides. rows ascend strictly; dst and src are apart, or the same with
     * the same stride.
     */
    void (*gather)(unsigned char *dst, size_t dst_stride,
                   const unsigned char *src, size_t src_stride, size_t size,
                   const uint32_t *rows, size_t n);
} csp__kernels;

void csp__kernels_scalar(csp__kernels *kernels);
void csp__kernels_scalar_rows(csp__kernels *kernels); /* called by that */
void csp__kernels_stream(csp__kernels *kernels);
void csp__kernels_avx2(csp__kernels *kernels);
void csp__kernels_avx512(csp__kernels *kernels);
void csp__kernels_neon(csp__kernels *kernels);
void csp__kernels_blas_product(csp__kernels *kernels);
void csp__kernels_blas_column_sums(csp__kernels *kernels);

/* gather in plain C. */
void csp__gather(unsigned char *dst, size_t dst_stride,
                 const unsigned char *src, size_t src_stride, size_t size,
                 const uint32_t *rows, size_t n);

struct csp_compute;

/* Fill 'kernels' for a 'compute' that csp__check_compute (config.h) accepts;
   NULL: automatic. */
void csp__kernels_choose(const struct csp_compute *compute,
                         csp__kernels *kernels);

#endif
