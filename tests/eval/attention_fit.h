/*
 * attention_fit.h - the mass of a summary, fitted to rows that know it
 */
#ifndef ATTENTION_FIT_H
#define ATTENTION_FIT_H

#include "attention_corrections.h"

csp_fit fit_make(uint32_t n_heads);
void fit_free(csp_fit *fit);

/* Fit the mass of the summary of what 'kept' drops, as 'c' says. */
void fit_mass(const scene *s, uint32_t layer, const csp_kept *kept,
              const correction_spec *c, const csp_summary *summary,
              const csp_fit *fit);

/* log n(q) of a query head's unscaled query; -INFINITY: nothing dropped. */
double fit_log_mass(const csp_summary *summary, const csp_fit *fit, uint32_t h,
                    uint32_t n_heads, const float *query, float scale);

#endif /* ATTENTION_FIT_H */
