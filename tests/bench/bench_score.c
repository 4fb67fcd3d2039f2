/*
 * bench_score.c - scoring against the read of the same bytes
 *
 * A contest for each workload: every type, tier and kind of pages, each type
 * beside its read, and oneDNN's softmax of the same logits where it is to be
 * had.
 */
#include "peers.h"
#include "scene.h"

#include <stdlib.h>

#define MAX_JOBS (2 * N_DTYPES * (MAX_TIERS + 3))

typedef struct field {
    contest *contest;
    cache_state state;
    scene *scenes[2];
    score_job jobs[MAX_JOBS];
    size_t n_jobs;
    const entrant *reads[2];    /* of f32 in 4K pages */
    const entrant *best, *avx2; /* scoring the same, by tier */
    const entrant *half;        /* scoring f16 in 4K pages */
} field;

static score_job *next_job(field *f)
{
    expect(f->n_jobs < MAX_JOBS, "room for a job");
    return &f->jobs[f->n_jobs++];
}

static entrant *enter_read(field *f, scene *s, csp_dtype dtype, bool bare)
{
    score_job *j = next_job(f);
    char name[32];

    *j = (score_job){.scene = s, .dtype = dtype};
    snprintf(name, sizeof name, "%s read%s", s->shape.name,
             bare ? " (no prefetch)" : "");
    return score_job_enter(f->contest, name,
                           bare ? score_job_read_bare : score_job_read, j,
                           f->state);
}

static entrant *enter_score(field *f, scene *s, csp_dtype dtype, csp_tier tier,
                            csp_path column_sums)
{
    score_job *j = next_job(f);
    csp_config config = shape_config(&s->shape, tier);
    char name[32];

    config.compute.column_sums = column_sums;
    score_job_open(j, s, dtype, &config);
    snprintf(name, sizeof name, "%s score%s", s->shape.name,
             column_sums == CSP_PATH_BLAS ? " (BLAS sums)" : "");
    return score_job_enter(f->contest, name, score_job_run, j, f->state);
}

static void note(field *f, csp_dtype dtype, csp_tier tier, const entrant *e)
{
    if (e->pages != PAGES_4K)
        return;
    if (dtype == CSP_F32 && f->best == NULL)
        f->best = e;
    if (dtype == CSP_F32 && tier == CSP_TIER_AVX2)
        f->avx2 = e;
    if (dtype == CSP_F16 && f->half == NULL)
        f->half = e;
}

/* The reads, then every tier; the slow scalar one has a topic of its own. */
static void enter_type(field *f, scene *s, csp_dtype dtype)
{
    csp_tier tiers[MAX_TIERS];
    const size_t n = machine_tiers(tiers);
    const entrant *read = enter_read(f, s, dtype, false);
    entrant *bare = enter_read(f, s, dtype, true);

    bare->pair = read;
    if (s->pages == PAGES_4K && dtype == CSP_F32) {
        f->reads[0] = read;
        f->reads[1] = bare;
    }

    for (size_t i = 0; i < n; i++) {
        if (i > 0 && tiers[i] == CSP_TIER_SCALAR)
            continue;
        entrant *e = enter_score(f, s, dtype, tiers[i], CSP_PATH_AUTO);
        e->pair = read;
        note(f, dtype, tiers[i], e);
    }
    if (csp_has_blas() && dtype == CSP_F32)
        enter_score(f, s, dtype, tiers[0], CSP_PATH_BLAS)->pair = read;
}

static void open_field(bench *b, field *f, workload w, cache_state state)
{
    const shape p = shape_of(w, b->options.size);

    *f = (field){.contest = contest_open(), .state = state};
    for (size_t i = 0; i < 2; i++) {
        f->scenes[i] = scene_open(&p, (pages)i, N_DTYPES);
        for (uint32_t d = 0; d < N_DTYPES; d++)
            enter_type(f, f->scenes[i], (csp_dtype)d);
    }
}

static void close_field(field *f)
{
    contest_close(f->contest);
    for (size_t i = 0; i < f->n_jobs; i++)
        score_job_close(&f->jobs[i]);
    for (size_t i = 0; i < 2; i++)
        scene_close(f->scenes[i]);
}

/* The limit is the faster of the two reads. */
static double read_ratio(const field *f, const entrant *score)
{
    const double a = time_best(f->reads[0]), b = time_best(f->reads[1]);

    return (a < b ? a : b) / time_best(score);
}

static void w1_and_w3(bench *b, field *f)
{
    open_field(b, f, W1, STATE_HOT);
    contest_run(b, f->contest);
    close_field(f);

    open_field(b, f, W1, STATE_COLD);
    contest_run(b, f->contest);
    figure(b, "w1_cold_read_ratio", read_ratio(f, f->best));
    close_field(f);

    open_field(b, f, W3, STATE_NONE);
    contest_run(b, f->contest);
    figure(b, "w3_f32_read_ratio", read_ratio(f, f->best));
    close_field(f);
}

static void report_w4(bench *b, const field *f)
{
    figure(b, "w4_f32_read_ratio", read_ratio(f, f->best));
    figure(b, "w4_f16_over_f32_time", time_best(f->half) / time_best(f->best));
    if (f->avx2 != NULL)
        figure(b, "w4_avx2_read_ratio", read_ratio(f, f->avx2));
    else
        figure_absent(b, "w4_avx2_read_ratio", "this CPU has no AVX2");
}

#ifdef BENCH_WITH_ONEDNN

static void w4(bench *b, field *f)
{
    open_field(b, f, W4, STATE_NONE);
    const scene *s = f->scenes[PAGES_4K];
    const shape *p = &s->shape;
    memory output = memory_take(s->logits[CSP_F32].size, PAGES_4K);
    onednn_softmax *softmax =
        onednn_softmax_open(s->logits[CSP_F32].data, p->n_heads * p->n_rows,
                            p->n_keys, output.data);
    entrant *e = contest_enter(f->contest, "W4 oneDNN softmax",
                               onednn_softmax_run, softmax);
    e->dtype = dtype_name(CSP_F32);
    e->size = f->best->size;
    e->pair = f->best;
    contest_run(b, f->contest);
    report_w4(b, f);
    figure(b, "w4_vs_onednn", time_best(e) / time_best(f->best));
    onednn_softmax_close(softmax);
    memory_give(&output);
    close_field(f);
}

#else

static void w4(bench *b, field *f)
{
    open_field(b, f, W4, STATE_NONE);
    contest_run(b, f->contest);
    report_w4(b, f);
    figure_absent(b, "w4_vs_onednn", "built without oneDNN 2");
    close_field(f);
}

#endif

void topic_score(bench *b)
{
    field *f = malloc(sizeof *f);

    expect(f != NULL, "memory for a field");
    w1_and_w3(b, f);
    w4(b, f);
    free(f);
}
