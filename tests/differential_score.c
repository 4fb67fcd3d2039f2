/*
 * differential_score.c - importance, value norms and calibration against the
 * oracle
 */
#include "differential.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What the header promises of importance, and room for what is next to zero. */
#define RELATIVE 5e-6
#define ABSOLUTE 1e-7

/* An error of the logits by e is one of exp(x_j) and of the sum by a factor
   exp(e). */
static double relative_error(const diff_case *c)
{
    return RELATIVE + 2.0 * c->logit_error;
}

/* ---- Score --------------------------------------------------------------- */

/* What sums held before: multiples of 1/64, exact in float32. */
static float draw_base(diff_case *c, bool zero)
{
    return zero ? 0.0f : (float)random_below(&c->random, 256) / 64.0f;
}

static void draw_bases(diff_case *c, float **arrays, double **expected)
{
    const oracle_layer *layer = &c->layer;
    for (uint32_t i = 0; i < 4; i++) {
        const bool zero = i >= 2 || random_chance(&c->random, 70);
        expected[i] = take_plain(c, (size_t)layer->n_kv_heads * layer->n_keys,
                                 sizeof(double));
        for (uint32_t g = 0; g < layer->n_kv_heads && arrays[i] != NULL; g++) {
            for (uint32_t k = 0; k < layer->n_rows[g]; k++) {
                const float base = draw_base(c, zero);
                arrays[i][(size_t)g * c->importance.capacity + k] = base;
                expected[i][(size_t)g * layer->n_keys + k] = (double)base;
            }
        }
    }
}

static void score_chunk(diff_case *c, uint32_t begin, uint32_t end)
{
    const csp_attention attention = attention_rows(&c->attention, begin, end);
    csp_tokens tokens = c->tokens;
    if (c->growing && attention.first_query + (end - begin) < tokens.n_keys)
        tokens.n_keys = attention.first_query + (end - begin);

    const size_t size =
        csp_score_workspace_size(&attention, &tokens, &c->config);
    require(c, size > 0, "score: no workspace size");
    void *workspace = take_workspace(c, size);
    const csp_status status = csp_score(&attention, &tokens, &c->config,
                                        workspace, size, &c->importance);
    require(c, status == CSP_OK, "score: %s", csp_status_string(status));
    arena_accept(&c->arena, workspace, size);
}

static void compare_importance(diff_case *c, const char *name,
                               const float *actual, const double *expected,
                               double relative, double absolute)
{
    const oracle_layer *layer = &c->layer;
    for (uint32_t g = 0; g < layer->n_kv_heads && actual != NULL; g++) {
        const float *row = actual + (size_t)g * c->importance.capacity;
        for (uint32_t k = 0; k < layer->n_rows[g]; k++) {
            const double x = expected[(size_t)g * layer->n_keys + k];
            require(c, is_near((double)row[k], x, relative, absolute),
                    "score: %s of head %u, row %u is %.9g instead of %.9g",
                    name, g, k, (double)row[k], x);
        }
        arena_accept(&c->arena, row, layer->n_rows[g] * sizeof(*row));
    }
}

void check_score(diff_case *c)
{
    const csp_importance *to = &c->importance;
    float *arrays[] = {to->intra, to->inter, to->intra_rows, to->inter_rows};
    double *expected[4];
    draw_bases(c, arrays, expected);
    oracle_score(&c->layer, c->config.n, expected[0], expected[1], expected[2],
                 expected[3]);

    arena_snapshot(&c->arena);
    for (uint32_t i = 0; i < c->n_chunks; i++)
        score_chunk(c, i > 0 ? c->chunk_end[i - 1] : 0, c->chunk_end[i]);

    compare_importance(c, "intra", to->intra, expected[0], relative_error(c),
                       ABSOLUTE);
    compare_importance(c, "inter", to->inter, expected[1], relative_error(c),
                       ABSOLUTE);
    compare_importance(c, "intra_rows", to->intra_rows, expected[2], 0.0, 0.0);
    compare_importance(c, "inter_rows", to->inter_rows, expected[3], 0.0, 0.0);
    require_intact(c, "score");
}

/* ---- Value norms --------------------------------------------------------- */

/* Of a row, or of what it differs from the mean row of its head. */
static double norm_of_row(const diff_case *c, uint32_t g, uint32_t k,
                          bool centered)
{
    const oracle_layer *layer = &c->layer;
    const uint32_t dim = c->values.n_cols, n = layer->n_rows[g];
    const double *head = c->value_numbers + (size_t)g * layer->n_keys * dim;
    double squares = 0.0;

    for (uint32_t i = 0; i < dim; i++) {
        double mean = 0.0;
        for (uint32_t r = 0; centered && r < n; r++)
            mean += head[(size_t)r * dim + i] / n;
        const double x = head[(size_t)k * dim + i] - mean;
        squares += x * x;
    }
    return sqrt(squares);
}

