/*
 * test_report.c - what a selection kept
 */
#include "test.h"

static const csp_span spans[] = {{1, 3, 2}};

typedef struct fixture {
    float intra[8];
    float inter[8];
    uint32_t rows[4];
    uint32_t counts[2];
    uint32_t n_both[2];
    csp_importance importance;
    csp_tokens tokens;
    csp_kept kept;
    csp_report report;
} fixture;

/* Two heads of four rows. */
static void set_up(fixture *f)
{
    *f = (fixture){
        .intra = {1, 2, 3, 4, 10, 20, 30, 40},
        .inter = {8, 7, 6, 5, 80, 70, 60, 50},
        .rows = {0, 2, 3, 99},
        .counts = {2, 1},
        .n_both = {1, 0},
        .tokens = {.n_kv_heads = 2, .n_keys = 4, .spans = spans, .n_spans = 1}};
    f->importance =
        (csp_importance){.intra = f->intra, .inter = f->inter, .capacity = 4};
    f->kept = (csp_kept){.rows = f->rows,
                         .counts = f->counts,
                         .n_both = f->n_both,
                         .n_lists = 2,
                         .capacity = 2};
}

static csp_status add(fixture *f)
{
    return csp_report_add(&f->importance, &f->tokens, &f->kept, 10, &f->report);
}

static void refuse(fixture *f, csp_status status)
{
    const fixture before = *f;

    assert_status(add(f), status);

    assert_memory_equal(f, &before, sizeof before);
}

TEST(report_add_counts_rows_and_bytes)
{
    fixture f;
    set_up(&f);

    assert_ok(add(&f));

    assert_int_equal(f.report.n_heads, 2);
    assert_int_equal(f.report.n_keys, 8);
    assert_int_equal(f.report.n_kept, 3);
    assert_int_equal(f.report.n_both, 1);
    assert_int_equal(f.report.bytes_before, 80);
    assert_int_equal(f.report.bytes_after, 30);
}

TEST(report_add_counts_modalities)
{
    fixture f;
    set_up(&f);

    assert_ok(add(&f));

    assert_int_equal(f.report.keys_of_modality[0], 4);
    assert_int_equal(f.report.keys_of_modality[2], 4);
    assert_int_equal(f.report.kept_of_modality[0], 2);
    assert_int_equal(f.report.kept_of_modality[2], 1);
    assert_int_equal(f.report.keys_of_modality[1], 0);
}

TEST(report_add_sums_retained_mass)
{
    fixture f;
    set_up(&f);

    assert_ok(add(&f));

    assert_near(f.report.intra_total, 110, 0.0);
    assert_near(f.report.intra_kept, 1 + 3 + 40, 0.0);
    assert_near(f.report.inter_total, 286, 0.0);
    assert_near(f.report.inter_kept, 8 + 6 + 50, 0.0);
}

TEST(report_add_adds_up)
{
    fixture f;
    set_up(&f);

    assert_ok(add(&f));
    assert_ok(add(&f));

    assert_int_equal(f.report.n_heads, 4);
    assert_int_equal(f.report.n_both, 2);
    assert_int_equal(f.report.bytes_after, 60);
    assert_near(f.report.intra_kept, 88, 0.0);
}

TEST(report_add_applies_a_shared_list_to_every_head)
{
    fixture f;
    set_up(&f);
    f.kept.n_lists = 1;

    assert_ok(add(&f));

    assert_int_equal(f.report.n_kept, 4);
    assert_int_equal(f.report.n_both, 2);
    assert_near(f.report.intra_kept, 44, 0.0);
}

TEST(report_add_does_without_n_both)
{
    fixture f;
    set_up(&f);
    f.kept.n_both = NULL;

    assert_ok(add(&f));

    assert_int_equal(f.report.n_both, 0);
    assert_int_equal(f.report.n_kept, 3);
}

TEST(report_add_follows_positions_and_counts)
{
    const uint32_t positions[] = {0, 1, 9, 9, 2, 8, 9, 9};
    const uint32_t counts[] = {2, 1};
    uint32_t rows[] = {1, 0, 0, 0};
    fixture f;
    set_up(&f);
    f.tokens.n_tokens = 10;
    f.tokens.positions = positions;
    f.tokens.capacity = 4;
    f.tokens.counts = counts;
    f.counts[0] = 1;
    f.kept.rows = rows;

    assert_ok(add(&f));

    assert_int_equal(f.report.n_keys, 3);
    assert_int_equal(f.report.keys_of_modality[2], 2);
    assert_int_equal(f.report.kept_of_modality[2], 2);
    assert_near(f.report.intra_total, 1 + 2 + 10, 0.0);
}

