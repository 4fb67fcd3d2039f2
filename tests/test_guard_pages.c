/*
 * test_guard_pages.c - no kernel touches what is not its own
 *
 * Usage: test_guard_pages [--figures]
 *
 * Every entry of the table, on every tier and for every type, at every length
 * up to four vectors and one: inputs are on pages that can only be read, and
 * what ends or begins where these do is followed by pages that cannot be
 * touched.  Results are those of the scalar kernels on plain memory.  With
 * --figures at more places, and calls are counted aloud.
 */
#include "guard_pages.h"

#include <inttypes.h>
#include <stdio.h>

/* ---- Rows ---------------------------------------------------------------- */

static void try_row_max(const trial *t)
{
    check_result(t, (double)t->tier->row_max[t->dtype](numbers_of(t, 0), t->n),
                 (double)t->scalar->row_max[t->dtype](numbers[t->dtype], t->n));
}

TEST(row_max_stays_inside)
{
    try_tiers(MAX_LENGTH, CSP__N_DTYPES, try_row_max);
}

static void try_exp_row(const trial *t)
{
    float e[MAX_LENGTH], before[MAX_LENGTH];
    const double sum =
        t->scalar->exp_row[t->dtype](numbers[t->dtype], t->n, 3, e);

    fill(before, t->n);
    float *got = output_of(t, 0, before);
    check_result(t, t->tier->exp_row[t->dtype](numbers_of(t, 0), t->n, 3, got),
                 sum);
    check_floats(t, 0, e);
    if (t->dtype != CSP_F32)
        return;
    memcpy(before, numbers[CSP_F32], t->n * sizeof *before);
    got = output_of(t, 0, before);
    check_result(t, t->tier->exp_row[CSP_F32](got, t->n, 3, got), sum);
    check_floats(t, 0, e);
}

TEST(exp_row_stays_inside_in_place_too)
{
    try_tiers(MAX_LENGTH, CSP__N_DTYPES, try_exp_row);
}

static void try_weigh_row(const trial *t)
{
    float e[MAX_LENGTH], sums[MAX_LENGTH];
    fill(e, t->n);
    fill(sums, t->n);
    float *got_e = output_of(t, 0, e), *got_sums = output_of(t, 1, sums);

    const double sum = t->scalar->weigh_row[t->dtype](numbers[t->dtype], t->n,
                                                      -5, 0.3f, e, sums);
    check_result(t,
                 t->tier->weigh_row[t->dtype](numbers_of(t, 0), t->n, -5, 0.3f,
                                              got_e, got_sums),
                 sum);

    check_floats(t, 0, e);
    check_floats(t, 1, sums);
}

TEST(weigh_row_stays_inside)
{
    try_tiers(MAX_LENGTH, CSP__N_DTYPES, try_weigh_row);
}

/* Finite ones: infinities have no sum to compare. */
static void try_add_row(const trial *t)
{
    float x[MAX_LENGTH], sums[MAX_LENGTH];
    unsigned char bytes[4 * MAX_LENGTH];
    fill(x, t->n);
    fill(sums, t->n);
    t->scalar->store[t->dtype](x, 3.0f, t->n, bytes);
    const void *row = put(&in[0], &t->at, bytes, t->n * t->size, 1);
    float *got = output_of(t, 0, sums);

    const double sum = t->scalar->add_row[t->dtype](bytes, t->n, 0.7f, sums);
    check_result(t, t->tier->add_row[t->dtype](row, t->n, 0.7f, got), sum);

    check_floats(t, 0, sums);
}

TEST(add_row_stays_inside)
{
    try_tiers(MAX_LENGTH, CSP__N_DTYPES, try_add_row);
}

static void try_load(const trial *t)
{
    float y[MAX_LENGTH], before[MAX_LENGTH];
    fill(before, t->n);
    float *got = output_of(t, 0, before);

    t->scalar->load[t->dtype](numbers[t->dtype], t->n, y);
    t->tier->load[t->dtype](numbers_of(t, 0), t->n, got);
    n_calls++;

    check_floats(t, 0, y);
}

TEST(load_stays_inside)
{
    try_tiers(MAX_LENGTH, CSP__N_DTYPES, try_load);
}

static void try_store(const trial *t)
{
    const size_t size = t->n * t->size;
    float y[MAX_LENGTH];
    unsigned char bytes[4 * MAX_LENGTH];
    fill(y, t->n);
    unsigned char *got =
        put_output(&out[0], &t->at, numbers[t->dtype], size, 1);

    t->scalar->store[t->dtype](y, 1.7f, t->n, bytes);
    t->tier->store[t->dtype](floats_of(t, 0, y), 1.7f, t->n, got);
    n_calls++;

    check_output(t, 0, bytes, size, 1);
}

TEST(store_stays_inside)
{
    try_tiers(MAX_LENGTH, CSP__N_DTYPES, try_store);
}

static void try_pass_over(const trial *t)
{
    t->tier->pass_over(nowhere(&in[0]), t->n * t->size);
    t->tier->pass_over(in[0].view + SLOT_SIZE - t->n, 64 * t->n);
    n_calls += 2;
}

TEST(pass_over_touches_nothing)
{
    try_tiers(MAX_LENGTH, 1, try_pass_over);
}

/* ---- Others -------------------------------------------------------------- */

TEST(sum_and_all_finite_and_add_squares_stay_inside)
{
    try_tiers(MAX_KEYS, 1, try_floats);
}

TEST(order_stays_inside)
{
    try_tiers(MAX_KEYS, 1, try_order);
}

TEST(count_at_least_and_reach_stay_inside)
{
    try_tiers(MAX_KEYS, 1, try_keys);
}

TEST(narrow_stays_inside_in_place_too)
{
    try_tiers(MAX_KEYS, 1, try_narrow);
}

TEST(product_stays_inside)
{
    try_tiers(MAX_LENGTH, 1, try_products);
}

TEST(gather_stays_inside_in_place_too)
{
    try_tiers(MAX_LENGTH, 1, try_cells);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(row_max_stays_inside),
        cmocka_unit_test(exp_row_stays_inside_in_place_too),
        cmocka_unit_test(weigh_row_stays_inside),
        cmocka_unit_test(add_row_stays_inside),
        cmocka_unit_test(load_stays_inside),
        cmocka_unit_test(store_stays_inside),
        cmocka_unit_test(pass_over_touches_nothing),
        cmocka_unit_test(sum_and_all_finite_and_add_squares_stay_inside),
        cmocka_unit_test(order_stays_inside),
        cmocka_unit_test(count_at_least_and_reach_stay_inside),
        cmocka_unit_test(narrow_stays_inside_in_place_too),
        cmocka_unit_test(product_stays_inside),
        cmocka_unit_test(gather_stays_inside_in_place_too),
    };

    all_places = argc > 1 && strcmp(argv[1], "--figures") == 0;
    const int failed =
        cmocka_run_group_tests_name("guard_pages", tests, set_up_slots, NULL);
    if (all_places)
        printf("tiers: scalar%s%s%s\nfigure guard_page_calls %" PRIu64 "\n",
               csp_has_tier(CSP_TIER_AVX2) ? ", avx2" : "",
               csp_has_tier(CSP_TIER_AVX512) ? ", avx512" : "",
               csp_has_tier(CSP_TIER_NEON) ? ", neon" : "", n_calls);
    return failed != 0;
}
