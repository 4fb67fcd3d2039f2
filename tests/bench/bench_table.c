/*
 * bench_table.c - one row a measurement, for people and as CSV
 *
 * A ratio says how many times as fast as its pair a row is, best time against
 * best time.
 */
#include "bench.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *state_name(cache_state s)
{
    switch (s) {
    case STATE_NONE:
        return "";
    case STATE_HOT:
        return "hot";
    case STATE_COLD:
        return "cold";
    }
    return "";
}

static const char *pages_name(pages kind)
{
    return kind == PAGES_HUGE ? "2M" : "4K";
}

/* The same on one thread needs no name. */
static const char *pair_name(const entrant *e)
{
    return strcmp(e->pair->what, e->what) == 0 ? "one thread" : e->pair->what;
}

void table_open(bench *b)
{
    printf("\n%-24s %-4s %-6s %-5s %-4s %3s %8s %8s %8s %6s %6s of\n", "what",
           "type", "tier", "pages", "", "thr", "best ms", "median", "worst",
           "GB/s", "ratio");
    if (b->options.csv == NULL)
        return;
    b->csv = fopen(b->options.csv, "w");
    if (b->csv == NULL)
        die(b->options.csv, strerror(errno));
    fputs("what,type,tier,pages,state,threads,rounds,median_ms,min_ms,max_ms,"
          "bytes,gb_per_s,ratio,pair\n",
          b->csv);
}

void table_topic(const char *name, const char *about)
{
    printf("\n%s: %s\n", name, about);
}

static void print_csv(const bench *b, const entrant *e)
{
    const double best = time_best(e);

    fprintf(b->csv, "%s,%s,%s,%s,%s,%u,%u,%.6f,%.6f,%.6f,", e->what, e->dtype,
            e->tier, pages_name(e->pages), state_name(e->state),
            (unsigned)e->n_threads, (unsigned)e->n_times, time_median(e), best,
            time_worst(e));
    if (e->size > 0)
        fprintf(b->csv, "%zu,%.3f,", e->size, 1e-6 * (double)e->size / best);
    else
        fputs(",,", b->csv);
    if (e->pair != NULL)
        fprintf(b->csv, "%.4f,%s\n", time_best(e->pair) / best, pair_name(e));
    else
        fputs(",\n", b->csv);
}

static void print_row(const bench *b, const entrant *e)
{
    const double best = time_best(e);

    expect(best > 0.0, "a clock that moves");
    printf("%-24s %-4s %-6s %-5s %-4s %3u %8.3f %8.3f %8.3f", e->what, e->dtype,
           e->tier, pages_name(e->pages), state_name(e->state),
           (unsigned)e->n_threads, best, time_median(e), time_worst(e));
    if (e->size > 0)
        printf(" %6.1f", 1e-6 * (double)e->size / best);
    else if (e->pair != NULL)
        printf(" %6s", "");
    if (e->pair != NULL)
        printf(" %6.2f %s", time_best(e->pair) / best, pair_name(e));
    printf("\n");
    if (b->csv != NULL)
        print_csv(b, e);
}

void contest_run(bench *b, contest *c)
{
    contest_time(c, b->options.rounds);
    for (size_t i = 0; i < c->n; i++)
        print_row(b, &c->entrants[i]);
}

void table_bytes(bench *b, const char *what, size_t size)
{
    printf("%-46s %12zu bytes\n", what, size);
    if (b->csv != NULL)
        fprintf(b->csv, "%s,,,,,,,,,,%zu,,,\n", what, size);
}

void table_close(bench *b)
{
    if (b->csv != NULL && fclose(b->csv) != 0)
        die(b->options.csv, strerror(errno));
    b->csv = NULL;
}
