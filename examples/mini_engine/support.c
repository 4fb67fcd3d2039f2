/*
 * support.c - errors, memory, files
 */
#include "support.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

noreturn void die(const char *subject, const char *reason, ...)
{
    va_list arguments;

    fflush(stdout);
    fprintf(stderr, "mini_engine: %s: ", subject);
    va_start(arguments, reason);
    vfprintf(stderr, reason, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    _Exit(EXIT_FAILURE); /* what is in use goes with the process */
}

size_t times(size_t a, size_t b)
{
    if (b != 0 && a > SIZE_MAX / b)
        die("memory", "%zu times %zu is more than there can be", a, b);
    return a * b;
}

void *take(size_t n, size_t size)
{
    void *memory = calloc(n > 0 ? n : 1, size > 0 ? size : 1);

    if (memory == NULL)
        die("memory", "none left for %zu times %zu bytes", n, size);
    return memory;
}

void *duplicate(const void *src, size_t n, size_t size)
{
    void *copy = take(n, size);

    if (n > 0)
        memcpy(copy, src, n * size);
    return copy;
}

char *join(const char *folder, const char *name)
{
    size_t size = strlen(folder) + strlen(name) + 2;
    char *path = take(size, 1);

    snprintf(path, size, "%s/%s", folder, name);
    return path;
}

unsigned char *read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");

    if (file == NULL)
        die(path, "%s", strerror(errno));
    if (fseek(file, 0, SEEK_END) != 0)
        die(path, "not a regular file");
    long length = ftell(file);
    if (length < 0 || length == LONG_MAX || fseek(file, 0, SEEK_SET) != 0)
        die(path, "not a regular file");
    *size = (size_t)length;
    unsigned char *bytes = take(*size + 1, 1);
    if (fread(bytes, 1, *size, file) != *size)
        die(path, "cannot be read to its end");
    fclose(file);
    return bytes;
}
