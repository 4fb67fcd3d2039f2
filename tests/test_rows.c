/*
 * test_rows.c - attention as a sequence of rows
 *
 * Logits of queries and keys are compared with double sums, in tiles that are
 * smaller than the rows there are, and for keys in more than one chunk.
 */
#include "test.h"

#include "numeric.h"
#include "rows.h"

/* Two KV heads, two query heads each. */
enum { HEADS = 4, KV_HEADS = 2, QUERIES = 40, KEYS = 600, DIM = 19 };

typedef struct fixture {
    float queries[HEADS * QUERIES * DIM];
    float keys[KV_HEADS * KEYS * DIM];
    csp_tokens tokens;
    csp_attention attention;
    csp__window window;
    csp__kernels kernels;
    csp__feed feed;
    void *memory;
} fixture;

static void set_up(fixture *f)
{
    const csp_compute own = {.product = CSP_PATH_KERNEL};

    memset(f, 0, sizeof *f);
    for (size_t i = 0; i < COUNT(f->queries); i++)
        f->queries[i] = sinf(0.7f * (float)i);
    for (size_t i = 0; i < COUNT(f->keys); i++)
        f->keys[i] = cosf(0.3f * (float)i);
    f->tokens = (csp_tokens){.n_kv_heads = KV_HEADS, .n_keys = KEYS};
    f->attention.source = CSP_QUERY_KEY;
    f->attention.first_query = KEYS - QUERIES;
    f->attention.queries =
        csp_tensor_packed(f->queries, CSP_F32, HEADS, QUERIES, DIM);
    f->attention.keys =
        csp_tensor_packed(f->keys, CSP_F32, KV_HEADS, KEYS, DIM);
    f->attention.scale = 0.25f;
    csp__kernels_choose(&own, &f->kernels);
}

/* Check the window and give the feed its scratch. */
static void start(fixture *f)
{
    csp__arena measure = {0};

    assert_ok(csp__check_window(&f->attention, &f->tokens, false, &f->window));
    csp__feed_carve(&f->feed, &f->window, f->window.tile_rows, KEYS, &measure);
    f->memory = malloc(csp__arena_size(&measure));
    csp__arena arena = csp__arena_over(f->memory);
    csp__feed_carve(&f->feed, &f->window, f->window.tile_rows, KEYS, &arena);
    f->feed.kernels = &f->kernels;
}

static float logit_of(const csp__row *row, size_t j)
{
    float x;
    memcpy(&x, (const unsigned char *)row->x + 4 * j, sizeof x);
    return x;
}

static double expected_logit(const fixture *f, uint32_t h, uint32_t r,
                             uint32_t j)
{
    const float *q = f->queries + (h * QUERIES + r) * DIM;
    const float *k = f->keys + (h / 2 * KEYS + j) * DIM;
    double dot = 0.0;

    for (uint32_t d = 0; d < DIM; d++)
        dot += (double)q[d] * (double)k[d];
    dot *= (double)f->attention.scale;
    const double cap = (double)f->attention.softcap;
    return cap > 0.0 ? cap * tanh(dot / cap) : dot;
}

/* Feed all rows of a KV head and compare; 'tolerance' is absolute. */
static void check_feed(fixture *f, uint32_t g, const uint32_t *queries,
                       uint32_t n, double tolerance)
{
    csp__row row;

    csp__feed_start(&f->feed, g, queries, n);
    for (uint32_t i = 0; i < 2 * n; i++) {
        assert_true(csp__feed_next(&f->feed, &row));
        assert_int_equal(row.head, 2 * g + i / n);
        assert_int_equal(row.query, queries[i % n]);
        assert_int_equal(row.n, f->attention.mask == CSP_FULL
                                    ? KEYS
                                    : f->attention.first_query + row.query + 1);
        assert_int_equal(row.dtype, CSP_F32);
        for (uint32_t j = 0; j < row.n; j++) {
            const double expected = expected_logit(f, row.head, row.query, j);
            assert_true(fabs((double)logit_of(&row, j) - expected) <=
                        tolerance);
        }
    }
    assert_false(csp__feed_next(&f->feed, &row));
}

static uint32_t all_queries[QUERIES];

static void check_both_heads(fixture *f, double tolerance)
{
    for (uint32_t i = 0; i < QUERIES; i++)
        all_queries[i] = i;
    start(f);
    for (uint32_t g = 0; g < KV_HEADS; g++)
        check_feed(f, g, all_queries, QUERIES, tolerance);
    free(f->memory);
}

static fixture f; /* large */

TEST(feed_computes_more_rows_than_a_tile_and_more_keys_than_a_chunk)
{
    set_up(&f);

    check_both_heads(&f, 1e-5);

    assert_true(f.window.tile_rows < 2 * QUERIES);
}

TEST(feed_hands_out_the_rows_asked_for)
{
    const uint32_t some[] = {1, 7, 8, 39};
    set_up(&f);
    start(&f);

    check_feed(&f, 1, some, COUNT(some), 1e-5);
    check_feed(&f, 0, some, 1, 1e-5);

    free(f.memory);
}

