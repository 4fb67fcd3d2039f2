/*
 * digest_results.c - what comes out of a case, bit by bit
 */
#include "digest.h"

#include "../../numeric.h"

#include <string.h>

#define N_LAYERS 2

void digest_bits(uint64_t *digest, uint64_t bits, int n_bytes)
{
    for (int i = 0; i < n_bytes; i++)
        *digest = (*digest ^ (bits >> 8 * i & 255)) * UINT64_C(0x100000001b3);
}

void digest_words(uint64_t *digest, const uint32_t *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        digest_bits(digest, x[i], 4);
}

void digest_floats(uint64_t *digest, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        digest_bits(digest, csp__float_bits(x[i]), 4);
}

void digest_doubles(uint64_t *digest, const double *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        digest_bits(digest, bits, 8);
    }
}

/* ---- Parts --------------------------------------------------------------- */

static void digest_importance(uint64_t *digest, const csp_tokens *tokens,
                              const csp_importance *importance)
{
    for (uint32_t g = 0; g < tokens->n_kv_heads; g++) {
        const size_t at = (size_t)g * importance->capacity;
        const size_t n =
            tokens->counts != NULL ? tokens->counts[g] : tokens->n_keys;
        digest_floats(digest, importance->intra + at, n);
        digest_floats(digest, importance->inter + at, n);
        digest_floats(digest, importance->intra_rows + at, n);
        digest_floats(digest, importance->inter_rows + at, n);
        digest_floats(digest, importance->value_norm + at, n);
    }
}

static void digest_kept(uint64_t *digest, const csp_kept *kept)
{
    digest_words(digest, kept->counts, kept->n_lists);
    if (kept->n_both != NULL)
        digest_words(digest, kept->n_both, kept->n_lists);
    for (uint32_t i = 0; i < kept->n_lists; i++) {
        const size_t at = (size_t)i * kept->capacity;
        digest_words(digest, kept->rows + at, kept->counts[i]);
        for (uint32_t k = 0; k < kept->counts[i]; k++)
            digest_bits(digest, kept->reasons[at + k], 1);
    }
}

/* Room for the sums of a case, zero. */
typedef struct calibration {
    double log_mass[MAX_HEADS], rows[MAX_HEADS];
    float value[MAX_HEADS * MAX_DIM];
    csp_calibration sums;
} calibration;

static void start_calibration(sample *s, calibration *c)
{
    memset(c, 0, sizeof *c);
    c->sums = (csp_calibration){.log_mass = c->log_mass,
                                .rows = c->rows,
                                .value = c->value,
                                .n_heads = s->n_heads,
                                .value_dim = s->dim};
}

/* The sums, and the sinks and residual values they amount to. */
static void digest_calibration(uint64_t *digest, sample *s,
                               const calibration *c)
{
    static float residual[MAX_HEADS * MAX_DIM];
    float sinks[MAX_HEADS] = {0.0f};
    const size_t n = c->sums.n_heads;

    expect_ok(s, csp_calibration_finish(&c->sums, sinks, residual));
    digest_doubles(digest, c->log_mass, n);
    digest_doubles(digest, c->rows, n);
    digest_floats(digest, c->value, n * c->sums.value_dim);
    digest_floats(digest, sinks, n);
    digest_floats(digest, residual, n * c->sums.value_dim);
}

static bool can_calibrate(const csp_attention *attention)
{
    return attention->source != CSP_PROBABILITIES ||
           attention->lse.data != NULL;
}

/* The n-softmax of the first row of each head. */
static void digest_nsoftmax(uint64_t *digest, sample *s)
{
    static unsigned char weights[ARRAY_SIZE];
    const csp_tensor *t = &s->scores.view;
    const int size = t->dtype == CSP_F32 ? 4 : 2;

    expect_ok(s,
              csp_nsoftmax(t, s->config.n, NULL, &s->config.compute, weights));
    for (uint32_t h = 0; h < t->n_heads; h++)
        for (uint32_t c = 0; c < t->n_cols; c++) {
            const unsigned char *at =
                weights + h * t->head_stride + c * (size_t)size;
            uint32_t word;
            uint16_t half;
            memcpy(&half, at, sizeof half);
            if (size == 4)
                memcpy(&word, at, sizeof word);
            else
                word = half;
            digest_bits(digest, word, size);
        }
}

/* ---- Verbs --------------------------------------------------------------- */

static unsigned char workspace[1 << 20];

static void digest_choice(uint64_t *digest, sample *s,
                          const csp_importance *importance,
                          const csp_kept *kept)
{
    static calibration c;

    expect_ok(s, csp_select(importance, &s->tokens, &s->config, workspace,
                            sizeof workspace, kept));
    digest_kept(digest, kept);
    digest_moments(digest, s, kept);
    if (!can_calibrate(&s->attention))
        return;
    start_calibration(s, &c);
    expect_ok(s, csp_calibrate(&s->attention, &s->tokens, kept, &s->values.view,
                               &s->config.compute, workspace, sizeof workspace,
                               &c.sums));
    digest_calibration(digest, s, &c);
}

