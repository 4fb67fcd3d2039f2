/*
 * file.h - reading regular files, which are input to distrust
 */
#ifndef CLI_FILE_H
#define CLI_FILE_H

#include "message.h"

#include <stddef.h>
#include <stdint.h>

/*
 * Open a regular file; whatever else has that name is refused and not waited
 * for.  BAD_INPUT if it is no regular file, IO_FAILED if it cannot be opened.
 */
outcome file_open(const char *path, int *descriptor, uint64_t *size);

/*
 * The bytes [offset, offset + size) of the file that messages call 'name'.
 * Fewer than that are an error: its size was known before.
 */
outcome file_read(const char *name, int descriptor, uint64_t offset, void *out,
                  size_t size);

#endif /* CLI_FILE_H */
