/*
 * differential_output.c - what is done with kept rows, against the oracle
 */
#include "differential.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* ---- Report -------------------------------------------------------------- */

static void add_to_report(const diff_case *c, uint64_t token_size,
                          csp_report *report)
{
    const oracle_layer *layer = &c->layer;
    for (uint32_t g = 0; g < layer->n_kv_heads; g++) {
        uint8_t mask[ORACLE_MAX_KEYS] = {0};
        uint32_t n_kept;
        const uint32_t *rows = kept_of(&c->kept, g, &n_kept);
        for (uint32_t i = 0; i < n_kept; i++)
            mask[rows[i]] = 1;
        for (uint32_t k = 0; k < layer->n_rows[g]; k++) {
            const size_t at = (size_t)g * c->importance.capacity + k;
            const uint32_t modality =
                layer->key_modality[(size_t)g * layer->n_keys + k];
            report->keys_of_modality[modality]++;
            report->kept_of_modality[modality] += mask[k];
            report->intra_total += (double)c->importance.intra[at];
            report->inter_total += (double)c->importance.inter[at];
            report->intra_kept +=
                mask[k] ? (double)c->importance.intra[at] : 0.0;
            report->inter_kept +=
                mask[k] ? (double)c->importance.inter[at] : 0.0;
        }
        report->n_heads++;
        report->n_keys += layer->n_rows[g];
        report->n_kept += n_kept;
        report->n_both +=
            c->kept.n_both ? c->kept.n_both[c->kept.n_lists == 1 ? 0 : g] : 0;
        report->bytes_before += layer->n_rows[g] * token_size;
        report->bytes_after += n_kept * token_size;
    }
}

void check_report(diff_case *c)
{
    const uint64_t token_size = random_below(&c->random, 1000);
    csp_report *report = arena_take(&c->arena, sizeof(*report), 0);
    csp_report expected = {.n_keys = random_below(&c->random, 100),
                           .intra_kept = 0.5};
    *report = expected;
    add_to_report(c, token_size, &expected);

    arena_snapshot(&c->arena);
    const csp_status status = csp_report_add(&c->importance, &c->tokens,
                                             &c->kept, token_size, report);
    require(c, status == CSP_OK, "report: %s", csp_status_string(status));

    const csp_report actual = *report;
    require(c,
            is_near(actual.intra_total, expected.intra_total, 1e-12, 0.0) &&
                is_near(actual.inter_total, expected.inter_total, 1e-12, 0.0) &&
                is_near(actual.intra_kept, expected.intra_kept, 1e-12, 0.0) &&
                is_near(actual.inter_kept, expected.inter_kept, 1e-12, 0.0),
            "report: importance");
    expected.intra_total = actual.intra_total;
    expected.inter_total = actual.inter_total;
    expected.intra_kept = actual.intra_kept;
    expected.inter_kept = actual.inter_kept;
    require(c, memcmp(&actual, &expected, sizeof(actual)) == 0,
            "report: counts");
    arena_accept(&c->arena, report, sizeof(*report));
    require_intact(c, "report");
}

/* ---- Rounding ------------------------------------------------------------ */

/* Distance of two neighbours around x in a type. */
static double ulp(double x, csp_dtype dtype)
{
    const int mantissa = dtype == CSP_F32 ? 23 : dtype == CSP_F16 ? 10 : 7;
    const int least = dtype == CSP_F16 ? -14 : -126;
    int exponent = least;
    if (x != 0.0)
        (void)frexp(x, &exponent);
    exponent = exponent - 1 < least ? least : exponent - 1;
    return ldexp(1.0, exponent - mantissa);
}

/* Rounding to a half type comes once, on top of what float32 may be off by. */
static double rounding(double x, csp_dtype dtype)
{
    return dtype == CSP_F32 ? 0.0 : 0.5 * ulp(x, dtype);
}

static void fill_tensor(diff_case *c, const csp_tensor *tensor, double offset,
                        double sigma)
{
    for (uint32_t h = 0; h < tensor->n_heads; h++) {
        for (uint32_t r = 0; r < tensor->n_rows; r++) {
            for (uint32_t i = 0; i < tensor->n_cols; i++)
                tensor_put(tensor, h, r, i,
                           offset + sigma * random_normal(&c->random));
        }
    }
}

