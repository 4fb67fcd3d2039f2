/*
 * npy.h - headers of .npy files
 */
#ifndef CLI_NPY_H
#define CLI_NPY_H

#include "array.h"

#define NPY_MAGIC "\x93NUMPY"

enum { NPY_MAGIC_SIZE = 6 };

/*
 * Read the header of the file a->descriptor, which messages call a->name and
 * which has 'file_size' bytes and begins with NPY_MAGIC, and fill in the
 * array's type, shape and place.
 *
 * Takes versions 1, 2 and 3 and numbers of the types of elements.h in either
 * byte order.  Header and data must fill the file to the byte.
 */
outcome npy_header(array *a, uint64_t file_size);

#endif /* CLI_NPY_H */
