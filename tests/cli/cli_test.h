/*
 * cli_test.h - what tests of the program's parts share
 *
 * Include it first.  Files are made in a folder of the test's own, and what
 * parts say on standard error is caught.
 */
#ifndef CLI_TEST_H
#define CLI_TEST_H

#include "test.h"

/* cmocka has a fail() too, which its macros and those of test.h call. */
#undef fail
#include "message.h"
static inline outcome fail_with(outcome result, const char *text)
{
    return fail(result, "%s", text);
}
#define fail() _fail(__FILE__, __LINE__)

/* A new folder, which is the current one from then on, and its end: functions
   to set up and to tear down a group of tests. */
int enter_folder(void **state);
int leave_folder(void **state);

#define RUN_IN_FOLDER(tests)                                                   \
    cmocka_run_group_tests(tests, enter_folder, leave_folder)

void write_file(const char *name, const void *bytes, size_t size);

/* The bytes of a file; release them with free(). */
unsigned char *read_file(const char *name, size_t *size);

/* What is in it is this text. */
void assert_file(const char *name, const char *text);

/* Entries of the folder. */
size_t count_files(void);

/* A .npy file of version 1 with that dictionary, without the padding, and
   'size' bytes of data. */
void write_npy(const char *name, const char *dictionary, const void *data,
               size_t size);

/* The same of a .safetensors file. */
void write_safetensors(const char *name, const char *json, const void *data,
                       size_t size);

/* From here on standard error is caught; its text lives until the next
   call. */
void catch_errors(void);
const char *caught_errors(void);

/* One line that begins with "csp: ", has only printable ASCII and has
   'reason' in it. */
void assert_message(const char *text, const char *reason);

/* Run a command of the program in this process; 'arguments' ends with NULL.
   Standard output is caught: its text lives until the next call. */
outcome run_command(outcome (*command)(int, char **), const char **arguments);
extern char command_output[];

#endif /* CLI_TEST_H */
