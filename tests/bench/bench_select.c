/*
 * bench_select.c - selection against std::nth_element
 *
 * Of 64 vectors in turn, so that the branch predictor learns nothing; both
 * sides must keep the same rows.
 */
#include "peers.h"
#include "scene.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define N_VECTORS 64u

typedef struct vectors {
    shape shape;
    csp_tokens tokens;
    csp_importance importance;
    memory scores;
    memory rows[2]; /* [N_VECTORS][budget] by the library, by nth_element */
    memory scratch;
} vectors;

typedef struct select_job {
    const vectors *v;
    csp_config config;
    memory workspace;
    csp_kept kept;
    uint32_t counts[N_VECTORS];
} select_job;

/* Scores as unequal as those of attention: exp of a normal variable. */
static void vectors_open(vectors *v, const shape *p)
{
    const csp_config config = shape_config(p, CSP_TIER_AUTO);
    const size_t n = (size_t)N_VECTORS * p->n_keys;
    uint64_t seed = 2;
    float *x;

    *v = (vectors){.shape = *p};
    v->tokens = shape_tokens(&v->shape);
    v->tokens.n_kv_heads = N_VECTORS;
    v->scores = memory_take(2 * n * sizeof *x, PAGES_4K);
    x = v->scores.data;
    random_normal(&seed, 1.0, x, 2 * n);
    for (size_t i = 0; i < 2 * n; i++)
        x[i] = expf(x[i]);
    v->importance =
        (csp_importance){.intra = x, .inter = x + n, .capacity = p->n_keys};
    for (size_t i = 0; i < 2; i++)
        v->rows[i] =
            memory_take(N_VECTORS * config.budget * sizeof(uint32_t), PAGES_4K);
    v->scratch = memory_take(p->n_keys * (sizeof(float) + 1), PAGES_4K);
}

static void vectors_close(vectors *v)
{
    memory_give(&v->scores);
    memory_give(&v->rows[0]);
    memory_give(&v->rows[1]);
    memory_give(&v->scratch);
}

static void select_open(select_job *j, const vectors *v, csp_tier tier)
{
    *j = (select_job){.v = v, .config = shape_config(&v->shape, tier)};
    j->workspace = memory_take(
        csp_select_workspace_size(&v->tokens, &j->config), PAGES_4K);
    j->kept = (csp_kept){.rows = v->rows[0].data,
                         .counts = j->counts,
                         .n_lists = N_VECTORS,
                         .capacity = j->config.budget};
}

static void select_run(void *job)
{
    const select_job *j = job;

    check(csp_select(&j->v->importance, &j->v->tokens, &j->config,
                     j->workspace.data, j->workspace.size, &j->kept),
          "csp_select");
}

static entrant *enter_tiers(contest *c, const vectors *v, select_job *jobs,
                            const entrant *pair)
{
    csp_tier tiers[MAX_TIERS];
    const size_t n = machine_tiers(tiers);
    char name[32];
    entrant *first = NULL;

    snprintf(name, sizeof name, "%s select x%u", v->shape.name, N_VECTORS);
    for (size_t i = 0; i < n; i++) {
        select_open(&jobs[i], v, tiers[i]);
        entrant *e = contest_enter(c, name, select_run, &jobs[i]);
        e->tier = tier_name(tiers[i]);
        e->pair = pair;
        if (first == NULL)
            first = e;
    }
    return first;
}

#ifdef BENCH_WITH_NTH

static void nth_run(void *job)
{
    const select_job *j = job;
    const vectors *v = j->v;
    float *scratch = v->scratch.data;

    for (uint32_t i = 0; i < N_VECTORS; i++)
        nth_select(v->importance.intra + (size_t)i * v->shape.n_keys,
                   v->importance.inter + (size_t)i * v->shape.n_keys,
                   v->shape.n_keys, j->config.recent, j->config.n_intra,
                   j->config.n_inter, j->config.budget, scratch,
                   (unsigned char *)(scratch + v->shape.n_keys),
                   (uint32_t *)v->rows[1].data + (size_t)i * j->config.budget);
}

static const entrant *enter_nth(contest *c, const vectors *v, select_job *job)
{
    char name[32];

    snprintf(name, sizeof name, "%s nth_element x%u", v->shape.name, N_VECTORS);
    return contest_enter(c, name, nth_run, job);
}

#else

static const entrant *enter_nth(contest *c, const vectors *v, select_job *job)
{
    (void)c;
    (void)v;
    (void)job;
    return NULL;
}

#endif

static void report(bench *b, const vectors *v, const entrant *nth,
                   const entrant *best, bool is_figure)
{
    if (nth != NULL)
        expect(memcmp(v->rows[0].data, v->rows[1].data, v->rows[0].size) == 0,
               "the rows that nth_element keeps");
    if (nth != NULL && is_figure)
        figure(b, "select_vs_nth", time_best(nth) / time_best(best));
    if (nth == NULL && is_figure)
        figure_absent(b, "select_vs_nth", "built without C++");
}

static void run_contest(bench *b, workload w)
{
    const shape p = shape_of(w, b->options.size);
    select_job *jobs = calloc(MAX_TIERS, sizeof *jobs);
    contest *c = contest_open();
    vectors v;

    expect(jobs != NULL, "memory for jobs");
    vectors_open(&v, &p);
    const entrant *nth = enter_nth(c, &v, &jobs[0]);
    const entrant *best = enter_tiers(c, &v, jobs, nth);
    contest_run(b, c);
    report(b, &v, nth, best, w == W4);
    contest_close(c);
    for (size_t i = 0; i < MAX_TIERS; i++)
        memory_give(&jobs[i].workspace);
    free(jobs);
    vectors_close(&v);
}

void topic_select(bench *b)
{
    run_contest(b, W1);
    run_contest(b, W4);
    run_contest(b, W3);
}
