/*
 * synthetic_run.c - decode with a pruned cache, and measure what pruning cost
 */
#include "synthetic.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- Measure ------------------------------------------------------------- */

static bool holds(const csp_kept *kept, uint32_t list, uint32_t token)
{
    const uint32_t *rows = kept->rows + (size_t)list * kept->capacity;

    for (uint32_t i = 0; i < kept->counts[list] && rows[i] <= token; ++i)
        if (rows[i] == token)
            return true;
    return false;
}

static void paint(const trial *s, uint32_t layer, const csp_kept *kept,
                  trace *picture)
{
    const prompt *p = s->p;
    const float share = 1.0F / (float)(p->n_layers * p->n_kv_heads);
    csp_importance importance;

    picture->sinks = s->config.sinks;
    picture->recent = s->config.recent;
    check(csp_pruner_importance(s->pruner, layer, &importance),
          "csp_pruner_importance");
    for (uint32_t g = 0; g < p->n_kv_heads; ++g) {
        uint32_t list = kept->n_lists > 1 ? g : 0;
        size_t head = (size_t)layer * p->n_kv_heads + g;
        size_t at = (size_t)g * importance.capacity;

        check(csp_kept_mask(kept->rows + (size_t)list * kept->capacity,
                            kept->counts[list], p->n_context,
                            picture->kept + head * p->n_context),
              "csp_kept_mask");
        for (uint32_t t = 0; t < p->n_context; ++t) {
            picture->intra[t] += share * importance.intra[at + t];
            picture->inter[t] += share * importance.inter[at + t];
        }
    }
}

/* What the plan keeps, before it is applied. */
static void inspect(trial *s, outcome *result, trace *picture)
{
    const prompt *p = s->p;
    const double n_lists = (double)p->n_layers * (double)p->n_kv_heads;
    csp_report report = {0};
    uint64_t found = 0;

    for (uint32_t l = 0; l < p->n_layers; ++l) {
        csp_importance importance;
        csp_tokens tokens;
        csp_kept kept;

        check(csp_pruner_importance(s->pruner, l, &importance),
              "csp_pruner_importance");
        check(csp_pruner_tokens(s->pruner, l, &tokens), "csp_pruner_tokens");
        check(csp_pruner_kept(s->pruner, l, &kept), "csp_pruner_kept");
        check(csp_report_add(&importance, &tokens, &kept,
                             2 * sizeof(float) * p->head_dim, &report),
              "csp_report_add");
        for (uint32_t g = 0; g < p->n_kv_heads; ++g) {
            uint32_t list = kept.n_lists > 1 ? g : 0;

            s->counts[l * p->n_kv_heads + g] = kept.counts[list];
            for (uint32_t i = 0; i < p->n_needles; ++i)
                found += holds(&kept, list, p->needles[i]);
        }
        if (picture != NULL)
            paint(s, l, &kept, picture);
        trial_calibrate(s, l);
    }
    result->text = (double)report.kept_of_modality[TEXT] / n_lists;
    result->image = (double)report.kept_of_modality[IMAGE] / n_lists;
    result->cache_bytes = (double)report.bytes_after;
    if (p->n_needles > 0)
        result->recall = (double)found / (n_lists * (double)p->n_needles);
}

/* The tokens that come next take their rows behind the kept ones. */
static void append_later(trial *s)
{
    const prompt *p = s->p;
    const size_t size = (size_t)s->n_later * p->head_dim * sizeof(float);

    for (uint32_t g = 0; g < p->n_layers * p->n_kv_heads; ++g) {
        size_t head = (size_t)g * p->n_tokens;
        size_t from = (head + p->n_context) * p->head_dim;
        size_t to = (head + s->counts[g]) * p->head_dim;

        memcpy(s->keys + to, p->keys + from, size);
        memcpy(s->values + to, p->values + from, size);
    }
}

