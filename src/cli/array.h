/*
 * array.h - a stored array of numbers, read piece by piece
 *
 * The file may be huge and is input to distrust: what its header says is
 * checked against its size before anything is allocated, and nothing is mapped.
 */
#ifndef CLI_ARRAY_H
#define CLI_ARRAY_H

#include "elements.h"
#include "message.h"

#include <stdbool.h>
#include <stdint.h>

enum { MAX_RANK = 8 };

typedef struct array {
    char *name; /* for messages: the file, and the tensor in it */
    int descriptor;
    element element;
    uint32_t element_size;
    bool swapped; /* of the other byte order */
    bool fortran; /* first axis fastest */
    uint32_t rank;
    uint64_t shape[MAX_RANK];
    uint64_t n_elements;
    uint64_t begin;        /* byte in the file */
    unsigned char *buffer; /* a piece of the file, for reading */
} array;

/*
 * Open a .npy or a .safetensors file, told apart by how they begin.
 *
 * 'tensor'  name in a .safetensors file; NULL: it has to have but one.
 * 'bf16'    16-bit unsigned integers are bfloat16.
 *
 * Release it with array_close; after an error there is nothing to release.
 */
outcome array_open(const char *path, const char *tensor, bool bf16, array *a);
void array_close(array *a);

/*
 * Elements [first, first + count) in C order, whatever the order of the file,
 * as they are but in native byte order; or as floats, which takes every type
 * of floating-point number, f64 rounded to nearest.
 *
 * Where a.fortran, every call may pass over the whole file, so ask for much
 * at once.
 */
outcome array_read(const array *a, uint64_t first, uint64_t count, void *out);
outcome array_read_floats(const array *a, uint64_t first, uint64_t count,
                          float *out);

/* "f32 [4][42][191]", for messages; the text lives until the next call. */
const char *array_describe(const array *a);

#endif /* CLI_ARRAY_H */
