/*
 * test_select_reasons.c - why each row was kept
 *
 * Random cases of every selection, scope and block are the oracle's, row by
 * row.  Importance is small whole numbers and weights are powers of two: sums
 * are exact, ties and zeros everywhere.  Cases of quotas and shared budgets are
 * in test_select_budgets.c.
 */
#include "select_fixture.h"

#include "oracle.h"
#include "random.h"

#define P CSP_REASON_PROTECTED
#define A CSP_REASON_INTRA
#define B CSP_REASON_INTER
#define AB CSP_REASON_BOTH
#define F CSP_REASON_FILLED
#define C CSP_REASON_CLAIMED

/* Select and compare the reasons of the only list with those that follow. */
#define assert_reasons(f, ...)                                                 \
    do {                                                                       \
        const uint8_t expected_[] = {__VA_ARGS__};                             \
        memset((f)->reasons, 77, sizeof(f)->reasons);                          \
        assert_ok(choose(f));                                                  \
        assert_int_equal((f)->counts[0], COUNT(expected_));                    \
        assert_memory_equal((f)->reasons, expected_, COUNT(expected_));        \
        assert_int_equal((f)->reasons[COUNT(expected_)], 77);                  \
    } while (0)

TEST(select_tells_lists_from_filling_up)
{
    fixture f;
    set_up(&f);
    f.config.budget = 7;
    f.config.sinks = f.config.recent = 1;
    f.config.n_intra = f.config.n_inter = 2;

    assert_reasons(&f, P, A, A, F, B, B, P); /* rows 0 1 2 3 5 6 7 */
    f.config.n_intra = 4;
    f.config.n_inter = 1;
    assert_reasons(&f, P, A, A, A, A, B, P);
    f.inter[2] = 9.0f;
    assert_reasons(&f, P, A, AB, A, A, F, P);
}

TEST(select_tells_zeros_as_filled_up)
{
    const float none[KEYS] = {0};
    fixture f;
    set_up(&f);
    set_numbers(f.inter, none);
    f.config.budget = 4;
    f.config.n_intra = 2;
    f.config.n_inter = 2;

    assert_reasons(&f, A, A, F, F);
}

TEST(select_of_all_rows_tells_protected_and_filled)
{
    const csp_span image = {0, KEYS, 1};
    fixture f;
    set_up(&f);
    f.config.budget = KEYS;
    f.config.sinks = 1;
    f.config.recent = 2;
    f.config.n_inter = 3;

    assert_reasons(&f, P, F, F, F, F, F, P, P);
    assert_int_equal(f.n_both[0], 0);
    f.tokens.spans = &image; /* nothing is chosen, so nothing is claimed */
    f.tokens.n_spans = 1;
    f.config.span_quota = KEYS;
    assert_reasons(&f, P, F, F, F, F, F, P, P);
    f.config.span_quota = 0;
    f.config.block = 3;
    assert_reasons(&f, P, P, P, F, F, F, P, P);
    f.config.sinks = KEYS + 1;
    f.config.budget = 2 * KEYS;
    assert_reasons(&f, P, P, P, P, P, P, P, P);
}

TEST(select_of_a_union_fills_nothing_up)
{
    fixture f;
    set_up(&f);
    f.config.selection = CSP_UNION;
    f.config.recent = 1;
    f.config.n_intra = 3;
    f.config.n_inter = 2;

    assert_reasons(&f, A, A, A, B, B, P);
    f.config.n_intra = f.config.n_inter = KEYS; /* all of both lists */
    assert_reasons(&f, AB, AB, AB, AB, AB, AB, AB, P);
}

TEST(select_of_an_intersection_knows_both_alone)
{
    fixture f;
    set_up(&f);
    f.config.selection = CSP_INTERSECTION;
    f.config.sinks = 1;
    f.config.n_intra = f.config.n_inter = 5;

    assert_reasons(&f, P, AB, AB, AB); /* rows 0 3 4 5 */
}

TEST(select_of_blocks_gives_rows_the_reason_of_their_block)
{
    fixture f;
    set_up(&f);
    f.config.block = 3;
    f.config.budget = 6;
    f.config.n_intra = 3;

    assert_reasons(&f, A, A, A, F, F, F);
    f.config.n_intra = 0;
    f.config.n_inter = 6; /* the last block is short */
    f.inter[7] = 99.0f;
    assert_reasons(&f, B, B, B, B, B);
    f.config.recent = 1;
    f.config.n_inter = 3;
    assert_reasons(&f, B, B, B, P, P);
}

TEST(select_with_a_quota_tells_claimed_rows)
{
    const csp_span images[] = {{0, 3, 1}, {3, 6, 2}};
    fixture f;
    set_up(&f);
    f.tokens.spans = images;
    f.tokens.n_spans = COUNT(images);
    f.intra[1] = 20.0f;
    f.intra[5] = 19.0f;
    f.config.budget = 5;
    f.config.sinks = 1;
    f.config.span_quota = 1; /* the first image has it in its sink */

    assert_reasons(&f, P, A, A, A, C); /* rows 0 1 2 3 5 */
    f.config.span_quota = 2;
    assert_reasons(&f, P, C, A, C, C); /* rows 0 1 2 3 5 */
}

