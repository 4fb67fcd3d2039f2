/*
 * test.h - what the unit tests share
 *
 * Include it first: cmocka wants its own headers before it.
 */
#ifndef TEST_H
#define TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "csp.h"

/* A test without state; one that no list names is an unused function. */
#define TEST(name)                                                             \
    static void name##_body(void);                                             \
    static void name(void **state)                                             \
    {                                                                          \
        (void)state;                                                           \
        name##_body();                                                         \
    }                                                                          \
    static void name##_body(void)

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define RUN(tests) cmocka_run_group_tests(tests, NULL, NULL)

/* ---- Assertions ---------------------------------------------------------- */

#define assert_status(call, expected)                                          \
    do {                                                                       \
        const csp_status got_ = (call);                                        \
        if (got_ != (expected))                                                \
            fail_msg("got \"%s\", expected \"%s\"", csp_status_string(got_),   \
                     csp_status_string(expected));                             \
    } while (0)

#define assert_ok(call) assert_status(call, CSP_OK)

static inline bool is_near(double got, double expected, double relative)
{
    return got == expected || fabs(got - expected) <= relative * fabs(expected);
}

/* Equal within 'relative' of the expected value; infinity equals itself. */
#define assert_near(got, expected, relative)                                   \
    do {                                                                       \
        const double got_ = (double)(got);                                     \
        const double expected_ = (double)(expected);                           \
        if (!is_near(got_, expected_, relative))                               \
            fail_msg("got %.9g, expected %.9g", got_, expected_);              \
    } while (0)

/* Exactly these numbers. */
#define assert_floats(got, expected)                                           \
    do {                                                                       \
        for (size_t i_ = 0; i_ < COUNT(expected); i_++)                        \
            assert_near((got)[i_], (expected)[i_], 0.0);                       \
    } while (0)

/* ---- Memory with guards -------------------------------------------------- */

#define GUARD_BYTE 0xa5u

/*
 * 'size' bytes that end where memory ends: the page behind cannot be touched,
 * and bytes in front are canaries.
 */
typedef struct guarded {
    unsigned char *map;
    size_t map_size; /* pages that can be touched */
    unsigned char *data;
    size_t size;
} guarded;

static inline guarded guard(const void *bytes, size_t size)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    guarded g = {.map_size = (size / page + 1) * page, .size = size};

    void *map = mmap(NULL, g.map_size + page, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(map != MAP_FAILED);
    g.map = map;
    assert_int_equal(mprotect(g.map + g.map_size, page, PROT_NONE), 0);
    memset(g.map, (int)GUARD_BYTE, g.map_size);
    g.data = g.map + (g.map_size - size);
    if (bytes != NULL && size > 0)
        memcpy(g.data, bytes, size);
    return g;
}

/* Give the memory back; fails if a canary in front has changed. */
static inline void unguard(guarded *g)
{
    for (const unsigned char *at = g->map; at < g->data; at++)
        if (*at != GUARD_BYTE)
            fail_msg("a byte %ld in front was written", (long)(g->data - at));
    munmap(g->map, g->map_size + (size_t)sysconf(_SC_PAGESIZE));
}

/* No write from here on. */
static inline void make_read_only(const guarded *g)
{
    assert_int_equal(mprotect(g->map, g->map_size, PROT_READ), 0);
}

/* ---- Numbers ------------------------------------------------------------- */

static inline float float_of_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline uint32_t bits_of_float(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* How many floats 'got' is away from the real number 'expected', not 0. */
static inline double ulps_off(float got, double expected)
{
    int exponent;
    frexp(expected, &exponent);
    if (exponent < -125)
        exponent = -125;
    return fabs((double)got - expected) / ldexp(1.0, exponent - 24);
}

#endif
