/*
 * test_pruner_score.c - chunks of attention come in
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

#define N 30u
#define MAX_HEADS 4u

/* csp_score itself, on a cache not pruned yet. */
typedef struct direct {
    float sums[4][MAX_HEADS * N];
} direct;

static void score_directly(const engine *e, const chunk *c,
                           const csp_config *config, const csp_span *spans,
                           uint32_t n_spans, direct *d)
{
    const csp_tokens tokens = {.n_kv_heads = e->n_kv_heads,
                               .n_keys = N,
                               .spans = spans,
                               .n_spans = n_spans,
                               .n_tokens = UINT32_MAX};
    const csp_importance to = {d->sums[0], d->sums[1], d->sums[2],
                               d->sums[3], NULL,       N};
    size_t size = csp_score_workspace_size(&c->view, &tokens, config);
    void *workspace = malloc(size + 1);

    memset(d, 0, sizeof *d);
    csp_status status =
        csp_score(&c->view, &tokens, config, workspace, size, &to);
    free(workspace);
    assert_int_equal(status, CSP_OK);
}

static void assert_is_direct(const csp_pruner *pruner, uint32_t layer,
                             uint32_t n_heads, const direct *d)
{
    csp_importance got;

    assert_int_equal(csp_pruner_importance(pruner, layer, &got), CSP_OK);
    for (size_t g = 0; g < n_heads; g++) {
        const size_t at = g * got.capacity;
        const size_t size = N * sizeof(float);
        assert_memory_equal(got.intra + at, d->sums[0] + g * N, size);
        assert_memory_equal(got.inter + at, d->sums[1] + g * N, size);
        assert_memory_equal(got.intra_rows + at, d->sums[2] + g * N, size);
        assert_memory_equal(got.inter_rows + at, d->sums[3] + g * N, size);
    }
}

static void score_gives_the_bits_of_csp_score(void **state)
{
    const csp_config config = plain_config(12);

    (void)state;
    for (uint32_t kind = 0; kind < N_KINDS; kind++)
        for (uint32_t group = 1; group <= 3; group++) {
            engine e;
            direct d;
            engine_init(&e, 1, MAX_HEADS, group, N, kind * 8 + group);
            engine_append(&e, N);
            csp_pruner *pruner = new_pruner(&e, &config, NULL, NULL);
            chunk c = engine_chunk(&e, 0, 3, N, (chunk_kind)kind);

            assert_int_equal(csp_pruner_score(pruner, 0, &c.view), CSP_OK);

            score_directly(&e, &c, &config, engine_spans, N_SPANS, &d);
            assert_is_direct(pruner, 0, MAX_HEADS, &d);
            free(c.memory);
            csp_pruner_destroy(pruner);
            engine_free(&e);
        }
}

static void score_knows_many_modalities(void **state)
{
    const csp_span spans[] = {{2, 6, 3}, {6, 11, 15}, {12, 19, 0}, {20, 28, 1}};
    const csp_config config = plain_config(12);
    engine e;
    direct d;

    (void)state;
    engine_init(&e, 1, 2, 2, N, 5);
    engine_append(&e, N);
    csp_pruner *pruner = new_pruner(&e, &config, NULL, NULL);
    chunk c = engine_chunk(&e, 0, 0, N, LOGITS);
    assert_int_equal(csp_pruner_set_spans(pruner, spans, 4), CSP_OK);

    assert_int_equal(csp_pruner_score(pruner, 0, &c.view), CSP_OK);

    score_directly(&e, &c, &config, spans, 4, &d);
    assert_is_direct(pruner, 0, 2, &d);
    free(c.memory);
    csp_pruner_destroy(pruner);
    engine_free(&e);
}

