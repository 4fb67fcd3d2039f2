/*
 * attention_moments.h - moments of the dropped rows, in three ways
 */
#ifndef ATTENTION_MOMENTS_H
#define ATTENTION_MOMENTS_H

#include "attention_corrections.h"

/* A summary of what 'kept' drops, of rank c->rank, weighted as 'c' says. */
csp_summary summarise(const scene *s, uint32_t layer, const csp_kept *kept,
                      const correction_spec *c);
void summary_free(csp_summary *summary);

#endif /* ATTENTION_MOMENTS_H */
