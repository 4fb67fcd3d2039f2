/*
 * test_compact.c - csp compact gathers what the keep list says
 *
 * Every cell of the caches says where it is: layer, head, key and channel.
 */
#include "cli_test.h"

#include "array.h"
#include "commands.h"
#include "elements.h"
#include "output.h"

#include <stdio.h>
#include <sys/stat.h>

enum { LAYERS = 2, HEADS = 3, KEYS = 7, DIM = 2 };

#define NONE UINT32_MAX

/* ---- Files --------------------------------------------------------------- */

static void write_array(const char *name, const char *descr, uint32_t rank,
                        const uint64_t *shape, const void *data, size_t size)
{
    output o;

    assert_int_equal(output_open(name, &o), DONE);
    assert_int_equal(output_npy(&o, descr, rank, shape), DONE);
    assert_int_equal(output_write(&o, data, size), DONE);
    assert_int_equal(output_commit(&o, 1), DONE);
}

static uint32_t cell(uint32_t layer, uint32_t head, uint32_t key,
                     uint32_t channel)
{
    return 1 + channel + 10 * key + 100 * head + 1000 * layer;
}

typedef enum form { HEAD_FIRST, TOKEN_FIRST, CHANNELS, N_FORMS } form;

static const char *const form_names[] = {"head-token", "token-head",
                                         "head-channel"};

/* Where a cell lies in a layer of 'n_keys' keys. */
static size_t place(form f, uint32_t n_keys, uint32_t head, uint32_t key,
                    uint32_t channel)
{
    switch (f) {
    case HEAD_FIRST:
        return (head * n_keys + key) * DIM + channel;
    case TOKEN_FIRST:
        return (key * HEADS + head) * DIM + channel;
    case CHANNELS:
    case N_FORMS:
        break;
    }
    return (head * DIM + channel) * n_keys + key;
}

static void shape_of(form f, uint32_t n_keys, uint64_t shape[4])
{
    shape[0] = LAYERS;
    shape[1] = f == TOKEN_FIRST ? n_keys : HEADS;
    shape[2] = f == HEAD_FIRST ? n_keys : f == TOKEN_FIRST ? HEADS : DIM;
    shape[3] = f == CHANNELS ? n_keys : DIM;
}

/* u4 numbers; without the axis of layers, the first of them. */
static void write_cache(form f, bool has_layers)
{
    uint32_t cells[LAYERS * HEADS * KEYS * DIM];
    uint64_t shape[4];
    const uint32_t n_layers = has_layers ? LAYERS : 1;

    for (uint32_t l = 0; l < n_layers; l++)
        for (uint32_t h = 0; h < HEADS; h++)
            for (uint32_t k = 0; k < KEYS; k++)
                for (uint32_t c = 0; c < DIM; c++)
                    cells[l * HEADS * KEYS * DIM + place(f, KEYS, h, k, c)] =
                        cell(l, h, k, c);
    shape_of(f, KEYS, shape);
    write_array("cache.npy", "<u4", has_layers ? 4 : 3,
                has_layers ? shape : shape + 1, cells,
                n_layers * HEADS * KEYS * DIM * sizeof *cells);
}

/* ---- What is kept -------------------------------------------------------- */

enum { WIDTH = 4 };

static const uint32_t kept[LAYERS][HEADS][WIDTH] = {
    {{0, 1, 5, 6}, {2, 3, NONE, NONE}, {NONE, NONE, NONE, NONE}},
    {{6, NONE, NONE, NONE}, {0, 3, 4, NONE}, {1, 2, 4, 6}}};

static void write_kept(uint32_t n_layers)
{
    static const uint64_t shape[] = {LAYERS, HEADS, WIDTH};
    const bool layers = n_layers > 1;

    write_array("keep.npy", "<u4", layers ? 3 : 2, layers ? shape : shape + 1,
                kept, n_layers * sizeof kept[0]);
}

static outcome compact(const char *layout)
{
    const char *arguments[] = {"compact",  "cache.npy", "--keep",
                               "keep.npy", "--out",     "out.npy",
                               "--layout", layout,      NULL};

    return run_command(command_compact, arguments);
}

static void assert_compacted(form f, bool has_layers, uint32_t keep_layers)
{
    uint32_t cells[LAYERS * HEADS * WIDTH * DIM];
    const uint32_t n_layers = has_layers ? LAYERS : 1;
    uint64_t shape[4];
    array a;

    assert_int_equal(array_open("out.npy", NULL, false, &a), DONE);
    shape_of(f, WIDTH, shape);
    assert_int_equal(a.rank, has_layers ? 4 : 3);
    assert_memory_equal(a.shape, has_layers ? shape : shape + 1,
                        a.rank * sizeof *shape);
    assert_int_equal(array_read(&a, 0, a.n_elements, cells), DONE);
    array_close(&a);
    for (uint32_t l = 0; l < n_layers; l++)
        for (uint32_t h = 0; h < HEADS; h++)
            for (uint32_t i = 0; i < WIDTH; i++)
                for (uint32_t c = 0; c < DIM; c++) {
                    const uint32_t row = kept[keep_layers > 1 ? l : 0][h][i];
                    const uint32_t expected =
                        row == NONE ? 0 : cell(l, h, row, c);
                    assert_int_equal(cells[l * HEADS * WIDTH * DIM +
                                           place(f, WIDTH, h, i, c)],
                                     expected);
                }
}

