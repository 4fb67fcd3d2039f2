/*
 * kernels_scalar_rows.c - the loops that choose and move rows, in portable C
 *
 * What kernels_scalar.c is to attention, this is to selection and compaction.
 */
#include "kernels.h"

#include <string.h>

#include "numeric.h"

static bool all_finite(const float *x, size_t n)
{
    bool finite = true;

    for (size_t i = 0; i < n; i++)
        finite &= csp__is_finite(x[i]);
    return finite;
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

void csp__gather(unsigned char *dst, size_t dst_stride,
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

void csp__kernels_scalar_rows(csp__kernels *kernels)
{
    kernels->all_finite = all_finite;
    kernels->order = order;
    kernels->count_at_least = count_at_least;
    kernels->narrow = narrow;
    kernels->reach = reach;
    kernels->gather = csp__gather;
}