/* Mean over rows of |x - full| / |full|. */
static double relative_error(const float *x, const float *full, size_t n_rows,
                             uint32_t dim)
{
    double sum = 0.0;

    for (size_t r = 0; r < n_rows; ++r) {
        double away = 0.0, size = 0.0;

        for (size_t i = r * dim; i < (r + 1) * dim; ++i) {
            double d = (double)x[i] - (double)full[i];

            away += d * d;
            size += (double)full[i] * (double)full[i];
        }
        sum += sqrt(away / size);
    }
    return sum / (double)n_rows;
}

/* Attention of the later tokens of a layer over the pruned cache:
   [n_heads][n_later] rows of outputs and log-sum-exp. */
static void decode(const trial *s, uint32_t layer, float *outputs, float *lse)
{
    const prompt *p = s->p;
    const uint32_t group = p->n_heads / p->n_kv_heads;
    float *scratch = take(p->n_tokens, sizeof *scratch);

    for (uint32_t h = 0; h < p->n_heads; ++h) {
        uint32_t count = s->counts[layer * p->n_kv_heads + h / group];
        size_t at = kv_offset(p, layer, h / group);
        const float *query =
            query_rows(p, layer, h) + (size_t)p->n_context * p->head_dim;

        for (uint32_t r = 0; r < s->n_later; ++r) {
            attend(p, query, s->keys + at, s->values + at, count + r + 1,
                   scratch, outputs, lse++);
            outputs += p->head_dim;
            query += p->head_dim;
        }
    }
    free(scratch);
}

static void measure(const trial *s, const float *full, outcome *result)
{
    const prompt *p = s->p;
    const uint32_t n_heads = p->n_heads, dim = p->head_dim;
    const size_t n_rows = (size_t)n_heads * s->n_later;
    float *outputs = take(n_rows * dim, sizeof *outputs);
    float *corrected = take(n_rows * dim, sizeof *corrected);
    float *lse = take(n_rows, sizeof *lse);
    float *fixed = take(n_heads, sizeof *fixed); /* log n = 0 for every head */
    csp_tensor out =
        csp_tensor_packed(outputs, CSP_F32, n_heads, s->n_later, dim);
    csp_tensor sums = csp_tensor_packed(lse, CSP_F32, n_heads, s->n_later, 1);

    for (uint32_t l = 0; l < p->n_layers; ++l) {
        const float *sinks[N_CORRECTIONS] = {
            NULL, fixed, s->sink_logits + (size_t)l * n_heads,
            s->sink_logits + (size_t)l * n_heads};
        const float *residual[N_CORRECTIONS] = {
            [RESIDUAL] = s->residual + (size_t)l * n_heads * dim};

        decode(s, l, outputs, lse);
        for (int c = 0; c < N_CORRECTIONS; ++c) {
            if (c != PLAIN)
                check(csp_correct(&out, &sums, CSP_LSE_NATURAL, sinks[c],
                                  residual[c], corrected),
                      "csp_correct");
            result->error[c] +=
                relative_error(c == PLAIN ? outputs : corrected,
                               full + (size_t)l * n_rows * dim, n_rows, dim) /
                (double)p->n_layers;
        }
    }
    free(fixed);
    free(lse);
    free(corrected);
    free(outputs);
}

/* ---- A run --------------------------------------------------------------- */

static double now(void)
{
    struct timespec t;

    timespec_get(&t, TIME_UTC);
    return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

outcome run(const prompt *p, method m, uint32_t budget, double share,
            uint64_t seed, const float *full, trace *picture)
{
    outcome result = {0};
    trial s;

    trial_open(&s, p, m, budget, share);
    double start = now();
    trial_plan(&s, seed);
    result.milliseconds = now() - start;
    inspect(&s, &result, picture);
    start = now();
    trial_apply(&s);
    result.milliseconds += now() - start;
    append_later(&s);
    measure(&s, full, &result);
    trial_close(&s);
    return result;
}
