/*
 * metamorphic.c - a case, what becomes of it, and copies of it
 */
#include "metamorphic.h"

#include "numeric.h"

static unsigned char workspace[1 << 20];

/* ---- Outcomes ------------------------------------------------------------ */

csp_importance importance_of(const sample *s, outcome *o)
{
    return (csp_importance){o->sums[0], o->sums[1], o->sums[2],
                            o->sums[3], o->sums[4], s->n_keys};
}

static void calibrate(const sample *s, const csp_kept *kept, outcome *o)
{
    const csp_calibration sums = {o->log_mass, o->mass_rows, o->value,
                                  s->n_heads, s->dim};

    if (s->attention.source != CSP_PROBABILITIES ||
        s->attention.lse.data != NULL)
        assert_ok(csp_calibrate(&s->attention, &s->tokens, kept,
                                &s->values.view, &s->config.compute, workspace,
                                sizeof workspace, &sums));
}

void run_verbs(const sample *s, bool with_values, outcome *o)
{
    memset(o, 0, sizeof *o);
    const csp_importance importance = importance_of(s, o);
    const csp_kept kept = {
        .rows = o->rows,
        .counts = o->counts,
        .n_both = o->n_both,
        .n_lists = s->config.scope == CSP_PER_HEAD ? s->n_kv_heads : 1,
        .capacity = s->n_keys,
        .reasons = o->reasons};

    if (with_values)
        assert_ok(csp_value_norms(&s->values.view, &s->tokens, s->n_keys,
                                  importance.value_norm));
    score_rows(s, 0, s->n_queries, o);
    assert_ok(csp_select(&importance, &s->tokens, &s->config, workspace,
                         sizeof workspace, &kept));
    if (with_values)
        calibrate(s, &kept, o);
}

static csp_tensor tensor_rows(csp_tensor tensor, uint32_t begin, uint32_t end)
{
    if (tensor.data != NULL)
        tensor.data =
            (const unsigned char *)tensor.data + begin * tensor.row_stride;
    tensor.n_rows = end - begin;
    return tensor;
}

void score_rows(const sample *s, uint32_t begin, uint32_t end, outcome *o)
{
    const csp_importance importance = importance_of(s, o);
    csp_attention part = s->attention;

    part.first_query += begin;
    part.scores = tensor_rows(part.scores, begin, end);
    part.lse = tensor_rows(part.lse, begin, end);
    part.queries = tensor_rows(part.queries, begin, end);
    assert_ok(csp_score(&part, &s->tokens, &s->config, workspace,
                        sizeof workspace, &importance));
}

void assert_same_outcomes(const outcome *a, const outcome *b)
{
    assert_memory_equal(a, b, sizeof *a);
}

uint32_t rows_of_head(const sample *s, uint32_t g)
{
    return s->tokens.counts != NULL ? s->tokens.counts[g] : s->n_keys;
}

static double n_added(const sample *s)
{
    return (double)(s->n_queries * (s->n_heads / s->n_kv_heads));
}

double error_of_sums(const sample *s)
{
    return 2.0 * (3e-6 + n_added(s) * 0x1p-24);
}

double lost_of_sums(const sample *s)
{
    return 2.0 * n_added(s) * 0x1p-125;
}

static int compare_descending(const void *a, const void *b)
{
    float x, y;

    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x < y) - (x > y);
}

bool is_clear_cut(const sample *s, const outcome *o, uint32_t g, uint32_t n,
                  double error)
{
    const uint32_t n_rows = rows_of_head(s, g);
    const size_t at = (size_t)g * s->n_keys;
    float totals[MAX_KEYS];

    if (n == 0 || n >= n_rows)
        return false;
    for (uint32_t i = 0; i < n_rows; i++)
        totals[i] = o->sums[0][at + i] + o->sums[1][at + i];
    qsort(totals, n_rows, sizeof *totals, compare_descending);
    return (double)totals[n - 1] * (1.0 - error) >
           (double)totals[n] * (1.0 + error) + 2.0 * lost_of_sums(s);
}

/* ---- Cases --------------------------------------------------------------- */

static csp_tier draw_tier(random_source *random)
{
    const csp_tier tier = (csp_tier)random_below(random, 5);

    return csp_has_tier(tier) ? tier : CSP_TIER_AUTO;
}

void draw_any(sample *s, uint64_t seed, bool fresh)
{
    draw_case(s, seed, fresh);
    assert_ok(s->status);
    s->config.compute.tier = draw_tier(&s->random);
}

