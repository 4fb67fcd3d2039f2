/*
 * program.h - running csp as a shell does, in a folder of the test's own
 */
#ifndef PROGRAM_H
#define PROGRAM_H

#include "test.h"

#include <stdio.h>
#include <sys/types.h>

enum { MAX_WORDS = 80, MAX_PATH = 512 };

/* A folder for a test's files, below the current one. */
typedef struct folder {
    char path[MAX_PATH];
} folder;

folder make_folder(void);
void remove_folder(const folder *f);

/* The path of a file in it; the text lives until the fourth call from now. */
const char *in_folder(const folder *f, const char *name);

/* How many entries it has. */
int count_files(const char *path);

/* A command line; the words are copied. */
typedef struct command_line {
    char *words[MAX_WORDS + 1];
    int n;
} command_line;

/* "csp" and more words; each has to be freed by run_program or begin_program,
   once. */
command_line start_line(const char *command);
void add_word(command_line *line, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * Run it: the exit code, or -1 if it was ended by a signal.  Standard output
 * and error go to files of these names in 'f'.
 */
#define OUTPUT_FILE "stdout.txt"
#define ERROR_FILE "stderr.txt"
int run_program(const folder *f, command_line *line);

/* The two halves of it, for what is to happen meanwhile. */
pid_t begin_program(const folder *f, command_line *line);
int end_program(pid_t child);

/* A whole file as text, at most 'size' - 1 bytes of it. */
void read_text(const char *path, char *text, size_t size);
void write_bytes(const char *path, const void *bytes, size_t size);

/* A .npy file of any type and order. */
void write_npy(const char *path, const char *descr, bool fortran, uint32_t rank,
               const uint32_t *shape, const void *bytes, size_t size);

#endif /* PROGRAM_H */
