/*
 * safetensors.h - headers of .safetensors files
 */
#ifndef CLI_SAFETENSORS_H
#define CLI_SAFETENSORS_H

#include "array.h"

#include <stddef.h>

/* What a header may measure unless somebody says otherwise. */
#define SAFETENSORS_MAX_HEADER (UINT64_C(1) << 20)

typedef struct safetensors_entry {
    char *name;
    const char *dtype; /* as in the file, such as "F32"; static text */
    uint32_t rank;
    uint64_t shape[MAX_RANK];
    uint64_t n_elements;
    uint64_t begin, end; /* bytes in the file */
} safetensors_entry;

typedef struct safetensors {
    safetensors_entry *entries; /* by name */
    size_t n_entries;
} safetensors;

/* Whether a file of 'size' bytes that begins with these, at least 9, could be
   one. */
bool safetensors_begins(const unsigned char *bytes, uint64_t size);

/*
 * Read the header of the file 'descriptor', which messages call 'path' and
 * which has 'file_size' bytes.  Every type is known, every shape as large as
 * its bytes, no name there twice, and the bytes of the tensors fill the file
 * without gap or overlap.
 *
 * Release it with safetensors_free; after an error there is nothing to
 * release.
 */
outcome safetensors_read(const char *path, int descriptor, uint64_t file_size,
                         uint64_t max_header, safetensors *s);
void safetensors_free(safetensors *s);

/* NULL: there is no tensor of that name. */
const safetensors_entry *safetensors_find(const safetensors *s,
                                          const char *name);

#endif /* CLI_SAFETENSORS_H */
