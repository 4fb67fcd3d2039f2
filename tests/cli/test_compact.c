/*
 * test_compact.c - csp compact gathers what the keep list says
 */
#include "compact_files.h"

#include "array.h"
#include "commands.h"
#include "elements.h"
#include "output.h"

#include <stdio.h>

static const char *const form_names[] = {"head-token", "token-head",
                                         "head-channel"};

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
        assert_int_equal(compact_cache(form_names[f]), DONE);
        assert_compacted(f, true, LAYERS);
        write_kept(1); /* the same in each layer */
        assert_int_equal(compact_cache(form_names[f]), DONE);
        assert_compacted(f, true, 1);
        write_cache(f, false);
        assert_int_equal(compact_cache(form_names[f]), DONE);
        assert_compacted(f, false, 1);
    }
}

TEST(summary_says_that_heads_differ)
{
    write_cache(HEAD_FIRST, true);
    write_kept(LAYERS);

    assert_int_equal(compact_cache("head-token"), DONE);

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
        assert_int_equal(compact_cache("head-token"), DONE);
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
    assert_int_equal(compact_cache("head-token"), DONE);
    unsigned char *bytes = read_file("out.npy", &size);
    write_array("keep.npy", "<i8", 2, shape, wide, sizeof wide);
    assert_int_equal(compact_cache("head-token"), DONE);
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

    assert_int_equal(compact_cache("head-token"), DONE);

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kept_rows_are_gathered_in_every_layout),
        cmocka_unit_test(summary_says_that_heads_differ),
        cmocka_unit_test(one_list_serves_all_heads),
        cmocka_unit_test(lists_may_be_signed),
        cmocka_unit_test(nothing_kept_is_an_empty_file),
        cmocka_unit_test(any_type_is_gathered_bit_for_bit),
    };

    return RUN_IN_FOLDER(tests);
}
