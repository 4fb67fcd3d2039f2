/*
 * bench_time.c - contests: rounds, the clock, statistics
 *
 * Machines are noisy in one direction only, so the best of many rounds is what
 * code can do; the median and the worst say how noisy it was.
 */
#include "bench.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A contest that takes longer has seen enough after so many rounds. */
#define PATIENCE_MS 12e3
#define ENOUGH_ROUNDS 5u

/* A cache of victims has what was read twice. */
#define WARM_UPS 2

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

contest *contest_open(void)
{
    contest *c = calloc(1, sizeof *c);

    expect(c != NULL, "memory for a contest");
    return c;
}

entrant *contest_enter(contest *c, const char *what, void (*run)(void *job),
                       void *job)
{
    expect(c->n < MAX_ENTRANTS, "room for an entrant");
    entrant *e = &c->entrants[c->n++];
    snprintf(e->what, sizeof e->what, "%s", what);
    e->dtype = "";
    e->tier = "";
    e->n_threads = 1;
    e->run = run;
    e->job = job;
    return e;
}

static double sum_of_parts(const contest *c, const entrant *e, uint32_t round)
{
    const entrant *parts = e - e->n_summed;
    double sum = 0.0;

    expect(e->n_summed <= (size_t)(e - c->entrants), "parts before their sum");
    for (size_t i = 0; i < e->n_summed; i++)
        sum += parts[i].times[round];
    return sum;
}

static double time_once(const entrant *e)
{
    for (int i = 0; i < WARM_UPS && e->state == STATE_HOT; i++) {
        if (e->before != NULL)
            e->before(e->job);
        e->run(e->job);
    }
    if (e->before != NULL)
        e->before(e->job);
    if (e->state == STATE_COLD && !e->keeps_cache)
        memory_evict();

    const double start = now();
    e->run(e->job);
    const double time = now() - start;

    if (e->after != NULL)
        e->after(e->job);
    return time;
}

void contest_time(contest *c, uint32_t n_rounds)
{
    const double start = now();

    for (size_t i = 0; i < c->n; i++) {
        c->entrants[i].times = calloc(n_rounds, sizeof(double));
        expect(c->entrants[i].times != NULL, "memory for times");
    }
    while (c->n_rounds < n_rounds &&
           (c->n_rounds < ENOUGH_ROUNDS || now() - start < PATIENCE_MS)) {
        for (size_t i = 0; i < c->n; i++) {
            entrant *e = &c->entrants[i];
            e->times[c->n_rounds] = e->n_summed > 0
                                        ? sum_of_parts(c, e, c->n_rounds)
                                        : time_once(e);
        }
        c->n_rounds++;
    }
    for (size_t i = 0; i < c->n; i++)
        c->entrants[i].n_times = c->n_rounds;
}

void contest_close(contest *c)
{
    for (size_t i = 0; i < c->n; i++)
        free(c->entrants[i].times);
    free(c);
}

static int by_time(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* The time that 'rank' of all rounds were not above, rank in [0, 1]. */
static double time_at(const entrant *e, double rank)
{
    double *sorted = malloc(e->n_times * sizeof *sorted);

    expect(sorted != NULL, "memory for times");
    memcpy(sorted, e->times, e->n_times * sizeof *sorted);
    qsort(sorted, e->n_times, sizeof *sorted, by_time);
    const double time = sorted[(size_t)(rank * (e->n_times - 1))];
    free(sorted);
    return time;
}

double time_best(const entrant *e)
{
    return time_at(e, 0.0);
}

double time_median(const entrant *e)
{
    return time_at(e, 0.5);
}

double time_worst(const entrant *e)
{
    return time_at(e, 1.0);
}
