/*
 * prune_fixture.h - csp prune on small made-up scores, and what it writes
 */
#ifndef PRUNE_FIXTURE_H
#define PRUNE_FIXTURE_H

#include "scores_file.h"

#include "../../examples/npy.h" /* there is another in src/cli */

#include <cjson/cJSON.h>

/* scores.npy, and values.npy of 2 KV heads, are there while a test runs. */
extern folder the_folder;

int set_up(void **state);
int tear_down(void **state);

#define with_files(test)                                                       \
    cmocka_unit_test_setup_teardown(test, set_up, tear_down)

/* csp prune on the scores, with 2 KV heads and an image. */
command_line start(void);
void add_out(command_line *line);
void add_values(command_line *line);

/* It ends with 0 and says nothing on standard error. */
void assert_runs(command_line *line);

/* A file of the folder "out". */
npy_array output(const char *name, const char *descr);

/* A file of the test's folder. */
cJSON *json_output(const char *name);
const cJSON *find(const cJSON *root, const char *object, const char *key);

/* Every head of every layer keeps so many. */
void assert_each_keeps(uint32_t count);

#endif /* PRUNE_FIXTURE_H */
