/*
 * test_faults.c - the system fails, at every call that it can fail at
 *
 * Calls are failed one after the other until a run needs no more of them.  What
 * a signal or a short count interrupts goes on; after an error there is the
 * file that was there before, or none, and nothing beside it.
 */
#include "cli_test.h"
#include "faults.h"

#include "commands.h"
#include "output.h"

#include <stdio.h>

enum { MAX_CALLS = 10000 };

/* Runs in which a call failed, counted aloud with --figures. */
static unsigned long n_faults;

/* ---- Commands under faults ----------------------------------------------- */

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

static void write_input(void)
{
    float cache[2 * 2 * 8 * 2];
    static const unsigned char keep[] = {0, 0, 0, 0, 3, 0, 0, 0, 5, 0, 0, 0,
                                         1, 0, 0, 0, 2, 0, 0, 0, 7, 0, 0, 0};
    static const char json[] =
        "{\"x\":{\"dtype\":\"F32\",\"shape\":[2,2,8,2],\"data_offsets\":[0,256]"
        "},\"y\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[256,256]},"
        "\"__metadata__\":{\"k\":\"v\"}}";

    for (size_t i = 0; i < COUNT(cache); i++)
        cache[i] = (float)i;
    write_safetensors("cache", json, cache, sizeof cache);
    write_npy(
        "fortran.npy",
        "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 2, 8, 2)}\n",
        cache, sizeof cache);
    write_npy("keep.npy",
              "{'descr': '<u4', 'fortran_order': False, 'shape': (2, 3)}\n",
              keep, sizeof keep);
}

static void assert_same_file(const char *name, const unsigned char *bytes,
                             size_t size)
{
    size_t got_size;
    unsigned char *got = read_file(name, &got_size);

    assert_int_equal(got_size, size);
    assert_memory_equal(got, bytes, size);
    free(got);
}

typedef struct task {
    outcome (*command)(int, char **);
    const char *arguments[10];
} task;

static const task tasks[] = {
    {command_compact,
     {"compact", "cache", "--tensor", "x", "--keep", "keep.npy", "--out",
      "out.npy"}},
    {command_compact,
     {"compact", "fortran.npy", "--keep", "keep.npy", "--out", "out.npy"}},
    {command_inspect, {"inspect", "cache", "--tensor", "x"}},
    {command_inspect, {"inspect", "cache"}},
    {command_inspect, {"inspect", "fortran.npy"}},
};

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
    n_faults += run.fired;
    return run.fired;
}

/* What the task writes without a fault; NULL: nothing. */
static unsigned char *run_well(const task *t, size_t *size)
{
    const char *message;
    outcome result;

    remove("out.npy");
    assert_false(run_task(t, FAULT_IO, MAX_CALLS, false, &result, &message));
    assert_int_equal(result, DONE);
    return access("out.npy", F_OK) == 0 ? read_file("out.npy", size) : NULL;
}

TEST(what_is_interrupted_goes_on)
{
    static const fault kinds[] = {FAULT_SHORT, FAULT_INTERRUPTED};

    write_input();
    for (size_t i = 0; i < COUNT(tasks) * COUNT(kinds); i++) {
        const task *t = &tasks[i / COUNT(kinds)];
        const fault kind = kinds[i % COUNT(kinds)];
        const char *message;
        size_t size;
        outcome result;
        unsigned char *expected = run_well(t, &size);
        long at = 0;
        bool fired = true;
        for (; fired; at++) {
            /* Short every time is slow, but must come to the same end. */
            fired =
                run_task(t, kind, at, kind == FAULT_SHORT, &result, &message);
            assert_int_equal(result, DONE);
            if (expected != NULL)
                assert_same_file("out.npy", expected, size);
        }
        assert_true(at > 2);
        free(expected);
    }
}

static void assert_nothing_left(bool was_there)
{
    assert_int_equal(access("out.npy", F_OK), was_there ? 0 : -1);
    if (was_there)
        assert_same_file("out.npy", (const unsigned char *)"before", 6);
    assert_int_equal(count_files(), was_there ? 4 : 3);
}

/* A file of input may be closed with an error, as it was only read. */
static void fail_every_call(const task *t, fault kind, bool forever,
                            bool was_there)
{
    const outcome expected = kind == FAULT_NO_MEMORY ? INTERNAL : IO_FAILED;
    bool fired = true;
    long at = 0;

    for (; fired; at++) {
        const char *message;
        outcome result;
        remove("out.npy");
        if (was_there)
            write_file("out.npy", "before", 6);
        fired = run_task(t, kind, at, forever, &result, &message);
        if (result == DONE) {
            assert_true(!fired || fault_was_close());
            assert_string_equal(message, "");
            continue;
        }
        if (result != expected)
            fail_msg("call %ld of %s, kind %d: ended in %d", at,
                     t->arguments[0], (int)kind, (int)result);
        assert_message(message, "");
        assert_nothing_left(was_there);
    }
    assert_true(at > 2);
}

TEST(errors_leave_nothing)
{
    static const fault kinds[] = {FAULT_IO, FAULT_NO_SPACE, FAULT_NO_MEMORY};

    remove("out.npy");
    write_input();
    for (size_t i = 0; i < COUNT(tasks) * COUNT(kinds); i++) {
        const task *t = &tasks[i / COUNT(kinds)];
        const fault kind = kinds[i % COUNT(kinds)];
        for (int j = 0; j < 4; j++)
            fail_every_call(t, kind, j & 1, j >> 1);
    }
    remove("out.npy");
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
            assert_same_file(names[i], (const unsigned char *)"after", 5);
        else if (were_there)
            assert_same_file(names[i], (const unsigned char *)"old", 3);
        else
            assert_int_equal(access(names[i], F_OK), -1);
    }
}

static void fail_every_call_of_three(fault kind, bool were_there)
{
    static const char *const names[] = {"one", "two", "three"};
    const size_t others = 3; /* write_input's */
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
        n_faults += fired;
        caught_errors();
        assert_int_equal(result == DONE, !fired);
        assert_three(!fired, were_there);
        assert_int_equal(count_files(),
                         others + (fired && !were_there ? 0 : 3));
    }
    /* Three times open, write, close and rename at least. */
    assert_true(kind == FAULT_NO_MEMORY || at > 12);
    for (int i = 0; i < 3; i++)
        remove(names[i]);
}

TEST(three_files_change_together_or_not_at_all)
{
    static const fault kinds[] = {FAULT_IO, FAULT_NO_SPACE, FAULT_NO_MEMORY};

    for (size_t i = 0; i < COUNT(kinds); i++) {
        fail_every_call_of_three(kinds[i], false);
        fail_every_call_of_three(kinds[i], true);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_interrupted_goes_on),
        cmocka_unit_test(errors_leave_nothing),
        cmocka_unit_test(three_files_change_together_or_not_at_all),
    };

    const int failed = RUN_IN_FOLDER(tests);
    if (argc > 1 && strcmp(argv[1], "--figures") == 0)
        printf("faults %lu\n", n_faults);
    return failed != 0;
}
