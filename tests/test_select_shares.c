/*
 * test_select_shares.c - heads that share their budgets, and another budget
 */
#include "select_fixture.h"

#include "config.h"

/* Two heads whose scores are intra alone: the first has the larger ones. */
static void set_up_heads(fixture *f, uint32_t budget, double head_floor)
{
    static const float scores[HEADS][KEYS] = {{9, 8, 7, 6, 5, 4, 3, 2},
                                              {8, 1, 1, 1, 1, 1, 1, 1}};
    set_up(f);
    memset(f->inter, 0, sizeof f->inter);
    for (size_t g = 0; g < HEADS; g++)
        set_numbers(f->intra + g * ROOM, scores[g]);
    f->tokens.n_kv_heads = f->kept.n_lists = HEADS;
    f->config.budget = budget;
    f->config.head_floor = head_floor;
}

#define assert_heads_keep(f, n_first, n_second)                                \
    do {                                                                       \
        assert_ok(choose(f));                                                  \
        assert_int_equal((f)->counts[0], n_first);                             \
        assert_int_equal((f)->counts[1], n_second);                            \
    } while (0)

/* ---- Heads that share ---------------------------------------------------- */

TEST(select_of_sharing_heads_follows_importance)
{
    fixture f;
    set_up_heads(&f, 4, 0.0);

    assert_heads_keep(&f, 7, 1);
    f.config.budget = 1; /* 9, then the first head's 8 before the second's */
    assert_heads_keep(&f, 2, 0);
}

TEST(select_of_sharing_heads_keeps_the_floor_of_each)
{
    fixture f;
    set_up_heads(&f, 4, 0.5);
    assert_heads_keep(&f, 6, 2);
    f.config.head_floor = 0.6; /* 2.4 rows are 2, */
    assert_heads_keep(&f, 6, 2);
    f.config.head_floor = 0.625; /* 2.5 are 3 */
    assert_heads_keep(&f, 5, 3);
    f.config.head_floor = 1.0;
    assert_heads_keep(&f, 4, 4);
}

TEST(select_of_sharing_heads_keeps_protected_rows)
{
    fixture f;
    set_up_heads(&f, 4, 0.0);
    f.config.sinks = 1;
    f.config.recent = 2;

    assert_heads_keep(&f, 5, 3);
    assert_int_equal(f.rows[ROOM], 0);
    assert_int_equal(f.rows[ROOM + 1], 6);
    assert_int_equal(f.rows[ROOM + 2], 7);
}

TEST(select_of_sharing_heads_breaks_ties_by_head_then_row)
{
    const float same[KEYS] = {1, 1, 1, 1, 1, 1, 1, 1};
    const uint32_t first[] = {0, 1, 2, 3, 4, 5, 6, 7};
    const uint32_t second[] = {0, 1};
    fixture f;
    set_up_heads(&f, 5, 0.0);
    set_numbers(f.intra, same);
    set_numbers(f.intra + ROOM, same);

    assert_ok(choose(&f));

    assert_list(&f, 0, first, COUNT(first));
    assert_list(&f, 1, second, COUNT(second));
}

/* A short head leaves rows to the others, and no more than there are. */
TEST(select_of_sharing_heads_loses_no_row_to_a_short_head)
{
    const uint32_t counts[] = {8, 2};
    fixture f;
    set_up_heads(&f, 4, 0.5);
    f.tokens.counts = counts;

    assert_heads_keep(&f, 6, 2);
    f.config.budget = 5;
    assert_heads_keep(&f, 8, 2);
    f.config.budget = 50;
    assert_heads_keep(&f, 8, 2);
}

TEST(select_of_sharing_heads_compares_weighted_scores)
{
    fixture f;
    set_up_heads(&f, 4, 0.0);
    f.config.weigh_values = true;
    for (size_t i = 0; i < ROOM; i++)
        f.norm[ROOM + i] = 16.0f;

    assert_heads_keep(&f, 0, 8);
}

/* Half of the budget is each head's own, so half of each list is. */
TEST(select_of_sharing_heads_lists_within_what_is_their_own)
{
    const float a[KEYS] = {9, 8, 7, 6, 0, 0, 0, 0};
    const float b[KEYS] = {0, 0, 0, 0, 1, 2, 3, 4};
    const uint32_t second[] = {0, 1, 7};
    fixture f;
    set_up_heads(&f, 4, 0.5);
    f.config.n_intra = f.config.n_inter = 2;
    for (size_t g = 0; g < HEADS; g++) {
        set_numbers(f.intra + g * ROOM, a);
        set_numbers(f.inter + g * ROOM, b);
    }
    for (size_t i = 0; i < KEYS; i++)
        f.intra[i] *= 2.0f;

    assert_ok(choose(&f));

    assert_list(&f, 1, second, COUNT(second));
    assert_int_equal(f.counts[0], 5);
}

