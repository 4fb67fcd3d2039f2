/*
 * test_compact_refusals.c - what csp compact refuses, before it writes
 */
#include "compact_files.h"

#include "array.h"
#include "commands.h"
#include "output.h"

#include <stdio.h>
#include <sys/stat.h>

static void assert_list_is_refused(const char *descr, uint32_t rank,
                                   const uint64_t *shape, const void *data,
                                   size_t size, const char *reason)
{
    write_array("keep.npy", descr, rank, shape, data, size);
    remove("out.npy");
    const size_t before = count_files();
    catch_errors();
    assert_int_equal(compact_cache("head-token"), BAD_INPUT);
    assert_message(caught_errors(), reason);
    assert_int_equal(count_files(), before);
}

TEST(lists_of_another_shape_are_refused)
{
    static const struct {
        uint32_t rank;
        uint64_t shape[4];
    } cases[] = {{0, {0}},       {1, {8}},          {2, {2, 2}},
                 {2, {3, 8}},    {3, {3, 3, 2}},    {3, {2, 2, 2}},
                 {3, {0, 3, 2}}, {4, {1, 2, 3, 1}}, {2, {0, 2}},
                 {3, {2, 3, 8}}};
    static const uint32_t zeros[64];

    write_cache(HEAD_FIRST, true);
    for (size_t i = 0; i < COUNT(cases); i++) {
        size_t n = 1;
        for (uint32_t j = 0; j < cases[i].rank; j++)
            n *= (size_t)cases[i].shape[j];
        assert_list_is_refused("<u4", cases[i].rank, cases[i].shape, zeros,
                               n * sizeof *zeros,
                               "expected [2][3][kept] or [3][kept]");
    }
    assert_list_is_refused("<f4", 2, (const uint64_t[]){3, 1}, zeros, 12,
                           "keep.npy: is f32 [3][1], expected u32");
    assert_list_is_refused("|u1", 2, (const uint64_t[]){3, 7}, zeros, 21,
                           "keep.npy: is u8 [3][7], expected u32");
}

TEST(lists_that_do_not_ascend_are_refused)
{
    static const uint64_t shape[] = {HEADS, 2};
    static const struct {
        int64_t rows[HEADS][2];
        const char *reason;
    } cases[] = {
        {{{0, 1}, {1, 1}, {0, 1}},
         "list 1, entry 1 is 1, expected rows below 7"},
        {{{0, 1}, {0, 1}, {6, 5}}, "list 2, entry 1 is 5"},
        {{{0, 7}, {0, 1}, {0, 1}}, "list 0, entry 1 is 7"},
        {{{-1, 0}, {0, 1}, {0, 1}}, "list 0, entry 1 is 0"},
        {{{0, 1}, {NONE, 3}, {0, 1}}, "list 1, entry 1 is 3"},
        {{{0, 1}, {0, -2}, {0, 1}}, "list 1, entry 1 is -2"},
        {{{0, 1}, {0, INT64_MIN}, {0, 1}}, "list 1, entry 1 is -9223372036854"},
        {{{0, 1}, {0, INT64_MAX}, {0, 1}}, "list 1, entry 1 is 9223372036854"},
        {{{0, 1}, {0, 4294967296}, {0, 1}}, "list 1, entry 1 is 4294967296"},
    };

    write_cache(HEAD_FIRST, true);
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_list_is_refused("<i8", 2, shape, cases[i].rows,
                               sizeof cases[i].rows, cases[i].reason);
}

/* The second layer's list is wrong: the first is not written either. */
TEST(every_list_is_looked_at_first)
{
    static const uint64_t shape[] = {LAYERS, HEADS, 1};
    static const uint32_t rows[] = {0, 1, 2, 3, 4, 7};

    write_cache(HEAD_FIRST, true);
    assert_list_is_refused("<u4", 3, shape, rows, sizeof rows,
                           "layer 1, list 2, entry 0 is 7");
}

