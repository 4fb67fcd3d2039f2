/*
 * bench_check.c - the end, when something is wrong
 */
#include "bench.h"

#include <stdlib.h>

void die(const char *what, const char *why)
{
    fprintf(stderr, "bench: %s: %s\n", what, why);
    exit(EXIT_FAILURE);
}

void check(csp_status status, const char *what)
{
    if (status != CSP_OK)
        die(what, csp_status_string(status));
}

void expect(bool truth, const char *what)
{
    if (!truth)
        die(what, "not so");
}
