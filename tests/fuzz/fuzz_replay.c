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

static bool replay_folder(const char *path, DIR *folder)
{
    const struct dirent *entry;
    bool good = true;

    while ((entry = readdir(folder)) != NULL) {
        char file[4096];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
        good = replay_file(file) && good;
    }
    return good;
}

int main(int argc, char **argv)
{
    bool good = true;

    LLVMFuzzerInitialize(&argc, &argv);
    for (int i = 1; i < argc; i++) {
        DIR *folder = opendir(argv[i]);
        if (folder == NULL) {
            good = replay_file(argv[i]) && good;
        } else {
            good = replay_folder(argv[i], folder) && good;
            closedir(folder);
        }
    }
    printf("%lu inputs\n", n_files);
    return good && n_files > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
