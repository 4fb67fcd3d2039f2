/*
 * test_output.c - files appear whole or not at all
 */
#include "cli_test.h"

#include "array.h"
#include "output.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

static int empty_folder(void **state)
{
    (void)state;
    static const char *const names[] = {"a", "b", "a.npy", "folder"};
    for (size_t i = 0; i < COUNT(names); i++)
        remove(names[i]);
    return count_files() == 0 ? 0 : -1;
}

TEST(file_appears_when_it_is_complete)
{
    output o;

    assert_int_equal(output_open("a", &o), DONE);
    assert_int_equal(output_write(&o, "0123456789", 10), DONE);
    assert_int_equal(access("a", F_OK), -1);

    assert_int_equal(output_commit(&o, 1), DONE);

    assert_file("a", "0123456789");
    assert_int_equal(count_files(), 1);
}

TEST(file_replaces_another_and_has_the_usual_rights)
{
    struct stat status;
    output o;

    write_file("a", "before", 6);
    const mode_t mask = umask(027);
    assert_int_equal(output_open("a", &o), DONE);
    umask(mask);
    assert_int_equal(output_write(&o, "after", 5), DONE);
    assert_file("a", "before");

    assert_int_equal(output_commit(&o, 1), DONE);

    assert_file("a", "after");
    assert_int_equal(stat("a", &status), 0);
    assert_int_equal(status.st_mode & 0777, 0640);
    assert_int_equal(count_files(), 1);
}

TEST(abandoned_files_leave_nothing)
{
    output o[2];

    write_file("a", "before", 6);
    assert_int_equal(output_open("a", &o[0]), DONE);
    assert_int_equal(output_open("./b", &o[1]), DONE);
    assert_int_equal(output_write(&o[1], "after", 5), DONE);

    output_abandon(o, 2);

    assert_file("a", "before");
    assert_int_equal(count_files(), 1);
}

TEST(names_that_no_file_can_have_are_refused)
{
    static const struct {
        const char *path, *reason;
    } cases[] = {{"", "is no name for a file"},
                 {"folder/", "is no name for a file"},
                 {"folder", "exists and is no regular file"},
                 {"/dev/null", "exists and is no regular file"},
                 {"missing/a", "missing/a: a file beside it cannot be made: No "
                               "such file"}};

    assert_int_equal(mkdir("folder", 0700), 0);
    for (size_t i = 0; i < COUNT(cases); i++) {
        output o;
        catch_errors();
        assert_int_equal(output_open(cases[i].path, &o), IO_FAILED);
        assert_message(caught_errors(), cases[i].reason);
    }
    assert_int_equal(count_files(), 1);
}

/* The names that come next are somebody else's. */
TEST(names_in_use_are_left_alone)
{
    enum { N = 5 };
    char names[N][64];
    unsigned long number;
    long process;
    output o;

    assert_int_equal(output_open("a", &o), DONE);
    assert_int_equal(sscanf(o.temporary, ".csp-%ld-%lu.tmp", &process, &number),
                     2);
    output_abandon(&o, 1);
    for (int i = 0; i < N; i++) {
        snprintf(names[i], sizeof names[i], ".csp-%ld-%lu.tmp", process,
                 ++number);
        write_file(names[i], "theirs", 6);
    }

    assert_int_equal(output_open("a", &o), DONE);
    assert_int_equal(output_write(&o, "ours", 4), DONE);
    assert_int_equal(output_commit(&o, 1), DONE);

    assert_file("a", "ours");
    for (int i = 0; i < N; i++) {
        assert_file(names[i], "theirs");
        remove(names[i]);
    }
}

TEST(more_files_than_there_is_room_for_are_refused)
{
    output o[MAX_OUTPUTS + 1];

    for (int i = 0; i < MAX_OUTPUTS; i++)
        assert_int_equal(output_open("a", &o[i]), DONE);
    catch_errors();
    assert_int_equal(output_open("a", &o[MAX_OUTPUTS]), INTERNAL);
    assert_message(caught_errors(), "too many files");

    output_abandon(o, MAX_OUTPUTS);

    assert_int_equal(count_files(), 0);
}

/* ---- Signals ------------------------------------------------------------- */

