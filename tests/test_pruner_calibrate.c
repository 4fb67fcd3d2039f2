/*
 * test_pruner_calibrate.c - what a plan drops, before it is applied
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "pruner_fixture.h"

#define DIM 8u
#define HEADS 4u /* query heads of a layer of the bench */

typedef struct totals {
    double log_mass[HEADS];
    double rows[HEADS];
    float value[HEADS * DIM];
} totals;

static csp_calibration sums_of(totals *t)
{
    return (csp_calibration){t->log_mass, t->rows, t->value, HEADS, DIM};
}

static void fill(totals *t)
{
    memset(t, 0, sizeof *t);
    for (uint32_t h = 0; h < HEADS; h++) {
        t->log_mass[h] = 0.25 * h;
        t->rows[h] = h;
        t->value[h * DIM] = (float)h;
    }
}

/* With the attention of tokens [30, 40). */
static csp_status calibrate(bench *b, csp_pruner *pruner, uint32_t layer,
                            chunk_kind kind, totals *t)
{
    const csp_tensor values = engine_values(&b->e, layer);
    const csp_calibration sums = sums_of(t);
    chunk c = engine_chunk(&b->e, layer, 30, 40, kind);
    csp_status status =
        csp_pruner_calibrate(pruner, layer, &c.view, &values, &sums);

    free(c.memory);
    return status;
}

static void assert_core_bits(bench *b, uint32_t layer, chunk_kind kind)
{
    const csp_tensor values = engine_values(&b->e, layer);
    chunk c = engine_chunk(&b->e, layer, 30, 40, kind);
    totals got, want;
    csp_tokens tokens;
    csp_kept kept;
    fill(&got);
    fill(&want);
    csp_pruner_tokens(b->pruner, layer, &tokens);
    csp_pruner_kept(b->pruner, layer, &kept);
    assert_memory_not_equal(kept.rows, kept.rows + kept.capacity,
                            kept.counts[0] * sizeof *kept.rows);
    const csp_calibration sums = sums_of(&want);
    size_t size = csp_calibrate_workspace_size(&c.view, &tokens, DIM);
    void *workspace = malloc(size);

    assert_int_equal(calibrate(b, b->pruner, layer, kind, &got), CSP_OK);

    assert_int_equal(csp_calibrate(&c.view, &tokens, &kept, &values, NULL,
                                   workspace, size, &sums),
                     CSP_OK);
    assert_memory_equal(&got, &want, sizeof got);
    free(workspace);
    free(c.memory);
}

static void calibrate_gives_the_bits_of_csp_calibrate(void **state)
{
    bench *b = *state;
    bench_second_round(b);

    for (uint32_t kind = 0; kind < N_KINDS; kind++)
        for (uint32_t layer = 0; layer < 2; layer++)
            assert_core_bits(b, layer, (chunk_kind)kind);
}

static void calibrate_knows_lists_of_different_lengths(void **state)
{
    bench *b = *state;
    csp_kept kept;
    bench_second_round(b);
    b->config.selection = CSP_UNION;
    b->config.n_intra = b->config.n_inter = 5;
    csp_pruner_configure(b->pruner, &b->config);
    assert_int_equal(csp_pruner_plan(b->pruner), CSP_OK);
    csp_pruner_kept(b->pruner, 1, &kept);
    assert_int_not_equal(kept.counts[0], kept.counts[1]);

    assert_core_bits(b, 1, LOGITS);
}

/* E8 and E10 of one query and head; adds to log_mass and value. */
static void add_naively(const engine *e, const csp_kept *kept, uint32_t layer,
                        uint32_t h, uint32_t query, double *log_mass,
                        double *value)
{
    const uint32_t g = h / (e->n_heads / e->n_kv_heads);
    const size_t head = (size_t)layer * e->n_kv_heads + g;
    double mass = 0.0;
    double sum[DIM] = {0.0};

    for (uint32_t i = 0; i < e->counts[head]; i++) {
        const uint32_t token = e->tokens[head * e->capacity + i];
        if (token > query || kept_has(kept, g, i))
            continue;
        const double x = exp(engine_logit(e, layer, h, query, token));
        const float *v = e->values + (head * e->capacity + token) * e->dim;
        mass += x;
        for (uint32_t d = 0; d < DIM; d++)
            sum[d] += x * (double)v[d];
    }
    *log_mass += log(mass);
    for (uint32_t d = 0; d < DIM; d++)
        value[d] += sum[d] / mass;
}

