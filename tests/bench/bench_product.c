/*
 * bench_product.c - scoring from queries and keys against sgemm alone
 *
 * The sgemm side makes the same logits, head by head, into one tile that stays
 * in the caches; query heads that share a KV head are one product.
 */
#include "scene.h"

#include <math.h>
#include <string.h>

#ifdef BENCH_WITH_BLAS
#include <cblas.h>
#endif

#define TILE_SIZE ((size_t)4 << 20)

typedef struct product {
    shape shape;
    csp_tokens tokens;
    csp_attention attention;
    csp_importance importance;
    memory queries, keys, sums, tile;
} product;

typedef struct product_job {
    product *product;
    csp_config config;
    memory workspace;
} product_job;

static void product_open(product *p, const shape *s)
{
    const size_t n_queries = (size_t)s->n_heads * s->n_rows * HEAD_DIM;
    const size_t n_keys = (size_t)s->n_kv_heads * s->n_keys * HEAD_DIM;
    const size_t n_sums = (size_t)s->n_kv_heads * s->n_keys;
    uint64_t seed = 4;

    *p = (product){.shape = *s};
    p->tokens = shape_tokens(&p->shape);
    p->queries = memory_take(n_queries * sizeof(float), PAGES_4K);
    p->keys = memory_take(n_keys * sizeof(float), PAGES_4K);
    p->sums = memory_take(2 * n_sums * sizeof(float), PAGES_4K);
    p->tile = memory_take(TILE_SIZE, PAGES_4K);
    random_normal(&seed, 1.0, p->queries.data, n_queries);
    random_normal(&seed, 1.0, p->keys.data, n_keys);
    p->importance = (csp_importance){.intra = p->sums.data,
                                     .inter = (float *)p->sums.data + n_sums,
                                     .capacity = s->n_keys};
    p->attention = (csp_attention){
        .source = CSP_QUERY_KEY,
        .mask = CSP_CAUSAL,
        .first_query = s->n_keys - s->n_rows,
        .queries = csp_tensor_packed(p->queries.data, CSP_F32, s->n_heads,
                                     s->n_rows, HEAD_DIM),
        .keys = csp_tensor_packed(p->keys.data, CSP_F32, s->n_kv_heads,
                                  s->n_keys, HEAD_DIM),
        .scale = 2.0f / sqrtf((float)HEAD_DIM)}; /* logits of deviation 2 */
}

static void product_close(product *p)
{
    memory_give(&p->queries);
    memory_give(&p->keys);
    memory_give(&p->sums);
    memory_give(&p->tile);
}

/* ---- From queries and keys ----------------------------------------------- */

static void open_job(product_job *j, product *p, csp_tier tier, csp_path path)
{
    *j = (product_job){.product = p, .config = shape_config(&p->shape, tier)};
    j->config.compute.product = path;
    const size_t size =
        csp_score_workspace_size(&p->attention, &p->tokens, &j->config);
    expect(size > 0, "csp_score_workspace_size");
    j->workspace = memory_take(size, PAGES_4K);
}

static void zero(void *job)
{
    const product_job *j = job;

    memset(j->product->sums.data, 0, j->product->sums.size);
}

static void score(void *job)
{
    const product_job *j = job;

    check(csp_score(&j->product->attention, &j->product->tokens, &j->config,
                    j->workspace.data, j->workspace.size,
                    &j->product->importance),
          "csp_score");
}

/* Of so many keys the sink has next to nothing, so a row's mass is 1. */
static void look(void *job)
{
    const product *p = ((const product_job *)job)->product;
    const size_t n = 2 * (size_t)p->shape.n_kv_heads * p->shape.n_keys;
    const double n_rows = (double)p->shape.n_heads * p->shape.n_rows;
    double sum = 0.0;

    for (size_t i = 0; i < n; i++)
        sum += (double)p->importance.intra[i];
    expect(fabs(sum - n_rows) < 1e-2 * n_rows,
           "importance adds up to the rows' mass");
}

static entrant *enter_path(contest *c, product_job *j, product *p,
                           csp_tier tier, csp_path path, const entrant *pair)
{
    char what[32];

    open_job(j, p, tier, path);
    snprintf(what, sizeof what, "%s from Q.K (%s)", p->shape.name,
             path == CSP_PATH_BLAS ? "BLAS" : "own");
    entrant *e = contest_enter(c, what, score, j);
    e->dtype = dtype_name(CSP_F32);
    e->tier = tier_name(tier);
    e->pair = pair;
    e->before = zero;
    e->after = look;
    return e;
}

