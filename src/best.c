/*
 * best.c - the k best of a list of scores
 *
 * They are found by their threshold: the k-th largest key is built bit by bit,
 * counting how many keys reach each trial.  Once half of the keys are out of
 * the question, the others are moved together, so that all bits cost little
 * more than the first few.  No sorting, no branches that depend on a single
 * key, and ties fall to the lowest rows.
 */
#include "best.h"

#include "bits.h"

#include <string.h>

/*
 * The n_best-th largest key, or 'least' if no more than n_best reach it;
 * n_best > 0.  'reached' receives how many keys are at least that.
 *
 * Keys at or above 'low' and below low + 2 * bit may still be it.
 */
static uint32_t threshold_of(const csp__kernels *k, const uint32_t *keys,
                             size_t n, uint32_t least, uint64_t n_best,
                             uint32_t *active, size_t *reached)
{
    uint32_t low = 0;
    size_t at_least_low = n;
    size_t above = 0;   /* keys beyond what may still be it, */
    size_t removed = 0; /* and those of them no longer among 'keys' */

    *reached = k->count_at_least(keys, n, least);
    if (*reached <= n_best)
        return least;
    for (uint32_t bit = 0x80000000u; bit != 0 && at_least_low > n_best;
         bit >>= 1) {
        const size_t count = removed + k->count_at_least(keys, n, low | bit);
        if (count >= n_best) {
            low |= bit;
            at_least_low = count;
        } else {
            above = count;
        }
        if (at_least_low - above <= n / 2) {
            n = k->narrow(keys, n, low, low + (bit - 1), active);
            keys = active;
            removed = above;
        }
    }
    *reached = at_least_low;
    return low;
}

/* Whether a candidate ties for the last place.  The canary's mistake is found
   by every test worth its name. */
#ifdef CSP_CANARY
#define IS_TIED(key, threshold) ((key) >= (threshold))
#else
#define IS_TIED(key, threshold) ((key) == (threshold))
#endif

/* Take the last 'surplus' of the candidates with this key out of a set. */
static void drop_last(const uint32_t *keys, size_t n, uint32_t key,
                      size_t surplus, uint64_t *set)
{
    for (size_t i = n; i > 0 && surplus > 0; i--)
        if (IS_TIED(keys[i - 1], key)) {
            set[(i - 1) / 64] &= ~(UINT64_C(1) << (i - 1) % 64);
            surplus--;
        }
}

void csp__choose_best(const csp__kernels *k, const uint32_t *keys, size_t n,
                      uint32_t least, uint64_t n_best, uint32_t *active,
                      uint64_t *set)
{
    size_t reached;

    if (n_best == 0) {
        memset(set, 0, csp__words(n) * sizeof *set);
        return;
    }
    const uint32_t threshold =
        threshold_of(k, keys, n, least, n_best, active, &reached);
    k->reach(keys, n, threshold, set);
    if (reached > n_best)
        drop_last(keys, n, threshold, reached - (size_t)n_best, set);
}

void csp__strike(const uint64_t *set, size_t n_words, uint32_t *keys)
{
    for (size_t i = 0; i < n_words; i++)
        for (uint64_t word = set[i]; word != 0; word &= word - 1)
            keys[i * 64 + csp__lowest(word)] = 0;
}
