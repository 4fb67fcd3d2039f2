/*
 * support.h - what every part of the program needs
 *
 * An error ends the program: it has nothing to save.  A server would return
 * errors instead; the places where they can happen are the same.
 */
#ifndef SUPPORT_H
#define SUPPORT_H

#include <stddef.h>
#include <stdnoreturn.h>

/* Print "mini_engine: SUBJECT: REASON" and exit with EXIT_FAILURE, at once.
   'reason' is a printf format. */
noreturn void die(const char *subject, const char *reason, ...);

/* n * size zeroed bytes; never NULL.  Release them with free(). */
void *take(size_t n, size_t size);

/* a * b, or an error. */
size_t times(size_t a, size_t b);

/* A copy of n * size bytes; never NULL. */
void *duplicate(const void *src, size_t n, size_t size);

/* "folder/name"; release it with free(). */
char *join(const char *folder, const char *name);

/* The bytes of a file, and a zero behind them; release them with free(). */
unsigned char *read_file(const char *path, size_t *size);

#endif /* SUPPORT_H */
