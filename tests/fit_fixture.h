/*
 * fit_fixture.h - a window of rows and a summary, and the fit of it in double
 */
#ifndef FIT_FIXTURE_H
#define FIT_FIXTURE_H

#include "summary_fixture.h"

/* Two KV heads of two query heads each. */
enum { HEADS = 4, QUERIES = 6, KEYS = 11 };

typedef struct fixture {
    float logits[HEADS * QUERIES * KEYS];
    float queries[HEADS * QUERIES * KEY_DIM];
    uint32_t rows[2 * KEYS];
    uint32_t counts[2];
    csp_tokens tokens;
    csp_attention attention;
    csp_kept kept;
    stored memory;
    csp_summary summary;
    csp_compute compute;
    size_t missing; /* bytes of the workspace */
    double sums[HEADS * CSP_FIT_SUMS];
    float offset[HEADS], slope[HEADS], limit[HEADS];
    csp_fit fit;
} fixture;

static fixture the_fixture;

static inline fixture *set_up(void)
{
    static const uint32_t rows[2 * KEYS] = {1, 4, 9, [KEYS] = 0, 2, 3, 7, 8};
    static unsigned char workspace[1 << 16];
    fixture *f = &the_fixture;
    random_source random = {31};
    room sums = {.count = {0.0}};
    const csp_moments moments = moments_of(&sums);

    memset(f, 0, sizeof *f);
    for (size_t i = 0; i < COUNT(f->logits); i++)
        f->logits[i] = 2.0f * (float)random_normal(&random);
    for (size_t i = 0; i < COUNT(f->queries); i++)
        f->queries[i] = (float)random_normal(&random);
    memcpy(f->rows, rows, sizeof rows);
    f->counts[0] = 3;
    f->counts[1] = 5;
    f->tokens = (csp_tokens){.n_kv_heads = KV_HEADS, .n_keys = KEYS};
    f->attention.first_query = KEYS - QUERIES;
    f->attention.scale = 0.3f;
    f->attention.scores =
        csp_tensor_packed(f->logits, CSP_F32, HEADS, QUERIES, KEYS);
    f->attention.queries =
        csp_tensor_packed(f->queries, CSP_F32, HEADS, QUERIES, KEY_DIM);
    f->kept = (csp_kept){
        .rows = f->rows, .counts = f->counts, .n_lists = 2, .capacity = KEYS};
    f->compute = (csp_compute){.product = CSP_PATH_KERNEL};
    f->fit = (csp_fit){f->offset, f->slope, f->limit};
    f->summary = summary_of(&f->memory, CSP_F32, 3);
    for (size_t g = 0; g < KV_HEADS; g++) {
        const gauss x = draw_gauss(&random, 7.0, eigenvalues, singular);
        add_gauss(&x, g, &sums);
    }
    assert_ok(
        csp_summarise(&moments, workspace, sizeof workspace, &f->summary));
    return f;
}

static inline csp_status add_rows(fixture *f)
{
    const size_t size =
        csp_fit_rows_workspace_size(&f->attention, &f->tokens, &f->summary);
    /* Where an argument is wrong, enough for anything. */
    guarded workspace = guard(NULL, (size > 0 ? size : 1 << 20) - f->missing);

    const csp_status status =
        csp_fit_rows(&f->attention, &f->tokens, &f->kept, &f->summary,
                     &f->compute, workspace.data, workspace.size, f->sums);
    unguard(&workspace);
    return status;
}

static inline void finish(fixture *f)
{
    assert_ok(csp_fit_finish(f->sums, HEADS, &f->fit));
}

/* ---- The same in double -------------------------------------------------- */

static inline bool is_kept(const fixture *f, uint32_t g, uint32_t key)
{
    const uint32_t list = f->kept.n_lists == 1 ? 0 : g;

    for (uint32_t i = 0; i < f->counts[list]; i++)
        if (f->rows[list * KEYS + i] == key)
            return true;
    return false;
}

static inline said say(const fixture *f, uint32_t h, uint32_t r)
{
    const gauss x = described(&f->summary, h / (HEADS / KV_HEADS));
    double q[KEY_DIM];

    for (size_t i = 0; i < KEY_DIM; i++)
        q[i] = (double)f->attention.scale *
               (double)f->queries[(h * QUERIES + r) * KEY_DIM + i];
    return ask(&x, q);
}

/* False if the row misses nothing. */
static inline bool dropped_mass(const fixture *f, uint32_t h, uint32_t r,
                                double *log_mass)
{
    const uint32_t token = f->attention.first_query + r;
    const uint32_t seen = f->attention.mask == CSP_FULL ? KEYS : token + 1;
    double mass = 0.0;

    for (uint32_t j = 0; j < seen; j++) {
        const double x = (double)f->logits[(h * QUERIES + r) * KEYS + j];
        if (!is_kept(f, h / (HEADS / KV_HEADS), j) && x > -1e30)
            mass += exp(x);
    }
    *log_mass = log(mass);
    return mass > 0.0;
}

/* Least squares of a query head around the means of its rows. */
static inline void assert_fit_of(const fixture *f, uint32_t h)
{
    double x[QUERIES], y[QUERIES], n = 0.0, log_mass;
    double limit = -(double)INFINITY, x_mean = 0.0, y_mean = 0.0;
    double spread = 0.0, common = 0.0;

    for (uint32_t r = 0; r < QUERIES; r++) {
        x[r] = y[r] = (double)NAN;
        if (!dropped_mass(f, h, r, &log_mass))
            continue;
        const said s = say(f, h, r);
        x[r] = s.quadratic;
        y[r] = log_mass - s.linear;
        x_mean += x[r];
        y_mean += y[r];
        n += 1.0;
        limit = fmax(limit, log_mass);
    }
    x_mean /= n;
    y_mean /= n;
    for (uint32_t r = 0; r < QUERIES; r++)
        if (!isnan(x[r])) {
            spread += (x[r] - x_mean) * (x[r] - x_mean);
            common += (x[r] - x_mean) * (y[r] - y_mean);
        }
    double slope = spread > 1e-9 ? fmin(fmax(common / spread, 0.0), 1.0) : 0.0;
    assert_true(fabs((double)f->slope[h] - slope) < 1e-5);
    assert_true(fabs((double)f->offset[h] - (y_mean - slope * x_mean)) < 2e-5);
    assert_true(fabs((double)f->limit[h] - limit) < 1e-5);
}

static inline void assert_fit(fixture *f)
{
    finish(f);
    for (uint32_t h = 0; h < HEADS; h++)
        assert_fit_of(f, h);
}

#endif
