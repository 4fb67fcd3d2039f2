/*
 * test_huge_moves.c - caches of more than 2^32 cells, selections of 2^24 keys
 */
#include "huge_fixture.h"

#if HUGE_MAPS

/* ---- Compact ------------------------------------------------------------- */

/* Rows of 4 Ki tokens that are kept: the last of them is the last of all. */
#define N_KEPT 40u

static csp_kept kept_far(uint32_t *rows, uint32_t *count, uint32_t n_tokens)
{
    for (uint32_t i = 0; i < N_KEPT; i++)
        rows[i] = n_tokens - 1 - (N_KEPT - 1 - i) * (n_tokens / N_KEPT);
    *count = N_KEPT;
    return (csp_kept){
        .rows = rows, .counts = count, .n_lists = 1, .capacity = N_KEPT};
}

static uint16_t mark_of(size_t head, size_t channel, uint32_t row)
{
    return (uint16_t)(1 + (head * 131 + channel * 7 + row) % 65535);
}

/* The cell of a kept row carries a mark; after compaction it is in front. */
static void compact_far(const csp_cells *cells)
{
    uint32_t rows[N_KEPT], count;
    const csp_kept kept = kept_far(rows, &count, cells->n_tokens);
    unsigned char *data = cells->data;

    for (size_t h = 0; h < cells->n_heads; h++)
        for (size_t c = 0; c < cells->n_channels; c++)
            for (uint32_t i = 0; i < N_KEPT; i++) {
                const uint16_t mark = mark_of(h, c, rows[i]);
                memcpy(data + h * cells->head_stride +
                           c * cells->channel_stride +
                           rows[i] * cells->token_stride + cells->cell_size -
                           sizeof mark,
                       &mark, sizeof mark);
            }

    assert_ok(csp_compact(cells, 1, &kept, NULL));

    for (size_t h = 0; h < cells->n_heads; h++)
        for (size_t c = 0; c < cells->n_channels; c++)
            for (uint32_t i = 0; i < N_KEPT; i++) {
                uint16_t mark;
                memcpy(&mark,
                       data + h * cells->head_stride +
                           c * cells->channel_stride + i * cells->token_stride +
                           cells->cell_size - sizeof mark,
                       sizeof mark);
                assert_int_equal(mark, mark_of(h, c, rows[i]));
            }
}

TEST(compact_in_place_moves_cells_from_past_8_gib)
{
    const uint32_t n_tokens = (1u << 22) + 3;
    const size_t size = 2 * (size_t)n_tokens * 2048;
    unsigned char *map = sparse(size);
    const csp_cells cells = csp_cells_packed(map, 2, n_tokens, 2048);

    compact_far(&cells);

    munmap(map, size);
}

/* Transposed values: [8][128][2^23], 2^33 cells of two bytes. */
TEST(compact_in_place_moves_columns_of_8_g_cells)
{
    const uint32_t n_tokens = 1u << 23;
    const size_t size = (size_t)8 * 128 * n_tokens * TWO_BYTES;
    unsigned char *map = sparse(size);
    csp_cells cells = {.data = map,
                       .n_heads = 8,
                       .n_channels = 128,
                       .n_tokens = n_tokens,
                       .cell_size = TWO_BYTES};
    cells.token_stride = TWO_BYTES;
    cells.channel_stride = (size_t)n_tokens * TWO_BYTES;
    cells.head_stride = 128 * cells.channel_stride;

    compact_far(&cells);

    munmap(map, size);
}

/* Pages of 16 tokens, the last one first, 2^32 bytes apart. */
TEST(compact_finds_pages_past_4_gib)
{
    const size_t size = 13 * GIB;
    unsigned char *map = sparse(size);
    const uint32_t pages[] = {0, 3, 1, 2};
    uint32_t rows[] = {0, 17, 63}, count = 3;
    csp_cells cells = csp_cells_packed(map, 1, 64, 8);
    const csp_kept kept = {
        .rows = rows, .counts = &count, .n_lists = 1, .capacity = 3};
    cells.pages = pages;
    cells.page_tokens = 16;
    cells.n_pages = 4;
    cells.page_stride = 4 * GIB;
    memset(map + 12 * GIB + 8, 17, 8);     /* token 1 of page 3 */
    memset(map + 8 * GIB + 8 * 15, 63, 8); /* token 15 of page 2 */

    assert_ok(csp_compact(&cells, 1, &kept, NULL));

    assert_int_equal(map[7], 0);
    assert_int_equal(map[8], 17);
    assert_int_equal(map[16], 63);
    munmap(map, size);
}

