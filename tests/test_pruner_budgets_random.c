/*
 * test_pruner_budgets_random.c - budgets of random layers, heads and spans
 *
 * A layer's budget is looked at from outside: what its lists hold.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <math.h>

#include "budget_fixture.h"
#include "oracle_budget.h"
#include "random.h"

typedef struct part {
    double weight;
    uint32_t low, high;
} part;

/* What a layer has to have and can have, and its weight, from what the pruner
   shows. */
static part part_of(const csp_pruner *pruner, uint32_t layer, uint32_t n_layers,
                    const csp_config *config)
{
    csp_tokens tokens;
    csp_importance x;
    part p = {0};
    double density = 0.0;

    csp_pruner_tokens(pruner, layer, &tokens);
    csp_pruner_importance(pruner, layer, &x);
    p.high = tokens.n_keys;
    p.low = config->sinks + config->recent;
    for (uint32_t g = 0; g < tokens.n_kv_heads; g++) {
        const size_t at = (size_t)g * x.capacity;
        const uint32_t end = tokens.counts[g] - config->recent;
        float most = 0.0f;
        uint32_t n = 0;
        for (size_t i = at + config->sinks; i < at + end; i++)
            most = fmaxf(most, x.intra[i] + x.inter[i]);
        for (size_t i = at + config->sinks; i < at + end; i++)
            n += (double)(x.intra[i] + x.inter[i]) >=
                 config->layer_threshold * (double)most;
        density += (double)n / (end - config->sinks) / tokens.n_kv_heads;
    }
    p.weight = config->layer_spread == CSP_LAYERS_SPARSITY ? density
               : config->layer_spread == CSP_LAYERS_PYRAMID
                   ? 1.0 + config->layer_slope -
                         2.0 * config->layer_slope * layer / (n_layers - 1.0)
                   : 1.0;
    return p;
}

static double rows_at(const part *p, double level)
{
    return fmin(fmax(level * p->weight, (double)p->low), (double)p->high);
}

/* Each layer's budget is its part within a row, and their sum is exact. */
static void check_budgets(const csp_pruner *pruner, uint32_t n_layers,
                          const csp_config *config, const uint32_t *budgets)
{
    part parts[MAX_LAYERS];
    uint32_t sum = 0, most = 0;
    double low = 0.0, high = 1e9;

    for (uint32_t i = 0; i < n_layers; i++) {
        parts[i] = part_of(pruner, i, n_layers, config);
        sum += budgets[i];
        most += parts[i].high;
    }
    const uint32_t total = n_layers * config->budget;
    assert_int_equal(sum, total < most ? total : most);
    for (int step = 0; step < 200; step++) {
        const double level = 0.5 * (low + high);
        double rows = 0.0;
        for (uint32_t i = 0; i < n_layers; i++)
            rows += rows_at(&parts[i], level);
        if (rows < (double)sum)
            low = level;
        else
            high = level;
    }
    for (uint32_t i = 0; i < n_layers; i++) {
        assert_in_range(budgets[i], parts[i].low, parts[i].high);
        assert_true(fabs(budgets[i] - rows_at(&parts[i], high)) < 1.0 + 1e-6);
    }
}

/* A layer's settings with the budget it was seen to have: lists to the nearest
   row of their proportion. */
static csp_config settings_of(const csp_config *config, uint32_t budget)
{
    const uint32_t safe = config->sinks + config->recent;
    csp_config c = *config;

    c.budget = budget;
    if (config->budget == safe)
        return c;
    const double growth =
        (double)(budget - safe) / (double)(config->budget - safe);
    c.n_inter = (uint32_t)floor(config->n_inter * growth + 0.5 + 1e-9);
    if (config->n_intra != CSP_REST)
        c.n_intra = (uint32_t)fmin(floor(config->n_intra * growth + 0.5 + 1e-9),
                                   (double)(budget - safe - c.n_inter));
    return c;
}

static void check_lists(const csp_pruner *pruner, uint32_t layer,
                        const csp_config *config)
{
    static oracle_lists want;
    csp_tokens tokens;
    csp_importance importance;
    csp_kept kept;

    csp_pruner_tokens(pruner, layer, &tokens);
    csp_pruner_importance(pruner, layer, &importance);
    csp_pruner_kept(pruner, layer, &kept);
    oracle_select_budgets(&importance, &tokens, config, &want);
    assert_false(want.over_budget);
    assert_int_equal(kept.n_lists, want.n_lists);
    for (uint32_t g = 0; g < want.n_lists; g++) {
        const uint8_t *reasons = kept.reasons + (size_t)g * kept.capacity;
        for (uint32_t i = 0; i < want.n_rows[g]; i++)
            if ((kept_has(&kept, g, i) ? *reasons++ : 0) != want.reasons[g][i])
                fail_msg("layer %u, list %u: row %u", layer, g, i);
    }
}

