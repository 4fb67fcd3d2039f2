/*
 * test_digest.c - results are the same bits on every tier, compiler and CPU
 *
 * A thousand fixed cases, made from integers alone, run through the pipeline on
 * each tier of this CPU; the digest of all bits that come out is committed
 * here.  BLAS is outside the promise and not used.
 */
#include "test.h"

#include "random.h"

#define N_CASES 1000

static const uint64_t committed = UINT64_C(0x699fa56c9e5623f5);

enum { MAX_HEADS = 4, MAX_QUERIES = 12, MAX_KEYS = 1200, MAX_DIM = 40 };

/* One case: views into the arrays of the same struct. */
typedef struct sample {
    random_source random;
    uint32_t n_heads, n_kv_heads, n_queries, n_keys, dim;
    csp_span spans[3];
    csp_tokens tokens;
    csp_attention attention;
    csp_tensor values;
    csp_config config;
    unsigned char scores[MAX_HEADS * MAX_QUERIES * MAX_KEYS * 4];
    float lse[MAX_HEADS * MAX_QUERIES];
    float queries[MAX_HEADS * MAX_QUERIES * MAX_DIM];
    float keys[MAX_HEADS * MAX_KEYS * MAX_DIM];
} sample;

static sample the_case;
static float intra[MAX_HEADS * MAX_KEYS], inter[MAX_HEADS * MAX_KEYS];
static float norms[MAX_HEADS * MAX_KEYS];
static uint32_t rows[MAX_HEADS * MAX_KEYS], counts[MAX_HEADS];
static unsigned char workspace[1 << 20];

/* FNV-1a over the bytes of a number, lowest first. */
static void digest_bits(uint64_t *digest, uint64_t bits, int n_bytes)
{
    for (int i = 0; i < n_bytes; i++)
        *digest = (*digest ^ (bits >> 8 * i & 255)) * UINT64_C(0x100000001b3);
}

static void digest_floats(uint64_t *digest, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        digest_bits(digest, bits, 4);
    }
}

static void digest_doubles(uint64_t *digest, const double *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        digest_bits(digest, bits, 8);
    }
}

/* A multiple of 2^-16 in [-range, range): exact in float. */
static float draw(sample *s, uint32_t range)
{
    int64_t steps =
        (int64_t)random_below(&s->random, range << 17) - ((int64_t)range << 16);
    return (float)steps * 0x1p-16f;
}

static void draw_floats(sample *s, float *x, size_t n, uint32_t range)
{
    for (size_t i = 0; i < n; i++)
        x[i] = draw(s, range);
}

/* Logits up to +-8, now and then masked; halves are bits of that size. */
static void draw_scores(sample *s, csp_dtype dtype)
{
    const size_t n = (size_t)s->n_heads * s->n_queries * s->n_keys;

    for (size_t i = 0; i < n; i++) {
        const bool masked = random_chance(&s->random, 5);
        float x = masked ? -INFINITY : draw(s, 8);
        uint16_t half = (uint16_t)(random_below(&s->random, 2) << 15 |
                                   random_below(&s->random, 0x4800));
        if (dtype == CSP_BF16)
            half = (uint16_t)((half & 0x8000u) |
                              (0x3e00u + random_below(&s->random, 0x200)));
        if (masked)
            half = dtype == CSP_F16 ? 0xfc00 : 0xff80;
        if (dtype == CSP_F32)
            memcpy(s->scores + 4 * i, &x, 4);
        else
            memcpy(s->scores + 2 * i, &half, 2);
    }
    s->attention.scores = csp_tensor_packed(s->scores, dtype, s->n_heads,
                                            s->n_queries, s->n_keys);
}

/* Numbers in [0, 1) and a log-sum-exp: probabilities enough for arithmetic. */
static void draw_probabilities(sample *s)
{
    const size_t n = (size_t)s->n_heads * s->n_queries * s->n_keys;

    for (size_t i = 0; i < n; i++) {
        float x = (float)random_below(&s->random, 1u << 20) * 0x1p-30f;
        memcpy(s->scores + 4 * i, &x, 4);
    }
    draw_floats(s, s->lse, (size_t)s->n_heads * s->n_queries, 8);
    s->attention.source = CSP_PROBABILITIES;
    s->attention.scores = csp_tensor_packed(s->scores, CSP_F32, s->n_heads,
                                            s->n_queries, s->n_keys);
    s->attention.lse =
        csp_tensor_packed(s->lse, CSP_F32, s->n_heads, s->n_queries, 1);
}

static void draw_query_key(sample *s)
{
    draw_floats(s, s->queries, (size_t)s->n_heads * s->n_queries * s->dim, 2);
    s->attention.source = CSP_QUERY_KEY;
    s->attention.queries = csp_tensor_packed(s->queries, CSP_F32, s->n_heads,
                                             s->n_queries, s->dim);
    s->attention.keys =
        csp_tensor_packed(s->keys, CSP_F32, s->n_kv_heads, s->n_keys, s->dim);
    s->attention.scale = 0.25f;
    s->attention.softcap = random_chance(&s->random, 30) ? 4.0f : 0.0f;
}

static void draw_settings(sample *s)
{
    static const double ns[] = {0.0, 1.0, 2.5};
    const uint32_t budget = random_below(&s->random, s->n_keys + 1);

    assert_ok(
        csp_config_preset(CSP_PRESET_DEFAULT, s->n_keys, budget, &s->config));
    s->config.compute.product = CSP_PATH_KERNEL;
    s->config.n = ns[random_below(&s->random, 3)];
    s->config.first_vote = 0;
    s->config.pooling = (csp_pooling)random_below(&s->random, 3);
    s->config.pool_width = 1 + 2 * random_below(&s->random, 4);
}

