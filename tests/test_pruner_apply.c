/*
 * test_pruner_apply.c - the plan is carried out on caches of several layouts
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
#define LAYERS 2u
#define HEADS 2u
#define DIM 6u
#define PAGE 4u
#define PAGES 9u /* one is in nobody's table */
#define CACHE_SIZE 2048u

typedef enum layout {
    HEAD_TOKEN_DIM = 0,
    TOKEN_HEAD_DIM = 1,
    HEAD_DIM_TOKEN = 2,
    PAGED = 3
} layout;

#define N_LAYOUTS 4

static const uint32_t page_table[PAGES - 1] = {3, 8, 0, 7, 5, 1, 6, 2};

static csp_cells cells_of(layout how, void *data)
{
    csp_cells c = {.data = data,
                   .n_heads = HEADS,
                   .n_channels = 1,
                   .n_tokens = N,
                   .cell_size = 2 * DIM};

    switch (how) {
    case HEAD_TOKEN_DIM:
        c.token_stride = 2 * DIM + 2; /* rows are padded */
        c.head_stride = N * c.token_stride + 10;
        break;
    case TOKEN_HEAD_DIM:
        c.head_stride = 2 * DIM;
        c.token_stride = HEADS * c.head_stride;
        break;
    case HEAD_DIM_TOKEN:
        c.n_channels = DIM;
        c.cell_size = c.token_stride = 2;
        c.channel_stride = 2 * (N + 3);
        c.head_stride = DIM * c.channel_stride;
        break;
    case PAGED:
        c.head_stride = 2 * DIM;
        c.token_stride = HEADS * c.head_stride;
        c.pages = page_table;
        c.page_tokens = PAGE;
        c.n_pages = PAGES;
        c.page_stride = PAGE * c.token_stride + 4;
        break;
    }
    return c;
}

/* Where element 'i' of a row is, two bytes each. */
static unsigned char *element(const csp_cells *c, uint32_t head, uint32_t token,
                              uint32_t i)
{
    unsigned char *at = (unsigned char *)c->data + head * c->head_stride;

    if (c->pages != NULL)
        at += c->pages[token / PAGE] * c->page_stride +
              token % PAGE * c->token_stride;
    else
        at += token * c->token_stride;
    return at + (c->n_channels == 1 ? 2 * i : i * c->channel_stride);
}

/* Caches of all layers, [LAYERS][2], full of distinct numbers in and between
   rows. */
typedef struct caches {
    unsigned char bytes[LAYERS * 2][CACHE_SIZE];
    csp_cells cells[LAYERS * 2];
} caches;

static void fill(caches *c, layout k, layout v, uint32_t first)
{
    for (uint32_t i = 0; i < LAYERS * 2; i++) {
        c->cells[i] = cells_of(i % 2 == 0 ? k : v, c->bytes[i]);
        for (uint32_t j = 0; j < CACHE_SIZE / 2; j++) {
            const uint16_t number = (uint16_t)(first + i * CACHE_SIZE / 2 + j);
            memcpy(c->bytes[i] + 2 * j, &number, sizeof number);
        }
    }
}

/* What 'to' must hold when rows of 'from' have been moved there by the plan. */
static void move_naively(const csp_pruner *pruner, const caches *from,
                         caches *to)
{
    for (uint32_t i = 0; i < LAYERS * 2; i++) {
        csp_kept kept;
        assert_int_equal(csp_pruner_kept(pruner, i / 2, &kept), CSP_OK);
        for (uint32_t g = 0; g < HEADS; g++) {
            const uint32_t list = kept.n_lists == 1 ? 0 : g;
            for (uint32_t r = 0; r < kept.counts[list]; r++)
                for (uint32_t d = 0; d < DIM; d++)
                    memcpy(element(&to->cells[i], g, r, d),
                           element(&from->cells[i], g,
                                   kept.rows[(size_t)list * kept.capacity + r],
                                   d),
                           2);
        }
    }
}

