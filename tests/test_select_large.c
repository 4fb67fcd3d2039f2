/*
 * test_select_large.c - selections of many keys against a plain sort
 *
 * Long lists, many ties, scores of every size and sign: what threshold and
 * narrowing make of them is compared with E5 and E6 by qsort.
 */
#include "test.h"

#include "random.h"

enum { MAX_ROWS = 3000, N_CASES = 1500 };

typedef struct scored {
    float score;
    uint32_t row;
} scored;

typedef struct sample {
    float intra[MAX_ROWS], inter[MAX_ROWS];
    uint32_t rows[MAX_ROWS], n_kept, n_both;
    bool in_intra[MAX_ROWS], in_inter[MAX_ROWS], expected[MAX_ROWS];
    uint32_t n_rows;
    csp_config config;
} sample;

/* Some shapes of scores that a search by bits may stumble over. */
static float draw_score(random_source *random, uint32_t shape)
{
    switch (shape) {
    case 0: /* all alike */
        return 0.25f;
    case 1: /* few values, zeros of both signs */
        return (float)((int)random_below(random, 5) - 1) * 0.0f +
               (float)random_below(random, 3);
    case 2: /* neighbours in the last bit */
        return float_of_bits(0x3f800000u + random_below(random, 4));
    case 3: /* every size */
        return ldexpf((float)random_unit(random),
                      (int)random_below(random, 200) - 140);
    case 4: /* negative ones, too */
        return (float)random_normal(random);
    default: /* attention: a few take nearly all */
        return expf(4.0f * (float)random_normal(random));
    }
}

static void draw(sample *s, uint64_t seed)
{
    random_source random = {seed};
    const uint32_t shape = random_below(&random, 6);
    csp_config *c = &s->config;

    s->n_rows = random_chance(&random, 50)
                    ? random_between(&random, 1, 200)
                    : random_between(&random, 200, MAX_ROWS);
    for (uint32_t i = 0; i < s->n_rows; i++) {
        s->intra[i] = draw_score(&random, shape);
        s->inter[i] = draw_score(&random, shape);
    }
    assert_ok(csp_config_init(c));
    c->selection = (csp_selection)random_below(&random, 3);
    c->budget = random_between(&random, 0, s->n_rows);
    c->sinks = random_below(&random, c->budget / 4 + 1);
    c->recent = random_below(&random, c->budget / 2 + 1);
    const uint32_t room = c->budget - c->sinks - c->recent;
    c->n_inter = random_below(&random, room + 1);
    c->n_intra = room - c->n_inter;
}

/* ---- What is expected ---------------------------------------------------- */

static int by_score(const void *a, const void *b)
{
    const scored *x = a, *y = b;

    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return x->row < y->row ? -1 : 1;
}

/* Mark the n best candidates that are not 'taken'. */
static void mark_best(const sample *s, const float *a, const float *b,
                      bool positive, const bool *taken, uint32_t n, bool *mark)
{
    static scored list[MAX_ROWS];
    const uint32_t end =
        s->n_rows > s->config.recent ? s->n_rows - s->config.recent : 0;
    uint32_t count = 0;

    for (uint32_t i = s->config.sinks; i < end; i++) {
        const float score = a[i] + (b != NULL ? b[i] : 0.0f);
        if ((!positive || score > 0.0f) && (taken == NULL || !taken[i]))
            list[count++] = (scored){score, i};
    }
    qsort(list, count, sizeof *list, by_score);
    for (uint32_t i = 0; i < count && i < n; i++)
        mark[list[i].row] = true;
}

static void expect(sample *s)
{
    const csp_config *c = &s->config;
    const bool exact = c->selection == CSP_EXACT;
    uint32_t n = 0;

    memset(s->in_intra, 0, sizeof s->in_intra);
    memset(s->in_inter, 0, sizeof s->in_inter);
    mark_best(s, s->intra, NULL, exact, NULL, c->n_intra, s->in_intra);
    mark_best(s, s->inter, NULL, exact, NULL, c->n_inter, s->in_inter);
    for (uint32_t i = 0; i < s->n_rows; i++) {
        const bool is_protected = i < c->sinks || i + c->recent >= s->n_rows;
        s->expected[i] = c->selection == CSP_INTERSECTION
                             ? s->in_intra[i] && s->in_inter[i]
                             : s->in_intra[i] || s->in_inter[i];
        s->expected[i] |= is_protected;
        n += s->expected[i];
    }
    if (exact && s->n_rows > c->budget)
        mark_best(s, s->intra, s->inter, false, s->expected, c->budget - n,
                  s->expected);
    if (exact && s->n_rows <= c->budget) /* all is kept, nothing listed */
        memset(s->expected, 1, sizeof s->expected);
}

/* ---- The comparison ------------------------------------------------------ */

static void compare(sample *s, csp_tier tier, uint64_t seed)
{
    const csp_tokens tokens = {.n_kv_heads = 1, .n_keys = s->n_rows};
    const csp_importance importance = {
        .intra = s->intra, .inter = s->inter, .capacity = s->n_rows};
    const csp_kept kept = {.rows = s->rows,
                           .counts = &s->n_kept,
                           .n_both = &s->n_both,
                           .n_lists = 1,
                           .capacity = MAX_ROWS};
    s->config.compute.tier = tier;
    const size_t size = csp_select_workspace_size(&tokens, &s->config);
    guarded workspace = guard(NULL, size);
    uint32_t next = 0, n_both = 0;

    assert_ok(csp_select(&importance, &tokens, &s->config, workspace.data, size,
                         &kept));

    for (uint32_t i = 0; i < s->n_rows; i++) {
        const bool is_kept = next < s->n_kept && s->rows[next] == i;
        next += is_kept;
        n_both += s->in_intra[i] && s->in_inter[i];
        if (is_kept != s->expected[i])
            fail_msg("case %llu, tier %d: row %u of %u",
                     (unsigned long long)seed, (int)tier, i, s->n_rows);
    }
    assert_int_equal(next, s->n_kept);
    if (s->config.selection != CSP_EXACT || s->n_rows > s->config.budget)
        assert_int_equal(s->n_both, n_both);
    unguard(&workspace);
}

TEST(select_of_many_rows_is_that_of_a_sort)
{
    static const csp_tier tiers[] = {CSP_TIER_SCALAR, CSP_TIER_AVX2,
                                     CSP_TIER_AVX512, CSP_TIER_NEON};
    static sample s;

    for (uint64_t seed = 0; seed < N_CASES; seed++) {
        draw(&s, seed);
        expect(&s);
        for (size_t t = 0; t < COUNT(tiers); t++)
            if (csp_has_tier(tiers[t]))
                compare(&s, tiers[t], seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(select_of_many_rows_is_that_of_a_sort),
    };
    return RUN(tests);
}
