/*
 * refusal.h - readers that end the program, run in processes of their own
 */
#ifndef REFUSAL_H
#define REFUSAL_H

#include <stddef.h>

/* A new folder under /tmp, and the names of files in it that tests may write.
   Functions to set up and to tear down a group of tests. */
extern char folder[];
extern char weights_path[], config_path[], npy_path[];
int make_folder(void **state);
int remove_folder(void **state);

void write_file(const char *path, const void *bytes, size_t size);

/* Whether 'read_it' ends well, or by a message that has 'reason' in it. */
void assert_read(void (*read_it)(void));
void assert_refused(void (*read_it)(void), const char *reason);

#endif /* REFUSAL_H */
