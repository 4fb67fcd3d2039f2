/*
 * test_pieces.c - rows too long to be kept have the importance of whole ones
 *
 * The same logits are made by the kernels beforehand and scored as such: every
 * bit has to be the same.
 */
#include "test.h"

#include "digest.h"
#include "kernels.h"
#include "numeric.h"
#include "pieces.h"
#include "random.h"

/* Of importance, on every tier and machine. */
static const uint64_t committed = UINT64_C(0xd26da2310b62bbd4);

enum { HEADS = 2, QUERIES = 40, KEYS = 17000, DIM = 21 };

typedef struct fixture {
    float queries[HEADS * QUERIES * DIM];
    float keys[KEYS * DIM];
    float logits[HEADS * QUERIES * KEYS];
    float sums[2][2][KEYS]; /* of queries and keys, of logits */
    csp_span image;
    csp_tokens tokens;
    csp_attention attention;
    csp_config config;
} fixture;

static fixture the_fixture;

static fixture *set_up(void)
{
    fixture *f = &the_fixture;
    random_source random = {3};

    memset(f, 0, sizeof *f);
    for (size_t i = 0; i < COUNT(f->queries); i++)
        f->queries[i] = (float)random_normal(&random);
    for (size_t i = 0; i < COUNT(f->keys); i++)
        f->keys[i] = (float)random_normal(&random);
    f->image = (csp_span){.begin = 500, .end = 16970, .modality = 1};
    f->tokens = (csp_tokens){
        .n_kv_heads = 1, .n_keys = KEYS, .spans = &f->image, .n_spans = 1};
    f->attention.source = CSP_QUERY_KEY;
    f->attention.first_query = KEYS - QUERIES;
    f->attention.scale = 0.5f;
    f->attention.queries =
        csp_tensor_packed(f->queries, CSP_F32, HEADS, QUERIES, DIM);
    f->attention.keys = csp_tensor_packed(f->keys, CSP_F32, 1, KEYS, DIM);
    assert_ok(csp_config_init(&f->config));
    f->config.compute.product = CSP_PATH_KERNEL;
    return f;
}

static csp_status score(fixture *f, const csp_attention *attention,
                        float sums[2][KEYS])
{
    const csp_importance importance = {
        .intra = sums[0], .inter = sums[1], .capacity = KEYS};
    const size_t size =
        csp_score_workspace_size(attention, &f->tokens, &f->config);
    assert_true(size > 0);
    guarded workspace = guard(NULL, size);

    const csp_status status = csp_score(attention, &f->tokens, &f->config,
                                        workspace.data, size, &importance);
    unguard(&workspace);
    return status;
}

/* Score both ways and compare bits. */
static void check(fixture *f)
{
    csp__kernels kernels;
    csp_attention whole = f->attention;
    csp__kernels_choose(&f->config.compute, &kernels);
    kernels.product(f->queries, HEADS * QUERIES, f->keys, DIM, KEYS, DIM,
                    f->attention.scale, f->logits, KEYS);
    whole.source = CSP_LOGITS;
    whole.scores = csp_tensor_packed(f->logits, CSP_F32, HEADS, QUERIES, KEYS);

    assert_ok(score(f, &f->attention, f->sums[0]));
    assert_ok(score(f, &whole, f->sums[1]));

    assert_true(f->sums[0][0][600] > 0.0f);
    assert_memory_equal(f->sums[0], f->sums[1], sizeof f->sums[0]);
}

TEST(pieces_sum_up_to_the_bits_of_whole_rows)
{
    fixture *f = set_up();
    csp__window window;

    assert_ok(csp__check_window(&f->attention, &f->tokens, false, &window));
    assert_true(csp__in_pieces(&window));
    check(f);
}

TEST(pieces_of_rows_unlike_each_other_are_rescaled)
{
    fixture *f = set_up();
    for (size_t r = 0; r < HEADS * QUERIES; r += 3)
        for (size_t i = 0; i < DIM; i++)
            f->queries[r * DIM + i] *= r % 2 != 0 ? 70.0f : 1e6f;

    check(f);
}

