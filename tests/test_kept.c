/*
 * test_kept.c - forms of a kept list
 */
#include "test.h"

/* Rows 0, 1, 4, 5, 6 and 9 of 12. */
static const uint32_t kept[] = {0, 1, 4, 5, 6, 9};
#define N_KEPT 6
#define N_KEYS 12

typedef csp_status (*form)(const uint32_t *rows, uint32_t n_kept,
                           uint32_t n_keys, uint32_t capacity, uint32_t *out,
                           uint32_t *n_out);

/* Every form that writes a list, with its elements as numbers. */
static csp_status ranges(const uint32_t *rows, uint32_t n_kept, uint32_t n_keys,
                         uint32_t capacity, uint32_t *out, uint32_t *n_out)
{
    return csp_kept_ranges(rows, n_kept, n_keys, capacity,
                           (csp_range *)(void *)out, n_out);
}

static csp_status gaps(const uint32_t *rows, uint32_t n_kept, uint32_t n_keys,
                       uint32_t capacity, uint32_t *out, uint32_t *n_out)
{
    return csp_dropped_ranges(rows, n_kept, n_keys, capacity,
                              (csp_range *)(void *)out, n_out);
}

static csp_status blocks_of_two(const uint32_t *rows, uint32_t n_kept,
                                uint32_t n_keys, uint32_t capacity,
                                uint32_t *out, uint32_t *n_out)
{
    return csp_kept_blocks(rows, n_kept, n_keys, 2, capacity, out, n_out);
}

static csp_status moves(const uint32_t *rows, uint32_t n_kept, uint32_t n_keys,
                        uint32_t capacity, uint32_t *out, uint32_t *n_out)
{
    return csp_kept_moves(rows, n_kept, n_keys, capacity,
                          (csp_move *)(void *)out, n_out);
}

static const form forms[] = {ranges, gaps, blocks_of_two, moves};
static const uint32_t width[] = {2, 2, 1, 2}; /* numbers of an element */

/* A form of a list, into an array that ends with its last element. */
static void check_form(size_t i, const uint32_t *rows, uint32_t n_kept,
                       uint32_t n_keys, const uint32_t *expected, uint32_t n)
{
    guarded out = guard(NULL, n * width[i] * sizeof(uint32_t));
    uint32_t n_out = 99;

    if (n > 0) {
        assert_status(forms[i](rows, n_kept, n_keys, n - 1,
                               (uint32_t *)(void *)out.data, &n_out),
                      CSP_E_CAPACITY);
        for (size_t b = 0; b < out.size; b++)
            assert_int_equal(out.data[b], GUARD_BYTE);
        assert_int_equal(n_out, 99);
    }
    assert_ok(forms[i](rows, n_kept, n_keys, n, (uint32_t *)(void *)out.data,
                       &n_out));
    assert_int_equal(n_out, n);
    assert_memory_equal(out.data, expected, out.size);
    unguard(&out);
}

TEST(kept_ranges_are_maximal_runs)
{
    const uint32_t expected[] = {0, 2, 4, 7, 9, 10};

    check_form(0, kept, N_KEPT, N_KEYS, expected, 3);
}

TEST(dropped_ranges_are_the_runs_between)
{
    const uint32_t expected[] = {2, 4, 7, 9, 10, 12};
    const uint32_t edges[] = {3};
    const uint32_t around[] = {0, 3, 4, 5};

    check_form(1, kept, N_KEPT, N_KEYS, expected, 3);
    check_form(1, edges, 1, 5, around, 2);
}

TEST(kept_blocks_hold_a_kept_row)
{
    const uint32_t expected[] = {0, 2, 3, 4};

    check_form(2, kept, N_KEPT, N_KEYS, expected, 4);
}

TEST(kept_moves_leave_out_rows_that_stay)
{
    const uint32_t expected[] = {4, 2, 5, 3, 6, 4, 9, 5};

    check_form(3, kept, N_KEPT, N_KEYS, expected, 4);
}

TEST(forms_of_all_rows)
{
    const uint32_t all[] = {0, 1, 2};
    const uint32_t one_range[] = {0, 3};
    const uint32_t two_blocks[] = {0, 1};

    check_form(0, all, 3, 3, one_range, 1);
    check_form(1, all, 3, 3, NULL, 0);
    check_form(2, all, 3, 3, two_blocks, 2);
    check_form(3, all, 3, 3, NULL, 0);
}

TEST(forms_of_no_rows)
{
    const uint32_t everything[] = {0, 5};

    check_form(0, NULL, 0, 5, NULL, 0);
    check_form(1, NULL, 0, 5, everything, 1);
    check_form(2, NULL, 0, 5, NULL, 0);
    check_form(3, NULL, 0, 5, NULL, 0);
}

TEST(forms_of_no_keys)
{
    uint32_t n = 99;

    for (size_t i = 0; i < COUNT(forms); i++) {
        assert_ok(forms[i](NULL, 0, 0, 0, NULL, &n));
        assert_int_equal(n, 0);
    }
    assert_ok(csp_kept_mask(NULL, 0, 0, NULL));
    assert_ok(csp_kept_bits(NULL, 0, 0, NULL));
}

TEST(forms_stay_within_their_bounds)
{
    for (uint32_t set = 0; set < 1u << 10; set++) {
        uint32_t rows[10], out[22], n_kept = 0, n;
        for (uint32_t i = 0; i < 10; i++)
            if (set >> i & 1u)
                rows[n_kept++] = i;
        for (size_t i = 0; i < COUNT(forms); i++)
            assert_ok(forms[i](rows, n_kept, 10, n_kept + (i == 1), out, &n));
    }
}