static void calibrate_is_the_mass_that_the_plan_drops(void **state)
{
    bench *b = *state;

    static const csp_scope scopes[] = {CSP_GLOBAL, CSP_PER_LAYER, CSP_PER_HEAD};

    for (size_t i = 0; i < 3; i++) {
        const csp_scope scope = scopes[i];
        b->config.scope = scope;
        csp_pruner_configure(b->pruner, &b->config);
        if (scope == CSP_PER_HEAD)
            bench_second_round(b);
        assert_int_equal(csp_pruner_plan(b->pruner), CSP_OK);
        for (uint32_t layer = 0; layer < 2; layer++) {
            totals t = {{0.0}, {0.0}, {0.0f}};
            csp_kept kept;
            csp_pruner_kept(b->pruner, layer, &kept);

            assert_int_equal(calibrate(b, b->pruner, layer, LOGITS, &t),
                             CSP_OK);

            for (uint32_t h = 0; h < HEADS; h++) {
                double mass = 0.0, value[DIM] = {0.0};
                for (uint32_t query = 30; query < 40; query++)
                    add_naively(&b->e, &kept, layer, h, query, &mass, value);
                assert_true(fabs(t.log_mass[h] - mass) < 1e-4);
                assert_true(t.rows[h] == 10.0);
                for (uint32_t d = 0; d < DIM; d++)
                    assert_true(fabs((double)t.value[h * DIM + d] - value[d]) <
                                1e-4);
            }
        }
    }
}

static void calibrate_gives_the_same_bits_under_every_hook(void **state)
{
    bench *b = *state;
    totals want;
    engine_append(&b->e, 10);
    fill(&want);

    for (uint32_t hook = 0; hook < N_HOOKS + 1; hook++) {
        const csp_parallel parallel = hook_number(hook > 0 ? hook - 1 : 0);
        csp_pruner *pruner = new_pruner(&b->e, &b->config, &b->book.hooks,
                                        hook > 0 ? &parallel : NULL);
        totals got;
        engine_score_all(&b->e, pruner, 0, 40, LOGITS);
        assert_int_equal(csp_pruner_plan(pruner), CSP_OK);
        fill(&got);

        assert_int_equal(calibrate(b, pruner, 1, QUERIES, &got), CSP_OK);

        if (hook == 0)
            want = got;
        assert_memory_equal(&got, &want, sizeof got);
        csp_pruner_destroy(pruner);
    }
}

static void calibrate_without_values_sums_mass_alone(void **state)
{
    bench *b = *state;
    chunk c = engine_chunk(&b->e, 0, 20, 30, LOGITS);
    totals with = {{0.0}, {0.0}, {0.0f}}, without = with;
    const csp_tensor values = engine_values(&b->e, 0);
    csp_calibration sums = sums_of(&with);
    assert_int_equal(
        csp_pruner_calibrate(b->pruner, 0, &c.view, &values, &sums), CSP_OK);
    sums = sums_of(&without);
    sums.value = NULL;

    assert_int_equal(csp_pruner_calibrate(b->pruner, 0, &c.view, NULL, &sums),
                     CSP_OK);

    assert_memory_equal(with.log_mass, without.log_mass, sizeof with.log_mass);
    assert_memory_equal(with.rows, without.rows, sizeof with.rows);
    free(c.memory);
}