TEST(kept_bound_of_sharing_heads_is_reached)
{
    const uint32_t counts[] = {8, 3};
    fixture f;
    set_up_heads(&f, 4, 0.5);

    assert_int_equal(csp_kept_bound(&f.tokens, &f.config), 6);
    f.config.head_floor = 0.0;
    assert_int_equal(csp_kept_bound(&f.tokens, &f.config), 8);
    f.config.budget = 3;
    f.config.sinks = 1;
    assert_int_equal(csp_kept_bound(&f.tokens, &f.config), 5);
    assert_heads_keep(&f, 5, 1);
    f.tokens.counts = counts;
    f.config.budget = 5;
    f.config.head_floor = 1.0;
    assert_int_equal(csp_kept_bound(&f.tokens, &f.config), 5);
    f.config.head_floor = 0.75; /* 4 rows, of which the short head has 3 */
    assert_int_equal(csp_kept_bound(&f.tokens, &f.config), 7);
    assert_heads_keep(&f, 7, 3);
}

/* ---- Refusals ------------------------------------------------------------ */

static void refuse(fixture *f, csp_status status)
{
    const fixture before = *f;

    assert_status(choose(f), status);

    assert_memory_equal(f, &before, offsetof(fixture, workspace));
}

TEST(select_refuses_floors_out_of_range)
{
    const double wrong[] = {-0.01, 1.01, (double)NAN, (double)INFINITY,
                            -(double)INFINITY};

    for (size_t i = 0; i < COUNT(wrong); i++) {
        fixture f;
        set_up_heads(&f, 4, wrong[i]);
        refuse(&f, CSP_E_CONFIG);
        assert_int_equal(csp_kept_bound(&f.tokens, &f.config), 0);
        assert_int_equal(csp_select_workspace_size(&f.tokens, &f.config), 0);
    }
}

TEST(select_refuses_shares_of_other_selections)
{
    fixture f;
    set_up_heads(&f, 4, 0.5);
    f.config.scope = CSP_PER_LAYER;
    f.kept.n_lists = 1;
    refuse(&f, CSP_E_CONFIG);
    for (int i = 0; i < 2; i++) {
        for (int s = CSP_UNION; s <= CSP_INTERSECTION; s++) {
            set_up_heads(&f, 4, i == 0 ? 0.5 : 1.0);
            f.config.span_quota = i == 0 ? 0 : 1;
            f.config.n_intra = 1;
            assert_ok(choose(&f));
            f.config.selection = (csp_selection)s;
            refuse(&f, CSP_E_CONFIG);
        }
        set_up_heads(&f, 4, i == 0 ? 0.5 : 1.0);
        f.config.span_quota = i == 0 ? 0 : 1;
        f.config.block = 2;
        refuse(&f, CSP_E_CONFIG);
    }
}

TEST(select_of_sharing_heads_needs_more_workspace)
{
    fixture f;
    set_up_heads(&f, 4, 1.0);
    const size_t apart = csp_select_workspace_size(&f.tokens, &f.config);
    f.config.head_floor = 0.5;
    const size_t together = csp_select_workspace_size(&f.tokens, &f.config);

    assert_true(together > apart);
    assert_status(csp_select(&f.importance, &f.tokens, &f.config, f.workspace,
                             together - 1, &f.kept),
                  CSP_E_WORKSPACE);
}

/* ---- Another budget ------------------------------------------------------ */

TEST(with_budget_of_the_same_changes_nothing)
{
    csp_config c;
    assert_ok(csp_config_init(&c));
    c.sinks = 3;
    c.budget = UINT32_MAX - 1;
    c.n_inter = UINT32_MAX - 7;
    c.n_intra = 2;

    const csp_config other = csp__with_budget(&c, c.budget);

    assert_int_equal(other.budget, c.budget);
    assert_int_equal(other.n_inter, c.n_inter);
    assert_int_equal(other.n_intra, c.n_intra);
}

TEST(with_budget_keeps_the_proportion_of_lists)
{
    csp_config c;
    assert_ok(csp_config_init(&c));
    c.sinks = 2;
    c.recent = 3;
    c.budget = 15;
    c.n_inter = 4;
    c.n_intra = 6;

    csp_config other = csp__with_budget(&c, 25);
    assert_int_equal(other.n_inter, 8);
    assert_int_equal(other.n_intra, 12);
    other = csp__with_budget(&c, 6); /* 0.4 and 0.6 rows */
    assert_int_equal(other.n_inter, 0);
    assert_int_equal(other.n_intra, 1);
    other = csp__with_budget(&c, 1); /* protected rows stay */
    assert_int_equal(other.budget, 5);
    assert_int_equal(other.n_inter + other.n_intra, 0);
    c.n_intra = CSP_REST;
    assert_true(csp__with_budget(&c, 25).n_intra == CSP_REST);
}

