/*
 * bench_scalar.c - portable C against a plain loop over expf, on W1
 */
#include "scene.h"

#include <math.h>
#include <string.h>

/* ---- The loop ------------------------------------------------------------ */

typedef struct libm_job {
    scene *scene;
    memory scratch;
    float *e;                    /* [n_keys] exponentials of a row */
    float *sums[2];              /* [n_keys] of rows of each modality */
    const unsigned char *images; /* [n_keys] modality */
} libm_job;

/* Add the n-softmax of x[0..n), n = 1, to 'sums'. */
static void add_row(const float *x, uint32_t n, float *e, float *sums)
{
    float greatest = 0.0f; /* the logit of the sink */
    float total;

    for (uint32_t i = 0; i < n; i++)
        if (x[i] > greatest)
            greatest = x[i];
    total = expf(-greatest);
    for (uint32_t i = 0; i < n; i++) {
        e[i] = expf(x[i] - greatest);
        total += e[i];
    }
    const float weight = 1.0f / total;
    for (uint32_t i = 0; i < n; i++)
        sums[i] += weight * e[i];
}

static void add_head(const libm_job *j, uint32_t head)
{
    const shape *p = &j->scene->shape;
    const uint32_t first = p->n_keys - p->n_rows;
    const float *x = j->scene->logits[CSP_F32].data;
    float *intra = j->scene->importance.intra + (size_t)head * p->n_keys;
    float *inter = j->scene->importance.inter + (size_t)head * p->n_keys;

    x += (size_t)head * p->n_rows * p->n_keys;
    memset(j->sums[0], 0, p->n_keys * sizeof(float));
    memset(j->sums[1], 0, p->n_keys * sizeof(float));
    for (uint32_t r = 0; r < p->n_rows; r++)
        add_row(x + (size_t)r * p->n_keys, first + r + 1, j->e,
                j->sums[j->images[first + r]]);
    for (uint32_t i = 0; i < p->n_keys; i++) {
        intra[i] += j->sums[j->images[i]][i];
        inter[i] += j->sums[1 - j->images[i]][i];
    }
}

static void libm_run(void *job)
{
    const libm_job *j = job;

    for (uint32_t h = 0; h < j->scene->shape.n_heads; h++)
        add_head(j, h);
}

static void libm_before(void *job)
{
    const libm_job *j = job;

    scene_zero(j->scene);
}

static void libm_after(void *job)
{
    const libm_job *j = job;

    scene_check(j->scene, &j->scene->importance, 1.0);
}

static void libm_open(libm_job *j, scene *s)
{
    const shape *p = &s->shape;
    unsigned char *images;

    *j = (libm_job){.scene = s};
    j->scratch = memory_take(p->n_keys * (3 * sizeof(float) + 1), s->pages);
    j->e = j->scratch.data;
    j->sums[0] = j->e + p->n_keys;
    j->sums[1] = j->e + 2 * p->n_keys;
    images = (unsigned char *)(j->e + 3 * p->n_keys);
    for (uint32_t i = 0; i < p->n_spans; i++)
        memset(images + p->spans[i].begin, 1,
               p->spans[i].end - p->spans[i].begin);
    j->images = images;
}

/* ---- The contest --------------------------------------------------------- */

void topic_scalar(bench *b)
{
    const shape p = shape_of(W1, b->options.size);
    const csp_config config = shape_config(&p, CSP_TIER_SCALAR);
    contest *c = contest_open();
    scene *s = scene_open(&p, PAGES_4K, N_DTYPES);
    libm_job libm;
    score_job jobs[N_DTYPES];
    const entrant *scalar[N_DTYPES];

    libm_open(&libm, s);
    entrant *loop = contest_enter(c, "W1 expf loop", libm_run, &libm);
    loop->dtype = dtype_name(CSP_F32);
    loop->state = STATE_HOT;
    loop->size = s->read_size[CSP_F32];
    loop->before = libm_before;
    loop->after = libm_after;
    for (uint32_t d = 0; d < N_DTYPES; d++) {
        score_job_open(&jobs[d], s, (csp_dtype)d, &config);
        entrant *e =
            score_job_enter(c, "W1 score", score_job_run, &jobs[d], STATE_HOT);
        e->pair = loop;
        scalar[d] = e;
    }
    contest_run(b, c);
    figure(b, "scalar_vs_libm", time_best(loop) / time_best(scalar[CSP_F32]));
    contest_close(c);
    for (uint32_t d = 0; d < N_DTYPES; d++)
        score_job_close(&jobs[d]);
    memory_give(&libm.scratch);
    scene_close(s);
}