/* Around the largest logits that a scale fits. */
TEST(pieces_of_large_logits_are_those_of_rows)
{
    fixture *f = set_up();
    for (size_t i = 0; i < COUNT(f->keys); i++)
        f->keys[i] = i % DIM == 0 ? 1.0f : 1e-5f * f->keys[i];
    for (size_t r = 0; r < HEADS * QUERIES; r++) {
        f->queries[r * DIM] = 524280.0f + 4.0f * (float)(r % 5);
        for (size_t i = 1; i < DIM; i++)
            f->queries[r * DIM + i] *= 1e4f;
    }

    check(f);
}

TEST(pieces_have_the_committed_bits)
{
    fixture *f = set_up();
    uint64_t digest = DIGEST_START;

    assert_ok(score(f, &f->attention, f->sums[0]));
    digest_floats(&digest, &f->sums[0][0][0], 2 * (size_t)KEYS);

    if (digest != committed)
        fail_msg("got 0x%016llx", (unsigned long long)digest);
}

TEST(pieces_with_every_key_visible_and_no_sink)
{
    fixture *f = set_up();
    f->attention.mask = CSP_FULL;
    f->config.n = 0.0;

    check(f);
}

TEST(pieces_on_every_tier_are_the_same)
{
    static const csp_tier tiers[] = {CSP_TIER_AVX2, CSP_TIER_AVX512,
                                     CSP_TIER_NEON};
    fixture *f = set_up();
    f->config.compute.tier = CSP_TIER_SCALAR;
    assert_ok(score(f, &f->attention, f->sums[0]));

    for (size_t i = 0; i < COUNT(tiers); i++) {
        if (!csp_has_tier(tiers[i]))
            continue;
        f->config.compute.tier = tiers[i];
        memset(f->sums[1], 0, sizeof f->sums[1]);
        assert_ok(score(f, &f->attention, f->sums[1]));
        assert_memory_equal(f->sums[0], f->sums[1], sizeof f->sums[0]);
    }
}

TEST(pieces_of_half_precision_keys_and_capped_logits)
{
    fixture *f = set_up();
    static uint16_t halves[KEYS * DIM];
    for (size_t i = 0; i < COUNT(halves); i++) {
        halves[i] = csp__to_f16(f->keys[i]);
        f->keys[i] = csp__from_f16(halves[i]);
    }
    f->attention.softcap = 2.0f;
    assert_ok(score(f, &f->attention, f->sums[0]));

    f->attention.keys = csp_tensor_packed(halves, CSP_F16, 1, KEYS, DIM);
    assert_ok(score(f, &f->attention, f->sums[1]));

    assert_memory_equal(f->sums[0], f->sums[1], sizeof f->sums[0]);
    assert_true(f->sums[0][1][600] > 0.0f);
}

TEST(pieces_with_a_number_that_is_none_are_refused)
{
    fixture *f = set_up();

    f->keys[16999 * DIM] = INFINITY;
    assert_status(score(f, &f->attention, f->sums[0]), CSP_E_NOT_FINITE);
    f->keys[16999 * DIM] = 0.0f;
    f->queries[39 * DIM + 2] = NAN;
    assert_status(score(f, &f->attention, f->sums[0]), CSP_E_NOT_FINITE);
}

TEST(pieces_take_less_memory_than_rows)
{
    const csp_tokens tokens = {.n_kv_heads = 1, .n_keys = 131072};
    csp_attention a = {.source = CSP_QUERY_KEY, .scale = 1.0f};
    csp_config config;
    a.queries = csp_tensor_packed(&a, CSP_F32, 4, 64, 128);
    a.keys = csp_tensor_packed(&a, CSP_F32, 1, 131072, 128);
    assert_ok(csp_config_init(&config));

    assert_true(csp_score_workspace_size(&a, &tokens, &config) < 1 << 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_sum_up_to_the_bits_of_whole_rows),
        cmocka_unit_test(pieces_of_rows_unlike_each_other_are_rescaled),
        cmocka_unit_test(pieces_of_large_logits_are_those_of_rows),
        cmocka_unit_test(pieces_have_the_committed_bits),
        cmocka_unit_test(pieces_with_every_key_visible_and_no_sink),
        cmocka_unit_test(pieces_on_every_tier_are_the_same),
        cmocka_unit_test(pieces_of_half_precision_keys_and_capped_logits),
        cmocka_unit_test(pieces_with_a_number_that_is_none_are_refused),
        cmocka_unit_test(pieces_take_less_memory_than_rows),
    };
    return RUN(tests);
}
