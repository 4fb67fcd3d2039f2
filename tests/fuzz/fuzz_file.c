/*
 * fuzz_file.c - bytes of a fuzzer as a file
 *
 * One file for the life of the process, in memory where Linux has /dev/shm.
 */
#include "fuzz_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

static char path[64];
static int descriptor = -1;

#ifdef __linux__

/* Nothing is left behind, however the process ends. */
static void hide(void)
{
    unlink(path);
    snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
}

#else

static void remove_file(void)
{
    unlink(path);
}

static void hide(void)
{
    atexit(remove_file);
}

#endif

static void create(void)
{
    static const char *const folders[] = {"/dev/shm", "/tmp"};

    for (size_t i = 0; i < 2 && descriptor < 0; i++) {
        snprintf(path, sizeof path, "%s/csp-fuzz-XXXXXX", folders[i]);
        descriptor = mkstemp(path);
    }
    REQUIRE(descriptor >= 0, "no temporary file can be made");
    hide();
}

const char *fuzz_file(const uint8_t *data, size_t size)
{
    if (descriptor < 0)
        create();
    REQUIRE(ftruncate(descriptor, 0) == 0 &&
                pwrite(descriptor, data, size, 0) == (ssize_t)size,
            "the temporary file cannot be written");
    return path;
}
