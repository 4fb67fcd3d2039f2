/*
 * golden_case.h - cases that were computed elsewhere, as command lines
 *
 * tests/golden has them, and a folder that CSP_SHARED_DIR names may have more.
 */
#ifndef GOLDEN_CASE_H
#define GOLDEN_CASE_H

#include "program.h"

#include "../../examples/npy.h" /* there is another in src/cli */

/* A case: what case.json says, as JSON text and as words. */
typedef struct golden_case {
    char path[MAX_PATH];
    uint32_t n_heads, n_kv_heads, n_queries, n_keys;
    char spans[4096];      /* for --spans; empty: none */
    char spans_json[4096]; /* for --spans-file */
    npy_array scores;      /* as float, or as half where is_f16 */
    bool is_f16;
    npy_array importance, mask;
    command_line line; /* its options, without the name of a command */
} golden_case;

/* Check every case there is, at least one, each in a folder of its own. */
void for_each_case(void (*check)(const golden_case *g, const folder *f));

void load_case(const char *path, golden_case *g);
void free_case(golden_case *g);

/* csp prune FILE with the case's options, but for spans. */
command_line case_line(const golden_case *g, const char *scores);

/* Run a line with the case's spans and --out, and see that every layer of what
   comes out is as it should be. */
void assert_case(const golden_case *g, const folder *f, command_line *line,
                 uint32_t n_layers);

/* The scores as floats; free them. */
float *case_floats(const golden_case *g);
size_t case_size(const golden_case *g);

#endif /* GOLDEN_CASE_H */
