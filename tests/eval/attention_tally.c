/*
 * attention_tally.c - what is measured, summed over contexts
 */
#include "attention_tally.h"

#include "support.h"

#include <math.h>
#include <stdlib.h>

const char *const moment_names[N_MOMENTS] = {
    [AFTER_CONTEXT] = "after",
    [AFTER_QUESTION] = "window",
};
const uint32_t budget_percent[N_BUDGETS] = {5, 10, 15, 20, 30, 50};

enum {
    N_PRUNINGS = N_MOMENTS * N_STUDY_METHODS * N_BUDGETS,
    N_OVERLAPS = N_MOMENTS * N_BUDGETS * N_STUDY_METHODS * N_STUDY_METHODS
};

static size_t n_errors(const tally *t)
{
    return times(times(t->n_layers, t->n_heads),
                 (size_t)N_PRUNINGS * n_corrections);
}

tally tally_make(uint32_t n_layers, uint32_t n_heads)
{
    tally t = {.n_layers = n_layers, .n_heads = n_heads};

    t.errors = take(n_errors(&t), sizeof *t.errors);
    t.window = take(N_PRUNINGS, sizeof *t.window);
    t.later = take(N_PRUNINGS, sizeof *t.later);
    t.overlaps = take(N_OVERLAPS, sizeof *t.overlaps);
    t.gap = gap_make(n_layers, n_heads);
    return t;
}

void tally_free(tally *t)
{
    gap_free(&t->gap);
    free(t->overlaps);
    free(t->later);
    free(t->window);
    free(t->errors);
    *t = (tally){0};
}

static void merge_reports(csp_report *r, const csp_report *other)
{
    for (size_t i = 0; i < N_PRUNINGS; ++i) {
        r[i].n_keys += other[i].n_keys;
        r[i].n_kept += other[i].n_kept;
        for (uint32_t m = 0; m < CSP_MAX_MODALITIES; ++m) {
            r[i].keys_of_modality[m] += other[i].keys_of_modality[m];
            r[i].kept_of_modality[m] += other[i].kept_of_modality[m];
        }
        r[i].intra_total += other[i].intra_total;
        r[i].inter_total += other[i].inter_total;
        r[i].intra_kept += other[i].intra_kept;
        r[i].inter_kept += other[i].inter_kept;
    }
}

void tally_merge(tally *t, const tally *other)
{
    for (size_t i = 0; i < n_errors(t); ++i) {
        t->errors[i].rows += other->errors[i].rows;
        t->errors[i].relative += other->errors[i].relative;
        t->errors[i].squares += other->errors[i].squares;
        t->errors[i].reference += other->errors[i].reference;
    }
    merge_reports(t->window, other->window);
    merge_reports(t->later, other->later);
    for (size_t i = 0; i < N_OVERLAPS; ++i) {
        t->overlaps[i].jaccard += other->overlaps[i].jaccard;
        t->overlaps[i].n += other->overlaps[i].n;
    }
    gap_merge(&t->gap, &other->gap);
    t->n_contexts += other->n_contexts;
}

size_t tally_report(moment when, study_method method, uint32_t budget)
{
    return ((size_t)when * N_STUDY_METHODS + (size_t)method) * N_BUDGETS +
           budget;
}

size_t tally_overlap(moment when, uint32_t budget, study_method a,
                     study_method b)
{
    return (((size_t)when * N_BUDGETS + budget) * N_STUDY_METHODS + (size_t)a) *
               N_STUDY_METHODS +
           (size_t)b;
}

errors *tally_errors(const tally *t, moment when, study_method method,
                     uint32_t budget, uint32_t correction)
{
    return t->errors +
           (tally_report(when, method, budget) * n_corrections + correction) *
               t->n_layers * t->n_heads;
}

errors tally_total(const tally *t, moment when, study_method method,
                   uint32_t budget, uint32_t correction)
{
    const errors *e = tally_errors(t, when, method, budget, correction);
    const errors *plain =
        tally_errors(t, when, method, budget, FIRST_CORRECTION);
    errors sum = {0};
    double rows = 0.0;

    for (size_t i = 0; i < (size_t)t->n_layers * t->n_heads; ++i) {
        sum.rows += e[i].rows;
        sum.relative += e[i].relative;
        sum.squares += e[i].squares;
        sum.reference += e[i].reference;
        rows += plain[i].rows;
    }
    return sum.rows < rows ? (errors){0} : sum;
}

double errors_mean(const errors *e)
{
    return e->rows > 0.0 ? e->relative / e->rows : (double)NAN;
}

double errors_norm(const errors *e)
{
    return e->reference > 0.0 ? sqrt(e->squares / e->reference) : (double)NAN;
}
