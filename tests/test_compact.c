/*
 * test_compact.c - kept cells move to the front (E7)
 *
 * Every byte of a cache is checked: cells of kept tokens are at their new
 * place, all others as before.
 */
#include "compact_fixture.h"

/* Compact one view of 'size' bytes in place, and into another of its layout. */
static void check_layout(csp_cells cells, const csp_kept *kept, size_t size)
{
    unsigned char before[MAX_BYTES], after[MAX_BYTES];
    assert_true(size <= MAX_BYTES);
    fill(before, size, 1);
    guarded in_place = guard(before, size);
    guarded src = guard(before, size);
    make_read_only(&src);
    memcpy(after, before, size);
    cells.data = in_place.data;
    expect(&cells, kept, &cells, before, after);

    assert_ok(csp_compact(&cells, 1, kept, NULL));
    assert_memory_equal(in_place.data, after, size);

    fill(before, size, 2);
    guarded other = guard(before, size);
    csp_cells dst = cells;
    dst.data = other.data;
    cells.data = src.data;
    expect(&cells, kept, &dst, src.data, before);
    assert_ok(csp_compact(&cells, 1, kept, &dst));
    assert_memory_equal(other.data, before, size);
    unguard(&other);
    unguard(&in_place);
    unguard(&src);
}

TEST(compact_moves_head_token_dim)
{
    const csp_cells cells = {.n_heads = 2,
                             .n_channels = 1,
                             .n_tokens = 10,
                             .cell_size = 16,
                             .head_stride = 160,
                             .token_stride = 16};
    const csp_kept lists = two_lists(), shared = one_list();

    check_layout(cells, &lists, 320);
    check_layout(cells, &shared, 320);
}

TEST(compact_moves_token_head_dim)
{
    const csp_cells cells = {.n_heads = 2,
                             .n_channels = 1,
                             .n_tokens = 10,
                             .cell_size = 16,
                             .head_stride = 16,
                             .token_stride = 32};
    const csp_kept lists = two_lists();

    check_layout(cells, &lists, 320);
}

TEST(compact_moves_transposed_values)
{
    const csp_kept lists = two_lists();

    for (size_t size = 1; size <= 8; size *= 2) {
        const csp_cells cells = {.n_heads = 2,
                                 .n_channels = 5,
                                 .n_tokens = 10,
                                 .cell_size = size,
                                 .head_stride = 60 * size,
                                 .channel_stride = 12 * size,
                                 .token_stride = size};
        check_layout(cells, &lists, (60 + 48 + 10) * size);
    }
}

TEST(compact_moves_quantised_rows)
{
    const csp_kept lists = two_lists();
    const csp_cells cells = {.n_heads = 2,
                             .n_channels = 1,
                             .n_tokens = 10,
                             .cell_size = 34,
                             .head_stride = 340,
                             .token_stride = 34};
    const csp_cells padded = {.n_heads = 2,
                              .n_channels = 1,
                              .n_tokens = 10,
                              .cell_size = 34,
                              .head_stride = 400,
                              .token_stride = 40};

    check_layout(cells, &lists, 680);
    check_layout(padded, &lists,
                 400 + 360 + 34); /* the last row is not padded */
}

TEST(compact_moves_cells_of_three_bytes)
{
    const csp_kept lists = two_lists();
    const csp_cells cells = {.n_heads = 2,
                             .n_channels = 1,
                             .n_tokens = 10,
                             .cell_size = 3,
                             .head_stride = 3,
                             .token_stride = 7};

    check_layout(cells, &lists, 63 + 6);
}

TEST(compact_moves_plain_arrays)
{
    const csp_kept shared = one_list();
    uint32_t positions[10];
    const uint32_t expected[] = {0, 20, 30, 60, 80, 90, 60, 70, 80, 90};
    for (uint32_t i = 0; i < 10; i++)
        positions[i] = 10 * i;
    const csp_cells cells = {.data = positions,
                             .n_heads = 1,
                             .n_channels = 1,
                             .n_tokens = 10,
                             .cell_size = 4,
                             .token_stride = 4};

    assert_ok(csp_compact(&cells, 1, &shared, NULL));

    assert_memory_equal(positions, expected, sizeof expected);
}

