/*
 * entropy.c - entropy of rows of attention that arrive in pieces
 *
 * With e = exp(x - m) and m the largest logit so far, a row's entropy is
 * log(sum e) - sum(e (x - m)) / sum e.  Where a piece has a larger logit, both
 * sums move to it.
 */
#include "entropy.h"

#include <math.h>

/* The sums as they are with a larger largest logit. */
static void move_largest(entropy_row *row, double largest)
{
    const double step = row->largest - largest; /* < 0 */
    const double factor = exp(step);

    row->moment = factor * (row->moment + step * row->mass);
    row->mass *= factor;
    row->largest = largest;
}

static void add_logits(entropy_row *row, const float *x, size_t n, float masked)
{
    float largest = masked;

    for (size_t i = 0; i < n; i++) {
        if (!(x[i] < INFINITY)) { /* NaN too */
            row->no_logits = true;
            return;
        }
        if (x[i] > largest)
            largest = x[i];
    }
    if (largest == masked)
        return;
    if (row->mass == 0.0)
        row->largest = (double)largest;
    else if ((double)largest > row->largest)
        move_largest(row, (double)largest);
    for (size_t i = 0; i < n; i++) {
        if (x[i] > masked) {
            const double distance = (double)x[i] - row->largest;
            const double power = exp(distance);
            row->mass += power;
            row->moment += power * distance;
        }
    }
}

/* False where one is none. */
static bool add_probabilities(entropy_row *row, const float *x, size_t n,
                              double slack)
{
    for (size_t i = 0; i < n; i++) {
        const double p = (double)x[i];
        if (!(p >= 0.0 && p <= 1.0 + slack))
            return false;
        row->sum += p;
        if (p > 0.0)
            row->plog += p * log(p);
    }
    return true;
}

void entropy_add(entropy *e, const float *x, size_t n)
{
    if (!e->row.no_logits)
        add_logits(&e->row, x, n, e->masked);
    if (!e->no_probabilities)
        e->no_probabilities = !add_probabilities(&e->row, x, n, e->slack);
}

void entropy_end_row(entropy *e)
{
    const entropy_row *row = &e->row;

    e->n_rows++;
    if (row->mass > 0.0 && !row->no_logits) {
        e->n_logit_rows++;
        e->logit_entropy += log(row->mass) - row->moment / row->mass;
    }
    if (row->sum > 1.0 + e->slack)
        e->no_probabilities = true;
    if (row->sum > 0.0 && !e->no_probabilities) {
        e->n_mass_rows++;
        e->mass += row->sum;
        e->mass_entropy += log(row->sum) - row->plog / row->sum;
    }
    e->row = (entropy_row){0};
}
