/*
 * test_layers.c - budgets in proportion, within bounds, to the row
 */
#include "test.h"

#include "layers.h"
#include "random.h"

enum { MAX_N = 40, N_CASES = 3000 };

/* ---- In proportion ------------------------------------------------------- */

static double clamped(const csp__share *s, double level)
{
    const double part = level * s->weight;

    return part < (double)s->low    ? (double)s->low
           : part > (double)s->high ? (double)s->high
                                    : part;
}

static double sum_at(const csp__share *shares, uint32_t n, double level)
{
    double sum = 0.0;

    for (uint32_t i = 0; i < n; i++)
        sum += clamped(&shares[i], level);
    return sum;
}

/* The level at which layers take level * weight rows within their bounds, by
   bisection. */
static double find_level(const csp__share *shares, uint32_t n, double total)
{
    double low = 0.0, high = 1e12;

    for (int i = 0; i < 200; i++) {
        const double middle = 0.5 * (low + high);
        if (sum_at(shares, n, middle) < total)
            low = middle;
        else
            high = middle;
    }
    return high;
}

/* Each layer has its part rounded down or up; up are those that rounding down
   would take most from, the first of equals. */
static void check_rounding(const csp__share *shares, uint32_t n, double level)
{
    for (uint32_t i = 0; i < n; i++) {
        const double part = clamped(&shares[i], level);
        assert_true(fabs((double)shares[i].rows - part) < 1.0 + 1e-6);
        for (uint32_t j = 0; j < n; j++) {
            const double other = clamped(&shares[j], level);
            const bool up = (double)shares[i].rows > part + 1e-6;
            const bool down = (double)shares[j].rows < other - 1e-6;
            if (!up || !down)
                continue;
            assert_true(part - floor(part) > other - floor(other) - 1e-6);
            if (shares[i].weight == shares[j].weight && part == other)
                assert_true(i < j);
        }
    }
}

static uint64_t draw_shares(random_source *random, csp__share *shares,
                            uint32_t n)
{
    const uint32_t levels = random_chance(random, 30) ? 3 : 1000;
    uint64_t low = 0, high = 0;

    for (uint32_t i = 0; i < n; i++) {
        shares[i] = (csp__share){.low = random_below(random, 20)};
        shares[i].high = shares[i].low + random_below(random, 200);
        shares[i].weight = (double)(1 + random_below(random, levels)) / 7.0;
        low += shares[i].low;
        high += shares[i].high;
    }
    return low + random_below(random, (uint32_t)(high - low) + 1);
}

TEST(apportion_of_random_weights_is_that_of_a_bisection)
{
    random_source random = {11};

    for (uint32_t c = 0; c < N_CASES; c++) {
        csp__share shares[MAX_N];
        const uint32_t n = random_between(&random, 1, MAX_N);
        const uint64_t total = draw_shares(&random, shares, n);
        uint64_t sum = 0;

        csp__apportion(shares, n, total);

        for (uint32_t i = 0; i < n; i++) {
            assert_in_range(shares[i].rows, shares[i].low, shares[i].high);
            sum += shares[i].rows;
        }
        assert_true(sum == total);
        check_rounding(shares, n, find_level(shares, n, (double)total));
    }
}

static void expect_rows(csp__share *shares, uint32_t n, uint64_t total,
                        const uint32_t *rows)
{
    csp__apportion(shares, n, total);
    for (uint32_t i = 0; i < n; i++)
        assert_int_equal(shares[i].rows, rows[i]);
}

TEST(apportion_gives_odd_rows_to_the_first_of_equals)
{
    csp__share shares[] = {{.weight = 0.1, .high = 9},
                           {.weight = 0.1, .high = 9},
                           {.weight = 0.1, .high = 9}};

    expect_rows(shares, 3, 8, (const uint32_t[]){3, 3, 2});
}

TEST(apportion_without_weights_is_even)
{
    csp__share shares[] = {{.high = 9}, {.low = 4, .high = 9}, {.high = 9}};

    expect_rows(shares, 3, 6, (const uint32_t[]){1, 4, 1});
    shares[0].weight = 1.0; /* takes all, up to its bound */
    expect_rows(shares, 3, 19, (const uint32_t[]){9, 5, 5});
}

