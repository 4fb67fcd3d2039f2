/*
 * episode.c - the life of some pruners, drawn from a seed
 *
 * A prompt is scored in chunks of every source, pruned, and decoded with a
 * cache that is cut to a fixed size again and again; then the pruner is reset
 * and has another sequence.  What an engine does wrong, or what memory does to
 * it, is done in between in some variants: no trace of it is in the results.
 */
#include "episode.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "digest.h"
#include "pruner_fixture.h"

enum { CAPACITY = 260, DIM = 8, HEADS = 9, LAYERS = 2, WINDOW = 12 };

typedef struct life {
    random_source random; /* of what matters */
    random_source faults; /* of what does not */
    bool with_faults;
    csp_tier tier;
    engine e;
    ledger book;
    csp_config config;
    csp_pruner *pruner;
    uint64_t digest;
    uint64_t started, spent; /* time in the library, of this round */
} life;

/* ---- Time ---------------------------------------------------------------- */

/* Of this thread's work: how busy the machine is does not count. */
static uint64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void start(life *l)
{
    l->started = now();
}

static void stop(life *l)
{
    l->spent += now() - l->started;
}

static void add_time(latencies *times, uint64_t ns)
{
    const double bucket = 8.0 * log2((double)ns + 1.0);

    times->buckets[bucket < N_BUCKETS - 1 ? (size_t)bucket : N_BUCKETS - 1]++;
    times->n_times++;
}

double percentile(const latencies *times, double share)
{
    const double wanted = share * (double)times->n_times;
    uint64_t sum = 0;
    size_t i = 0;

    while (i < N_BUCKETS - 1 && (double)(sum += times->buckets[i]) < wanted)
        i++;
    return exp2((double)(i + 1) / 8.0) / 1000.0;
}

/* ---- Calls --------------------------------------------------------------- */

/* Whether a call is to be spoiled now. */
static bool spoils(life *l, uint32_t percent)
{
    return l->with_faults && random_chance(&l->faults, percent);
}

static void fail_memory(life *l)
{
    if (spoils(l, 30))
        ledger_fail(&l->book, random_below(&l->faults, 4),
                    random_chance(&l->faults, 50));
}

/* Whether a call ran out of memory, and is to be made again. */
static bool again(life *l, csp_status status)
{
    ledger_heal(&l->book);
    if (status == CSP_E_MEMORY)
        return true;
    assert_int_equal(status, CSP_OK);
    return false;
}

/* Calls that are refused, and change nothing. */
static void make_mistakes(life *l)
{
    csp_config configs[N_BAD_CONFIGS];
    csp_status expected[N_BAD_CONFIGS];
    const csp_span spans[] = {{9, 4, 1}};
    csp_attention early = {.first_query = 0};
    const uint32_t which = random_below(&l->faults, N_BAD_CONFIGS);

    if (!spoils(l, 50))
        return;
    bad_configs(configs, expected);
    assert_int_equal(csp_pruner_configure(l->pruner, &configs[which]),
                     expected[which]);
    assert_int_equal(csp_pruner_set_spans(l->pruner, spans, 1), CSP_E_SPAN);
    assert_int_equal(csp_pruner_set_values(l->pruner, LAYERS, NULL),
                     CSP_E_NULL);
    assert_int_not_equal(csp_pruner_score(l->pruner, LAYERS, &early), CSP_OK);
    assert_int_equal(csp_pruner_apply(l->pruner, NULL, 0, NULL), CSP_E_STATE);
}

/* A chunk with NaN in it first. */
static void score(life *l, uint32_t layer, uint32_t begin, uint32_t end,
                  chunk_kind kind)
{
    chunk c = engine_chunk(&l->e, layer, begin, end, kind);

    if (kind == LOGITS && end - begin > 5 && spoils(l, 50)) {
        chunk bad = engine_chunk(&l->e, layer, begin, end, kind);
        poison_chunk(&bad, random_below(&l->faults, l->e.n_heads), NAN);
        assert_int_equal(csp_pruner_score(l->pruner, layer, &bad.view),
                         CSP_E_NOT_FINITE);
        free(bad.memory);
    }
    start(l);
    do
        fail_memory(l);
    while (again(l, csp_pruner_score(l->pruner, layer, &c.view)));
    stop(l);
    free(c.memory);
}

static void advance(life *l, uint32_t n_tokens)
{
    const chunk_kind kind = (chunk_kind)random_below(&l->random, N_KINDS);
    const uint32_t begin = l->e.n_tokens;

    engine_append(&l->e, n_tokens);
    for (uint32_t layer = 0; layer < l->e.n_layers; layer++)
        score(l, layer, begin, begin + n_tokens, kind);
}

static void set_values(life *l)
{
    for (uint32_t layer = 0; layer < l->e.n_layers; layer++) {
        const csp_tensor values = engine_values(&l->e, layer);
        start(l);
        do
            fail_memory(l);
        while (again(l, csp_pruner_set_values(l->pruner, layer, &values)));
        stop(l);
    }
}

/* ---- Results ------------------------------------------------------------- */

static void digest_state(life *l)
{
    snapshot s = take_snapshot(l->pruner, l->e.n_layers);

    for (size_t i = 0; i < s.size; i++)
        digest_bits(&l->digest, s.bytes[i], 1);
    free(s.bytes);
}

