/*
 * attention_corrections.c - ways to make up for the dropped rows
 *
 * The table says what is compared; the simple corrections are here, those by
 * summaries in attention_summary.c.
 */
#include "attention_corrections.h"

#include "attention_summary.h"
#include "support.h"

#include <stdlib.h>
#include <string.h>

#define RESIDUAL .kind = CORRECTION_RESIDUAL, .rows = MEASURING_ROWS
#define MOMENTS .kind = CORRECTION_MOMENTS, .rows = MEASURING_ROWS
#define EXPERIMENT .audience = FOR_EXPERIMENT

/* clang-format off */
const correction_spec corrections[] = {
    [FIRST_CORRECTION] = {"plain", .kind = CORRECTION_NONE},
    {"n1", .kind = CORRECTION_ONE},
    {"calibrated", .kind = CORRECTION_SINK, .rows = MEASURING_ROWS},
    {"residual", RESIDUAL},
    {"oracle", .kind = CORRECTION_ORACLE, .rows = MEASURING_ROWS},
    {"moments0", MOMENTS, .rank = 0, .audience = FOR_DEFAULT},
    {"moments1", MOMENTS, .rank = 1},
    {"moments4", MOMENTS, .rank = 4, .audience = FOR_RANKED},
    {"moments_full", MOMENTS, .rank = RANK_FULL, .audience = FOR_RANKED},
    {"equal0", MOMENTS, .rank = 0, .equal_memory = true,
     .audience = FOR_DEFAULT},
    {"equal1", MOMENTS, .rank = 1, .equal_memory = true,
     .audience = FOR_RANKED},
    {"equal4", MOMENTS, .rank = 4, .equal_memory = true,
     .audience = FOR_DEFAULT},

    /* Which tokens count in the moments. */
    {"attention1", MOMENTS, EXPERIMENT, .rank = 1, .weight = WEIGHT_ATTENTION},
    {"attention4", MOMENTS, EXPERIMENT, .rank = 4, .weight = WEIGHT_ATTENTION},
    {"tilted1", MOMENTS, EXPERIMENT, .rank = 1, .weight = WEIGHT_TILTED},
    {"tilted4", MOMENTS, EXPERIMENT, .rank = 4, .weight = WEIGHT_TILTED},

    /* A summary of each modality. */
    {"apart0", MOMENTS, EXPERIMENT, .rank = 0, .apart = true},
    {"apart1", MOMENTS, EXPERIMENT, .rank = 1, .apart = true},
    {"apart4", MOMENTS, EXPERIMENT, .rank = 4, .apart = true},
    {"equal_apart0", MOMENTS, EXPERIMENT, .rank = 0, .apart = true,
     .equal_memory = true},
    {"equal_apart1", MOMENTS, EXPERIMENT, .rank = 1, .apart = true,
     .equal_memory = true},

    /* How the mass is fitted. */
    {"fit1_none", MOMENTS, EXPERIMENT, .rank = 1, .fit = FIT_NONE},
    {"fit1_limit", MOMENTS, EXPERIMENT, .rank = 1, .fit = FIT_LIMIT},
    {"fit1_offset", MOMENTS, EXPERIMENT, .rank = 1, .fit = FIT_OFFSET},
    {"fit1_one", MOMENTS, EXPERIMENT, .rank = 1, .fit = FIT_ONE},
    {"fit1_free", MOMENTS, EXPERIMENT, .rank = 1, .fit = FIT_FREE},
    {"fit1_unlimited", MOMENTS, EXPERIMENT, .rank = 1, .fit = FIT_UNLIMITED},
    {"fit1_oracle", MOMENTS, EXPERIMENT, .rank = 1, .fit = FIT_TRUTH},
    {"fit4_none", MOMENTS, EXPERIMENT, .rank = 4, .fit = FIT_NONE},
    {"fit4_limit", MOMENTS, EXPERIMENT, .rank = 4, .fit = FIT_LIMIT},
    {"fit4_offset", MOMENTS, EXPERIMENT, .rank = 4, .fit = FIT_OFFSET},
    {"fit4_one", MOMENTS, EXPERIMENT, .rank = 4, .fit = FIT_ONE},
    {"fit4_free", MOMENTS, EXPERIMENT, .rank = 4, .fit = FIT_FREE},
    {"fit4_unlimited", MOMENTS, EXPERIMENT, .rank = 4, .fit = FIT_UNLIMITED},
    {"fit4_oracle", MOMENTS, EXPERIMENT, .rank = 4, .fit = FIT_TRUTH},

    /* Which rows it is fitted to. */
    {"text1", MOMENTS, EXPERIMENT, .rank = 1, .text = true},
    {"text4", MOMENTS, EXPERIMENT, .rank = 4, .text = true},
    {"text1_limit", MOMENTS, EXPERIMENT, .rank = 1, .text = true,
     .fit = FIT_LIMIT},
    {"text4_limit", MOMENTS, EXPERIMENT, .rank = 4, .text = true,
     .fit = FIT_LIMIT},
    {"rows1_8", .kind = CORRECTION_MOMENTS, EXPERIMENT, .rank = 1, .rows = 8},
    {"rows1_32", .kind = CORRECTION_MOMENTS, EXPERIMENT, .rank = 1, .rows = 32},
    {"rows1_64", .kind = CORRECTION_MOMENTS, EXPERIMENT, .rank = 1, .rows = 64},
    {"rows1_all", .kind = CORRECTION_MOMENTS, EXPERIMENT, .rank = 1,
     .rows = UINT32_MAX},
    {"residual_text", RESIDUAL, EXPERIMENT, .text = true},
    {"residual_8", .kind = CORRECTION_RESIDUAL, EXPERIMENT, .rows = 8},
    {"residual_32", .kind = CORRECTION_RESIDUAL, EXPERIMENT, .rows = 32},
    {"residual_64", .kind = CORRECTION_RESIDUAL, EXPERIMENT, .rows = 64},
    {"residual_all", .kind = CORRECTION_RESIDUAL, EXPERIMENT,
     .rows = UINT32_MAX},
};
/* clang-format on */
const uint32_t n_corrections = sizeof corrections / sizeof *corrections;

