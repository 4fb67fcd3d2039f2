/*
 * test_tokens.c - spans, positions, kept lists, causal prefixes
 */
#include "test.h"

#include "tokens.h"

/* Tokens 2..4 and 6 of 8 are images. */
static const csp_span spans[] = {{2, 4, 1}, {4, 5, 2}, {6, 7, 15}};
static const uint8_t modalities[] = {0, 0, 1, 1, 2, 0, 15, 0};

static csp_tokens plain(void)
{
    return (csp_tokens){
        .n_kv_heads = 2, .n_keys = 8, .spans = spans, .n_spans = COUNT(spans)};
}

/* ---- Checks -------------------------------------------------------------- */

TEST(check_tokens_takes_touching_and_empty_spans)
{
    const csp_span odd[] = {{0, 0, 3}, {0, 8, 1}, {8, 8, 2}};
    csp_tokens t = plain();

    assert_ok(csp__check_tokens(&t));
    t.spans = odd;
    assert_ok(csp__check_tokens(&t));
}

TEST(check_tokens_takes_no_keys)
{
    const csp_tokens t = {.n_kv_heads = 1};

    assert_ok(csp__check_tokens(&t));
}

static void refuse_span(csp_span first, csp_span second, csp_status status)
{
    const csp_span two[] = {first, second};
    csp_tokens t = plain();

    t.spans = two;
    t.n_spans = 2;

    assert_status(csp__check_tokens(&t), status);
}

TEST(check_tokens_refuses_spans_that_overlap)
{
    refuse_span((csp_span){0, 3, 1}, (csp_span){2, 5, 2}, CSP_E_SPAN);
}

TEST(check_tokens_refuses_spans_out_of_order)
{
    refuse_span((csp_span){4, 5, 1}, (csp_span){1, 2, 1}, CSP_E_SPAN);
}

TEST(check_tokens_refuses_spans_that_end_before_they_begin)
{
    refuse_span((csp_span){0, 1, 1}, (csp_span){5, 4, 1}, CSP_E_SPAN);
}

TEST(check_tokens_refuses_spans_out_of_range)
{
    refuse_span((csp_span){0, 1, 1}, (csp_span){5, 9, 1}, CSP_E_SPAN);
}

TEST(check_tokens_refuses_unknown_modality)
{
    refuse_span((csp_span){0, 1, 1}, (csp_span){5, 6, 16}, CSP_E_SPAN);
}

TEST(check_tokens_refuses_null_spans)
{
    csp_tokens t = plain();

    t.spans = NULL;
    assert_status(csp__check_tokens(&t), CSP_E_NULL);
    t.n_spans = 0;
    assert_ok(csp__check_tokens(&t));
}

TEST(check_tokens_measures_spans_by_the_sequence)
{
    csp_tokens t = plain();

    t.n_keys = 4; /* pruned: the sequence is still 8 tokens long */
    assert_status(csp__check_tokens(&t), CSP_E_SPAN);
    t.n_tokens = 8;
    assert_ok(csp__check_tokens(&t));
}

TEST(check_tokens_refuses_no_heads)
{
    csp_tokens t = plain();

    t.n_kv_heads = 0;

    assert_status(csp__check_tokens(&t), CSP_E_SHAPE);
}

TEST(check_tokens_refuses_counts_beyond_keys)
{
    const uint32_t counts[] = {8, 9};
    csp_tokens t = plain();

    t.counts = counts;

    assert_status(csp__check_tokens(&t), CSP_E_SHAPE);
}

TEST(check_tokens_reads_positions_of_rows_in_use_only)
{
    const uint32_t positions[] = {0, 3, 1, 0, 7, 9, 10, 0};
    const uint32_t counts[] = {2, 3};
    const uint32_t unordered[] = {2, 4};
    csp_tokens t = {.n_kv_heads = 2,
                    .n_keys = 4,
                    .counts = counts,
                    .positions = positions,
                    .capacity = 4};

    assert_ok(csp__check_tokens(&t));
    t.counts = unordered;
    assert_status(csp__check_tokens(&t), CSP_E_INDEX);
    t.counts = NULL;
    assert_status(csp__check_tokens(&t), CSP_E_INDEX);
}

TEST(check_tokens_takes_every_token_but_the_last_number)
{
    uint32_t positions[] = {7, UINT32_MAX - 1};
    const csp_tokens t = {
        .n_kv_heads = 1, .n_keys = 2, .positions = positions, .capacity = 2};

    assert_ok(csp__check_tokens(&t));
    positions[1] = UINT32_MAX;
    assert_status(csp__check_tokens(&t), CSP_E_INDEX);
}

