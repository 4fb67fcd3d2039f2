/*
 * summary_fixture.h - moments of known covariance, room for their summary, and
 * what a summary says of a query, in double
 */
#ifndef SUMMARY_FIXTURE_H
#define SUMMARY_FIXTURE_H

#include "test.h"

#include "oracle.h"
#include "random.h"

enum { KV_HEADS = 2, KEY_DIM = 8, VALUE_DIM = 5 };

/* ---- Moments ------------------------------------------------------------- */

typedef struct room {
    double count[KV_HEADS];
    double key[KV_HEADS * KEY_DIM];
    double value[KV_HEADS * VALUE_DIM];
    double key_key[KV_HEADS * KEY_DIM * KEY_DIM];
    double key_value[KV_HEADS * KEY_DIM * VALUE_DIM];
} room;

static inline csp_moments moments_of(room *r)
{
    return (csp_moments){r->count,     r->key,   r->value, r->key_key,
                         r->key_value, KV_HEADS, KEY_DIM,  VALUE_DIM};
}

/* Rows of [n][n] at right angles, of unit length (Gram and Schmidt). */
static inline void draw_basis(random_source *random, size_t n, double *basis)
{
    for (size_t i = 0; i < n; i++) {
        double *x = basis + i * n, norm = 0.0;
        for (size_t c = 0; c < n; c++)
            x[c] = random_normal(random);
        for (size_t j = 0; j < i; j++) {
            double dot = 0.0;
            for (size_t c = 0; c < n; c++)
                dot += x[c] * basis[j * n + c];
            for (size_t c = 0; c < n; c++)
                x[c] -= dot * basis[j * n + c];
        }
        for (size_t c = 0; c < n; c++)
            norm += x[c] * x[c];
        for (size_t c = 0; c < n; c++)
            x[c] /= sqrt(norm);
    }
}

/* What the moments of a KV head are made of. */
typedef struct gauss {
    double count;
    double key[KEY_DIM], value[VALUE_DIM];
    double covariance[KEY_DIM * KEY_DIM];
    double cross[KEY_DIM * VALUE_DIM];
} gauss;

/* Of these eigenvalues and singular values, and means of spread 1. */
static inline gauss draw_gauss(random_source *random, double count,
                               const double eigenvalues[KEY_DIM],
                               const double singular[VALUE_DIM])
{
    double x[KEY_DIM * KEY_DIM], u[KEY_DIM * KEY_DIM];
    double w[VALUE_DIM * VALUE_DIM];
    gauss g = {.count = count};

    draw_basis(random, KEY_DIM, x);
    draw_basis(random, KEY_DIM, u);
    draw_basis(random, VALUE_DIM, w);
    for (size_t i = 0; i < KEY_DIM; i++)
        g.key[i] = random_normal(random);
    for (size_t i = 0; i < VALUE_DIM; i++)
        g.value[i] = random_normal(random);
    for (size_t e = 0; e < KEY_DIM; e++)
        for (size_t i = 0; i < KEY_DIM * KEY_DIM; i++)
            g.covariance[i] += eigenvalues[e] * x[e * KEY_DIM + i / KEY_DIM] *
                               x[e * KEY_DIM + i % KEY_DIM];
    for (size_t e = 0; e < VALUE_DIM; e++)
        for (size_t i = 0; i < KEY_DIM * VALUE_DIM; i++)
            g.cross[i] += singular[e] * u[e * KEY_DIM + i / VALUE_DIM] *
                          w[e * VALUE_DIM + i % VALUE_DIM];
    return g;
}

/* Add its sums as KV head g's. */
static inline void add_gauss(const gauss *x, size_t g, room *r)
{
    r->count[g] += x->count;
    for (size_t i = 0; i < KEY_DIM; i++)
        r->key[g * KEY_DIM + i] += x->count * x->key[i];
    for (size_t i = 0; i < VALUE_DIM; i++)
        r->value[g * VALUE_DIM + i] += x->count * x->value[i];
    for (size_t i = 0; i < KEY_DIM * KEY_DIM; i++)
        r->key_key[g * KEY_DIM * KEY_DIM + i] +=
            x->count *
            (x->covariance[i] + x->key[i / KEY_DIM] * x->key[i % KEY_DIM]);
    for (size_t i = 0; i < KEY_DIM * VALUE_DIM; i++)
        r->key_value[g * KEY_DIM * VALUE_DIM + i] +=
            x->count *
            (x->cross[i] + x->key[i / VALUE_DIM] * x->value[i % VALUE_DIM]);
}

