/*
 * test_pruner_plan.c - the plan is csp_select's
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "pruner_fixture.h"

#define N 30u
#define HEADS 4u /* of the bench, over layers */

/* Importance and positions of all layers side by side, as csp_select takes
   them for CSP_GLOBAL; one layer is a part of it. */
typedef struct gathered {
    float sums[5][HEADS * N];
    uint32_t positions[HEADS * N];
    uint32_t counts[HEADS];
} gathered;

static void gather(const csp_pruner *pruner, gathered *to)
{
    for (uint32_t head = 0; head < HEADS; head++) {
        csp_tokens tokens;
        csp_importance from;
        assert_int_equal(csp_pruner_tokens(pruner, head / 2, &tokens), CSP_OK);
        assert_int_equal(csp_pruner_importance(pruner, head / 2, &from),
                         CSP_OK);
        const uint32_t count = tokens.counts[head % 2];
        const size_t at = (size_t)(head % 2) * tokens.capacity;
        const size_t size = count * sizeof(float);
        memcpy(to->sums[0] + head * N, from.intra + at, size);
        memcpy(to->sums[1] + head * N, from.inter + at, size);
        memcpy(to->sums[2] + head * N, from.intra_rows + at, size);
        memcpy(to->sums[3] + head * N, from.inter_rows + at, size);
        memcpy(to->sums[4] + head * N, from.value_norm + at, size);
        memcpy(to->positions + head * N, tokens.positions + at, size);
        to->counts[head] = count;
    }
}

/* Assert that the plan of 'n_heads' heads from 'first' on is what csp_select
   keeps. */
static void assert_selects(gathered *from, uint32_t first, uint32_t n_heads,
                           const csp_config *config, const csp_kept *kept)
{
    const size_t at = (size_t)first * N;
    const csp_tokens tokens = {.n_kv_heads = n_heads,
                               .n_keys = N,
                               .counts = from->counts + first,
                               .n_tokens = UINT32_MAX,
                               .positions = from->positions + at,
                               .capacity = N};
    const csp_importance importance = {from->sums[0] + at, from->sums[1] + at,
                                       from->sums[2] + at, from->sums[3] + at,
                                       from->sums[4] + at, N};
    uint32_t rows[HEADS * N], counts[HEADS], n_both[HEADS];
    uint8_t reasons[HEADS * N];
    const csp_kept want = {.rows = rows,
                           .counts = counts,
                           .n_both = n_both,
                           .n_lists =
                               config->scope == CSP_PER_HEAD ? n_heads : 1,
                           .capacity = N,
                           .reasons = reasons};
    const size_t size = csp_select_workspace_size(&tokens, config);
    void *workspace = malloc(size);

    csp_status status =
        csp_select(&importance, &tokens, config, workspace, size, &want);
    free(workspace);
    assert_int_equal(status, CSP_OK);
    assert_int_equal(kept->n_lists, want.n_lists);
    for (uint32_t i = 0; i < want.n_lists; i++) {
        assert_int_equal(kept->counts[i], counts[i]);
        assert_int_equal(kept->n_both[i], n_both[i]);
        assert_memory_equal(kept->rows + (size_t)i * kept->capacity,
                            rows + i * N, counts[i] * sizeof *rows);
        assert_memory_equal(kept->reasons + (size_t)i * kept->capacity,
                            reasons + i * N, counts[i]);
    }
}

/* Plan by these settings; every layer's lists must be csp_select's. */
static void assert_plans_as_select(bench *b, const csp_config *config)
{
    gathered from;
    csp_kept kept;

    assert_int_equal(csp_pruner_configure(b->pruner, config), CSP_OK);
    engine_set_values(&b->e, b->pruner);
    gather(b->pruner, &from);
    assert_int_equal(csp_pruner_plan(b->pruner), CSP_OK);
    for (uint32_t layer = 0; layer < 2; layer++) {
        assert_int_equal(csp_pruner_kept(b->pruner, layer, &kept), CSP_OK);
        if (config->scope == CSP_GLOBAL)
            assert_selects(&from, 0, HEADS, config, &kept);
        else
            assert_selects(&from, layer * 2, 2, config, &kept);
    }
}

static void plan_exact_is_csp_select_in_every_scope(void **state)
{
    bench *b = *state;

    for (uint32_t scope = CSP_PER_HEAD; scope <= CSP_GLOBAL; scope++) {
        csp_config config = plain_config(13);
        config.scope = (csp_scope)scope;
        config.n_inter = 3;
        assert_plans_as_select(b, &config);
        config.weigh_rows = config.weigh_values = config.auto_share = true;
        config.pooling = CSP_POOL_MAX;
        config.pool_width = 3;
        assert_plans_as_select(b, &config);
        config.block = 4;
        config.budget = 16;
        config.reduce = CSP_MEAN;
        assert_plans_as_select(b, &config);
    }
}

static void plan_of_reference_lists_is_csp_select_in_every_scope(void **state)
{
    bench *b = *state;

    for (uint32_t selection = CSP_UNION; selection <= CSP_INTERSECTION;
         selection++)
        for (uint32_t scope = CSP_PER_HEAD; scope <= CSP_GLOBAL; scope++) {
            csp_config config = plain_config(0);
            config.selection = (csp_selection)selection;
            config.scope = (csp_scope)scope;
            config.n_intra = 8;
            config.n_inter = 9;
            assert_plans_as_select(b, &config);
        }
}

