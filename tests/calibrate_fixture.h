/*
 * calibrate_fixture.h - a small layer, and E8 and E10 of it in double
 */
#ifndef CALIBRATE_FIXTURE_H
#define CALIBRATE_FIXTURE_H

#include "test.h"

#include <float.h>

#include "numeric.h"

/* Two KV heads of two query heads each; rows 1 and 4 are kept, or others. */
enum { HEADS = 4, KV_HEADS = 2, QUERIES = 3, KEYS = 6, COLS = 7, DIM = 5 };

typedef struct fixture {
    float logits[HEADS * QUERIES * COLS];
    float lse[HEADS * QUERIES];
    float numbers[KV_HEADS * KEYS * DIM];
    uint32_t rows[2 * KEYS];
    uint32_t counts[2];
    csp_tokens tokens;
    csp_attention attention;
    csp_tensor values;
    csp_kept kept;
    csp_compute compute;
    double log_mass[HEADS];
    double n_rows[HEADS];
    float value[HEADS * DIM];
    csp_calibration sums;
    unsigned char workspace[8192];
} fixture;

static inline void set_up(fixture *f)
{
    memset(f, 0, sizeof *f);
    for (size_t i = 0; i < COUNT(f->logits); i++)
        f->logits[i] = i % COLS < KEYS ? 3.0f * sinf(1.7f * (float)i) : NAN;
    for (size_t i = 0; i < COUNT(f->numbers); i++)
        f->numbers[i] = cosf(0.9f * (float)i);
    const uint32_t rows[] = {1, 4, 0, 0, 0, 0, 0, 2, 5, 0, 0, 0};
    memcpy(f->rows, rows, sizeof rows);
    f->counts[0] = 2;
    f->counts[1] = 3;
    f->tokens = (csp_tokens){.n_kv_heads = KV_HEADS, .n_keys = KEYS};
    f->attention.first_query = KEYS - QUERIES;
    f->attention.scores =
        csp_tensor_packed(f->logits, CSP_F32, HEADS, QUERIES, COLS);
    f->values = csp_tensor_packed(f->numbers, CSP_F32, KV_HEADS, KEYS, DIM);
    f->kept = (csp_kept){
        .rows = f->rows, .counts = f->counts, .n_lists = 2, .capacity = KEYS};
    f->compute = (csp_compute){.product = CSP_PATH_KERNEL};
    f->sums = (csp_calibration){f->log_mass, f->n_rows, f->value, HEADS, DIM};
}

static inline csp_status calibrate(fixture *f)
{
    return csp_calibrate(&f->attention, &f->tokens, &f->kept,
                         f->sums.value != NULL ? &f->values : NULL, &f->compute,
                         f->workspace, sizeof f->workspace, &f->sums);
}

static inline bool is_kept(const fixture *f, uint32_t g, uint32_t key)
{
    const uint32_t list = f->kept.n_lists == 1 ? 0 : g;

    for (uint32_t i = 0; i < f->counts[list]; i++)
        if (f->rows[list * KEYS + i] == key)
            return true;
    return false;
}

/* E8 and E10 of query head h, from the float logits. */
static inline void expected_sums(const fixture *f, uint32_t h, double *log_mass,
                                 double *rows, double *value)
{
    *log_mass = *rows = 0.0;
    memset(value, 0, DIM * sizeof *value);
    for (uint32_t r = 0; r < QUERIES; r++) {
        const uint32_t token = f->attention.first_query + r;
        const uint32_t seen =
            f->attention.mask == CSP_FULL || token >= KEYS ? KEYS : token + 1;
        const float *x = f->logits + (h * QUERIES + r) * COLS;
        double mass = 0.0, mean[DIM] = {0.0};
        for (uint32_t j = 0; j < seen; j++) {
            if (is_kept(f, h / 2, j) || x[j] <= -1e30f)
                continue;
            const double e = exp((double)x[j]);
            mass += e;
            for (uint32_t d = 0; d < DIM; d++)
                mean[d] += e * (double)f->numbers[(h / 2 * KEYS + j) * DIM + d];
        }
        if (mass == 0.0)
            continue;
        *log_mass += log(mass);
        *rows += 1.0;
        for (uint32_t d = 0; d < DIM; d++)
            value[d] += mean[d] / mass;
    }
}

static inline void assert_sums(const fixture *f)
{
    for (uint32_t h = 0; h < HEADS; h++) {
        double log_mass, rows, value[DIM];
        expected_sums(f, h, &log_mass, &rows, value);
        assert_true(fabs(f->log_mass[h] - log_mass) < 1e-5);
        assert_near(f->n_rows[h], rows, 0.0);
        for (uint32_t d = 0; d < DIM && f->sums.value != NULL; d++)
            assert_true(fabs((double)f->value[h * DIM + d] - value[d]) < 1e-5);
    }
}

#endif