static csp_pruner *planned(const engine *e, csp_scope scope,
                           csp_selection selection,
                           const csp_parallel *parallel)
{
    csp_config config = plain_config(13);
    config.scope = scope;
    config.selection = selection;
    config.n_intra = 5;
    config.n_inter = 3;
    csp_pruner *pruner = new_pruner(e, &config, NULL, parallel);

    engine_score_all(e, pruner, 0, N, LOGITS);
    assert_int_equal(csp_pruner_plan(pruner), CSP_OK);
    return pruner;
}

/* ---- Layouts ------------------------------------------------------------- */

static void apply_in_place_is_naive_copying(void **state)
{
    const bench *b = *state;
    caches *c = calloc(3, sizeof *c); /* before, moved, wanted */

    for (uint32_t k = 0; k < N_LAYOUTS; k++)
        for (uint32_t v = 0; v < N_LAYOUTS; v++) {
            csp_pruner *pruner = planned(&b->e, CSP_PER_HEAD, CSP_EXACT, NULL);
            for (uint32_t i = 0; i < 3; i++)
                fill(&c[i], (layout)k, (layout)v, 0);
            move_naively(pruner, &c[0], &c[2]);

            assert_int_equal(csp_pruner_apply(pruner, c[1].cells, 2, NULL),
                             CSP_OK);

            assert_memory_equal(c[1].bytes, c[2].bytes, sizeof c[1].bytes);
            csp_pruner_destroy(pruner);
        }
    free(c);
}

static void apply_out_of_place_is_naive_copying(void **state)
{
    const bench *b = *state;
    caches *c = calloc(4, sizeof *c); /* before, source, moved, wanted */

    for (uint32_t from = 0; from < N_LAYOUTS; from++)
        for (uint32_t to = 0; to < N_LAYOUTS; to++) {
            if ((from == HEAD_DIM_TOKEN) != (to == HEAD_DIM_TOKEN))
                continue; /* cells of another size */
            csp_pruner *pruner = planned(&b->e, CSP_PER_HEAD, CSP_EXACT, NULL);
            for (uint32_t i = 0; i < 2; i++)
                fill(&c[i], (layout)from, (layout)from, 0);
            for (uint32_t i = 2; i < 4; i++)
                fill(&c[i], (layout)to, (layout)to, 30000);
            move_naively(pruner, &c[0], &c[3]);

            assert_int_equal(
                csp_pruner_apply(pruner, c[1].cells, 2, c[2].cells), CSP_OK);

            assert_memory_equal(c[2].bytes, c[3].bytes, sizeof c[2].bytes);
            assert_memory_equal(c[1].bytes, c[0].bytes, sizeof c[1].bytes);
            csp_pruner_destroy(pruner);
        }
    free(c);
}

static void apply_follows_every_kind_of_plan(void **state)
{
    const bench *b = *state;
    caches *c = calloc(3, sizeof *c);

    for (uint32_t selection = CSP_EXACT; selection <= CSP_INTERSECTION;
         selection++)
        for (uint32_t scope = CSP_PER_HEAD; scope <= CSP_GLOBAL; scope++) {
            csp_pruner *pruner = planned(&b->e, (csp_scope)scope,
                                         (csp_selection)selection, NULL);
            for (uint32_t i = 0; i < 3; i++)
                fill(&c[i], PAGED, HEAD_DIM_TOKEN, 0);
            move_naively(pruner, &c[0], &c[2]);

            assert_int_equal(csp_pruner_apply(pruner, c[1].cells, 2, NULL),
                             CSP_OK);

            assert_memory_equal(c[1].bytes, c[2].bytes, sizeof c[1].bytes);
            csp_pruner_destroy(pruner);
        }
    free(c);
}