/* Importance of a layer against float64, E1 and E2 in full. */
static void assert_near_naive(const engine *e, const csp_pruner *pruner,
                              uint32_t layer, double tolerance)
{
    const size_t count = (size_t)e->n_kv_heads * e->capacity;
    double *want = calloc(2 * count, sizeof *want);
    csp_importance got;
    bool near = true;

    engine_importance(e, layer, 0, e->n_tokens, 1.0, want, want + count);
    assert_int_equal(csp_pruner_importance(pruner, layer, &got), CSP_OK);
    for (uint32_t g = 0; g < e->n_kv_heads; g++)
        for (uint32_t i = 0; i < e->n_tokens; i++) {
            const size_t from = (size_t)g * e->capacity + i;
            const size_t to = (size_t)g * got.capacity + i;
            const double intra = want[from];
            const double inter = want[count + from];
            near = near &&
                   fabs((double)got.intra[to] - intra) <= tolerance * intra &&
                   fabs((double)got.inter[to] - inter) <= tolerance * inter;
        }
    free(want);
    assert_true(near);
}

/* Score every layer in chunks of these many tokens, as a prompt grows. */
static csp_pruner *score_in_chunks(engine *e, const uint32_t *lengths,
                                   uint32_t n_chunks, chunk_kind kind)
{
    const csp_config config = plain_config(12);
    csp_pruner *pruner = new_pruner(e, &config, NULL, NULL);

    for (uint32_t i = 0; i < n_chunks; i++) {
        const uint32_t begin = e->n_tokens;
        engine_append(e, lengths[i]);
        engine_score_all(e, pruner, begin, e->n_tokens, kind);
    }
    return pruner;
}

static void score_in_chunks_is_score_at_once(void **state)
{
    const uint32_t lengths[][5] = {
        {N}, {7, 1, 12, 10}, {1, 1, 1, 26, 1}, {29, 1}};
    const uint32_t n_chunks[] = {1, 4, 5, 2};

    (void)state;
    for (uint32_t kind = 0; kind < N_KINDS; kind++)
        for (uint32_t i = 0; i < 4; i++) {
            engine e;
            engine_init(&e, 2, 2, 2, N, 9);

            csp_pruner *pruner =
                score_in_chunks(&e, lengths[i], n_chunks[i], (chunk_kind)kind);

            for (uint32_t layer = 0; layer < 2; layer++)
                assert_near_naive(&e, pruner, layer,
                                  kind == LOGITS_F16 ? 1e-2 : 5e-6);
            csp_pruner_destroy(pruner);
            engine_free(&e);
        }
}

static void score_gives_the_same_bits_under_every_hook(void **state)
{
    const csp_config config = plain_config(12);

    (void)state;
    for (uint32_t kind = 0; kind < N_KINDS; kind++) {
        engine e;
        engine_init(&e, 2, 7, 2, N, 11);
        engine_append(&e, N);
        csp_pruner *serial = new_pruner(&e, &config, NULL, NULL);
        engine_score_all(&e, serial, 0, N, (chunk_kind)kind);
        engine_set_values(&e, serial);
        for (uint32_t hook = 0; hook < N_HOOKS; hook++) {
            const csp_parallel parallel = hook_number(hook);
            csp_pruner *pruner = new_pruner(&e, &config, NULL, &parallel);

            engine_score_all(&e, pruner, 0, N, (chunk_kind)kind);
            engine_set_values(&e,
                              pruner); /* or norms would be compared unset */

            snapshot want = take_snapshot(serial, 2);
            assert_unchanged(&want, pruner, 2);
            csp_pruner_destroy(pruner);
        }
        csp_pruner_destroy(serial);
        engine_free(&e);
    }
}

/* ---- Order of chunks ----------------------------------------------------- */

static void score_of_a_chunk_that_ends_earlier_is_refused(void **state)
{
    bench *b = *state;
    snapshot before = take_snapshot(b->pruner, 2);

    assert_int_equal(engine_score(&b->e, b->pruner, 1, 0, 29, LOGITS),
                     CSP_E_STATE);
    assert_int_equal(engine_score(&b->e, b->pruner, 1, 0, 29, QUERIES),
                     CSP_E_STATE);
    assert_unchanged(&before, b->pruner, 2);
}

