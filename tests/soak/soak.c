/*
 * soak.c - many lives of many pruners, for as long as one likes
 *
 * soak [--seconds S] [--threads T]
 *
 * Threads take seeds in turn, over and over, each time in another variant: the
 * digest of a seed has to be that of the first time.  When all seeds have had
 * their first time the process is warm; from then on its memory and its files
 * may not become more, and the last third may not be slower than the first.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "episode.h"

enum { N_SEEDS = 100, MAX_THREADS = 64, MOST_FILES = 1024 };

/* What is allowed: allocators keep some pages more for one thread or another,
   and a machine that others use is not always as fast. */
#define MOST_GROWTH_KIB 2048L
#define MOST_DRIFT 1.5

typedef struct soak {
    atomic_uint next;   /* episode to run */
    atomic_uint n_done; /* episodes */
    atomic_uint n_differences;
    _Atomic uint64_t digests[N_SEEDS]; /* of the first time; 0: not yet */
    double begin, seconds;
} soak;

typedef struct worker {
    soak *s;
    latencies thirds[3];
} worker;

static double wall(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Another one each time, and at any time some of each. */
static uint32_t variant_of(uint32_t episode)
{
    return episode / N_SEEDS + episode % N_SEEDS;
}

static void check_digest(soak *s, uint32_t episode, uint64_t digest)
{
    const uint32_t seed = episode % N_SEEDS;
    uint64_t first = 0;

    if (atomic_compare_exchange_strong(&s->digests[seed], &first, digest) ||
        first == digest)
        return;
    fprintf(stderr, "seed %u is not as the first time in variant %u\n",
            (unsigned)seed, (unsigned)variant_of(episode));
    atomic_fetch_add(&s->n_differences, 1);
}

static void *work(void *argument)
{
    worker *w = argument;
    soak *s = w->s;

    for (;;) {
        const double part = (wall() - s->begin) / s->seconds;
        if (part >= 1.0)
            return NULL;
        const uint32_t episode = atomic_fetch_add(&s->next, 1);
        const uint64_t digest =
            run_episode(episode % N_SEEDS, variant_of(episode),
                        &w->thirds[(int)(3.0 * part)]);
        check_digest(s, episode, digest);
        atomic_fetch_add(&s->n_done, 1);
    }
}

/* ---- The process --------------------------------------------------------- */

static long resident_kib(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");

    if (file == NULL)
        return 0;
    if (fscanf(file, "%*s %ld", &pages) != 1)
        pages = 0;
    fclose(file);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static int count_files(void)
{
    int n = 0;

    for (int file = 0; file < MOST_FILES; file++)
        n += fcntl(file, F_GETFD) != -1;
    return n;
}

/* Let the threads work; *growth receives what memory grew by when warm. */
static void run(soak *s, worker *workers, uint32_t n_threads, long *growth)
{
    pthread_t threads[MAX_THREADS];
    const struct timespec tick = {.tv_nsec = 50000000};
    long warm = 0;

    s->begin = wall();
    for (uint32_t i = 0; i < n_threads; i++) {
        workers[i].s = s;
        if (pthread_create(&threads[i], NULL, work, &workers[i]) != 0)
            exit(2);
    }
    while (wall() - s->begin < s->seconds) {
        nanosleep(&tick, NULL);
        if (warm == 0 && atomic_load(&s->n_done) > 2 * N_SEEDS)
            warm = resident_kib();
    }
    for (uint32_t i = 0; i < n_threads; i++)
        pthread_join(threads[i], NULL);
    *growth = warm == 0 ? 0 : resident_kib() - warm;
    if (warm == 0)
        printf("too short for every seed to be seen twice\n");
}

/* ---- Report -------------------------------------------------------------- */

static void add(latencies *to, const latencies *from)
{
    for (int i = 0; i < N_BUCKETS; i++)
        to->buckets[i] += from->buckets[i];
    to->n_times += from->n_times;
}

/* Print percentiles of each third; returns how much the median drifted. */
static double report_times(const worker *workers, uint32_t n_threads)
{
    double medians[3];

    for (int third = 0; third < 3; third++) {
        latencies all = {0};
        for (uint32_t i = 0; i < n_threads; i++)
            add(&all, &workers[i].thirds[third]);
        medians[third] = percentile(&all, 0.5);
        printf("third %d: %llu rounds, p50 %.0f us, p99 %.0f us\n", third + 1,
               (unsigned long long)all.n_times, medians[third],
               percentile(&all, 0.99));
    }
    return medians[2] / medians[0];
}

static bool check(const char *what, bool good)
{
    if (!good)
        printf("not as it should be: %s\n", what);
    return good;
}

int main(int argc, char **argv)
{
    static soak s = {.seconds = 600.0};
    static worker workers[MAX_THREADS];
    long n_threads = 2, growth;

    for (int i = 1; i + 1 < argc; i += 2)
        if (strcmp(argv[i], "--seconds") == 0)
            s.seconds = strtod(argv[i + 1], NULL);
        else if (strcmp(argv[i], "--threads") == 0)
            n_threads = strtol(argv[i + 1], NULL, 10);
    if (n_threads < 1 || n_threads > MAX_THREADS || !(s.seconds > 0.0))
        return fprintf(stderr, "usage: soak [--seconds S] [--threads T]\n"), 2;

    const int n_files = count_files();
    run(&s, workers, (uint32_t)n_threads, &growth);
    const unsigned n_done = atomic_load(&s.n_done);
    printf("%u episodes of %d seeds in %ld threads\n", n_done, (int)N_SEEDS,
           n_threads);
    const double drift = report_times(workers, (uint32_t)n_threads);

    bool good = check("digests", atomic_load(&s.n_differences) == 0);
    good = check("open files", count_files() == n_files) && good;
    good = check("memory", growth <= MOST_GROWTH_KIB) && good;
    good =
        check("the time of a round", drift <= MOST_DRIFT || s.seconds < 60.0) &&
        good;
    printf("figure soak_minutes %.1f\n", s.seconds / 60.0);
    printf("figure soak_rss_growth_kib %ld\n", growth);
    return good ? 0 : 1;
}
