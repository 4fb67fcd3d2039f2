/*
 * metamorphic_twice.c - in steps as at once: pruning and compacting
 */
#include "metamorphic.h"

#include "pruner_fixture.h"

static sample a;

/* A layer that has been scored, with a budget of 'budget'. */
static csp_pruner *scored(uint32_t budget)
{
    csp_pruner *pruner = NULL;

    a.config.budget = budget;
    assert_ok(
        csp_pruner_create(1, a.n_kv_heads, &a.config, NULL, NULL, &pruner));
    assert_ok(csp_pruner_set_spans(pruner, a.spans, a.tokens.n_spans));
    assert_ok(csp_pruner_score(pruner, 0, &a.attention));
    return pruner;
}

static snapshot prune(csp_pruner *pruner)
{
    assert_ok(csp_pruner_plan(pruner));
    assert_ok(csp_pruner_apply(pruner, NULL, 0, NULL));
    return take_snapshot(pruner, 1);
}

void prune_twice(uint64_t seed)
{
    draw_plain(&a, seed, true);
    a.config.sinks = random_below(&a.random, 3);
    a.config.recent = random_below(&a.random, 3);
    const uint32_t edges = a.config.sinks + a.config.recent;
    const uint32_t less = random_between(&a.random, edges, a.n_keys + 4);
    const uint32_t more = random_between(&a.random, less, a.n_keys + 4);
    csp_pruner *at_once = scored(less);
    snapshot expected = prune(at_once);
    csp_pruner *pruner = scored(more);

    snapshot once = prune(pruner), twice = prune(pruner);
    a.config.budget = less;
    assert_ok(csp_pruner_configure(pruner, &a.config));
    snapshot at_last = prune(pruner);

    assert_true(same_snapshots(&once, &twice));
    assert_true(same_snapshots(&at_last, &expected));
    free(once.bytes);
    free(twice.bytes);
    free(at_last.bytes);
    free(expected.bytes);
    csp_pruner_destroy(pruner);
    csp_pruner_destroy(at_once);
}

enum { CELLS_SIZE = 3 * 40 * 80 };

static uint32_t draw_list(random_source *random, uint32_t n, uint32_t *rows)
{
    uint32_t n_rows = 0;

    for (uint32_t i = 0; i < n; i++)
        if (random_chance(random, 60))
            rows[n_rows++] = i;
    return n_rows;
}

static void compact_by(csp_cells cells, unsigned char *data, uint32_t n_tokens,
                       uint32_t *rows, uint32_t n_rows)
{
    const csp_kept kept = {
        .rows = rows, .counts = &n_rows, .n_lists = 1, .capacity = n_tokens};

    cells.data = data;
    cells.n_tokens = n_tokens;
    assert_ok(csp_compact(&cells, 1, &kept, NULL));
}

/* By a list, then by one of the rest, then by that of all. */
void compact_twice(uint64_t seed)
{
    random_source random = {seed};
    static unsigned char steps[CELLS_SIZE], once[CELLS_SIZE];
    uint32_t first[40], second[40], both[40], all[40];
    const uint32_t n_heads = random_between(&random, 1, 3);
    const uint32_t n = random_between(&random, 1, 40);
    const size_t size = random_between(&random, 1, 64);
    csp_cells cells = csp_cells_packed(steps, n_heads, n, size);
    cells.token_stride = size + random_below(&random, 16);
    cells.head_stride = cells.token_stride * n;
    for (size_t i = 0; i < CELLS_SIZE; i++)
        once[i] = steps[i] = (unsigned char)random_bits(&random);
    const uint32_t n_first = draw_list(&random, n, first);
    const uint32_t n_second = draw_list(&random, n_first, second);
    for (uint32_t i = 0; i < n_second; i++) {
        both[i] = first[second[i]];
        all[i] = i;
    }

    compact_by(cells, steps, n, first, n_first);
    compact_by(cells, steps, n_first, second, n_second);
    compact_by(cells, once, n, both, n_second);
    for (int i = 0; i < 2; i++) {
        for (uint32_t h = 0; h < n_heads; h++)
            for (uint32_t t = 0; t < n_second; t++) {
                const size_t at =
                    h * cells.head_stride + t * cells.token_stride;
                assert_memory_equal(steps + at, once + at, size);
            }
        compact_by(cells, steps, n_second, all, n_second);
    }
}