TEST(check_tokens_refuses_positions_with_little_room)
{
    const uint32_t positions[] = {0, 1, 2, 3};
    csp_tokens t = {
        .n_kv_heads = 1, .n_keys = 4, .positions = positions, .capacity = 3};

    assert_status(csp__check_tokens(&t), CSP_E_CAPACITY);
    t.capacity = 4;
    assert_ok(csp__check_tokens(&t));
}

TEST(check_rows_wants_them_ascending_and_in_range)
{
    const uint32_t good[] = {0, 2, 5};
    const uint32_t twice[] = {0, 2, 2};
    const uint32_t down[] = {3, 2, 5};

    assert_ok(csp__check_rows(good, 3, 6));
    assert_status(csp__check_rows(good, 3, 5), CSP_E_INDEX);
    assert_status(csp__check_rows(twice, 3, 6), CSP_E_INDEX);
    assert_status(csp__check_rows(down, 3, 6), CSP_E_INDEX);
    assert_status(csp__check_rows(NULL, 1, 6), CSP_E_NULL);
    assert_ok(csp__check_rows(NULL, 0, 0));
}

static uint32_t rows[] = {0, 3, 1, 7};
static uint32_t counts[] = {2, 2};

static csp_kept two_lists(void)
{
    return (csp_kept){
        .rows = rows, .counts = counts, .n_lists = 2, .capacity = 2};
}

TEST(check_kept_takes_a_list_a_head_or_one_for_all)
{
    const csp_tokens t = plain();
    csp_kept kept = two_lists();

    assert_ok(csp__check_kept(&kept, &t));
    kept.n_lists = 1;
    assert_ok(csp__check_kept(&kept, &t));
    kept.n_lists = 3;
    assert_status(csp__check_kept(&kept, &t), CSP_E_SHAPE);
}

TEST(check_kept_refuses_null)
{
    const csp_tokens t = plain();
    csp_kept kept = two_lists();

    kept.rows = NULL;
    assert_status(csp__check_kept(&kept, &t), CSP_E_NULL);
    kept = two_lists();
    kept.counts = NULL;
    assert_status(csp__check_kept(&kept, &t), CSP_E_NULL);
}

TEST(check_kept_refuses_counts_beyond_capacity)
{
    const csp_tokens t = plain();
    csp_kept kept = two_lists();

    kept.capacity = 1;

    assert_status(csp__check_kept(&kept, &t), CSP_E_CAPACITY);
}

TEST(check_kept_measures_a_list_by_the_rows_of_its_head)
{
    const uint32_t in_use[] = {8, 7};
    csp_tokens t = plain();
    const csp_kept kept = two_lists();

    t.counts = in_use;

    assert_status(csp__check_kept(&kept, &t), CSP_E_INDEX);
}

/* ---- Modalities and masks ------------------------------------------------ */

TEST(modality_of_token_outside_spans_is_text)
{
    const csp_tokens t = plain();

    for (uint32_t i = 0; i < COUNT(modalities); i++)
        assert_int_equal(csp__modality_of(&t, i), modalities[i]);
    assert_int_equal(csp__modality_of(&t, UINT32_MAX), 0);
}

TEST(modality_of_token_skips_empty_spans)
{
    const csp_span empty[] = {{1, 1, 3}, {1, 2, 1}, {2, 2, 4}};
    csp_tokens t = plain();

    t.spans = empty;

    assert_int_equal(csp__modality_of(&t, 1), 1);
    assert_int_equal(csp__modality_of(&t, 2), 0);
}

/* Modalities of a head's rows by its runs, which must follow one another. */
static uint32_t walk_runs(const csp_tokens *t, uint32_t g, uint8_t *got)
{
    csp__run run = {0};
    uint32_t n = 0;

    while (csp__next_run(t, g, &run)) {
        assert_int_equal(run.begin, n);
        assert_true(run.end > run.begin);
        for (; n < run.end; n++)
            got[n] = (uint8_t)run.modality;
    }
    return n;
}

TEST(runs_have_the_modalities_of_their_tokens)
{
    csp_tokens t = plain();
    uint8_t got[8];

    assert_int_equal(walk_runs(&t, 0, got), 8);

    assert_memory_equal(got, modalities, sizeof got);
}

TEST(runs_follow_positions_of_the_head)
{
    const uint32_t positions[] = {0, 1, 2, 4, 6, 7};
    const uint8_t expected[] = {2, 15, 0};
    csp_tokens t = plain();
    uint8_t got[3];
    t.n_tokens = 8;
    t.n_keys = 3;
    t.positions = positions;
    t.capacity = 3;

    assert_int_equal(walk_runs(&t, 1, got), 3);

    assert_memory_equal(got, expected, sizeof got);
}

