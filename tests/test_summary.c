/*
 * test_summary.c - moments made small, and back (E11)
 *
 * The moments are made of known eigenvalues and singular values, so what a
 * low-rank summary must lose is known.
 */
#include "summary_fixture.h"

typedef struct fixture {
    gauss truth[KV_HEADS];
    room sums;
    csp_moments moments;
    stored memory;
    csp_summary summary;
} fixture;

static fixture the_fixture;

static fixture *set_up(csp_dtype dtype, uint32_t rank)
{
    fixture *f = &the_fixture;
    random_source random = {3};

    memset(f, 0, sizeof *f);
    for (size_t g = 0; g < KV_HEADS; g++) {
        f->truth[g] =
            draw_gauss(&random, 1000.0 + (double)g, eigenvalues, singular);
        add_gauss(&f->truth[g], g, &f->sums);
    }
    f->moments = moments_of(&f->sums);
    f->summary = summary_of(&f->memory, dtype, rank);
    return f;
}

static csp_status summarise(fixture *f)
{
    const size_t size = csp_summarise_workspace_size(KEY_DIM, VALUE_DIM);
    assert_true(size > 0);
    guarded workspace = guard(NULL, size);

    const csp_status status =
        csp_summarise(&f->moments, workspace.data, size, &f->summary);
    unguard(&workspace);
    return status;
}

static csp_status expand(const fixture *f, room *to)
{
    const csp_moments moments = moments_of(to);
    const size_t size = csp_summary_expand_workspace_size(&f->summary);
    assert_true(size > 0);
    guarded workspace = guard(NULL, size);

    const csp_status status =
        csp_summary_expand(&f->summary, workspace.data, size, &moments);
    unguard(&workspace);
    return status;
}

/* Frobenius norm of a - b. */
static double distance(const double *a, const double *b, size_t n)
{
    double sum = 0.0;

    for (size_t i = 0; i < n; i++)
        sum += (a[i] - b[i]) * (a[i] - b[i]);
    return sqrt(sum);
}

static double covariance_error(const fixture *f, size_t g)
{
    const gauss x = described(&f->summary, g);

    return distance(x.covariance, f->truth[g].covariance, COUNT(x.covariance));
}

static double cross_error(const fixture *f, size_t g)
{
    const gauss x = described(&f->summary, g);

    return distance(x.cross, f->truth[g].cross, COUNT(x.cross));
}

/* Means and counts, within the rounding of a type. */
static void assert_means(const fixture *f, double error)
{
    for (size_t g = 0; g < KV_HEADS; g++) {
        const gauss x = described(&f->summary, g);
        assert_near(f->summary.log_count[g], log(f->truth[g].count), 1e-7);
        assert_true(distance(x.key, f->truth[g].key, KEY_DIM) < error);
        assert_true(distance(x.value, f->truth[g].value, VALUE_DIM) < error);
    }
}

/* ---- What is kept -------------------------------------------------------- */

TEST(summary_of_full_rank_loses_nothing)
{
    fixture *f = set_up(CSP_F32, KEY_DIM);

    assert_ok(summarise(f));

    assert_means(f, 1e-6);
    for (size_t g = 0; g < KV_HEADS; g++) {
        assert_true(f->summary.variance[g] == 0.0f);
        assert_true(covariance_error(f, g) < 3e-6);
        assert_true(cross_error(f, g) < 3e-6);
    }
}

/* No matrix of this rank is nearer: what is lost is the tail, for keys around
   its mean. */
TEST(summary_of_any_rank_is_the_best_there_is)
{
    for (uint32_t rank = 0; rank <= KEY_DIM; rank++) {
        double mean = 0.0, lost = 0.0, lost_cross = 0.0;
        for (uint32_t i = rank; i < KEY_DIM; i++)
            mean += eigenvalues[i] / (KEY_DIM - rank);
        for (uint32_t i = rank; i < KEY_DIM; i++)
            lost += (eigenvalues[i] - mean) * (eigenvalues[i] - mean);
        for (uint32_t i = rank; i < VALUE_DIM; i++)
            lost_cross += singular[i] * singular[i];
        fixture *f = set_up(CSP_F32, rank);

        assert_ok(summarise(f));

        assert_means(f, 1e-6);
        for (size_t g = 0; g < KV_HEADS; g++) {
            assert_near(f->summary.variance[g], mean, 1e-6);
            assert_true(fabs(covariance_error(f, g) - sqrt(lost)) < 3e-6);
            assert_true(fabs(cross_error(f, g) - sqrt(lost_cross)) < 3e-6);
        }
    }
}

TEST(summary_in_halves_is_rounded)
{
    const double relative[] = {0.0, 0x1p-11, 0x1p-8};

    for (int dtype = CSP_F16; dtype <= CSP_BF16; dtype++) {
        fixture *f = set_up((csp_dtype)dtype, KEY_DIM);
        assert_ok(summarise(f));
        assert_means(f, 4.0 * relative[dtype]);
        for (size_t g = 0; g < KV_HEADS; g++) {
            assert_true(covariance_error(f, g) < 30.0 * relative[dtype]);
            assert_true(cross_error(f, g) < 20.0 * relative[dtype]);
        }
    }
}