static const double eigenvalues[KEY_DIM] = {9.0, 4.0,  3.0, 1.0,
                                            0.5, 0.25, 0.1, 0.02};
static const double singular[VALUE_DIM] = {5.0, 2.0, 1.0, 0.5, 0.1};

/* ---- Summaries ----------------------------------------------------------- */

/* Room for a summary of any rank and type, all of it filled with a byte. */
typedef struct stored {
    float keys[KV_HEADS * (1 + 2 * KEY_DIM) * KEY_DIM];
    float values[KV_HEADS * (1 + KEY_DIM) * VALUE_DIM];
    float log_count[KV_HEADS], variance[KV_HEADS];
} stored;

static inline csp_summary summary_of(stored *s, csp_dtype dtype, uint32_t rank)
{
    memset(s, 0x5a, sizeof *s);
    return (csp_summary){s->keys,  s->values, s->log_count, s->variance, dtype,
                         KV_HEADS, KEY_DIM,   VALUE_DIM,    rank};
}

/* Element i of row 'row'. */
static inline double key_at(const csp_summary *s, size_t g, size_t row,
                            size_t i)
{
    const size_t at = (g * (1 + 2 * (size_t)s->rank) + row) * s->key_dim + i;

    return oracle_decode((const unsigned char *)s->keys +
                             at * oracle_element_size(s->dtype),
                         s->dtype);
}

static inline double value_at(const csp_summary *s, size_t g, size_t row,
                              size_t i)
{
    const size_t at = (g * (1 + (size_t)s->rank) + row) * s->value_dim + i;

    return oracle_decode((const unsigned char *)s->values +
                             at * oracle_element_size(s->dtype),
                         s->dtype);
}

/* The Gaussian that a summary describes. */
static inline gauss described(const csp_summary *s, size_t g)
{
    gauss x = {.count = exp((double)s->log_count[g])};

    for (size_t i = 0; i < KEY_DIM; i++) {
        x.key[i] = key_at(s, g, 0, i);
        x.covariance[i * KEY_DIM + i] = (double)s->variance[g];
    }
    for (size_t i = 0; i < VALUE_DIM; i++)
        x.value[i] = value_at(s, g, 0, i);
    for (size_t r = 1; r <= s->rank; r++) {
        for (size_t i = 0; i < KEY_DIM * KEY_DIM; i++)
            x.covariance[i] +=
                key_at(s, g, r, i / KEY_DIM) * key_at(s, g, r, i % KEY_DIM);
        for (size_t i = 0; i < KEY_DIM * VALUE_DIM; i++)
            x.cross[i] += key_at(s, g, s->rank + r, i / VALUE_DIM) *
                          value_at(s, g, r, i % VALUE_DIM);
    }
    return x;
}

/* ---- What they say of a query -------------------------------------------- */

/* log m + q.mu, q'Sq / 2 and vbar + C'q, for the scaled query q. */
typedef struct said {
    double linear, quadratic;
    double value[VALUE_DIM];
} said;

static inline said ask(const gauss *x, const double q[KEY_DIM])
{
    said s = {.linear = log(x->count)};

    for (size_t i = 0; i < KEY_DIM; i++) {
        s.linear += q[i] * x->key[i];
        for (size_t j = 0; j < KEY_DIM; j++)
            s.quadratic += 0.5 * q[i] * x->covariance[i * KEY_DIM + j] * q[j];
    }
    for (size_t c = 0; c < VALUE_DIM; c++) {
        s.value[c] = x->value[c];
        for (size_t i = 0; i < KEY_DIM; i++)
            s.value[c] += q[i] * x->cross[i * VALUE_DIM + c];
    }
    return s;
}

#endif
