/*
 * fuzz_replay.c - feed a fuzzer what others found, with any compiler
 *
 * Usage: fuzz_replay_NAME PATH...: files, or folders of files.  Fails if there
 * was none.
 */
#include "fuzz_check.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

static unsigned long n_files;

/* Input that a fuzzer gets as it is: one block, no byte more. */
static bool replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    struct stat status;

    if (file == NULL || stat(path, &status) != 0) {
        fprintf(stderr, "%s: cannot be read\n", path);
        return false;
    }
    const size_t size = (size_t)status.st_size;
    uint8_t *data = malloc(size > 0 ? size : 1);
    const bool whole = data != NULL && fread(data, 1, size, file) == size;
    fclose(file);
    if (whole) {
        n_files++;
        LLVMFuzzerTestOneInput(data, size);
    }
    free(data);
    return whole;
}

static int is_input(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* In the order of their names, whatever that of the folder is. */
static bool replay_folder(const char *path, struct dirent **entries, int n)
{
    bool good = true;

    for (int i = 0; i < n; i++) {
        char file[4096];
        snprintf(file, sizeof file, "%s/%s", path, entries[i]->d_name);
        good = replay_file(file) && good;
        free(entries[i]);
    }
    free(entries);
    return good;
}

int main(int argc, char **argv)
{
    bool good = true;

    LLVMFuzzerInitialize(&argc, &argv);
    for (int i = 1; i < argc; i++) {
        struct dirent **entries;
        const int n = scandir(argv[i], &entries, is_input, alphasort);
        good = (n < 0 ? replay_file(argv[i])
                      : replay_folder(argv[i], entries, n)) &&
               good;
    }
    printf("%lu inputs\n", n_files);
    return good && n_files > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
