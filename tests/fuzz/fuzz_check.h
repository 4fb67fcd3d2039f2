/*
 * fuzz_check.h - what a fuzzed call must leave behind
 *
 * Everything the library sees lies in blocks of the heap, each as large as what
 * it holds, so that AddressSanitizer notices the first byte beyond.  Without it
 * blocks have guard bytes on both sides instead.  All blocks can be remembered,
 * compared and put back, so one call runs again on every tier.
 */
#ifndef FUZZ_CHECK_H
#define FUZZ_CHECK_H

#include "csp.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What libFuzzer, AFL++ and the replay program call. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* Print one line and abort. */
#if defined(__GNUC__)
__attribute__((noreturn, format(printf, 1, 2)))
#endif
void fuzz_fail(const char *format, ...);

#define REQUIRE(ok, ...) ((ok) ? (void)0 : fuzz_fail(__VA_ARGS__))

typedef enum fuzz_role {
    FUZZ_INPUT,  /* never written */
    FUZZ_OUTPUT, /* written by calls that succeed */
    FUZZ_LOOSE,  /* unspecified after CSP_E_NOT_FINITE, else like an output */
    FUZZ_SCRATCH /* may hold anything afterwards; its guards may not */
} fuzz_role;

/* 'size' bytes of 0xFF, 'offset' bytes off the alignment of malloc. */
void *fuzz_take(size_t size, size_t offset, fuzz_role role);

/* From now on the block that holds 'data' is an input. */
void fuzz_freeze(const void *data);

/* Give all blocks back. */
void fuzz_release(void);

/* Remember all bytes; put them back. */
void fuzz_snapshot(void);
void fuzz_restore(void);

/* Bytes of a block that a caller has checked: remember them as they are. */
void fuzz_accept(const void *data, size_t size);

/* The bytes that 'data' pointed to had when they were remembered. */
const void *fuzz_before(const void *data);

/* Fail unless inputs, and without 'written' outputs too, are as remembered. */
void fuzz_require_kept(const char *call, bool written, bool loose);

/*
 * Call with compute->tier as it is, then with each tier of this CPU: all return
 * the same, and leave the same bytes behind.  A call that fails leaves every
 * byte as it was.  'compute' NULL: the call knows no tiers.
 */
typedef csp_status fuzz_call(void *context);
csp_status fuzz_run(const char *name, fuzz_call *call, void *context,
                    csp_compute *compute);

#endif /* FUZZ_CHECK_H */
