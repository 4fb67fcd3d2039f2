/*
 * lists.c - sets of candidate units -> rows, and why they are kept
 *
 * Units are single rows or blocks of rows, of which the last may be short.
 */
#include "lists.h"

#include "bits.h"

/* Rows of units [begin, end). */
static uint32_t add_units(const csp__units *units, uint32_t block,
                          uint32_t begin, uint32_t end, uint32_t *rows)
{
    if (begin == end)
        return 0;
    const uint32_t first = begin * block;
    const uint32_t n =
        end == units->n ? units->n_rows - first : (end - begin) * block;

    for (uint32_t i = 0; i < n; i++)
        rows[i] = first + i;
    return n;
}

/* Rows of the candidates in a set. */
static uint32_t add_set(const csp__units *units, uint32_t block,
                        const uint64_t *set, uint32_t *rows)
{
    const uint32_t n_units = units->last - units->first;
    uint32_t n = 0;

    for (size_t i = 0; i < csp__words(n_units); i++) {
        const uint32_t begin = (uint32_t)(i * 64);
        uint64_t word = set[i];
        if (n_units - begin < 64) /* nothing behind the last candidate */
            word &= (UINT64_C(1) << (n_units - begin)) - 1;
        for (; word != 0; word &= word - 1) {
            const uint32_t u =
                units->first + begin + (uint32_t)csp__lowest(word);
            if (block == 1)
                rows[n++] = u;
            else
                n += add_units(units, block, u, u + 1, rows + n);
        }
    }
    return n;
}

uint32_t csp__list_rows(const csp__units *units, uint32_t block,
                        const uint64_t *set, uint32_t *rows)
{
    uint32_t n = add_units(units, block, 0, units->first, rows);

    n += add_set(units, block, set, rows + n);
    return n + add_units(units, block, units->last, units->n, rows + n);
}

/* Why candidate 'at' is kept. */
static uint8_t reason_of(csp__sets sets, size_t at)
{
    static const uint8_t of_lists[] = {CSP_REASON_FILLED, CSP_REASON_INTRA,
                                       CSP_REASON_INTER, CSP_REASON_BOTH};
    const size_t word = at / 64, bit = at % 64;

    if (sets.claimed != NULL && (sets.claimed[word] >> bit & 1))
        return CSP_REASON_CLAIMED;
    return of_lists[(sets.intra[word] >> bit & 1) |
                    (sets.inter[word] >> bit & 1) << 1];
}

void csp__list_reasons(const csp__units *units, uint32_t block, csp__sets sets,
                       const uint32_t *rows, uint32_t n, uint8_t *reasons)
{
    const uint32_t first = units->first;
    const uint32_t n_candidates = units->last - first;

    for (uint32_t i = 0; i < n; i++) {
        const uint32_t unit = block == 1 ? rows[i] : rows[i] / block;
        const uint32_t at = unit - first; /* wraps if in front */
        reasons[i] = at < n_candidates ? reason_of(sets, at)
                                       : (uint8_t)CSP_REASON_PROTECTED;
    }
}

uint32_t csp__rows_in_both(const csp__units *units, uint32_t block,
                           const uint64_t *a, const uint64_t *b)
{
    const size_t n = units->last - units->first;
    size_t n_units = 0;

    for (size_t i = 0; i < csp__words(n); i++)
        n_units += csp__count_word(a[i] & b[i]);
    uint32_t rows = (uint32_t)n_units * block;
    if (n > 0 && units->last == units->n) { /* the last may be short */
        const size_t last = n - 1;
        if ((a[last / 64] & b[last / 64]) >> last % 64 & 1)
            rows -= units->n * block - units->n_rows;
    }
    return rows;
}
