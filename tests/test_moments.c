/*
 * test_moments.c - sums over dropped tokens (E11)
 *
 * Compared with sums in double, one token after the other.
 */
#include "moments_fixture.h"

/* ---- Which tokens -------------------------------------------------------- */

TEST(moments_are_sums_over_dropped_tokens)
{
    fixture *f = set_up();

    assert_ok(add(f));

    assert_true(f->sums.count[0] > 512.0);
    assert_sums(f);
}

TEST(moments_take_a_shared_list)
{
    fixture *f = set_up();
    f->kept.n_lists = 1;

    assert_ok(add(f));

    assert_true(f->sums.count[0] == f->sums.count[1]);
    assert_sums(f);
}

TEST(moments_take_heads_of_different_lengths)
{
    fixture *f = set_up();
    f->tokens.counts = f->in_use;
    f->in_use[0] = 700;
    f->in_use[1] = 0;
    keep(f, 0, 2, 700, 4);
    keep(f, 1, 0, 0, 1);

    assert_ok(add(f));

    assert_true(f->sums.count[1] == 0.0);
    assert_sums(f);
}

TEST(moments_of_nothing_kept_are_those_of_all)
{
    fixture *f = set_up();
    f->counts[0] = f->counts[1] = 0;
    f->kept.rows = NULL;
    f->kept.capacity = 0;

    assert_ok(add(f));

    assert_true(f->sums.count[0] == KEYS);
    assert_sums(f);
}

TEST(moments_of_all_kept_are_nothing)
{
    const room nothing = {.count = {0.0}};
    fixture *f = set_up();
    keep(f, 0, 0, KEYS, 1);
    keep(f, 1, 0, KEYS, 1);

    assert_ok(add(f));

    assert_memory_equal(&f->sums, &nothing, sizeof nothing);
}

TEST(moments_of_zeros_are_zero)
{
    fixture *f = set_up_around(0.0f, 0.0f);
    const room nothing = {.count = {0.0}};

    assert_ok(add(f));

    assert_true(f->sums.count[0] > 0.0);
    memset(f->sums.count, 0, sizeof f->sums.count);
    assert_memory_equal(&f->sums, &nothing, sizeof nothing);
}

TEST(moments_of_no_keys_are_nothing)
{
    const room nothing = {.count = {0.0}};
    fixture *f = set_up();
    f->tokens.n_keys = f->counts[0] = f->counts[1] = 0;
    f->keys = csp_tensor_packed(NULL, CSP_F32, KV_HEADS, 0, KEY_DIM);
    f->values = csp_tensor_packed(NULL, CSP_F32, KV_HEADS, 0, VALUE_DIM);

    assert_ok(add(f));

    assert_memory_equal(&f->sums, &nothing, sizeof nothing);
}

TEST(moments_of_every_number_of_tokens_around_a_block)
{
    static const uint32_t dropped[] = {1, 2, 511, 512, 513, 1023, 1024, 1025};

    for (size_t i = 0; i < COUNT(dropped); i++) {
        fixture *f = set_up();
        keep(f, 0, dropped[i], KEYS, 1);
        keep(f, 1, 0, KEYS - dropped[i], 1);
        assert_ok(add(f));
        assert_true(f->sums.count[0] == dropped[i]);
        assert_sums(f);
    }
}

/* Of two rounds: what the first kept, the second sees as rows 0, 1, 2... */
TEST(moments_of_rounds_add_up)
{
    fixture *f = set_up();
    room expected = {.count = {0.0}}, magnitude = {.count = {0.0}};
    add_dropped(f, false, &expected);
    assert_ok(add(f));
    keep(f, 0, 0, KEYS, 2);
    keep(f, 1, 7, KEYS, 2);
    add_dropped(f, false, &expected);
    add_dropped(f, true, &magnitude);

    assert_ok(add(f));

    assert_within(f->sums.count, expected.count, magnitude.count,
                  COUNT(expected.count), 0.0);
    assert_within(f->sums.key_key, expected.key_key, magnitude.key_key,
                  COUNT(expected.key_key), 6e-7);
    assert_within(f->sums.value, expected.value, magnitude.value,
                  COUNT(expected.value), 1e-14);
}

