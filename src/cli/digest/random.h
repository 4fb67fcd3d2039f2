/*
 * random.h - a small seeded source of random numbers
 *
 * SplitMix64 (Steele, Lea, Flood 2014): one 64-bit word of state, and any seed,
 * 0 too, is a good one.  The same seed draws the same test everywhere.
 */
#ifndef RANDOM_H
#define RANDOM_H

#include <stdbool.h>
#include <stdint.h>

typedef struct random_source {
    uint64_t state;
} random_source;

static inline uint64_t random_bits(random_source *random)
{
    uint64_t z = random->state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

/* Uniform in [0, n) but for a bias below n / 2^32; 0 if n is 0. */
static inline uint32_t random_below(random_source *random, uint32_t n)
{
    return (uint32_t)(((random_bits(random) >> 32) * n) >> 32);
}

/* Uniform in [low, high], both included. */
static inline uint32_t random_between(random_source *random, uint32_t low,
                                      uint32_t high)
{
    return low + random_below(random, high - low + 1);
}

static inline bool random_chance(random_source *random, uint32_t percent)
{
    return random_below(random, 100) < percent;
}

/* Uniform in [0, 1). */
static inline double random_unit(random_source *random)
{
    return (double)(random_bits(random) >> 11) * 0x1p-53;
}

/* Nearly normal, mean 0 and variance 1: four uniform draws, |result| < 3.5. */
static inline double random_normal(random_source *random)
{
    double sum = 0.0;
    for (int i = 0; i < 4; i++)
        sum += random_unit(random);
    return (sum - 2.0) * 1.7320508075688772;
}

#endif /* RANDOM_H */
