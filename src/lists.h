/*
 * lists.h - sets of candidate units -> rows
 */
#ifndef CSP_LISTS_H
#define CSP_LISTS_H

#include "rank.h"

/* Sets of candidates that say why they are kept; those in none were filled
   up. */
typedef struct csp__sets {
    const uint64_t *intra;
    const uint64_t *inter;
    const uint64_t *claimed; /* apart from the others; NULL: none */
} csp__sets;

/* Rows of the protected units and of the candidates in 'set', ascending.
   Returns how many. */
uint32_t csp__list_rows(const csp__units *units, uint32_t block,
                        const uint64_t *set, uint32_t *rows);

/* The csp_reason of each of 'n' rows that are kept. */
void csp__list_reasons(const csp__units *units, uint32_t block, csp__sets sets,
                       const uint32_t *rows, uint32_t n, uint8_t *reasons);

/* How many rows of candidates are in both sets. */
uint32_t csp__rows_in_both(const csp__units *units, uint32_t block,
                           const uint64_t *a, const uint64_t *b);

#endif
