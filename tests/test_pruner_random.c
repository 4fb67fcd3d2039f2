/*
 * test_pruner_random.c - tiny sequences of random rounds against a naive model
 *
 * The model is what an engine would write without a pruner: arrays of its own,
 * csp_score and csp_select on them, and plain loops for the rest.  Every number
 * must be the same, bit for bit, whatever memory failed in between.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>

#include "pruner_fixture.h"
#include "random.h"

#define N_SEQUENCES 2500u
#define N_ROUNDS 4u
#define CAPACITY 28u
#define HEADS 6u /* over layers, at most */
#define N_SUMS 4
#define SCRATCH 65536u

typedef struct model {
    engine e; /* knows tokens and counts */
    csp_config config;
    float sums[N_SUMS][HEADS * CAPACITY];
    float norms[HEADS * CAPACITY];
    uint32_t rows[HEADS * CAPACITY]; /* planned */
    uint32_t counts[HEADS];
    uint32_t n_both[HEADS];
    uint8_t reasons[HEADS * CAPACITY];
    bool has_values;
    unsigned char *scratch;
} model;

/* Rows and importance of 'n_heads' heads from 'first' on. */
static csp_tokens tokens_of(const model *m, uint32_t first, uint32_t n_heads)
{
    return (csp_tokens){.n_kv_heads = n_heads,
                        .n_keys = CAPACITY,
                        .counts = m->e.counts + first,
                        .spans = engine_spans,
                        .n_spans = N_SPANS,
                        .n_tokens = 1000,
                        .positions = m->e.tokens + (size_t)first * CAPACITY,
                        .capacity = CAPACITY};
}

static csp_importance importance_of(model *m, uint32_t first)
{
    const size_t at = (size_t)first * CAPACITY;

    return (csp_importance){m->sums[0] + at, m->sums[1] + at, m->sums[2] + at,
                            m->sums[3] + at, m->norms + at,   CAPACITY};
}

static void model_score(model *m, uint32_t layer, const csp_attention *view)
{
    const uint32_t first = layer * m->e.n_kv_heads;
    const size_t count = (size_t)m->e.n_kv_heads * CAPACITY;
    const csp_tokens tokens = tokens_of(m, first, m->e.n_kv_heads);
    float sums[N_SUMS][HEADS * CAPACITY] = {{0.0f}};
    const csp_importance to = {sums[0], sums[1], sums[2],
                               sums[3], NULL,    CAPACITY};

    assert_int_equal(
        csp_score(view, &tokens, &m->config, m->scratch, SCRATCH, &to), CSP_OK);
    for (uint32_t s = 0; s < N_SUMS; s++)
        for (size_t i = 0; i < count; i++)
            m->sums[s][(size_t)first * CAPACITY + i] += sums[s][i];
}

/* Whether heads, if of one length, hold the same tokens. */
static bool hold_the_same(const model *m, uint32_t first, uint32_t n_heads)
{
    const uint32_t count = m->e.counts[first];

    for (uint32_t g = first + 1; g < first + n_heads; g++)
        if (m->e.counts[g] != count)
            return true;
    for (uint32_t g = first + 1; g < first + n_heads; g++)
        for (uint32_t i = 0; i < count; i++)
            if (m->e.tokens[(size_t)g * CAPACITY + i] !=
                m->e.tokens[(size_t)first * CAPACITY + i])
                return false;
    return true;
}

static csp_status model_plan(model *m)
{
    const bool global = m->config.scope == CSP_GLOBAL;
    const uint32_t step =
        global ? m->e.n_layers * m->e.n_kv_heads : m->e.n_kv_heads;
    const uint32_t n_lists = m->config.scope == CSP_PER_HEAD ? step : 1;

    if (m->config.weigh_values && !m->has_values)
        return CSP_E_STATE;
    for (uint32_t first = 0;
         n_lists == 1 && first < m->e.n_layers * m->e.n_kv_heads; first += step)
        if (!hold_the_same(m, first, step))
            return CSP_E_STATE;
    for (uint32_t first = 0; first < m->e.n_layers * m->e.n_kv_heads;
         first += step) {
        const csp_tokens tokens = tokens_of(m, first, step);
        const csp_importance importance = importance_of(m, first);
        const size_t at = (size_t)first * CAPACITY;
        const csp_kept kept = {.rows = m->rows + at,
                               .counts = m->counts + first,
                               .n_both = m->n_both + first,
                               .n_lists = n_lists,
                               .capacity = CAPACITY,
                               .reasons = m->reasons + at};
        csp_status status = csp_select(&importance, &tokens, &m->config,
                                       m->scratch, SCRATCH, &kept);
        if (status != CSP_OK)
            return status;
    }
    return CSP_OK;
}