/* The left singular vectors are of unit length, largest first. */
TEST(summary_orders_the_cross_covariance)
{
    fixture *f = set_up(CSP_F32, 3);

    assert_ok(summarise(f));

    for (size_t g = 0; g < KV_HEADS; g++)
        for (size_t r = 1; r <= 3; r++) {
            double u = 0.0, w = 0.0;
            for (size_t i = 0; i < KEY_DIM; i++)
                u += pow(key_at(&f->summary, g, 3 + r, i), 2.0);
            for (size_t i = 0; i < VALUE_DIM; i++)
                w += pow(value_at(&f->summary, g, r, i), 2.0);
            assert_near(u, 1.0, 1e-6);
            assert_near(sqrt(w), singular[r - 1], 1e-6);
        }
}

TEST(summary_of_nothing_dropped_is_empty)
{
    fixture *f = set_up(CSP_F16, 2);
    f->sums.count[1] = 0.0;

    assert_ok(summarise(f));

    assert_true(f->summary.log_count[1] == -INFINITY);
    assert_true(f->summary.variance[1] == 0.0f);
    for (size_t row = 0; row < 5; row++)
        for (size_t i = 0; i < KEY_DIM; i++)
            assert_true(key_at(&f->summary, 1, row, i) == 0.0);
    for (size_t row = 0; row < 3; row++)
        for (size_t i = 0; i < VALUE_DIM; i++)
            assert_true(value_at(&f->summary, 1, row, i) == 0.0);
    assert_true(covariance_error(f, 0) < 4.0); /* the other head is there */
}

/* One token has no spread; numbers a little below zero are rounding. */
TEST(summary_of_one_token_is_the_token)
{
    const double nothing[KEY_DIM] = {0.0};
    random_source random = {9};
    fixture *f = set_up(CSP_F32, 2);
    memset(&f->sums, 0, sizeof f->sums);
    for (size_t g = 0; g < KV_HEADS; g++) {
        f->truth[g] = draw_gauss(&random, 1.0, nothing, nothing);
        add_gauss(&f->truth[g], g, &f->sums);
    }

    assert_ok(summarise(f));

    assert_means(f, 1e-6);
    for (size_t g = 0; g < KV_HEADS; g++) {
        assert_true(f->summary.log_count[g] == 0.0f);
        assert_true(f->summary.variance[g] < 1e-15f);
        assert_true(covariance_error(f, g) < 1e-7);
        assert_true(cross_error(f, g) < 1e-7);
    }
}

TEST(summary_of_one_dimension_is_a_number)
{
    double count = 4.0, key = 8.0, value = 4.0, key_key = 52.0,
           key_value = 20.0;
    const csp_moments moments = {&count,     &key, &value, &key_key,
                                 &key_value, 1,    1,      1};
    float keys[3] = {0}, values[2] = {0}, log_count, variance;

    for (uint32_t rank = 0; rank <= 1; rank++) {
        const csp_summary summary = {
            keys, values, &log_count, &variance, CSP_F32, 1, 1, 1, rank};
        guarded workspace = guard(NULL, csp_summarise_workspace_size(1, 1));
        assert_ok(
            csp_summarise(&moments, workspace.data, workspace.size, &summary));
        unguard(&workspace);
        assert_true(keys[0] == 2.0f && values[0] == 1.0f);
        assert_true(variance == (rank == 0 ? 9.0f : 0.0f));
    }
    assert_true(fabsf(keys[1]) == 3.0f);
    assert_true(keys[2] * values[1] == 3.0f);
}

/* Scratch of a value row is longer than all that a key of one number needs. */
TEST(summary_of_wide_values_stays_in_its_workspace)
{
    enum { WIDE = 512 };
    double count = 4.0, key = 8.0, key_key = 52.0;
    double value[WIDE] = {0}, key_value[WIDE];
    float keys[3], values[2 * WIDE], log_count, variance;
    const csp_moments moments = {&count,    &key, value, &key_key,
                                 key_value, 1,    1,     WIDE};
    const csp_summary summary = {keys, values, &log_count, &variance, CSP_F32,
                                 1,    1,      WIDE,       1};
    guarded workspace = guard(NULL, csp_summarise_workspace_size(1, WIDE));
    for (size_t i = 0; i < WIDE; i++)
        key_value[i] = (double)i;

    assert_ok(
        csp_summarise(&moments, workspace.data, workspace.size, &summary));

    unguard(&workspace);
    for (size_t i = 0; i < WIDE; i++)
        assert_true(fabsf(keys[2] * values[WIDE + i] - (float)i / 4.0f) <
                    1e-3f);
}

/* Sums that no keys have, of a covariance below zero: no spread at any rank. */
TEST(summary_of_a_negative_covariance_has_no_spread)
{
    for (uint32_t rank = 0; rank <= KEY_DIM; rank++) {
        fixture *f = set_up(CSP_F32, rank);
        memset(f->sums.key_key, 0, sizeof f->sums.key_key);
        assert_ok(summarise(f));
        for (size_t g = 0; g < KV_HEADS; g++) {
            assert_true(f->summary.variance[g] == 0.0f);
            for (size_t row = 1; row <= rank; row++)
                for (size_t i = 0; i < KEY_DIM; i++)
                    assert_true(fabs(key_at(&f->summary, g, row, i)) < 1e-6);
        }
    }
}

