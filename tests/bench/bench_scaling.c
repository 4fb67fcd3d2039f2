/*
 * bench_scaling.c - how time and memory grow with the shape of a layer
 *
 * One measure at a time leaves a middle shape: tokens, heads, rows of the
 * window, modalities.  Times are of one thread and all heads; bytes are the
 * scratch of one worker, which has one KV head at a time.
 */
#include "layer.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#define MIDDLE_KEYS 8192u
#define MIDDLE_HEADS 8u
#define MIDDLE_ROWS 64u
#define MIDDLE_MODALITIES 2u

#define GROUP 2u       /* query heads of a KV head */
#define N_SEGMENTS 16u /* before the window, and in it */
#define N_ROUNDS 9u
#define QUICK_KEYS 2048u

typedef struct point {
    const char *measure;
    uint32_t value;
    uint32_t n_keys, n_heads, n_rows, n_modalities;
} point;

typedef struct result {
    double score, select, gather; /* ms */
    size_t score_size, product_size, select_size, calibrate_size;
} result;

/* ---- Shapes -------------------------------------------------------------- */

/* Cut [begin, end) into segments whose modalities take turns. */
static void add_segments(shape *s, uint32_t begin, uint32_t end,
                         uint32_t n_modalities)
{
    for (uint32_t i = 0; i < N_SEGMENTS; i++) {
        const uint64_t n = end - begin;
        const csp_span span = {begin + (uint32_t)(n * i / N_SEGMENTS),
                               begin + (uint32_t)(n * (i + 1) / N_SEGMENTS),
                               i % n_modalities};
        if (span.begin < span.end)
            s->spans[s->n_spans++] = span;
    }
}

static shape shape_at(const point *p)
{
    shape s = {.name = p->measure,
               .n_heads = p->n_heads,
               .n_kv_heads = p->n_heads / GROUP,
               .n_keys = p->n_keys,
               .n_rows = p->n_rows,
               .stored_rows = p->n_rows};

    add_segments(&s, 0, s.n_keys - s.n_rows, p->n_modalities);
    add_segments(&s, s.n_keys - s.n_rows, s.n_keys, p->n_modalities);
    return s;
}

/* ---- A point ------------------------------------------------------------- */

/* The slice of one KV head, as a worker has it. */
static void measure_memory(const layer *l, result *r)
{
    const scene *s = l->score.scene;
    const csp_config *config = &l->score.config;
    const uint32_t n_keys = s->shape.n_keys, n_rows = s->shape.n_rows;
    csp_attention a = s->attention[CSP_F32];
    csp_tokens tokens = s->tokens;

    tokens.n_kv_heads = 1;
    a.scores.n_heads = GROUP;
    r->score_size = csp_score_workspace_size(&a, &tokens, config);
    r->calibrate_size = csp_calibrate_workspace_size(&a, &tokens, HEAD_DIM);
    r->select_size = csp_select_workspace_size(&tokens, config);
    a.source = CSP_QUERY_KEY;
    a.scale = 1.0f;
    a.queries =
        csp_tensor_packed(a.scores.data, CSP_F32, GROUP, n_rows, HEAD_DIM);
    a.keys = csp_tensor_packed(l->caches[0].data, CSP_F32, 1, n_keys, HEAD_DIM);
    r->product_size = csp_score_workspace_size(&a, &tokens, config);
    expect(r->score_size > 0 && r->calibrate_size > 0 && r->select_size > 0 &&
               r->product_size > 0,
           "sizes of workspaces");
}

static result measure(const point *p, uint32_t n_rounds)
{
    const shape form = shape_at(p);
    contest *c = contest_open();
    scene *s = scene_open(&form, PAGES_4K, 1);
    result r = {0};
    layer l;

    layer_open(&l, s);
    const entrant *score = contest_enter(c, "score", layer_score, &l);
    const entrant *select = contest_enter(c, "select", layer_select, &l);
    entrant *gather = contest_enter(c, "gather", layer_gather, &l);
    gather->after = layer_check;
    contest_time(c, n_rounds);
    r.score = time_best(score);
    r.select = time_best(select);
    r.gather = time_best(gather);
    measure_memory(&l, &r);
    contest_close(c);
    layer_close(&l);
    scene_close(s);
    return r;
}

static void print(FILE *csv, const point *p, const result *r)
{
    printf("%-10s %8u %9.3f %9.3f %9.3f %10zu %10zu %10zu %10zu\n", p->measure,
           (unsigned)p->value, r->score, r->select, r->gather, r->score_size,
           r->product_size, r->select_size, r->calibrate_size);
    if (csv != NULL)
        fprintf(csv, "%s,%u,%.6f,%.6f,%.6f,%zu,%zu,%zu,%zu\n", p->measure,
                (unsigned)p->value, r->score, r->select, r->gather,
                r->score_size, r->product_size, r->select_size,
                r->calibrate_size);
}

/* ---- Measures ------------------------------------------------------------ */

static point middle(const char *measure, uint32_t value, uint32_t n_keys)
{
    return (point){.measure = measure,
                   .value = value,
                   .n_keys = n_keys,
                   .n_heads = MIDDLE_HEADS,
                   .n_rows = MIDDLE_ROWS,
                   .n_modalities = MIDDLE_MODALITIES};
}

static void run_point(FILE *csv, const point *p, uint32_t n_rounds)
{
    const result r = measure(p, n_rounds);

    print(csv, p, &r);
}

static void run(FILE *csv, bool quick, uint32_t n_rounds)
{
    const uint32_t n_keys = quick ? QUICK_KEYS : MIDDLE_KEYS;

    for (uint32_t n = 1024; n <= (quick ? QUICK_KEYS : 131072u); n *= 2) {
        const point p = middle("tokens", n, n);
        run_point(csv, &p, n_rounds);
    }
    for (uint32_t n = 2; n <= (quick ? 4u : 64u); n *= 2) {
        point p = middle("heads", n, n_keys);
        p.n_heads = n;
        run_point(csv, &p, n_rounds);
    }
    for (uint32_t n = 1; n <= (quick ? 64u : 512u); n *= 2) {
        point p = middle("window", n, n_keys);
        p.n_rows = n;
        run_point(csv, &p, n_rounds);
    }
    for (uint32_t n = 1; n <= CSP_MAX_MODALITIES; n += quick ? 15 : 1) {
        point p = middle("modalities", n, n_keys);
        p.n_modalities = n;
        run_point(csv, &p, n_rounds);
    }
}

int main(int argc, char **argv)
{
    static const struct option known[] = {{"csv", required_argument, NULL, 'c'},
                                          {"quick", no_argument, NULL, 'q'},
                                          {0}};
    FILE *csv = NULL;
    bool quick = false;
    int c;

    while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (c == 'q')
            quick = true;
        else if (c == 'c' && (csv = fopen(optarg, "w")) == NULL)
            die(optarg, strerror(errno));
        else if (c != 'c')
            die("usage", "bench_scaling [--csv FILE] [--quick]");
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    machine_pin(0);
    machine_print();
    printf("\n%-10s %8s %9s %9s %9s %10s %10s %10s %10s\n", "", "", "score ms",
           "select ms", "gather ms", "score B", "from Q.K B", "select B",
           "calibrate");
    if (csv != NULL)
        fputs("measure,value,score_ms,select_ms,gather_ms,score_bytes,"
              "product_bytes,select_bytes,calibrate_bytes\n",
              csv);
    run(csv, quick, quick ? 1 : N_ROUNDS);
    if (csv != NULL && fclose(csv) != 0)
        die("CSV", strerror(errno));
    return EXIT_SUCCESS;
}