/* Of what heads share each row is FILLED, between those that are a head's. */
TEST(select_tells_shared_rows_as_filled_up)
{
    const float first[KEYS] = {1, 0, 3, 0, 0, 9, 0, 0};
    const float second[KEYS] = {8, 2, 7, 0, 0, 6, 5, 0};
    const float none[KEYS] = {0};
    const uint8_t expected[] = {P, F, F, A, F, P};
    fixture f;
    set_up(&f);
    f.tokens.n_kv_heads = f.kept.n_lists = HEADS;
    set_numbers(f.intra, first);
    set_numbers(f.intra + ROOM, second);
    set_numbers(f.inter, none);
    set_numbers(f.inter + ROOM, none);
    f.intra[ROOM + 5] = 9.0f;
    f.config.budget = 5;
    f.config.sinks = f.config.recent = 1;
    f.config.head_floor = 0.6;

    assert_reasons(&f, P, F, A, P); /* rows 0 2 5 7 */

    assert_int_equal(f.counts[1], COUNT(expected)); /* rows 0 1 2 5 6 7 */
    assert_memory_equal(f.reasons + ROOM, expected, COUNT(expected));
    assert_int_equal(f.reasons[ROOM + COUNT(expected)], 77);
}

/* ---- Random cases -------------------------------------------------------- */

enum { N_CASES = 4000, MAX_HEADS = 4, MAX_KEYS = 150 };

typedef struct sample {
    random_source random;
    float sums[5][MAX_HEADS * MAX_KEYS];
    uint32_t counts[MAX_HEADS];
    uint32_t key_token[MAX_HEADS * MAX_KEYS];
    uint32_t key_modality[MAX_HEADS * MAX_KEYS];
    uint32_t n_rows[MAX_HEADS];
    csp_tokens tokens;
    csp_importance importance;
    csp_config config;
    oracle_layer layer;
} sample;

static void draw_ranking(sample *s)
{
    csp_config *c = &s->config;
    random_source *r = &s->random;

    c->weigh_rows = random_chance(r, 20);
    c->weigh_values = random_chance(r, 30);
    c->reduce = (csp_reduce)random_below(r, 2);
    c->auto_share = random_chance(r, 30);
    if (random_chance(r, 40)) {
        /* Averages of three are not exact: nothing may add them up. */
        const bool exact = c->auto_share || c->block > 1;
        c->pooling =
            exact || random_chance(r, 50) ? CSP_POOL_MAX : CSP_POOL_AVG;
        c->pool_width = 3;
    }
}

/* Lists that the budget holds beside blocks at both edges. */
static void draw_settings(sample *s)
{
    csp_config *c = &s->config;
    random_source *r = &s->random;

    assert_ok(csp_config_init(c));
    c->selection = (csp_selection)random_below(r, 3);
    c->scope = (csp_scope)random_below(r, 3);
    c->block = random_chance(r, 50) ? 1 : random_between(r, 2, 7);
    c->sinks = random_below(r, 5);
    c->recent = random_below(r, 8);
    c->budget = c->sinks + c->recent + 3 * (c->block - 1) + random_below(r, 60);
    const uint32_t room = c->budget - c->sinks - c->recent;
    c->n_inter = random_below(r, room + 1);
    c->n_intra = random_below(r, room - c->n_inter + 1);
    if (c->selection == CSP_EXACT && random_chance(r, 50))
        c->n_intra = CSP_REST;
    draw_ranking(s);
}

static void draw_numbers(sample *s)
{
    const uint32_t levels = random_chance(&s->random, 10) ? 1 : 6;

    for (size_t i = 0; i < MAX_HEADS * MAX_KEYS; i++) {
        for (size_t a = 0; a < 2; a++)
            s->sums[a][i] = (float)random_below(&s->random, levels);
        for (size_t a = 2; a < 5; a++)
            s->sums[a][i] = (float)(1u << random_below(&s->random, 3));
        if (random_chance(&s->random, 20))
            s->sums[2][i] = 0.0f;
    }
}

static void draw(sample *s, uint64_t seed)
{
    random_source *r = &s->random;

    memset(s, 0, sizeof *s);
    r->state = seed;
    draw_settings(s);
    draw_numbers(s);
    s->tokens = (csp_tokens){.n_kv_heads = 1u << random_below(r, 3),
                             .n_keys = random_below(r, MAX_KEYS + 1)};
    if (s->config.scope == CSP_PER_HEAD && random_chance(r, 50)) {
        s->tokens.counts = s->counts;
        for (uint32_t g = 0; g < s->tokens.n_kv_heads; g++)
            s->counts[g] = random_below(r, s->tokens.n_keys + 1);
    }
    s->importance = (csp_importance){s->sums[0], s->sums[1], s->sums[2],
                                     s->sums[3], s->sums[4], s->tokens.n_keys};
    s->layer = (oracle_layer){.n_kv_heads = s->tokens.n_kv_heads,
                              .n_keys = s->tokens.n_keys,
                              .n_rows = s->n_rows,
                              .key_token = s->key_token,
                              .key_modality = s->key_modality};
    oracle_describe(&s->tokens, &s->layer);
}

