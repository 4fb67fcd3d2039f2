/*
 * numbers.h - numbers as people write them in options
 *
 * All functions refuse what they do not take to the last character, spaces and
 * signs among it, and then leave the result alone.
 */
#ifndef CLI_NUMBERS_H
#define CLI_NUMBERS_H

#include <stdbool.h>
#include <stdint.h>

/* 'over' / 'under' <= 1, with under <= 10^8: exact, unlike a float. */
typedef struct fraction {
    uint64_t over, under;
} fraction;

/* A number of tokens, or a share of all there are. */
typedef struct amount {
    bool is_share;
    uint32_t tokens;
    fraction share;
} amount;

/* Digits: a number in [low, high]. */
bool parse_count(const char *text, uint32_t low, uint32_t high,
                 uint32_t *count);

/* A number in [0, 1], with at most six digits behind the point: "0.25". */
bool parse_fraction(const char *text, fraction *f);

/* "512" or "12.5%". */
bool parse_amount(const char *text, amount *a);

/* Any finite number >= 0, with an exponent maybe: "1e-3". */
bool parse_real(const char *text, double *x);

/* That part of 'whole', to the nearest, halves up. */
uint32_t fraction_of(const fraction *f, uint32_t whole);
uint32_t amount_of(const amount *a, uint32_t whole);

#endif /* CLI_NUMBERS_H */