static void apply_moves_the_same_under_every_hook(void **state)
{
    const bench *b = *state;
    caches *c = calloc(3, sizeof *c);

    for (uint32_t hook = 0; hook < N_HOOKS; hook++) {
        const csp_parallel parallel = hook_number(hook);
        csp_pruner *pruner = planned(&b->e, CSP_PER_HEAD, CSP_EXACT, &parallel);
        for (uint32_t i = 0; i < 3; i++)
            fill(&c[i], HEAD_TOKEN_DIM, HEAD_DIM_TOKEN, 0);
        move_naively(pruner, &c[0], &c[2]);

        assert_int_equal(csp_pruner_apply(pruner, c[1].cells, 2, NULL), CSP_OK);

        assert_memory_equal(c[1].bytes, c[2].bytes, sizeof c[1].bytes);
        csp_pruner_destroy(pruner);
    }
    free(c);
}

static void apply_moves_one_view_of_each_layer(void **state)
{
    const bench *b = *state;
    caches *c = calloc(3, sizeof *c);
    csp_pruner *pruner = planned(&b->e, CSP_PER_HEAD, CSP_EXACT, NULL);
    for (uint32_t i = 0; i < 3; i++)
        fill(&c[i], PAGED, PAGED, 0);
    move_naively(pruner, &c[0], &c[2]);
    const csp_cells keys[LAYERS] = {c[1].cells[0], c[1].cells[2]};

    assert_int_equal(csp_pruner_apply(pruner, keys, 1, NULL), CSP_OK);

    for (uint32_t i = 0; i < LAYERS * 2; i++)
        assert_memory_equal(c[1].bytes[i], c[i % 2 == 0 ? 2 : 0].bytes[i],
                            CACHE_SIZE);
    csp_pruner_destroy(pruner);
    free(c);
}

static void apply_with_and_without_caches_leaves_the_same_pruner(void **state)
{
    bench *b = *state;
    caches *c = calloc(1, sizeof *c);
    csp_pruner *other = new_pruner(&b->e, &b->config, NULL, NULL);
    engine_score_all(&b->e, other, 0, N, LOGITS);
    engine_set_values(&b->e, other);
    csp_pruner_plan(other);
    fill(c, PAGED, PAGED, 0);

    assert_int_equal(csp_pruner_apply(other, c->cells, 2, NULL), CSP_OK);
    assert_int_equal(csp_pruner_apply(b->pruner, NULL, 0, NULL), CSP_OK);

    snapshot want = take_snapshot(other, LAYERS);
    assert_unchanged(&want, b->pruner, LAYERS);
    csp_pruner_destroy(other);
    free(c);
}

/* ---- Refusals ------------------------------------------------------------ */

/* Status of an apply that must be refused: no byte of a cache or the pruner
   changes. */
static csp_status refused(bench *b, caches *from, caches *to)
{
    caches *copies = malloc(2 * sizeof *copies);
    snapshot before = take_snapshot(b->pruner, LAYERS);

    copies[0] = *from;
    copies[1] = *to;
    csp_status status = csp_pruner_apply(b->pruner, from->cells, 2,
                                         from != to ? to->cells : NULL);
    assert_memory_equal(copies[0].bytes, from->bytes, sizeof from->bytes);
    assert_memory_equal(copies[1].bytes, to->bytes, sizeof to->bytes);
    assert_unchanged(&before, b->pruner, LAYERS);
    free(copies);
    return status;
}

static void apply_refuses_null(void **state)
{
    bench *b = *state;
    snapshot before = take_snapshot(b->pruner, LAYERS);

    assert_int_equal(csp_pruner_apply(NULL, NULL, 0, NULL), CSP_E_NULL);
    assert_int_equal(csp_pruner_apply(b->pruner, NULL, 1, NULL), CSP_E_NULL);
    assert_unchanged(&before, b->pruner, LAYERS);
}

static void apply_refuses_to_go_without_a_plan(void **state)
{
    bench *b = *state;
    caches *c = calloc(1, sizeof *c);
    fill(c, PAGED, PAGED, 0);
    csp_pruner_configure(b->pruner, &b->config);

    assert_int_equal(refused(b, c, c), CSP_E_STATE);
    assert_int_equal(csp_pruner_apply(b->pruner, NULL, 0, NULL), CSP_E_STATE);
    free(c);
}

