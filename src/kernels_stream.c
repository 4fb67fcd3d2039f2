/*
 * kernels_stream.c - cells moved past the caches, on x86-64
 *
 * A cache that is compacted is larger than what will be used of it soon, so
 * its new lines need not be read before they are written, nor take the place
 * of others.  Cells come from all over memory: some are fetched ahead.
 * Everything here is in every x86-64.
 */
#include "kernels.h"

#if defined(__x86_64__) && defined(__GNUC__)

#include <emmintrin.h>

/* From so many bytes on; less is likely to be used while it is in a cache. */
#define LEAST ((size_t)1 << 16)

/* Bytes of cells fetched ahead, into the second cache: it has more room for
   what comes from memory. */
#define AHEAD ((size_t)4096)

#define LINE ((size_t)64)

static inline void fetch(const unsigned char *cell, size_t size)
{
    for (size_t i = 0; i < size; i += LINE)
        __builtin_prefetch(cell + i, 0, 2);
}

static inline void copy_cell(unsigned char *to, const unsigned char *from,
                             size_t size)
{
    for (size_t i = 0; i < size; i += LINE)
        for (size_t j = i; j < i + LINE; j += sizeof(__m128i))
            _mm_stream_si128(
                (__m128i *)(void *)(to + j),
                _mm_loadu_si128((const __m128i *)(const void *)(from + j)));
}

static void gather(unsigned char *dst, size_t dst_stride,
                   const unsigned char *src, size_t src_stride, size_t size,
                   const uint32_t *rows, size_t n)
{
    const size_t ahead = size < AHEAD ? AHEAD / size : 1;

    if (size % LINE != 0 || dst_stride % sizeof(__m128i) != 0 ||
        (uintptr_t)dst % sizeof(__m128i) != 0 || n < LEAST / size) {
        csp__gather(dst, dst_stride, src, src_stride, size, rows, n);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        unsigned char *to = dst + i * dst_stride;
        const unsigned char *from = src + rows[i] * src_stride;
        if (i + ahead < n)
            fetch(src + rows[i + ahead] * src_stride, size);
        if (to != from)
            copy_cell(to, from, size);
    }
    _mm_sfence(); /* what comes later is written later */
}

void csp__kernels_stream(csp__kernels *kernels)
{
    kernels->gather = gather;
}

#else

typedef int csp__no_stream; /* ISO C wants a declaration in every file */

#endif
