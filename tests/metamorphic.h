/*
 * metamorphic.h - a case, what becomes of it, and copies of it
 */
#ifndef METAMORPHIC_H
#define METAMORPHIC_H

#include "test.h"

#include "digest.h"

enum { ROOM = MAX_KV_HEADS * MAX_KEYS };

/* All that the verbs make of a case; bytes that none of them writes are 0. */
typedef struct outcome {
    float sums[5][ROOM]; /* intra, inter, their rows, value norms */
    uint32_t rows[ROOM], counts[MAX_KV_HEADS], n_both[MAX_KV_HEADS];
    uint8_t reasons[ROOM];
    double log_mass[MAX_HEADS], mass_rows[MAX_HEADS];
    float value[MAX_HEADS * MAX_DIM];
} outcome;

csp_importance importance_of(const sample *s, outcome *o);

/* Score and select; then, with values, their norms and calibration, too. */
void run_verbs(const sample *s, bool with_values, outcome *o);

/* Add query rows [begin, end) alone. */
void score_rows(const sample *s, uint32_t begin, uint32_t end, outcome *o);

void assert_same_outcomes(const outcome *a, const outcome *b);

/* Rows in use of a KV head. */
uint32_t rows_of_head(const sample *s, uint32_t g);

/* Rounding that csp_score states for a sum, twice: of all query rows of a
   group, and what each of their weights may lack. */
double error_of_sums(const sample *s);
double lost_of_sums(const sample *s);

/* Whether rounding by 'error' cannot change which 'n' rows of head g are best
   by intra + inter. */
bool is_clear_cut(const sample *s, const outcome *o, uint32_t g, uint32_t n,
                  double error);

/* ---- Cases --------------------------------------------------------------- */

/* Any case, on any tier of this CPU. */
void draw_any(sample *s, uint64_t seed, bool fresh);

/* One of moderate logits in packed floats, some of them masked, and settings
   that rank by intra + inter alone. */
void draw_plain(sample *s, uint64_t seed, bool fresh);

float *logit_of(sample *s, uint32_t h, uint32_t r, uint32_t c);

/* How tensors are copied. */
typedef struct manner {
    bool other_layout;     /* or packed */
    bool widen;            /* to floats, masked logits of f16 to -inf */
    const uint32_t *heads; /* KV head g is that of heads[g]; NULL: the same */
} manner;

/* Everything but the tensors; then these. */
void copy_settings(const sample *a, sample *b);
void copy_tensors(const sample *a, const manner *how, sample *b);

/* ---- Relations of metamorphic_twice.c ------------------------------------ */

void prune_twice(uint64_t seed);
void compact_twice(uint64_t seed);

#endif
