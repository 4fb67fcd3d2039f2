/*
 * moments_fixture.h - a layer whose dropped tokens are summed up, and their
 * sums in double
 */
#ifndef MOMENTS_FIXTURE_H
#define MOMENTS_FIXTURE_H

#include "test.h"

#include "oracle.h"
#include "random.h"

enum { KV_HEADS = 2, KEYS = 1300, KEY_DIM = 5, VALUE_DIM = 3 };

typedef struct room {
    double count[KV_HEADS];
    double key[KV_HEADS * KEY_DIM];
    double value[KV_HEADS * VALUE_DIM];
    double key_key[KV_HEADS * KEY_DIM * KEY_DIM];
    double key_value[KV_HEADS * KEY_DIM * VALUE_DIM];
} room;

typedef struct fixture {
    float key_numbers[KV_HEADS * KEYS * KEY_DIM];
    float value_numbers[KV_HEADS * KEYS * VALUE_DIM];
    uint32_t rows[KV_HEADS * KEYS];
    uint32_t counts[KV_HEADS];
    uint32_t in_use[KV_HEADS];
    csp_tensor keys, values;
    csp_tokens tokens;
    csp_kept kept;
    csp_compute compute;
    size_t missing; /* bytes of the workspace */
    room sums;
    csp_moments moments;
} fixture;

static fixture the_fixture;

/* Rows [begin, end), every 'step'. */
static inline void keep(fixture *f, uint32_t list, uint32_t begin, uint32_t end,
                        uint32_t step)
{
    f->counts[list] = 0;
    for (uint32_t i = begin; i < end; i += step)
        f->rows[list * KEYS + f->counts[list]++] = i;
}

static inline csp_moments moments_of(room *r)
{
    return (csp_moments){r->count,     r->key,   r->value, r->key_key,
                         r->key_value, KV_HEADS, KEY_DIM,  VALUE_DIM};
}

/* Numbers around 'mean'; every third row is kept, of the other head fifth. */
static inline fixture *set_up_around(float mean, float spread)
{
    fixture *f = &the_fixture;
    random_source random = {11};

    memset(f, 0, sizeof *f);
    for (size_t i = 0; i < COUNT(f->key_numbers); i++)
        f->key_numbers[i] = mean + spread * (float)random_normal(&random);
    for (size_t i = 0; i < COUNT(f->value_numbers); i++)
        f->value_numbers[i] = mean + spread * (float)random_normal(&random);
    f->keys =
        csp_tensor_packed(f->key_numbers, CSP_F32, KV_HEADS, KEYS, KEY_DIM);
    f->values =
        csp_tensor_packed(f->value_numbers, CSP_F32, KV_HEADS, KEYS, VALUE_DIM);
    f->tokens = (csp_tokens){.n_kv_heads = KV_HEADS, .n_keys = KEYS};
    f->kept = (csp_kept){
        .rows = f->rows, .counts = f->counts, .n_lists = 2, .capacity = KEYS};
    keep(f, 0, 1, KEYS, 3);
    keep(f, 1, 0, KEYS, 5);
    f->compute = (csp_compute){.product = CSP_PATH_KERNEL};
    f->moments = moments_of(&f->sums);
    return f;
}

static inline fixture *set_up(void)
{
    return set_up_around(0.2f, 1.0f);
}

static inline csp_status add(fixture *f)
{
    const size_t size = csp_moments_workspace_size(KEY_DIM, VALUE_DIM);
    assert_true(size > 0);
    guarded workspace = guard(NULL, size - f->missing);

    const csp_status status =
        csp_moments_add(&f->keys, &f->values, &f->tokens, &f->kept, &f->compute,
                        workspace.data, workspace.size, &f->moments);
    unguard(&workspace);
    return status;
}

/* ---- The same in double -------------------------------------------------- */

static inline double number_at(const csp_tensor *t, size_t h, size_t r,
                               size_t c)
{
    return oracle_decode((const unsigned char *)t->data + h * t->head_stride +
                             r * t->row_stride + c * t->col_stride,
                         t->dtype);
}

static inline bool is_kept(const fixture *f, uint32_t g, uint32_t row)
{
    const uint32_t list = f->kept.n_lists == 1 ? 0 : g;

    for (uint32_t i = 0; i < f->counts[list]; i++)
        if (f->rows[list * KEYS + i] == row)
            return true;
    return false;
}

/* Add one token, or the magnitudes of what is added. */
static inline void add_token(const fixture *f, size_t g, size_t row,
                             bool magnitude, room *to)
{
    double k[KEY_DIM], v[VALUE_DIM];

    for (size_t i = 0; i < KEY_DIM; i++)
        k[i] = number_at(&f->keys, g, row, i);
    for (size_t i = 0; i < VALUE_DIM; i++)
        v[i] = number_at(&f->values, g, row, i);
    to->count[g] += 1.0;
    for (size_t i = 0; i < KEY_DIM; i++) {
        const size_t at = g * KEY_DIM + i;
        to->key[at] += magnitude ? fabs(k[i]) : k[i];
        for (size_t j = 0; j < KEY_DIM; j++)
            to->key_key[at * KEY_DIM + j] +=
                magnitude ? fabs(k[i] * k[j]) : k[i] * k[j];
        for (size_t j = 0; j < VALUE_DIM; j++)
            to->key_value[at * VALUE_DIM + j] +=
                magnitude ? fabs(k[i] * v[j]) : k[i] * v[j];
    }
    for (size_t i = 0; i < VALUE_DIM; i++)
        to->value[g * VALUE_DIM + i] += magnitude ? fabs(v[i]) : v[i];
}

static inline void add_dropped(const fixture *f, bool magnitude, room *to)
{
    for (uint32_t g = 0; g < KV_HEADS; g++) {
        const uint32_t n =
            f->tokens.counts != NULL ? f->in_use[g] : f->tokens.n_keys;
        for (uint32_t row = 0; row < n; row++)
            if (!is_kept(f, g, row))
                add_token(f, g, row, magnitude, to);
    }
}

static inline void assert_within(const double *got, const double *expected,
                                 const double *magnitude, size_t n,
                                 double relative)
{
    for (size_t i = 0; i < n; i++)
        assert_true(fabs(got[i] - expected[i]) <= relative * magnitude[i]);
}

/* The sums of the tokens that are dropped, and nothing else. */
static inline void assert_sums(const fixture *f)
{
    const room *s = &f->sums;
    room e = {.count = {0.0}}, m = {.count = {0.0}};
    add_dropped(f, false, &e);
    add_dropped(f, true, &m);

    assert_within(s->count, e.count, m.count, COUNT(e.count), 0.0);
    assert_within(s->key, e.key, m.key, COUNT(e.key), 1e-14);
    assert_within(s->value, e.value, m.value, COUNT(e.value), 1e-14);
    assert_within(s->key_key, e.key_key, m.key_key, COUNT(e.key_key), 3e-7);
    assert_within(s->key_value, e.key_value, m.key_value, COUNT(e.key_value),
                  3e-7);
}

#endif