TEST(feed_shows_every_key_when_full)
{
    set_up(&f);
    f.attention.mask = CSP_FULL;

    check_both_heads(&f, 1e-5);
}

TEST(feed_caps_logits)
{
    set_up(&f);
    f.attention.softcap = 0.8f;
    f.attention.mask = CSP_FULL;

    check_both_heads(&f, 1e-5);
}

TEST(feed_widens_half_keys_and_queries)
{
    static uint16_t queries[HEADS * QUERIES * DIM], keys[KV_HEADS * KEYS * DIM];
    set_up(&f);
    for (size_t i = 0; i < COUNT(queries); i++) {
        queries[i] = csp__to_bf16(f.queries[i]);
        f.queries[i] = csp__from_bf16(queries[i]);
    }
    for (size_t i = 0; i < COUNT(keys); i++) {
        keys[i] = csp__to_f16(f.keys[i]);
        f.keys[i] = csp__from_f16(keys[i]);
    }
    f.attention.queries.data = queries;
    f.attention.queries =
        csp_tensor_packed(queries, CSP_BF16, HEADS, QUERIES, DIM);
    f.attention.keys = csp_tensor_packed(keys, CSP_F16, KV_HEADS, KEYS, DIM);

    check_both_heads(&f, 1e-5);
}

TEST(feed_takes_transposed_and_misaligned_keys)
{
    static unsigned char bytes[KV_HEADS * KEYS * DIM * 4 + 1];
    set_up(&f);
    for (uint32_t g = 0; g < KV_HEADS; g++)
        for (uint32_t j = 0; j < KEYS; j++)
            for (uint32_t d = 0; d < DIM; d++)
                memcpy(bytes + 1 + 4 * ((g * DIM + d) * KEYS + j),
                       &f.keys[(g * KEYS + j) * DIM + d], 4);
    f.attention.keys.data = bytes + 1;
    f.attention.keys.row_stride = 4;
    f.attention.keys.col_stride = 4 * KEYS;

    check_both_heads(&f, 1e-5);
}

/* Importance by queries and keys, with the layout that 'change' makes. */
static void score_into(float *intra, const csp_attention *attention,
                       const csp_tokens *tokens)
{
    float inter[KV_HEADS * KEYS] = {0.0f};
    const csp_importance importance = {
        .intra = intra, .inter = inter, .capacity = KEYS};
    csp_config config;
    assert_ok(csp_config_init(&config));
    config.compute.product = CSP_PATH_KERNEL;
    const size_t size = csp_score_workspace_size(attention, tokens, &config);
    void *workspace = malloc(size);

    assert_ok(
        csp_score(attention, tokens, &config, workspace, size, &importance));

    free(workspace);
}

TEST(feed_gives_the_same_bits_in_place_and_widened)
{
    static float in_place[KV_HEADS * KEYS], widened[KV_HEADS * KEYS];
    static float spread[KV_HEADS * KEYS * DIM * 2];
    memset(in_place, 0, sizeof in_place);
    memset(widened, 0, sizeof widened);
    set_up(&f);
    for (size_t i = 0; i < COUNT(f.keys); i++)
        spread[2 * i] = f.keys[i];

    score_into(in_place, &f.attention, &f.tokens);
    f.attention.keys.data = spread;
    f.attention.keys.col_stride *= 2;
    f.attention.keys.row_stride *= 2;
    f.attention.keys.head_stride *= 2;
    score_into(widened, &f.attention, &f.tokens);

    assert_memory_equal(in_place, widened, sizeof in_place);
}

TEST(feed_reads_no_key_that_no_query_sees)
{
    set_up(&f);
    f.attention.first_query = 0;
    guarded keys = guard(f.keys, (KEYS + QUERIES) * DIM * sizeof(float));
    make_read_only(&keys);
    f.attention.keys.data = keys.data;

    check_both_heads(&f, 1e-5);

    unguard(&keys);
}

TEST(feed_reads_no_row_beyond_the_keys)
{
    set_up(&f);
    guarded keys = guard(f.keys, sizeof f.keys);
    guarded queries = guard(f.queries, sizeof f.queries);
    f.attention.keys.data = keys.data;
    f.attention.queries.data = queries.data;
    f.attention.keys.n_rows = KEYS + 1000; /* padding that does not exist */

    check_both_heads(&f, 1e-5);

    unguard(&keys);
    unguard(&queries);
}

TEST(feed_with_blas_is_near)
{
    const csp_compute blas = {.product = CSP_PATH_BLAS};
    set_up(&f);
    if (!csp_has_blas())
        skip();
    csp__kernels_choose(&blas, &f.kernels);

    check_both_heads(&f, 1e-5);
}