static void calibrate_of_an_empty_cache_adds_nothing(void **state)
{
    bench *b = *state;
    csp_attention nothing = {.scores =
                                 csp_tensor_packed(NULL, CSP_F32, HEADS, 0, 0)};
    csp_pruner *pruner = new_pruner(&b->e, &b->config, NULL, NULL);
    totals got = {{0.0}, {0.0}, {0.0f}}, want = got;
    csp_calibration sums = sums_of(&got);
    sums.value = NULL;
    csp_pruner_plan(pruner);

    assert_int_equal(csp_pruner_calibrate(pruner, 1, &nothing, NULL, &sums),
                     CSP_OK);
    nothing.source = CSP_PROBABILITIES; /* without lse */
    assert_int_equal(csp_pruner_calibrate(pruner, 1, &nothing, NULL, &sums),
                     CSP_E_CONFIG);

    assert_memory_equal(&got, &want, sizeof got);
    csp_pruner_destroy(pruner);
}

/* ---- Refusals ------------------------------------------------------------ */

/* Status of a call that must be refused: sums and pruner stay. */
static csp_status refused(bench *b, uint32_t layer,
                          const csp_attention *attention,
                          const csp_tensor *values, csp_calibration sums)
{
    totals before, now;
    fill(&before);
    fill(&now);
    sums.log_mass = sums.log_mass != NULL ? now.log_mass : NULL;
    sums.rows = sums.rows != NULL ? now.rows : NULL;
    sums.value = sums.value != NULL ? now.value : NULL;
    snapshot pruner = take_snapshot(b->pruner, 2);

    csp_status status =
        csp_pruner_calibrate(b->pruner, layer, attention, values, &sums);

    assert_memory_equal(&before, &now, sizeof now);
    assert_unchanged(&pruner, b->pruner, 2);
    return status;
}

static void calibrate_without_a_plan_is_refused(void **state)
{
    bench *b = *state;
    totals t = {{0.0}, {0.0}, {0.0f}};

    csp_pruner_configure(b->pruner, &b->config);
    assert_int_equal(calibrate(b, b->pruner, 0, LOGITS, &t), CSP_E_STATE);
}

static void calibrate_refuses_null(void **state)
{
    bench *b = *state;
    totals t;
    chunk c = engine_chunk(&b->e, 0, 20, 30, LOGITS);
    const csp_tensor values = engine_values(&b->e, 0);
    const csp_calibration sums = sums_of(&t);
    csp_calibration no_mass = sums, no_rows = sums, no_value = sums;
    no_mass.log_mass = NULL;
    no_rows.rows = NULL;
    no_value.value = NULL;

    assert_int_equal(csp_pruner_calibrate(NULL, 0, &c.view, &values, &sums),
                     CSP_E_NULL);
    assert_int_equal(csp_pruner_calibrate(b->pruner, 0, &c.view, &values, NULL),
                     CSP_E_NULL);
    assert_int_equal(refused(b, 0, NULL, &values, sums), CSP_E_NULL);
    assert_int_equal(refused(b, 0, &c.view, &values, no_mass), CSP_E_NULL);
    assert_int_equal(refused(b, 0, &c.view, &values, no_rows), CSP_E_NULL);
    assert_int_equal(refused(b, 0, &c.view, &values, no_value), CSP_E_NULL);
    assert_int_equal(refused(b, 0, &c.view, NULL, sums), CSP_E_NULL);
    free(c.memory);
}

static void calibrate_refuses_shapes_that_disagree(void **state)
{
    bench *b = *state;
    totals t;
    chunk c = engine_chunk(&b->e, 0, 20, 30, LOGITS);
    const csp_tensor values = engine_values(&b->e, 0);
    csp_tensor headless = values, flat = values, few = values;
    const csp_calibration sums = sums_of(&t);
    csp_calibration more_heads = sums;
    csp_attention narrow = c.view, odd = c.view;
    headless.n_heads = 1;
    flat.n_cols = DIM - 1;
    few.n_rows = 29;
    more_heads.n_heads = HEADS + 2;
    narrow.scores.n_cols = 29;
    odd.scores.n_heads = 3;

    assert_int_equal(refused(b, 2, &c.view, &values, sums), CSP_E_SHAPE);
    assert_int_equal(refused(b, 0, &c.view, &headless, sums), CSP_E_SHAPE);
    assert_int_equal(refused(b, 0, &c.view, &flat, sums), CSP_E_SHAPE);
    assert_int_equal(refused(b, 0, &c.view, &few, sums), CSP_E_SHAPE);
    assert_int_equal(refused(b, 0, &c.view, &values, more_heads), CSP_E_SHAPE);
    assert_int_equal(refused(b, 0, &narrow, &values, sums), CSP_E_SHAPE);
    assert_int_equal(refused(b, 0, &odd, &values, sums), CSP_E_GQA);
    free(c.memory);
}

