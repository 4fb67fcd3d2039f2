/*
 * test_score_views.c - what csp_score reads: masks, probabilities, layouts
 */
#include "score_fixture.h"

/* ---- Masks --------------------------------------------------------------- */

TEST(score_takes_every_kind_of_mask)
{
    const float masks[] = {-INFINITY, -FLT_MAX, -1e30f, -3e38f};

    for (size_t i = 0; i < COUNT(masks); i++) {
        fixture f;
        set_up(&f);
        for (size_t row = 0; row < HEADS * QUERIES; row++)
            f.numbers[row * COLS + 1] = masks[i];
        assert_ok(score(&f));
        assert_true(f.intra[1] == 0.0f && f.inter[1] == 0.0f);
        assert_near(f.intra[0], 2.0 / 10, 1e-6);
    }
}

TEST(score_of_fully_masked_rows_is_zero)
{
    const float masks[] = {-INFINITY, -FLT_MAX, -1e30f};
    const double ns[] = {0.0, 1.0};

    for (size_t i = 0; i < COUNT(masks); i++)
        for (size_t n = 0; n < COUNT(ns); n++) {
            fixture f;
            set_up(&f);
            f.config.n = ns[n];
            for (size_t j = 0; j < COUNT(f.numbers); j++)
                f.numbers[j] = masks[i];
            assert_ok(score(&f));
            for (size_t j = 0; j < 10; j++)
                assert_true(f.intra[j] == 0.0f && f.inter[j] == 0.0f);
        }
}

TEST(score_of_one_masked_row_leaves_the_others)
{
    for (size_t masked = 0; masked < HEADS * QUERIES; masked++) {
        const bool text = masked % QUERIES == 1;
        const size_t at = 5 * (masked / 4); /* of its KV head */
        fixture f;
        set_up(&f);
        for (size_t j = 0; j < KEYS; j++)
            f.numbers[masked * COLS + j] = -INFINITY;
        assert_ok(score(&f));
        assert_near(f.intra[at], (text ? 1 : 2) / 13.0, 1e-6);
        assert_near(f.inter[at + 1], (text ? 3 : 6) / 13.0, 1e-6);
        assert_near(f.intra[at + 1], (text ? 6 : 3) / 11.0, 1e-6);
        assert_near(f.inter[at], (text ? 2 : 1) / 11.0, 1e-6);
    }
}

TEST(score_of_lowest_half_is_masked)
{
    uint16_t halves[HEADS * QUERIES * COLS];
    fixture f;
    set_up(&f);
    for (size_t i = 0; i < COUNT(halves); i++)
        halves[i] = i % COLS == 1 ? 0xfbff : csp__to_f16(0.0f);
    f.attention.scores =
        csp_tensor_packed(halves, CSP_F16, HEADS, QUERIES, COLS);

    assert_ok(score(&f));

    assert_true(f.intra[1] == 0.0f);
    assert_near(f.intra[0], 2.0 / 4, 1e-6);
}

TEST(score_of_halves_accumulates_in_float)
{
    enum { ROWS = 3000 };
    static uint16_t zeros[ROWS * 2];
    float intra[2] = {0.0f}, inter[2] = {0.0f};
    static unsigned char workspace[ROWS * 16];
    const csp_tokens tokens = {.n_kv_heads = 1, .n_keys = 2};
    const csp_importance importance = {
        .intra = intra, .inter = inter, .capacity = 2};
    csp_config config;
    assert_ok(csp_config_init(&config));
    config.n =
        2.0; /* weights 1/4: in f16 their sum sticks at 512, in bf16 at 64 */

    for (int dtype = CSP_F16; dtype <= CSP_BF16; dtype++) {
        const csp_attention a = {
            .mask = CSP_FULL,
            .scores = csp_tensor_packed(zeros, (csp_dtype)dtype, 1, ROWS, 2)};
        intra[0] = intra[1] = 0.0f;
        assert_ok(csp_score(&a, &tokens, &config, workspace, sizeof workspace,
                            &importance));
        assert_near(intra[0], ROWS / 4.0, 0.0);
    }
}

/* ---- Probabilities ------------------------------------------------------- */