static csp_config draw_config(random_source *random)
{
    static const double floors[] = {0.0, 0.2, 0.5, 0.9};
    csp_config config = plain_config(random_between(random, 8, 26));
    const uint32_t room = config.budget - 5;

    config.n_inter = random_below(random, room + 1);
    if (random_chance(random, 50))
        config.n_intra = random_below(random, room - config.n_inter + 1);
    config.weigh_values = random_chance(random, 50);
    config.layer_spread = (csp_layer_spread)random_below(random, 3);
    config.layer_slope = 0.95 * random_unit(random);
    config.layer_threshold = 0.01 + 0.5 * random_unit(random);
    config.decay = random_unit(random);
    if (random_chance(random, 60))
        config.head_floor = floors[random_below(random, 4)];
    else if (random_chance(random, 50))
        config.scope = CSP_PER_LAYER;
    /* Claims raise what a layer has to have; they have a test above. */
    if (config.layer_spread == CSP_LAYERS_EQUAL && config.budget > 10)
        config.span_quota = random_below(random, 3);
    return config;
}

/* The budgets of a plan: with a list that drops rows it is seen. */
static void check_plan(const engine *e, const csp_pruner *pruner,
                       const csp_config *config)
{
    uint32_t budgets[MAX_LAYERS];

    for (uint32_t layer = 0; layer < e->n_layers; layer++) {
        csp_kept kept;
        csp_pruner_kept(pruner, layer, &kept);
        const uint64_t n = layer_count(pruner, layer);
        assert_int_equal(n % kept.n_lists, 0);
        budgets[layer] = (uint32_t)n / kept.n_lists;
        const csp_config own = settings_of(
            config, config->layer_spread == CSP_LAYERS_EQUAL ? config->budget
                                                             : budgets[layer]);
        check_lists(pruner, layer, &own);
    }
    if (config->layer_spread != CSP_LAYERS_EQUAL)
        check_budgets(pruner, e->n_layers, config, budgets);
}

/* The same plan by another pruner, with workers. */
static void check_workers(const csp_pruner *pruner, const engine *e,
                          const csp_config *config, uint32_t hook)
{
    const csp_parallel parallel = hook_number(hook);
    csp_pruner *other = scored_pruner(e, config, &parallel);
    snapshot want = take_snapshot(pruner, e->n_layers);

    assert_int_equal(csp_pruner_plan(other), CSP_OK);
    assert_unchanged(&want, other, e->n_layers);
    csp_pruner_destroy(other);
}

/* First rounds: counts are equal, so that each budget is seen to the row. */
static void random_plans_are_the_oracles(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 300; seed++) {
        random_source random = {seed};
        const csp_config config = draw_config(&random);
        engine e;
        engine_init(&e, random_between(&random, 2, MAX_LAYERS),
                    random_between(&random, 1, 3),
                    random_between(&random, 1, 2), 40, seed);
        engine_append(&e, random_between(&random, 6, 40));

        csp_pruner *pruner = scored_pruner(&e, &config, NULL);
        assert_int_equal(csp_pruner_plan(pruner), CSP_OK);
        check_plan(&e, pruner, &config);
        check_workers(pruner, &e, &config, (uint32_t)seed % N_HOOKS);
        csp_pruner_destroy(pruner);
        engine_free(&e);
    }
}

/* Later ones: heads of a layer hold as many rows together as before, and what
   they hold is what the engine's caches hold. */
static void rounds_of_sharing_heads_keep_their_sum(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 50; seed++) {
        csp_config config = plain_config(14);
        engine e;
        config.head_floor = 0.25;
        config.span_quota = 3;
        config.decay = 0.5;
        engine_init(&e, 2, 3, 2, 120, seed);
        csp_pruner *pruner = new_pruner(&e, &config, NULL, NULL);

        for (uint32_t round = 0; round < 4; round++) {
            const uint32_t begin = e.n_tokens;
            engine_append(&e, round == 0 ? 30 : 7);
            engine_score_all(&e, pruner, begin, e.n_tokens, LOGITS);
            assert_int_equal(csp_pruner_plan(pruner), CSP_OK);
            for (uint32_t layer = 0; layer < 2; layer++) {
                check_lists(pruner, layer, &config);
                assert_int_equal(layer_count(pruner, layer), 3 * 14);
            }
            engine_apply(&e, pruner);
            assert_true(engine_agrees(&e, pruner));
            assert_true(engine_caches_are_right(&e));
        }
        csp_pruner_destroy(pruner);
        engine_free(&e);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_plans_are_the_oracles),
        cmocka_unit_test(rounds_of_sharing_heads_keep_their_sum),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
