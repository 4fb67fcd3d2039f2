/*
 * test_stdout.c - what csp does where standard output takes nothing
 */
#include "scores_file.h"

#include <errno.h>
#include <unistd.h>

enum { MOST = 12 };

/* A command line; words in capitals are files of the folder.  Every way to
   print is there once; a report prints nothing. */
static const char *const lines[][MOST] = {
    {"--help"},
    {"--version"},
    {"prune", "--help"},
    {"compact", "--help"},
    {"inspect", "--help"},
    {"report", "--help"},
    {"gap", "--help"},
    {"selftest", "--help"},
    {"prune", "SCORES", "--budget", "5"},
    {"prune", "SCORES", "--budget", "5", "--json"},
    {"prune", "SCORES", "--budget", "5", "--out", "OUT"},
    {"compact", "CACHE", "--keep", "KEEP", "--out", "ROWS"},
    {"inspect", "SCORES"},
    {"inspect", "SCORES", "--json"},
    {"inspect", "TENSORS"},
    {"inspect", "TENSORS", "--json"},
    {"inspect", "TENSORS", "--tensor", "x"},
    {"gap", "SCORES", "--spans", "1:9=image"},
    {"gap", "SCORES", "--spans", "1:9=image", "--json"},
};

static void write_files(const folder *f)
{
    static const char tensors[] = "\x3c\0\0\0\0\0\0\0"
                                  "{\"x\":{\"dtype\":\"U8\",\"shape\":[4],"
                                  "\"data_offsets\":[0,4]}}       abcd";
    static const uint32_t cache[] = {1, 3, 2}, keep[] = {1, 2};
    static const unsigned char bytes[24], rows[8] = {0, 0, 0, 0, 2};

    write_scores(in_folder(f, "SCORES"), NO_NAN);
    write_npy(in_folder(f, "CACHE"), "<f4", false, 3, cache, bytes, 24);
    write_npy(in_folder(f, "KEEP"), "<u4", false, 2, keep, rows, 8);
    write_bytes(in_folder(f, "TENSORS"), tensors, sizeof tensors - 1);
}

static int run_line(const folder *f, const char *const *words)
{
    command_line line = start_line(words[0]);

    for (int i = 1; i < MOST && words[i] != NULL; i++) {
        const bool is_file = words[i][0] >= 'A' && words[i][0] <= 'Z';
        add_word(&line, "%s", is_file ? in_folder(f, words[i]) : words[i]);
    }
    return run_program(f, &line);
}

TEST(a_full_standard_output_is_told)
{
    folder f = make_folder();

    if (access("/dev/full", W_OK) != 0)
        skip();
    write_files(&f);
    for (size_t i = 0; i < COUNT(lines); i++) {
        char errors[1024], expected[256];
        unlink(in_folder(&f, OUTPUT_FILE));
        if (run_line(&f, lines[i]) != 0) {
            read_text(in_folder(&f, ERROR_FILE), errors, sizeof errors);
            fail_msg("csp %s, line %zu: %s", lines[i][0], i, errors);
        }
        unlink(in_folder(&f, OUTPUT_FILE));
        assert_int_equal(symlink("/dev/full", in_folder(&f, OUTPUT_FILE)), 0);

        const int code = run_line(&f, lines[i]);

        read_text(in_folder(&f, ERROR_FILE), errors, sizeof errors);
        snprintf(expected, sizeof expected,
                 "csp: standard output cannot be written: %s\n",
                 strerror(ENOSPC));
        if (code != 3 || strcmp(errors, expected) != 0)
            fail_msg("csp %s, line %zu: exit code %d: %s", lines[i][0], i, code,
                     errors);
    }
    remove_folder(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_standard_output_is_told),
    };

    return RUN(tests);
}
