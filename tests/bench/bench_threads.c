/*
 * bench_threads.c - a pruner's scoring on one and on two threads
 *
 * The figure is of a part of W3 that stays in the last cache, as f16: more
 * arithmetic a byte than memory's bandwidth, which threads share, could limit.
 */
#include "pool.h"
#include "scene.h"

#include <stdlib.h>

/* Rows of W3 of which f16 logits fit half of a cache of 32 MiB. */
#define HOT_ROWS 16u

typedef struct pruner_job {
    scene *scene;
    csp_dtype dtype;
    csp_pruner *pruner;
    uint32_t n_threads;
} pruner_job;

#define MAX_JOBS (2 * 2 * N_DTYPES)

static void pruner_job_open(pruner_job *j, scene *s, csp_dtype dtype,
                            const csp_parallel *hook)
{
    const csp_config config = shape_config(&s->shape, CSP_TIER_AUTO);

    *j = (pruner_job){.scene = s, .dtype = dtype};
    j->n_threads = hook == NULL ? 1 : hook->n_workers;
    check(csp_pruner_create(1, s->shape.n_kv_heads, &config, NULL, hook,
                            &j->pruner),
          "csp_pruner_create");
}

static void forget(void *job)
{
    const pruner_job *j = job;

    check(csp_pruner_reset(j->pruner), "csp_pruner_reset");
    check(csp_pruner_set_spans(j->pruner, j->scene->shape.spans,
                               j->scene->shape.n_spans),
          "csp_pruner_set_spans");
}

static void score(void *job)
{
    const pruner_job *j = job;

    check(csp_pruner_score(j->pruner, 0, &j->scene->attention[j->dtype]),
          "csp_pruner_score");
}

static void look(void *job)
{
    const pruner_job *j = job;
    csp_importance importance;

    check(csp_pruner_importance(j->pruner, 0, &importance),
          "csp_pruner_importance");
    scene_check(j->scene, &importance, 1.0);
}

static entrant *enter(contest *c, pruner_job *j, cache_state state)
{
    const shape *p = &j->scene->shape;
    char what[32];

    snprintf(what, sizeof what, "%s pruner (%u rows)", p->name,
             (unsigned)p->n_rows);
    entrant *e = contest_enter(c, what, score, j);
    e->dtype = dtype_name(j->dtype);
    e->tier = tier_name(CSP_TIER_AUTO);
    e->pages = j->scene->pages;
    e->size = j->scene->read_size[j->dtype];
    e->state = state;
    e->n_threads = j->n_threads;
    e->before = forget;
    e->after = look;
    return e;
}

/* One thread and two, of each type and kind of pages; returns the speedup of
   f16 in 4K pages. */
static double run_contest(bench *b, const shape *p, cache_state state,
                          const csp_parallel *hook)
{
    contest *c = contest_open();
    const entrant *figured = NULL;
    scene *scenes[2];
    pruner_job jobs[MAX_JOBS];
    size_t n_jobs = 0;

    for (size_t i = 0; i < 2; i++) {
        scenes[i] = scene_open(p, (pages)i, N_DTYPES);
        for (uint32_t d = 0; d < N_DTYPES; d++) {
            pruner_job *one = &jobs[n_jobs++], *two = &jobs[n_jobs++];
            pruner_job_open(one, scenes[i], (csp_dtype)d, NULL);
            pruner_job_open(two, scenes[i], (csp_dtype)d, hook);
            const entrant *pair = enter(c, one, state);
            entrant *e = enter(c, two, state);
            e->pair = pair;
            if (i == PAGES_4K && d == CSP_F16)
                figured = e;
        }
    }
    contest_run(b, c);
    const double speedup = time_best(figured->pair) / time_best(figured);
    contest_close(c);
    for (size_t i = 0; i < n_jobs; i++)
        csp_pruner_destroy(jobs[i].pruner);
    for (size_t i = 0; i < 2; i++)
        scene_close(scenes[i]);
    return speedup;
}

void topic_threads(bench *b)
{
    shape w1 = shape_of(W1, b->options.size);
    shape w3 = shape_of(W3, b->options.size);
    shape w4 = shape_of(W4, b->options.size);
    shape hot = w3;
    pool *p = pool_open();
    const csp_parallel hook = pool_hook(p);

    hot.n_rows = hot.stored_rows = HOT_ROWS;
    run_contest(b, &w1, STATE_HOT, &hook);
    run_contest(b, &w3, STATE_NONE, &hook);
    run_contest(b, &w4, STATE_NONE, &hook);
    figure(b, "threads2_speedup", run_contest(b, &hot, STATE_HOT, &hook));
    pool_close(p);
}