/* What the oracle says of a list, 0 where it drops. */
static uint32_t expect(const sample *s, uint32_t list, uint8_t *reasons)
{
    double scratch[2 * MAX_KEYS], intra[MAX_KEYS], inter[MAX_KEYS];
    double both[MAX_KEYS];
    oracle_ranking ranking = {.intra = intra, .inter = inter, .both = both};
    const csp_config *c = &s->config;

    const double share =
        c->auto_share ? oracle_share(&s->importance, &s->layer, c, scratch)
                      : 0.0;
    oracle_rank(&s->importance, &s->layer, c, list, true, &ranking);
    return oracle_choose(c, &ranking, oracle_count(c, ranking.n_rows, share),
                         reasons);
}

static void compare_list(const sample *s, const csp_kept *kept, uint32_t list,
                         uint64_t seed)
{
    const size_t at = (size_t)list * kept->capacity;
    uint8_t expected[MAX_KEYS];
    uint32_t next = 0, n_both = 0;

    assert_int_equal(kept->n_both[list], expect(s, list, expected));
    for (uint32_t i = 0; i < s->n_rows[list]; i++) {
        const bool is_kept =
            next < kept->counts[list] && kept->rows[at + next] == i;
        const uint8_t reason = is_kept ? kept->reasons[at + next] : 0;
        next += is_kept;
        n_both += reason == CSP_REASON_BOTH;
        if (reason != expected[i])
            fail_msg("case %llu, tier %d, list %u: row %u for reason %u, "
                     "expected %u",
                     (unsigned long long)seed, (int)s->config.compute.tier,
                     list, i, reason, expected[i]);
    }
    assert_int_equal(kept->n_both[list], n_both);
    for (size_t i = next; i < kept->capacity; i++) /* nothing behind */
        assert_int_equal(kept->reasons[at + i], GUARD_BYTE);
}

/* The same rows with reasons and without, into memory just large enough. */
static void compare(sample *s, csp_tier tier, uint64_t seed)
{
    const uint32_t n_lists =
        s->config.scope == CSP_PER_HEAD ? s->tokens.n_kv_heads : 1;
    const uint32_t bound = csp_kept_bound(&s->tokens, &s->config);
    const size_t n = (size_t)n_lists * bound;
    const size_t size = csp_select_workspace_size(&s->tokens, &s->config);
    guarded workspace = guard(NULL, size), reasons = guard(NULL, n);
    uint32_t rows[2][MAX_HEADS * MAX_KEYS] = {{0}};
    uint32_t counts[2][MAX_HEADS], n_both[2][MAX_HEADS];

    s->config.compute.tier = tier;
    for (size_t i = 0; i < 2; i++) {
        const csp_kept kept = {.rows = rows[i],
                               .counts = counts[i],
                               .n_both = n_both[i],
                               .n_lists = n_lists,
                               .capacity = bound,
                               .reasons = i == 0 ? reasons.data : NULL};
        assert_ok(csp_select(&s->importance, &s->tokens, &s->config,
                             workspace.data, size, &kept));
        for (uint32_t list = 0; list < n_lists && i == 0; list++)
            compare_list(s, &kept, list, seed);
    }
    assert_memory_equal(rows[0], rows[1], sizeof rows[0]);
    assert_memory_equal(counts[0], counts[1], n_lists * sizeof(uint32_t));
    assert_memory_equal(n_both[0], n_both[1], n_lists * sizeof(uint32_t));
    unguard(&reasons);
    unguard(&workspace);
}

TEST(select_of_random_cases_tells_the_oracles_reasons)
{
    static const csp_tier tiers[] = {CSP_TIER_SCALAR, CSP_TIER_AVX2,
                                     CSP_TIER_AVX512, CSP_TIER_NEON};
    static sample s;

    for (uint64_t seed = 0; seed < N_CASES; seed++) {
        draw(&s, seed);
        for (size_t i = 0; i < COUNT(tiers); i++)
            if (csp_has_tier(tiers[i]))
                compare(&s, tiers[i], seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(select_tells_lists_from_filling_up),
        cmocka_unit_test(select_tells_zeros_as_filled_up),
        cmocka_unit_test(select_of_all_rows_tells_protected_and_filled),
        cmocka_unit_test(select_of_a_union_fills_nothing_up),
        cmocka_unit_test(select_of_an_intersection_knows_both_alone),
        cmocka_unit_test(select_of_blocks_gives_rows_the_reason_of_their_block),
        cmocka_unit_test(select_with_a_quota_tells_claimed_rows),
        cmocka_unit_test(select_tells_shared_rows_as_filled_up),
        cmocka_unit_test(select_of_random_cases_tells_the_oracles_reasons),
    };

    return RUN(tests);
}
