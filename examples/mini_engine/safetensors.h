/*
 * safetensors.h - reader of .safetensors files, which are input to distrust
 */
#ifndef SAFETENSORS_H
#define SAFETENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SAFETENSORS_MAX_RANK = 8 };

typedef struct safetensors_entry {
    char *name, *dtype;
    uint32_t rank;
    uint64_t shape[SAFETENSORS_MAX_RANK];
    uint64_t begin, end; /* bytes of the data */
    bool read;           /* somebody asked for it */
} safetensors_entry;

typedef struct safetensors {
    const char *path;
    unsigned char *file;
    const unsigned char *data;
    uint64_t data_size;
    safetensors_entry *entries; /* by name */
    size_t n_entries;
} safetensors;

/*
 * Read a file and check all that its header says: that it is JSON of the right
 * form, each type known, each shape as large as its bytes, and that the bytes
 * of the tensors fill the data without gap or overlap.  The first fault ends
 * the program with a message.  'path' must outlive the result.
 */
safetensors safetensors_open(const char *path);
void safetensors_close(safetensors *s);

bool safetensors_has(const safetensors *s, const char *name);

/*
 * The tensor [n_rows][n_cols] (n_rows = 0: [n_cols]) of that name, F32, F16 or
 * BF16, as floats; release it with free().  A tensor that is missing, of
 * another type or shape, or not finite ends the program.
 */
float *safetensors_floats(const safetensors *s, const char *name,
                          uint32_t n_rows, uint32_t n_cols);

/* A tensor that safetensors_floats has not read, of a name that begins with
   'start' and does not contain 'but'; NULL: none. */
const char *safetensors_unread(const safetensors *s, const char *start,
                               const char *but);

/* Columns of a tensor of two counts of which the first is n_rows. */
uint32_t safetensors_cols(const safetensors *s, const char *name,
                          uint32_t n_rows);

#endif /* SAFETENSORS_H */
