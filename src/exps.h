/*
 * exps.h - the exponentials of one row of logits, in a scale that cannot
 * overflow
 */
#ifndef CSP_EXPS_H
#define CSP_EXPS_H

#include "csp.h"
#include "kernels.h"

/*
 * A row's exponentials e and their sum stand for exp(x) = e * 2^shift *
 * exp(offset).  'offset' is 0 but for logits too large for a shift.
 */
typedef struct csp__exps {
    double sum;
    double offset;
    int shift;
    bool masked; /* every key is: the sum is 0 */
} csp__exps;

/*
 * Whether a guessed shift is as good as the right one: the row's sum is large
 * enough that only weights below 2^-125 underflow and far from overflow, and 1
 * / total, with the sink in it, is a normal float.  False for NaN.
 */
static inline bool csp__scale_is_safe(double sum, double total)
{
    return sum >= 0.5 && sum <= 0x1p100 && total <= 0x1p125;
}

/* A guess for rows like one of this shift: lower, as there is room above; 0
   where logits are too large to guess. */
int csp__guess(int shift);

/* The weight of a row's exponentials: 1 / total, nothing if all is masked. */
float csp__weight(double sum, double total);

/* The right scale for a row whose largest logit is 'max', a number or -inf;
   sum 0. */
csp__exps csp__scale_of(float max);

/* e[0..n) = exponentials of the logits x[0..n), a row or a part of one, in the
   scale of 'exps'; returns their sum.  x may be e (f32). */
double csp__exp_scaled(const csp__kernels *kernels, csp_dtype dtype,
                       const void *x, size_t n, const csp__exps *exps,
                       float *e);

/*
 * e[0..n) = exponentials of the logits x[0..n) in the right scale.  x may be e
 * (f32).  CSP_E_NOT_FINITE if there is NaN or +inf.
 */
csp_status csp__exp_exactly(const csp__kernels *kernels, csp_dtype dtype,
                            const void *x, size_t n, float *e, csp__exps *exps);

/* n, or exp(log_n), in the scale of a row. */
double csp__sink(const csp__exps *exps, double n);
double csp__sink_of_log(const csp__exps *exps, double log_n);

/* log of the row's sum of exponentials; -inf if every key is masked. */
double csp__log_sum(const csp__exps *exps);

#endif