TEST(apportion_holds_bounds_on_both_sides)
{
    csp__share shares[] = {{.weight = 100.0, .high = 10},
                           {.weight = 1.0, .low = 6, .high = 20},
                           {.weight = 2.0, .high = 20},
                           {.weight = 2.0, .high = 20}};

    expect_rows(shares, 4, 30, (const uint32_t[]){10, 6, 7, 7});
    expect_rows(shares, 4, 6, (const uint32_t[]){0, 6, 0, 0});
    expect_rows(shares, 4, 70, (const uint32_t[]){10, 20, 20, 20});
}

TEST(apportion_of_many_rows_is_exact)
{
    csp__share shares[] = {{.weight = 1.0, .high = UINT32_MAX},
                           {.weight = 1.0 / 3.0, .high = UINT32_MAX},
                           {.weight = 1e-9, .high = UINT32_MAX}};
    const uint64_t total = UINT64_C(6000000001);

    csp__apportion(shares, 3, total);

    assert_true((uint64_t)shares[0].rows + shares[1].rows + shares[2].rows ==
                total);
    assert_true(shares[0].rows == UINT32_MAX);
}

/* ---- Weights ------------------------------------------------------------- */

TEST(pyramid_falls_linearly_around_one)
{
    assert_true(csp__pyramid(0, 5, 0.5) == 1.5);
    assert_true(csp__pyramid(1, 5, 0.5) == 1.25);
    assert_true(csp__pyramid(2, 5, 0.5) == 1.0);
    assert_true(csp__pyramid(4, 5, 0.5) == 0.5);
    assert_true(csp__pyramid(0, 1, 0.5) == 1.0);
    assert_true(csp__pyramid(3, 9, 0.0) == 1.0);
}

TEST(density_is_the_share_of_candidates_near_the_largest)
{
    /* Sinks and recent rows do not count, however large they are. */
    const float intra[2][8] = {{99, 8, 0, 1, 0, 4, 99, 99},
                               {99, 1, 1, 1, 1, 1, 99, 99}};
    const float inter[2][8] = {{0, 0, 4, 0, 0, 3, 0, 0}, {0}};
    float a[16], b[16];
    memcpy(a, intra, sizeof a);
    memcpy(b, inter, sizeof b);
    const uint32_t counts[] = {8, 3};
    const csp_importance importance = {.intra = a, .inter = b, .capacity = 8};
    csp_tokens tokens = {.n_kv_heads = 1, .n_keys = 8};
    csp_config config;
    assert_ok(csp_config_init(&config));
    config.sinks = 1;
    config.recent = 2;

    config.layer_threshold = 0.5; /* 8, 4 and 7 reach 4 */
    assert_true(csp__density(&importance, &tokens, &config) == 3.0 / 5.0);
    config.layer_threshold = 1.0;
    assert_true(csp__density(&importance, &tokens, &config) == 1.0 / 5.0);
    tokens.n_kv_heads = 2;
    assert_true(csp__density(&importance, &tokens, &config) ==
                (1.0 / 5.0 + 1.0) / 2.0);
    tokens.counts = counts; /* the second has no candidates */
    assert_true(csp__density(&importance, &tokens, &config) == 1.0 / 5.0);
    config.recent = 7;
    assert_true(csp__density(&importance, &tokens, &config) == 0.0);
}

TEST(density_of_zeros_is_zero)
{
    float none[8] = {0};
    const csp_importance importance = {
        .intra = none, .inter = none, .capacity = 8};
    const csp_tokens tokens = {.n_kv_heads = 1, .n_keys = 8};
    csp_config config;
    assert_ok(csp_config_init(&config));

    assert_true(csp__density(&importance, &tokens, &config) == 0.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(apportion_of_random_weights_is_that_of_a_bisection),
        cmocka_unit_test(apportion_gives_odd_rows_to_the_first_of_equals),
        cmocka_unit_test(apportion_without_weights_is_even),
        cmocka_unit_test(apportion_holds_bounds_on_both_sides),
        cmocka_unit_test(apportion_of_many_rows_is_exact),
        cmocka_unit_test(pyramid_falls_linearly_around_one),
        cmocka_unit_test(density_is_the_share_of_candidates_near_the_largest),
        cmocka_unit_test(density_of_zeros_is_zero),
    };

    return RUN(tests);
}