static void score_of_the_same_rows_adds_them_again(void **state)
{
    bench *b = *state;
    csp_importance view;

    csp_pruner_importance(b->pruner, 1, &view);
    const float once = view.intra[2];
    assert_int_equal(engine_score(&b->e, b->pruner, 1, 0, 30, LOGITS), CSP_OK);

    csp_pruner_importance(b->pruner, 1, &view);
    assert_true(once > 0.0f);
    assert_true(view.intra[2] == 2.0f * once);
}

static void score_leaves_other_layers_alone(void **state)
{
    bench *b = *state;
    csp_importance view;
    csp_tokens tokens;

    csp_pruner_importance(b->pruner, 0, &view);
    const float before = view.intra[2];
    engine_append(&b->e, 30);
    assert_int_equal(engine_score(&b->e, b->pruner, 1, 30, 60, LOGITS), CSP_OK);

    csp_pruner_importance(b->pruner, 0, &view);
    csp_pruner_tokens(b->pruner, 0, &tokens);
    assert_true(view.intra[2] == before);
    assert_int_equal(tokens.n_keys, 30);
    csp_pruner_tokens(b->pruner, 1, &tokens);
    assert_int_equal(tokens.n_keys, 60);
}

static void score_drops_the_plan(void **state)
{
    bench *b = *state;
    csp_kept kept;

    engine_score(&b->e, b->pruner, 1, 0, 30, LOGITS);
    assert_int_equal(csp_pruner_kept(b->pruner, 0, &kept), CSP_E_STATE);
}

static void score_of_no_rows_lets_the_cache_grow(void **state)
{
    bench *b = *state;
    const csp_attention nothing = {.first_query = 40};
    csp_importance view;
    csp_tokens tokens;

    assert_int_equal(csp_pruner_score(b->pruner, 0, &nothing), CSP_OK);

    csp_pruner_tokens(b->pruner, 0, &tokens);
    csp_pruner_importance(b->pruner, 0, &view);
    assert_int_equal(tokens.n_keys, 40);
    assert_int_equal(tokens.positions[39], 39);
    assert_true(view.intra[39] == 0.0f && view.inter_rows[39] == 0.0f);
}

static void score_of_no_token_is_ok(void **state)
{
    bench *b = *state;
    const csp_attention nothing = {
        .scores = csp_tensor_packed(NULL, CSP_F32, 4, 0, 0)};
    csp_tokens tokens;

    csp_pruner_reset(b->pruner);
    assert_int_equal(csp_pruner_score(b->pruner, 0, &nothing), CSP_OK);

    csp_pruner_tokens(b->pruner, 0, &tokens);
    assert_int_equal(tokens.n_keys, 0);
}

static void score_grows_in_few_allocations(void **state)
{
    bench *b = *state;

    csp_pruner_reset(b->pruner);
    b->e.n_tokens = 0;
    memset(b->e.counts, 0, 4 * sizeof *b->e.counts);
    ledger_fail(&b->book, SIZE_MAX, false);
    for (uint32_t i = 0; i < 60; i++) {
        engine_append(&b->e, 1);
        engine_score_all(&b->e, b->pruner, i, i + 1, LOGITS);
    }

    assert_true(b->book.n_calls <= 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(score_gives_the_bits_of_csp_score),
        cmocka_unit_test(score_knows_many_modalities),
        cmocka_unit_test(score_in_chunks_is_score_at_once),
        cmocka_unit_test(score_gives_the_same_bits_under_every_hook),
        with_bench(score_of_a_chunk_that_ends_earlier_is_refused),
        with_bench(score_of_the_same_rows_adds_them_again),
        with_bench(score_leaves_other_layers_alone),
        with_bench(score_drops_the_plan),
        with_bench(score_of_no_rows_lets_the_cache_grow),
        with_bench(score_of_no_token_is_ok),
        with_bench(score_grows_in_few_allocations),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
