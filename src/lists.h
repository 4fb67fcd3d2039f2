/*
 * lists.h - sets of candidate units -> rows
 */
#ifndef CSP_LISTS_H
#define CSP_LISTS_H

#include "rank.h"

/* Rows of the protected units and of the candidates in 'set', ascending.
   Returns how many. */
uint32_t csp__list_rows(const csp__units *units, uint32_t block,
                        const uint64_t *set, uint32_t *rows);

/* How many rows of candidates are in both sets. */
uint32_t csp__rows_in_both(const csp__units *units, uint32_t block,
                           const uint64_t *a, const uint64_t *b);

#endif
