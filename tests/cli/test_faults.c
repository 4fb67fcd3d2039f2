/*
 * test_faults.c - the system fails, at every call that it can fail at
 *
 * Usage: test_cli_faults [--every N] [--figures]
 *
 * Calls are failed one after the other until a run needs no more of them, or
 * one of N.  What a signal or a short count interrupts goes on; after an error,
 * which is told in one line with its cause, there is the file that was there
 * before, or none, and nothing beside it, and no memory is lost.
 */
#include "cli_test.h"
#include "fault_tasks.h"
#include "faults.h"

#include "output.h"

#include <errno.h>
#include <stdio.h>

enum { MAX_CALLS = 100000 };

/* Runs in which a call failed. */
static struct {
    unsigned long memory, io;
} n_faults;

/* From one call that fails to the next. */
static long every = 1;

static void count_fault(fault kind, bool fired)
{
    *(kind == FAULT_NO_MEMORY ? &n_faults.memory : &n_faults.io) += fired;
}

static const char *cause_of(fault kind)
{
    return kind == FAULT_NO_MEMORY  ? "memory"
           : kind == FAULT_NO_SPACE ? strerror(ENOSPC)
                                    : strerror(EIO);
}

/* ---- Commands ------------------------------------------------------------ */

static struct {
    outcome (*command)(int, char **);
    fault kind;
    long at;
    bool forever, fired;
} run;

static outcome run_with_fault(int argc, char **argv)
{
    faults_begin(run.kind, run.at, run.forever);
    const outcome result = run.command(argc, argv);
    run.fired = faults_end();
    return result;
}

/* Run it with call number 'at' failing; returns whether there was one. */
static bool run_task(const task *t, fault kind, long at, bool forever,
                     outcome *result, const char **message)
{
    const char *arguments[COUNT(t->arguments)];

    memcpy(arguments, t->arguments, sizeof arguments);
    run.command = t->command;
    run.kind = kind;
    run.at = at;
    run.forever = forever;
    catch_errors();
    *result = run_command(run_with_fault, arguments);
    *message = caught_errors();
    count_fault(kind, run.fired);
    if (faults_leaked() != 0)
        fail_msg("call %ld of %s, kind %d: %ld blocks are lost", at,
                 t->arguments[0], (int)kind, faults_leaked());
    return run.fired;
}

static void assert_world(const world *expected, const task *t, fault kind,
                         long at)
{
    world now = see_world();

    if (!same_worlds(&now, expected))
        fail_msg("call %ld of %s %s, kind %d: other files than there should be",
                 at, t->arguments[0], t->arguments[1], (int)kind);
    free(now.bytes);
}

/* What there is after the task without a fault. */
static world run_well(const task *t, bool was_there)
{
    const char *message;
    outcome result;

    task_reset(t, was_there);
    assert_false(run_task(t, FAULT_IO, MAX_CALLS, false, &result, &message));
    if (result != DONE)
        fail_msg("%s without faults: %s", t->arguments[0], message);
    return see_world();
}

static void assert_goes_on(const task *t, fault kind, bool forever)
{
    world expected = run_well(t, false);
    bool fired = true;
    long at = 0;

    /* From one call on, it is enough to begin with the first. */
    for (; fired && !(forever && at > 0); at += every) {
        const char *message;
        outcome result;
        task_reset(t, false);
        fired = run_task(t, kind, at, forever, &result, &message);
        if (result != DONE)
            fail_msg("call %ld of %s, kind %d: %s", at, t->arguments[0],
                     (int)kind, message);
        assert_world(&expected, t, kind, at);
    }
    assert_true(at > (forever ? 0 : 2));
    free(expected.bytes);
}

TEST(what_is_interrupted_goes_on)
{
    for (size_t i = 0; i < N_TASKS; i++) {
        assert_goes_on(&tasks[i], FAULT_INTERRUPTED, false);
        assert_goes_on(&tasks[i], FAULT_SHORT, false);
        assert_goes_on(&tasks[i], FAULT_SHORT, true);
    }
}