/* ---- sgemm alone --------------------------------------------------------- */

#ifdef BENCH_WITH_BLAS

static void sgemm(void *job)
{
    const product *p = job;
    const shape *s = &p->shape;
    const uint32_t n_rows = s->n_heads / s->n_kv_heads * s->n_rows;
    const uint32_t fit = (uint32_t)(TILE_SIZE / (n_rows * sizeof(float)));

    for (uint32_t g = 0; g < s->n_kv_heads; g++) {
        const float *q =
            (const float *)p->queries.data + (size_t)g * n_rows * HEAD_DIM;
        const float *k =
            (const float *)p->keys.data + (size_t)g * s->n_keys * HEAD_DIM;
        for (uint32_t at = 0; at < s->n_keys; at += fit) {
            const uint32_t n = s->n_keys - at < fit ? s->n_keys - at : fit;
            cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans,
                        (blasint)n_rows, (blasint)n, HEAD_DIM,
                        p->attention.scale, q, HEAD_DIM, k + at * HEAD_DIM,
                        HEAD_DIM, 0.0f, p->tile.data, (blasint)n);
        }
    }
}

/* The last logit of the tile is that of the last query and the last key. */
static void look_at_sgemm(void *job)
{
    const product *p = job;
    const shape *s = &p->shape;
    const uint32_t n_rows = s->n_heads / s->n_kv_heads * s->n_rows;
    const uint32_t fit = (uint32_t)(TILE_SIZE / (n_rows * sizeof(float)));
    const uint32_t n_last = (s->n_keys - 1) % fit + 1;
    const float *q = (const float *)p->queries.data +
                     ((size_t)s->n_heads * s->n_rows - 1) * HEAD_DIM;
    const float *k = (const float *)p->keys.data +
                     ((size_t)s->n_kv_heads * s->n_keys - 1) * HEAD_DIM;
    const float *tile = p->tile.data;
    double sum = 0.0;

    for (uint32_t i = 0; i < HEAD_DIM; i++)
        sum += (double)q[i] * (double)k[i];
    sum *= (double)p->attention.scale;
    expect(fabs(sum - (double)tile[(size_t)n_rows * n_last - 1]) < 1e-4,
           "a logit by sgemm");
}

static entrant *enter_sgemm(contest *c, product *p)
{
    char what[32];

    snprintf(what, sizeof what, "%s sgemm alone", p->shape.name);
    entrant *e = contest_enter(c, what, sgemm, p);
    e->dtype = dtype_name(CSP_F32);
    e->after = look_at_sgemm;
    return e;
}

#else

static entrant *enter_sgemm(contest *c, product *p)
{
    (void)c;
    (void)p;
    return NULL;
}

#endif

/* ---- The contest --------------------------------------------------------- */

static void run_contest(bench *b, workload w)
{
    const shape s = shape_of(w, b->options.size);
    csp_tier tiers[MAX_TIERS];
    const size_t n = machine_tiers(tiers);
    contest *c = contest_open();
    product_job jobs[MAX_TIERS + 1] = {0};
    const entrant *best = NULL;
    product p;

    product_open(&p, &s);
    const entrant *alone = enter_sgemm(c, &p);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || tiers[i] != CSP_TIER_SCALAR) {
            entrant *e =
                enter_path(c, &jobs[i], &p, tiers[i], CSP_PATH_AUTO, alone);
            best = i == 0 ? e : best; /* what a caller gets unasked */
        }
    if (alone != NULL)
        enter_path(c, &jobs[n], &p, tiers[0], CSP_PATH_BLAS, alone);
    contest_run(b, c);
    if (w == W2 && alone != NULL)
        figure(b, "qk_w2_vs_sgemm", time_best(best) / time_best(alone));
    else if (w == W2)
        figure_absent(b, "qk_w2_vs_sgemm", "built without BLAS");
    contest_close(c);
    for (size_t i = 0; i <= MAX_TIERS; i++)
        memory_give(&jobs[i].workspace);
    product_close(&p);
}

void topic_product(bench *b)
{
    run_contest(b, W2);
    run_contest(b, W3);
}