static void compare_norms(diff_case *c, const char *what, bool centered)
{
    for (uint32_t g = 0; g < c->layer.n_kv_heads; g++)
        for (uint32_t k = 0; k < c->layer.n_rows[g]; k++) {
            const float *norm =
                &c->importance
                     .value_norm[(size_t)g * c->importance.capacity + k];
            const double expected = norm_of_row(c, g, k, centered);
            /* What is left of a row beside its mean is rounded as the row. */
            const double rounding =
                centered ? 1e-6 * norm_of_row(c, g, k, false) : 0.0;
            require(c, is_near((double)*norm, expected, 1e-6, 1e-30 + rounding),
                    "%s: head %u, row %u is %.9g instead of %.9g", what, g, k,
                    (double)*norm, expected);
            arena_accept(&c->arena, norm, sizeof(*norm));
        }
    require_intact(c, what);
}

static void check_value_distances(diff_case *c)
{
    const size_t size = csp_value_distances_workspace_size(c->layer.n_kv_heads,
                                                           c->values.n_cols);
    void *workspace = malloc(size);

    arena_snapshot(&c->arena);
    require(c,
            workspace != NULL &&
                csp_value_distances(&c->values, &c->tokens, workspace, size,
                                    c->importance.capacity,
                                    c->importance.value_norm) == CSP_OK,
            "value_distances are refused");
    free(workspace);
    compare_norms(c, "value_distances", true);
}

void check_value_norms(diff_case *c)
{
    check_value_distances(c);
    arena_snapshot(&c->arena);
    require(c,
            csp_value_norms(&c->values, &c->tokens, c->importance.capacity,
                            c->importance.value_norm) == CSP_OK,
            "value_norms are refused");
    compare_norms(c, "value_norms", false);
}

/* ---- Calibrate ----------------------------------------------------------- */

/*
 * A row's log mass is off by a few float32 roundings and what the logits are
 * off by. The log of a probability may be -100, and its rounding to float32
 * then costs 4e-6.
 */
static double log_error(const diff_case *c)
{
    return 5e-6 + c->logit_error + (c->layer.probabilities ? 4e-6 : 0.0);
}

/* A float32 sum that had 'base' before, of values up to 'size'. */
static double value_error(const diff_case *c, double rows, double size,
                          double base)
{
    return (RELATIVE + 2.0 * log_error(c)) * (rows * size + fabs(base)) + 1e-30;
}

static double largest_value(const diff_case *c, uint32_t g)
{
    const oracle_layer *layer = &c->layer;
    double size = 0.0;
    for (uint32_t k = 0; k < layer->n_rows[g]; k++) {
        for (uint32_t i = 0; i < c->values.n_cols; i++)
            size = fmax(size,
                        fabs(c->value_numbers[((size_t)g * layer->n_keys + k) *
                                                  c->values.n_cols +
                                              i]));
    }
    return size;
}

static csp_calibration draw_sums(diff_case *c)
{
    const uint32_t n_heads = c->layer.n_heads;
    const uint32_t dim = c->values.n_cols;
    const bool zero = random_chance(&c->random, 70);
    csp_calibration sums = {
        .log_mass = arena_take(&c->arena, n_heads * sizeof(double), 0),
        .rows = arena_take(&c->arena, n_heads * sizeof(double), 0),
        .value = arena_take(&c->arena, n_heads * dim * sizeof(float), 0),
        .n_heads = n_heads,
        .value_dim = dim};
    for (uint32_t h = 0; h < n_heads; h++) {
        sums.log_mass[h] = (double)draw_base(c, zero);
        sums.rows[h] = zero ? 0.0 : random_below(&c->random, 5);
    }
    for (uint32_t i = 0; i < n_heads * dim; i++)
        sums.value[i] = draw_base(c, zero);
    if (random_chance(&c->random, 20)) {
        sums.value = NULL;
        sums.value_dim = 0;
    }
    return sums;
}