static void assert_refused(const task *t, fault kind, long at, outcome result,
                           const char *message)
{
    const outcome expected = kind == FAULT_NO_MEMORY ? INTERNAL : IO_FAILED;

    if (result != expected)
        fail_msg("call %ld of %s %s, kind %d: ended in %d: %s", at,
                 t->arguments[0], t->arguments[1], (int)kind, (int)result,
                 message);
    if (strstr(message, cause_of(kind)) == NULL)
        fail_msg("call %ld of %s %s, kind %d: no cause in %s", at,
                 t->arguments[0], t->arguments[1], (int)kind, message);
    assert_message(message, "");
}

/* The run behind one that failed does without faults what it should. */
static void fail_every_call(const task *t, fault kind, bool forever,
                            bool was_there)
{
    world expected = run_well(t, was_there), before;
    bool fired = true;

    task_reset(t, was_there);
    before = see_world();
    for (long at = (t - tasks) % every; fired; at += every) {
        const char *message;
        outcome result;
        fired = run_task(t, kind, at, forever, &result, &message);
        if (result == DONE && fired && !fault_may_be_harmless())
            fail_msg("call %ld of %s %s, kind %d: nobody heard", at,
                     t->arguments[0], t->arguments[1], (int)kind);
        if (result != DONE) {
            assert_refused(t, kind, at, result, message);
            assert_world(&before, t, kind, at);
            if (forever) { /* what follows is as after a single failure */
                task_reset(t, was_there);
                continue;
            }
            assert_false(
                run_task(t, kind, MAX_CALLS, false, &result, &message));
        }
        assert_int_equal(result, DONE);
        assert_string_equal(message, "");
        assert_world(&expected, t, kind, at);
        task_reset(t, was_there);
    }
    free(expected.bytes);
    free(before.bytes);
}

TEST(errors_leave_nothing)
{
    static const fault kinds[] = {FAULT_IO, FAULT_NO_SPACE, FAULT_NO_MEMORY};

    for (size_t i = 0; i < N_TASKS * COUNT(kinds); i++) {
        const task *t = &tasks[i / COUNT(kinds)];
        const fault kind = kinds[i % COUNT(kinds)];
        for (int forever = 0; forever < 2; forever++) {
            const bool both = kind != FAULT_NO_MEMORY;
            if (both || !forever || t->files[0] == NULL)
                fail_every_call(t, kind, forever, true);
            if (t->files[0] != NULL && (both || forever))
                fail_every_call(t, kind, forever, false);
        }
        task_reset(t, false);
    }
}

TEST(without_threads_it_is_the_same)
{
    for (size_t i = 0; i < N_TASKS; i++) {
        fail_every_call(&tasks[i], FAULT_NO_THREAD, true, false);
        task_reset(&tasks[i], false);
    }
}

/* ---- Several files ------------------------------------------------------- */

static outcome write_three(void)
{
    static const char *const names[] = {"one", "two", "three"};
    output o[3];
    uint32_t n = 0;
    outcome result = DONE;

    while (n < 3 && result == DONE) {
        result = output_open(names[n], &o[n]);
        if (result == DONE)
            result = output_write(&o[n++], "after", 5);
    }
    if (result == DONE)
        return output_commit(o, 3);
    output_abandon(o, n);
    return result;
}

static void assert_three(bool after, bool were_there)
{
    static const char *const names[] = {"one", "two", "three"};

    for (int i = 0; i < 3; i++) {
        if (after)
            assert_file(names[i], "after");
        else if (were_there)
            assert_file(names[i], "old");
        else
            assert_int_equal(access(names[i], F_OK), -1);
    }
}

static void fail_every_call_of_three(fault kind, bool were_there)
{
    static const char *const names[] = {"one", "two", "three"};
    const size_t others = count_files();
    bool fired = true;
    long at = 0;

    for (; fired; at++) {
        for (int i = 0; i < 3; i++) {
            remove(names[i]);
            if (were_there)
                write_file(names[i], "old", 3);
        }
        catch_errors();
        faults_begin(kind, at, false);
        const outcome result = write_three();
        fired = faults_end();
        count_fault(kind, fired);
        caught_errors();
        const bool done = result == DONE;
        assert_int_equal(done, !fired || fault_may_be_harmless());
        assert_int_equal(faults_leaked(), 0);
        assert_three(done, were_there);
        assert_int_equal(count_files(), others + (done || were_there ? 3 : 0));
    }
    /* Three times open, write, close and rename at least. */
    assert_true(kind == FAULT_NO_MEMORY || at > 12);
    for (int i = 0; i < 3; i++)
        remove(names[i]);
}

