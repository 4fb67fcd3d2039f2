/*
 * test_score.c - attention -> importance (E1, E2)
 *
 * Logits are logarithms of small numbers, so weights are fractions that can be
 * written down.
 */
#include "score_fixture.h"

/* ---- Values -------------------------------------------------------------- */

TEST(score_splits_weights_by_modality)
{
    fixture f;
    set_up(&f);

    assert_ok(score(&f));

    /* Row 2 (image) sees 1, 3, 6 of 11, row 3 (text) 1, 3, 6, 2 of 13, by two
     * heads. */
    const double intra[] = {2.0 / 13, 6.0 / 11, 12.0 / 11, 4.0 / 13, 0.0};
    const double inter[] = {2.0 / 11, 6.0 / 13, 12.0 / 13, 0.0, 0.0};
    for (size_t i = 0; i < 2 * COUNT(intra); i++) {
        assert_near(f.intra[i], intra[i % 5], 1e-6);
        assert_near(f.inter[i], inter[i % 5], 1e-6);
    }
}

TEST(score_counts_rows_that_see_a_key)
{
    fixture f;
    set_up(&f);

    assert_ok(score(&f));

    const float intra_rows[] = {1, 1, 1, 1, 0, 1, 1, 1, 1, 0};
    const float inter_rows[] = {1, 1, 1, 0, 0, 1, 1, 1, 0, 0};
    assert_floats(f.intra_rows, intra_rows);
    assert_floats(f.inter_rows, inter_rows);
}

TEST(score_leaves_value_norms_and_capacity_alone)
{
    fixture f;
    set_up(&f);
    for (size_t i = 0; i < 10; i++)
        f.value_norm[i] = (float)i;
    f.intra[4] = f.inter[4] = f.intra[9] = 17.0f; /* behind n_keys */

    assert_ok(score(&f));

    for (size_t i = 0; i < 10; i++)
        assert_near(f.value_norm[i], i, 0.0);
    assert_true(f.intra[4] == 17.0f && f.inter[4] == 17.0f &&
                f.intra[9] == 17.0f);
}

TEST(score_without_rows_is_the_same)
{
    fixture f, plain;
    set_up(&f);
    set_up(&plain);
    plain.importance.intra_rows = plain.importance.inter_rows = NULL;

    assert_ok(score(&f));
    assert_ok(score(&plain));

    assert_memory_equal(plain.intra, f.intra, sizeof f.intra);
    assert_true(plain.intra_rows[0] == 0.0f);
}

TEST(score_with_full_mask_sees_later_keys)
{
    fixture f;
    set_up(&f);
    f.attention.mask = CSP_FULL;
    f.config.n = 0.0;

    assert_ok(score(&f));

    assert_near(f.inter[3], 2 * 2.0 / 12, 1e-6);
    assert_near(f.inter_rows[3], 1.0, 0.0);
}

TEST(score_of_n_follows_the_equation)
{
    const double ns[] = {0.0, 1e-6, 0.5, 4.0, 1e10, 1e30};

    for (size_t i = 0; i < COUNT(ns); i++) {
        fixture f;
        set_up(&f);
        f.config.n = ns[i];
        assert_ok(score(&f));
        assert_near(f.intra[3], 4.0 / (12.0 + ns[i]), 1e-6);
    }
}

TEST(score_adds_chunks)
{
    fixture whole, parts;
    set_up(&whole);
    set_up(&parts);
    parts.attention.scores.n_rows = 1;

    assert_ok(score(&whole));
    assert_ok(score(&parts));
    parts.attention.scores.data = parts.numbers + COLS;
    parts.attention.first_query++;
    assert_ok(score(&parts));

    for (size_t i = 0; i < 10; i++) {
        assert_near(parts.intra[i], whole.intra[i], 1e-6);
        assert_near(parts.inter[i], whole.inter[i], 1e-6);
    }
    assert_memory_equal(parts.intra_rows, whole.intra_rows,
                        sizeof whole.intra_rows);
}

