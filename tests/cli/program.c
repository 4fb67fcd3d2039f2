/*
 * program.c - running csp as a shell does, in a folder of the test's own
 */
#include "program.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/wait.h>

extern char **environ;

/* ---- Folders ------------------------------------------------------------- */

folder make_folder(void)
{
    folder f = {"csp-test-XXXXXX"};

    if (mkdtemp(f.path) == NULL)
        fail_msg("no folder: %s", strerror(errno));
    return f;
}

const char *in_folder(const folder *f, const char *name)
{
    static char paths[4][2 * MAX_PATH];
    static int next;
    char *path = paths[next++ % 4];

    snprintf(path, sizeof paths[0], "%s/%s", f->path, name);
    return path;
}

static bool is_real(const struct dirent *entry)
{
    return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

int count_files(const char *path)
{
    DIR *directory = opendir(path);
    int n = 0;

    assert_non_null(directory);
    for (const struct dirent *e; (e = readdir(directory)) != NULL;)
        n += is_real(e);
    closedir(directory);
    return n;
}

/* Remove the files of a folder; those that are folders are left, and named in
   'left', as many as there is room for. */
static int empty(const char *path, folder *left, int room)
{
    DIR *directory = opendir(path);
    int n_left = 0;

    for (const struct dirent *e;
         directory != NULL && (e = readdir(directory)) != NULL;) {
        char file[2 * MAX_PATH];
        snprintf(file, sizeof file, "%s/%s", path, e->d_name);
        if (is_real(e) && unlink(file) != 0 && n_left < room)
            snprintf(left[n_left++].path, MAX_PATH, "%.*s", MAX_PATH - 1, file);
    }
    if (directory != NULL)
        closedir(directory);
    return n_left;
}

void remove_folder(const folder *f)
{
    folder inner[64];
    const int n = empty(f->path, inner, 64);

    for (int i = 0; i < n; i++) {
        chmod(inner[i].path, 0700);
        empty(inner[i].path, NULL, 0);
        rmdir(inner[i].path);
    }
    assert_int_equal(rmdir(f->path), 0);
}

/* ---- Running ------------------------------------------------------------- */

command_line start_line(const char *command)
{
    command_line line = {.n = 0};

    add_word(&line, "%s", CSP_PROGRAM);
    add_word(&line, "%s", command);
    return line;
}

void add_word(command_line *line, const char *format, ...)
{
    char *word = NULL;
    va_list arguments;

    assert_true(line->n < MAX_WORDS);
    va_start(arguments, format);
    const int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    assert_true(length >= 0);
    word = malloc((size_t)length + 1);
    assert_non_null(word);
    va_start(arguments, format);
    vsnprintf(word, (size_t)length + 1, format, arguments);
    va_end(arguments);
    line->words[line->n++] = word;
}

pid_t begin_program(const folder *f, command_line *line)
{
    const int flags = O_WRONLY | O_CREAT | O_TRUNC;
    posix_spawn_file_actions_t actions;
    pid_t child;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO,
                                     in_folder(f, OUTPUT_FILE), flags, 0600);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO,
                                     in_folder(f, ERROR_FILE), flags, 0600);
    assert_int_equal(posix_spawn(&child, line->words[0], &actions, NULL,
                                 line->words, environ),
                     0);
    posix_spawn_file_actions_destroy(&actions);
    for (int i = 0; i < line->n; i++)
        free(line->words[i]);
    line->n = 0;
    return child;
}

int end_program(pid_t child)
{
    int status;

    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int run_program(const folder *f, command_line *line)
{
    return end_program(begin_program(f, line));
}

/* ---- Files --------------------------------------------------------------- */

void read_text(const char *path, char *text, size_t size)
{
    FILE *file = fopen(path, "rb");

    assert_non_null(file);
    text[fread(text, 1, size - 1, file)] = '\0';
    fclose(file);
}

void write_bytes(const char *path, const void *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");

    assert_non_null(file);
    if (size > 0)
        assert_int_equal(fwrite(bytes, size, 1, file), 1);
    assert_int_equal(fclose(file), 0);
}

void write_npy(const char *path, const char *descr, bool fortran, uint32_t rank,
               const uint32_t *shape, const void *bytes, size_t size)
{
    char header[256] = "\x93NUMPY\x01";
    const size_t start = 10, end = 128;
    FILE *file = fopen(path, "wb");
    size_t at = start;

    header[8] = (char)(end - start);
    at += (size_t)snprintf(header + at, sizeof header - at,
                           "{'descr': '%s', 'fortran_order': %s, 'shape': (",
                           descr, fortran ? "True" : "False");
    for (uint32_t i = 0; i < rank; i++)
        at += (size_t)snprintf(header + at, sizeof header - at, "%s%u",
                               i > 0 ? ", " : "", (unsigned)shape[i]);
    at += (size_t)snprintf(header + at, sizeof header - at, "%s), }",
                           rank == 1 ? "," : "");
    assert_true(at < end);
    memset(header + at, ' ', end - at);
    header[end - 1] = '\n';
    assert_non_null(file);
    assert_int_equal(fwrite(header, end, 1, file), 1);
    assert_int_equal(fwrite(bytes, size, 1, file), 1);
    assert_int_equal(fclose(file), 0);
}
