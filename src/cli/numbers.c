/*
 * numbers.c - numbers as people write them in options
 */
#include "numbers.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DECIMALS = 6 };

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The number that 'text' begins with, and where it ends.  False: no digit, or
   more than 'most'. */
static bool read_digits(const char **text, uint64_t most, uint64_t *number)
{
    const char *at = *text;
    uint64_t n = 0;

    if (!is_digit(*at))
        return false;
    for (; is_digit(*at); at++) {
        n = 10 * n + (uint64_t)(*at - '0');
        if (n > most)
            return false;
    }
    *text = at;
    *number = n;
    return true;
}

bool parse_count(const char *text, uint32_t low, uint32_t high, uint32_t *count)
{
    uint64_t n;

    if (!read_digits(&text, high, &n) || *text != '\0' || n < low)
        return false;
    *count = (uint32_t)n;
    return true;
}

/* A decimal number that is at most 'most'. */
static bool read_decimal(const char **text, uint64_t most, fraction *f)
{
    fraction read = {.under = 1};

    if (!read_digits(text, most, &read.over))
        return false;
    if (**text == '.') {
        ++*text;
        if (!is_digit(**text))
            return false;
        for (int i = 0; is_digit(**text); i++, ++*text) {
            if (i == MAX_DECIMALS)
                return false;
            read.over = 10 * read.over + (uint64_t)(**text - '0');
            read.under *= 10;
        }
    }
    if (read.over > most * read.under)
        return false;
    *f = read;
    return true;
}

bool parse_fraction(const char *text, fraction *f)
{
    fraction read;

    if (!read_decimal(&text, 1, &read) || *text != '\0')
        return false;
    *f = read;
    return true;
}

bool parse_amount(const char *text, amount *a)
{
    amount read = {.is_share = true};

    if (parse_count(text, 0, UINT32_MAX, &read.tokens)) {
        a->is_share = false;
        a->tokens = read.tokens;
        return true;
    }
    if (!read_decimal(&text, 100, &read.share) || strcmp(text, "%") != 0)
        return false;
    read.share.under *= 100;
    *a = read;
    return true;
}

bool parse_real(const char *text, double *x)
{
    char *end;

    /* strtod would take spaces, signs, hexadecimal numbers, names. */
    if (!is_digit(text[0]) || strspn(text, "0123456789.eE+-") != strlen(text))
        return false;
    const double read = strtod(text, &end);
    if (*end != '\0' || !isfinite(read))
        return false;
    *x = read;
    return true;
}

uint32_t fraction_of(const fraction *f, uint32_t whole)
{
    const uint64_t doubled = 2 * (uint64_t)whole * f->over;

    return (uint32_t)((doubled + f->under) / (2 * f->under));
}

uint32_t amount_of(const amount *a, uint32_t whole)
{
    return a->is_share ? fraction_of(&a->share, whole) : a->tokens;
}