TEST(report_add_of_no_keys_counts_heads)
{
    fixture f;
    set_up(&f);
    f.tokens = (csp_tokens){.n_kv_heads = 2};
    f.importance = (csp_importance){0};
    f.counts[0] = f.counts[1] = 0;
    f.kept.rows = NULL;
    f.kept.capacity = 0;

    assert_ok(add(&f));

    assert_int_equal(f.report.n_heads, 2);
    assert_int_equal(f.report.n_keys, 0);
}

TEST(report_add_refuses_null)
{
    fixture f;
    set_up(&f);
    assert_status(csp_report_add(NULL, &f.tokens, &f.kept, 1, &f.report),
                  CSP_E_NULL);
    assert_status(csp_report_add(&f.importance, NULL, &f.kept, 1, &f.report),
                  CSP_E_NULL);
    assert_status(csp_report_add(&f.importance, &f.tokens, NULL, 1, &f.report),
                  CSP_E_NULL);
    assert_status(csp_report_add(&f.importance, &f.tokens, &f.kept, 1, NULL),
                  CSP_E_NULL);
    f.importance.inter = NULL;
    refuse(&f, CSP_E_NULL);
    set_up(&f);
    f.kept.counts = NULL;
    refuse(&f, CSP_E_NULL);
    set_up(&f);
    f.kept.rows = NULL;
    refuse(&f, CSP_E_NULL);
}

TEST(report_add_refuses_bad_views)
{
    fixture f;
    set_up(&f);
    f.kept.n_lists = 3;
    refuse(&f, CSP_E_SHAPE);
    set_up(&f);
    f.tokens.n_tokens = 2;
    refuse(&f, CSP_E_SPAN);
    set_up(&f);
    f.rows[1] = 4;
    refuse(&f, CSP_E_INDEX);
    set_up(&f);
    f.rows[1] = 0;
    refuse(&f, CSP_E_INDEX);
    set_up(&f);
    f.importance.capacity = 3;
    refuse(&f, CSP_E_CAPACITY);
    set_up(&f);
    f.counts[0] = 3;
    refuse(&f, CSP_E_CAPACITY);
}

TEST(report_add_refuses_bytes_beyond_the_counter)
{
    fixture f;
    set_up(&f);
    f.report.bytes_before = UINT64_MAX - 79;
    refuse(&f, CSP_E_OVERFLOW);
    set_up(&f);
    f.report.bytes_after = UINT64_MAX - 29;
    refuse(&f, CSP_E_OVERFLOW);
    set_up(&f);
    f.report.bytes_after = UINT64_MAX - 30;
    assert_ok(add(&f));
    assert_true(f.report.bytes_after == UINT64_MAX);
    assert_status(csp_report_add(&f.importance, &f.tokens, &f.kept,
                                 UINT64_MAX / 8 + 1, &f.report),
                  CSP_E_OVERFLOW);
}

TEST(report_add_takes_tokens_of_no_size)
{
    fixture f;
    set_up(&f);
    f.report.bytes_before = UINT64_MAX;

    assert_ok(csp_report_add(&f.importance, &f.tokens, &f.kept, 0, &f.report));

    assert_true(f.report.bytes_before == UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(report_add_counts_rows_and_bytes),
        cmocka_unit_test(report_add_counts_modalities),
        cmocka_unit_test(report_add_sums_retained_mass),
        cmocka_unit_test(report_add_adds_up),
        cmocka_unit_test(report_add_applies_a_shared_list_to_every_head),
        cmocka_unit_test(report_add_does_without_n_both),
        cmocka_unit_test(report_add_follows_positions_and_counts),
        cmocka_unit_test(report_add_of_no_keys_counts_heads),
        cmocka_unit_test(report_add_refuses_null),
        cmocka_unit_test(report_add_refuses_bad_views),
        cmocka_unit_test(report_add_refuses_bytes_beyond_the_counter),
        cmocka_unit_test(report_add_takes_tokens_of_no_size),
    };

    return RUN(tests);
}
