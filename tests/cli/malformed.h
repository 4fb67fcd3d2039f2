/*
 * malformed.h - files that no reader may take
 */
#ifndef MALFORMED_H
#define MALFORMED_H

#include <stddef.h>
#include <stdint.h>

/* Address space for a program that reads them: what they ask for is in the
   terabytes.  Sanitizers need more than any limit. */
void limit_memory(void);

/* The file 'name' is refused as bad input by inspect and by compact, in one
   line that has 'reason' in it; nothing is written. */
void assert_refused(const char *name, const char *reason);

/* The file of these bytes is valid, and refused wherever it ends early. */
void assert_cut_anywhere_is_refused(const unsigned char *bytes, size_t size);

/* Every other value of each of the first 'header_size' bytes: the file is
   refused, or it is another valid file.  Returns how many were valid. */
size_t count_valid_changes(const unsigned char *bytes, size_t size,
                           size_t header_size);

#endif /* MALFORMED_H */
