/*
 * bench.h - what every part of the benchmark shares
 *
 * A *topic* (score, select, ...) holds contests.  A *contest* runs its
 * *entrants* in turn, round by round, so that what disturbs the machine
 * disturbs all of them; an entrant's *pair* is the one it is measured by, and
 * their ratio is that of the best times of both.
 *
 * A failed check ends the program: a figure of wrong results is worth nothing.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "csp.h"

/* ---- The program --------------------------------------------------------- */

typedef enum bench_size {
    SIZE_FULL = 0,
    SIZE_QUICK = 1, /* a few heads: says little, takes seconds */
    SIZE_TINY = 2   /* only shows that everything runs */
} bench_size;

typedef struct options {
    const char *csv;  /* NULL: none */
    const char *only; /* NULL: every topic */
    uint32_t rounds;
    bench_size size;
} options;

#define MAX_FIGURES 16

/* Without 'why' it has a value. */
typedef struct named_figure {
    const char *name;
    const char *why;
    double value;
} named_figure;

typedef struct bench {
    options options;
    FILE *csv;
    named_figure figures[MAX_FIGURES];
    size_t n_figures;
} bench;

/* End the program. */
_Noreturn void die(const char *what, const char *why);
void check(csp_status status, const char *what);
void expect(bool truth, const char *what);

/* A figure for the end of the output, or why there is none. */
void figure(bench *b, const char *name, double value);
void figure_absent(bench *b, const char *name, const char *why);

/* One function a topic. */
void topic_score(bench *b);
void topic_scalar(bench *b);
void topic_threads(bench *b);
void topic_select(bench *b);
void topic_gather(bench *b);
void topic_pipeline(bench *b);
void topic_product(bench *b);
void topic_workspace(bench *b);

/* ---- The machine --------------------------------------------------------- */

void machine_print(void);

/* Bytes of the last level of cache; a guess where nobody tells. */
size_t machine_cache_size(void);

/* Keep the calling thread on the CPU 'index' of those it may use, if it can. */
void machine_pin(unsigned index);

/* The tiers this CPU has, best first; returns how many. */
#define MAX_TIERS 4
size_t machine_tiers(csp_tier tiers[MAX_TIERS]);
const char *tier_name(csp_tier tier);

/* ---- Memory -------------------------------------------------------------- */

typedef enum pages { PAGES_4K = 0, PAGES_HUGE = 1 } pages;

typedef struct memory {
    void *data;
    size_t size;
} memory;

/* Zeros, every page touched. */
memory memory_take(size_t size, pages kind);
void memory_give(memory *m);

/* Drive everything else out of the caches. */
void memory_evict(void);

/* Read 'size' bytes as fast as this CPU can; returns some sum of them, which
   has to go somewhere lest the reading be optimised away. */
uint64_t read_bytes(const void *data, size_t size);

/* Have 'size' bytes brought to the cache, read or not. */
void prefetch_bytes(const void *data, size_t size);

/* ---- Random numbers ------------------------------------------------------ */

/* Uniform in [0, 1), and the next state. */
double random_uniform(uint64_t *state);

/* x[0..n) of a normal distribution around 0. */
void random_normal(uint64_t *state, double deviation, float *x, size_t n);

/* ---- Contests ------------------------------------------------------------ */

typedef enum cache_state {
    STATE_NONE = 0, /* data larger than the caches, or nothing to say */
    STATE_HOT = 1,  /* run a few times before the clock starts */
    STATE_COLD = 2  /* caches emptied before the clock starts */
} cache_state;

typedef struct entrant {
    char what[32];
    const char *dtype;
    const char *tier;
    pages pages;
    cache_state state;
    uint32_t n_threads;
    size_t size;      /* bytes read or copied; 0: no rate */
    size_t n_summed;  /* 0, or it is the sum of so many entrants before it */
    bool keeps_cache; /* COLD, but a part that follows another one */
    const struct entrant *pair;
    void (*before)(void *job); /* untimed; these may be NULL */
    void (*run)(void *job);
    void (*after)(void *job); /* untimed */
    void *job;
    double *times; /* [n_times] ms, of each round */
    uint32_t n_times;
} entrant;

#define MAX_ENTRANTS 64

typedef struct contest {
    entrant entrants[MAX_ENTRANTS];
    size_t n;
    uint32_t n_rounds;
} contest;

contest *contest_open(void);
entrant *contest_enter(contest *c, const char *what, void (*run)(void *job),
                       void *job);
/* Run it; then times can be asked for. */
void contest_time(contest *c, uint32_t n_rounds);
/* The same, and print its rows. */
void contest_run(bench *b, contest *c);
void contest_close(contest *c);

double time_best(const entrant *e);
double time_median(const entrant *e);
double time_worst(const entrant *e);

/* ---- The table ----------------------------------------------------------- */

void table_open(bench *b);
void table_topic(const char *name, const char *about);
void table_bytes(bench *b, const char *what, size_t size);
void table_close(bench *b);

#endif