uint32_t correction_rows(const correction_spec *c, uint32_t head_dim)
{
    const uint32_t rank = c->rank == RANK_FULL ? head_dim : c->rank;
    const uint32_t halves = (2 + 3 * rank) * (c->apart ? 2 : 1);

    return c->kind == CORRECTION_MOMENTS ? (halves + 1) / 2 : 0;
}

row_runs measuring_rows(const scene *s, const correction_spec *c)
{
    return (row_runs){
        .end = scene_keys(s), .left = c->rows, .text_only = c->text};
}

/* ---- Sinks --------------------------------------------------------------- */

/* log n and mean dropped values of each query head, [n_heads][head_dim]. */
typedef struct measured {
    float *sink_logits, *values;
} measured;

static void add_run(const scene *s, uint32_t layer, const csp_kept *kept,
                    const csp_attention *run, const csp_calibration *sums)
{
    const csp_tokens tokens = scene_tokens(s);
    const csp_tensor values = scene_rows(s, layer, s->full->values);
    const size_t size = csp_calibrate_workspace_size(run, &tokens, s->head_dim);
    void *workspace = take(size, 1);

    csp_check(
        csp_calibrate(run, &tokens, kept, &values, NULL, workspace, size, sums),
        "csp_calibrate");
    free(workspace);
}

static measured measure(const scene *s, uint32_t layer, const csp_kept *kept,
                        const correction_spec *c)
{
    const size_t n_values = (size_t)s->n_heads * s->head_dim;
    const csp_calibration sums = {
        .log_mass = take(s->n_heads, sizeof(double)),
        .rows = take(s->n_heads, sizeof(double)),
        .value = take(n_values, sizeof(float)),
        .n_heads = s->n_heads,
        .value_dim = s->head_dim,
    };
    const measured m = {.sink_logits = take(s->n_heads, sizeof(float)),
                        .values = take(n_values, sizeof(float))};
    row_runs rows = measuring_rows(s, c);
    csp_attention run;

    while (next_run(s, layer, &rows, &run))
        add_run(s, layer, kept, &run, &sums);
    csp_check(csp_calibration_finish(&sums, m.sink_logits, m.values),
              "csp_calibration_finish");
    free(sums.value);
    free(sums.rows);
    free(sums.log_mass);
    return m;
}

static void correct_by_sinks(const scene *s, const outputs *seen,
                             const float *sink_logits, const float *residual,
                             float *corrected)
{
    const csp_tensor rows = scene_view(s, seen->rows, s->head_dim);
    const csp_tensor lse = scene_view(s, seen->lse, 1);

    csp_check(csp_correct(&rows, &lse, CSP_LSE_NATURAL, sink_logits, residual,
                          corrected),
              "csp_correct");
}

/* The oracle: the measured values by each query's true dropped mass. */
static void correct_by_truth(const scene *s, uint32_t layer,
                             const outputs *seen, const float *values,
                             float *corrected)
{
    const size_t size = (size_t)s->n_heads * s->head_dim;

    for (size_t t = 0; t < s->n; ++t)
        memcpy(corrected + t * size, values, size * sizeof *corrected);
    blend_by_truth(s, layer, seen, corrected);
}

/* ---- All ----------------------------------------------------------------- */

void correct(const scene *s, uint32_t layer, const csp_kept *kept,
             const correction_spec *c, const outputs *seen, float *corrected)
{
    const size_t size = times(times(s->n, s->n_heads), s->head_dim);
    measured m = {0};

    switch (c->kind) {
    case CORRECTION_NONE:
        memcpy(corrected, seen->rows, size * sizeof *corrected);
        break;
    case CORRECTION_ONE: /* log 1 is 0 */
        m.sink_logits = take(s->n_heads, sizeof *m.sink_logits);
        correct_by_sinks(s, seen, m.sink_logits, NULL, corrected);
        break;
    case CORRECTION_SINK:
        m = measure(s, layer, kept, c);
        correct_by_sinks(s, seen, m.sink_logits, NULL, corrected);
        break;
    case CORRECTION_RESIDUAL:
        m = measure(s, layer, kept, c);
        correct_by_sinks(s, seen, m.sink_logits, m.values, corrected);
        break;
    case CORRECTION_ORACLE:
        m = measure(s, layer, kept, c);
        correct_by_truth(s, layer, seen, m.values, corrected);
        break;
    case CORRECTION_MOMENTS:
        correct_by_summary(s, layer, kept, c, seen, corrected);
        break;
    }
    free(m.values);
    free(m.sink_logits);
}
