/*
 * test_prune_together.c - several runs of csp prune with one folder
 */
#include "prune_fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    N_EARLIER = 7, /* with values */
    N_FILES = 6    /* without */
};

static int count_out(void)
{
    return count_files(in_folder(&the_folder, "out"));
}

/* What another run does while it puts its files there: a lock, until the
   descriptor is closed. */
static int lock_out(void)
{
    const int fd = open(in_folder(&the_folder, "out"), O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    return fd;
}

static void run_earlier(void)
{
    command_line line = start();

    add_values(&line);
    add_out(&line);
    add_word(&line, "--budget=5");
    assert_runs(&line);
    assert_int_equal(count_out(), N_EARLIER);
}

static void assert_not_ended(pid_t child)
{
    int status;

    assert_int_equal(waitpid(child, &status, WNOHANG), 0);
}

/* A run without values that has written all its files, under other names. */
static pid_t begin_later(void)
{
    command_line line = start();

    add_out(&line);
    add_word(&line, "--budget=6");
    const pid_t child = begin_program(&the_folder, &line);
    while (count_out() < N_EARLIER + N_FILES) {
        assert_not_ended(child);
        usleep(1000);
    }
    return child;
}

TEST(prune_waits_until_another_has_put_its_files_there)
{
    run_earlier();
    const int lock = lock_out();
    const pid_t child = begin_later();

    usleep(100000); /* many times what is left to do */
    assert_not_ended(child);
    assert_each_keeps(5);
    assert_int_equal(count_out(), N_EARLIER + N_FILES);
    close(lock);

    assert_int_equal(end_program(child), 0);
    assert_each_keeps(6);
    assert_int_equal(count_out(), N_FILES);
}

TEST(prune_that_waits_can_be_ended)
{
    run_earlier();
    const int lock = lock_out();
    const pid_t child = begin_later();

    assert_int_equal(kill(child, SIGTERM), 0);

    assert_int_equal(end_program(child), -1);
    close(lock);
    assert_each_keeps(5);
    assert_int_equal(count_out(), N_EARLIER);
}

/* It cannot be locked, unless by the superuser. */
TEST(prune_needs_no_right_to_read_the_folder)
{
    command_line line = start();
    const char *out = in_folder(&the_folder, "out");

    assert_int_equal(mkdir(out, 0300), 0);
    add_word(&line, "--out=%s", out);
    add_word(&line, "--budget=6");
    assert_runs(&line);

    assert_int_equal(chmod(in_folder(&the_folder, "out"), 0700), 0);
    assert_each_keeps(6);
    assert_int_equal(count_out(), N_FILES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_files(prune_waits_until_another_has_put_its_files_there),
        with_files(prune_that_waits_can_be_ended),
        with_files(prune_needs_no_right_to_read_the_folder),
    };

    return RUN(tests);
}
