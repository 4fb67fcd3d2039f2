/*
 * attention_summary.h - corrections by a summary of the dropped rows (E11)
 */
#ifndef ATTENTION_SUMMARY_H
#define ATTENTION_SUMMARY_H

#include "attention_corrections.h"

/* Correct by a summary, or by one of each modality, as 'c' says. */
void correct_by_summary(const scene *s, uint32_t layer, const csp_kept *kept,
                        const correction_spec *c, const outputs *seen,
                        float *corrected);

/* Put values that stand for the dropped rows, [n][n_heads][head_dim], together
   with what was seen of the kept rows, by the true mass of either. */
void blend_by_truth(const scene *s, uint32_t layer, const outputs *seen,
                    float *values);

#endif /* ATTENTION_SUMMARY_H */
