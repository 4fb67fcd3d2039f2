/*
 * faults.c - calls of the system that go wrong when a test wants them to
 *
 * The GNU C library gives functions with 64-bit offsets names of their own, so
 * each wrapper is there under both.
 */
#include "faults.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

static struct {
    bool on, fired, forever, was_close;
    fault kind;
    long at, calls;
} state;

void faults_begin(fault kind, long at, bool forever)
{
    state.on = true;
    state.fired = state.was_close = false;
    state.forever = forever;
    state.kind = kind;
    state.at = at;
    state.calls = 0;
}

bool faults_end(void)
{
    state.on = false;
    return state.fired;
}

bool fault_was_close(void)
{
    return state.was_close;
}

/* Whether this call, which can have the fault if 'can', is the one. */
static bool goes_wrong(bool can)
{
    if (!state.on || !can)
        return false;
    const long number = state.calls++;
    const bool now = number == state.at || (state.forever && number > state.at);
    state.fired = state.fired || now;
    if (now && state.kind != FAULT_SHORT)
        errno = state.kind == FAULT_INTERRUPTED ? EINTR
                : state.kind == FAULT_IO        ? EIO
                : state.kind == FAULT_NO_SPACE  ? ENOSPC
                                                : ENOMEM;
    return now;
}

static bool is_error(void)
{
    return state.kind == FAULT_IO || state.kind == FAULT_NO_SPACE;
}

static bool is_error_or_signal(void)
{
    return is_error() || state.kind == FAULT_INTERRUPTED;
}

/* ---- Wrappers ------------------------------------------------------------ */

#define REAL(name) __real_##name
#define WRAP(name) __wrap_##name

/* Reads and writes, which can be short. */
#define WRAP_MOVE(name, parameters, arguments, short_arguments)                \
    ssize_t REAL(name) parameters;                                             \
    ssize_t WRAP(name) parameters;                                             \
    ssize_t WRAP(name) parameters                                              \
    {                                                                          \
        if (!goes_wrong(state.kind != FAULT_NO_MEMORY))                        \
            return REAL(name) arguments;                                       \
        return state.kind == FAULT_SHORT ? REAL(name) short_arguments : -1;    \
    }

#define WRAP_OPEN(name)                                                        \
    int REAL(name)(const char *path, int flags, ...);                          \
    int WRAP(name)(const char *path, int flags, ...);                          \
    int WRAP(name)(const char *path, int flags, ...)                           \
    {                                                                          \
        va_list arguments;                                                     \
        mode_t mode = 0;                                                       \
        if (flags & O_CREAT) {                                                 \
            va_start(arguments, flags);                                        \
            mode = va_arg(arguments, mode_t);                                  \
            va_end(arguments);                                                 \
        }                                                                      \
        return goes_wrong(is_error_or_signal())                                \
                   ? -1                                                        \
                   : REAL(name)(path, flags, mode);                            \
    }

#define WRAP_FSTAT(name, type)                                                 \
    int REAL(name)(int fd, type *status);                                      \
    int WRAP(name)(int fd, type *status);                                      \
    int WRAP(name)(int fd, type *status)                                       \
    {                                                                          \
        return goes_wrong(is_error()) ? -1 : REAL(name)(fd, status);           \
    }

#define WRAP_MEMORY(name, parameters, arguments)                               \
    void *REAL(name) parameters;                                               \
    void *WRAP(name) parameters;                                               \
    void *WRAP(name) parameters                                                \
    {                                                                          \
        return goes_wrong(state.kind == FAULT_NO_MEMORY) ? NULL                \
                                                         : REAL(name)          \
                                                               arguments;      \
    }

WRAP_MOVE(pread, (int fd, void *bytes, size_t size, off_t at),
          (fd, bytes, size, at), (fd, bytes, 1, at))
WRAP_MOVE(write, (int fd, const void *bytes, size_t size), (fd, bytes, size),
          (fd, bytes, 1))
WRAP_OPEN(open)
WRAP_FSTAT(fstat, struct stat)
WRAP_MEMORY(malloc, (size_t size), (size))
WRAP_MEMORY(calloc, (size_t n, size_t size), (n, size))
WRAP_MEMORY(strdup, (const char *text), (text))

#if defined(__GLIBC__)
WRAP_MOVE(pread64, (int fd, void *bytes, size_t size, off_t at),
          (fd, bytes, size, at), (fd, bytes, 1, at))
WRAP_OPEN(open64)
WRAP_FSTAT(fstat64, struct stat)
#endif

int REAL(rename)(const char *from, const char *to);
int WRAP(rename)(const char *from, const char *to);
int WRAP(rename)(const char *from, const char *to)
{
    return goes_wrong(is_error()) ? -1 : REAL(rename)(from, to);
}

/* The descriptor is gone, as it is in the system. */
int REAL(close)(int fd);
int WRAP(close)(int fd);
int WRAP(close)(int fd)
{
    const int result = REAL(close)(fd);

    if (!goes_wrong(is_error()))
        return result;
    state.was_close = true;
    return -1;
}
