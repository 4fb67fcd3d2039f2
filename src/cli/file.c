/*
 * file.c - reading regular files
 *
 * Nothing is mapped: a mapped file that somebody cuts short ends the program
 * by a signal, a read of it by a message.
 */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* One call reads no more, so that each system can count it. */
#define MAX_PIECE ((size_t)1 << 30)

static const char *kind_of(mode_t mode)
{
    if (S_ISDIR(mode))
        return "a directory";
    if (S_ISFIFO(mode))
        return "a FIFO";
    if (S_ISCHR(mode) || S_ISBLK(mode))
        return "a device";
    return "something else";
}

outcome file_open(const char *path, int *descriptor, uint64_t *size)
{
    struct stat status;
    int fd;

    /* A FIFO would wait for a writer. */
    do
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return fail(IO_FAILED, "%s: cannot be opened: %s", path,
                    strerror(errno));
    if (fstat(fd, &status) != 0) {
        outcome result =
            fail(IO_FAILED, "%s: cannot be read: %s", path, strerror(errno));
        close(fd);
        return result;
    }
    if (!S_ISREG(status.st_mode) || status.st_size < 0) {
        close(fd);
        return fail(BAD_INPUT, "%s: is %s, expected a regular file", path,
                    kind_of(status.st_mode));
    }
    *descriptor = fd;
    *size = (uint64_t)status.st_size;
    return DONE;
}

outcome file_read(const char *name, int descriptor, uint64_t offset, void *out,
                  size_t size)
{
    unsigned char *bytes = out;

    while (size > 0) {
        const off_t at = (off_t)offset;
        if (at < 0 || (uint64_t)at != offset)
            return fail(IO_FAILED, "%s: byte %llu is out of reach", name,
                        (unsigned long long)offset);
        ssize_t n =
            pread(descriptor, bytes, size < MAX_PIECE ? size : MAX_PIECE, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail(IO_FAILED, "%s: cannot be read: %s", name,
                        strerror(errno));
        if (n == 0)
            return fail(IO_FAILED,
                        "%s: ends at byte %llu, became shorter while read",
                        name, (unsigned long long)offset);
        bytes += n;
        size -= (size_t)n;
        offset += (uint64_t)n;
    }
    return DONE;
}