uint64_t digest_verbs(sample *s, csp_tier tier)
{
    static float sums[5][MAX_KV_HEADS * MAX_KEYS];
    static uint32_t rows[MAX_KV_HEADS * MAX_KEYS];
    static uint8_t reasons[MAX_KV_HEADS * MAX_KEYS];
    uint32_t counts[MAX_KV_HEADS] = {0}, n_both[MAX_KV_HEADS] = {0};
    const csp_importance importance = {sums[0], sums[1], sums[2],
                                       sums[3], sums[4], s->n_keys};
    const csp_kept kept = {
        .rows = rows,
        .counts = counts,
        .n_both = n_both,
        .n_lists = s->config.scope == CSP_PER_HEAD ? s->n_kv_heads : 1,
        .capacity = s->n_keys,
        .reasons = reasons};
    uint64_t digest = DIGEST_START;

    s->config.compute.tier = tier;
    memset(sums, 0, sizeof sums);
    expect_ok(s, csp_value_norms(&s->values.view, &s->tokens, s->n_keys,
                                 importance.value_norm));
    expect_ok(s, csp_score(&s->attention, &s->tokens, &s->config, workspace,
                           sizeof workspace, &importance));
    digest_importance(&digest, &s->tokens, &importance);
    digest_choice(&digest, s, &importance, &kept);
    expect_ok(s, csp_value_distances(&s->values.view, &s->tokens, workspace,
                                     sizeof workspace, s->n_keys,
                                     importance.value_norm));
    digest_importance(&digest, &s->tokens, &importance);
    if (s->attention.source == CSP_LOGITS)
        digest_nsoftmax(&digest, s);
    return digest;
}

/* ---- Pruner -------------------------------------------------------------- */

static csp_tensor rows_of(csp_tensor tensor, uint32_t begin, uint32_t end)
{
    if (tensor.data != NULL)
        tensor.data =
            (const unsigned char *)tensor.data + begin * tensor.row_stride;
    tensor.n_rows = end - begin;
    return tensor;
}

/* Query rows [begin, end) of an attention. */
static csp_attention chunk_of(csp_attention attention, uint32_t begin,
                              uint32_t end)
{
    attention.first_query += begin;
    attention.scores = rows_of(attention.scores, begin, end);
    attention.lse = rows_of(attention.lse, begin, end);
    attention.queries = rows_of(attention.queries, begin, end);
    return attention;
}

/* Both layers see the same, the first in two chunks. */
static void score_layers(sample *s, csp_pruner *pruner)
{
    const uint32_t middle = s->n_queries / 2;
    const csp_attention first = chunk_of(s->attention, 0, middle);
    const csp_attention second = chunk_of(s->attention, middle, s->n_queries);

    expect_ok(s, csp_pruner_score(pruner, 0, &first));
    expect_ok(s, csp_pruner_score(pruner, 0, &second));
    expect_ok(s, csp_pruner_score(pruner, 1, &s->attention));
    for (uint32_t layer = 0; layer < N_LAYERS; layer++)
        expect_ok(s, csp_pruner_set_values(pruner, layer, &s->values.view));
}

static void digest_layer_sums(uint64_t *digest, sample *s,
                              const csp_pruner *pruner, uint32_t layer)
{
    csp_tokens tokens = {.n_kv_heads = 0};
    csp_importance importance = {.capacity = 0};

    expect_ok(s, csp_pruner_tokens(pruner, layer, &tokens));
    expect_ok(s, csp_pruner_importance(pruner, layer, &importance));
    digest_importance(digest, &tokens, &importance);
}

static void digest_plan(uint64_t *digest, sample *s, csp_pruner *pruner,
                        uint32_t layer)
{
    static calibration c;
    csp_kept kept = {.n_lists = 0};

    expect_ok(s, csp_pruner_kept(pruner, layer, &kept));
    digest_kept(digest, &kept);
    if (can_calibrate(&s->attention)) {
        start_calibration(s, &c);
        expect_ok(s, csp_pruner_calibrate(pruner, layer, &s->attention,
                                          &s->values.view, &c.sums));
        digest_calibration(digest, s, &c);
    }
}

uint64_t digest_round(sample *s, csp_tier tier, const csp_parallel *parallel)
{
    csp_pruner *pruner = NULL;
    uint64_t digest = DIGEST_START;

    s->config.compute.tier = tier;
    expect_ok(s, csp_pruner_create(N_LAYERS, s->n_kv_heads, &s->config, NULL,
                                   parallel, &pruner));
    expect_ok(s, csp_pruner_set_spans(pruner, s->spans, s->tokens.n_spans));
    score_layers(s, pruner);
    expect_ok(s, csp_pruner_plan(pruner));
    for (uint32_t layer = 0; layer < N_LAYERS; layer++) {
        digest_layer_sums(&digest, s, pruner, layer);
        digest_plan(&digest, s, pruner, layer);
    }
    expect_ok(s, csp_pruner_apply(pruner, NULL, 0, NULL));
    for (uint32_t layer = 0; layer < N_LAYERS; layer++)
        digest_layer_sums(&digest, s, pruner,
                          layer); /* of kept rows, decayed */
    csp_pruner_destroy(pruner);
    return digest;
}