/* A copy of the oracle's view of 'input', and where the result goes: in place
   or not. */
static csp_tensor draw_result(diff_case *c, const csp_tensor *input,
                              csp_tensor *copy)
{
    const size_t extent = tensor_extent(input);
    csp_tensor result = *input;
    *copy = *input;
    if (extent == 0)
        return result;
    void *bytes = take_plain(c, extent, 1);
    memcpy(bytes, input->data, extent);
    copy->data = bytes;
    if (random_chance(&c->random, 50))
        result.data =
            arena_take(&c->arena, extent, random_below(&c->random, 8));
    return result;
}

static void accept_element(diff_case *c, const csp_tensor *tensor, uint32_t h,
                           uint32_t r, uint32_t i)
{
    arena_accept(&c->arena,
                 (const unsigned char *)tensor->data +
                     tensor_offset(tensor, h, r, i),
                 oracle_element_size(tensor->dtype));
}

static float *draw_sinks(diff_case *c, uint32_t n_heads)
{
    float *sinks = arena_take(&c->arena, n_heads * sizeof(float), 0);
    for (uint32_t h = 0; h < n_heads; h++) {
        sinks[h] = (float)(5.0 * random_normal(&c->random));
        if (random_chance(&c->random, 20))
            sinks[h] = -INFINITY;
        if (random_chance(&c->random, 5))
            sinks[h] *= 30.0f;
    }
    return sinks;
}

/* ---- Correct ------------------------------------------------------------- */

typedef struct correction {
    csp_tensor outputs; /* as they were */
    csp_tensor result;
    csp_tensor lse;
    double unit;
    const float *sinks;
    const float *residual;
} correction;

static void compare_corrected(diff_case *c, const correction *k, uint32_t h,
                              uint32_t r)
{
    const uint32_t dim = k->outputs.n_cols;
    const double sink = (double)k->sinks[h];
    const double lse = k->unit * tensor_get(&k->lse, h, r, 0);
    for (uint32_t i = 0; i < dim; i++) {
        const double output = tensor_get(&k->outputs, h, r, i);
        const double residual =
            k->residual ? (double)k->residual[h * dim + i] : 0.0;
        const double expected = oracle_correct(output, residual, sink, lse);
        const double actual = tensor_get(&k->result, h, r, i);
        const double error = isinf(sink)
                                 ? 0.0
                                 : 4e-7 * (fabs(output) + fabs(residual)) +
                                       rounding(expected, k->result.dtype);
        require(c, is_near(actual, expected, 1e-6, error),
                "correct: head %u, row %u, channel %u is %.9g instead of %.9g",
                h, r, i, actual, expected);
        accept_element(c, &k->result, h, r, i);
    }
}

void check_correct(diff_case *c)
{
    const uint32_t n_heads = random_between(&c->random, 1, 4);
    const uint32_t n_rows = random_below(&c->random, 5);
    const uint32_t dim = random_between(&c->random, 1, 40);
    const csp_lse_unit unit =
        random_chance(&c->random, 50) ? CSP_LSE_BASE2 : CSP_LSE_NATURAL;
    const csp_tensor outputs =
        draw_tensor(c, draw_dtype(c), n_heads, n_rows, dim, TENSOR_OUTPUT);
    correction k = {.unit = unit == CSP_LSE_BASE2 ? 0.69314718055994531 : 1.0};
    k.lse = draw_tensor(c, CSP_F32, n_heads, n_rows, 1, TENSOR_INPUT);
    k.sinks = draw_sinks(c, n_heads);
    float *residual = arena_take(&c->arena, sizeof(float) * n_heads * dim, 0);
    for (uint32_t i = 0; i < n_heads * dim; i++)
        residual[i] = (float)random_normal(&c->random);
    k.residual = random_chance(&c->random, 70) ? residual : NULL;
    fill_tensor(c, &outputs, 0.0, 1.0);
    fill_tensor(c, &k.lse, 0.0, 5.0);
    if (n_rows > 0 && random_chance(&c->random, 10))
        tensor_put(&k.lse, 0, 0, 0, -(double)INFINITY);
    k.result = draw_result(c, &outputs, &k.outputs);

    arena_snapshot(&c->arena);
    void *corrected = (void *)(uintptr_t)k.result.data;
    const csp_status status =
        csp_correct(&outputs, &k.lse, unit, k.sinks, k.residual, corrected);
    require(c, status == CSP_OK, "correct: %s", csp_status_string(status));
    for (uint32_t h = 0; h < n_heads; h++) {
        for (uint32_t r = 0; r < n_rows; r++)
            compare_corrected(c, &k, h, r);
    }
    require_intact(c, "correct");
}

