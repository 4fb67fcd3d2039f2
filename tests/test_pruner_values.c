/*
 * test_pruner_values.c - norms of the cached value rows
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "pruner_fixture.h"

static void set_values_gives_the_bits_of_csp_value_norms(void **state)
{
    bench *b = *state;
    csp_importance view;
    csp_tokens tokens;
    float norms[2 * 30];

    for (uint32_t layer = 0; layer < 2; layer++) {
        const csp_tensor values = engine_values(&b->e, layer);
        csp_pruner_tokens(b->pruner, layer, &tokens);
        csp_pruner_importance(b->pruner, layer, &view);
        assert_int_equal(csp_value_norms(&values, &tokens, 30, norms), CSP_OK);
        for (uint32_t g = 0; g < 2; g++)
            assert_memory_equal(view.value_norm + g * view.capacity,
                                norms + g * 30, 30 * sizeof(float));
    }
}

static void set_values_gives_the_bits_of_csp_value_distances(void **state)
{
    bench *b = *state;
    unsigned char workspace[2048];
    csp_importance view;
    csp_tokens tokens;
    float distances[2 * 30];
    const csp_tensor values = engine_values(&b->e, 1);

    b->config.center_values = true;
    csp_pruner_configure(b->pruner, &b->config);
    assert_int_equal(csp_pruner_set_values(b->pruner, 1, &values), CSP_OK);

    csp_pruner_tokens(b->pruner, 1, &tokens);
    csp_pruner_importance(b->pruner, 1, &view);
    assert_int_equal(csp_value_distances(&values, &tokens, workspace,
                                         sizeof workspace, 30, distances),
                     CSP_OK);
    for (uint32_t g = 0; g < 2; g++)
        assert_memory_equal(view.value_norm + g * view.capacity,
                            distances + g * 30, 30 * sizeof(float));
}

/* Layers of different lengths: the longer one asks for more room when the
   shorter one has its norms. */
static void values_move_along_when_another_layer_grows(void **state)
{
    bench *b = *state;
    csp_importance view;
    float norms[26];
    b->config.layer_spread = CSP_LAYERS_PYRAMID;
    b->config.layer_slope = 0.5; /* 18 and 6 rows */
    csp_pruner_configure(b->pruner, &b->config);
    assert_int_equal(csp_pruner_plan(b->pruner), CSP_OK);
    engine_apply(&b->e, b->pruner);
    engine_append(&b->e, 20);
    const csp_tensor values = engine_values(&b->e, 1);
    engine_score(&b->e, b->pruner, 1, 30, 50, LOGITS);
    assert_int_equal(csp_pruner_set_values(b->pruner, 1, &values), CSP_OK);
    csp_pruner_importance(b->pruner, 1, &view);
    memcpy(norms, view.value_norm, sizeof norms);
    const uint32_t capacity = view.capacity;

    engine_score(&b->e, b->pruner, 0, 30, 50, LOGITS);

    csp_pruner_importance(b->pruner, 1, &view);
    assert_true(view.capacity > capacity);
    assert_memory_equal(view.value_norm, norms, sizeof norms);
}

static void configure_forgets_values_of_the_other_kind(void **state)
{
    bench *b = *state;
    csp_importance view;
    bool known[2];

    engine_set_values(&b->e, b->pruner);
    csp_pruner_configure(b->pruner, &b->config);
    csp_pruner_importance(b->pruner, 1, &view);
    known[0] = view.value_norm != NULL;
    b->config.center_values = true;
    csp_pruner_configure(b->pruner, &b->config);
    csp_pruner_importance(b->pruner, 1, &view);
    known[1] = view.value_norm != NULL;

    assert_true(known[0]);
    assert_false(known[1]);
}