TEST(forms_refuse_null)
{
    uint32_t out[32], n = 99;

    for (size_t i = 0; i < COUNT(forms); i++) {
        assert_status(forms[i](NULL, 1, N_KEYS, 16, out, &n), CSP_E_NULL);
        assert_status(forms[i](kept, N_KEPT, N_KEYS, 16, NULL, &n), CSP_E_NULL);
        assert_status(forms[i](kept, N_KEPT, N_KEYS, 16, out, NULL),
                      CSP_E_NULL);
    }
    assert_int_equal(n, 99);
}

TEST(forms_refuse_bad_lists)
{
    const uint32_t twice[] = {1, 1}, down[] = {2, 1}, far[] = {1, N_KEYS};
    const uint32_t *const wrong[] = {twice, down, far};

    for (size_t w = 0; w < COUNT(wrong); w++) {
        uint8_t bytes[N_KEYS] = {7, 7, 7};
        for (size_t i = 0; i < COUNT(forms); i++) {
            uint32_t out[8] = {5, 5, 5, 5}, n = 99;
            assert_status(forms[i](wrong[w], 2, N_KEYS, 4, out, &n),
                          CSP_E_INDEX);
            assert_int_equal(n, 99);
            assert_int_equal(out[0] + out[1] + out[2] + out[3], 20);
        }
        assert_status(csp_kept_mask(wrong[w], 2, N_KEYS, bytes), CSP_E_INDEX);
        assert_status(csp_kept_bits(wrong[w], 2, N_KEYS, bytes), CSP_E_INDEX);
        assert_int_equal(bytes[0] + bytes[1] + bytes[2], 21);
    }
}

TEST(forms_refuse_more_rows_than_keys)
{
    uint8_t bytes[4];

    assert_status(csp_kept_mask(kept, N_KEPT, 4, bytes), CSP_E_INDEX);
}

TEST(kept_blocks_refuse_blocks_of_zero)
{
    uint32_t out[N_KEPT], n = 99;

    assert_status(csp_kept_blocks(kept, N_KEPT, N_KEYS, 0, N_KEPT, out, &n),
                  CSP_E_CONFIG);

    assert_int_equal(n, 99);
}

TEST(kept_mask_is_a_byte_a_row)
{
    const uint8_t expected[] = {1, 1, 0, 0, 1, 1, 1, 0, 0, 1, 0, 0};
    guarded mask = guard(NULL, N_KEYS);

    assert_ok(csp_kept_mask(kept, N_KEPT, N_KEYS, mask.data));

    assert_memory_equal(mask.data, expected, N_KEYS);
    unguard(&mask);
}

TEST(kept_bits_of_any_row_are_in_its_byte)
{
    enum { N_ROWS = 40 };

    for (uint32_t row = 0; row < N_ROWS; row++) {
        uint8_t expected[N_ROWS / 8] = {0};
        expected[row / 8] = (uint8_t)(1u << row % 8);
        guarded bits = guard(NULL, sizeof expected);
        assert_ok(csp_kept_bits(&row, 1, N_ROWS, bits.data));
        assert_memory_equal(bits.data, expected, sizeof expected);
        unguard(&bits);
    }
}

TEST(kept_bits_are_a_bit_a_row_and_zero_behind)
{
    for (uint32_t n_keys = 10; n_keys <= 17; n_keys++) {
        const uint8_t expected[] = {0x73, 0x02, 0};
        guarded bits = guard(NULL, (n_keys + 7) / 8);
        assert_ok(csp_kept_bits(kept, N_KEPT, n_keys, bits.data));
        assert_memory_equal(bits.data, expected, bits.size);
        unguard(&bits);
    }
}

TEST(kept_masks_refuse_null)
{
    uint8_t bytes[N_KEYS];

    assert_status(csp_kept_mask(kept, N_KEPT, N_KEYS, NULL), CSP_E_NULL);
    assert_status(csp_kept_bits(kept, N_KEPT, N_KEYS, NULL), CSP_E_NULL);
    assert_status(csp_kept_mask(NULL, 1, N_KEYS, bytes), CSP_E_NULL);
    assert_status(csp_kept_bits(NULL, 1, N_KEYS, bytes), CSP_E_NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kept_ranges_are_maximal_runs),
        cmocka_unit_test(dropped_ranges_are_the_runs_between),
        cmocka_unit_test(kept_blocks_hold_a_kept_row),
        cmocka_unit_test(kept_moves_leave_out_rows_that_stay),
        cmocka_unit_test(forms_of_all_rows),
        cmocka_unit_test(forms_of_no_rows),
        cmocka_unit_test(forms_of_no_keys),
        cmocka_unit_test(forms_stay_within_their_bounds),
        cmocka_unit_test(forms_refuse_null),
        cmocka_unit_test(forms_refuse_bad_lists),
        cmocka_unit_test(forms_refuse_more_rows_than_keys),
        cmocka_unit_test(kept_blocks_refuse_blocks_of_zero),
        cmocka_unit_test(kept_mask_is_a_byte_a_row),
        cmocka_unit_test(kept_bits_of_any_row_are_in_its_byte),
        cmocka_unit_test(kept_bits_are_a_bit_a_row_and_zero_behind),
        cmocka_unit_test(kept_masks_refuse_null),
    };

    return RUN(tests);
}