TEST(settings_leave_budgets_equal)
{
    csp_config c;

    for (int preset = CSP_PRESET_DEFAULT; preset <= CSP_PRESET_STREAMING + 1;
         preset++) {
        memset(&c, 0xff, sizeof c);
        if (preset > CSP_PRESET_STREAMING)
            assert_ok(csp_config_init(&c));
        else
            assert_ok(csp_config_preset((csp_preset)preset, 100, 30, &c));
        assert_true(c.head_floor == 1.0);
        assert_int_equal(c.span_quota, 0);
        assert_int_equal(c.layer_spread, CSP_LAYERS_EQUAL);
        assert_true(c.layer_slope == 0.0 && c.layer_threshold == 0.01);
    }
}

TEST(kept_bound_of_sharing_heads_reads_their_counts_alone)
{
    const uint32_t counts[HEADS] = {KEYS, 3};
    guarded memory = guard(counts, sizeof counts);
    fixture f;
    set_up_heads(&f, 4, 0.5);
    f.tokens.counts = (const uint32_t *)(const void *)memory.data;

    assert_int_equal(csp_kept_bound(&f.tokens, &f.config), 6);

    unguard(&memory);
}

/* 128 rows are two whole words: no bit is left over behind the last row. */
TEST(select_of_sharing_heads_finds_the_last_row_of_the_last)
{
    enum { ROWS = 128 };
    static float intra[HEADS * ROWS], inter[HEADS * ROWS];
    static unsigned char workspace[16384];
    uint32_t rows[HEADS * ROWS], counts[HEADS];
    const csp_importance importance = {
        .intra = intra, .inter = inter, .capacity = ROWS};
    const csp_tokens tokens = {.n_kv_heads = HEADS, .n_keys = ROWS};
    const csp_kept kept = {
        .rows = rows, .counts = counts, .n_lists = HEADS, .capacity = ROWS};
    csp_config c;
    assert_ok(csp_config_init(&c));
    c.budget = 1;
    c.head_floor = 0.0;
    intra[HEADS * ROWS - 1] = 2.0f;
    intra[5] = 1.0f;

    assert_ok(csp_select(&importance, &tokens, &c, workspace, sizeof workspace,
                         &kept));

    assert_int_equal(counts[0], 1);
    assert_int_equal(rows[0], 5);
    assert_int_equal(counts[1], 1);
    assert_int_equal(rows[ROWS], ROWS - 1);
}

/* Heads without counts are not counted one by one. */
TEST(kept_bound_of_very_many_heads_is_found_at_once)
{
    fixture f;
    set_up_heads(&f, 4, 0.5);
    f.tokens.n_kv_heads = UINT32_MAX;

    assert_int_equal(csp_kept_bound(&f.tokens, &f.config), KEYS);
    f.config.budget = 2000000000;
    f.tokens.n_keys = UINT32_MAX;
    assert_true(csp_kept_bound(&f.tokens, &f.config) == UINT32_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(select_of_sharing_heads_follows_importance),
        cmocka_unit_test(select_of_sharing_heads_keeps_the_floor_of_each),
        cmocka_unit_test(select_of_sharing_heads_keeps_protected_rows),
        cmocka_unit_test(select_of_sharing_heads_breaks_ties_by_head_then_row),
        cmocka_unit_test(select_of_sharing_heads_loses_no_row_to_a_short_head),
        cmocka_unit_test(select_of_sharing_heads_compares_weighted_scores),
        cmocka_unit_test(
            select_of_sharing_heads_lists_within_what_is_their_own),
        cmocka_unit_test(kept_bound_of_sharing_heads_is_reached),
        cmocka_unit_test(select_refuses_floors_out_of_range),
        cmocka_unit_test(select_refuses_shares_of_other_selections),
        cmocka_unit_test(select_of_sharing_heads_needs_more_workspace),
        cmocka_unit_test(with_budget_of_the_same_changes_nothing),
        cmocka_unit_test(with_budget_keeps_the_proportion_of_lists),
        cmocka_unit_test(settings_leave_budgets_equal),
        cmocka_unit_test(kept_bound_of_sharing_heads_reads_their_counts_alone),
        cmocka_unit_test(
            select_of_sharing_heads_finds_the_last_row_of_the_last),
        cmocka_unit_test(kept_bound_of_very_many_heads_is_found_at_once),
    };

    return RUN(tests);
}