static void calibrate(life *l, uint32_t layer)
{
    double log_mass[HEADS] = {0}, rows[HEADS] = {0};
    float mean[HEADS * DIM] = {0};
    const csp_calibration sums = {log_mass, rows, mean, l->e.n_heads, DIM};
    const csp_tensor values = engine_values(&l->e, layer);
    const uint32_t end = l->e.n_tokens;
    chunk c = engine_chunk(&l->e, layer, end - 2, end, LOGITS);

    do
        fail_memory(l);
    while (again(
        l, csp_pruner_calibrate(l->pruner, layer, &c.view, &values, &sums)));
    digest_doubles(&l->digest, log_mass, l->e.n_heads);
    digest_floats(&l->digest, mean, (size_t)l->e.n_heads * DIM);
    free(c.memory);
}

/* ---- Life ---------------------------------------------------------------- */

/* Settings of a sequence; 'budget' rows are left of each head by each round. */
static csp_config draw_config(life *l, uint32_t budget)
{
    random_source *random = &l->random;
    csp_config c = plain_config(budget);

    c.compute.tier = l->tier;
    c.n = random_chance(random, 30) ? 0.0 : 2.0 * random_unit(random);
    c.weigh_rows = random_chance(random, 30);
    c.weigh_values = random_chance(random, 50);
    c.center_values = random_chance(random, 50);
    c.pooling = (csp_pooling)random_below(random, 3);
    c.pool_width = 1 + 2 * random_below(random, 3);
    c.scope = random_chance(random, 70) ? CSP_PER_HEAD : CSP_PER_LAYER;
    c.auto_share = random_chance(random, 40);
    c.n_inter = random_below(random, budget / 4);
    c.n_intra = random_chance(random, 50) ? CSP_REST : budget / 4;
    if (c.scope == CSP_PER_HEAD) {
        c.head_floor = random_chance(random, 50) ? 1.0 : random_unit(random);
        c.span_quota = random_below(random, 4);
    }
    c.layer_spread = (csp_layer_spread)random_below(random, 3);
    c.layer_slope = 0.5;
    c.decay = random_chance(random, 50) ? 1.0 : random_unit(random);
    return c;
}

/* Plan, measure what is dropped, apply; other settings may come first. */
static void prune(life *l, bool calibrates)
{
    if (l->config.weigh_values)
        set_values(l);
    make_mistakes(l);
    start(l);
    do
        fail_memory(l);
    while (again(l, csp_pruner_plan(l->pruner)));
    stop(l);
    digest_state(l);
    if (calibrates)
        calibrate(l, random_below(&l->random, l->e.n_layers));
    start(l);
    engine_apply(&l->e, l->pruner);
    stop(l);
    assert_true(engine_agrees(&l->e, l->pruner));
}

static void end_round(life *l, latencies *times)
{
    add_time(times, l->spent);
    l->spent = 0;
}

/* A prompt, pruned once, then decoded with a cache of at most budget + 8. */
static void run_sequence(life *l, latencies *times)
{
    const uint32_t budget = random_between(&l->random, 24, 48);
    const uint32_t prompt = random_between(&l->random, 60, 160);

    l->config = draw_config(l, budget);
    assert_int_equal(csp_pruner_configure(l->pruner, &l->config), CSP_OK);
    engine_append(&l->e, prompt - WINDOW);
    for (uint32_t done = 0; done < WINDOW; done += WINDOW / 2)
        advance(l, WINDOW / 2);
    prune(l, true);
    end_round(l, times);
    while (l->e.n_tokens + 8 <= CAPACITY) {
        for (uint32_t i = 0; i < 8; i += 2)
            advance(l, 2);
        prune(l, random_chance(&l->random, 20));
        end_round(l, times);
    }
    assert_true(engine_caches_are_right(&l->e));
    digest_state(l);
}

static csp_tier tier_of(uint32_t variant)
{
    const csp_tier tiers[] = {CSP_TIER_AUTO, CSP_TIER_SCALAR, CSP_TIER_AVX2};
    const csp_tier tier = tiers[variant % (sizeof tiers / sizeof tiers[0])];

    return csp_has_tier(tier) ? tier : CSP_TIER_AUTO;
}

uint64_t run_episode(uint64_t seed, uint32_t variant, latencies *times)
{
    life l = {.random = {seed},
              .faults = {seed << 32 | variant},
              .with_faults = variant % 2 != 0,
              .tier = tier_of(variant),
              .digest = DIGEST_START};
    const csp_parallel hook = hook_number(variant % N_HOOKS);
    const uint32_t n_kv_heads = random_between(&l.random, 1, 3);
    const uint32_t group = random_between(&l.random, 1, 3);

    ledger_init(&l.book);
    engine_init(&l.e, LAYERS, n_kv_heads, group, CAPACITY, seed);
    l.config = plain_config(20);
    l.pruner = new_pruner(&l.e, &l.config, &l.book.hooks,
                          variant % 4 == 0 ? NULL : &hook);
    for (int sequence = 0; sequence < 2; sequence++) {
        assert_int_equal(csp_pruner_set_spans(l.pruner, engine_spans, N_SPANS),
                         CSP_OK);
        run_sequence(&l, times);
        assert_int_equal(csp_pruner_reset(l.pruner), CSP_OK);
        l.e.n_tokens = 0;
        for (uint32_t i = 0; i < LAYERS * n_kv_heads; i++)
            l.e.counts[i] = 0;
    }
    csp_pruner_destroy(l.pruner);
    assert_int_equal(l.book.n_live, 0);
    assert_false(l.book.broken);
    engine_free(&l.e);
    return l.digest;
}