TEST(compact_moves_pages_in_any_order)
{
    const uint32_t pages[] = {4, 0, 3, 1};
    const csp_kept lists = two_lists();
    const csp_cells cells = {.n_heads = 2,
                             .n_channels = 2,
                             .n_tokens = 10,
                             .cell_size = 6,
                             .head_stride = 36,
                             .channel_stride = 18,
                             .token_stride = 6,
                             .pages = pages,
                             .page_tokens = 3,
                             .n_pages = 5,
                             .page_stride = 80};

    check_layout(cells, &lists, 4 * 80 + 72);
}

TEST(compact_takes_a_sequence_shorter_than_its_page)
{
    const uint32_t pages[] = {1};
    const csp_kept shared = one_list();
    const csp_cells cells = {.n_heads = 1,
                             .n_channels = 1,
                             .n_tokens = 10,
                             .cell_size = 4,
                             .token_stride = 4,
                             .pages = pages,
                             .page_tokens = 16,
                             .n_pages = 2,
                             .page_stride = 64};

    check_layout(cells, &shared, 64 + 40);
}

TEST(compact_gathers_pages_into_rows_and_back)
{
    const uint32_t pages[] = {2, 0, 1};
    const csp_kept shared = one_list();
    unsigned char from[12 * 5], to[6 * 5], back[12 * 5];
    fill(from, sizeof from, 3);
    memset(back, 9, sizeof back);
    const csp_cells paged = {.data = from,
                             .n_heads = 1,
                             .n_channels = 1,
                             .n_tokens = 10,
                             .cell_size = 5,
                             .token_stride = 5,
                             .pages = pages,
                             .page_tokens = 4,
                             .n_pages = 3,
                             .page_stride = 20};
    const csp_cells flat = {.data = to,
                            .n_heads = 1,
                            .n_channels = 1,
                            .n_tokens = 6,
                            .cell_size = 5,
                            .token_stride = 5};
    csp_cells target = paged;
    target.data = back;
    uint32_t first[] = {0, 1, 2, 3, 4, 5}, six = 6;
    const csp_kept all = {
        .rows = first, .counts = &six, .n_lists = 1, .capacity = 6};

    assert_ok(csp_compact(&paged, 1, &shared, &flat));
    assert_ok(csp_compact(&flat, 1, &all, &target));

    for (uint32_t i = 0; i < 6; i++) {
        assert_memory_equal(to + 5 * i, from + cell_at(&paged, 0, 0, rows[i]),
                            5);
        assert_memory_equal(back + cell_at(&target, 0, 0, i), to + 5 * i, 5);
    }
}

/* Told by strides: a head has to have room for both views' turns, as many as
   the longer one takes. */
TEST(compact_refuses_turns_that_a_head_has_no_room_for)
{
    unsigned char bytes[2 * 80] = {0};
    uint32_t last[] = {1, 2}, n_last = 2;
    const csp_kept kept = {
        .rows = last, .counts = &n_last, .n_lists = 1, .capacity = 2};
    const csp_cells view = {.data = bytes,
                            .n_heads = 2,
                            .n_channels = 1,
                            .n_tokens = 5,
                            .cell_size = 8,
                            .head_stride = 80,
                            .token_stride = 16};
    csp_cells two[] = {view, view};
    two[1].data = bytes + 8;
    two[1].n_tokens = 3;
    assert_ok(csp_compact(two, 2, &kept, NULL));

    two[0].head_stride = two[1].head_stride = 72;

    assert_status(csp_compact(two, 2, &kept, NULL), CSP_E_OVERLAP);
    two[0].n_tokens = 3;
    two[1].n_tokens = 5;
    assert_status(csp_compact(two, 2, &kept, NULL), CSP_E_OVERLAP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compact_moves_head_token_dim),
        cmocka_unit_test(compact_moves_token_head_dim),
        cmocka_unit_test(compact_moves_transposed_values),
        cmocka_unit_test(compact_moves_quantised_rows),
        cmocka_unit_test(compact_moves_cells_of_three_bytes),
        cmocka_unit_test(compact_moves_plain_arrays),
        cmocka_unit_test(compact_moves_pages_in_any_order),
        cmocka_unit_test(compact_takes_a_sequence_shorter_than_its_page),
        cmocka_unit_test(compact_gathers_pages_into_rows_and_back),
        cmocka_unit_test(compact_refuses_turns_that_a_head_has_no_room_for),
    };

    return RUN(tests);
}
