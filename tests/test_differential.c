/*
 * test_differential.c - the library against the oracle on random configurations
 *
 * Usage: test_differential [--seed S] [--n N] [--tier TIER] [--dtype TYPE]
 *
 * Case i is drawn from seed S + i.  A case that fails prints its seed; run that
 * one alone with --seed and --n 1.  Each draws its tier and its types, unless
 * one of scalar, avx2, avx512, neon and one of f32, f16, bf16 is given; exit
 * code 77: this CPU has no such tier.  As a test that cannot fail proves
 * nothing, cases that had something to choose and cases of each known failure
 * mode are counted and must be many.
 */
#include "differential.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DEFAULT_N 20000

/* Failures after these are only counted. */
#define MAX_MESSAGES 20

/* Shares are not looked at in runs shorter than this, nor of what is forced. */
#define MIN_N_FOR_SHARES 2000

/* Least share of cases, in percent. */
#define MIN_SELECTIONS 30
#define MIN_MODE 2

static struct {
    uint64_t seed;
    uint64_t n;
    int tier, dtype; /* below 0: each case's own */
} options = {1, DEFAULT_N, -1, -1};

static const char *const tier_names[] = {"auto", "scalar", "avx2", "avx512",
                                         "neon"};
static const char *const dtype_names[] = {"f32", "f16", "bf16"};

static tally total;
static diff_case current;

void cover(diff_case *c, failure_mode mode)
{
    c->modes[mode] = true;
}

void require(diff_case *c, bool ok, const char *format, ...)
{
    if (ok)
        return;
    if (c->tally->n_mismatches < MAX_MESSAGES) {
        char reason[256];
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(reason, sizeof(reason), format, arguments);
        va_end(arguments);
        print_error("%s (test_differential --seed %" PRIu64 " --n 1%s%s%s%s)\n",
                    reason, c->seed, options.tier < 0 ? "" : " --tier ",
                    options.tier < 0 ? "" : tier_names[options.tier],
                    options.dtype < 0 ? "" : " --dtype ",
                    options.dtype < 0 ? "" : dtype_names[options.dtype]);
    }
    longjmp(c->escape, 1);
}

void require_intact(diff_case *c, const char *where)
{
    require(c, arena_intact(&c->arena), "%s: wrote where it must not", where);
}

/* ---- Cases --------------------------------------------------------------- */

static void check_case(diff_case *c)
{
    draw_case(c);
    check_score(c);
    if (random_chance(&c->random, 25))
        check_refused_score(c);
    check_value_norms(c);
    check_select(c);
    if (c->has_kept) {
        check_report(c);
        if (random_chance(&c->random, 25))
            check_refused_select(c);
    }
    if (!c->has_kept || random_chance(&c->random, 50))
        c->kept = draw_kept(c, c->layer.n_kv_heads, c->layer.n_rows, 50);
    check_calibrate(c);
    if (random_chance(&c->random, 20))
        check_refused_calibrate(c);
    check_correct(c);
    check_nsoftmax(c);
    check_compact(c);
    if (random_chance(&c->random, 10))
        check_refused_output(c);
}

static void run_case(uint64_t seed)
{
    const guarded_memory memory = current.arena;
    const guarded_memory plain = current.plain;
    memset(&current, 0, sizeof(current));
    current.arena = memory;
    current.plain = plain;
    arena_reset(&current.arena);
    arena_reset(&current.plain);
    current.seed = seed;
    current.random.state = seed;
    current.tally = &total;
    current.forced_tier = options.tier;
    current.forced_dtype = options.dtype;

    if (setjmp(current.escape) == 0)
        check_case(&current);
    else
        total.n_mismatches++;
    total.n_cases++;
    for (int mode = 0; mode < N_FAILURE_MODES; mode++)
        total.modes[mode] += current.modes[mode];
}

static void library_agrees_with_oracle(void **state)
{
    (void)state;
    assert_true(arena_init(&current.arena) && arena_init(&current.plain));

    for (uint64_t i = 0; i < options.n; i++)
        run_case(options.seed + i);

    assert_int_equal(total.n_mismatches, 0);
}

static void cases_had_something_to_choose(void **state)
{
    (void)state;
    if (options.n >= MIN_N_FOR_SHARES)
        assert_true(total.n_selections * 100 >= total.n_cases * MIN_SELECTIONS);
}

static bool draws_everything(void)
{
    return options.n >= MIN_N_FOR_SHARES && options.tier < 0 &&
           options.dtype < 0;
}

static void cases_met_every_failure_mode(void **state)
{
    (void)state;
    for (int mode = 0; mode < N_FAILURE_MODES && draws_everything(); mode++) {
        if (total.modes[mode] * 100 < total.n_cases * MIN_MODE)
            fail_msg("failure mode F%d met %" PRIu64 " times only", mode + 1,
                     total.modes[mode]);
    }
}

static void cases_met_every_tier_and_type(void **state)
{
    (void)state;
    for (int tier = 0; tier < 5 && draws_everything(); tier++)
        assert_true(!csp_has_tier((csp_tier)tier) || total.tiers[tier] > 0);
    for (int dtype = 0; dtype < 3 && draws_everything(); dtype++)
        assert_true(total.dtypes[dtype] > 0);
}

/* ---- Program ------------------------------------------------------------- */

static bool read_name(const char *text, const char *const *names, size_t n,
                      int *index)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(text, names[i]) == 0) {
            *index = (int)i;
            return true;
        }
    return false;
}

static bool read_number(const char *text, uint64_t *number)
{
    char *end = NULL;

    *number = strtoull(text, &end, 10);
    return *end == '\0' && end != text;
}

static bool read_option(const char *key, const char *value)
{
    if (strcmp(key, "--seed") == 0)
        return read_number(value, &options.seed);
    if (strcmp(key, "--n") == 0)
        return read_number(value, &options.n);
    if (strcmp(key, "--tier") == 0)
        return read_name(value, tier_names, 5, &options.tier);
    if (strcmp(key, "--dtype") == 0)
        return read_name(value, dtype_names, 3, &options.dtype);
    return false;
}

static bool read_options(int argc, char **argv)
{
    for (int i = 1; i < argc; i += 2)
        if (i + 1 == argc || !read_option(argv[i], argv[i + 1]))
            return false;
    return true;
}

static void print_tally(void)
{
    printf("differential: %" PRIu64 " configurations, %" PRIu64
           " mismatches, %" PRIu64 " rounding ties\n",
           total.n_cases, total.n_mismatches, total.n_ties);
    printf("differential tiers:");
    for (int tier = 0; tier < 5; tier++)
        printf(" %s %" PRIu64, tier_names[tier], total.tiers[tier]);
    printf("\ndifferential types:");
    for (int dtype = 0; dtype < 3; dtype++)
        printf(" %s %" PRIu64, dtype_names[dtype], total.dtypes[dtype]);
    printf("\n");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(library_agrees_with_oracle),
        cmocka_unit_test(cases_had_something_to_choose),
        cmocka_unit_test(cases_met_every_failure_mode),
        cmocka_unit_test(cases_met_every_tier_and_type),
    };
    if (!read_options(argc, argv)) {
        fprintf(stderr, "usage: test_differential [--seed S] [--n N] "
                        "[--tier TIER] [--dtype TYPE]\n");
        return 2;
    }
    if (options.tier >= 0 && !csp_has_tier((csp_tier)options.tier))
        return 77;
    const int failed =
        cmocka_run_group_tests_name("differential", tests, NULL, NULL);
    print_tally();
    return failed != 0;
}
