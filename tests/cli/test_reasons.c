/*
 * test_reasons.c - reasons against what csp_select says it did
 *
 * csp_select counts the rows that stand in both lists, and its UNION with one
 * empty list is the other list.
 */
#include "reasons.h" /* before cmocka makes fail() a macro */

#include "test.h"

enum { HEADS = 3, MOST = 97 };

static float intra[HEADS * MOST], inter[HEADS * MOST];
static float intra_rows[HEADS * MOST], inter_rows[HEADS * MOST];
static float norms[HEADS * MOST];
static uint32_t rows[HEADS * MOST], counts[HEADS], n_both[HEADS];
static uint8_t reasons[HEADS * MOST];

static const csp_importance importance = {.intra = intra,
                                          .inter = inter,
                                          .intra_rows = intra_rows,
                                          .inter_rows = inter_rows,
                                          .value_norm = norms,
                                          .capacity = MOST};

static uint32_t random_state;

static uint32_t below(uint32_t n)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)(random_state >> 4) * n) >> 28);
}

/* Few distinct values, so that there are ties, and zeros. */
static void fill(uint32_t seed)
{
    random_state = seed;
    for (size_t i = 0; i < HEADS * MOST; i++) {
        intra[i] = (float)below(7) * 0.37f;
        inter[i] = below(3) == 0 ? (float)below(100) * 0.011f : 0.0f;
        intra_rows[i] = (float)below(4);
        inter_rows[i] = (float)below(4);
        norms[i] = (float)below(5) * 0.6f;
    }
}

static csp_config any_config(uint32_t n_keys)
{
    csp_config c;

    assert_ok(csp_config_init(&c));
    c.selection = (csp_selection)below(3);
    c.scope = (csp_scope)below(3);
    c.reduce = (csp_reduce)below(2);
    c.pooling = (csp_pooling)below(3);
    c.pool_width = 1 + 2 * below(4);
    c.weigh_rows = below(2) == 0;
    c.weigh_values = below(2) == 0;
    c.block = below(2) == 0 ? 1 : 1 + below(5);
    c.sinks = below(4);
    c.recent = below(6);
    c.budget = 26 + below(n_keys);
    c.n_inter = below(12);
    c.n_intra = below(12);
    c.auto_share = below(3) == 0;
    return c;
}

static csp_kept select_rows(const csp_tokens *tokens, const csp_config *config)
{
    static max_align_t workspace[1 << 12];
    csp_kept kept = {.rows = rows,
                     .counts = counts,
                     .n_both = n_both,
                     .n_lists =
                         config->scope == CSP_PER_HEAD ? tokens->n_kv_heads : 1,
                     .capacity = MOST};

    assert_ok(csp_select(&importance, tokens, config, workspace,
                         sizeof workspace, &kept));
    return kept;
}

static uint32_t count(const uint8_t *of, uint32_t n, reason which)
{
    uint32_t sum = 0;

    for (uint32_t i = 0; i < n; i++)
        sum += of[i] == which;
    return sum;
}

/* Kept rows have a reason, others none, and as many are in both lists as
   csp_select says. */
static void assert_agrees(const csp_kept *kept, const csp_config *config,
                          uint32_t n, uint32_t seed)
{
    for (uint32_t list = 0; list < kept->n_lists; list++) {
        const uint8_t *of = reasons + (size_t)list * n;
        if (n - count(of, n, REASON_DROPPED) != kept->counts[list])
            fail_msg("seed %u: rows without a reason", seed);
        for (uint32_t i = 0; i < kept->counts[list]; i++)
            assert_int_not_equal(of[rows[list * MOST + i]], REASON_DROPPED);
        if (count(of, n, REASON_BOTH) != n_both[list])
            fail_msg("seed %u: %u in both lists, expected %u", seed,
                     count(of, n, REASON_BOTH), n_both[list]);
        if (config->selection == CSP_UNION)
            assert_int_equal(count(of, n, REASON_FILLED), 0);
    }
}