static void set_up_probabilities(fixture *f)
{
    set_up(f);
    f->attention.source = CSP_PROBABILITIES;
    f->attention.mask = CSP_FULL;
    for (size_t i = 0; i < COUNT(f->numbers); i++) {
        const float row[COLS] = {0.125f, 0.25f, 0.5f, 0.125f, NAN, NAN};
        f->numbers[i] = row[i % COLS];
    }
    for (size_t i = 0; i < COUNT(f->lse); i++)
        f->lse[i] = logf(2.0f);
    f->attention.lse = csp_tensor_packed(f->lse, CSP_F32, HEADS, QUERIES, 1);
}

TEST(score_of_probabilities_applies_n_by_lse)
{
    fixture f;
    set_up_probabilities(&f);

    assert_ok(score(&f)); /* n = 1: 1 / (1 + 1/2) */

    assert_near(f.intra[2], 2 * 0.5 / 1.5, 1e-6);
    f.attention.lse_unit = CSP_LSE_BASE2;
    memset(f.intra, 0, sizeof f.intra);
    for (size_t i = 0; i < COUNT(f.lse); i++)
        f.lse[i] = 1.0f;
    assert_ok(score(&f));
    assert_near(f.intra[2], 2 * 0.5 / 1.5, 1e-6);
}

TEST(score_of_probabilities_without_lse_are_the_weights)
{
    fixture f;
    set_up_probabilities(&f);
    f.attention.lse.data = NULL;
    f.config.n = 0.0;

    assert_ok(score(&f));

    assert_near(f.intra[2], 1.0, 0.0);
    assert_near(f.inter[0], 0.25, 0.0);
}

TEST(score_of_probabilities_with_lse_of_nothing_is_zero)
{
    fixture f;
    set_up_probabilities(&f);
    for (size_t i = 0; i < COUNT(f.lse); i++)
        f.lse[i] = -INFINITY;

    assert_ok(score(&f));

    assert_true(f.intra[2] == 0.0f);
}

TEST(score_refuses_n_for_probabilities_without_lse)
{
    fixture f;
    set_up_probabilities(&f);

    f.attention.lse.data = NULL;

    refuse(&f, CSP_E_CONFIG);
}

TEST(score_refuses_bad_lse)
{
    fixture f;
    set_up_probabilities(&f);
    f.attention.lse.dtype = CSP_F16;
    refuse(&f, CSP_E_DTYPE);
    set_up_probabilities(&f);
    f.attention.lse.n_rows = 1;
    refuse(&f, CSP_E_SHAPE);
    set_up_probabilities(&f);
    f.attention.lse.n_cols = 2;
    refuse(&f, CSP_E_SHAPE);
    set_up_probabilities(&f);
    f.attention.lse.row_stride = 2;
    refuse(&f, CSP_E_STRIDE);
    set_up_probabilities(&f);
    f.attention.lse_unit = (csp_lse_unit)2;
    refuse(&f, CSP_E_CONFIG);
}

TEST(score_names_lse_and_probabilities_that_are_no_numbers)
{
    const float wrong[] = {NAN, INFINITY};

    for (size_t i = 0; i < COUNT(wrong); i++) {
        fixture f;
        set_up_probabilities(&f);
        f.lse[7] = wrong[i];
        assert_status(score(&f), CSP_E_NOT_FINITE);
        set_up_probabilities(&f);
        f.numbers[COLS + 3] = wrong[i];
        assert_status(score(&f), CSP_E_NOT_FINITE);
    }
}

/* ---- Layouts ------------------------------------------------------------- */

TEST(score_reads_nothing_beyond_the_keys)
{
    fixture f;
    set_up(&f);
    guarded view = guard(f.numbers, sizeof f.numbers -
                                        (COLS - KEYS) * sizeof f.numbers[0]);
    f.attention.scores.data = view.data;

    assert_ok(score(&f));

    unguard(&view);
}

TEST(score_reads_nothing_in_the_causal_future)
{
    fixture f, expected;
    set_up(&f);
    for (size_t row = 0; row < HEADS * QUERIES; row += 2)
        f.numbers[row * COLS + 3] = NAN;
    set_up(&expected);

    assert_ok(score(&f));
    assert_ok(score(&expected));
    assert_memory_equal(f.intra, expected.intra, sizeof f.intra);
    guarded one = guard(f.numbers, 3 * sizeof(float));
    f.attention.scores =
        csp_tensor_packed(one.data, CSP_F32, KV_HEADS, 1, KEYS);
    f.attention.scores.head_stride = 0;

    assert_ok(
        score(&f)); /* token 2 of 4: its last key lies in the guard page */
    unguard(&one);
}

