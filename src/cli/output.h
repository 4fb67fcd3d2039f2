/*
 * output.h - files that appear whole or not at all
 *
 * Each is written under a temporary name beside its own and renamed when all
 * of them are complete.  Signals that end the program from outside, as SIGINT
 * and SIGTERM, or at a limit of time take the temporary files with them.
 */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include "message.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How many may be open at once. */
enum { MAX_OUTPUTS = 16 };

typedef struct output {
    char *path, *temporary;
    int descriptor;
} output;

/*
 * Make a folder, which those signals take with them, too, while it is empty.
 * 'path' has to stay where it is until output_keep_folder() says that the
 * folder is no longer theirs.  False: errno has the reason.
 */
bool output_make_folder(const char *path);
void output_keep_folder(void);

/* After an error there is nothing to abandon. */
outcome output_open(const char *path, output *o);
outcome output_write(output *o, const void *bytes, size_t size);

/* Rename all, or after any error none; either way they are closed. */
outcome output_commit(output *files, uint32_t n_files);
void output_abandon(output *files, uint32_t n_files);

/* Begin a .npy file in C order: 'descr' is "<f4", "<u4" or "|u1", and a
   big-endian machine writes ">f4": the numbers follow as memory has them. */
outcome output_npy(output *o, const char *descr, uint32_t rank,
                   const uint64_t *shape);

#endif /* CLI_OUTPUT_H */
