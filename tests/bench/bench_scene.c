/*
 * bench_scene.c - workloads in memory, and scoring them
 */
#include "scene.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LOGIT_DEVIATION 2.0

/* Types of 8 bits of mantissa change the mass of a row by as much. */
#define MASS_TOLERANCE 1e-3

/* ---- Scenes -------------------------------------------------------------- */

static uint32_t visible_keys(const shape *s, uint32_t row)
{
    return s->n_keys - s->n_rows + row + 1;
}

/* Element where a voting row begins. */
static size_t row_at(const shape *s, uint32_t head, uint32_t row)
{
    return ((size_t)head * s->stored_rows + (s->stored_rows - s->n_rows) +
            row) *
           s->n_keys;
}

static void fill(scene *s, uint32_t n_dtypes)
{
    const shape *p = &s->shape;
    float *x = malloc(p->n_keys * sizeof *x);
    uint64_t seed = 1;

    expect(x != NULL, "memory for a row");
    for (uint32_t h = 0; h < p->n_heads; h++)
        for (uint32_t r = 0; r < p->n_rows; r++) {
            const uint32_t n = visible_keys(p, r);
            double sum = 1.0;

            random_normal(&seed, LOGIT_DEVIATION, x, n);
            for (uint32_t i = 0; i < n; i++)
                sum += (double)expf(x[i]);
            for (uint32_t i = n; i < p->n_keys; i++)
                x[i] = -FLT_MAX;
            s->mass += 1.0 - 1.0 / sum;
            for (uint32_t d = 0; d < n_dtypes; d++) {
                store_numbers((csp_dtype)d, x, p->n_keys, row_at(p, h, r),
                              s->logits[d].data);
                s->read_size[d] += n * dtype_size((csp_dtype)d);
            }
        }
    free(x);
}

static csp_attention attention_of(const scene *s, csp_dtype dtype)
{
    const shape *p = &s->shape;
    const size_t size = dtype_size(dtype);
    const char *first = (const char *)s->logits[dtype].data;
    csp_attention a = {.source = CSP_LOGITS,
                       .mask = CSP_CAUSAL,
                       .first_query = p->n_keys - p->n_rows};

    a.scores = csp_tensor_packed(first + row_at(p, 0, 0) * size, dtype,
                                 p->n_heads, p->n_rows, p->n_keys);
    a.scores.head_stride = (size_t)p->stored_rows * p->n_keys * size;
    return a;
}

scene *scene_open(const shape *p, pages kind, uint32_t n_dtypes)
{
    const size_t n_sums = (size_t)p->n_kv_heads * p->n_keys;
    scene *s = calloc(1, sizeof *s);

    expect(s != NULL, "memory for a scene");
    s->shape = *p;
    s->pages = kind;
    s->tokens = shape_tokens(&s->shape);
    for (uint32_t d = 0; d < n_dtypes; d++) {
        s->logits[d] = memory_take((size_t)p->n_heads * p->stored_rows *
                                       p->n_keys * dtype_size((csp_dtype)d),
                                   kind);
        s->attention[d] = attention_of(s, (csp_dtype)d);
    }
    fill(s, n_dtypes);
    s->sums = memory_take(2 * n_sums * sizeof(float), kind);
    s->importance = (csp_importance){.intra = s->sums.data,
                                     .inter = (float *)s->sums.data + n_sums,
                                     .capacity = p->n_keys};
    return s;
}

void scene_close(scene *s)
{
    for (size_t d = 0; d < N_DTYPES; d++)
        memory_give(&s->logits[d]);
    memory_give(&s->sums);
    free(s);
}

void scene_zero(scene *s)
{
    memset(s->sums.data, 0,
           2 * (size_t)s->shape.n_kv_heads * s->shape.n_keys * sizeof(float));
}

void scene_check(const scene *s, const csp_importance *importance,
                 double n_calls)
{
    const double expected = n_calls * s->mass;
    double sum = 0.0;

    for (uint32_t g = 0; g < s->shape.n_kv_heads; g++)
        for (uint32_t i = 0; i < s->shape.n_keys; i++) {
            const size_t at = (size_t)g * importance->capacity + i;
            sum += (double)importance->intra[at];
            sum += (double)importance->inter[at];
        }
    expect(fabs(sum - expected) < MASS_TOLERANCE * expected,
           "importance adds up to the rows' mass");
}

/* ---- Scoring ------------------------------------------------------------- */

void score_job_open(score_job *j, scene *s, csp_dtype dtype,
                    const csp_config *config)
{
    *j = (score_job){.scene = s, .dtype = dtype, .config = *config};
    const size_t size =
        csp_score_workspace_size(&s->attention[dtype], &s->tokens, &j->config);
    expect(size > 0, "csp_score_workspace_size");
    j->workspace = memory_take(size, s->pages);
}

void score_job_close(score_job *j)
{
    memory_give(&j->workspace);
}

void score_job_before(void *job)
{
    const score_job *j = job;

    scene_zero(j->scene);
}

void score_job_run(void *job)
{
    const score_job *j = job;
    const scene *s = j->scene;

    check(csp_score(&s->attention[j->dtype], &s->tokens, &j->config,
                    j->workspace.data, j->workspace.size, &s->importance),
          "csp_score");
}

void score_job_after(void *job)
{
    const score_job *j = job;

    scene_check(j->scene, &j->scene->importance, 1.0);
}

static void read_rows(score_job *j, bool fills_gaps)
{
    const shape *p = &j->scene->shape;
    const size_t size = dtype_size(j->dtype);
    const char *data = j->scene->logits[j->dtype].data;

    for (uint32_t h = 0; h < p->n_heads; h++)
        for (uint32_t r = 0; r < p->n_rows; r++) {
            const char *row = data + row_at(p, h, r) * size;
            const size_t n = visible_keys(p, r) * size;
            j->sum += read_bytes(row, n);
            if (fills_gaps)
                prefetch_bytes(row + n, p->n_keys * size - n);
        }
}

void score_job_read(void *job)
{
    read_rows(job, true);
}

void score_job_read_bare(void *job)
{
    read_rows(job, false);
}

entrant *score_job_enter(contest *c, const char *what, void (*run)(void *job),
                         score_job *j, cache_state state)
{
    entrant *e = contest_enter(c, what, run, j);

    e->dtype = dtype_name(j->dtype);
    e->pages = j->scene->pages;
    e->size = j->scene->read_size[j->dtype];
    e->state = state;
    if (run == score_job_run) {
        e->tier = tier_name(j->config.compute.tier);
        e->before = score_job_before;
        e->after = score_job_after;
    }
    return e;
}
