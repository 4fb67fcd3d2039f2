/*
 * workspace.h - checked size arithmetic, and scratch carved from caller memory
 *
 * Every size the library computes from counts goes through csp__mul and
 * csp__add.  A verb describes its scratch once, in a function that takes
 * pieces from an arena; run without memory it measures, run with memory it
 * carves.
 */
#ifndef CSP_WORKSPACE_H
#define CSP_WORKSPACE_H

#include "csp.h"

/* Pieces start on cache lines, which is also the widest vector there is. */
#define CSP__ALIGNMENT 64u

/* *product = a * b; false if it does not fit. */
static inline bool csp__mul(size_t a, size_t b, size_t *product)
{
    if (a != 0 && b > SIZE_MAX / a)
        return false;
    *product = a * b;
    return true;
}

/* *sum = a + b; false if it does not fit. */
static inline bool csp__add(size_t a, size_t b, size_t *sum)
{
    if (b > SIZE_MAX - a)
        return false;
    *sum = a + b;
    return true;
}

typedef struct csp__arena {
    unsigned char *memory; /* aligned; NULL while measuring */
    size_t used;
    bool overflow;
} csp__arena;

/* The next piece, of n_rows * n_cols elements; NULL while measuring or after
   an overflow. */
static inline void *csp__arena_take(csp__arena *arena, size_t n_rows,
                                    size_t n_cols, size_t size)
{
    size_t count, bytes, padded, end;

    if (!csp__mul(n_rows, n_cols, &count) || !csp__mul(count, size, &bytes) ||
        !csp__add(bytes, CSP__ALIGNMENT - 1, &padded) ||
        !csp__add(arena->used, padded - padded % CSP__ALIGNMENT, &end)) {
        arena->overflow = true;
        return NULL;
    }
    void *piece = arena->memory != NULL ? arena->memory + arena->used : NULL;
    arena->used = end;
    return piece;
}

/* Bytes to ask for after measuring, with room to align; 0 after an overflow. */
static inline size_t csp__arena_size(const csp__arena *arena)
{
    size_t size;

    if (arena->overflow || !csp__add(arena->used, CSP__ALIGNMENT, &size))
        return 0;
    return size;
}

/* Whether caller memory will do for what csp__arena_size() measured. */
static inline csp_status csp__check_workspace(const void *memory, size_t size,
                                              size_t needed)
{
    if (memory == NULL)
        return CSP_E_NULL;
    if (needed == 0)
        return CSP_E_OVERFLOW;
    return size < needed ? CSP_E_WORKSPACE : CSP_OK;
}

/* An arena over caller memory that csp__arena_size() measured as large
   enough. */
static inline csp__arena csp__arena_over(void *memory)
{
    size_t rest = (uintptr_t)memory % CSP__ALIGNMENT;
    size_t skip = rest != 0 ? CSP__ALIGNMENT - rest : 0;

    return (csp__arena){.memory = (unsigned char *)memory + skip};
}

#endif
