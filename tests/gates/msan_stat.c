/*
 * msan_stat.c - what MemorySanitizer does not know of the C library
 *
 * From glibc 2.33 on stat and fstat are functions like others, and clang's
 * MemorySanitizer up to 14 takes what they fill for uninitialised.  Programs
 * that are linked with this file have their own, which say what was filled.
 */
#define _GNU_SOURCE

#include <fcntl.h>
#include <sanitizer/msan_interface.h>
#include <sys/stat.h>

static int filled(int result, void *status, size_t size)
{
    if (result == 0)
        __msan_unpoison(status, size);
    return result;
}

int fstat(int file, struct stat *status)
{
    return filled(fstatat(file, "", status, AT_EMPTY_PATH), status,
                  sizeof *status);
}

int stat(const char *path, struct stat *status)
{
    return filled(fstatat(AT_FDCWD, path, status, 0), status, sizeof *status);
}

/* Of programs that ask for files of any size. */
int fstat64(int file, struct stat64 *status)
{
    return filled(fstatat64(file, "", status, AT_EMPTY_PATH), status,
                  sizeof *status);
}

int stat64(const char *path, struct stat64 *status)
{
    return filled(fstatat64(AT_FDCWD, path, status, 0), status, sizeof *status);
}