/* A process that makes a folder, writes two files and is sent 'number' before
   they are complete; returns how it ended. */
static int end_by_signal(int number, bool ignored)
{
    int status;
    const pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        output o[2];
        if (ignored)
            signal(number, SIG_IGN);
        if (!output_make_folder("folder") ||
            output_open("folder/a", &o[0]) != DONE)
            _exit(9);
        output_abandon(o, 1);
        if (output_open("a", &o[0]) != DONE || output_open("b", &o[1]) != DONE)
            _exit(9);
        output_write(&o[0], "half", 4);
        raise(number);
        _exit(output_commit(o, 2) == DONE ? 0 : 9);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

TEST(signals_leave_nothing)
{
    static const int numbers[] = {SIGINT,  SIGQUIT, SIGTERM, SIGHUP, SIGPIPE,
                                  SIGALRM, SIGUSR1, SIGUSR2, SIGXCPU};

    write_file("a", "before", 6);
    for (size_t i = 0; i < COUNT(numbers); i++) {
        const int status = end_by_signal(numbers[i], false);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), numbers[i]);
        assert_file("a", "before");
        assert_int_equal(count_files(), 1);
    }
}

TEST(signals_that_are_ignored_stay_so)
{
    const int status = end_by_signal(SIGHUP, true);

    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_file("a", "half");
    assert_file("b", "");
}

static void *wait_forever(void *context)
{
    while (pause() < 0)
        continue;
    return context;
}

/* As a thread of a library for matrices, which blocks none. */
TEST(signals_that_another_thread_takes_wait_as_well)
{
    int status;
    const pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        sigset_t set, waiting;
        pthread_t thread;
        output o;
        if (output_open("a", &o) != DONE ||
            pthread_create(&thread, NULL, wait_forever, NULL) != 0)
            _exit(9);
        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        sigprocmask(SIG_BLOCK, &set, NULL);
        pthread_kill(thread, SIGTERM);
        do
            sigpending(&waiting);
        while (!sigismember(&waiting, SIGTERM));
        output_commit(&o, 1);
        sigprocmask(SIG_UNBLOCK, &set, NULL);
        _exit(9);
    }
    assert_int_equal(waitpid(child, &status, 0), child);

    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGTERM);
    assert_file("a", "");
    assert_int_equal(count_files(), 1);
}

/* As in a shell with "ulimit -t". */
TEST(limit_on_time_leaves_nothing)
{
    int status;
    const pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        const struct rlimit limit = {.rlim_cur = 0, .rlim_max = 2};
        output o;
        if (output_open("a", &o) != DONE || setrlimit(RLIMIT_CPU, &limit))
            _exit(9);
        alarm(60); /* where the system knows no such limit */
        for (;;)
            close(-1); /* in calls a thread sanitizer looks for signals */
    }
    assert_int_equal(waitpid(child, &status, 0), child);

    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGXCPU);
    assert_int_equal(count_files(), 0);
}

TEST(folder_is_left_once_it_is_kept)
{
    int status;
    const pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        if (!output_make_folder("folder"))
            _exit(9);
        output_keep_folder();
        raise(SIGTERM);
    }
    assert_int_equal(waitpid(child, &status, 0), child);

    assert_true(WIFSIGNALED(status));
    assert_int_equal(access("folder", F_OK), 0);
}

TEST(limit_on_sizes_is_an_error)
{
    int status;
    const pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        const struct rlimit limit = {.rlim_cur = 4, .rlim_max = 4};
        output o;
        if (output_open("a", &o) != DONE || setrlimit(RLIMIT_FSIZE, &limit) ||
            freopen("/dev/null", "w", stderr) == NULL)
            _exit(9);
        const outcome result = output_write(&o, "0123456789", 10);
        output_abandon(&o, 1);
        _exit((int)result);
    }
    assert_int_equal(waitpid(child, &status, 0), child);

    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), IO_FAILED);
    assert_int_equal(count_files(), 0);
}

/* ---- .npy ---------------------------------------------------------------- */

