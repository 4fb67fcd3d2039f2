/*
 * fuzz_file.h - bytes of a fuzzer as a file, for readers that take a path
 */
#ifndef FUZZ_FILE_H
#define FUZZ_FILE_H

#include "fuzz_check.h"

/* A file of these bytes; the next call overwrites it. */
const char *fuzz_file(const uint8_t *data, size_t size);

#endif /* FUZZ_FILE_H */