TEST(score_takes_any_alignment_and_strides)
{
    fixture f, expected;
    unsigned char bytes[HEADS * QUERIES * COLS * 4 + 1];
    set_up(&expected);
    assert_ok(score(&expected));
    set_up(&f);
    for (size_t h = 0; h < HEADS; h++)
        for (size_t r = 0; r < QUERIES; r++) /* [query][head][key] */
            memcpy(bytes + 1 + 4 * (r * HEADS + h) * COLS,
                   f.numbers + (h * QUERIES + r) * COLS, 4 * COLS);
    f.attention.scores.data = bytes + 1;
    f.attention.scores.head_stride = 4 * COLS;
    f.attention.scores.row_stride = 4 * COLS * HEADS;

    assert_ok(score(&f));

    assert_memory_equal(f.intra, expected.intra, sizeof f.intra);
    assert_memory_equal(f.inter, expected.inter, sizeof f.inter);
}

TEST(score_follows_positions_and_counts)
{
    const uint32_t positions[] = {0, 2, 9, 1, 2, 3};
    const uint32_t counts[] = {2, 3};
    fixture f;
    set_up(&f);
    f.tokens.n_tokens = 10;
    f.tokens.n_keys = 3;
    f.tokens.positions = positions;
    f.tokens.capacity = 3;
    f.tokens.counts = counts;

    assert_ok(score(&f));

    /* Head 0 holds tokens 0 and 2, of weight 1 and 3; head 1 holds 1, 2, 3. */
    assert_near(f.intra[0], 2.0 / 5, 1e-6);
    assert_near(f.intra[1], 6.0 / 5, 1e-6);
    assert_near(f.intra[2], 0.0, 0.0);
    assert_near(f.intra[5], 2.0 / 5, 1e-6);
    assert_near(f.intra[7], 12.0 / 11, 1e-6); /* token 3: text sees 1, 3, 6 */
    assert_near(f.inter[7], 0.0, 0.0);
}

TEST(score_of_nothing_is_nothing)
{
    fixture f;
    set_up(&f);
    f.attention.scores.n_rows = 0;
    assert_ok(score(&f));
    assert_true(f.intra[0] == 0.0f && f.intra_rows[0] == 0.0f);
    set_up(&f);
    f.tokens.n_keys = 0;
    f.tokens.n_spans = 0;
    f.attention.scores.data = NULL;
    f.importance = (csp_importance){0};
    assert_ok(score(&f));
}

TEST(score_of_heads_without_rows_is_zero)
{
    const uint32_t counts[] = {0, 4};
    fixture f;
    set_up(&f);
    f.tokens.counts = counts;

    assert_ok(score(&f));

    assert_true(f.intra[0] == 0.0f && f.intra_rows[0] == 0.0f &&
                f.intra[5] > 0.0f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(score_takes_every_kind_of_mask),
        cmocka_unit_test(score_of_fully_masked_rows_is_zero),
        cmocka_unit_test(score_of_one_masked_row_leaves_the_others),
        cmocka_unit_test(score_of_lowest_half_is_masked),
        cmocka_unit_test(score_of_halves_accumulates_in_float),
        cmocka_unit_test(score_of_probabilities_applies_n_by_lse),
        cmocka_unit_test(score_of_probabilities_without_lse_are_the_weights),
        cmocka_unit_test(score_of_probabilities_with_lse_of_nothing_is_zero),
        cmocka_unit_test(score_refuses_n_for_probabilities_without_lse),
        cmocka_unit_test(score_refuses_bad_lse),
        cmocka_unit_test(score_names_lse_and_probabilities_that_are_no_numbers),
        cmocka_unit_test(score_reads_nothing_beyond_the_keys),
        cmocka_unit_test(score_reads_nothing_in_the_causal_future),
        cmocka_unit_test(score_takes_any_alignment_and_strides),
        cmocka_unit_test(score_follows_positions_and_counts),
        cmocka_unit_test(score_of_nothing_is_nothing),
        cmocka_unit_test(score_of_heads_without_rows_is_zero),
    };

    return RUN(tests);
}