TEST(moments_of_parts_of_a_cache_add_up)
{
    fixture *f = set_up();
    f->kept.rows = NULL;
    f->kept.capacity = f->counts[0] = f->counts[1] = 0;
    f->keys.head_stride = KEYS * f->keys.row_stride;
    f->tokens.n_keys = 800;
    assert_ok(add(f));
    f->tokens.n_keys = KEYS - 800;
    f->keys.data = f->key_numbers + 800 * KEY_DIM;
    f->values.data = f->value_numbers + 800 * VALUE_DIM;
    f->keys.n_rows = f->values.n_rows = KEYS - 800;
    assert_ok(add(f));

    f->keys.data = f->key_numbers;
    f->values.data = f->value_numbers;
    f->tokens.n_keys = KEYS;
    assert_sums(f);
}

/* ---- Numbers ------------------------------------------------------------- */

TEST(moments_take_halves)
{
    static uint16_t keys[KV_HEADS * KEYS * KEY_DIM];
    static uint16_t values[KV_HEADS * KEYS * VALUE_DIM];

    for (int k = CSP_F16; k <= CSP_BF16; k++)
        for (int v = CSP_F16; v <= CSP_BF16; v++) {
            fixture *f = set_up();
            for (size_t i = 0; i < COUNT(keys); i++)
                oracle_encode((double)f->key_numbers[i], (csp_dtype)k,
                              keys + i);
            for (size_t i = 0; i < COUNT(values); i++)
                oracle_encode((double)f->value_numbers[i], (csp_dtype)v,
                              values + i);
            f->keys =
                csp_tensor_packed(keys, (csp_dtype)k, KV_HEADS, KEYS, KEY_DIM);
            f->values = csp_tensor_packed(values, (csp_dtype)v, KV_HEADS, KEYS,
                                          VALUE_DIM);
            assert_ok(add(f));
            assert_sums(f);
        }
}

/* Values [head][channel][token], keys [token][head][channel]. */
TEST(moments_take_any_layout)
{
    static float keys[KV_HEADS * KEYS * KEY_DIM];
    static float values[KV_HEADS * KEYS * VALUE_DIM];
    fixture *f = set_up();
    for (size_t i = 0; i < COUNT(keys); i++) {
        const size_t g = i / (KEYS * KEY_DIM), t = i / KEY_DIM % KEYS;
        keys[(t * KV_HEADS + g) * KEY_DIM + i % KEY_DIM] = f->key_numbers[i];
    }
    for (size_t i = 0; i < COUNT(values); i++) {
        const size_t g = i / (KEYS * VALUE_DIM), t = i / VALUE_DIM % KEYS;
        values[(g * VALUE_DIM + i % VALUE_DIM) * KEYS + t] =
            f->value_numbers[i];
    }
    assert_ok(add(f));
    const room packed = f->sums;
    memset(&f->sums, 0, sizeof f->sums);
    guarded key_memory = guard(keys, sizeof keys);
    guarded value_memory = guard(values, sizeof values);
    make_read_only(&key_memory);
    make_read_only(&value_memory);
    f->keys = (csp_tensor){
        key_memory.data,        CSP_F32, KV_HEADS, KEYS, KEY_DIM, 4 * KEY_DIM,
        4 * KV_HEADS * KEY_DIM, 4};
    f->values =
        (csp_tensor){value_memory.data,    CSP_F32, KV_HEADS, KEYS, VALUE_DIM,
                     4 * VALUE_DIM * KEYS, 4,       4 * KEYS};

    assert_ok(add(f));

    assert_memory_equal(&f->sums, &packed, sizeof packed);
    unguard(&key_memory);
    unguard(&value_memory);
}

/* Covariance of keys i and j from sums, and from the tokens around their
   mean. */
static double covariance(const room *s, size_t g, size_t i, size_t j)
{
    const double n = s->count[g];
    const double *key = s->key + g * KEY_DIM;

    return s->key_key[(g * KEY_DIM + i) * KEY_DIM + j] / n -
           key[i] / n * (key[j] / n);
}