/* The first head whose list is head's. */
static uint32_t list_of(const model *m, uint32_t head)
{
    if (m->config.scope == CSP_GLOBAL)
        return 0;
    return m->config.scope == CSP_PER_HEAD ? head
                                           : head - head % m->e.n_kv_heads;
}

static void model_apply(model *m)
{
    for (uint32_t head = 0; head < m->e.n_layers * m->e.n_kv_heads; head++) {
        const uint32_t list = list_of(m, head);
        const uint32_t *rows = m->rows + (size_t)list * CAPACITY;
        const size_t at = (size_t)head * CAPACITY;
        for (uint32_t i = 0; i < m->counts[list]; i++) {
            for (uint32_t s = 0; s < N_SUMS; s++)
                m->sums[s][at + i] =
                    m->sums[s][at + rows[i]] * (float)m->config.decay;
            m->norms[at + i] = m->norms[at + rows[i]];
        }
        for (uint32_t s = 0; s < N_SUMS; s++) /* for the rows to come */
            for (uint32_t i = m->counts[list]; i < CAPACITY; i++)
                m->sums[s][at + i] = 0.0f;
    }
}

/* ---- The same with a pruner ---------------------------------------------- */

static void assert_same_rows(model *m, const csp_pruner *pruner)
{
    assert_true(engine_agrees(&m->e, pruner));
    for (uint32_t head = 0; head < m->e.n_layers * m->e.n_kv_heads; head++) {
        const size_t from = (size_t)head * CAPACITY;
        const size_t size = m->e.counts[head] * sizeof(float);
        csp_importance got;
        csp_pruner_importance(pruner, head / m->e.n_kv_heads, &got);
        const size_t at = (size_t)(head % m->e.n_kv_heads) * got.capacity;
        assert_memory_equal(got.intra + at, m->sums[0] + from, size);
        assert_memory_equal(got.inter + at, m->sums[1] + from, size);
        assert_memory_equal(got.intra_rows + at, m->sums[2] + from, size);
        assert_memory_equal(got.inter_rows + at, m->sums[3] + from, size);
        if (m->has_values)
            assert_memory_equal(got.value_norm + at, m->norms + from, size);
    }
}

static void assert_same_plan(const model *m, const csp_pruner *pruner)
{
    for (uint32_t head = 0; head < m->e.n_layers * m->e.n_kv_heads; head++) {
        const uint32_t list = list_of(m, head);
        const uint32_t g = head % m->e.n_kv_heads;
        csp_kept kept;
        csp_pruner_kept(pruner, head / m->e.n_kv_heads, &kept);
        const size_t at = kept.n_lists == 1 ? 0 : g;
        assert_int_equal(kept.counts[at], m->counts[list]);
        assert_int_equal(kept.n_both[at], m->n_both[list]);
        assert_memory_equal(kept.rows + at * kept.capacity,
                            m->rows + (size_t)list * CAPACITY,
                            m->counts[list] * sizeof *m->rows);
        assert_memory_equal(kept.reasons + at * kept.capacity,
                            m->reasons + (size_t)list * CAPACITY,
                            m->counts[list]);
    }
}

/* Settings that are in order, for lists of a few rows. */
static csp_config random_config(random_source *random)
{
    csp_config c;

    csp_config_init(&c);
    c.n = random_chance(random, 30) ? 0.0 : 4.0 * random_unit(random);
    c.first_vote = random_chance(random, 70) ? 0 : random_below(random, 12);
    c.weigh_rows = random_chance(random, 30);
    c.weigh_values = random_chance(random, 30);
    c.center_values = random_chance(random, 50);
    c.reduce = (csp_reduce)random_below(random, 2);
    c.pooling = (csp_pooling)random_below(random, 3);
    c.pool_width = 1 + 2 * random_below(random, 3);
    c.selection = (csp_selection)random_below(random, 3);
    c.scope =
        (csp_scope)(random_chance(random, 50) ? 0 : random_below(random, 3));
    c.sinks = random_below(random, 3);
    c.recent = random_below(random, 4);
    c.n_inter = random_below(random, 5);
    c.n_intra = random_below(random, 5);
    c.auto_share = random_chance(random, 40);
    c.block = random_chance(random, 70) ? 1 : random_between(random, 2, 4);
    c.budget =
        c.sinks + c.recent + c.n_inter + c.n_intra + random_below(random, 6);
    if (c.selection == CSP_EXACT && random_chance(random, 50))
        c.n_intra = CSP_REST;
    c.decay = random_chance(random, 50) ? 1.0 : random_unit(random);
    return c;
}

