/*
 * test_selftest.c - tiers are told right from wrong
 */
#include "cli_test.h"

#include "commands.h"
#include "digest.h"
#include "pool.h"
#include "selftest.h"

/* Whether the tiers agree with a record, and what is printed. */
static bool agrees(uint64_t record, char *text, size_t size)
{
    pool *p = pool_start(3);
    FILE *file = tmpfile();

    assert_non_null(p);
    assert_non_null(file);
    const csp_parallel parallel = pool_hook(p);
    const bool agree = selftest_agrees(record, &parallel, file);
    rewind(file);
    text[fread(text, 1, size - 1, file)] = '\0';
    fclose(file);
    pool_stop(p);
    return agree;
}

TEST(selftest_agrees_with_the_record)
{
    const char *arguments[] = {"selftest", NULL};

    assert_int_equal(run_command(command_selftest, arguments), DONE);

    assert_non_null(strstr(command_output, "  as recorded"));
    assert_null(strstr(command_output, "DIFFERS"));
}

TEST(selftest_finds_a_tier_that_differs)
{
    char text[1024];

    assert_false(agrees(DIGEST_RECORDED ^ 1, text, sizeof text));
    assert_non_null(strstr(text, "  DIFFERS"));
    assert_null(strstr(text, "as recorded"));
}

TEST(selftest_takes_no_arguments)
{
    const char *help[] = {"selftest", "--help", NULL};
    const char *other[] = {"selftest", "--fast", NULL};

    assert_int_equal(run_command(command_selftest, help), DONE);
    assert_non_null(strstr(command_output, "usage: csp selftest\n"));
    assert_null(strstr(command_output, "recorded"));
    catch_errors();
    assert_int_equal(run_command(command_selftest, other), BAD_USAGE);
    assert_message(caught_errors(), "unknown argument --fast");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(selftest_agrees_with_the_record),
        cmocka_unit_test(selftest_finds_a_tier_that_differs),
        cmocka_unit_test(selftest_takes_no_arguments),
    };

    return RUN(tests);
}