/* Compare query head h and accept what it has; 'before' is the arena's copy. */
static void compare_sums(diff_case *c, const csp_calibration *sums,
                         const csp_calibration *before, uint32_t h)
{
    const uint32_t g = h / (c->layer.n_heads / c->layer.n_kv_heads);
    const uint32_t dim = c->values.n_cols;
    uint8_t mask[ORACLE_MAX_KEYS] = {0};
    double value[64];
    uint32_t n_kept;
    const uint32_t *rows = kept_of(&c->kept, g, &n_kept);
    for (uint32_t i = 0; i < n_kept; i++)
        mask[rows[i]] = 1;

    const oracle_dropped dropped = oracle_calibrate(
        &c->layer, h, mask,
        c->value_numbers + (size_t)g * c->layer.n_keys * dim, dim, value);
    const double mass = before->log_mass[h] + dropped.log_mass;
    require(c, sums->rows[h] == before->rows[h] + dropped.rows,
            "calibrate: head %u has %g rows instead of %g", h, sums->rows[h],
            before->rows[h] + dropped.rows);
    require(c,
            is_near(sums->log_mass[h], mass, 1e-12,
                    log_error(c) * dropped.rows + 1e-7 * dropped.magnitude),
            "calibrate: log mass of head %u is %.12g instead of %.12g", h,
            sums->log_mass[h], mass);
    arena_accept(&c->arena, &sums->rows[h], sizeof(double));
    arena_accept(&c->arena, &sums->log_mass[h], sizeof(double));
    if (sums->value == NULL)
        return;
    const double size = largest_value(c, g);
    for (uint32_t i = 0; i < dim; i++) {
        const float *actual = &sums->value[h * dim + i];
        const double base = (double)before->value[h * dim + i];
        require(c,
                is_near((double)*actual, base + value[i], 0.0,
                        value_error(c, dropped.rows, size, base)),
                "calibrate: value %u of head %u is %.9g instead of %.9g", i, h,
                (double)*actual, base + value[i]);
        arena_accept(&c->arena, actual, sizeof(*actual));
    }
}

static void check_finish(diff_case *c, const csp_calibration *sums)
{
    const uint32_t dim = sums->value_dim;
    float *sinks = arena_take(&c->arena, sums->n_heads * sizeof(float), 0);
    float *residual =
        arena_take(&c->arena, sums->n_heads * dim * sizeof(float), 0);
    if (sums->value == NULL)
        residual = NULL;

    arena_snapshot(&c->arena);
    const csp_status status = csp_calibration_finish(sums, sinks, residual);
    require(c, status == CSP_OK, "finish: %s", csp_status_string(status));

    for (uint32_t h = 0; h < sums->n_heads; h++) {
        const bool dropped = sums->rows[h] > 0.0;
        const double sink =
            dropped ? sums->log_mass[h] / sums->rows[h] : -(double)INFINITY;
        require(c, is_near((double)sinks[h], sink, 0x1p-23, 0.0),
                "finish: sink of head %u is %.9g instead of %.9g", h,
                (double)sinks[h], sink);
        for (uint32_t i = 0; residual != NULL && i < dim; i++) {
            const double mean =
                dropped ? (double)sums->value[h * dim + i] / sums->rows[h]
                        : 0.0;
            require(
                c, is_near((double)residual[h * dim + i], mean, 0x1p-23, 1e-40),
                "finish: residual %u of head %u is %.9g instead of %.9g", i, h,
                (double)residual[h * dim + i], mean);
        }
    }
    arena_accept(&c->arena, sinks, sums->n_heads * sizeof(float));
    if (residual != NULL)
        arena_accept(&c->arena, residual, sums->n_heads * dim * sizeof(float));
    require_intact(c, "finish");
}

void check_calibrate(diff_case *c)
{
    const bool possible = !c->layer.probabilities || c->layer.lse != NULL;
    const csp_calibration sums = draw_sums(c);
    csp_calibration before = sums;
    before.log_mass = take_plain(c, sums.n_heads, sizeof(double));
    before.rows = take_plain(c, sums.n_heads, sizeof(double));
    before.value =
        take_plain(c, (size_t)sums.n_heads * sums.value_dim, sizeof(float));
    memcpy(before.log_mass, sums.log_mass, sums.n_heads * sizeof(double));
    memcpy(before.rows, sums.rows, sums.n_heads * sizeof(double));
    if (sums.value != NULL)
        memcpy(before.value, sums.value,
               (size_t)sums.n_heads * sums.value_dim * sizeof(float));

    arena_snapshot(&c->arena);
    uint32_t begin = 0;
    for (uint32_t i = 0; i < c->n_chunks; i++) {
        const csp_attention attention =
            attention_rows(&c->attention, begin, c->chunk_end[i]);
        const size_t size = csp_calibrate_workspace_size(&attention, &c->tokens,
                                                         sums.value_dim);
        require(c, size > 0, "calibrate: no workspace size");
        void *workspace = take_workspace(c, size);
        const csp_status status = csp_calibrate(
            &attention, &c->tokens, &c->kept, sums.value ? &c->values : NULL,
            &c->config.compute, workspace, size, &sums);
        require(c, status == (possible ? CSP_OK : CSP_E_CONFIG),
                "calibrate: %s", csp_status_string(status));
        arena_accept(&c->arena, workspace, size);
        begin = c->chunk_end[i];
    }
    for (uint32_t h = 0; h < sums.n_heads && possible; h++)
        compare_sums(c, &sums, &before, h);
    require_intact(c, "calibrate");
    if (possible)
        check_finish(c, &sums);
}