TEST(kept_rows_are_gathered_in_every_layout)
{
    for (form f = HEAD_FIRST; f < N_FORMS; f++) {
        write_cache(f, true);
        write_kept(LAYERS);
        assert_int_equal(compact(form_names[f]), DONE);
        assert_compacted(f, true, LAYERS);
        write_kept(1); /* the same in each layer */
        assert_int_equal(compact(form_names[f]), DONE);
        assert_compacted(f, true, 1);
        write_cache(f, false);
        assert_int_equal(compact(form_names[f]), DONE);
        assert_compacted(f, false, 1);
    }
}

TEST(summary_says_that_heads_differ)
{
    write_cache(HEAD_FIRST, true);
    write_kept(LAYERS);

    assert_int_equal(compact("head-token"), DONE);

    assert_non_null(strstr(command_output, "cache.npy: u32 [2][3][7][2]\n"));
    assert_non_null(strstr(command_output, "out.npy: 4 of 7 rows, 57.1 %\n"));
    assert_non_null(strstr(command_output, "heads keep 0 to 4 rows: "));
}

TEST(one_list_serves_all_heads)
{
    static const uint32_t list[] = {1, 4};
    static const uint64_t shapes[][2] = {{2, 0}, {1, 2}};
    uint32_t cells[LAYERS * HEADS * 2 * DIM];
    array a;

    write_cache(HEAD_FIRST, true);
    for (uint32_t rank = 1; rank <= 2; rank++) {
        write_array("keep.npy", "<u4", rank, shapes[rank - 1], list,
                    sizeof list);
        assert_int_equal(compact("head-token"), DONE);
        assert_null(strstr(command_output, "heads keep"));
        assert_int_equal(array_open("out.npy", NULL, false, &a), DONE);
        assert_int_equal(a.n_elements, COUNT(cells));
        assert_int_equal(array_read(&a, 0, a.n_elements, cells), DONE);
        array_close(&a);
        for (uint32_t i = 0; i < COUNT(cells); i++)
            assert_int_equal(cells[i],
                             cell(i / 12, i / 4 % 3, list[i / 2 % 2], i % 2));
    }
}

TEST(lists_may_be_signed)
{
    const int32_t narrow[HEADS][3] = {{0, 6, -1}, {1, 2, 3}, {5, -1, -1}};
    const int64_t wide[HEADS][3] = {{0, 6, NONE}, {1, 2, 3}, {5, NONE, NONE}};
    static const uint64_t shape[] = {HEADS, 3};
    size_t size, again_size;

    write_cache(HEAD_FIRST, true);
    write_array("keep.npy", "<i4", 2, shape, narrow, sizeof narrow);
    assert_int_equal(compact("head-token"), DONE);
    unsigned char *bytes = read_file("out.npy", &size);
    write_array("keep.npy", "<i8", 2, shape, wide, sizeof wide);
    assert_int_equal(compact("head-token"), DONE);
    unsigned char *again = read_file("out.npy", &again_size);

    assert_int_equal(size, again_size);
    assert_memory_equal(bytes, again, size);
    free(bytes);
    free(again);
}

TEST(nothing_kept_is_an_empty_file)
{
    static const uint64_t shape[] = {HEADS, 0};
    array a;

    write_cache(HEAD_FIRST, true);
    write_array("keep.npy", "<u4", 2, shape, NULL, 0);

    assert_int_equal(compact("head-token"), DONE);

    assert_int_equal(array_open("out.npy", NULL, false, &a), DONE);
    assert_string_equal(array_describe(&a), "u32 [2][3][0][2]");
    array_close(&a);
}

/* From a .safetensors file, whose data begin at an odd byte. */
TEST(any_type_is_gathered_bit_for_bit)
{
    static const unsigned char bytes[] = {1, 2, 3, 4,  5,  6,
                                          7, 8, 9, 10, 11, 12};
    static const uint32_t list[] = {0, 2};
    static const uint64_t shape[] = {2};
    const char *arguments[] = {"compact", "s",     "--tensor", "x", "--keep",
                               "k.npy",   "--out", "out.npy",  NULL};
    uint16_t words[4];
    array a;

    write_safetensors("s",
                      "{\"x\":{\"dtype\":\"BF16\",\"shape\":[1,3,2],"
                      "\"data_offsets\":[0,12]}}",
                      bytes, sizeof bytes);
    write_array("k.npy", "<u4", 1, shape, list, sizeof list);

    assert_int_equal(run_command(command_compact, arguments), DONE);

    assert_non_null(strstr(command_output, "bfloat16 is written as u2"));
    assert_int_equal(array_open("out.npy", NULL, false, &a), DONE);
    assert_string_equal(array_describe(&a), "u16 [1][2][2]");
    assert_int_equal(array_read(&a, 0, 4, words), DONE);
    assert_int_equal(words[0], 0x0201);
    assert_int_equal(words[2], 0x0a09);
    assert_int_equal(words[3], 0x0c0b);
    array_close(&a);
}

/* ---- What is refused ----------------------------------------------------- */

static void assert_list_is_refused(const char *descr, uint32_t rank,
                                   const uint64_t *shape, const void *data,
                                   size_t size, const char *reason)
{
    write_array("keep.npy", descr, rank, shape, data, size);
    remove("out.npy");
    const size_t before = count_files();
    catch_errors();
    assert_int_equal(compact("head-token"), BAD_INPUT);
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
        assert_int_equal(compact("token-head"), BAD_INPUT);
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
    assert_int_equal(compact("token-head"), BAD_INPUT);

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
        cmocka_unit_test(kept_rows_are_gathered_in_every_layout),
        cmocka_unit_test(summary_says_that_heads_differ),
        cmocka_unit_test(one_list_serves_all_heads),
        cmocka_unit_test(lists_may_be_signed),
        cmocka_unit_test(nothing_kept_is_an_empty_file),
        cmocka_unit_test(any_type_is_gathered_bit_for_bit),
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