/* ---- n-softmax ----------------------------------------------------------- */

static void draw_logits(diff_case *c, const csp_tensor *logits)
{
    static const double offsets[] = {0,   0,   12,   -12, 90,
                                     -90, 150, -150, 1e4, -1e4};
    const double offset = offsets[random_below(&c->random, 10)];
    const uint32_t masked = random_chance(&c->random, 50) ? 0 : 20;
    fill_tensor(c, logits, offset, random_chance(&c->random, 80) ? 3.0 : 30.0);
    for (uint32_t h = 0; h < logits->n_heads; h++) {
        for (uint32_t r = 0; r < logits->n_rows; r++) {
            const bool all = random_chance(&c->random, masked / 2);
            for (uint32_t i = 0; i < logits->n_cols; i++) {
                if (all || random_chance(&c->random, masked))
                    tensor_put(logits, h, r, i, -(double)INFINITY);
            }
        }
    }
}

static void compare_weights(diff_case *c, const csp_tensor *logits,
                            const csp_tensor *result, double log_n, uint32_t h,
                            uint32_t r)
{
    double x[ORACLE_MAX_KEYS] = {0}, weights[ORACLE_MAX_KEYS];
    for (uint32_t i = 0; i < logits->n_cols; i++) {
        x[i] = tensor_get(logits, h, r, i);
        if (oracle_masked(x[i], logits->dtype))
            x[i] = -(double)INFINITY;
    }
    oracle_nsoftmax(x, logits->n_cols, log_n, weights);
    for (uint32_t i = 0; i < logits->n_cols; i++) {
        const double actual = tensor_get(result, h, r, i);
        /* 4 ulp of a number just below a power of two; below the normal
           numbers a weight may vanish. */
        const double error =
            rounding(weights[i], result->dtype) + (double)FLT_MIN;
        require(c, is_near(actual, weights[i], 4 * 0x1p-23, error),
                "nsoftmax: head %u, row %u, key %u is %.9g instead of %.9g", h,
                r, i, actual, weights[i]);
        accept_element(c, result, h, r, i);
    }
}

void check_nsoftmax(diff_case *c)
{
    static const double ns[] = {0.0, 1e-3, 1.0, 4.0, 1e6};
    const double n = ns[random_below(&c->random, 5)];
    const uint32_t n_heads = random_between(&c->random, 1, 3);
    const uint32_t n_rows = random_below(&c->random, 4);
    const uint32_t n_cols =
        random_below(&c->random, random_chance(&c->random, 90) ? 40 : 500);
    const csp_tensor logits = draw_tensor(c, draw_dtype(c), n_heads, n_rows,
                                          n_cols, TENSOR_OUTPUT_ROWS);
    const float *sinks =
        random_chance(&c->random, 30) ? draw_sinks(c, n_heads) : NULL;
    csp_tensor copy;
    draw_logits(c, &logits);
    const csp_tensor result = draw_result(c, &logits, &copy);

    arena_snapshot(&c->arena);
    void *weights = (void *)(uintptr_t)result.data;
    const csp_status status =
        csp_nsoftmax(&logits, n, sinks, &c->config.compute, weights);
    require(c, status == CSP_OK, "nsoftmax: %s", csp_status_string(status));
    for (uint32_t h = 0; h < n_heads; h++) {
        for (uint32_t r = 0; r < n_rows; r++)
            compare_weights(c, &copy, &result,
                            sinks ? (double)sinks[h] : log(n), h, r);
    }
    require_intact(c, "nsoftmax");
}