TEST(runs_end_with_the_rows_in_use)
{
    const uint32_t in_use[] = {0, 3};
    csp_tokens t = plain();
    uint8_t got[8];
    t.counts = in_use;

    assert_int_equal(walk_runs(&t, 0, got), 0);
    assert_int_equal(walk_runs(&t, 1, got), 3);

    assert_memory_equal(got, modalities, 3);
}

TEST(runs_get_over_empty_spans)
{
    const csp_span empty[] = {{1, 1, 3}, {1, 2, 1}, {2, 2, 4}, {5, 5, 2}};
    const uint8_t expected[] = {0, 1, 0, 0, 0, 0, 0, 0};
    csp_tokens t = plain();
    uint8_t got[8];
    t.spans = empty;
    t.n_spans = COUNT(empty);

    assert_int_equal(walk_runs(&t, 0, got), 8);

    assert_memory_equal(got, expected, sizeof got);
}

TEST(visible_is_causal_up_to_the_own_token)
{
    const csp_tokens t = plain();

    assert_int_equal(csp__visible(&t, 0, CSP_CAUSAL, 0), 1);
    assert_int_equal(csp__visible(&t, 0, CSP_CAUSAL, 6), 7);
    assert_int_equal(csp__visible(&t, 0, CSP_CAUSAL, 7), 8);
    assert_int_equal(csp__visible(&t, 0, CSP_CAUSAL, 8), 8);
    assert_int_equal(csp__visible(&t, 0, CSP_CAUSAL, UINT32_MAX), 8);
}

TEST(visible_is_everything_in_use_when_full)
{
    const uint32_t in_use[] = {8, 5};
    csp_tokens t = plain();

    t.counts = in_use;

    assert_int_equal(csp__visible(&t, 0, CSP_FULL, 0), 8);
    assert_int_equal(csp__visible(&t, 1, CSP_FULL, 0), 5);
    assert_int_equal(csp__visible(&t, 1, CSP_CAUSAL, 6), 5);
}

TEST(visible_counts_positions_not_rows)
{
    const uint32_t positions[] = {5, 6, 9, 1, 5, 8};
    csp_tokens t = {.n_kv_heads = 2,
                    .n_keys = 3,
                    .n_tokens = 10,
                    .positions = positions,
                    .capacity = 3};

    assert_int_equal(csp__visible(&t, 0, CSP_CAUSAL, 4), 0);
    assert_int_equal(csp__visible(&t, 0, CSP_CAUSAL, 6), 2);
    assert_int_equal(csp__visible(&t, 0, CSP_CAUSAL, 9), 3);
    assert_int_equal(csp__visible(&t, 1, CSP_CAUSAL, 4), 1);
    assert_int_equal(csp__visible(&t, 1, CSP_FULL, 0), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(check_tokens_takes_touching_and_empty_spans),
        cmocka_unit_test(check_tokens_takes_no_keys),
        cmocka_unit_test(check_tokens_refuses_spans_that_overlap),
        cmocka_unit_test(check_tokens_refuses_spans_out_of_order),
        cmocka_unit_test(check_tokens_refuses_spans_that_end_before_they_begin),
        cmocka_unit_test(check_tokens_refuses_spans_out_of_range),
        cmocka_unit_test(check_tokens_refuses_unknown_modality),
        cmocka_unit_test(check_tokens_refuses_null_spans),
        cmocka_unit_test(check_tokens_measures_spans_by_the_sequence),
        cmocka_unit_test(check_tokens_refuses_no_heads),
        cmocka_unit_test(check_tokens_refuses_counts_beyond_keys),
        cmocka_unit_test(check_tokens_reads_positions_of_rows_in_use_only),
        cmocka_unit_test(check_tokens_takes_every_token_but_the_last_number),
        cmocka_unit_test(check_tokens_refuses_positions_with_little_room),
        cmocka_unit_test(check_rows_wants_them_ascending_and_in_range),
        cmocka_unit_test(check_kept_takes_a_list_a_head_or_one_for_all),
        cmocka_unit_test(check_kept_refuses_null),
        cmocka_unit_test(check_kept_refuses_counts_beyond_capacity),
        cmocka_unit_test(check_kept_measures_a_list_by_the_rows_of_its_head),
        cmocka_unit_test(modality_of_token_outside_spans_is_text),
        cmocka_unit_test(modality_of_token_skips_empty_spans),
        cmocka_unit_test(runs_have_the_modalities_of_their_tokens),
        cmocka_unit_test(runs_follow_positions_of_the_head),
        cmocka_unit_test(runs_end_with_the_rows_in_use),
        cmocka_unit_test(runs_get_over_empty_spans),
        cmocka_unit_test(visible_is_causal_up_to_the_own_token),
        cmocka_unit_test(visible_is_everything_in_use_when_full),
        cmocka_unit_test(visible_counts_positions_not_rows),
    };

    return RUN(tests);
}
