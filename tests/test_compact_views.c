/*
 * test_compact_views.c - several caches at once, and what csp_compact refuses
 */
#include "compact_fixture.h"

/* ---- Several views ------------------------------------------------------- */

/* Keys and values in turn: [token][k, v][head][dim]. */
static void interleave(csp_cells *two, unsigned char *bytes)
{
    two[0] = (csp_cells){.data = bytes,
                         .n_heads = 2,
                         .n_channels = 1,
                         .n_tokens = 10,
                         .cell_size = 8,
                         .head_stride = 8,
                         .token_stride = 32};
    two[1] = two[0];
    two[1].data = bytes + 16;
}

TEST(compact_takes_interleaved_keys_and_values)
{
    unsigned char before[320], after[320];
    const csp_kept lists = two_lists();
    csp_cells two[2];
    fill(before, sizeof before, 4);
    memcpy(after, before, sizeof before);
    guarded memory = guard(before, sizeof before);
    interleave(two, memory.data);
    expect(&two[0], &lists, &two[0], before, after);
    expect(&two[1], &lists, &two[1], before + 16, after + 16);

    assert_ok(csp_compact(two, 2, &lists, NULL));

    assert_memory_equal(memory.data, after, sizeof after);
    unguard(&memory);
}

TEST(compact_takes_interleaved_cells_of_different_sizes)
{
    enum { TOKENS = 5, K = 6, V = 4, HEADS_HERE = 2 };
    enum { TOKEN = HEADS_HERE * (K + V) };
    unsigned char bytes[TOKENS * TOKEN], expected[TOKENS * TOKEN];
    uint32_t picked[] = {1, 3, 4}, n_picked[] = {3};
    const csp_kept kept = {
        .rows = picked, .counts = n_picked, .n_lists = 1, .capacity = 3};
    const csp_cells k = {.data = bytes,
                         .n_heads = HEADS_HERE,
                         .n_channels = 1,
                         .n_tokens = TOKENS,
                         .cell_size = K,
                         .head_stride = K,
                         .token_stride = TOKEN};
    csp_cells two[] = {k, k};
    two[1].data = bytes + HEADS_HERE * K;
    two[1].cell_size = two[1].head_stride = V;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = expected[i] = (unsigned char)i;
    for (size_t i = 0; i < 3; i++)
        memcpy(expected + i * TOKEN, bytes + picked[i] * TOKEN, TOKEN);

    assert_ok(csp_compact(two, 2, &kept, NULL));
    assert_memory_equal(bytes, expected, sizeof bytes);
    two[1].data = bytes + HEADS_HERE * K - 1;
    assert_status(csp_compact(two, 2, &kept, NULL), CSP_E_OVERLAP);
    assert_memory_equal(bytes, expected, sizeof bytes);
}

TEST(compact_takes_pages_of_interleaved_keys_and_values)
{
    const uint32_t pages[] = {1, 2, 0};
    unsigned char before[3 * 64], after[3 * 64], bytes[3 * 64];
    const csp_kept shared = one_list();
    fill(before, sizeof before, 5);
    memcpy(after, before, sizeof before);
    memcpy(bytes, before, sizeof before);
    csp_cells two[2]; /* [page][k, v][token] */
    two[0] = (csp_cells){.data = bytes,
                         .n_heads = 1,
                         .n_channels = 1,
                         .n_tokens = 10,
                         .cell_size = 8,
                         .token_stride = 8,
                         .pages = pages,
                         .page_tokens = 4,
                         .n_pages = 3,
                         .page_stride = 64};
    two[1] = two[0];
    two[1].data = bytes + 32;
    expect(&two[0], &shared, &two[0], before, after);
    expect(&two[1], &shared, &two[1], before + 32, after + 32);

    assert_ok(csp_compact(two, 2, &shared, NULL));

    assert_memory_equal(bytes, after, sizeof after);
}

TEST(compact_takes_interleaved_views_of_different_lengths)
{
    unsigned char bytes[320];
    uint32_t three = 3;
    const csp_kept kept = {
        .rows = rows, .counts = &three, .n_lists = 1, .capacity = 3};
    csp_cells two[2];
    fill(bytes, sizeof bytes, 12);
    interleave(two, bytes);

    two[0].n_tokens = 4;
    assert_ok(csp_compact(two, 2, &kept, NULL));
    interleave(two, bytes);
    two[1].n_tokens = 4;
    assert_ok(csp_compact(two, 2, &kept, NULL));
    two[1].data = bytes + 8; /* the second head's keys */
    assert_status(csp_compact(two, 2, &kept, NULL), CSP_E_OVERLAP);
}

