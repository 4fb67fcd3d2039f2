/*
 * refusal.c - readers that end the program, run in processes of their own
 */
#include "refusal.h"

#include "mini_test.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MESSAGE_SIZE = 1024 };

char folder[] = "mini_files_XXXXXX";
char weights_path[64], config_path[64], npy_path[64];

int make_folder(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(weights_path, sizeof weights_path, "%s/model.safetensors", folder);
    snprintf(config_path, sizeof config_path, "%s/config.json", folder);
    snprintf(npy_path, sizeof npy_path, "%s/array.npy", folder);
    return 0;
}

int remove_folder(void **state)
{
    (void)state;
    remove(weights_path);
    remove(config_path);
    remove(npy_path);
    return rmdir(folder);
}

void write_file(const char *path, const void *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");

    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

/* Run 'read' in another process; 'message' receives what it prints. */
static bool ends_well(void (*read_it)(void), char *message)
{
    int ends[2], status;
    size_t used = 0;
    ssize_t n;

    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        read_it();
        _exit(EXIT_SUCCESS);
    }
    close(ends[1]);
    while (used < MESSAGE_SIZE - 1 &&
           (n = read(ends[0], message + used, MESSAGE_SIZE - 1 - used)) > 0)
        used += (size_t)n;
    message[used] = '\0';
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_true(WEXITSTATUS(status) == EXIT_SUCCESS ||
                WEXITSTATUS(status) == EXIT_FAILURE);
    return WEXITSTATUS(status) == EXIT_SUCCESS;
}

void assert_refused(void (*read_it)(void), const char *reason)
{
    char message[MESSAGE_SIZE];
    bool well = ends_well(read_it, message);

    if (well || strncmp(message, "mini_engine: ", 13) != 0 ||
        strstr(message, reason) == NULL)
        fail_msg("expected \"%s\", got \"%s\"", reason, message);
}

void assert_read(void (*read_it)(void))
{
    char message[MESSAGE_SIZE];

    if (!ends_well(read_it, message))
        fail_msg("refused: %s", message);
}
