/*
 * test_correct_summary.c - attention outputs corrected by a summary (E11)
 *
 * Compared with the formula in double, from the Gaussian that the summary
 * describes; and, of tokens that are Gaussian, with attention to all of them.
 */
#include "correct_summary_fixture.h"

/* ---- The formula --------------------------------------------------------- */

TEST(correct_summary_follows_the_formula)
{
    for (uint32_t rank = 0; rank <= KEY_DIM; rank++) {
        fixture *f = set_up(CSP_F32, rank);
        assert_ok(correct(f, f->corrected));
        assert_corrected(f, f->corrected);
    }
}

TEST(correct_summary_takes_halves_as_summary)
{
    for (int dtype = CSP_F16; dtype <= CSP_BF16; dtype++) {
        fixture *f = set_up((csp_dtype)dtype, 3);
        assert_ok(correct(f, f->corrected));
        assert_corrected(f, f->corrected);
    }
}

TEST(correct_summary_takes_a_fit)
{
    fixture *f = set_up(CSP_F32, 2);
    f->fitted = true;

    assert_ok(correct(f, f->corrected));

    assert_corrected(f, f->corrected);
    for (uint32_t h = 0; h < HEADS; h++) { /* and no mass is beyond the limit */
        f->limit[h] = -1.0f;
        f->offset[h] = 50.0f;
    }
    assert_ok(correct(f, f->corrected));
    assert_corrected(f, f->corrected);
}

TEST(correct_summary_takes_base_two)
{
    fixture *f = set_up(CSP_F32, 2);
    f->unit = CSP_LSE_BASE2;

    assert_ok(correct(f, f->corrected));

    assert_corrected(f, f->corrected);
}

TEST(correct_summary_of_rows_that_kept_nothing_is_the_dropped_value)
{
    fixture *f = set_up(CSP_F32, 2);
    f->lse_numbers[4] = -INFINITY;
    for (size_t c = 0; c < VALUE_DIM; c++)
        f->numbers[4 * VALUE_DIM + c] = NAN; /* what engines leave there */

    assert_ok(correct(f, f->corrected));

    const said s = say(f, 1, 1);
    for (size_t c = 0; c < VALUE_DIM; c++)
        assert_true(fabs((double)f->corrected[4 * VALUE_DIM + c] - s.value[c]) <
                    1e-5);
}

/* Products of floats may be no floats; all of q'Sq / 2 beyond exp is v(q). */
TEST(correct_summary_of_huge_queries_is_finite)
{
    const float sizes[] = {1e6f, 1e15f, 1e18f, 1e19f, 3e19f, 1e30f};

    for (size_t i = 0; i < 2 * COUNT(sizes); i++) {
        const float size = sizes[i / 2];
        fixture *f = set_up(CSP_F32, i % 2 == 0 ? KEY_DIM : 2);
        for (size_t j = 0; j < COUNT(f->query_numbers); j++)
            f->query_numbers[j] *= size;
        assert_ok(correct(f, f->corrected));
        for (size_t j = 0; j < N; j++) {
            const uint32_t h = (uint32_t)(j / (QUERIES * VALUE_DIM));
            const uint32_t r = (uint32_t)(j / VALUE_DIM % QUERIES);
            const said s = say(f, h, r);
            assert_true(s.quadratic > 1e10);
            assert_true(fabs((double)f->corrected[j] -
                             s.value[j % VALUE_DIM]) <= 1e-5 * (double)size);
        }
    }
}

/* ---- Nothing to correct -------------------------------------------------- */

TEST(correct_summary_of_nothing_dropped_changes_no_bit)
{
    fixture *f = set_up(CSP_F32, 2);
    f->log_count[0] = f->log_count[1] = -INFINITY;
    f->lse_numbers[0] = -INFINITY;
    f->numbers[1] = -0.0f;
    f->numbers[2] = 0x1p-149f;
    f->numbers[3] = NAN;

    assert_ok(correct(f, f->corrected));

    assert_memory_equal(f->corrected, f->numbers, sizeof f->numbers);
}