/* A table of 2^32 - 2 pages a list: the second list's begins behind 16 GiB. */
TEST(kept_pages_reads_tables_past_16_gib)
{
    const uint32_t n_keys = UINT32_MAX - 1;
    const size_t size = 2 * (size_t)n_keys * sizeof(uint32_t);
    unsigned char *map = sparse(size);
    uint32_t *table = (uint32_t *)(void *)map;
    uint32_t rows[] = {0, n_keys - 1, 0, n_keys - 1}, counts[] = {1, 2};
    const csp_kept kept = {
        .rows = rows, .counts = counts, .n_lists = 2, .capacity = 2};
    uint32_t indptr[3], indices[3], last_page[2];
    table[0] = 11;
    table[n_keys] = 22;
    table[2 * (size_t)n_keys - 1] = 33;

    assert_ok(csp_kept_pages(&kept, n_keys, 1, table, false, 3, indptr, indices,
                             last_page));

    assert_int_equal(indptr[2], 3);
    assert_int_equal(indices[0], 11);
    assert_int_equal(indices[1], 22);
    assert_int_equal(indices[2], 33);
    munmap(map, size);
}

/* ---- Select -------------------------------------------------------------- */

/* More keys than a float can count. */
TEST(select_among_more_keys_than_a_float_counts)
{
    const uint32_t n_keys = (1u << 24) + 5;
    const size_t size = n_keys * sizeof(float);
    unsigned char *map = sparse(3 * (size + 64));
    csp_importance importance = {.intra = (float *)(void *)map,
                                 .inter = (float *)(void *)map + n_keys + 1,
                                 .capacity = n_keys};
    const csp_tokens tokens = {.n_kv_heads = 1, .n_keys = n_keys};
    csp_config config;
    uint32_t rows[8], count = 0;
    assert_ok(csp_config_init(&config));
    config.budget = 8;
    config.sinks = config.recent = 1;
    config.n_intra = config.n_inter = 2;
    importance.intra[1u << 24] = 1.0f;
    importance.intra[(1u << 24) + 1] = 1.0f;
    importance.inter[(1u << 24) + 2] = 1.0f;
    importance.intra[77] = 0.5f;
    const size_t workspace_size = csp_select_workspace_size(&tokens, &config);
    unsigned char *workspace = sparse(workspace_size);

    assert_ok(csp_select(&importance, &tokens, &config, workspace,
                         workspace_size,
                         &(csp_kept){.rows = rows,
                                     .counts = &count,
                                     .n_lists = 1,
                                     .capacity = COUNT(rows)}));

    const uint32_t expected[] = {
        0, 1, 2, 77, 1u << 24, (1u << 24) + 1, (1u << 24) + 2, n_keys - 1};
    assert_int_equal(count, COUNT(expected));
    for (uint32_t i = 0; i < COUNT(expected); i++)
        assert_int_equal(rows[i], expected[i]);
    munmap(workspace, workspace_size);
    munmap(map, 3 * (size + 64));
}

/* ---- Other verbs --------------------------------------------------------- */

TEST(nsoftmax_in_place_of_heads_8_gib_apart)
{
    enum { COLS = 5 };
    const size_t apart = 8 * GIB;
    unsigned char *map = sparse(2 * apart);
    csp_tensor logits = csp_tensor_packed(map, CSP_F32, 2, 2, COLS);
    float weight;
    logits.head_stride = apart;
    logits.row_stride = apart / 2;
    plant_float(map, &logits, 1, 1, 3, 2.0f);

    assert_ok(csp_nsoftmax(&logits, 1.0, NULL, NULL, map));

    memcpy(&weight, map + apart + apart / 2 + 3 * sizeof weight, sizeof weight);
    assert_near(weight, exp(2.0) / (COLS + exp(2.0)), 4e-6);
    memcpy(&weight, map + apart, sizeof weight);
    assert_near(weight, 1.0 / (COLS + 1), 4e-6);
    munmap(map, 2 * apart);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compact_in_place_moves_cells_from_past_8_gib),
        cmocka_unit_test(compact_in_place_moves_columns_of_8_g_cells),
        cmocka_unit_test(compact_finds_pages_past_4_gib),
        cmocka_unit_test(kept_pages_reads_tables_past_16_gib),
        cmocka_unit_test(select_among_more_keys_than_a_float_counts),
        cmocka_unit_test(nsoftmax_in_place_of_heads_8_gib_apart),
    };

    return RUN(tests);
}

#else

int main(void)
{
    puts("no maps beyond 4 GiB: skipped");
    return 0;
}

#endif