/* Let an allocation to come fail, or none. */
static void spoil_memory(ledger *book, random_source *random)
{
    if (random_chance(random, 20))
        ledger_fail(book, random_below(random, 2), random_chance(random, 50));
}

static void advance(model *m, csp_pruner *pruner, uint32_t n_tokens,
                    ledger *book, random_source *random)
{
    const chunk_kind kind = (chunk_kind)random_below(random, N_KINDS);
    const uint32_t begin = m->e.n_tokens;

    engine_append(&m->e, n_tokens);
    for (uint32_t layer = 0; layer < m->e.n_layers; layer++) {
        chunk c = engine_chunk(&m->e, layer, begin, begin + n_tokens, kind);
        spoil_memory(book, random);
        csp_status status = csp_pruner_score(pruner, layer, &c.view);
        ledger_heal(book);
        if (status == CSP_E_MEMORY)
            status = csp_pruner_score(pruner, layer, &c.view);
        assert_int_equal(status, CSP_OK);
        model_score(m, layer, &c.view);
        free(c.memory);
    }
    m->has_values = false;
}

static void set_values(model *m, csp_pruner *pruner)
{
    for (uint32_t layer = 0; layer < m->e.n_layers; layer++) {
        const uint32_t first = layer * m->e.n_kv_heads;
        const csp_tensor values = engine_values(&m->e, layer);
        const csp_tokens tokens = tokens_of(m, first, m->e.n_kv_heads);
        float *norms = m->norms + (size_t)first * CAPACITY;
        const csp_status status =
            m->config.center_values
                ? csp_value_distances(&values, &tokens, m->scratch, SCRATCH,
                                      CAPACITY, norms)
                : csp_value_norms(&values, &tokens, CAPACITY, norms);
        assert_int_equal(status, CSP_OK);
    }
    engine_set_values(&m->e, pruner);
    m->has_values = true;
}

/* Returns whether there was a plan to apply. */
static bool prune(model *m, csp_pruner *pruner, ledger *book,
                  random_source *random)
{
    spoil_memory(book, random);
    csp_status status = csp_pruner_plan(pruner);
    ledger_heal(book);
    if (status == CSP_E_MEMORY)
        status = csp_pruner_plan(pruner);
    assert_int_equal(status, model_plan(m));
    if (status != CSP_OK)
        return false;
    assert_same_plan(m, pruner);
    model_apply(m);
    engine_apply(&m->e, pruner);
    return true;
}

/* A sequence of rounds; returns how many pruned. */
static uint32_t run_sequence(uint64_t seed)
{
    random_source random = {seed};
    const csp_parallel reversed = hook_reversed(random_between(&random, 1, 4));
    model *m = calloc(1, sizeof *m);
    uint32_t n_pruned = 0;
    ledger book;

    ledger_init(&book);
    const uint32_t n_layers = random_between(&random, 1, 2);
    const uint32_t n_kv_heads = random_between(&random, 1, HEADS / n_layers);
    engine_init(&m->e, n_layers, n_kv_heads, random_between(&random, 1, 2),
                CAPACITY, seed);
    m->scratch = malloc(SCRATCH);
    m->config = random_config(&random);
    csp_pruner *pruner =
        new_pruner(&m->e, &m->config, &book.hooks,
                   random_chance(&random, 50) ? &reversed : NULL);

    for (uint32_t round = 0; round < N_ROUNDS; round++) {
        advance(m, pruner, random_between(&random, 1, round == 0 ? 12 : 4),
                &book, &random);
        if (random_chance(&random, 30))
            advance(m, pruner, 1, &book, &random);
        if (random_chance(&random, m->config.weigh_values ? 80 : 20))
            set_values(m, pruner);
        if (random_chance(&random, 10)) {
            const bool centered = m->config.center_values;
            m->config = random_config(&random);
            assert_int_equal(csp_pruner_configure(pruner, &m->config), CSP_OK);
            if (m->config.center_values != centered)
                m->has_values = false;
        }
        assert_same_rows(m, pruner);
        n_pruned += prune(m, pruner, &book, &random);
        assert_same_rows(m, pruner);
    }
    assert_true(engine_caches_are_right(&m->e));
    csp_pruner_destroy(pruner);
    assert_int_equal(book.n_live, 0);
    assert_false(book.broken);
    engine_free(&m->e);
    free(m->scratch);
    free(m);
    return n_pruned;
}

static void random_rounds_are_those_of_the_model(void **state)
{
    uint32_t n_pruned = 0;

    (void)state;
    for (uint64_t seed = 1; seed <= N_SEQUENCES; seed++)
        n_pruned += run_sequence(seed);
    assert_true(n_pruned > N_SEQUENCES * N_ROUNDS / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_rounds_are_those_of_the_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
