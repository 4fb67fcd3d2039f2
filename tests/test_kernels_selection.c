/*
 * test_kernels_selection.c - the inner loops of selection, on every tier
 *
 * Inputs end at a guard page.  What is expected is written out plainly here.
 */
#include "bits.h"
#include "config.h"
#include "kernels_fixture.h"
#include "random.h"

/* On each tier of this CPU and length. */
static void for_lengths(void (*run)(const csp__kernels *k, size_t n))
{
    for (size_t t = 0; t < COUNT(tiers); t++) {
        if (!csp_has_tier(tiers[t]))
            continue;
        const csp__kernels k = kernels_of(tiers[t]);
        for (size_t n = 0; n <= 200; n++)
            run(&k, n);
        for (size_t i = 0; i < COUNT(long_rows); i++)
            run(&k, long_rows[i]);
    }
}

/* Keys of few values, so that many are equal, and of all sizes. */
static guarded draw_keys(size_t n)
{
    random_source random = {n};
    uint32_t keys[MAX_N];

    for (size_t i = 0; i < n; i++)
        keys[i] = random_chance(&random, 50)
                      ? (uint32_t)random_bits(&random)
                      : random_below(&random, 4) * 0x55555555u;
    return guard(keys, n * sizeof *keys);
}

static void check_counts(const csp__kernels *k, size_t n)
{
    guarded memory = draw_keys(n);
    make_read_only(&memory);
    const uint32_t *keys = (const uint32_t *)(const void *)memory.data;

    for (size_t t = 0; t < n && t < 9; t++) {
        size_t expected = 0;
        for (size_t i = 0; i < n; i++)
            expected += keys[i] >= keys[t];
        assert_int_equal(k->count_at_least(keys, n, keys[t]), expected);
    }
    assert_int_equal(k->count_at_least(keys, n, 0), n);
    unguard(&memory);
}

TEST(count_at_least_counts_unsigned)
{
    for_lengths(check_counts);
}

static void check_reach(const csp__kernels *k, size_t n)
{
    guarded memory = draw_keys(n);
    make_read_only(&memory);
    const uint32_t *keys = (const uint32_t *)(const void *)memory.data;
    guarded words = guard(NULL, csp__words(n) * sizeof(uint64_t));
    uint64_t *bits = (uint64_t *)(void *)words.data;
    const uint32_t threshold = n > 0 ? keys[n / 2] : 1;

    k->reach(keys, n, threshold, bits);

    for (size_t i = 0; i < 64 * csp__words(n); i++)
        assert_int_equal(bits[i / 64] >> i % 64 & 1,
                         i < n && keys[i] >= threshold);
    unguard(&words);
    unguard(&memory);
}

TEST(reach_sets_the_bits_of_keys_and_no_others)
{
    for_lengths(check_reach);
}

static void check_narrow(const csp__kernels *k, size_t n)
{
    const uint32_t low = 0x20000000u, high = 0xaaaaaaaau;
    guarded memory = draw_keys(n);
    uint32_t *keys = (uint32_t *)(void *)memory.data;
    guarded output = guard(NULL, n * sizeof *keys);
    uint32_t *out = (uint32_t *)(void *)output.data;
    uint32_t expected[MAX_N];
    size_t n_expected = 0;
    for (size_t i = 0; i < n; i++)
        if (keys[i] >= low && keys[i] <= high)
            expected[n_expected++] = keys[i];

    assert_int_equal(k->narrow(keys, n, low, high, out), n_expected);
    assert_memory_equal(out, expected, n_expected * sizeof *out);
    assert_int_equal(k->narrow(keys, n, low, high, keys), n_expected);
    assert_memory_equal(keys, expected, n_expected * sizeof *out);
    assert_int_equal(k->narrow(out, n_expected, 0, UINT32_MAX, out),
                     n_expected);
    assert_memory_equal(out, expected, n_expected * sizeof *out);

    unguard(&output);
    unguard(&memory);
}

TEST(narrow_keeps_a_range_in_order_in_place_too)
{
    for_lengths(check_narrow);
}

static void check_order(const csp__kernels *k, size_t n)
{
    static const float odd[] = {0.0f, -0.0f, 0.0f,     -0.0f,
                                NAN,  -NAN,  INFINITY, -INFINITY};
    random_source random = {n};
    float numbers[2][MAX_N];
    for (size_t i = 0; i < n; i++)
        for (int j = 0; j < 2; j++)
            numbers[j][i] = random_chance(&random, 40)
                                ? odd[random_below(&random, COUNT(odd))]
                                : (float)random_normal(&random);
    guarded a = guard(numbers[0], n * sizeof(float));
    guarded b = guard(numbers[1], n * sizeof(float));
    guarded output = guard(NULL, n * sizeof(uint32_t));
    const float *x = (const float *)(const void *)a.data;
    const float *y = (const float *)(const void *)b.data;
    uint32_t *keys = (uint32_t *)(void *)output.data;

    k->order(x, y, n, keys);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(keys[i], csp__order_of(x[i] + y[i]));
    k->order(x, NULL, n, keys);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(keys[i], csp__order_of(x[i]));

    unguard(&output);
    unguard(&b);
    unguard(&a);
}

TEST(order_is_that_of_floats)
{
    for_lengths(check_order);
}

static void check_sum(const csp__kernels *k, size_t n)
{
    random_source random = {n};
    float numbers[MAX_N];
    for (size_t i = 0; i < n; i++)
        numbers[i] = (float)random_normal(&random);
    guarded row = guard(numbers, n * sizeof(float));

    assert_true(k->sum((const float *)(const void *)row.data, n) ==
                sum_in_blocks(numbers, n));

    unguard(&row);
}

TEST(sum_is_in_blocks)
{
    for_lengths(check_sum);
}

static void check_finite(const csp__kernels *k, size_t n)
{
    static const float odd[] = {NAN, -NAN, INFINITY, -INFINITY};
    guarded row = guard(NULL, n * sizeof(float));
    float *x = (float *)(void *)row.data;
    for (size_t i = 0; i < n; i++)
        x[i] = i % 2 != 0 ? FLT_MAX : -0x1p-149f;

    assert_true(k->all_finite(x, n));
    for (size_t i = 0; i < n; i++) {
        const float number = x[i];
        x[i] = odd[i % COUNT(odd)];
        assert_false(k->all_finite(x, n));
        x[i] = number;
    }

    unguard(&row);
}

TEST(all_finite_finds_one_odd_number_anywhere)
{
    for_lengths(check_finite);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(count_at_least_counts_unsigned),
        cmocka_unit_test(reach_sets_the_bits_of_keys_and_no_others),
        cmocka_unit_test(narrow_keeps_a_range_in_order_in_place_too),
        cmocka_unit_test(order_is_that_of_floats),
        cmocka_unit_test(sum_is_in_blocks),
        cmocka_unit_test(all_finite_finds_one_odd_number_anywhere),
    };
    return RUN(tests);
}
