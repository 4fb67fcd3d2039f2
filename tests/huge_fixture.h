/*
 * huge_fixture.h - memory of which there is none, for tensors that are huge
 *
 * Memory that is mapped but never written costs nothing and reads as zero, so a
 * few numbers planted far out are all that such a tensor holds, and what is to
 * come of it can be written down.  An offset that goes through 32 bits anywhere
 * reads a zero, or writes where a zero belongs.  Skipped where so large a map
 * cannot be had.
 */
#ifndef HUGE_FIXTURE_H
#define HUGE_FIXTURE_H

#include "test.h"

#include <stdio.h>

#if SIZE_MAX > UINT32_MAX && defined(MAP_NORESERVE)
#define HUGE_MAPS 1
#else
#define HUGE_MAPS 0
#endif

#if HUGE_MAPS

#define GIB ((size_t)1 << 30)

/* Of f16: its size, one half and one. */
enum { TWO_BYTES = 2, HALF = 0x3800, ONE = 0x3c00 };

/* Zeros without end; nothing is paid for what is not written. */
static inline unsigned char *sparse(size_t size)
{
    void *map = mmap(NULL, size, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (map == MAP_FAILED) {
        print_message("no map of %zu GiB: skipped\n", size / GIB);
        skip();
    }
    /* Huge pages would make every number planted cost 2 MiB. */
    (void)madvise(map, size, MADV_NOHUGEPAGE);
    return map;
}

/* Where an element is in the memory that the tensor looks at. */
static inline unsigned char *at(unsigned char *map, const csp_tensor *t,
                                size_t head, size_t row, size_t col)
{
    return map + head * t->head_stride + row * t->row_stride +
           col * t->col_stride;
}

static inline void plant_half(unsigned char *map, const csp_tensor *t,
                              size_t head, size_t row, size_t col,
                              uint16_t bits)
{
    memcpy(at(map, t, head, row, col), &bits, sizeof bits);
}

static inline void plant_float(unsigned char *map, const csp_tensor *t,
                               size_t head, size_t row, size_t col, float x)
{
    memcpy(at(map, t, head, row, col), &x, sizeof x);
}

#endif /* HUGE_MAPS */

#endif /* HUGE_FIXTURE_H */
