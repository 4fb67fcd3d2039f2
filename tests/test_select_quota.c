/*
 * test_select_quota.c - rows that each span keeps
 */
#include "select_fixture.h"

static const csp_span images[] = {{0, 3, 1}, {3, 6, 2}, {6, 8, 0}};

static void set_up_images(fixture *f, uint32_t budget, uint32_t quota)
{
    const float scores[KEYS] = {1, 3, 2, 0, 0, 0, 9, 9};
    const float none[KEYS] = {0};

    set_up(f);
    set_numbers(f->intra, scores);
    set_numbers(f->inter, none);
    f->tokens.spans = images;
    f->tokens.n_spans = COUNT(images);
    f->config.budget = budget;
    f->config.span_quota = quota;
}

TEST(select_with_a_quota_keeps_the_best_of_each_image)
{
    fixture f;
    set_up_images(&f, 3, 0);
    assert_keeps(&f, 1, 6, 7);
    set_up_images(&f, 3, 1);
    assert_keeps(&f, 1, 3, 6);
    set_up_images(&f, 4, 2);
    assert_keeps(&f, 1, 2, 3, 4);
    set_up_images(&f, 7, 100); /* more than an image has */
    assert_keeps(&f, 0, 1, 2, 3, 4, 5, 6);
}

TEST(select_with_a_quota_counts_protected_rows)
{
    fixture f;
    set_up_images(&f, 4, 2);
    f.config.sinks = 1; /* the first image needs but one more */
    assert_keeps(&f, 0, 1, 3, 4);
    set_up_images(&f, 4, 2);
    f.config.recent = 4; /* two of the second image's rows among them */
    f.config.span_quota = 0;
    assert_keeps(&f, 4, 5, 6, 7);
    f.config.span_quota = 2;
    assert_status(choose(&f), CSP_E_BUDGET);
    f.config.sinks = 1;
    f.config.recent = 2;
    f.config.span_quota = 1;
    memset(f.rows, 0x4d, sizeof f.rows);
    for (size_t i = 0; i < ROOM; i++)
        f.rows[i] = 77;
    assert_keeps(&f, 0, 3, 6, 7);
}

/* The lists share what claims leave: two rows, one each. */
TEST(select_with_a_quota_shortens_lists_in_proportion)
{
    const float b[KEYS] = {0, 0, 0, 0, 0, 0, 1, 2};
    fixture f;
    set_up_images(&f, 4, 1);
    f.config.n_intra = f.config.n_inter = 2;
    set_numbers(f.inter, b);
    f.intra[0] = 20.0f; /* claimed, so in no list */

    assert_keeps(&f, 0, 3, 6, 7);

    assert_int_equal(f.n_both[0], 0);
}

/* After an earlier round the second image has a row left, the first none. */
TEST(select_with_a_quota_goes_by_positions)
{
    const uint32_t positions[KEYS] = {4, 10, 11, 12, 13, 14, 15, 16};
    fixture f;
    set_up_images(&f, 2, 3);
    f.tokens.positions = positions;
    f.tokens.capacity = KEYS;
    f.intra[0] = 0.0f;

    assert_keeps(&f, 0, 6);
}

TEST(select_of_a_shared_list_has_quotas_too)
{
    for (int scope = CSP_PER_LAYER; scope <= CSP_GLOBAL; scope++) {
        fixture f;
        set_up_images(&f, 3, 1);
        f.config.scope = (csp_scope)scope;
        f.tokens.n_kv_heads = HEADS;
        memcpy(f.intra + ROOM, f.intra, ROOM * sizeof *f.intra);
        memset(f.inter, 0, sizeof f.inter);
        assert_keeps(&f, 1, 3, 6);
    }
}

/* The second head has other tokens in its rows, none of them of an image. */
TEST(select_of_a_shared_list_goes_by_the_rows_of_the_first_head)
{
    uint32_t positions[HEADS * ROOM];
    fixture f;
    set_up_images(&f, 3, 1);
    for (uint32_t i = 0; i < ROOM; i++) {
        positions[i] = i;
        positions[ROOM + i] = KEYS + i;
    }
    f.config.scope = CSP_PER_LAYER;
    f.tokens.n_kv_heads = HEADS;
    f.tokens.positions = positions;
    f.tokens.capacity = ROOM;
    f.tokens.n_tokens = 2 * KEYS;
    memcpy(f.intra + ROOM, f.intra, ROOM * sizeof *f.intra);
    memset(f.inter, 0, sizeof f.inter);

    assert_keeps(&f, 1, 3, 6);
}

TEST(select_with_a_quota_within_the_budget_keeps_all)
{
    fixture f;
    set_up_images(&f, KEYS, 3);
    f.config.recent = 6;

    assert_keeps(&f, 0, 1, 2, 3, 4, 5, 6, 7);
}

/* ---- Refusals ------------------------------------------------------------ */

static void refuse(fixture *f, csp_status status)
{
    const fixture before = *f;

    assert_status(choose(f), status);

    assert_memory_equal(f, &before, offsetof(fixture, workspace));
}

TEST(select_refuses_quotas_beyond_the_budget)
{
    fixture f;
    set_up_images(&f, 3, 2);
    refuse(&f, CSP_E_BUDGET);
    f.config.budget = 4;
    f.config.recent = 1;
    refuse(&f, CSP_E_BUDGET);
    f.config.head_floor = 0.5; /* what others have is no excuse */
    refuse(&f, CSP_E_BUDGET);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(select_with_a_quota_keeps_the_best_of_each_image),
        cmocka_unit_test(select_with_a_quota_counts_protected_rows),
        cmocka_unit_test(select_with_a_quota_shortens_lists_in_proportion),
        cmocka_unit_test(select_with_a_quota_goes_by_positions),
        cmocka_unit_test(select_of_a_shared_list_has_quotas_too),
        cmocka_unit_test(
            select_of_a_shared_list_goes_by_the_rows_of_the_first_head),
        cmocka_unit_test(select_with_a_quota_within_the_budget_keeps_all),
        cmocka_unit_test(select_refuses_quotas_beyond_the_budget),
    };

    return RUN(tests);
}