TEST(caches_of_another_shape_are_refused)
{
    static const struct {
        uint32_t rank;
        uint64_t shape[5];
    } cases[] = {{0, {0}},          {1, {4}},
                 {2, {2, 2}},       {5, {1, 1, 1, 1, 1}},
                 {3, {0, 2, 2}},    {3, {2, 0, 2}},
                 {4, {2, 2, 2, 0}}, {4, {4294967295, 1, 1, 0}},
                 {4, {0, 1, 1, 1}}};
    static const float zeros[16];

    write_kept(1);
    remove("out.npy");
    for (size_t i = 0; i < COUNT(cases); i++) {
        size_t n = 1;
        for (uint32_t j = 0; j < cases[i].rank; j++)
            n *= (size_t)cases[i].shape[j];
        write_array("cache.npy", "<f4", cases[i].rank, cases[i].shape, zeros,
                    n * sizeof *zeros);
        catch_errors();
        assert_int_equal(compact_cache("token-head"), BAD_INPUT);
        assert_message(caught_errors(), "expected [layers][keys][heads][dim]");
        assert_int_equal(access("out.npy", F_OK), -1);
    }
}

/* A count of 2^32 - 1 stands for no row; the file takes no space. */
TEST(counts_of_32_bits_are_refused)
{
    write_npy("cache.npy",
              "{'descr': '|u1', 'fortran_order': False, "
              "'shape': (4294967295, 1, 1)}\n",
              NULL, 0);
    struct stat status;
    assert_int_equal(stat("cache.npy", &status), 0);
    const off_t size = status.st_size + (off_t)4294967295;
    write_kept(1);
    if (truncate("cache.npy", size) != 0 || stat("cache.npy", &status) != 0 ||
        status.st_blocks > 2048)
        skip();

    catch_errors();
    assert_int_equal(compact_cache("token-head"), BAD_INPUT);

    assert_message(caught_errors(), "no count 0 or above 32 bits");
    remove("cache.npy");
}

TEST(wrong_usage_is_told)
{
    static const struct {
        const char *arguments[8], *reason;
    } cases[] = {
        {{"compact"}, "expected one CACHE, --keep and --out"},
        {{"compact", "cache.npy"}, "expected one CACHE, --keep and --out"},
        {{"compact", "cache.npy", "--keep", "keep.npy"}, "expected one CACHE"},
        {{"compact", "cache.npy", "--out", "out.npy"}, "expected one CACHE"},
        {{"compact", "--keep", "keep.npy", "--out", "o"}, "expected one CACHE"},
        {{"compact", "a", "b", "--keep", "keep.npy", "--out", "o"},
         "expected one CACHE"},
        {{"compact", "cache.npy", "--layout", "dim"}, "--layout dim: expected"},
        {{"compact", "cache.npy", "--what"}, "--what: unknown, or without"},
        {{"compact", "cache.npy", "--keep"}, "--keep: unknown, or without"},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *arguments[8];
        memcpy(arguments, cases[i].arguments, sizeof arguments);
        catch_errors();
        assert_int_equal(run_command(command_compact, arguments), BAD_USAGE);
        assert_message(caught_errors(), cases[i].reason);
    }
}

TEST(help_is_printed)
{
    const char *arguments[] = {"compact", "--help", NULL};

    assert_int_equal(run_command(command_compact, arguments), DONE);

    assert_non_null(strstr(command_output, "usage: csp compact CACHE"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_of_another_shape_are_refused),
        cmocka_unit_test(lists_that_do_not_ascend_are_refused),
        cmocka_unit_test(every_list_is_looked_at_first),
        cmocka_unit_test(caches_of_another_shape_are_refused),
        cmocka_unit_test(counts_of_32_bits_are_refused),
        cmocka_unit_test(wrong_usage_is_told),
        cmocka_unit_test(help_is_printed),
    };

    return RUN_IN_FOLDER(tests);
}
