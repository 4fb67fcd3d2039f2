/*
 * test_calibrate.c - what the dropped tokens weighed (E8, E10)
 *
 * Compared with the formulas in double, written out below.
 */
#include "calibrate_fixture.h"

TEST(calibrate_follows_the_equations)
{
    fixture f;
    set_up(&f);

    assert_ok(calibrate(&f));

    assert_sums(&f);
}

TEST(calibrate_with_full_mask_sees_later_keys)
{
    fixture f;
    set_up(&f);
    f.attention.mask = CSP_FULL;
    f.attention.first_query = 0;

    assert_ok(calibrate(&f));

    assert_sums(&f);
}

TEST(calibrate_takes_a_shared_list)
{
    fixture f;
    set_up(&f);
    f.kept.n_lists = 1;

    assert_ok(calibrate(&f));

    assert_sums(&f);
}

TEST(calibrate_does_without_values)
{
    fixture f;
    set_up(&f);
    f.sums.value = NULL;

    assert_ok(calibrate(&f));

    assert_sums(&f);
    assert_true(f.value[0] == 0.0f);
}

TEST(calibrate_passes_over_masked_keys)
{
    const float masks[] = {-INFINITY, -FLT_MAX, -1e30f};

    for (size_t i = 0; i < COUNT(masks); i++) {
        fixture f;
        set_up(&f);
        f.logits[0] = f.logits[9] = masks[i];
        assert_ok(calibrate(&f));
        assert_sums(&f);
    }
}

TEST(calibrate_skips_rows_without_dropped_mass)
{
    fixture f;
    set_up(&f);
    for (uint32_t j = 0; j < KEYS; j++)
        if (!is_kept(&f, 0, j))
            f.logits[COLS + j] = -INFINITY;

    assert_ok(calibrate(&f));

    assert_sums(&f);
    assert_near(f.n_rows[0], QUERIES - 1, 0.0);
    assert_near(f.n_rows[1], QUERIES, 0.0);
}

TEST(calibrate_of_nothing_dropped_is_nothing)
{
    fixture f;
    set_up(&f);
    for (uint32_t i = 0; i < 2 * KEYS; i++)
        f.rows[i] = i % KEYS;
    f.counts[0] = f.counts[1] = KEYS;

    assert_ok(calibrate(&f));

    for (uint32_t h = 0; h < HEADS; h++)
        assert_true(f.n_rows[h] == 0.0 && f.log_mass[h] == 0.0 &&
                    f.value[h] == 0.0f);
}

TEST(calibrate_of_nothing_kept_is_the_log_sum_exp)
{
    fixture f;
    set_up(&f);
    f.counts[0] = f.counts[1] = 0;
    f.kept.rows = NULL;
    f.kept.capacity = 0;

    assert_ok(calibrate(&f));

    assert_sums(&f);
}

TEST(calibrate_takes_logits_of_any_scale)
{
    const float shifts[] = {-1e5f, -200.0f, 200.0f, 1e5f, 2e6f};

    for (size_t i = 0; i < COUNT(shifts); i++) {
        fixture f;
        set_up(&f);
        f.counts[0] = f.counts[1] = 1;
        for (size_t j = 0; j < COUNT(f.logits); j++)
            f.logits[j] = shifts[i];
        assert_ok(calibrate(&f));
        const double expected = 3.0 * (double)shifts[i] + log(3.0 * 4.0 * 5.0);
        assert_true(fabs(f.log_mass[0] - expected) < 1e-6);
    }
}

TEST(calibrate_adds_chunks)
{
    fixture f;
    set_up(&f);
    f.attention.scores.n_rows = 1;
    for (uint32_t r = 0; r < QUERIES; r++) {
        f.attention.scores.data = f.logits + r * COLS;
        assert_ok(calibrate(&f));
        f.attention.first_query++;
    }
    f.attention.first_query = KEYS - QUERIES;

    assert_sums(&f);
}

TEST(calibrate_without_compute_is_automatic)
{
    fixture f;
    set_up(&f);

    assert_ok(csp_calibrate(&f.attention, &f.tokens, &f.kept, &f.values, NULL,
                            f.workspace, sizeof f.workspace, &f.sums));

    assert_sums(&f);
}

