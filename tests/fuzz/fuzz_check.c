/*
 * fuzz_check.c - what a fuzzed call must leave behind
 */
#include "fuzz_check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ASAN
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define HAS_ASAN
#endif

#ifdef HAS_ASAN
enum { GUARD = 0 };
#else
enum { GUARD = 64 };
#endif

enum { MAX_BLOCKS = 96, GUARD_BYTE = 0xC5, FILL_BYTE = 0xFF };

typedef struct block {
    unsigned char *memory; /* guard, offset, data, guard */
    unsigned char *before; /* as remembered */
    unsigned char *result; /* as the first tier left it */
    size_t size;           /* of all of it */
    size_t data, data_size;
    fuzz_role role;
} block;

static block blocks[MAX_BLOCKS];
static size_t n_blocks;

/* Where messages go: a fuzzer may have turned stderr off. */
static FILE *messages;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    messages = stderr;
#ifdef __GLIBC__
    /* The program's complaints about its input are of no interest. */
    FILE *nowhere = fopen("/dev/null", "w");
    if (nowhere != NULL)
        stderr = nowhere;
#endif
    return 0;
}

void fuzz_fail(const char *format, ...)
{
    FILE *to = messages != NULL ? messages : stderr;
    va_list arguments;

    va_start(arguments, format);
    fputs("fuzz: ", to);
    vfprintf(to, format, arguments);
    fputc('\n', to);
    fflush(to);
    va_end(arguments);
    abort();
}

static void *allocate(size_t size)
{
    void *memory = malloc(size > 0 ? size : 1);

    REQUIRE(memory != NULL, "no memory for the test itself");
    return memory;
}

void *fuzz_take(size_t size, size_t offset, fuzz_role role)
{
    REQUIRE(n_blocks < MAX_BLOCKS, "too many blocks in the test itself");
    block *b = &blocks[n_blocks++];
    *b = (block){.size = GUARD + offset + size + GUARD,
                 .data = GUARD + offset,
                 .data_size = size,
                 .role = role};
    b->memory = allocate(b->size);
    b->before = allocate(b->size);
    b->result = allocate(b->size);
    memset(b->memory, GUARD_BYTE, b->size);
    memset(b->memory + b->data, FILL_BYTE, size);
    memcpy(b->before, b->memory, b->size);
    return b->memory + b->data;
}

void fuzz_release(void)
{
    for (size_t i = 0; i < n_blocks; i++) {
        free(blocks[i].memory);
        free(blocks[i].before);
        free(blocks[i].result);
    }
    n_blocks = 0;
}

void fuzz_snapshot(void)
{
    for (size_t i = 0; i < n_blocks; i++)
        memcpy(blocks[i].before, blocks[i].memory, blocks[i].size);
}

void fuzz_restore(void)
{
    for (size_t i = 0; i < n_blocks; i++)
        memcpy(blocks[i].memory, blocks[i].before, blocks[i].size);
}

/* The block that holds these bytes, and where in it they are. */
static block *find(const void *data, size_t *at)
{
    for (size_t i = 0; i < n_blocks; i++) {
        const uintptr_t begin = (uintptr_t)blocks[i].memory;
        *at = (uintptr_t)data - begin;
        if ((uintptr_t)data >= begin && *at <= blocks[i].size)
            return &blocks[i];
    }
    fuzz_fail("no block holds %p", data);
}

void fuzz_freeze(const void *data)
{
    size_t at;

    find(data, &at)->role = FUZZ_INPUT;
}

void fuzz_accept(const void *data, size_t size)
{
    size_t at;

    if (size > 0) {
        block *b = find(data, &at);
        memcpy(b->before + at, data, size);
    }
}

const void *fuzz_before(const void *data)
{
    size_t at;
    const block *b = find(data, &at);

    return b->before + at;
}

/* Whether a block, or of scratch its guards, is as in 'other'. */
static bool same(const block *b, const unsigned char *other, bool guards_only)
{
    const size_t end = b->data + b->data_size;

    if (!guards_only)
        return memcmp(b->memory, other, b->size) == 0;
    return memcmp(b->memory, other, b->data) == 0 &&
           memcmp(b->memory + end, other + end, b->size - end) == 0;
}

void fuzz_require_kept(const char *call, bool written, bool loose)
{
    for (size_t i = 0; i < n_blocks; i++) {
        const block *b = &blocks[i];
        const bool guards_only = b->role == FUZZ_SCRATCH ||
                                 (b->role == FUZZ_LOOSE && loose) ||
                                 (b->role != FUZZ_INPUT && written);
        REQUIRE(same(b, b->before, guards_only),
                "%s wrote where it must not: block %zu of role %d", call, i,
                (int)b->role);
    }
}

/* ---- Tiers --------------------------------------------------------------- */

static void keep_results(void)
{
    for (size_t i = 0; i < n_blocks; i++)
        memcpy(blocks[i].result, blocks[i].memory, blocks[i].size);
}

static void require_results(const char *call, csp_tier tier)
{
    for (size_t i = 0; i < n_blocks; i++)
        REQUIRE(
            same(&blocks[i], blocks[i].result, blocks[i].role == FUZZ_SCRATCH),
            "%s: tier %d writes other bits, block %zu", call, (int)tier, i);
}

static csp_status call_once(const char *name, fuzz_call *call, void *context)
{
    const csp_status status = call(context);

    fuzz_require_kept(name, status == CSP_OK, status == CSP_E_NOT_FINITE);
    return status;
}

csp_status fuzz_run(const char *name, fuzz_call *call, void *context,
                    csp_compute *compute)
{
    static const csp_tier tiers[] = {CSP_TIER_SCALAR, CSP_TIER_AVX2,
                                     CSP_TIER_AVX512, CSP_TIER_NEON};

    fuzz_snapshot();
    const csp_status status = call_once(name, call, context);
    if (compute == NULL || !csp_has_tier(compute->tier))
        return status;
    const csp_tier drawn = compute->tier;
    keep_results();
    for (size_t i = 0; i < sizeof tiers / sizeof tiers[0]; i++) {
        if (!csp_has_tier(tiers[i]))
            continue;
        compute->tier = tiers[i];
        fuzz_restore();
        const csp_status other = call_once(name, call, context);
        REQUIRE(other == status, "%s: tier %d returns %d, tier %d %d", name,
                (int)tiers[i], (int)other, (int)drawn, (int)status);
        if (status == CSP_OK)
            require_results(name, tiers[i]);
    }
    compute->tier = drawn;
    return status;
}
