/*
 * cli_test.c - what tests of the program's parts share
 */
#include "cli_test.h"

#include <dirent.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <sys/stat.h>

enum { MAX_ARGUMENTS = 16, MAX_TEXT = 16384, PREFIX_SIZE = 10 };

static char folder[] = "cli_test_XXXXXX";
static int outer = -1; /* the folder around it */
static int stderr_copy = -1, caught = -1, output = -1;
char command_output[MAX_TEXT];

/* ---- Files --------------------------------------------------------------- */

int enter_folder(void **state)
{
    (void)state;
    outer = open(".", O_RDONLY | O_DIRECTORY);
    return outer < 0 || mkdtemp(folder) == NULL ? -1 : chdir(folder);
}

int leave_folder(void **state)
{
    DIR *all = opendir(".");
    const struct dirent *entry;

    (void)state;
    if (all == NULL)
        return -1;
    while ((entry = readdir(all)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            remove(entry->d_name);
    closedir(all);
    const int result = fchdir(outer);
    close(outer);
    return result != 0 ? result : rmdir(folder);
}

size_t count_files(void)
{
    DIR *all = opendir(".");
    size_t n = 0;

    assert_non_null(all);
    while (readdir(all) != NULL)
        n++;
    closedir(all);
    return n - 2; /* . and .. */
}

void write_file(const char *name, const void *bytes, size_t size)
{
    FILE *file = fopen(name, "wb");

    assert_non_null(file);
    if (size > 0)
        assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

unsigned char *read_file(const char *name, size_t *size)
{
    FILE *file = fopen(name, "rb");

    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    *size = (size_t)ftell(file);
    rewind(file);
    unsigned char *bytes = malloc(*size + 1);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, *size, file), *size);
    bytes[*size] = 0;
    assert_int_equal(fclose(file), 0);
    return bytes;
}

void assert_file(const char *name, const char *text)
{
    size_t size;
    unsigned char *bytes = read_file(name, &size);

    assert_int_equal(size, strlen(text));
    assert_memory_equal(bytes, text, size);
    free(bytes);
}

static void write_parts(const char *name, const unsigned char *prefix,
                        size_t prefix_size, const char *text, const void *data,
                        size_t size)
{
    const size_t length = strlen(text);
    unsigned char *bytes = malloc(prefix_size + length + size + 1);

    assert_non_null(bytes);
    memcpy(bytes, prefix, prefix_size);
    memcpy(bytes + prefix_size, text, length);
    if (size > 0)
        memcpy(bytes + prefix_size + length, data, size);
    write_file(name, bytes, prefix_size + length + size);
    free(bytes);
}

void write_npy(const char *name, const char *dictionary, const void *data,
               size_t size)
{
    const size_t length = strlen(dictionary);
    unsigned char prefix[PREFIX_SIZE] = "\x93NUMPY\x01";

    prefix[8] = (unsigned char)(length & 255);
    prefix[9] = (unsigned char)(length >> 8);
    write_parts(name, prefix, sizeof prefix, dictionary, data, size);
}

void write_safetensors(const char *name, const char *json, const void *data,
                       size_t size)
{
    const size_t length = strlen(json);
    unsigned char prefix[8];

    for (int i = 0; i < 8; i++)
        prefix[i] = (unsigned char)((uint64_t)length >> (8 * i));
    write_parts(name, prefix, sizeof prefix, json, data, size);
}

/* ---- Standard output and error ------------------------------------------- */

/* Let what is written to 'descriptor' go to an empty file, '*file', which is
   made at the first call.  Returns a copy of the descriptor as it was. */
static int redirect(int descriptor, int *file)
{
    if (*file < 0) {
        char name[] = P_tmpdir "/cli_test_XXXXXX";
        *file = mkstemp(name);
        assert_true(*file >= 0);
        unlink(name);
    }
    assert_int_equal(ftruncate(*file, 0), 0);
    assert_int_equal(lseek(*file, 0, SEEK_SET), 0);
    const int copy = dup(descriptor);
    assert_true(copy >= 0 && dup2(*file, descriptor) >= 0);
    return copy;
}

static void restore(int descriptor, int copy, int file, char *text)
{
    assert_true(dup2(copy, descriptor) >= 0);
    close(copy);
    const ssize_t n = pread(file, text, MAX_TEXT - 1, 0);
    assert_true(n >= 0);
    text[n] = '\0';
}

void catch_errors(void)
{
    fflush(stderr);
    stderr_copy = redirect(STDERR_FILENO, &caught);
}

const char *caught_errors(void)
{
    static char text[MAX_TEXT];

    fflush(stderr);
    restore(STDERR_FILENO, stderr_copy, caught, text);
    return text;
}

void assert_message(const char *text, const char *reason)
{
    const size_t length = strlen(text);

    if (strncmp(text, "csp: ", 5) != 0 || text[length - 1] != '\n' ||
        strstr(text, reason) == NULL)
        fail_msg("expected a line with \"%s\", got \"%s\"", reason, text);
    for (size_t i = 0; i + 1 < length; i++)
        if (text[i] < 0x20 || text[i] >= 0x7f)
            fail_msg("byte %d in the message \"%s\"", text[i], text);
}

outcome run_command(outcome (*command)(int, char **), const char **arguments)
{
    char *copies[MAX_ARGUMENTS] = {NULL}, *argv[MAX_ARGUMENTS];
    int n = 0;

    for (; arguments[n] != NULL; n++) {
        assert_true(n + 1 < MAX_ARGUMENTS);
        copies[n] = strdup(arguments[n]);
        assert_non_null(copies[n]);
    }
    memcpy(argv, copies, sizeof argv); /* getopt changes their order */
    fflush(stdout);
    const int copy = redirect(STDOUT_FILENO, &output);
    optind = 0; /* getopt begins anew, in GNU and musl */
    const outcome result = command(n, argv);
    fflush(stdout);
    restore(STDOUT_FILENO, copy, output, command_output);
    for (int i = 0; i < n; i++)
        free(copies[i]);
    return result;
}
