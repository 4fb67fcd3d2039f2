/*
 * message.h - what the program says on standard error, and its exit codes
 */
#ifndef CLI_MESSAGE_H
#define CLI_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

/* How a command ended; main returns it. */
typedef enum outcome {
    DONE = 0,
    BAD_USAGE = 1,
    BAD_INPUT = 2,
    IO_FAILED = 3,
    INTERNAL = 4
} outcome;

/*
 * Print "csp: " and one line, with what is not printable escaped, and return
 * 'result', so that a caller can say "return fail(BAD_INPUT, ...)".
 */
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
outcome
fail(outcome result, const char *format, ...);

/* 'text' as fail prints it, cut where dst[0..size) ends: for names on standard
   output. */
void escape(char *dst, size_t size, const char *text);

/* To be the last of what a command prints on standard output: IO_FAILED if
   some of it did not get there. */
outcome flush_output(void);

/* Show how much is done, where standard error is a terminal. */
void progress(const char *what, uint64_t done, uint64_t all);
void progress_end(void);

#endif /* CLI_MESSAGE_H */