TEST(score_lets_only_rows_from_first_vote_on_vote)
{
    fixture f;
    set_up(&f);
    f.numbers[1] = NAN; /* row 2 of head 0 is not even read */
    f.config.first_vote = 3;

    assert_ok(score(&f));

    assert_near(f.intra[1], 0.0, 0.0);
    assert_near(f.inter[1], 6.0 / 13, 1e-6);
    assert_near(f.inter_rows[0], 0.0, 0.0);
}

TEST(score_without_spans_is_intra_alone)
{
    fixture f;
    set_up(&f);
    f.tokens.n_spans = 0;

    assert_ok(score(&f));

    assert_near(f.intra[0], 2.0 / 11 + 2.0 / 13, 1e-6);
    assert_near(f.intra[3], 4.0 / 13, 1e-6); /* only the longer rows */
    for (size_t i = 0; i < 10; i++)
        assert_true(f.inter[i] == 0.0f);
}

TEST(score_of_one_image_is_intra_alone)
{
    const csp_span whole[] = {{0, 4, 15}};
    fixture f;
    set_up(&f);
    f.tokens.spans = whole;

    assert_ok(score(&f));

    assert_true(f.intra[0] > 0.0f && f.inter[0] == 0.0f);
}

TEST(score_takes_rows_of_many_scales)
{
    static const float shifts[] = {0.0f,    12.0f,    -12.0f, 90.0f, -90.0f,
                                   5000.0f, -5000.0f, 1e6f,   -1e6f, 0.0f};

    for (size_t a = 0; a < COUNT(shifts); a++)
        for (size_t b = 0; b < COUNT(shifts); b++) {
            fixture f;
            set_up(&f);
            f.config.n = 0.0;
            f.attention.mask = CSP_FULL;
            f.tokens.n_spans = 0;
            for (size_t i = 0; i < COUNT(f.numbers); i++) {
                const size_t row = i / COLS % QUERIES;
                f.numbers[i] =
                    shifts[row != 0 ? b : a] + (float)(i % COLS) * 0.5f;
            }
            assert_ok(score(&f));
            const double sum = 1.0 + exp(0.5) + exp(1.0) + exp(1.5);
            for (size_t j = 0; j < KEYS; j++)
                assert_near(f.intra[j], 4.0 * exp(0.5 * (double)j) / sum, 1e-6);
        }
}

TEST(score_with_a_sink_is_the_same_in_any_order_of_rows)
{
    static const float rows[] = {-100.0f, -50.0f, -90.0f, 60.0f, -40.0f, 0.0f};
    static const double ns[] = {1.0, 1e-30, 1e20, 1e44};

    for (size_t i = 0; i < COUNT(ns); i++)
        for (size_t a = 0; a < COUNT(rows); a++)
            for (size_t b = 0; b < COUNT(rows); b++) {
                fixture f;
                set_up(&f);
                f.config.n = ns[i];
                f.attention.mask = CSP_FULL;
                f.tokens.n_spans = 0;
                for (size_t at = 0; at < COUNT(f.numbers); at++)
                    f.numbers[at] =
                        at / COLS % QUERIES != 0 ? rows[b] : rows[a];
                assert_ok(score(&f));
                const double x = exp((double)rows[a]);
                const double y = exp((double)rows[b]);
                const double expected = x / (ns[i] + KEYS * x) +
                                        (QUERIES - 1) * y / (ns[i] + KEYS * y);
                const double got = (double)f.intra[0] / (HEADS / KV_HEADS);
                assert_true(fabs(got - expected) <=
                            3e-6 * expected + QUERIES * 0x1p-125);
            }
}

TEST(score_keeps_small_weights_under_any_scale)
{
    fixture f;
    set_up(&f);
    f.config.n = 0.0;
    f.attention.mask = CSP_FULL;
    f.tokens.n_spans = 0;
    for (size_t i = 0; i < COUNT(f.numbers); i++)
        f.numbers[i] = i % COLS == 0 ? -27.0f : -90.0f;

    assert_ok(score(&f));

    assert_near(f.intra[1], 4.0 * exp(-63.0), 5e-6);
}