static void plan_by_every_preset_is_csp_select(void **state)
{
    bench *b = *state;

    for (uint32_t preset = CSP_PRESET_DEFAULT; preset <= CSP_PRESET_STREAMING;
         preset++) {
        csp_config config;
        assert_int_equal(csp_config_preset((csp_preset)preset, N, 11, &config),
                         CSP_OK);
        assert_plans_as_select(b, &config);
    }
}

static void plan_of_a_union_has_lists_of_different_lengths(void **state)
{
    bench *b = *state;
    csp_kept kept;

    b->config.selection = CSP_UNION;
    b->config.n_intra = b->config.n_inter = 7;
    csp_pruner_configure(b->pruner, &b->config);
    assert_int_equal(csp_pruner_plan(b->pruner), CSP_OK);

    uint32_t least = UINT32_MAX, most = 0;
    for (uint32_t layer = 0; layer < 2; layer++) {
        csp_pruner_kept(b->pruner, layer, &kept);
        for (uint32_t g = 0; g < 2; g++) {
            least = kept.counts[g] < least ? kept.counts[g] : least;
            most = kept.counts[g] > most ? kept.counts[g] : most;
            assert_int_equal(kept.counts[g] + kept.n_both[g], 2 + 3 + 14);
        }
    }
    assert_true(least < most);
}

static void plan_global_gives_all_layers_one_list(void **state)
{
    bench *b = *state;
    csp_kept first, second;

    b->config.scope = CSP_GLOBAL;
    csp_pruner_configure(b->pruner, &b->config);
    assert_int_equal(csp_pruner_plan(b->pruner), CSP_OK);

    csp_pruner_kept(b->pruner, 0, &first);
    csp_pruner_kept(b->pruner, 1, &second);
    assert_int_equal(first.n_lists, 1);
    assert_int_equal(second.n_lists, 1);
    assert_ptr_equal(first.rows, second.rows);
    assert_int_equal(first.counts[0], 12);
}

static void plan_per_head_gives_each_head_its_own_list(void **state)
{
    bench *b = *state;
    csp_kept first, second;

    csp_pruner_kept(b->pruner, 0, &first);
    csp_pruner_kept(b->pruner, 1, &second);

    assert_int_equal(first.n_lists, 2);
    assert_memory_not_equal(first.rows, first.rows + first.capacity, 48);
    assert_memory_not_equal(first.rows, second.rows, 48);
}

static void plan_of_layers_with_different_rows_is_csp_select(void **state)
{
    bench *b = *state;

    b->config.selection = CSP_INTERSECTION;
    b->config.n_intra = b->config.n_inter = 14;
    csp_pruner_configure(b->pruner, &b->config);
    assert_int_equal(csp_pruner_plan(b->pruner), CSP_OK);
    assert_int_equal(csp_pruner_apply(b->pruner, NULL, 0, NULL), CSP_OK);

    csp_config config = plain_config(7);
    config.weigh_values = true;
    assert_plans_as_select(b, &config);
}

static void plan_under_the_budget_keeps_all(void **state)
{
    bench *b = *state;
    const csp_config config = plain_config(31);
    csp_kept kept;

    csp_pruner_configure(b->pruner, &config);
    assert_int_equal(csp_pruner_plan(b->pruner), CSP_OK);

    csp_pruner_kept(b->pruner, 1, &kept);
    assert_int_equal(kept.counts[1], N);
    for (uint32_t i = 0; i < N; i++)
        assert_int_equal(kept.rows[kept.capacity + i], i);
}

static void plan_of_an_empty_cache_keeps_nothing(void **state)
{
    bench *b = *state;
    csp_kept kept;

    for (uint32_t scope = CSP_PER_HEAD; scope <= CSP_GLOBAL; scope++) {
        b->config.scope = (csp_scope)scope;
        b->config.weigh_values = true; /* of no row */
        csp_pruner *pruner =
            new_pruner(&b->e, &b->config, &b->book.hooks, NULL);
        assert_int_equal(csp_pruner_plan(pruner), CSP_OK);
        for (uint32_t layer = 0; layer < 2; layer++) {
            assert_int_equal(csp_pruner_kept(pruner, layer, &kept), CSP_OK);
            assert_int_equal(kept.counts[0], 0);
        }
        assert_int_equal(csp_pruner_apply(pruner, NULL, 0, NULL), CSP_OK);
        csp_pruner_destroy(pruner);
    }
}

static void plan_gives_the_same_lists_under_every_hook(void **state)
{
    bench *b = *state;

    for (uint32_t hook = 0; hook < N_HOOKS; hook++) {
        const csp_parallel parallel = hook_number(hook);
        csp_pruner *pruner =
            new_pruner(&b->e, &b->config, &b->book.hooks, &parallel);
        snapshot want = take_snapshot(b->pruner, 2);
        engine_score_all(&b->e, pruner, 0, N, LOGITS);
        engine_set_values(&b->e, pruner);

        assert_int_equal(csp_pruner_plan(pruner), CSP_OK);

        assert_unchanged(&want, pruner, 2);
        csp_pruner_destroy(pruner);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_bench(plan_exact_is_csp_select_in_every_scope),
        with_bench(plan_of_reference_lists_is_csp_select_in_every_scope),
        with_bench(plan_by_every_preset_is_csp_select),
        with_bench(plan_of_a_union_has_lists_of_different_lengths),
        with_bench(plan_global_gives_all_layers_one_list),
        with_bench(plan_per_head_gives_each_head_its_own_list),
        with_bench(plan_of_layers_with_different_rows_is_csp_select),
        with_bench(plan_under_the_budget_keeps_all),
        with_bench(plan_of_an_empty_cache_keeps_nothing),
        with_bench(plan_gives_the_same_lists_under_every_hook),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