TEST(calibrate_takes_halves)
{
    for (int dtype = CSP_F16; dtype <= CSP_BF16; dtype++) {
        uint16_t halves[HEADS * QUERIES * COLS];
        fixture f;
        set_up(&f);
        for (size_t i = 0; i < COUNT(halves); i++) {
            const bool f16 = dtype == CSP_F16;
            const float x =
                i % COLS == 0 ? (f16 ? -65504.0f : -1e31f) : f.logits[i];
            halves[i] = f16 ? csp__to_f16(x) : csp__to_bf16(x);
            f.logits[i] =
                f16 ? csp__from_f16(halves[i]) : csp__from_bf16(halves[i]);
            if (i % COLS == 0)
                f.logits[i] = -INFINITY;
        }
        f.attention.scores =
            csp_tensor_packed(halves, (csp_dtype)dtype, HEADS, QUERIES, COLS);
        assert_ok(calibrate(&f));
        assert_sums(&f);
    }
}

TEST(calibrate_of_probabilities_and_lse_is_that_of_logits)
{
    for (int unit = CSP_LSE_NATURAL; unit <= CSP_LSE_BASE2; unit++) {
        fixture f, logits;
        set_up(&f);
        for (uint32_t i = 0; i < HEADS * QUERIES; i++) {
            float *x = f.logits + i * COLS;
            double sum = 0.0;
            for (uint32_t j = 0; j < KEYS; j++)
                sum += exp((double)x[j]);
            for (uint32_t j = 0; j < KEYS; j++)
                x[j] = (float)(exp((double)x[j]) / sum);
            f.lse[i] =
                (float)(log(sum) / (unit == CSP_LSE_BASE2 ? log(2.0) : 1.0));
        }
        f.attention.source = CSP_PROBABILITIES;
        f.attention.lse = csp_tensor_packed(f.lse, CSP_F32, HEADS, QUERIES, 1);
        f.attention.lse_unit = (csp_lse_unit)unit;
        assert_ok(calibrate(&f));
        set_up(&logits);
        memcpy(logits.log_mass, f.log_mass, sizeof f.log_mass);
        memcpy(logits.n_rows, f.n_rows, sizeof f.n_rows);
        memcpy(logits.value, f.value, sizeof f.value);
        assert_sums(&logits);
    }
}

TEST(calibrate_skips_probabilities_of_rows_that_saw_nothing)
{
    fixture f;
    set_up(&f);
    for (size_t i = 0; i < COUNT(f.logits); i++)
        f.logits[i] = 0.25f;
    for (size_t i = 0; i < COUNT(f.lse); i++)
        f.lse[i] = i == 0 ? -INFINITY : 1.0f;
    f.attention.source = CSP_PROBABILITIES;
    f.attention.lse = csp_tensor_packed(f.lse, CSP_F32, HEADS, QUERIES, 1);

    assert_ok(calibrate(&f));

    assert_near(f.n_rows[0], QUERIES - 1, 0.0);
    assert_true(isfinite(f.log_mass[0]));
}

TEST(calibrate_of_queries_and_keys_is_that_of_their_logits)
{
    float q[HEADS * QUERIES * 2], k[KV_HEADS * KEYS * 2];
    fixture f;
    set_up(&f);
    for (size_t i = 0; i < COUNT(q); i++)
        q[i] = sinf((float)i);
    for (size_t i = 0; i < COUNT(k); i++)
        k[i] = cosf(2.0f * (float)i);
    for (uint32_t h = 0; h < HEADS; h++)
        for (uint32_t r = 0; r < QUERIES; r++)
            for (uint32_t j = 0; j < KEYS; j++) {
                const float *a = q + (h * QUERIES + r) * 2;
                const float *b = k + (h / 2 * KEYS + j) * 2;
                f.logits[(h * QUERIES + r) * COLS + j] =
                    0.5f * (a[0] * b[0] + a[1] * b[1]);
            }
    f.attention.source = CSP_QUERY_KEY;
    f.attention.queries = csp_tensor_packed(q, CSP_F32, HEADS, QUERIES, 2);
    f.attention.keys = csp_tensor_packed(k, CSP_F32, KV_HEADS, KEYS, 2);
    f.attention.scale = 0.5f;

    assert_ok(calibrate(&f));

    assert_sums(&f);
}