/* Exactly as many bytes as promised, for memory of a half's alignment. */
TEST(summary_stays_in_its_memory)
{
    for (int dtype = CSP_F32; dtype <= CSP_BF16; dtype++) {
        fixture *f = set_up((csp_dtype)dtype, 3);
        const size_t size = dtype == CSP_F32 ? 4 : 2;
        guarded keys = guard(NULL, KV_HEADS * 7 * KEY_DIM * size);
        guarded values = guard(NULL, KV_HEADS * 4 * VALUE_DIM * size);
        f->summary.keys = keys.data;
        f->summary.values = values.data;
        assert_ok(summarise(f));
        assert_true(covariance_error(f, 1) < 2.0);
        assert_int_equal(csp_summary_size(&f->summary),
                         keys.size + values.size +
                             2 * KV_HEADS * sizeof(float));
        unguard(&keys);
        unguard(&values);
    }
}

/* ---- And back ------------------------------------------------------------ */

/* Relative to the largest sums there are. */
static void assert_rooms(const room *got, const room *expected, double relative)
{
    const double *a = (const double *)(const void *)got;
    const double *b = (const double *)(const void *)expected;

    for (size_t i = 0; i < sizeof *got / sizeof *a; i++)
        assert_true(fabs(a[i] - b[i]) < relative * 2e4);
}

TEST(summary_expand_of_full_rank_is_what_it_was_made_of)
{
    fixture *f = set_up(CSP_F32, KEY_DIM);
    room got = {.count = {0.0}};

    assert_ok(summarise(f));
    assert_ok(expand(f, &got));

    assert_rooms(&got, &f->sums, 1e-6);
}

TEST(summary_expand_adds)
{
    fixture *f = set_up(CSP_F32, KEY_DIM);
    room got = f->sums, expected = f->sums;
    for (size_t g = 0; g < KV_HEADS; g++)
        add_gauss(&f->truth[g], g, &expected);

    assert_ok(summarise(f));
    assert_ok(expand(f, &got));

    assert_rooms(&got, &expected, 1e-6);
}

/* Of any rank and type: the moments of the Gaussian that is described. */
TEST(summary_expand_reads_what_is_stored)
{
    for (int dtype = CSP_F32; dtype <= CSP_BF16; dtype++)
        for (uint32_t rank = 0; rank < 4; rank++) {
            fixture *f = set_up((csp_dtype)dtype, rank);
            room got = {.count = {0.0}}, expected = {.count = {0.0}};
            assert_ok(summarise(f));
            for (size_t g = 0; g < KV_HEADS; g++) {
                const gauss x = described(&f->summary, g);
                add_gauss(&x, g, &expected);
            }
            assert_ok(expand(f, &got));
            assert_rooms(&got, &expected, 1e-13);
        }
}

TEST(summary_expand_of_nothing_adds_nothing)
{
    fixture *f = set_up(CSP_F32, 2);
    f->sums.count[0] = f->sums.count[1] = 0.0;
    room got = f->sums;
    memset(got.count, 0x11, sizeof got.count);
    const room before = got;

    assert_ok(summarise(f));
    assert_ok(expand(f, &got));

    assert_memory_equal(&got, &before, sizeof before);
}

/* Two rounds by way of a summary are as good as all tokens at once. */
TEST(summary_of_rounds_is_that_of_all)
{
    random_source random = {77};
    fixture *f = set_up(CSP_F32, KEY_DIM);
    assert_ok(summarise(f));
    room second = {.count = {0.0}}, all = f->sums;
    const gauss more = draw_gauss(&random, 500.0, eigenvalues, singular);
    add_gauss(&more, 1, &second);
    add_gauss(&more, 1, &all);

    assert_ok(expand(f, &second));

    assert_rooms(&second, &all, 1e-6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(summary_of_full_rank_loses_nothing),
        cmocka_unit_test(summary_of_any_rank_is_the_best_there_is),
        cmocka_unit_test(summary_in_halves_is_rounded),
        cmocka_unit_test(summary_orders_the_cross_covariance),
        cmocka_unit_test(summary_of_nothing_dropped_is_empty),
        cmocka_unit_test(summary_of_one_token_is_the_token),
        cmocka_unit_test(summary_of_one_dimension_is_a_number),
        cmocka_unit_test(summary_of_wide_values_stays_in_its_workspace),
        cmocka_unit_test(summary_of_a_negative_covariance_has_no_spread),
        cmocka_unit_test(summary_stays_in_its_memory),
        cmocka_unit_test(summary_expand_of_full_rank_is_what_it_was_made_of),
        cmocka_unit_test(summary_expand_adds),
        cmocka_unit_test(summary_expand_reads_what_is_stored),
        cmocka_unit_test(summary_expand_of_nothing_adds_nothing),
        cmocka_unit_test(summary_of_rounds_is_that_of_all),
    };

    return RUN(tests);
}
