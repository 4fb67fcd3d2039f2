/*
 * test_fit.c - log n(q) fitted to rows whose dropped mass is known (E11)
 *
 * Compared with the regression in double: of each query head, the rows' log of
 * the dropped mass less log m + q.mu, on q'Sq / 2.
 */
#include "fit_fixture.h"

/* ---- The regression ------------------------------------------------------ */

TEST(fit_is_the_regression_of_the_dropped_mass)
{
    fixture *f = set_up();

    assert_ok(add_rows(f));

    assert_fit(f);
}

TEST(fit_with_full_mask_sees_later_keys)
{
    fixture *f = set_up();
    f->attention.mask = CSP_FULL;
    f->attention.first_query = 0;

    assert_ok(add_rows(f));

    assert_fit(f);
}

TEST(fit_takes_a_shared_list)
{
    fixture *f = set_up();
    f->kept.n_lists = 1;

    assert_ok(add_rows(f));

    assert_fit(f);
}

TEST(fit_adds_chunks)
{
    fixture *f = set_up();
    f->attention.scores.n_rows = f->attention.queries.n_rows = 1;
    for (uint32_t r = 0; r < QUERIES; r++) {
        f->attention.scores.data = f->logits + r * KEYS;
        f->attention.queries.data = f->queries + r * KEY_DIM;
        assert_ok(add_rows(f));
        f->attention.first_query++;
    }
    f->attention.first_query = KEYS - QUERIES;

    assert_fit(f);
}

/* Chunks in any order: the limit is of the largest mass wherever it comes. */
TEST(fit_adds_chunks_in_any_order)
{
    fixture *f = set_up();
    f->attention.scores.n_rows = f->attention.queries.n_rows = 1;
    for (uint32_t r = QUERIES; r-- > 0;) {
        f->attention.scores.data = f->logits + r * KEYS;
        f->attention.queries.data = f->queries + r * KEY_DIM;
        f->attention.first_query = KEYS - QUERIES + r;
        assert_ok(add_rows(f));
    }
    f->attention.first_query = KEYS - QUERIES;

    assert_fit(f);
}

/* Masses below one, whose logs are below the zero that sums start with. */
TEST(fit_of_little_mass_has_a_limit_as_low)
{
    fixture *f = set_up();
    for (size_t i = 0; i < COUNT(f->logits); i++)
        f->logits[i] -= 40.0f;

    assert_ok(add_rows(f));

    assert_fit(f);
    assert_true(f->limit[0] < -20.0f);
}

/* One dropped key whose logit is what a slope and an offset make it. */
static void set_line(fixture *f, double offset, double slope)
{
    f->counts[0] = f->counts[1] = KEYS - 1;
    for (uint32_t i = 0; i < 2 * KEYS; i++)
        f->rows[i] = i % KEYS + 1;
    for (uint32_t h = 0; h < HEADS; h++)
        for (uint32_t r = 0; r < QUERIES; r++) {
            const said s = say(f, h, r);
            f->logits[(h * QUERIES + r) * KEYS] =
                (float)(s.linear + offset + slope * s.quadratic);
        }
}

TEST(fit_finds_the_line_that_was_there)
{
    fixture *f = set_up();
    set_line(f, -0.7, 0.3);

    assert_ok(add_rows(f));
    finish(f);

    for (uint32_t h = 0; h < HEADS; h++) {
        assert_near(f->slope[h], 0.3, 1e-4);
        assert_near(f->offset[h], -0.7, 1e-4);
    }
    assert_fit(f);
}

TEST(fit_of_a_steep_line_has_slope_one)
{
    fixture *f = set_up();
    set_line(f, 0.2, 1.8);

    assert_ok(add_rows(f));
    finish(f);

    for (uint32_t h = 0; h < HEADS; h++)
        assert_near(f->slope[h], 1.0, 0.0);
    assert_fit(f);
}

