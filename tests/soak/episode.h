/*
 * episode.h - the life of some pruners, drawn from a seed
 */
#ifndef EPISODE_H
#define EPISODE_H

#include <stdint.h>

/* Logarithmic histogram of times: bucket i holds those below 2^(i / 8) ns. */
enum { N_BUCKETS = 320 };

typedef struct latencies {
    uint64_t buckets[N_BUCKETS];
    uint64_t n_times;
} latencies;

/*
 * Run the episode of 'seed', add the time of each round to 'times', and return
 * the digest of all that came out.
 *
 * 'variant'  what must not matter: tiers, workers, and whether memory fails and
 *            wrong calls come in between.
 *
 * Ends the program with a message if anything is not as it should be.
 */
uint64_t run_episode(uint64_t seed, uint32_t variant, latencies *times);

/* The time that 'share' of all rounds stay below, in microseconds. */
double percentile(const latencies *times, double share);

#endif