TEST(npy_is_read_back)
{
    static const float numbers[] = {1, 2, 3, 4, 5, 6};
    static const uint64_t shape[] = {1, 2, 1, 1, 3, 1, 1, 1};

    for (uint32_t rank = 5; rank <= 8; rank++) {
        output o;
        array a;
        float x[6];
        assert_int_equal(output_open("a.npy", &o), DONE);
        assert_int_equal(output_npy(&o, "<f4", rank, shape), DONE);
        assert_int_equal(output_write(&o, numbers, sizeof numbers), DONE);
        assert_int_equal(output_commit(&o, 1), DONE);
        assert_int_equal(array_open("a.npy", NULL, false, &a), DONE);
        assert_int_equal(a.rank, rank);
        assert_memory_equal(a.shape, shape, rank * sizeof *shape);
        assert_int_equal(a.begin % 64, 0);
        assert_false(a.swapped);
        assert_int_equal(array_read_floats(&a, 0, 6, x), DONE);
        assert_floats(x, numbers);
        array_close(&a);
    }
}

/* Byte for byte what numpy.save writes. */
TEST(npy_header_is_numpys)
{
    static const uint64_t shape[] = {3, 4};
    static const struct {
        uint32_t rank;
        const char *text;
    } cases[] = {
        {0, "{'descr': '|u1', 'fortran_order': False, 'shape': (), }"},
        {1, "{'descr': '|u1', 'fortran_order': False, 'shape': (3,), }"},
        {2, "{'descr': '|u1', 'fortran_order': False, 'shape': (3, 4), }"}};

    for (size_t i = 0; i < COUNT(cases); i++) {
        output o;
        size_t size;
        assert_int_equal(output_open("a.npy", &o), DONE);
        assert_int_equal(output_npy(&o, "|u1", cases[i].rank, shape), DONE);
        assert_int_equal(output_commit(&o, 1), DONE);
        unsigned char *bytes = read_file("a.npy", &size);
        assert_int_equal(size, 128);
        assert_memory_equal(bytes, "\x93NUMPY\x01\x00\x76\x00", 10);
        const size_t length = strlen(cases[i].text);
        assert_memory_equal(bytes + 10, cases[i].text, length);
        for (size_t j = 10 + length; j < 127; j++)
            assert_int_equal(bytes[j], ' ');
        assert_int_equal(bytes[127], '\n');
        free(bytes);
    }
}

/* Widths at which the header just fits a multiple of 64, and just does not. */
TEST(npy_header_ends_at_a_multiple_of_64)
{
    uint64_t shape[8] = {1, 1, 1, 1, 1, 1, 1, 1};

    for (int i = 0; i < 8 * 20; i++) {
        output o;
        struct stat status;
        assert_int_equal(output_open("a.npy", &o), DONE);
        assert_int_equal(output_npy(&o, "<f4", 8, shape), DONE);
        assert_int_equal(output_commit(&o, 1), DONE);
        assert_int_equal(stat("a.npy", &status), 0);
        assert_int_equal(status.st_size % 64, 0);
        shape[i % 8] =
            shape[i % 8] > UINT64_MAX / 10 ? UINT64_MAX : shape[i % 8] * 10;
    }
}

#define IN_EMPTY(test) cmocka_unit_test_setup(test, empty_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* First, as the handlers are installed but once. */
        IN_EMPTY(signals_leave_nothing),
        IN_EMPTY(signals_that_are_ignored_stay_so),
        IN_EMPTY(signals_that_another_thread_takes_wait_as_well),
        IN_EMPTY(limit_on_time_leaves_nothing),
        IN_EMPTY(folder_is_left_once_it_is_kept),
        IN_EMPTY(limit_on_sizes_is_an_error),
        IN_EMPTY(file_appears_when_it_is_complete),
        IN_EMPTY(file_replaces_another_and_has_the_usual_rights),
        IN_EMPTY(abandoned_files_leave_nothing),
        IN_EMPTY(names_that_no_file_can_have_are_refused),
        IN_EMPTY(names_in_use_are_left_alone),
        IN_EMPTY(more_files_than_there_is_room_for_are_refused),
        IN_EMPTY(npy_is_read_back),
        IN_EMPTY(npy_header_is_numpys),
        IN_EMPTY(npy_header_ends_at_a_multiple_of_64),
    };

    return RUN_IN_FOLDER(tests);
}
