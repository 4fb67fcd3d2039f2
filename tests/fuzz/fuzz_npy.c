/*
 * fuzz_npy.c - the program's reader of .npy files
 */
#include "fuzz_array.h"
#include "fuzz_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_read_array(fuzz_file(data, size), NULL, size);
    return 0;
}
