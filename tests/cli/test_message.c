/*
 * test_message.c - what is said on standard error, and to a terminal
 */
#define _XOPEN_SOURCE 600 /* terminals that a program makes */

#include "cli_test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>

TEST(message_is_one_line_of_printable_ascii)
{
    catch_errors();
    assert_int_equal(fail_with(BAD_INPUT, "a\nb\x1b\x7f\x80~ \t"), BAD_INPUT);
    assert_string_equal(caught_errors(), "csp: a\\nb\\x1b\\x7f\\x80~ \\t\n");
}

/* What is lost before the end is lost even if the end gets through. */
static void assert_told(int error, const char *reason)
{
    errno = error;
    progress("", 1, 2);
    catch_errors();
    assert_int_equal(flush_output(), IO_FAILED);
    assert_message(caught_errors(), reason);
}

TEST(output_lost_in_between_is_told)
{
    if (access("/dev/full", W_OK) != 0)
        skip();
    fflush(stdout);
    const int before = dup(STDOUT_FILENO), full = open("/dev/full", O_WRONLY);
    assert_true(before >= 0 && dup2(full, STDOUT_FILENO) >= 0);
    putchar('\n');
    assert_int_not_equal(fflush(stdout), 0);
    assert_true(dup2(before, STDOUT_FILENO) >= 0);
    close(full);
    close(before);

    assert_told(ENOSPC, strerror(ENOSPC));
    assert_told(0, "some of it is lost");
    clearerr(stdout);
}

TEST(long_messages_are_cut)
{
    static char text[20000];

    memset(text, '\x01', sizeof text - 1);
    catch_errors();
    assert_int_equal(fail_with(IO_FAILED, text), IO_FAILED);
    const char *line = caught_errors();

    assert_message(line, "csp: \\x01\\x01");
    const size_t length = strlen(line);
    assert_true(length > 8000 && length < 8300);
    assert_string_equal(line + length - 5, "\\x01\n");
}

TEST(escape_stays_inside_its_memory)
{
    for (size_t size = 1; size < 16; size++) {
        guarded g = guard(NULL, size);
        escape((char *)g.data, size,
               "ab\x1b"
               "cd\ne");
        assert_true(memchr(g.data, 0, size) != NULL);
        assert_memory_equal(g.data, "ab\\x1bcd\\ne", strlen((char *)g.data));
        unguard(&g);
    }
}

TEST(progress_is_silent_where_there_is_no_terminal)
{
    catch_errors();
    progress("file", 1, 2);
    progress_end();
    assert_string_equal(caught_errors(), "");
}

/* What a process that shows progress and fails writes to a terminal. */
static const char *run_at_terminal(void)
{
    static const struct timespec longer_than_a_bar_stands = {.tv_nsec =
                                                                 120000000};
    static char text[4096];
    size_t used = 0;
    ssize_t n;
    const int master = posix_openpt(O_RDWR | O_NOCTTY);

    if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0)
        skip();
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const int terminal = open(ptsname(master), O_RDWR | O_NOCTTY);
        dup2(terminal, STDERR_FILENO);
        progress("x\x1bz", 1, 4);
        nanosleep(&longer_than_a_bar_stands, NULL);
        progress("x\x1bz", 2, 4);
        progress("x\x1bz", 4, 4);
        _exit((int)fail_with(BAD_INPUT, "at the end"));
    }
    assert_int_equal(waitpid(child, NULL, 0), child);
    while (used < sizeof text - 1 &&
           (n = read(master, text + used, sizeof text - 1 - used)) > 0) {
        used += (size_t)n;
        if (text[used - 1] == '\n')
            break;
    }
    text[used] = '\0';
    close(master);
    return text;
}

TEST(progress_is_shown_at_a_terminal_and_makes_room_for_messages)
{
    assert_string_equal(run_at_terminal(),
                        "\rx\\x1bz [#######                       ]  25%"
                        "\rx\\x1bz [###############               ]  50%"
                        "\rx\\x1bz [##############################] 100%"
                        "\r\x1b[Kcsp: at the end\r\n");
}

TEST(full_disk_behind_standard_output_is_an_error)
{
    int status;
    const int full = open("/dev/full", O_WRONLY);

    if (full < 0)
        skip();
    catch_errors();
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(full, STDOUT_FILENO);
        puts("lost");
        _exit((int)flush_output());
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_message(caught_errors(), "standard output cannot be written: No sp");
    close(full);

    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), IO_FAILED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(message_is_one_line_of_printable_ascii),
        cmocka_unit_test(output_lost_in_between_is_told),
        cmocka_unit_test(long_messages_are_cut),
        cmocka_unit_test(escape_stays_inside_its_memory),
        cmocka_unit_test(progress_is_silent_where_there_is_no_terminal),
        cmocka_unit_test(
            progress_is_shown_at_a_terminal_and_makes_room_for_messages),
        cmocka_unit_test(full_disk_behind_standard_output_is_an_error),
    };

    return RUN(tests);
}
