/*
 * test_digest.c - results are the same bits on every tier, compiler and CPU,
 * for any number of workers
 *
 * Thousands of fixed cases run through the verbs, and some hundred through the
 * pruner, on each tier of this CPU; the digest of all bits that come out is
 * recorded in digest.h.  A change of the arithmetic that is meant changes it:
 *
 *     test_digest --print
 *
 * prints the digest, if tiers and workers agree on one.
 */
#include "test.h"

#include "digest.h"
#include "pruner_fixture.h"

#include <stdio.h>

static const struct {
    csp_tier tier;
    const char *name;
} tiers[] = {{CSP_TIER_SCALAR, "scalar"},
             {CSP_TIER_AVX2, "AVX2"},
             {CSP_TIER_AVX512, "AVX-512"},
             {CSP_TIER_NEON, "NEON"}};

static const uint32_t workers[] = {1, 2, 3, 8};

/* All digests in one, and where the first disagreement is. */
typedef struct outcome {
    uint64_t digest;
    bool differs;
    char where[100];
} outcome;

static void note(outcome *o, const char *what, uint64_t seed, size_t tier,
                 uint32_t n_workers)
{
    if (!o->differs)
        snprintf(o->where, sizeof o->where,
                 "%s %llu on %s with %u workers is not as on %s with 1", what,
                 (unsigned long long)seed, tiers[tier].name,
                 (unsigned)n_workers, tiers[0].name);
    o->differs = true;
}

/* What has no reason to fail and did is a disagreement, too. */
static void note_failure(outcome *o, const char *what, uint64_t seed,
                         csp_status status)
{
    if (status == CSP_OK)
        return;
    if (!o->differs)
        snprintf(o->where, sizeof o->where, "%s %llu: %s", what,
                 (unsigned long long)seed, csp_status_string(status));
    o->differs = true;
}

/* A round with so many workers. */
static uint64_t round_with(sample *s, csp_tier tier, uint32_t n_workers)
{
    const csp_parallel threads = hook_threads(n_workers);

    return digest_round(s, tier, n_workers > 1 ? &threads : NULL);
}

static void run_case(sample *s, uint64_t seed, outcome *o)
{
    draw_case(s, seed, false);
    const uint64_t expected = digest_verbs(s, tiers[0].tier);
    for (size_t t = 1; t < COUNT(tiers); t++)
        if (csp_has_tier(tiers[t].tier) &&
            digest_verbs(s, tiers[t].tier) != expected)
            note(o, "case", seed, t, 1);
    note_failure(o, "case", seed, s->status);
    digest_bits(&o->digest, expected, 8);
}

static void run_round(sample *s, uint64_t seed, outcome *o)
{
    draw_case(s, seed, true);
    const uint64_t expected = round_with(s, tiers[0].tier, 1);
    for (size_t t = 0; t < COUNT(tiers); t++)
        for (size_t w = 0; w < COUNT(workers); w++)
            if (csp_has_tier(tiers[t].tier) &&
                round_with(s, tiers[t].tier, workers[w]) != expected)
                note(o, "round", seed, t, workers[w]);
    note_failure(o, "round", seed, s->status);
    digest_bits(&o->digest, expected, 8);
}

static outcome run_all(void)
{
    static sample s;
    outcome o = {.digest = DIGEST_START};

    for (uint64_t seed = 0; seed < DIGEST_CASES; seed++)
        run_case(&s, seed, &o);
    for (uint64_t seed = 0; seed < DIGEST_ROUNDS; seed++)
        run_round(&s, seed, &o);
    return o;
}

TEST(results_are_the_committed_bits_on_every_tier)
{
    const outcome o = run_all();

    if (o.differs)
        fail_msg("%s", o.where);
    if (o.digest != DIGEST_RECORDED)
        fail_msg("got 0x%016llx", (unsigned long long)o.digest);
}

static int print(void)
{
    const outcome o = run_all();

    if (o.differs)
        fprintf(stderr, "%s\n", o.where);
    else
        printf("0x%016llx\n", (unsigned long long)o.digest);
    return o.differs;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_are_the_committed_bits_on_every_tier),
    };

    if (argc > 1 && strcmp(argv[1], "--print") == 0)
        return print();
    return RUN(tests);
}
