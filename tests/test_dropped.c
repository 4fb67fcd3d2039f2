/*
 * test_dropped.c - the rows that a selection does not keep
 */
#include "test.h"

#include "dropped.h"

enum { KEYS = 6, MOST = 8 };

/* Dropped rows of a KV head against a list. */
static void assert_dropped(const csp_tokens *tokens, const csp_kept *kept,
                           uint32_t g, const uint32_t *expected, size_t n)
{
    csp__dropped d = csp__dropped_rows(tokens, kept, g);
    uint32_t row = 77;

    for (size_t i = 0; i < n; i++) {
        assert_true(csp__next_dropped(&d, &row));
        assert_int_equal(row, expected[i]);
    }
    row = 77;
    assert_false(csp__next_dropped(&d, &row));
    assert_false(csp__next_dropped(&d, &row)); /* and stays at the end */
    assert_int_equal(row, 77);
}

TEST(dropped_rows_are_those_between_kept_ones)
{
    uint32_t rows[] = {1, 2, 4}, counts[] = {3};
    const uint32_t expected[] = {0, 3, 5};
    const csp_tokens tokens = {.n_kv_heads = 1, .n_keys = KEYS};
    const csp_kept kept = {
        .rows = rows, .counts = counts, .n_lists = 1, .capacity = 3};

    assert_dropped(&tokens, &kept, 0, expected, COUNT(expected));
}

TEST(dropped_rows_of_kept_ends_lie_between)
{
    uint32_t rows[] = {0, 5}, counts[] = {2};
    const uint32_t expected[] = {1, 2, 3, 4};
    const csp_tokens tokens = {.n_kv_heads = 1, .n_keys = KEYS};
    const csp_kept kept = {
        .rows = rows, .counts = counts, .n_lists = 1, .capacity = 2};

    assert_dropped(&tokens, &kept, 0, expected, COUNT(expected));
}

TEST(dropped_rows_of_nothing_kept_are_all)
{
    uint32_t counts[] = {0};
    const uint32_t expected[] = {0, 1, 2, 3, 4, 5};
    const csp_tokens tokens = {.n_kv_heads = 1, .n_keys = KEYS};
    const csp_kept kept = {.counts = counts, .n_lists = 1};

    assert_dropped(&tokens, &kept, 0, expected, COUNT(expected));
}

TEST(dropped_rows_of_all_kept_are_none)
{
    uint32_t rows[] = {0, 1, 2, 3, 4, 5}, counts[] = {KEYS};
    const csp_tokens tokens = {.n_kv_heads = 1, .n_keys = KEYS};
    const csp_kept kept = {
        .rows = rows, .counts = counts, .n_lists = 1, .capacity = KEYS};

    assert_dropped(&tokens, &kept, 0, NULL, 0);
}

TEST(dropped_rows_of_no_rows_are_none)
{
    uint32_t counts[] = {0};
    const csp_tokens tokens = {.n_kv_heads = 1};
    const csp_kept kept = {.counts = counts, .n_lists = 1};

    assert_dropped(&tokens, &kept, 0, NULL, 0);
}

/* Rows beyond a head's count are not there, so they are not dropped. */
TEST(dropped_rows_end_with_the_rows_in_use)
{
    uint32_t rows[2 * MOST] = {0, 2, [MOST] = 3}, counts[] = {2, 1};
    uint32_t in_use[] = {3, 5};
    const uint32_t first[] = {1}, second[] = {0, 1, 2, 4};
    const csp_tokens tokens = {
        .n_kv_heads = 2, .n_keys = KEYS, .counts = in_use};
    const csp_kept kept = {
        .rows = rows, .counts = counts, .n_lists = 2, .capacity = MOST};

    assert_dropped(&tokens, &kept, 0, first, COUNT(first));
    assert_dropped(&tokens, &kept, 1, second, COUNT(second));
}

TEST(dropped_rows_of_a_shared_list_are_each_heads)
{
    uint32_t rows[] = {1, 2}, counts[] = {2}, in_use[] = {3, 5};
    const uint32_t first[] = {0}, second[] = {0, 3, 4};
    const csp_tokens tokens = {
        .n_kv_heads = 2, .n_keys = KEYS, .counts = in_use};
    const csp_kept kept = {
        .rows = rows, .counts = counts, .n_lists = 1, .capacity = 2};

    assert_dropped(&tokens, &kept, 0, first, COUNT(first));
    assert_dropped(&tokens, &kept, 1, second, COUNT(second));
}

/* Positions say which token a row holds, not which row it is. */
TEST(dropped_rows_are_rows_not_tokens)
{
    uint32_t rows[] = {1}, counts[] = {1};
    const uint32_t positions[] = {10, 20, 30}, expected[] = {0, 2};
    const csp_tokens tokens = {.n_kv_heads = 1,
                               .n_keys = 3,
                               .n_tokens = 40,
                               .positions = positions,
                               .capacity = 3};
    const csp_kept kept = {
        .rows = rows, .counts = counts, .n_lists = 1, .capacity = 1};

    assert_dropped(&tokens, &kept, 0, expected, COUNT(expected));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dropped_rows_are_those_between_kept_ones),
        cmocka_unit_test(dropped_rows_of_kept_ends_lie_between),
        cmocka_unit_test(dropped_rows_of_nothing_kept_are_all),
        cmocka_unit_test(dropped_rows_of_all_kept_are_none),
        cmocka_unit_test(dropped_rows_of_no_rows_are_none),
        cmocka_unit_test(dropped_rows_end_with_the_rows_in_use),
        cmocka_unit_test(dropped_rows_of_a_shared_list_are_each_heads),
        cmocka_unit_test(dropped_rows_are_rows_not_tokens),
    };

    return RUN(tests);
}