/* Nothing of the cache changes. */
static void refuse(const csp_cells *src, uint32_t n_views, const csp_kept *kept,
                   const csp_cells *dst, unsigned char *memory, size_t size,
                   csp_status status)
{
    unsigned char before[MAX_BYTES];
    memcpy(before, memory, size);

    assert_status(csp_compact(src, n_views, kept, dst), status);

    assert_memory_equal(memory, before, size);
}

TEST(compact_refuses_views_that_share_cells)
{
    unsigned char bytes[400];
    const csp_kept lists = two_lists();
    csp_cells two[2];
    fill(bytes, sizeof bytes, 6);
    interleave(two, bytes);

    two[1].data = bytes;
    refuse(two, 2, &lists, NULL, bytes, sizeof bytes, CSP_E_OVERLAP);
    two[1].data = bytes + 4;
    refuse(two, 2, &lists, NULL, bytes, sizeof bytes, CSP_E_OVERLAP);
    two[1].data = bytes + 40; /* a token further */
    refuse(two, 2, &lists, NULL, bytes, sizeof bytes, CSP_E_OVERLAP);
    two[1].data = bytes + 16;
    two[1].token_stride = 24; /* other strides: not shown to be apart */
    refuse(two, 2, &lists, NULL, bytes, sizeof bytes, CSP_E_OVERLAP);
}

TEST(compact_refuses_a_destination_over_a_source)
{
    unsigned char bytes[700];
    const csp_kept lists = two_lists();
    csp_cells src[2], dst[2];
    fill(bytes, sizeof bytes, 7);
    interleave(src, bytes);
    interleave(dst, bytes + 320);

    dst[1].data = src[0].data;
    refuse(src, 2, &lists, dst, bytes, sizeof bytes, CSP_E_OVERLAP);
    refuse(src, 2, &lists, src, bytes, sizeof bytes, CSP_E_OVERLAP);
    dst[1].data = dst[0].data;
    refuse(src, 2, &lists, dst, bytes, sizeof bytes, CSP_E_OVERLAP);
    dst[1].data = bytes + 336;
    dst[0].data = src[1].data;
    refuse(src, 2, &lists, dst, bytes, sizeof bytes, CSP_E_OVERLAP);
    interleave(dst, bytes + 320);
    assert_ok(csp_compact(src, 2, &lists, dst));
}

TEST(compact_lets_sources_share_memory)
{
    unsigned char bytes[320], out[320];
    const csp_kept lists = two_lists();
    csp_cells src[2], dst[2];
    fill(bytes, sizeof bytes, 8);
    interleave(src, bytes);
    interleave(dst, out);
    src[1].data = src[0].data;

    assert_ok(csp_compact(src, 2, &lists, dst));

    assert_memory_equal(out, out + 16, 16);
}

TEST(compact_checks_every_view_before_it_moves)
{
    unsigned char bytes[320];
    const csp_kept lists = two_lists();
    csp_cells two[2];
    fill(bytes, sizeof bytes, 9);
    interleave(two, bytes);

    two[1].cell_size = 0;
    refuse(two, 2, &lists, NULL, bytes, sizeof bytes, CSP_E_SHAPE);
    interleave(two, bytes);
    two[1].n_tokens = 9;
    refuse(two, 2, &lists, NULL, bytes, sizeof bytes, CSP_E_INDEX);
}

/* ---- Edges and errors ---------------------------------------------------- */

static csp_cells plain(unsigned char *bytes)
{
    fill(bytes, 320, 10);
    return (csp_cells){.data = bytes,
                       .n_heads = 2,
                       .n_channels = 1,
                       .n_tokens = 10,
                       .cell_size = 16,
                       .head_stride = 160,
                       .token_stride = 16};
}

