/*
 * arrays.h - arrays of .npy files, or a message
 */
#ifndef ARRAYS_H
#define ARRAYS_H

#include "../npy.h"

#include <stdint.h>

typedef struct array {
    uint32_t shape[NPY_MAX_RANK];
    int32_t *i32; /* the one that was asked for; release it with free() */
    uint8_t *u8;
    float *f32;
} array;

/* Read a file that must hold 'rank' counts of elements of a type: "<i4", "|u1"
   or "<f4".  If it does not, the program ends with a message. */
array array_read(const char *path, const char *type, uint32_t rank);

#endif /* ARRAYS_H */
