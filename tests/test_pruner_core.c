/*
 * test_pruner_core.c - core functions on a pruner's views, before apply
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <math.h>
#include "pruner_fixture.h"

static void report_adds_up_over_layers(void **state)
{
    bench *b = *state;
    csp_report report = {0};
    uint64_t keys[2] = {0}, kept_keys[2] = {0};
    double all = 0.0, retained = 0.0;
    bench_second_round(b);

    for (uint32_t layer = 0; layer < 2; layer++) {
        csp_tokens tokens;
        csp_importance importance;
        csp_kept kept;
        csp_pruner_tokens(b->pruner, layer, &tokens);
        csp_pruner_importance(b->pruner, layer, &importance);
        csp_pruner_kept(b->pruner, layer, &kept);
        assert_int_equal(
            csp_report_add(&importance, &tokens, &kept, 64, &report), CSP_OK);
        for (uint32_t g = 0; g < 2; g++)
            for (uint32_t i = 0; i < 22; i++) {
                const size_t head = (size_t)layer * 2 + g;
                const uint32_t token = b->e.tokens[head * b->e.capacity + i];
                const double x =
                    (double)
                        importance.inter[(size_t)g * importance.capacity + i];
                keys[engine_modality(token)]++;
                all += x;
                if (!kept_has(&kept, g, i))
                    continue;
                kept_keys[engine_modality(token)]++;
                retained += x;
            }
    }

    assert_int_equal(report.n_heads, 4);
    assert_int_equal(report.n_keys, 4 * 22);
    assert_int_equal(report.n_kept, 4 * 12);
    assert_int_equal(report.bytes_before, 64 * 4 * 22);
    assert_int_equal(report.bytes_after, 64 * 4 * 12);
    for (uint32_t m = 0; m < 2; m++) {
        assert_true(keys[m] > 0);
        assert_int_equal(report.keys_of_modality[m], keys[m]);
        assert_int_equal(report.kept_of_modality[m], kept_keys[m]);
    }
    assert_true(fabs(report.inter_total - all) < 1e-9);
    assert_true(fabs(report.inter_kept - retained) < 1e-9);
}

static void views_serve_the_engine_that_moves_rows_itself(void **state)
{
    bench *b = *state;
    csp_cells cells[2 * MAX_LAYERS];

    engine_cells(&b->e, cells);
    for (uint32_t layer = 0; layer < 2; layer++) {
        csp_kept kept;
        csp_pruner_kept(b->pruner, layer, &kept);
        assert_int_equal(csp_compact(cells + 2 * layer, 2, &kept, NULL),
                         CSP_OK);
    }
    engine_keep(&b->e, b->pruner);
    assert_int_equal(csp_pruner_apply(b->pruner, NULL, 0, NULL), CSP_OK);

    assert_true(engine_agrees(&b->e, b->pruner));
    assert_true(engine_caches_are_right(&b->e));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_bench(report_adds_up_over_layers),
        with_bench(views_serve_the_engine_that_moves_rows_itself),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