TEST(fit_of_a_falling_line_has_slope_zero)
{
    fixture *f = set_up();
    set_line(f, 0.2, -0.5);

    assert_ok(add_rows(f));
    finish(f);

    for (uint32_t h = 0; h < HEADS; h++)
        assert_near(f->slope[h], 0.0, 0.0);
    assert_fit(f);
}

/* Where all rows have the same q'Sq / 2 there is no slope, but a mean. */
TEST(fit_of_one_row_is_its_mass)
{
    fixture *f = set_up();
    f->attention.scores.n_rows = f->attention.queries.n_rows = 1;

    assert_ok(add_rows(f));
    finish(f);

    for (uint32_t h = 0; h < HEADS; h++) {
        double log_mass;
        assert_true(dropped_mass(f, h, 0, &log_mass));
        assert_near(f->slope[h], 0.0, 0.0);
        assert_true(fabs((double)f->offset[h] -
                         (log_mass - say(f, h, 0).linear)) < 1e-5);
    }
}

TEST(fit_of_equal_rows_has_no_slope)
{
    fixture *f = set_up();
    for (uint32_t h = 0; h < HEADS; h++)
        for (uint32_t r = 1; r < QUERIES; r++)
            memcpy(f->queries + (h * QUERIES + r) * KEY_DIM,
                   f->queries + h * QUERIES * KEY_DIM, KEY_DIM * sizeof(float));

    assert_ok(add_rows(f));
    finish(f);

    for (uint32_t h = 0; h < HEADS; h++)
        assert_near(f->slope[h], 0.0, 0.0);
    assert_fit(f);
}

/* ---- Rows that do not count ---------------------------------------------- */

TEST(fit_skips_rows_without_dropped_mass)
{
    fixture *f = set_up();
    for (uint32_t j = 0; j < KEYS; j++)
        if (!is_kept(f, 0, j))
            f->logits[KEYS + j] = j % 2 != 0 ? -INFINITY : -1e30f;
    f->queries[KEY_DIM] = NAN; /* of that row, which nobody asks */

    assert_ok(add_rows(f));

    assert_fit(f);
}

TEST(fit_of_nothing_dropped_corrects_nothing)
{
    fixture *f = set_up();
    for (uint32_t i = 0; i < 2 * KEYS; i++)
        f->rows[i] = i % KEYS;
    f->counts[0] = f->counts[1] = KEYS;

    assert_ok(add_rows(f));
    finish(f);

    for (uint32_t h = 0; h < HEADS; h++)
        assert_true(f->limit[h] == -INFINITY && f->offset[h] == 0.0f &&
                    f->slope[h] == 0.0f);
}

TEST(fit_skips_heads_whose_summary_is_empty)
{
    fixture *f = set_up();
    f->memory.log_count[0] = -INFINITY;

    assert_ok(add_rows(f));
    finish(f);

    for (uint32_t h = 0; h < HEADS; h++)
        assert_true((f->limit[h] == -INFINITY) == (h < HEADS / KV_HEADS));
}

TEST(fit_of_no_queries_or_keys_is_nothing)
{
    const double nothing[HEADS * CSP_FIT_SUMS] = {0.0};
    fixture *f = set_up();
    f->attention.scores.n_rows = f->attention.queries.n_rows = 0;
    assert_ok(add_rows(f));
    assert_memory_equal(f->sums, nothing, sizeof nothing);
    f = set_up();
    f->tokens.n_keys = f->counts[0] = f->counts[1] = 0;
    assert_ok(add_rows(f));
    assert_memory_equal(f->sums, nothing, sizeof nothing);
}

/* ---- Where the mass comes from ------------------------------------------- */

