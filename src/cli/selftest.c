/*
 * selftest.c - csp selftest: does this build compute the recorded bits here
 *
 * The cases are the tests' own.  Each tier runs all of them, and each comes to
 * one digest, which has to be the one on record.
 */
#include "selftest.h"

#include "commands.h"
#include "digest.h"
#include "pool.h"

#include <string.h>
#include <time.h>

static const struct {
    csp_tier tier;
    const char *name;
} tiers[] = {{CSP_TIER_SCALAR, "scalar"},
             {CSP_TIER_AVX2, "avx2"},
             {CSP_TIER_AVX512, "avx512"},
             {CSP_TIER_NEON, "neon"}};

/* What a tier makes of all cases. */
typedef struct verdict {
    uint64_t digest;
    csp_status status; /* the first but CSP_OK */
    double seconds;
} verdict;

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void add(verdict *v, const sample *s, uint64_t digest)
{
    digest_bits(&v->digest, digest, 8);
    if (v->status == CSP_OK)
        v->status = s->status;
}

static verdict run_tier(size_t t, const csp_parallel *parallel)
{
    static sample s;
    const uint64_t all = DIGEST_CASES + DIGEST_ROUNDS;
    const double begin = seconds();
    verdict v = {.digest = DIGEST_START};

    for (uint64_t seed = 0; seed < DIGEST_CASES; seed++) {
        progress(tiers[t].name, seed, all);
        draw_case(&s, seed, false);
        const uint64_t digest = digest_verbs(&s, tiers[t].tier);
        add(&v, &s, digest);
    }
    for (uint64_t seed = 0; seed < DIGEST_ROUNDS; seed++) {
        progress(tiers[t].name, DIGEST_CASES + seed, all);
        draw_case(&s, seed, true);
        const uint64_t digest = digest_round(&s, tiers[t].tier, parallel);
        add(&v, &s, digest);
    }
    progress_end();
    v.seconds = seconds() - begin;
    return v;
}

/* A tier that is here. */
static bool show_tier(size_t t, uint64_t record, const csp_parallel *parallel,
                      FILE *to)
{
    const verdict v = run_tier(t, parallel);
    const bool right = v.digest == record && v.status == CSP_OK;

    fprintf(to, "%-8s %016llx  %s  %.2f s\n", tiers[t].name,
            (unsigned long long)v.digest,
            v.status != CSP_OK ? csp_status_string(v.status)
            : right            ? "as recorded"
                               : "DIFFERS",
            v.seconds);
    fflush(to);
    return right;
}

bool selftest_agrees(uint64_t record, const csp_parallel *parallel, FILE *to)
{
    bool agree = true;

    fprintf(to, "%d cases of the verbs, %d of the pruner with %u workers\n",
            DIGEST_CASES, DIGEST_ROUNDS, parallel->n_workers);
    for (size_t t = 0; t < LENGTH(tiers); t++)
        if (!csp_has_tier(tiers[t].tier))
            fprintf(to, "%-8s not on this CPU\n", tiers[t].name);
        else
            agree = show_tier(t, record, parallel, to) && agree;
    fprintf(to, "%-8s %016llx\n", "record", (unsigned long long)record);
    return agree;
}

static outcome print_help(void)
{
    puts("usage: csp selftest\n"
         "\n"
         "Run built-in cases on every tier that this CPU has and compare the\n"
         "digest of all bits that come out with the one on record.\n"
         "\n"
         "  --help                this text");
    return flush_output();
}

outcome command_selftest(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--help") == 0)
        return print_help();
    if (argc > 1)
        return fail(BAD_USAGE, "unknown argument %s; see csp selftest --help",
                    argv[1]);
    pool *p = pool_start(pool_cpus() > 1 ? pool_cpus() : 2);
    if (p == NULL)
        return fail(INTERNAL, "not enough memory for threads");
    const csp_parallel parallel = pool_hook(p);
    const bool agree = selftest_agrees(DIGEST_RECORDED, &parallel, stdout);
    pool_stop(p);
    const outcome result = flush_output();
    return agree ? result
                 : fail(INTERNAL, "a tier does not compute what is on record");
}
