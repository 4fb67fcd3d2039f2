/*
 * test_select_budgets.c - quotas and shared budgets of random cases, and the
 * reasons of what they keep, are the oracle's, on every tier
 *
 * Importance is small whole numbers, so ties are everywhere, and weights are
 * powers of two, so every sum is exact.
 */
#include "test.h"

#include "oracle_budget.h"
#include "random.h"

enum { N_CASES = 3000, MAX_HEADS = 4, MAX_KEYS = ORACLE_LIST_KEYS, SPANS = 5 };

typedef struct sample {
    random_source random;
    uint32_t capacity;
    float sums[5][MAX_HEADS * MAX_KEYS];
    uint32_t counts[MAX_HEADS];
    uint32_t positions[MAX_HEADS * MAX_KEYS];
    csp_span spans[SPANS];
    csp_tokens tokens;
    csp_importance importance;
    csp_config config;
} sample;

/* How often what is tested came to pass. */
typedef struct tally {
    uint32_t refused, claimed, shared, moved, ragged, shared_lists;
} tally;

static void draw_spans(sample *s)
{
    uint32_t at = 0;

    s->tokens.spans = s->spans;
    s->tokens.n_spans = random_below(&s->random, SPANS + 1);
    for (uint32_t i = 0; i < s->tokens.n_spans; i++) {
        const uint32_t left = s->tokens.n_tokens - at;
        const uint32_t begin = at + random_below(&s->random, left / 4 + 1);
        const uint32_t most = (s->tokens.n_tokens - begin) / 2 + 1;
        at = begin + random_below(&s->random, most);
        s->spans[i] = (csp_span){begin, at, random_below(&s->random, 3)};
    }
}

/* Rows of a head are some tokens, the same for all heads if they share. */
static void draw_positions(sample *s, bool shared)
{
    s->tokens.positions = s->positions;
    s->tokens.capacity = s->capacity;
    for (uint32_t g = 0; g < s->tokens.n_kv_heads; g++) {
        uint32_t *to = s->positions + g * s->capacity;
        uint32_t left = s->tokens.n_keys;
        for (uint32_t t = 0; t < s->tokens.n_tokens && left > 0; t++)
            if (random_below(&s->random, s->tokens.n_tokens - t) < left)
                to[s->tokens.n_keys - left--] = t;
        if (shared && g > 0)
            memcpy(to, s->positions, s->tokens.n_keys * sizeof *to);
    }
}

static void draw_tokens(sample *s)
{
    const bool shared = s->config.scope != CSP_PER_HEAD;
    const uint32_t most = random_chance(&s->random, 90) ? 40 : MAX_KEYS;
    const uint32_t n_keys = random_below(&s->random, most + 1);
    const bool pruned = random_chance(&s->random, 50);

    s->capacity = n_keys;
    s->tokens =
        (csp_tokens){.n_kv_heads = random_between(&s->random, 1, MAX_HEADS),
                     .n_keys = n_keys,
                     .n_tokens = n_keys};
    if (pruned) {
        s->tokens.n_tokens += random_below(&s->random, 30);
        draw_positions(s, shared);
    }
    if (!shared && random_chance(&s->random, 50)) {
        s->tokens.counts = s->counts;
        for (uint32_t g = 0; g < s->tokens.n_kv_heads; g++)
            s->counts[g] = random_below(&s->random, n_keys + 1);
    }
    draw_spans(s);
}

static void draw_importance(sample *s)
{
    const uint32_t levels = random_chance(&s->random, 10) ? 1 : 9;

    for (size_t i = 0; i < MAX_HEADS * MAX_KEYS; i++) {
        const uint32_t scale = i / (s->capacity + 1) % 2 == 0 ? 1 : 3;
        for (size_t a = 0; a < 2; a++)
            s->sums[a][i] = (float)(random_below(&s->random, levels) * scale);
        for (size_t a = 2; a < 5; a++)
            s->sums[a][i] = (float)(1u << random_below(&s->random, 3));
        if (random_chance(&s->random, 20))
            s->sums[2][i] = 0.0f; /* a key that no row could see */
    }
    s->importance = (csp_importance){s->sums[0], s->sums[1], s->sums[2],
                                     s->sums[3], s->sums[4], s->capacity};
}

static void draw_ranking(sample *s)
{
    csp_config *config = &s->config;

    config->weigh_rows = random_chance(&s->random, 20);
    config->weigh_values = random_chance(&s->random, 30);
    config->reduce = (csp_reduce)random_below(&s->random, 2);
    config->auto_share = random_chance(&s->random, 30);
    if (random_chance(&s->random, 30)) {
        /* Averages of three are not exact, and auto_share adds them up. */
        config->pooling = config->auto_share || random_chance(&s->random, 50)
                              ? CSP_POOL_MAX
                              : CSP_POOL_AVG;
        config->pool_width = 3;
    }
}