TEST(fit_of_queries_and_keys_is_that_of_their_logits)
{
    float keys[KV_HEADS * KEYS * KEY_DIM];
    random_source random = {99};
    fixture *f = set_up();
    for (size_t i = 0; i < COUNT(keys); i++)
        keys[i] = (float)random_normal(&random);
    for (size_t i = 0; i < COUNT(f->logits); i++) {
        const float *q = f->queries + i / KEYS * KEY_DIM;
        const float *k =
            keys + (i / (KEYS * QUERIES) / 2 * KEYS + i % KEYS) * KEY_DIM;
        double dot = 0.0;
        for (size_t c = 0; c < KEY_DIM; c++)
            dot += (double)q[c] * (double)k[c];
        f->logits[i] = (float)((double)f->attention.scale * dot);
    }
    f->attention.source = CSP_QUERY_KEY;
    f->attention.keys =
        csp_tensor_packed(keys, CSP_F32, KV_HEADS, KEYS, KEY_DIM);

    assert_ok(add_rows(f));

    assert_fit(f);
}

TEST(fit_of_probabilities_and_lse_is_that_of_logits)
{
    for (int unit = CSP_LSE_NATURAL; unit <= CSP_LSE_BASE2; unit++) {
        static float logits[HEADS * QUERIES * KEYS];
        float lse[HEADS * QUERIES];
        fixture *f = set_up();
        memcpy(logits, f->logits, sizeof logits);
        for (uint32_t i = 0; i < HEADS * QUERIES; i++) {
            float *x = f->logits + i * KEYS;
            double sum = 0.0;
            for (uint32_t j = 0; j < KEYS; j++)
                sum += exp((double)x[j]);
            for (uint32_t j = 0; j < KEYS; j++)
                x[j] = (float)(exp((double)x[j]) / sum);
            lse[i] =
                (float)(log(sum) / (unit == CSP_LSE_BASE2 ? log(2.0) : 1.0));
        }
        f->attention.source = CSP_PROBABILITIES;
        f->attention.lse = csp_tensor_packed(lse, CSP_F32, HEADS, QUERIES, 1);
        f->attention.lse_unit = (csp_lse_unit)unit;
        assert_ok(add_rows(f));
        memcpy(f->logits, logits, sizeof logits);
        assert_fit(f);
    }
}

TEST(fit_on_every_tier_is_the_same)
{
    static const csp_tier tiers[] = {CSP_TIER_AUTO, CSP_TIER_AVX2,
                                     CSP_TIER_AVX512, CSP_TIER_NEON};
    double scalar[HEADS * CSP_FIT_SUMS];
    fixture *f = set_up();
    f->compute.tier = CSP_TIER_SCALAR;
    assert_ok(add_rows(f));
    memcpy(scalar, f->sums, sizeof scalar);

    for (size_t i = 0; i < COUNT(tiers); i++) {
        if (!csp_has_tier(tiers[i]))
            continue;
        f->compute.tier = tiers[i];
        memset(f->sums, 0, sizeof f->sums);
        assert_ok(add_rows(f));
        assert_memory_equal(f->sums, scalar, sizeof scalar);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fit_is_the_regression_of_the_dropped_mass),
        cmocka_unit_test(fit_with_full_mask_sees_later_keys),
        cmocka_unit_test(fit_takes_a_shared_list),
        cmocka_unit_test(fit_adds_chunks),
        cmocka_unit_test(fit_adds_chunks_in_any_order),
        cmocka_unit_test(fit_of_little_mass_has_a_limit_as_low),
        cmocka_unit_test(fit_finds_the_line_that_was_there),
        cmocka_unit_test(fit_of_a_steep_line_has_slope_one),
        cmocka_unit_test(fit_of_a_falling_line_has_slope_zero),
        cmocka_unit_test(fit_of_one_row_is_its_mass),
        cmocka_unit_test(fit_of_equal_rows_has_no_slope),
        cmocka_unit_test(fit_skips_rows_without_dropped_mass),
        cmocka_unit_test(fit_of_nothing_dropped_corrects_nothing),
        cmocka_unit_test(fit_skips_heads_whose_summary_is_empty),
        cmocka_unit_test(fit_of_no_queries_or_keys_is_nothing),
        cmocka_unit_test(fit_of_queries_and_keys_is_that_of_their_logits),
        cmocka_unit_test(fit_of_probabilities_and_lse_is_that_of_logits),
        cmocka_unit_test(fit_on_every_tier_is_the_same),
    };

    return RUN(tests);
}