TEST(reasons_agree_with_the_selection)
{
    for (uint32_t seed = 1; seed <= 3000; seed++) {
        fill(seed);
        const csp_tokens tokens = {.n_kv_heads = HEADS,
                                   .n_keys = 40 + below(MOST - 39)};
        const csp_config config = any_config(tokens.n_keys);
        const csp_kept kept = select_rows(&tokens, &config);

        assert_int_equal(
            reasons_of(&importance, &tokens, &config, &kept, reasons), DONE);

        assert_agrees(&kept, &config, tokens.n_keys, seed);
    }
}

/* A list of the library's own, by a union in which the other is empty. */
static void assert_list(const csp_tokens *tokens, csp_config config,
                        uint32_t n_intra, uint32_t n_inter, reason one)
{
    config.n_intra = n_intra;
    config.n_inter = n_inter;
    const csp_kept kept = select_rows(tokens, &config);
    for (uint32_t list = 0; list < kept.n_lists; list++) {
        const uint8_t *of = reasons + (size_t)list * tokens->n_keys;
        for (uint32_t i = 0; i < kept.counts[list]; i++) {
            const uint8_t why = of[rows[list * MOST + i]];
            assert_true(why == one || why == REASON_BOTH ||
                        why == REASON_PROTECTED);
        }
    }
}

TEST(reasons_of_a_union_are_its_lists)
{
    for (uint32_t seed = 1; seed <= 500; seed++) {
        fill(seed);
        const csp_tokens tokens = {.n_kv_heads = HEADS, .n_keys = MOST};
        csp_config config = any_config(tokens.n_keys);
        config.selection = CSP_UNION;
        config.auto_share = false;
        const csp_kept kept = select_rows(&tokens, &config);

        assert_int_equal(
            reasons_of(&importance, &tokens, &config, &kept, reasons), DONE);

        assert_list(&tokens, config, config.n_intra, 0, REASON_INTRA);
        assert_list(&tokens, config, 0, config.n_inter, REASON_INTER);
    }
}

TEST(reasons_where_the_budget_holds_all_are_protected_or_filled)
{
    csp_config config;
    const csp_tokens tokens = {.n_kv_heads = HEADS, .n_keys = 10};
    fill(1);
    assert_ok(csp_config_init(&config));
    config.budget = 10;
    config.sinks = 2;
    config.recent = 1;
    const csp_kept kept = select_rows(&tokens, &config);

    assert_int_equal(reasons_of(&importance, &tokens, &config, &kept, reasons),
                     DONE);

    assert_int_equal(count(reasons, 10, REASON_PROTECTED), 3);
    assert_int_equal(count(reasons, 10, REASON_FILLED), 7);
}

TEST(reasons_of_rows_without_inter_are_intra_then_filled)
{
    csp_config config;
    const csp_tokens tokens = {.n_kv_heads = 1, .n_keys = 6};
    fill(1);
    for (size_t i = 0; i < 6; i++) {
        intra[i] = i < 2 ? (float)i + 1.0f : 0.0f;
        inter[i] = 0.0f;
    }
    assert_ok(csp_config_init(&config));
    config.budget = 4;
    config.n_inter = 1;
    const csp_kept kept = select_rows(&tokens, &config);

    assert_int_equal(reasons_of(&importance, &tokens, &config, &kept, reasons),
                     DONE);

    assert_int_equal(count(reasons, 6, REASON_INTRA), 2);
    assert_int_equal(count(reasons, 6, REASON_FILLED), 2);
    assert_int_equal(count(reasons, 6, REASON_DROPPED), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reasons_agree_with_the_selection),
        cmocka_unit_test(reasons_of_a_union_are_its_lists),
        cmocka_unit_test(
            reasons_where_the_budget_holds_all_are_protected_or_filled),
        cmocka_unit_test(reasons_of_rows_without_inter_are_intra_then_filled),
    };
    return RUN(tests);
}