TEST(calibrate_reads_no_value_that_was_kept_or_weighs_nothing)
{
    fixture f;
    set_up(&f);
    for (uint32_t d = 0; d < DIM; d++)
        f.numbers[1 * DIM + d] = NAN;
    guarded values = guard(f.numbers, sizeof f.numbers - DIM * sizeof(float));
    f.values.data = values.data; /* the last row is kept, too */

    assert_ok(calibrate(&f));

    unguard(&values);
}

TEST(calibrate_takes_long_transposed_value_rows)
{
    enum { LONG = 300 };
    static float values[LONG * 2];
    float logits[] = {0.0f, 0.0f}, value[LONG] = {0.0f};
    double log_mass = 0.0, rows = 0.0;
    uint32_t count = 0;
    static unsigned char workspace[16384];
    for (size_t i = 0; i < LONG; i++) /* [channel][token] */
        values[2 * i + 1] = (float)i;
    const csp_tokens tokens = {.n_kv_heads = 1, .n_keys = 2};
    const csp_attention a = {.mask = CSP_FULL,
                             .scores =
                                 csp_tensor_packed(logits, CSP_F32, 1, 1, 2)};
    const csp_kept kept = {.counts = &count, .n_lists = 1};
    const csp_tensor v = {values, CSP_F32, 1, 2, LONG, 0, 4, 8};
    const csp_calibration sums = {&log_mass, &rows, value, 1, LONG};

    assert_ok(csp_calibrate(&a, &tokens, &kept, &v, NULL, workspace,
                            sizeof workspace, &sums));

    for (size_t i = 0; i < LONG; i++)
        assert_near(value[i], (double)i / 2, 1e-6);
}

TEST(calibrate_of_values_without_channels_is_mass_alone)
{
    fixture f;
    set_up(&f);
    f.values = csp_tensor_packed(NULL, CSP_F32, KV_HEADS, KEYS, 0);
    f.sums.value_dim = 0;

    assert_ok(calibrate(&f));

    assert_near(f.n_rows[0], QUERIES, 0.0);
}

TEST(calibrate_of_no_keys_or_queries_is_nothing)
{
    fixture f;
    set_up(&f);
    f.attention.scores.n_rows = 0;
    assert_ok(calibrate(&f));
    set_up(&f);
    f.tokens.n_keys = 0;
    f.counts[0] = f.counts[1] = 0;
    assert_ok(calibrate(&f));
    assert_true(f.n_rows[0] == 0.0 && f.log_mass[0] == 0.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calibrate_follows_the_equations),
        cmocka_unit_test(calibrate_with_full_mask_sees_later_keys),
        cmocka_unit_test(calibrate_takes_a_shared_list),
        cmocka_unit_test(calibrate_does_without_values),
        cmocka_unit_test(calibrate_passes_over_masked_keys),
        cmocka_unit_test(calibrate_skips_rows_without_dropped_mass),
        cmocka_unit_test(calibrate_of_nothing_dropped_is_nothing),
        cmocka_unit_test(calibrate_of_nothing_kept_is_the_log_sum_exp),
        cmocka_unit_test(calibrate_takes_logits_of_any_scale),
        cmocka_unit_test(calibrate_adds_chunks),
        cmocka_unit_test(calibrate_without_compute_is_automatic),
        cmocka_unit_test(calibrate_takes_halves),
        cmocka_unit_test(calibrate_of_probabilities_and_lse_is_that_of_logits),
        cmocka_unit_test(
            calibrate_skips_probabilities_of_rows_that_saw_nothing),
        cmocka_unit_test(calibrate_of_queries_and_keys_is_that_of_their_logits),
        cmocka_unit_test(
            calibrate_reads_no_value_that_was_kept_or_weighs_nothing),
        cmocka_unit_test(calibrate_takes_long_transposed_value_rows),
        cmocka_unit_test(calibrate_of_values_without_channels_is_mass_alone),
        cmocka_unit_test(calibrate_of_no_keys_or_queries_is_nothing),
    };

    return RUN(tests);
}