static void apply_refuses_more_views_than_count(void **state)
{
    bench *b = *state;
    const csp_cells none = {0};
    snapshot before = take_snapshot(b->pruner, LAYERS);

    assert_int_equal(csp_pruner_apply(b->pruner, &none, UINT32_MAX, NULL),
                     CSP_E_OVERFLOW);
    assert_int_equal(csp_pruner_apply(b->pruner, &none, 1u << 31, NULL),
                     CSP_E_OVERFLOW);
    assert_unchanged(&before, b->pruner, LAYERS);
}

static void apply_checks_the_last_view_before_the_first_moves(void **state)
{
    bench *b = *state;
    caches *c = calloc(2, sizeof *c);
    csp_cells *last = &c[0].cells[LAYERS * 2 - 1];
    fill(&c[0], HEAD_TOKEN_DIM, HEAD_TOKEN_DIM, 0);
    fill(&c[1], HEAD_TOKEN_DIM, HEAD_TOKEN_DIM, 9);
    const csp_cells good = *last;

    last->n_tokens = N - 1;
    assert_int_equal(refused(b, &c[0], &c[0]), CSP_E_INDEX);
    *last = good;
    last->n_heads = HEADS + 1;
    assert_int_equal(refused(b, &c[0], &c[0]), CSP_E_SHAPE);
    *last = good;
    last->token_stride = last->cell_size - 1;
    assert_int_equal(refused(b, &c[0], &c[0]), CSP_E_STRIDE);
    *last = good;
    last->data = NULL;
    assert_int_equal(refused(b, &c[0], &c[0]), CSP_E_NULL);
    *last = good;
    last->head_stride = SIZE_MAX;
    assert_int_equal(refused(b, &c[0], &c[0]), CSP_E_OVERFLOW);
    *last = good;
    c[1].cells[LAYERS * 2 - 1].n_tokens = b->config.budget - 1;
    assert_int_equal(refused(b, &c[0], &c[1]), CSP_E_CAPACITY);
    assert_int_equal(csp_pruner_apply(b->pruner, c[0].cells, 2, NULL), CSP_OK);
    free(c);
}

static void apply_checks_every_view(void **state)
{
    bench *b = *state;
    caches *c = calloc(1, sizeof *c);
    fill(c, HEAD_TOKEN_DIM, HEAD_DIM_TOKEN, 0);

    for (uint32_t i = 0; i < LAYERS * 2; i++) {
        c->cells[i].n_tokens = N - 1;
        assert_int_equal(refused(b, c, c), CSP_E_INDEX);
        c->cells[i].n_tokens = N;
    }
    free(c);
}

static void apply_refuses_a_cache_that_two_layers_share(void **state)
{
    bench *b = *state;
    caches *c = calloc(2, sizeof *c);
    fill(&c[0], HEAD_TOKEN_DIM, HEAD_TOKEN_DIM, 0);
    fill(&c[1], HEAD_TOKEN_DIM, HEAD_TOKEN_DIM, 0);

    c[1].cells[3] = c[1].cells[0];
    assert_int_equal(refused(b, &c[1], &c[1]), CSP_E_OVERLAP);
    assert_int_equal(refused(b, &c[0], &c[1]), CSP_E_OVERLAP);
    c[1].cells[3] = c[0].cells[1]; /* a source of another layer */
    assert_int_equal(refused(b, &c[0], &c[1]), CSP_E_OVERLAP);
    free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_bench(apply_in_place_is_naive_copying),
        with_bench(apply_out_of_place_is_naive_copying),
        with_bench(apply_follows_every_kind_of_plan),
        with_bench(apply_moves_the_same_under_every_hook),
        with_bench(apply_moves_one_view_of_each_layer),
        with_bench(apply_with_and_without_caches_leaves_the_same_pruner),
        with_bench(apply_refuses_null),
        with_bench(apply_refuses_to_go_without_a_plan),
        with_bench(apply_refuses_more_views_than_count),
        with_bench(apply_checks_the_last_view_before_the_first_moves),
        with_bench(apply_checks_every_view),
        with_bench(apply_refuses_a_cache_that_two_layers_share),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
