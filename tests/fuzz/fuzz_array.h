/*
 * fuzz_array.h - reading an array that a hostile file claims to have
 */
#ifndef FUZZ_ARRAY_H
#define FUZZ_ARRAY_H

#include "fuzz_check.h"

/*
 * Open it by the program's reader, and where that takes it read all of it, a
 * part of it, as floats, and beyond its end, into memory of just that size.
 * What is opened must fill the file of 'size' bytes as far as it says.
 */
void fuzz_read_array(const char *path, const char *tensor, size_t size);

#endif /* FUZZ_ARRAY_H */