static void draw_case(sample *s, uint64_t seed)
{
    s->random.state = seed;
    s->n_kv_heads = random_between(&s->random, 1, 2);
    s->n_heads = s->n_kv_heads * random_between(&s->random, 1, 2);
    s->n_queries = random_between(&s->random, 1, MAX_QUERIES);
    s->n_keys = random_between(&s->random, s->n_queries,
                               random_chance(&s->random, 10) ? MAX_KEYS : 200);
    s->dim = random_between(&s->random, 1, MAX_DIM);
    for (uint32_t i = 0; i < 3; i++)
        s->spans[i] = (csp_span){.begin = s->n_keys * (2 * i + 1) / 7,
                                 .end = s->n_keys * (2 * i + 2) / 7,
                                 .modality = 1 + i % 2};
    s->tokens = (csp_tokens){.n_kv_heads = s->n_kv_heads,
                             .n_keys = s->n_keys,
                             .spans = s->spans,
                             .n_spans = 3};
    s->attention = (csp_attention){.first_query = s->n_keys - s->n_queries};
    draw_floats(s, s->keys, (size_t)s->n_kv_heads * s->n_keys * s->dim, 2);
    s->values =
        csp_tensor_packed(s->keys, CSP_F32, s->n_kv_heads, s->n_keys, s->dim);
    switch (random_below(&s->random, 5)) {
    case 0:
        draw_probabilities(s);
        break;
    case 1:
        draw_query_key(s);
        break;
    default:
        draw_scores(s, (csp_dtype)random_below(&s->random, 3));
        break;
    }
    draw_settings(s);
}

static void digest_calibration(sample *s, const csp_kept *kept,
                               uint64_t *digest)
{
    double log_mass[MAX_HEADS] = {0.0}, seen[MAX_HEADS] = {0.0};
    float mean[MAX_HEADS * MAX_DIM] = {0.0f};
    const csp_calibration sums = {.log_mass = log_mass,
                                  .rows = seen,
                                  .value = mean,
                                  .n_heads = s->n_heads,
                                  .value_dim = s->dim};

    assert_ok(csp_calibrate(&s->attention, &s->tokens, kept, &s->values,
                            &s->config.compute, workspace, sizeof workspace,
                            &sums));
    digest_doubles(digest, log_mass, s->n_heads);
    digest_doubles(digest, seen, s->n_heads);
    digest_floats(digest, mean, (size_t)s->n_heads * s->dim);
}

static void digest_case(sample *s, csp_tier tier, uint64_t *digest)
{
    const size_t n = (size_t)s->n_kv_heads * s->n_keys;
    const csp_importance importance = {.intra = intra,
                                       .inter = inter,
                                       .value_norm = norms,
                                       .capacity = s->n_keys};
    const csp_kept kept = {.rows = rows,
                           .counts = counts,
                           .n_lists = s->n_kv_heads,
                           .capacity = s->n_keys};

    s->config.compute.tier = tier;
    memset(intra, 0, sizeof intra);
    memset(inter, 0, sizeof inter);
    assert_ok(csp_value_norms(&s->values, &s->tokens, s->n_keys, norms));
    assert_ok(csp_score(&s->attention, &s->tokens, &s->config, workspace,
                        sizeof workspace, &importance));
    assert_ok(csp_select(&importance, &s->tokens, &s->config, workspace,
                         sizeof workspace, &kept));
    digest_floats(digest, intra, n);
    digest_floats(digest, inter, n);
    digest_floats(digest, norms, n);
    for (uint32_t g = 0; g < s->n_kv_heads; g++) {
        digest_bits(digest, counts[g], 4);
        for (uint32_t i = 0; i < counts[g]; i++)
            digest_bits(digest, rows[(size_t)g * s->n_keys + i], 4);
    }
    digest_calibration(s, &kept, digest);
    if (s->attention.source == CSP_LOGITS &&
        s->attention.scores.dtype == CSP_F32) {
        float first_row[MAX_KEYS];
        assert_ok(csp_nsoftmax(&s->attention.scores, s->config.n, NULL,
                               &s->config.compute, s->scores));
        memcpy(first_row, s->scores, s->n_keys * sizeof(float));
        digest_floats(digest, first_row, s->n_keys);
    }
}

static uint64_t digest_of(csp_tier tier)
{
    uint64_t digest = UINT64_C(0xcbf29ce484222325);

    for (uint64_t seed = 0; seed < N_CASES; seed++) {
        draw_case(&the_case, seed);
        digest_case(&the_case, tier, &digest);
    }
    return digest;
}

TEST(results_are_the_committed_bits_on_every_tier)
{
    static const csp_tier tiers[] = {CSP_TIER_SCALAR, CSP_TIER_AVX2,
                                     CSP_TIER_AVX512, CSP_TIER_NEON};

    for (size_t i = 0; i < COUNT(tiers); i++) {
        if (!csp_has_tier(tiers[i]))
            continue;
        const uint64_t digest = digest_of(tiers[i]);
        if (digest != committed)
            fail_msg("tier %d: 0x%016llx", (int)tiers[i],
                     (unsigned long long)digest);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_are_the_committed_bits_on_every_tier),
    };
    return RUN(tests);
}