void draw_plain(sample *s, uint64_t seed, bool fresh)
{
    static const double ns[] = {0.0, 0.5, 1.0, 2.5};
    random_source *random = &s->random;

    draw_any(s, seed, fresh);
    s->scores.data = s->scores.memory;
    s->scores.view = csp_tensor_packed(s->scores.data, CSP_F32, s->n_heads,
                                       s->n_queries, s->n_keys);
    s->attention.source = CSP_LOGITS;
    s->attention.scores = s->scores.view;
    for (uint32_t h = 0; h < s->n_heads; h++)
        for (uint32_t r = 0; r < s->n_queries; r++)
            for (uint32_t c = 0; c < s->n_keys; c++)
                *logit_of(s, h, r, c) =
                    random_chance(random, 10)
                        ? -INFINITY
                        : (float)random_below(random, 1u << 20) * 0x1p-16f -
                              8.0f;
    assert_ok(csp_config_init(&s->config));
    s->config.compute.tier = draw_tier(random);
    s->config.n = ns[random_below(random, COUNT(ns))];
    s->config.n_intra = 0;
    s->config.budget = random_between(random, 1, s->n_keys);
}

float *logit_of(sample *s, uint32_t h, uint32_t r, uint32_t c)
{
    const size_t row = (size_t)h * s->n_queries + r;

    return (float *)(void *)s->scores.data + row * s->n_keys + c;
}

/* ---- Copies -------------------------------------------------------------- */

void copy_settings(const sample *a, sample *b)
{
    memcpy(b, a, offsetof(sample, scores));
    if (a->tokens.spans != NULL)
        b->tokens.spans = b->spans;
    if (a->tokens.counts != NULL)
        b->tokens.counts = b->counts;
    if (a->tokens.positions != NULL)
        b->tokens.positions = b->positions;
}

/* Padded, interleaved, or transposed where columns need not be contiguous. */
static void lay_out_anew(random_source *random, bool contiguous, array *to)
{
    const uint32_t kind = random_below(random, contiguous ? 2 : 3);
    const size_t size = to->view.dtype == CSP_F32 ? 4 : 2;
    csp_tensor *view = &to->view;

    if (kind == 0) {
        to->data += random_below(random, 8);
        view->row_stride += random_below(random, 12);
        view->head_stride = view->n_rows * view->row_stride + size;
    } else if (kind == 1) {
        view->head_stride = view->row_stride;
        view->row_stride *= view->n_heads;
    } else {
        view->row_stride = size;
        view->col_stride = view->n_rows * size;
    }
    view->data = to->data;
}

static float widened(uint16_t half, csp_dtype dtype, bool logits)
{
    const float x =
        dtype == CSP_F16 ? csp__from_f16(half) : csp__from_bf16(half);

    return dtype == CSP_F16 && logits && x <= -65504.0f ? -INFINITY : x;
}

/* 'group' heads go together; logits know masks that a type has alone. */
static void copy_tensor(const csp_tensor *from, const manner *how,
                        uint32_t group, bool contiguous, bool logits,
                        random_source *random, array *to)
{
    const size_t size = from->dtype == CSP_F32 ? 4 : 2;
    const bool widen = how->widen && size == 2;

    to->data = to->memory;
    to->view = csp_tensor_packed(to->data, widen ? CSP_F32 : from->dtype,
                                 from->n_heads, from->n_rows, from->n_cols);
    if (how->other_layout)
        lay_out_anew(random, contiguous, to);
    for (uint32_t h = 0; h < from->n_heads; h++)
        for (uint32_t r = 0; r < from->n_rows; r++)
            for (uint32_t c = 0; c < from->n_cols; c++) {
                const uint32_t source =
                    how->heads == NULL
                        ? h
                        : how->heads[h / group] * group + h % group;
                const unsigned char *at = (const unsigned char *)from->data +
                                          source * from->head_stride +
                                          r * from->row_stride +
                                          c * from->col_stride;
                unsigned char *put = to->data + h * to->view.head_stride +
                                     r * to->view.row_stride +
                                     c * to->view.col_stride;
                uint16_t half;
                memcpy(&half, at, sizeof half);
                const float x =
                    widen ? widened(half, from->dtype, logits) : 0.0f;
                memcpy(put, widen ? (const void *)&x : at, widen ? 4 : size);
            }
}

void copy_tensors(const sample *a, const manner *how, sample *b)
{
    const uint32_t group = a->n_heads / a->n_kv_heads;
    const csp_attention *from = &a->attention;
    random_source *random = &b->random;

    if (from->source == CSP_QUERY_KEY) {
        copy_tensor(&from->queries, how, group, false, false, random,
                    &b->queries);
        copy_tensor(&from->keys, how, 1, false, false, random, &b->keys);
        b->attention.queries = b->queries.view;
        b->attention.keys = b->keys.view;
    } else {
        copy_tensor(&from->scores, how, group, true, from->source == CSP_LOGITS,
                    random, &b->scores);
        b->attention.scores = b->scores.view;
    }
    if (from->source == CSP_PROBABILITIES && from->lse.data != NULL) {
        copy_tensor(&from->lse, how, group, false, false, random, &b->lse);
        b->attention.lse = b->lse.view;
    }
    copy_tensor(&a->values.view, how, 1, false, false, random, &b->values);
}