static double true_covariance(const fixture *f, uint32_t g, size_t i, size_t j)
{
    double n = 0.0, mean_i = 0.0, mean_j = 0.0, sum = 0.0;

    for (uint32_t t = 0; t < KEYS; t++)
        if (!is_kept(f, g, t)) {
            n += 1.0;
            mean_i += number_at(&f->keys, g, t, i);
            mean_j += number_at(&f->keys, g, t, j);
        }
    mean_i /= n;
    mean_j /= n;
    for (uint32_t t = 0; t < KEYS; t++)
        if (!is_kept(f, g, t))
            sum += (number_at(&f->keys, g, t, i) - mean_i) *
                   (number_at(&f->keys, g, t, j) - mean_j);
    return sum / n;
}

/* In float, 100^2 would leave nothing of 0.01^2. */
TEST(moments_of_a_large_common_mean_keep_the_covariance)
{
    fixture *f = set_up_around(100.0f, 0.01f);

    assert_ok(add(f));

    for (uint32_t g = 0; g < KV_HEADS; g++)
        for (size_t i = 0; i < KEY_DIM; i++)
            for (size_t j = 0; j <= i; j++)
                assert_true(fabs(covariance(&f->sums, g, i, j) -
                                 true_covariance(f, g, i, j)) < 1e-6 * 1e-4);
}

TEST(moments_take_numbers_up_to_the_largest)
{
    fixture *f = set_up();
    for (size_t i = 0; i < COUNT(f->key_numbers); i++)
        f->key_numbers[i] = f->key_numbers[i] < 0.0f ? -0x1p58f : 0x1p58f;
    for (size_t i = 0; i < COUNT(f->value_numbers); i++)
        f->value_numbers[i] = f->value_numbers[i] < 0.0f ? -0x1p58f : 0x1p58f;

    assert_ok(add(f));

    assert_sums(f);
}

TEST(moments_read_nothing_that_is_kept_or_not_in_use)
{
    fixture *f = set_up();
    f->tokens.counts = f->in_use;
    f->in_use[0] = f->in_use[1] = 1000;
    keep(f, 0, 1, 1000, 3);
    keep(f, 1, 0, 1000, 5);
    for (size_t i = 0; i < KEY_DIM; i++)
        f->key_numbers[1 * KEY_DIM + i] = f->key_numbers[1000 * KEY_DIM + i] =
            NAN;
    for (size_t i = 0; i < VALUE_DIM; i++)
        f->value_numbers[4 * VALUE_DIM + i] =
            f->value_numbers[(2 * KEYS - 1) * VALUE_DIM + i] = INFINITY;

    assert_ok(add(f));

    assert_sums(f);
}

TEST(moments_on_every_tier_are_the_same)
{
    static const csp_tier tiers[] = {CSP_TIER_AUTO, CSP_TIER_AVX2,
                                     CSP_TIER_AVX512, CSP_TIER_NEON};
    fixture *f = set_up();
    f->compute.tier = CSP_TIER_SCALAR;
    assert_ok(add(f));
    const room scalar = f->sums;

    for (size_t i = 0; i < COUNT(tiers); i++) {
        if (!csp_has_tier(tiers[i]))
            continue;
        f->compute.tier = tiers[i];
        memset(&f->sums, 0, sizeof f->sums);
        assert_ok(add(f));
        assert_memory_equal(&f->sums, &scalar, sizeof scalar);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moments_are_sums_over_dropped_tokens),
        cmocka_unit_test(moments_take_a_shared_list),
        cmocka_unit_test(moments_take_heads_of_different_lengths),
        cmocka_unit_test(moments_of_nothing_kept_are_those_of_all),
        cmocka_unit_test(moments_of_all_kept_are_nothing),
        cmocka_unit_test(moments_of_zeros_are_zero),
        cmocka_unit_test(moments_of_no_keys_are_nothing),
        cmocka_unit_test(moments_of_every_number_of_tokens_around_a_block),
        cmocka_unit_test(moments_of_rounds_add_up),
        cmocka_unit_test(moments_of_parts_of_a_cache_add_up),
        cmocka_unit_test(moments_take_halves),
        cmocka_unit_test(moments_take_any_layout),
        cmocka_unit_test(moments_of_a_large_common_mean_keep_the_covariance),
        cmocka_unit_test(moments_take_numbers_up_to_the_largest),
        cmocka_unit_test(moments_read_nothing_that_is_kept_or_not_in_use),
        cmocka_unit_test(moments_on_every_tier_are_the_same),
    };

    return RUN(tests);
}
