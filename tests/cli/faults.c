/*
 * faults.c - calls of the system that go wrong when a test wants them to
 *
 * The GNU C library gives functions with 64-bit offsets names of their own, so
 * each wrapper is there under both.
 */
#include "faults.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static struct {
    bool on, fired, forever, harmless, no_links;
    fault kind;
    long at, calls, live, moved;
} state;

void faults_begin(fault kind, long at, bool forever)
{
    state.on = true;
    state.fired = state.harmless = false;
    state.forever = forever;
    state.kind = kind;
    state.at = at;
    state.calls = state.live = state.moved = 0;
}

bool faults_end(void)
{
    state.on = false;
    return state.fired;
}

bool fault_may_be_harmless(void)
{
    return state.harmless;
}

long faults_leaked(void)
{
    return state.live;
}

void faults_no_links(bool no_links)
{
    state.no_links = no_links;
}

long faults_moved(void)
{
    return state.moved;
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
                : state.kind == FAULT_NO_SPACE  ? ENOSPC
                : state.kind == FAULT_NO_THREAD ? EAGAIN
                : state.kind == FAULT_NO_MEMORY ? ENOMEM
                                                : EIO;
    return now;
}

static bool is_error(void)
{
    return state.kind == FAULT_IO || state.kind == FAULT_NO_SPACE;
}

static bool moves(void)
{
    return state.kind == FAULT_SHORT || is_error() ||
           state.kind == FAULT_INTERRUPTED;
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
        if (!goes_wrong(moves()))                                              \
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
        if (!goes_wrong(is_error_or_signal()))                                 \
            return REAL(name)(path, flags, mode);                              \
        state.harmless = (flags & O_DIRECTORY) != 0;                           \
        return -1;                                                             \
    }

#define WRAP_STAT(name, type)                                                  \
    int REAL(name)(const char *path, type *status);                            \
    int WRAP(name)(const char *path, type *status);                            \
    int WRAP(name)(const char *path, type *status)                             \
    {                                                                          \
        if (!goes_wrong(is_error()))                                           \
            return REAL(name)(path, status);                                   \
        state.harmless = true;                                                 \
        return -1;                                                             \
    }

/* Looks that matter. */
#define WRAP_LOOK(name, parameters)                                            \
    int REAL(name) parameters;                                                 \
    int WRAP(name) parameters;                                                 \
    int WRAP(name) parameters                                                  \
    {                                                                          \
        return goes_wrong(is_error()) ? -1 : REAL(name)(at, status);           \
    }

/* A block more, unless 'was' is one that moves. */
#define WRAP_MEMORY(name, parameters, arguments, was)                          \
    void *REAL(name) parameters;                                               \
    void *WRAP(name) parameters;                                               \
    void *WRAP(name) parameters                                                \
    {                                                                          \
        const bool moved = (was) != NULL;                                      \
        void *memory = NULL;                                                   \
        if (!goes_wrong(state.kind == FAULT_NO_MEMORY))                        \
            memory = REAL(name) arguments;                                     \
        state.live += state.on && memory != NULL && !moved;                    \
        return memory;                                                         \
    }

WRAP_MOVE(pread, (int fd, void *bytes, size_t size, off_t at),
          (fd, bytes, size, at), (fd, bytes, 1, at))
WRAP_MOVE(write, (int fd, const void *bytes, size_t size), (fd, bytes, size),
          (fd, bytes, 1))
WRAP_OPEN(open)
WRAP_LOOK(fstat, (int at, struct stat *status))
WRAP_LOOK(lstat, (const char *at, struct stat *status))
WRAP_STAT(stat, struct stat)
WRAP_MEMORY(malloc, (size_t size), (size), NULL)
WRAP_MEMORY(calloc, (size_t n, size_t size), (n, size), NULL)
WRAP_MEMORY(realloc, (void *old, size_t size), (old, size), old)

/* A static library's has a malloc in it that the linker replaces as well. */
char *WRAP(strdup)(const char *text);
char *WRAP(strdup)(const char *text)
{
    const size_t size = strlen(text) + 1;
    char *copy = WRAP(malloc)(size);

    return copy != NULL ? memcpy(copy, text, size) : NULL;
}

#if defined(__GLIBC__)
WRAP_MOVE(pread64, (int fd, void *bytes, size_t size, off_t at),
          (fd, bytes, size, at), (fd, bytes, 1, at))
WRAP_OPEN(open64)
WRAP_LOOK(fstat64, (int at, struct stat *status))
WRAP_LOOK(lstat64, (const char *at, struct stat *status))
WRAP_STAT(stat64, struct stat)
#endif

/* Who takes back what went wrong can do no more if that goes wrong as well, so
   this is for a fault of its own. */
int REAL(rename)(const char *from, const char *to);
int WRAP(rename)(const char *from, const char *to);
int WRAP(rename)(const char *from, const char *to)
{
    const bool takes_back = strstr(from, ".old") != NULL;
    const bool can = is_error() ? !takes_back : state.kind == FAULT_RENAME;

    if (goes_wrong(can))
        return -1;
    const int result = REAL(rename)(from, to);
    state.moved += state.on && result == 0 && strstr(from, ".csp-") == NULL;
    return result;
}

int REAL(linkat)(int folder, const char *from, int to_folder, const char *to,
                 int flags);
int WRAP(linkat)(int folder, const char *from, int to_folder, const char *to,
                 int flags);
int WRAP(linkat)(int folder, const char *from, int to_folder, const char *to,
                 int flags)
{
    if (goes_wrong(is_error()))
        return -1;
    /* What is not there is told of first. */
    if (!state.on || !state.no_links || access(from, F_OK) != 0)
        return REAL(linkat)(folder, from, to_folder, to, flags);
    errno = EPERM;
    return -1;
}

int REAL(flock)(int fd, int operation);
int WRAP(flock)(int fd, int operation);
int WRAP(flock)(int fd, int operation)
{
    if (!goes_wrong(is_error_or_signal()))
        return REAL(flock)(fd, operation);
    state.harmless = true;
    return -1;
}

int REAL(mkdir)(const char *path, mode_t mode);
int WRAP(mkdir)(const char *path, mode_t mode);
int WRAP(mkdir)(const char *path, mode_t mode)
{
    return goes_wrong(is_error()) ? -1 : REAL(mkdir)(path, mode);
}

/* The descriptor is gone, as it is in the system. */
int REAL(close)(int fd);
int WRAP(close)(int fd);
int WRAP(close)(int fd)
{
    const int mode = fcntl(fd, F_GETFL);
    const int result = REAL(close)(fd);

    if (!goes_wrong(is_error()))
        return result;
    state.harmless = (mode & O_ACCMODE) == O_RDONLY;
    return -1;
}

void REAL(free)(void *memory);
void WRAP(free)(void *memory);
void WRAP(free)(void *memory)
{
    state.live -= state.on && memory != NULL;
    REAL(free)(memory);
}

typedef void *thread_function(void *);

int REAL(pthread_create)(pthread_t *thread, const pthread_attr_t *attributes,
                         thread_function *start, void *context);
int WRAP(pthread_create)(pthread_t *thread, const pthread_attr_t *attributes,
                         thread_function *start, void *context);
int WRAP(pthread_create)(pthread_t *thread, const pthread_attr_t *attributes,
                         thread_function *start, void *context)
{
    if (!goes_wrong(state.kind == FAULT_NO_THREAD))
        return REAL(pthread_create)(thread, attributes, start, context);
    state.harmless = true;
    return EAGAIN;
}