TEST(voting_rows_are_those_from_first_vote_on)
{
    const csp_span spans[] = {{KEYS - 5, KEYS - 2, 3}};
    const uint8_t expected[] = {0, 3, 3, 3, 0, 0};
    csp_config config;
    uint32_t queries[QUERIES];
    uint8_t modalities[QUERIES];
    assert_ok(csp_config_init(&config));
    set_up(&f);
    f.tokens.spans = spans;
    f.tokens.n_spans = 1;
    start(&f);
    config.first_vote = KEYS - 6;

    assert_int_equal(csp__voting_rows(&f.window, &config, queries, modalities),
                     6);

    for (uint32_t i = 0; i < 6; i++)
        assert_int_equal(queries[i], QUERIES - 6 + i);
    assert_memory_equal(modalities, expected, sizeof expected);
    config.first_vote = KEYS;
    assert_int_equal(csp__voting_rows(&f.window, &config, queries, modalities),
                     0);
    free(f.memory);
}

TEST(row_lse_is_natural)
{
    const float lse[] = {1.0f, 2.0f};
    const csp__row row = {.head = 0, .query = 1};
    csp_attention a = {.lse = csp_tensor_packed(lse, CSP_F32, 1, 2, 1)};
    const csp__window window = {.attention = &a};

    assert_near(csp__row_lse(&window, &row), 2.0, 0.0);
    a.lse_unit = CSP_LSE_BASE2;
    assert_near(csp__row_lse(&window, &row), 2.0 * log(2.0), 1e-15);
    a.lse.data = NULL;
    assert_near(csp__row_lse(&window, &row), 0.0, 0.0);
}

TEST(check_window_refuses_queries_and_keys_that_disagree)
{
    set_up(&f);
    f.attention.keys.n_cols--;
    assert_status(csp__check_window(&f.attention, &f.tokens, false, &f.window),
                  CSP_E_SHAPE);
    set_up(&f);
    f.attention.keys.n_heads = 1;
    assert_status(csp__check_window(&f.attention, &f.tokens, false, &f.window),
                  CSP_E_SHAPE);
    set_up(&f);
    f.attention.keys.n_rows = KEYS - 1;
    assert_status(csp__check_window(&f.attention, &f.tokens, false, &f.window),
                  CSP_E_SHAPE);
    set_up(&f);
    f.attention.keys.n_cols = f.attention.queries.n_cols = 0;
    assert_status(csp__check_window(&f.attention, &f.tokens, false, &f.window),
                  CSP_E_SHAPE);
}

TEST(check_window_refuses_scale_and_softcap_that_are_no_numbers)
{
    const float wrong[] = {NAN, INFINITY, -INFINITY};

    for (size_t i = 0; i < COUNT(wrong); i++) {
        set_up(&f);
        f.attention.scale = wrong[i];
        assert_status(
            csp__check_window(&f.attention, &f.tokens, false, &f.window),
            CSP_E_CONFIG);
        set_up(&f);
        f.attention.softcap = wrong[i];
        assert_status(
            csp__check_window(&f.attention, &f.tokens, false, &f.window),
            CSP_E_CONFIG);
    }
    f.attention.softcap = -1.0f;
    assert_status(csp__check_window(&f.attention, &f.tokens, false, &f.window),
                  CSP_E_CONFIG);
}

TEST(check_window_refuses_tokens_beyond_the_counter)
{
    set_up(&f);
    f.attention.first_query = UINT32_MAX - QUERIES + 1;
    assert_status(csp__check_window(&f.attention, &f.tokens, false, &f.window),
                  CSP_E_OVERFLOW);
    f.attention.first_query--;
    assert_ok(csp__check_window(&f.attention, &f.tokens, false, &f.window));
}

TEST(check_window_refuses_more_rows_than_a_counter)
{
    set_up(&f);
    f.attention.first_query = 0;
    f.attention.queries.n_rows = 1u << 31;
    f.attention.queries.row_stride = f.attention.queries.head_stride = 0;

    assert_status(csp__check_window(&f.attention, &f.tokens, false, &f.window),
                  CSP_E_OVERFLOW);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            feed_computes_more_rows_than_a_tile_and_more_keys_than_a_chunk),
        cmocka_unit_test(feed_hands_out_the_rows_asked_for),
        cmocka_unit_test(feed_shows_every_key_when_full),
        cmocka_unit_test(feed_caps_logits),
        cmocka_unit_test(feed_widens_half_keys_and_queries),
        cmocka_unit_test(feed_takes_transposed_and_misaligned_keys),
        cmocka_unit_test(feed_gives_the_same_bits_in_place_and_widened),
        cmocka_unit_test(feed_reads_no_key_that_no_query_sees),
        cmocka_unit_test(feed_reads_no_row_beyond_the_keys),
        cmocka_unit_test(feed_with_blas_is_near),
        cmocka_unit_test(voting_rows_are_those_from_first_vote_on),
        cmocka_unit_test(row_lse_is_natural),
        cmocka_unit_test(check_window_refuses_queries_and_keys_that_disagree),
        cmocka_unit_test(
            check_window_refuses_scale_and_softcap_that_are_no_numbers),
        cmocka_unit_test(check_window_refuses_tokens_beyond_the_counter),
        cmocka_unit_test(check_window_refuses_more_rows_than_a_counter),
    };

    return RUN(tests);
}
