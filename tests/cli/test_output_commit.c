/*
 * test_output_commit.c - several files take their places, or none does
 */
#include "cli_test.h"

#include "output.h"

#include <stdio.h>
#include <sys/stat.h>

static int empty_folder(void **state)
{
    static const char *const names[] = {"a", "b", "c", "folder", "target"};

    (void)state;
    for (size_t i = 0; i < COUNT(names); i++)
        remove(names[i]);
    return count_files() == 0 ? 0 : -1;
}

/* Files of these names, each with its name in it. */
static void open_files(output *o, const char *const *names, int n)
{
    for (int i = 0; i < n; i++) {
        assert_int_equal(output_open(names[i], &o[i]), DONE);
        assert_int_equal(output_write(&o[i], names[i], 1), DONE);
    }
}

static void assert_commit_is_refused(output *o, uint32_t n, const char *reason)
{
    catch_errors();
    assert_int_equal(output_commit(o, n), IO_FAILED);
    assert_message(caught_errors(), reason);
}

TEST(files_appear_together)
{
    static const char *const names[] = {"a", "b", "c"};
    output o[3];

    write_file("b", "before", 6);
    open_files(o, names, 3);

    assert_int_equal(output_commit(o, 3), DONE);

    for (int i = 0; i < 3; i++)
        assert_file(names[i], names[i]);
    assert_int_equal(count_files(), 3);
}

/* The last of three cannot be renamed: a folder took its name. */
TEST(none_appears_where_one_cannot)
{
    static const char *const names[] = {"a", "b", "folder"};
    output o[3];

    write_file("b", "before", 6);
    open_files(o, names, 3);
    assert_int_equal(mkdir("folder", 0700), 0);

    assert_commit_is_refused(o, 3, "folder: cannot be written: Is a dir");

    assert_file("b", "before");
    assert_int_equal(count_files(), 2); /* b and the folder */
}

TEST(folder_is_never_replaced)
{
    static const char *const names[] = {"folder", "a", "b"};
    output o[3];

    write_file("a", "before", 6);
    open_files(o, names, 3);
    assert_int_equal(mkdir("folder", 0700), 0);

    assert_commit_is_refused(o, 3, "folder: cannot be written: Is a dir");

    assert_file("a", "before");
    assert_int_equal(rmdir("folder"), 0);
    assert_int_equal(count_files(), 1);
}

static void assert_leads_to(const char *name, const char *target)
{
    char text[64];
    const ssize_t n = readlink(name, text, sizeof text);

    assert_int_equal(n, strlen(target));
    assert_memory_equal(text, target, (size_t)n);
}

TEST(symbolic_link_is_replaced_and_what_it_leads_to_is_not)
{
    static const char *const names[] = {"a", "b", "c"};
    struct stat status;
    output o[3];

    write_file("target", "before", 6);
    assert_int_equal(symlink("target", "a"), 0);
    assert_int_equal(symlink("missing", "b"), 0);
    open_files(o, names, 3);

    assert_int_equal(output_commit(o, 3), DONE);

    for (int i = 0; i < 3; i++) {
        assert_int_equal(lstat(names[i], &status), 0);
        assert_true(S_ISREG(status.st_mode));
        assert_file(names[i], names[i]);
    }
    assert_file("target", "before");
    assert_int_equal(count_files(), 4);
}

TEST(symbolic_link_comes_back_where_one_file_cannot_appear)
{
    static const char *const names[] = {"a", "b", "folder"};
    output o[3];

    write_file("target", "before", 6);
    assert_int_equal(symlink("target", "a"), 0);
    assert_int_equal(symlink("missing", "b"), 0);
    open_files(o, names, 3);
    assert_int_equal(mkdir("folder", 0700), 0);

    assert_commit_is_refused(o, 3, "folder: cannot be written: Is a dir");

    assert_leads_to("a", "target");
    assert_leads_to("b", "missing");
    assert_file("target", "before");
    assert_int_equal(count_files(), 4);
}

/* A process of this number was killed and left them. */
TEST(what_another_put_aside_is_left_alone)
{
    enum { N = 3 };
    static const char *const names[] = {"a", "b"};
    char aside[N][128];
    output o[2];

    write_file("a", "before", 6);
    open_files(o, names, 2);
    for (int i = 0; i < N; i++) {
        snprintf(aside[i], sizeof aside[i], "%s.%d.old", o[0].temporary, i);
        write_file(aside[i], "theirs", 6);
    }

    assert_int_equal(output_commit(o, 2), DONE);

    assert_file("a", "a");
    for (int i = 0; i < N; i++) {
        assert_file(aside[i], "theirs");
        remove(aside[i]);
    }
    assert_int_equal(count_files(), 2);
}

#define IN_EMPTY(test) cmocka_unit_test_setup(test, empty_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_EMPTY(files_appear_together),
        IN_EMPTY(none_appears_where_one_cannot),
        IN_EMPTY(folder_is_never_replaced),
        IN_EMPTY(symbolic_link_is_replaced_and_what_it_leads_to_is_not),
        IN_EMPTY(symbolic_link_comes_back_where_one_file_cannot_appear),
        IN_EMPTY(what_another_put_aside_is_left_alone),
    };

    return RUN_IN_FOLDER(tests);
}
