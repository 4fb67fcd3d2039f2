/*
 * test_file.c - what is no readable regular file is refused, and not waited for
 */
#include "cli_test.h"

#include "commands.h"
#include "file.h"

#include <fcntl.h>
#include <sys/stat.h>

enum { PATIENCE = 60 }; /* seconds until a call that hangs ends the test */

static void assert_fails(const char *path, outcome expected, const char *reason)
{
    const char *inspect[] = {"inspect", path, NULL};
    const char *compact[] = {"compact", path,      "--keep", path,
                             "--out",   "out.npy", NULL};
    const size_t before = count_files();

    alarm(PATIENCE);
    catch_errors();
    assert_int_equal(run_command(command_inspect, inspect), expected);
    assert_message(caught_errors(), reason);
    catch_errors();
    assert_int_equal(run_command(command_compact, compact), expected);
    assert_message(caught_errors(), reason);
    alarm(0);
    assert_int_equal(count_files(), before);
}

TEST(missing_files_are_no_bad_input)
{
    assert_fails("missing", IO_FAILED, "missing: cannot be opened: No such");
    assert_fails("", IO_FAILED, "cannot be opened");
    write_file("file", "x", 1);
    assert_fails("file/x", IO_FAILED, "cannot be opened: Not a directory");
}

TEST(unreadable_files_are_no_bad_input)
{
    const bool is_root = geteuid() == 0;

    write_file("secret", "x", 1);
    assert_int_equal(chmod("secret", 0), 0);
    assert_int_equal(chmod(".", 0755), 0);
    if (is_root && seteuid(65534) != 0)
        skip();

    assert_fails("secret", IO_FAILED, "secret: cannot be opened: Permission");

    if (is_root)
        assert_int_equal(seteuid(0), 0);
}

TEST(fifo_is_not_waited_for)
{
    assert_int_equal(mkfifo("fifo", 0600), 0);
    assert_fails("fifo", BAD_INPUT, "fifo: is a FIFO, expected a regular file");
}

TEST(folders_and_devices_are_refused)
{
    assert_fails(".", BAD_INPUT, ".: is a directory, expected");
    assert_fails("/dev/zero", BAD_INPUT, "/dev/zero: is a device, expected");
    assert_fails("/dev/null", BAD_INPUT, "/dev/null: is a device, expected");
}

TEST(names_do_not_reach_the_terminal_as_they_are)
{
    static const char name[] = "a\n\x1b]0;title\x07\x9b"
                               "31m\xc3\xa4\t\r\x7f";

    write_file(name, "x", 1);
    assert_fails(name, BAD_INPUT,
                 "csp: a\\n\\x1b]0;title\\x07\\x9b31m\\xc3\\xa4\\t\\r\\x7f: "
                 "begins neither");
}

TEST(long_names_are_one_line)
{
    static char name[6000];

    memset(name, '\n', sizeof name - 1);
    assert_fails(name, IO_FAILED, "csp: \\n\\n\\n");
}

TEST(links_are_followed)
{
    unsigned char bytes[3];
    uint64_t size;
    int descriptor;

    write_file("target", "abc", 3);
    assert_int_equal(symlink("target", "link"), 0);

    assert_int_equal(file_open("link", &descriptor, &size), DONE);

    assert_int_equal(size, 3);
    assert_int_equal(file_read("link", descriptor, 0, bytes, 3), DONE);
    assert_memory_equal(bytes, "abc", 3);
    close(descriptor);
}

TEST(reading_beyond_the_end_is_an_error)
{
    unsigned char bytes[4];
    uint64_t size;
    int descriptor;

    write_file("file", "abc", 3);
    assert_int_equal(file_open("file", &descriptor, &size), DONE);
    catch_errors();
    assert_int_equal(file_read("file", descriptor, 0, bytes, 4), IO_FAILED);
    assert_message(caught_errors(), "file: ends at byte 3");
    catch_errors();
    assert_int_equal(file_read("file", descriptor, UINT64_MAX, bytes, 1),
                     IO_FAILED);
    assert_message(caught_errors(), "is out of reach");
    close(descriptor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(missing_files_are_no_bad_input),
        cmocka_unit_test(unreadable_files_are_no_bad_input),
        cmocka_unit_test(fifo_is_not_waited_for),
        cmocka_unit_test(folders_and_devices_are_refused),
        cmocka_unit_test(names_do_not_reach_the_terminal_as_they_are),
        cmocka_unit_test(long_names_are_one_line),
        cmocka_unit_test(links_are_followed),
        cmocka_unit_test(reading_beyond_the_end_is_an_error),
    };

    return RUN_IN_FOLDER(tests);
}