static void set_values_without_memory_changes_nothing(void **state)
{
    bench *b = *state;
    const csp_tensor values = engine_values(&b->e, 1);
    csp_tensor wide = values;
    wide.n_cols = 1 << 20; /* more scratch than there is; all the same row */
    wide.col_stride = 0;

    b->config.center_values = true;
    csp_pruner_configure(b->pruner, &b->config);
    snapshot before = take_snapshot(b->pruner, 2);
    ledger_fail(&b->book, 0, true);
    assert_int_equal(csp_pruner_set_values(b->pruner, 1, &wide), CSP_E_MEMORY);
    ledger_heal(&b->book);
    assert_unchanged(&before, b->pruner, 2);
}

static void set_values_makes_norms_known_until_the_next_token(void **state)
{
    bench *b = *state;
    csp_importance view;
    csp_pruner *pruner = new_pruner(&b->e, &b->config, &b->book.hooks, NULL);
    bool known[3];

    engine_score_all(&b->e, pruner, 0, 30, LOGITS);
    csp_pruner_importance(pruner, 0, &view);
    known[0] = view.value_norm != NULL;
    engine_set_values(&b->e, pruner);
    csp_pruner_importance(pruner, 0, &view);
    known[1] = view.value_norm != NULL;
    engine_append(&b->e, 1);
    engine_score_all(&b->e, pruner, 30, 31, LOGITS);
    csp_pruner_importance(pruner, 0, &view);
    known[2] = view.value_norm != NULL;
    csp_pruner_destroy(pruner);

    assert_false(known[0]);
    assert_true(known[1]);
    assert_false(known[2]);
}

static void set_values_refuses_bad_views(void **state)
{
    bench *b = *state;
    const csp_tensor values = engine_values(&b->e, 0);
    csp_tensor short_one = values, headless = values, strange = values,
               none = values;
    snapshot before = take_snapshot(b->pruner, 2);
    short_one.n_rows = 29;
    headless.n_heads = 1;
    strange.dtype = (csp_dtype)9;
    none.data = NULL;

    assert_int_equal(csp_pruner_set_values(NULL, 0, &values), CSP_E_NULL);
    assert_int_equal(csp_pruner_set_values(b->pruner, 0, NULL), CSP_E_NULL);
    assert_int_equal(csp_pruner_set_values(b->pruner, 0, &none), CSP_E_NULL);
    assert_int_equal(csp_pruner_set_values(b->pruner, 2, &values), CSP_E_SHAPE);
    assert_int_equal(csp_pruner_set_values(b->pruner, 0, &short_one),
                     CSP_E_SHAPE);
    assert_int_equal(csp_pruner_set_values(b->pruner, 0, &headless),
                     CSP_E_SHAPE);
    assert_int_equal(csp_pruner_set_values(b->pruner, 0, &strange),
                     CSP_E_DTYPE);
    assert_unchanged(&before, b->pruner, 2);
}

static void set_values_of_nan_changes_nothing(void **state)
{
    bench *b = *state;
    const csp_tensor values = engine_values(&b->e, 1);
    snapshot before = take_snapshot(b->pruner, 2);

    b->e.v_cache[((size_t)3 * b->e.capacity + 29) * b->e.dim + 7] = NAN;
    assert_int_equal(csp_pruner_set_values(b->pruner, 1, &values),
                     CSP_E_NOT_FINITE);
    assert_unchanged(&before, b->pruner, 2);
}

static void set_values_drops_the_plan(void **state)
{
    bench *b = *state;
    csp_kept kept;

    engine_set_values(&b->e, b->pruner);
    assert_int_equal(csp_pruner_kept(b->pruner, 0, &kept), CSP_E_STATE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_bench(set_values_gives_the_bits_of_csp_value_norms),
        with_bench(set_values_gives_the_bits_of_csp_value_distances),
        with_bench(values_move_along_when_another_layer_grows),
        with_bench(configure_forgets_values_of_the_other_kind),
        with_bench(set_values_without_memory_changes_nothing),
        with_bench(set_values_makes_norms_known_until_the_next_token),
        with_bench(set_values_refuses_bad_views),
        with_bench(set_values_of_nan_changes_nothing),
        with_bench(set_values_drops_the_plan),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
