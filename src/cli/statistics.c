/*
 * statistics.c - what the numbers of an array are like
 *
 * One pass over the file.  Whether its rows are logits or probabilities is
 * known at the end only, so entropies of both are added up until a row rules
 * one of them out.
 */
#include "statistics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    PIECE = 1 << 16,         /* elements at a time */
    FORTRAN_PIECE = 1 << 26, /* each is a pass over the file */
    BAR_FROM = 1 << 24       /* elements: below, it is done in no time */
};

/* csp.h's CSP_LOGITS: the largest logit that is masked. */
static float masked_logit(element e)
{
    return e == ELEMENT_F16 ? -65504.0f : -1e30f;
}

/* The rounding of a row's probabilities adds up. */
static double slack_of(element e)
{
    return e == ELEMENT_F16 || e == ELEMENT_BF16 ? 0.02 : 0.001;
}

static void add_integer(statistics *s, int64_t x)
{
    if (s->n_finite == 0 || x < s->min_integer)
        s->min_integer = x;
    if (s->n_finite == 0 || x > s->max_integer)
        s->max_integer = x;
    s->n_finite++;
    s->n_zero += x == 0;
    s->sum += (double)x;
}

static int64_t integer_at(element e, const unsigned char *at)
{
    uint32_t u = 0;
    uint16_t h;
    int32_t i;
    int64_t wide = 0;

    if (e == ELEMENT_U8)
        return at[0];
    if (e == ELEMENT_U16) {
        memcpy(&h, at, sizeof h);
        return h;
    }
    if (e == ELEMENT_I64) {
        memcpy(&wide, at, sizeof wide);
        return wide;
    }
    if (e == ELEMENT_I32) {
        memcpy(&i, at, sizeof i);
        return i;
    }
    memcpy(&u, at, sizeof u);
    return (int64_t)u;
}

static void add_real(statistics *s, double x)
{
    s->n_low += x <= (double)s->rows.masked;
    if (isnan(x)) {
        s->n_nan++;
    } else if (isinf(x)) {
        s->n_plus_inf += x > 0.0;
        s->n_minus_inf += x < 0.0;
    } else {
        if (s->n_finite == 0 || x < s->min)
            s->min = x;
        if (s->n_finite == 0 || x > s->max)
            s->max = x;
        s->n_finite++;
        s->n_zero += x == 0.0;
        s->sum += x;
    }
}

/* The elements from 'first' on, cut into rows. */
static void add_rows(const array *a, statistics *s, uint64_t first,
                     const float *x, uint64_t n)
{
    const uint64_t length = a->rank > 1 ? a->shape[a->rank - 1] : 0;

    if (length == 0)
        return;
    for (uint64_t done = 0; done < n;) {
        const uint64_t rest = length - (first + done) % length;
        const uint64_t part = rest < n - done ? rest : n - done;
        entropy_add(&s->rows, x + done, (size_t)part);
        if (part == rest)
            entropy_end_row(&s->rows);
        done += part;
    }
}

static void add_integers(const array *a, statistics *s, uint64_t n,
                         const unsigned char *bytes)
{
    for (uint64_t i = 0; i < n; i++)
        add_integer(s, integer_at(a->element, bytes + i * a->element_size));
}

/* Doubles have a larger range than floats, so they are counted as they are;
   the rows are floats, as for csp prune. */
static void add_doubles(statistics *s, uint64_t n, void *memory)
{
    unsigned char *bytes = memory;
    double x;

    for (uint64_t i = 0; i < n; i++) {
        memcpy(&x, bytes + i * sizeof x, sizeof x);
        add_real(s, x);
        const float narrow = (float)x;
        memcpy(bytes + i * sizeof narrow, &narrow, sizeof narrow);
    }
}

static outcome add_piece(const array *a, statistics *s, uint64_t first,
                         uint64_t n, void *memory)
{
    const bool narrow = s->is_float && a->element != ELEMENT_F64;
    float *x = memory;
    outcome result = narrow ? array_read_floats(a, first, n, x)
                            : array_read(a, first, n, memory);

    if (result != DONE)
        return result;
    if (!s->is_float) {
        add_integers(a, s, n, memory);
        return DONE;
    }
    if (!narrow)
        add_doubles(s, n, memory);
    for (uint64_t i = 0; narrow && i < n; i++)
        add_real(s, (double)x[i]);
    add_rows(a, s, first, x, n);
    return DONE;
}

/* Rows of a matrix at least; what they are is read off the numbers. */
static void find_kind(const array *a, row_kind wanted, statistics *s)
{
    const entropy *e = &s->rows;

    s->kind = ROWS_UNKNOWN;
    if (!s->is_float || e->n_rows == 0) {
        s->why = "no rows of floating-point numbers";
    } else if (wanted != ROWS_UNKNOWN) {
        s->kind = wanted;
        s->why = "as --kind says";
    } else if (!e->no_probabilities && e->n_mass_rows > 0 &&
               e->mass > 0.5 * (double)e->n_mass_rows) {
        s->kind = ROWS_PROBABILITIES;
        s->why = "no number is negative, no row's sum above 1";
    } else if (s->n_low > 0) {
        s->kind = ROWS_LOGITS;
        s->why = a->element == ELEMENT_F16 ? "some are masked, <= -65504"
                                           : "some are masked, <= -1e30";
    } else {
        s->why = "nothing is masked, and sums of rows are not within 0 and 1";
    }
}

outcome statistics_of(const array *a, row_kind kind, statistics *s)
{
    const uint64_t limit = a->fortran ? FORTRAN_PIECE : PIECE;
    const uint64_t piece = a->n_elements < limit ? a->n_elements : limit;
    const size_t size =
        a->element_size > sizeof(float) ? a->element_size : sizeof(float);
    void *memory = malloc((size_t)piece * size + 1);
    outcome result = DONE;

    *s = (statistics){.is_float = element_is_float(a->element)};
    s->rows.masked = masked_logit(a->element);
    s->rows.slack = slack_of(a->element);
    if (memory == NULL)
        return fail(INTERNAL, "%s: not enough memory", a->name);
    for (uint64_t first = 0; result == DONE && first < a->n_elements;) {
        const uint64_t rest = a->n_elements - first;
        const uint64_t n = rest < piece ? rest : piece;
        result = add_piece(a, s, first, n, memory);
        first += n;
        if (a->n_elements >= BAR_FROM)
            progress(a->name, first, a->n_elements);
    }
    progress_end();
    free(memory);
    find_kind(a, kind, s);
    return result;
}
