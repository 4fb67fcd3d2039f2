/*
 * options.h - the command line
 */
#ifndef OPTIONS_H
#define OPTIONS_H

#include "prune.h"
#include "testset.h"

#include <stdbool.h>
#include <stdint.h>

enum { MAX_SETTINGS = 256 };

typedef struct options {
    const char *model;
    const char *tokens, *pixels, *patches, *spans;
    const char *testset;
    bool one_prompt; /* of the test set, number 'prompt' */
    uint32_t prompt;
    protocol protocol;
    uint32_t limit; /* prompts of the test set */
    uint32_t n_generate, reprune, chunk;
    prune_settings settings[MAX_SETTINGS]; /* every combination asked for */
    uint32_t n_settings;
} options;

/* Read the command line; what is wrong with it ends the program, and so does
   --help. */
options options_read(int argc, char **argv);

#endif /* OPTIONS_H */