static void calibrate_checks_the_distance_of_value_heads(void **state)
{
    bench *b = *state;
    totals t;
    chunk c = engine_chunk(&b->e, 0, 20, 30, LOGITS);
    csp_tensor values = engine_values(&b->e, 0);

    values.head_stride = 4; /* heads overlap */
    csp_status status = refused(b, 0, &c.view, &values, sums_of(&t));
    free(c.memory);
    assert_int_equal(status, CSP_E_STRIDE);
}

static void calibrate_of_probabilities_needs_lse(void **state)
{
    bench *b = *state;
    totals t;
    chunk c = engine_chunk(&b->e, 0, 20, 30, PROBABILITIES);
    const csp_tensor values = engine_values(&b->e, 0);
    c.view.lse.data = NULL;

    assert_int_equal(refused(b, 0, &c.view, &values, sums_of(&t)),
                     CSP_E_CONFIG);
    free(c.memory);
}

static void calibrate_with_nan_in_one_head_changes_no_sum(void **state)
{
    bench *b = *state;
    totals t;
    const csp_tensor values = engine_values(&b->e, 0);

    for (uint32_t h = 0; h < HEADS; h++) {
        chunk c = engine_chunk(&b->e, 0, 20, 30, LOGITS);
        poison_chunk(&c, h, NAN);
        assert_int_equal(refused(b, 0, &c.view, &values, sums_of(&t)),
                         CSP_E_NOT_FINITE);
        free(c.memory);
    }
}

static void calibrate_out_of_memory_changes_no_sum(void **state)
{
    bench *b = *state;
    engine_append(&b->e, 10);

    for (int forever = 0; forever < 2; forever++) {
        csp_pruner *pruner =
            new_pruner(&b->e, &b->config, &b->book.hooks, NULL);
        totals got, want;
        size_t index = 0;
        engine_score_all(&b->e, pruner, 0, 40, LOGITS);
        csp_pruner_plan(pruner);
        fill(&got);
        fill(&want);
        for (;; index++) {
            snapshot before = take_snapshot(pruner, 2);
            ledger_fail(&b->book, index, forever != 0);
            csp_status status = calibrate(b, pruner, 0, QUERIES, &got);
            ledger_heal(&b->book);
            assert_unchanged(&before, pruner, 2);
            if (status == CSP_OK)
                break;
            assert_int_equal(status, CSP_E_MEMORY);
            assert_memory_equal(&got, &want, sizeof got);
        }
        assert_true(index >= 1);
        assert_memory_not_equal(&got, &want, sizeof got);
        csp_pruner_destroy(pruner);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_bench(calibrate_gives_the_bits_of_csp_calibrate),
        with_bench(calibrate_knows_lists_of_different_lengths),
        with_bench(calibrate_is_the_mass_that_the_plan_drops),
        with_bench(calibrate_gives_the_same_bits_under_every_hook),
        with_bench(calibrate_without_values_sums_mass_alone),
        with_bench(calibrate_of_an_empty_cache_adds_nothing),
        with_bench(calibrate_refuses_null),
        with_bench(calibrate_without_a_plan_is_refused),
        with_bench(calibrate_refuses_shapes_that_disagree),
        with_bench(calibrate_checks_the_distance_of_value_heads),
        with_bench(calibrate_of_probabilities_needs_lse),
        with_bench(calibrate_with_nan_in_one_head_changes_no_sum),
        with_bench(calibrate_out_of_memory_changes_no_sum),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
