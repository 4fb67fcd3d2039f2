/*
 * attention_options.h - the command line
 */
#ifndef ATTENTION_OPTIONS_H
#define ATTENTION_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

enum { MAX_THREADS = 16 };

typedef struct options {
    const char *model, *testset, *csv;
    uint32_t limit, threads;
    bool experiments, cache_only;
} options;

/* Read the command line; what is wrong with it ends the program, and so does
   --help. */
options read_options(int argc, char **argv);

#endif /* ATTENTION_OPTIONS_H */