TEST(compact_of_nothing_changes_nothing)
{
    unsigned char bytes[320], before[320];
    uint32_t none[] = {0, 0};
    const csp_kept empty = {.counts = none, .n_lists = 2};
    csp_cells cells = plain(bytes);
    memcpy(before, bytes, sizeof before);

    assert_ok(csp_compact(&cells, 1, &empty, NULL));
    assert_ok(csp_compact(NULL, 0, NULL, NULL));
    assert_memory_equal(bytes, before, sizeof before);
    cells.n_tokens = 0;
    cells.data = NULL;
    assert_ok(csp_compact(&cells, 1, &empty, NULL));
}

TEST(compact_of_every_row_changes_nothing)
{
    unsigned char bytes[320], before[320];
    uint32_t all[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, ten = 10;
    const csp_kept kept = {
        .rows = all, .counts = &ten, .n_lists = 1, .capacity = 10};
    const csp_cells cells = plain(bytes);
    memcpy(before, bytes, sizeof before);

    assert_ok(csp_compact(&cells, 1, &kept, NULL));

    assert_memory_equal(bytes, before, sizeof before);
}

TEST(compact_of_no_channels_changes_nothing)
{
    unsigned char bytes[320];
    const csp_kept lists = two_lists();
    csp_cells cells = plain(bytes);

    cells.n_channels = 0;

    refuse(&cells, 1, &lists, NULL, bytes, sizeof bytes, CSP_OK);
}

TEST(compact_refuses_null)
{
    unsigned char bytes[320];
    csp_kept lists = two_lists();
    csp_cells cells = plain(bytes);

    refuse(NULL, 1, &lists, NULL, bytes, sizeof bytes, CSP_E_NULL);
    refuse(&cells, 1, NULL, NULL, bytes, sizeof bytes, CSP_E_NULL);
    lists.rows = NULL;
    refuse(&cells, 1, &lists, NULL, bytes, sizeof bytes, CSP_E_NULL);
    lists = two_lists();
    lists.counts = NULL;
    refuse(&cells, 1, &lists, NULL, bytes, sizeof bytes, CSP_E_NULL);
    lists = two_lists();
    csp_cells nowhere = cells;
    nowhere.data = NULL;
    refuse(&cells, 1, &lists, &nowhere, bytes, sizeof bytes, CSP_E_NULL);
    refuse(&nowhere, 1, &lists, NULL, bytes, sizeof bytes, CSP_E_NULL);
}

TEST(compact_refuses_shapes_that_disagree)
{
    unsigned char bytes[320], out[320];
    csp_kept lists = two_lists();
    const csp_cells cells = plain(bytes);
    const csp_cells good = plain(out);
    csp_cells dst = good;

    dst.n_heads = 1;
    refuse(&cells, 1, &lists, &dst, out, sizeof out, CSP_E_SHAPE);
    dst = good;
    dst.n_channels = 2;
    refuse(&cells, 1, &lists, &dst, out, sizeof out, CSP_E_SHAPE);
    dst = good;
    dst.cell_size = 15;
    refuse(&cells, 1, &lists, &dst, out, sizeof out, CSP_E_SHAPE);
    lists.n_lists = 3;
    refuse(&cells, 1, &lists, NULL, bytes, sizeof bytes, CSP_E_SHAPE);
    csp_cells no_bytes = cells;
    no_bytes.cell_size = 0;
    refuse(&no_bytes, 1, &lists, NULL, bytes, sizeof bytes, CSP_E_SHAPE);
}

TEST(compact_refuses_cells_that_overlap)
{
    unsigned char bytes[320], out[320];
    const csp_kept lists = two_lists();
    csp_cells cells = plain(bytes);
    const csp_cells dst = plain(out);

    cells.token_stride = 15;
    refuse(&cells, 1, &lists, NULL, bytes, sizeof bytes, CSP_E_STRIDE);
    cells = plain(bytes);
    cells.head_stride = 80; /* a head's tokens run into the next head's */
    refuse(&cells, 1, &lists, NULL, bytes, sizeof bytes, CSP_E_STRIDE);
    cells = plain(bytes);
    cells.head_stride = 0;
    refuse(&cells, 1, &lists, NULL, bytes, sizeof bytes, CSP_E_STRIDE);
    assert_ok(csp_compact(&cells, 1, &lists, &dst)); /* a source may repeat */
    refuse(&dst, 1, &lists, &cells, bytes, sizeof bytes, CSP_E_STRIDE);
}

TEST(compact_names_overflow)
{
    unsigned char bytes[320];
    const csp_kept lists = two_lists();
    csp_cells cells = plain(bytes);

    cells.head_stride = SIZE_MAX - 4;
    refuse(&cells, 1, &lists, NULL, bytes, sizeof bytes, CSP_E_OVERFLOW);
    cells = plain(bytes);
    cells.token_stride = SIZE_MAX / 8;
    refuse(&cells, 1, &lists, NULL, bytes, sizeof bytes, CSP_E_OVERFLOW);
}

TEST(compact_refuses_bad_lists)
{
    unsigned char bytes[320];
    uint32_t list[] = {3, 2, 0, 10}, two = 2;
    csp_kept kept = {.rows = list, .counts = &two, .n_lists = 1, .capacity = 2};
    const csp_cells cells = plain(bytes);

    refuse(&cells, 1, &kept, NULL, bytes, sizeof bytes, CSP_E_INDEX);
    list[1] = 3; /* twice */
    refuse(&cells, 1, &kept, NULL, bytes, sizeof bytes, CSP_E_INDEX);
    kept.rows = list + 2; /* out of range */
    refuse(&cells, 1, &kept, NULL, bytes, sizeof bytes, CSP_E_INDEX);
    kept.capacity = 1;
    refuse(&cells, 1, &kept, NULL, bytes, sizeof bytes, CSP_E_CAPACITY);
}

TEST(compact_refuses_a_destination_with_little_room)
{
    unsigned char bytes[320], out[320];
    const csp_kept lists = two_lists();
    const csp_cells cells = plain(bytes);
    csp_cells dst = plain(out);

    dst.n_tokens = 5;
    refuse(&cells, 1, &lists, &dst, out, sizeof out, CSP_E_CAPACITY);
    dst.n_tokens = 6;
    assert_ok(csp_compact(&cells, 1, &lists, &dst));
}

TEST(compact_refuses_bad_pages)
{
    unsigned char bytes[320];
    const uint32_t pages[] = {0, 1, 3};
    const csp_kept shared = one_list();
    csp_cells cells = {.data = bytes,
                       .n_heads = 1,
                       .n_channels = 1,
                       .n_tokens = 10,
                       .cell_size = 8,
                       .token_stride = 8,
                       .pages = pages,
                       .page_tokens = 4,
                       .n_pages = 3,
                       .page_stride = 32};
    fill(bytes, sizeof bytes, 11);

    refuse(&cells, 1, &shared, NULL, bytes, sizeof bytes, CSP_E_INDEX);
    cells.page_tokens = 0;
    refuse(&cells, 1, &shared, NULL, bytes, sizeof bytes, CSP_E_SHAPE);
    cells.page_tokens = 4;
    cells.n_pages = 4;
    cells.page_stride = 31;
    refuse(&cells, 1, &shared, NULL, bytes, sizeof bytes, CSP_E_STRIDE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compact_takes_interleaved_keys_and_values),
        cmocka_unit_test(compact_takes_interleaved_cells_of_different_sizes),
        cmocka_unit_test(compact_takes_pages_of_interleaved_keys_and_values),
        cmocka_unit_test(compact_takes_interleaved_views_of_different_lengths),
        cmocka_unit_test(compact_refuses_views_that_share_cells),
        cmocka_unit_test(compact_refuses_a_destination_over_a_source),
        cmocka_unit_test(compact_lets_sources_share_memory),
        cmocka_unit_test(compact_checks_every_view_before_it_moves),
        cmocka_unit_test(compact_of_nothing_changes_nothing),
        cmocka_unit_test(compact_of_every_row_changes_nothing),
        cmocka_unit_test(compact_of_no_channels_changes_nothing),
        cmocka_unit_test(compact_refuses_null),
        cmocka_unit_test(compact_refuses_shapes_that_disagree),
        cmocka_unit_test(compact_refuses_cells_that_overlap),
        cmocka_unit_test(compact_names_overflow),
        cmocka_unit_test(compact_refuses_bad_lists),
        cmocka_unit_test(compact_refuses_a_destination_with_little_room),
        cmocka_unit_test(compact_refuses_bad_pages),
    };

    return RUN(tests);
}