static void draw_settings(sample *s)
{
    static const double floors[] = {0.0, 0.1, 0.2, 0.5, 0.75, 0.99};
    csp_config *config = &s->config;
    const uint32_t room = random_below(&s->random, 30);

    assert_ok(csp_config_init(config));
    draw_ranking(s);
    config->sinks = random_below(&s->random, 4);
    config->recent = random_below(&s->random, 6);
    config->budget = config->sinks + config->recent + room;
    config->n_inter = random_below(&s->random, room + 1);
    if (random_chance(&s->random, 50))
        config->n_intra = random_below(&s->random, room - config->n_inter + 1);
    if (random_chance(&s->random, 60))
        config->span_quota = random_below(&s->random, 7);
    if (random_chance(&s->random, 70))
        config->head_floor = floors[random_below(&s->random, COUNT(floors))];
    else
        config->scope = (csp_scope)random_below(&s->random, 3);
}

static void compare_lists(const sample *s, const oracle_lists *want,
                          const csp_kept *kept, uint64_t seed)
{
    for (uint32_t g = 0; g < want->n_lists; g++) {
        const size_t at = (size_t)g * kept->capacity;
        uint32_t next = 0;
        for (uint32_t i = 0; i < want->n_rows[g]; i++) {
            const bool is_kept =
                next < kept->counts[g] && kept->rows[at + next] == i;
            const uint8_t reason = is_kept ? kept->reasons[at + next] : 0;
            next += is_kept;
            if (reason != want->reasons[g][i])
                fail_msg("case %llu, tier %d, list %u: row %u for reason %u, "
                         "expected %u",
                         (unsigned long long)seed, (int)s->config.compute.tier,
                         g, i, reason, want->reasons[g][i]);
        }
        assert_int_equal(next, kept->counts[g]);
        assert_int_equal(kept->n_both[g], want->n_both[g]);
    }
}

/* Select into memory that is just large enough. */
static void compare(sample *s, csp_tier tier, const oracle_lists *want,
                    uint64_t seed)
{
    s->config.compute.tier = tier;
    const size_t size = csp_select_workspace_size(&s->tokens, &s->config);
    const uint32_t bound = csp_kept_bound(&s->tokens, &s->config);
    const size_t n = (size_t)want->n_lists * bound;
    guarded workspace = guard(NULL, size);
    guarded rows = guard(NULL, n * sizeof(uint32_t));
    guarded reasons = guard(NULL, n);
    uint32_t counts[MAX_HEADS], n_both[MAX_HEADS];
    const csp_kept kept = {.rows = (uint32_t *)(void *)rows.data,
                           .counts = counts,
                           .n_both = n_both,
                           .n_lists = want->n_lists,
                           .capacity = bound,
                           .reasons = reasons.data};

    assert_true(bound <= s->tokens.n_keys);
    const csp_status status = csp_select(&s->importance, &s->tokens, &s->config,
                                         workspace.data, size, &kept);
    if (want->over_budget) {
        assert_status(status, CSP_E_BUDGET);
    } else {
        assert_ok(status);
        compare_lists(s, want, &kept, seed);
    }
    unguard(&reasons);
    unguard(&rows);
    unguard(&workspace);
}

static uint32_t count_list(const oracle_lists *lists, uint32_t g)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < lists->n_rows[g]; i++)
        n += lists->reasons[g][i] != 0;
    return n;
}

/* The sums that csp.h promises, and what this case was a case of. */
static void check_sums(const sample *s, const oracle_lists *want, tally *t)
{
    const csp_config *config = &s->config;
    uint64_t n_kept = 0, n_rows = 0;

    if (want->over_budget) {
        t->refused++;
        return;
    }
    t->claimed += config->span_quota > 0 && s->tokens.n_spans > 0;
    t->shared_lists += config->span_quota > 0 && config->scope != CSP_PER_HEAD;
    for (uint32_t g = 0; g < want->n_lists; g++) {
        const uint32_t n = count_list(want, g);
        n_kept += n;
        n_rows += want->n_rows[g];
        t->moved += n > config->budget;
        if (config->head_floor == 1.0)
            assert_int_equal(n, want->n_rows[g] < config->budget
                                    ? want->n_rows[g]
                                    : config->budget);
    }
    if (config->head_floor == 1.0)
        return;
    t->shared++;
    t->ragged += s->tokens.counts != NULL;
    const uint64_t budget = (uint64_t)want->n_lists * config->budget;
    assert_true(n_kept == (budget < n_rows ? budget : n_rows));
}

TEST(select_of_random_budgets_is_the_oracles)
{
    static const csp_tier tiers[] = {CSP_TIER_SCALAR, CSP_TIER_AVX2,
                                     CSP_TIER_AVX512, CSP_TIER_NEON};
    static sample s;
    static oracle_lists want;
    tally t = {0};

    for (uint64_t seed = 0; seed < N_CASES; seed++) {
        memset(&s, 0, sizeof s);
        s.random.state = seed;
        draw_settings(&s);
        draw_tokens(&s);
        draw_importance(&s);
        oracle_select_budgets(&s.importance, &s.tokens, &s.config, &want);
        check_sums(&s, &want, &t);
        for (size_t i = 0; i < COUNT(tiers); i++)
            if (csp_has_tier(tiers[i]))
                compare(&s, tiers[i], &want, seed);
    }
    assert_true(t.refused > 100 && t.claimed > 500 && t.shared > 1000);
    assert_true(t.moved > 500 && t.ragged > 500 && t.shared_lists > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(select_of_random_budgets_is_the_oracles),
    };

    return RUN(tests);
}