TEST(score_of_long_row_is_within_its_bound)
{
    enum { LONG = 32768 };
    static float row[LONG], intra[LONG], inter[LONG];
    static unsigned char workspace[8 * LONG * sizeof(float)];
    const csp_tokens tokens = {.n_kv_heads = 1, .n_keys = LONG};
    const csp_attention a = {.mask = CSP_FULL,
                             .scores =
                                 csp_tensor_packed(row, CSP_F32, 1, 1, LONG)};
    const csp_importance importance = {
        .intra = intra, .inter = inter, .capacity = LONG};
    csp_config config;
    double sum = 1.0;
    assert_ok(csp_config_init(&config));
    memset(intra, 0, sizeof intra);
    for (size_t i = 1; i < LONG;
         i++) { /* a sink, and many keys that share the rest */
        row[i] = -16.7f;
        sum += exp((double)row[i]);
    }

    assert_ok(csp_score(&a, &tokens, &config, workspace, sizeof workspace,
                        &importance));

    assert_near(intra[0], 1.0 / (1.0 + sum), 3e-6);
}

/* ---- BLAS ---------------------------------------------------------------- */

TEST(score_by_blas_sums_is_near)
{
    fixture f, expected;
    set_up(&expected);
    assert_ok(score(&expected));
    set_up(&f);
    f.config.compute.column_sums = CSP_PATH_BLAS;
    if (!csp_has_blas()) {
        refuse(&f, CSP_E_UNSUPPORTED);
        return;
    }

    assert_ok(score(&f));

    for (size_t i = 0; i < 10; i++) {
        assert_near(f.intra[i], expected.intra[i], 1e-6);
        assert_near(f.inter[i], expected.inter[i], 1e-6);
    }
    f.numbers[0] = NAN;
    assert_status(score(&f), CSP_E_NOT_FINITE);
}

TEST(score_by_blas_sums_takes_more_rows_than_a_tile)
{
    enum { ROWS = 37 };
    float row[3] = {0.0f}, intra[3] = {0.0f}, inter[3] = {0.0f};
    unsigned char workspace[4096];
    const csp_tokens tokens = {.n_kv_heads = 1, .n_keys = 3};
    const csp_importance importance = {
        .intra = intra, .inter = inter, .capacity = 3};
    csp_attention a = {.mask = CSP_FULL,
                       .scores = csp_tensor_packed(row, CSP_F32, 1, ROWS, 3)};
    csp_config config;
    a.scores.row_stride = 0;
    assert_ok(csp_config_init(&config));
    config.compute.column_sums = CSP_PATH_BLAS;
    if (!csp_has_blas())
        skip();

    assert_ok(csp_score(&a, &tokens, &config, workspace, sizeof workspace,
                        &importance));

    assert_near(intra[1], ROWS / 4.0, 1e-6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(score_splits_weights_by_modality),
        cmocka_unit_test(score_counts_rows_that_see_a_key),
        cmocka_unit_test(score_leaves_value_norms_and_capacity_alone),
        cmocka_unit_test(score_without_rows_is_the_same),
        cmocka_unit_test(score_with_full_mask_sees_later_keys),
        cmocka_unit_test(score_of_n_follows_the_equation),
        cmocka_unit_test(score_adds_chunks),
        cmocka_unit_test(score_lets_only_rows_from_first_vote_on_vote),
        cmocka_unit_test(score_without_spans_is_intra_alone),
        cmocka_unit_test(score_of_one_image_is_intra_alone),
        cmocka_unit_test(score_takes_rows_of_many_scales),
        cmocka_unit_test(score_with_a_sink_is_the_same_in_any_order_of_rows),
        cmocka_unit_test(score_keeps_small_weights_under_any_scale),
        cmocka_unit_test(score_of_long_row_is_within_its_bound),
        cmocka_unit_test(score_by_blas_sums_is_near),
        cmocka_unit_test(score_by_blas_sums_takes_more_rows_than_a_tile),
    };

    return RUN(tests);
}
