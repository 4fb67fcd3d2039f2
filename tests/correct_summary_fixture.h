/*
 * correct_summary_fixture.h - outputs, queries and a summary; what corrected
 * outputs are, in double
 */
#ifndef CORRECT_SUMMARY_FIXTURE_H
#define CORRECT_SUMMARY_FIXTURE_H

#include "summary_fixture.h"

enum { HEADS = 4, QUERIES = 3, N = HEADS * QUERIES * VALUE_DIM };

typedef struct fixture {
    float numbers[N];
    float query_numbers[HEADS * QUERIES * KEY_DIM];
    float lse_numbers[HEADS * QUERIES];
    stored memory;
    float *log_count; /* of the summary */
    float offset[HEADS], slope[HEADS], limit[HEADS];
    csp_tensor outputs, queries, lse;
    float scale;
    csp_lse_unit unit;
    csp_summary summary;
    csp_fit fit;
    bool fitted; /* whether the fit is used */
    csp_compute compute;
    size_t missing; /* bytes of the workspace */
    float corrected[N];
} fixture;

static fixture the_fixture;

static inline void draw_summary(fixture *f, random_source *random)
{
    static unsigned char workspace[1 << 16];
    room sums = {.count = {0.0}};
    const csp_moments moments = moments_of(&sums);

    for (size_t g = 0; g < KV_HEADS; g++) {
        const gauss x = draw_gauss(random, 30.0, eigenvalues, singular);
        add_gauss(&x, g, &sums);
    }
    assert_ok(
        csp_summarise(&moments, workspace, sizeof workspace, &f->summary));
}

/* Log-sum-exps are such that kept and dropped mass are much alike. */
static inline fixture *set_up(csp_dtype dtype, uint32_t rank)
{
    fixture *f = &the_fixture;
    random_source random = {21};

    memset(f, 0, sizeof *f);
    for (size_t i = 0; i < N; i++)
        f->numbers[i] = (float)random_normal(&random);
    for (size_t i = 0; i < COUNT(f->query_numbers); i++)
        f->query_numbers[i] = (float)random_normal(&random);
    for (size_t i = 0; i < COUNT(f->lse_numbers); i++)
        f->lse_numbers[i] = 4.0f + (float)random_normal(&random);
    for (size_t h = 0; h < HEADS; h++) {
        f->offset[h] = 0.5f - 0.3f * (float)h;
        f->slope[h] = 0.25f * (float)h;
        f->limit[h] = 3.5f;
    }
    f->summary = summary_of(&f->memory, dtype, rank);
    f->log_count = f->memory.log_count;
    draw_summary(f, &random);
    f->outputs =
        csp_tensor_packed(f->numbers, CSP_F32, HEADS, QUERIES, VALUE_DIM);
    f->queries =
        csp_tensor_packed(f->query_numbers, CSP_F32, HEADS, QUERIES, KEY_DIM);
    f->lse = csp_tensor_packed(f->lse_numbers, CSP_F32, HEADS, QUERIES, 1);
    f->scale = 0.35f;
    f->fit = (csp_fit){f->offset, f->slope, f->limit};
    f->compute = (csp_compute){.product = CSP_PATH_KERNEL};
    return f;
}

static inline csp_status correct(fixture *f, void *corrected)
{
    const csp_summary like = {.n_kv_heads = KV_HEADS,
                              .key_dim = KEY_DIM,
                              .value_dim = VALUE_DIM,
                              .rank = f->summary.rank};
    const size_t size = csp_correct_summary_workspace_size(&like);
    guarded workspace = guard(NULL, size - f->missing);

    const csp_status status = csp_correct_summary(
        &f->outputs, &f->queries, f->scale, &f->lse, f->unit, &f->summary,
        f->fitted ? &f->fit : NULL, &f->compute, workspace.data, workspace.size,
        corrected);
    unguard(&workspace);
    return status;
}

/* ---- The same in double -------------------------------------------------- */

/* What the summary says of row r of query head h. */
static inline said say(const fixture *f, uint32_t h, uint32_t r)
{
    const gauss x = described(&f->summary, h / (HEADS / KV_HEADS));
    double q[KEY_DIM];

    for (size_t i = 0; i < KEY_DIM; i++)
        q[i] = (double)f->scale *
               oracle_decode((const unsigned char *)f->queries.data +
                                 h * f->queries.head_stride +
                                 r * f->queries.row_stride +
                                 i * f->queries.col_stride,
                             f->queries.dtype);
    return ask(&x, q);
}

static inline double expected_output(const fixture *f, uint32_t h, uint32_t r,
                                     size_t c)
{
    const said s = say(f, h, r);
    double lse = (double)f->lse_numbers[h * QUERIES + r];
    double log_n = s.linear + s.quadratic;

    if (f->unit == CSP_LSE_BASE2)
        lse *= log(2.0);
    if (f->fitted)
        log_n =
            fmin((double)f->limit[h], s.linear + (double)f->offset[h] +
                                          (double)f->slope[h] * s.quadratic);
    const double kept = exp(lse), dropped = exp(log_n);
    const double out = (double)f->numbers[(h * QUERIES + r) * VALUE_DIM + c];
    return (kept * out + dropped * s.value[c]) / (kept + dropped);
}

static inline void assert_corrected(const fixture *f, const float *got)
{
    for (uint32_t h = 0; h < HEADS; h++)
        for (uint32_t r = 0; r < QUERIES; r++)
            for (size_t c = 0; c < VALUE_DIM; c++) {
                const double expected = expected_output(f, h, r, c);
                const float x = got[(h * QUERIES + r) * VALUE_DIM + c];
                assert_true(fabs((double)x - expected) < 1e-5);
            }
}

#endif
