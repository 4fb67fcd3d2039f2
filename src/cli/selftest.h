/*
 * selftest.h - the built-in cases against a digest of them
 */
#ifndef CLI_SELFTEST_H
#define CLI_SELFTEST_H

#include "csp.h"

#include <stdio.h>

/* Run them on every tier this CPU has, with a line to 'to' for each; whether
   all come to 'record'. */
bool selftest_agrees(uint64_t record, const csp_parallel *parallel, FILE *to);

#endif /* CLI_SELFTEST_H */