TEST(correct_summary_of_a_head_without_missing_mass_changes_no_bit)
{
    fixture *f = set_up(CSP_F32, 2);
    f->fitted = true;
    f->limit[1] = -INFINITY;
    const size_t begin = QUERIES * VALUE_DIM;

    assert_ok(correct(f, f->corrected));

    assert_memory_equal(f->corrected + begin, f->numbers + begin,
                        begin * sizeof(float));
    assert_true(f->corrected[0] != f->numbers[0]);
    assert_corrected(f, f->corrected);
}

TEST(correct_summary_without_dropped_mass_leaves_every_half_alone)
{
    static uint16_t halves[65536], corrected[65536];
    const float query = 1.0f, lse = 0.0f, nothing = -INFINITY, variance = 0.0f;
    static float key[1], values[65536];
    unsigned char workspace[1 << 20];
    const csp_tensor queries = csp_tensor_packed(&query, CSP_F32, 1, 1, 1);
    const csp_tensor lse_view = csp_tensor_packed(&lse, CSP_F32, 1, 1, 1);
    float log_count = nothing, rest = variance;
    const csp_summary s = {key, values, &log_count, &rest, CSP_F32,
                           1,   1,      65536,      0};
    for (size_t i = 0; i < 65536; i++)
        halves[i] = (uint16_t)i;
    assert_true(csp_correct_summary_workspace_size(&s) <= sizeof workspace);

    for (int dtype = CSP_F16; dtype <= CSP_BF16; dtype++) {
        const csp_tensor outputs =
            csp_tensor_packed(halves, (csp_dtype)dtype, 1, 1, 65536);
        assert_ok(csp_correct_summary(&outputs, &queries, 1.0f, &lse_view,
                                      CSP_LSE_NATURAL, &s, NULL, NULL,
                                      workspace, sizeof workspace, corrected));
        assert_memory_equal(corrected, halves, sizeof halves);
    }
}

/* ---- Layouts ------------------------------------------------------------- */

TEST(correct_summary_works_in_place)
{
    fixture *f = set_up(CSP_F32, 2);

    assert_ok(correct(f, f->corrected));
    assert_ok(correct(f, f->numbers));

    assert_memory_equal(f->numbers, f->corrected, sizeof f->numbers);
}

TEST(correct_summary_rounds_halves_once)
{
    for (int dtype = CSP_F16; dtype <= CSP_BF16; dtype++) {
        uint16_t halves[N], corrected[N], expected;
        fixture *f = set_up(CSP_F32, 2);
        for (size_t i = 0; i < N; i++) {
            oracle_encode((double)f->numbers[i], (csp_dtype)dtype, halves + i);
            f->numbers[i] = (float)oracle_decode(halves + i, (csp_dtype)dtype);
        }
        assert_ok(correct(f, f->corrected));
        f->outputs = csp_tensor_packed(halves, (csp_dtype)dtype, HEADS, QUERIES,
                                       VALUE_DIM);
        assert_ok(correct(f, corrected));
        for (size_t i = 0; i < N; i++) {
            oracle_encode((double)f->corrected[i], (csp_dtype)dtype, &expected);
            assert_int_equal(corrected[i], expected);
        }
    }
}

TEST(correct_summary_takes_queries_in_halves)
{
    for (int dtype = CSP_F16; dtype <= CSP_BF16; dtype++) {
        uint16_t halves[HEADS * QUERIES * KEY_DIM];
        fixture *f = set_up(CSP_F32, 2);
        for (size_t i = 0; i < COUNT(halves); i++)
            oracle_encode((double)f->query_numbers[i], (csp_dtype)dtype,
                          halves + i);
        f->queries = csp_tensor_packed(halves, (csp_dtype)dtype, HEADS, QUERIES,
                                       KEY_DIM);
        assert_ok(correct(f, f->corrected));
        assert_corrected(f, f->corrected);
    }
}