TEST(three_files_change_together_or_not_at_all)
{
    static const fault kinds[] = {FAULT_IO, FAULT_NO_SPACE, FAULT_NO_MEMORY};

    for (size_t i = 0; i < 2 * COUNT(kinds); i++) {
        faults_no_links(i % 2 != 0);
        fail_every_call_of_three(kinds[i / 2], false);
        fail_every_call_of_three(kinds[i / 2], true);
    }
    faults_no_links(false);
}

static long moved_for_three(bool no_links)
{
    static const char *const names[] = {"one", "two", "three"};

    for (int i = 0; i < 3; i++)
        write_file(names[i], "old", 3);
    faults_no_links(no_links);
    faults_begin(FAULT_IO, MAX_CALLS, false);
    assert_int_equal(write_three(), DONE);
    assert_false(faults_end());
    faults_no_links(false);
    assert_three(true, true);
    for (int i = 0; i < 3; i++)
        remove(names[i]);
    return faults_moved();
}

TEST(files_that_are_replaced_are_there_all_the_time)
{
    assert_int_equal(moved_for_three(false), 0);
    assert_int_equal(moved_for_three(true), 2); /* there is no other way */
}

static void lose_three(long at)
{
    static const char *const names[] = {"one", "two", "three"};
    char back[600], *end;

    for (int i = 0; i < 3; i++)
        write_file(names[i], "old", 3);
    const size_t before = count_files();
    catch_errors();
    faults_begin(FAULT_RENAME, at, true);
    assert_int_equal(write_three(), IO_FAILED);
    assert_true(faults_end());
    n_faults.io++;
    const char *there = strstr(caught_errors(), "what was there is now ");
    assert_non_null(there);
    snprintf(back, sizeof back, "%s", strchr(there, '.'));
    end = strstr(back, ".old: ");
    assert_non_null(end);
    end[4] = '\0';
    assert_file(back, "old");
    assert_true(count_files() >= before);
    remove(back);
    for (int i = 0; i < 3; i++)
        remove(names[i]);
}

/* What cannot be undone is there under another name, which is told. */
TEST(what_cannot_be_given_back_is_not_lost)
{
    for (long at = 1; at < 3; at++)
        lose_three(at);
    faults_no_links(true);
    for (long at = 1; at < 5; at++)
        lose_three(at);
    faults_no_links(false);
}

static int begin(void **state)
{
    const int result = enter_folder(state);

    if (result == 0)
        tasks_write_input();
    return result;
}

static int end(void **state)
{
    tasks_remove_input();
    return leave_folder(state);
}

/* Returns whether the number of faults is to be printed. */
static bool read_arguments(int argc, char **argv)
{
    bool figures = false;

    for (int i = 1; i < argc; i++) {
        figures = figures || strcmp(argv[i], "--figures") == 0;
        if (strcmp(argv[i], "--every") == 0 && i + 1 < argc)
            every = strtol(argv[++i], NULL, 10);
    }
    if (every < 1) {
        fprintf(stderr, "%s [--every N] [--figures]\n", argv[0]);
        exit(2);
    }
    return figures;
}

int main(int argc, char **argv)
{
    const bool figures = read_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_interrupted_goes_on),
        cmocka_unit_test(errors_leave_nothing),
        cmocka_unit_test(without_threads_it_is_the_same),
        cmocka_unit_test(three_files_change_together_or_not_at_all),
        cmocka_unit_test(files_that_are_replaced_are_there_all_the_time),
        cmocka_unit_test(what_cannot_be_given_back_is_not_lost),
    };

    const int failed = cmocka_run_group_tests(tests, begin, end);
    if (figures)
        printf("faults of memory %lu\nfaults of io %lu\n", n_faults.memory,
               n_faults.io);
    return failed != 0;
}
