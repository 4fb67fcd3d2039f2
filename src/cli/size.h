/*
 * size.h - the one place where sizes from outside are added and multiplied
 */
#ifndef CLI_SIZE_H
#define CLI_SIZE_H

#include <stdbool.h>
#include <stdint.h>

/* *product = a * b; false, and *product as before, if it does not fit. */
static inline bool size_mul(uint64_t a, uint64_t b, uint64_t *product)
{
    if (a != 0 && b > UINT64_MAX / a)
        return false;
    *product = a * b;
    return true;
}

/* *sum = a + b; false, and *sum as before, if it does not fit. */
static inline bool size_add(uint64_t a, uint64_t b, uint64_t *sum)
{
    if (b > UINT64_MAX - a)
        return false;
    *sum = a + b;
    return true;
}

/* *number = 10 * *number + digit, with digit one of '0'..'9'. */
static inline bool size_append_digit(uint64_t *number, char digit)
{
    uint64_t tens;

    return size_mul(*number, 10, &tens) &&
           size_add(tens, (uint64_t)(digit - '0'), number);
}

/* *product = factor * shape[0] * ... * shape[rank - 1]; a count of 0 hides
   no overflow of the others. */
static inline bool size_of_shape(uint64_t factor, const uint64_t *shape,
                                 uint32_t rank, uint64_t *product)
{
    uint64_t without_zeros = factor;
    bool empty = false;

    for (uint32_t i = 0; i < rank; i++) {
        empty = empty || shape[i] == 0;
        if (shape[i] != 0 && !size_mul(without_zeros, shape[i], &without_zeros))
            return false;
    }
    *product = empty ? 0 : without_zeros;
    return true;
}

#endif /* CLI_SIZE_H */
