/*
 * bits.h - sets of candidates: candidate i is bit i % 64 of word i / 64
 */
#ifndef CSP_BITS_H
#define CSP_BITS_H

#include <stddef.h>
#include <stdint.h>

static inline size_t csp__words(size_t n_bits)
{
    return n_bits / 64 + (n_bits % 64 != 0);
}

static inline size_t csp__count_word(uint64_t word)
{
#if defined(__GNUC__)
    return (size_t)__builtin_popcountll(word);
#else
    size_t count = 0;
    for (; word != 0; word &= word - 1)
        count++;
    return count;
#endif
}

/* The index of the lowest bit of word != 0. */
static inline size_t csp__lowest(uint64_t word)
{
#if defined(__GNUC__)
    return (size_t)__builtin_ctzll(word);
#else
    return csp__count_word((word & (~word + 1)) - 1);
#endif
}

static inline size_t csp__count_bits(const uint64_t *bits, size_t n_words)
{
    size_t count = 0;

    for (size_t i = 0; i < n_words; i++)
        count += csp__count_word(bits[i]);
    return count;
}

#endif