/* Outputs [query][head][channel], every second float; so are the queries. */
TEST(correct_summary_keeps_the_layout_and_what_lies_between)
{
    float spread[2 * N], queries[HEADS * QUERIES * KEY_DIM];
    fixture *f = set_up(CSP_F32, 2);
    for (size_t i = 0; i < N; i++) {
        const size_t h = i / (QUERIES * VALUE_DIM), r = i / VALUE_DIM % QUERIES;
        spread[2 * ((r * HEADS + h) * VALUE_DIM + i % VALUE_DIM)] =
            f->numbers[i];
    }
    for (size_t i = 0; i < COUNT(queries); i++) {
        const size_t h = i / (QUERIES * KEY_DIM), r = i / KEY_DIM % QUERIES;
        queries[(i % KEY_DIM * QUERIES + r) * HEADS + h] = f->query_numbers[i];
    }
    f->outputs = (csp_tensor){spread,
                              CSP_F32,
                              HEADS,
                              QUERIES,
                              VALUE_DIM,
                              8 * VALUE_DIM,
                              8 * VALUE_DIM * HEADS,
                              8};
    f->queries = (csp_tensor){queries, CSP_F32, HEADS,     QUERIES,
                              KEY_DIM, 4,       4 * HEADS, 4 * HEADS * QUERIES};
    guarded out = guard(NULL, sizeof spread - sizeof(float));

    assert_ok(correct(f, out.data));

    for (size_t i = 0; i < N; i++) {
        const size_t h = i / (QUERIES * VALUE_DIM), r = i / VALUE_DIM % QUERIES;
        const size_t at = 8 * ((r * HEADS + h) * VALUE_DIM + i % VALUE_DIM);
        memcpy(&f->corrected[i], out.data + at, 4);
        for (size_t b = at + 4; b < at + 8 && b < out.size; b++)
            assert_int_equal(out.data[b], GUARD_BYTE);
    }
    assert_corrected(f, f->corrected);
    unguard(&out);
}

TEST(correct_summary_of_no_queries_is_nothing)
{
    fixture *f = set_up(CSP_F32, 2);
    f->outputs = csp_tensor_packed(NULL, CSP_F32, HEADS, 0, VALUE_DIM);
    f->queries = csp_tensor_packed(NULL, CSP_F32, HEADS, 0, KEY_DIM);
    f->lse = csp_tensor_packed(NULL, CSP_F32, HEADS, 0, 1);

    assert_ok(correct(f, NULL));
}

TEST(correct_summary_on_every_tier_is_the_same)
{
    static const csp_tier tiers[] = {CSP_TIER_AUTO, CSP_TIER_AVX2,
                                     CSP_TIER_AVX512, CSP_TIER_NEON};
    float scalar[N];
    fixture *f = set_up(CSP_BF16, 3);
    f->compute.tier = CSP_TIER_SCALAR;
    assert_ok(correct(f, scalar));

    for (size_t i = 0; i < COUNT(tiers); i++) {
        if (!csp_has_tier(tiers[i]))
            continue;
        f->compute.tier = tiers[i];
        memset(f->corrected, 0, sizeof f->corrected);
        assert_ok(correct(f, f->corrected));
        assert_memory_equal(f->corrected, scalar, sizeof scalar);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(correct_summary_follows_the_formula),
        cmocka_unit_test(correct_summary_takes_halves_as_summary),
        cmocka_unit_test(correct_summary_takes_a_fit),
        cmocka_unit_test(correct_summary_takes_base_two),
        cmocka_unit_test(
            correct_summary_of_rows_that_kept_nothing_is_the_dropped_value),
        cmocka_unit_test(correct_summary_of_huge_queries_is_finite),
        cmocka_unit_test(correct_summary_of_nothing_dropped_changes_no_bit),
        cmocka_unit_test(
            correct_summary_of_a_head_without_missing_mass_changes_no_bit),
        cmocka_unit_test(
            correct_summary_without_dropped_mass_leaves_every_half_alone),
        cmocka_unit_test(correct_summary_works_in_place),
        cmocka_unit_test(correct_summary_rounds_halves_once),
        cmocka_unit_test(correct_summary_takes_queries_in_halves),
        cmocka_unit_test(
            correct_summary_keeps_the_layout_and_what_lies_between),
        cmocka_unit_test(correct_summary_of_no_queries_is_nothing),
        cmocka_unit_test(correct_summary_on_every_tier_is_the_same),
    };

    return RUN(tests);
}
