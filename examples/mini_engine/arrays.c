/*
 * arrays.c - arrays of .npy files, or a message
 */
#include "arrays.h"

#include "support.h"

#include <string.h>

array array_read(const char *path, const char *type, uint32_t rank)
{
    npy_array file;
    array a = {0};

    if (!npy_read(path, type, &file))
        die(path, "cannot be read, or is no .npy file of %s in C order", type);
    if (file.rank != rank)
        die(path, "an array of %u counts, not of %u", file.rank, rank);
    memcpy(a.shape, file.shape, sizeof a.shape);
    if (strcmp(type, "<i4") == 0)
        a.i32 = file.data;
    else if (strcmp(type, "|u1") == 0)
        a.u8 = file.data;
    else
        a.f32 = file.data;
    return a;
}
