/*
 * attention_tally.h - what is measured, summed over contexts
 */
#ifndef ATTENTION_TALLY_H
#define ATTENTION_TALLY_H

#include "attention_corrections.h"
#include "attention_gap.h"
#include "attention_methods.h"

#include <stdint.h>

/* What has been read when the cache is pruned. */
typedef enum moment {
    AFTER_CONTEXT,  /* the context; later: the questions */
    AFTER_QUESTION, /* all but the prompt's last token; later: that and the
                       answer */
    N_MOMENTS
} moment;

extern const char *const moment_names[N_MOMENTS];

enum { N_BUDGETS = 6 };
extern const uint32_t budget_percent[N_BUDGETS];

/* Errors of attention outputs, over rows. */
typedef struct errors {
    double rows;
    double relative;           /* sum of |out - full| / |full| */
    double squares, reference; /* of |out - full|^2, |full|^2 */
} errors;

typedef struct overlap {
    double jaccard, n;
} overlap;

typedef struct tally {
    uint32_t n_layers, n_heads;
    errors *errors;     /* [moment][method][budget][correction][layer][head] */
    csp_report *window; /* [moment][method][budget] by the method's ranking */
    csp_report *later;  /* likewise, by the attention of later queries */
    overlap *overlaps;  /* [moment][budget][method][method] */
    gap gap;
    uint32_t n_contexts;
} tally;

tally tally_make(uint32_t n_layers, uint32_t n_heads);
void tally_free(tally *t);
void tally_merge(tally *t, const tally *other);

/* [layer][head] of one way of pruning and correcting. */
errors *tally_errors(const tally *t, moment when, study_method method,
                     uint32_t budget, uint32_t correction);

/* The index of one way of pruning in 'window' and 'later'. */
size_t tally_report(moment when, study_method method, uint32_t budget);

/* The index of two methods in 'overlaps'. */
size_t tally_overlap(moment when, uint32_t budget, study_method a,
                     study_method b);

/* Sum over layers and heads; zero rows where the correction was not run
   wherever the plain output was. */
errors tally_total(const tally *t, moment when, study_method method,
                   uint32_t budget, uint32_t correction);

/* Mean relative error; sqrt(sum |out - full|^2 / sum |full|^2).  NaN: none. */
double errors_mean(const errors *e);
double errors_norm(const errors *e);

#endif /* ATTENTION_TALLY_H */
