/*
 * test_gap_layer.c - which weights are counted, and on which side
 */
#include "gap_layer.h" /* before cmocka makes fail() a macro */

#include "test.h"

enum { HEADS = 2, QUERIES = 3, KEYS = 7, FIRST = 4 };

static const csp_span spans[] = {{1, 3, 1}, {5, 6, 1}};
static const csp_tokens tokens = {
    .n_kv_heads = 1, .n_keys = KEYS, .spans = spans, .n_spans = 2};

static float scores[HEADS * QUERIES * KEYS];
static float lse[HEADS * QUERIES];
static gap_layer layer;

static int modality(uint32_t token)
{
    return (token >= 1 && token < 3) || token == 5;
}

static csp_attention attention_of(csp_source source)
{
    csp_attention a = {.source = source, .first_query = FIRST};

    a.scores = csp_tensor_packed(scores, CSP_F32, HEADS, QUERIES, KEYS);
    return a;
}

static outcome count(const csp_attention *attention, double n)
{
    gap_counter *counter;

    assert_int_equal(gap_counter_create(KEYS, &counter), DONE);
    const outcome result =
        gap_count(counter, "scores", 0, attention, &tokens, n);
    gap_finish(counter, &layer);
    gap_counter_free(counter);
    return result;
}

/* What a plain sum says of how many visible pairs there are. */
static void count_pairs(uint64_t *n_intra, uint64_t *n_inter, bool causal)
{
    *n_intra = *n_inter = 0;
    for (uint32_t r = 0; r < QUERIES; r++)
        for (uint32_t k = 0; k < KEYS && (!causal || k <= FIRST + r); k++)
            *(modality(FIRST + r) == modality(k) ? n_intra : n_inter) += HEADS;
}

TEST(gap_counts_visible_pairs_of_each_side)
{
    uint64_t n_intra, n_inter;
    csp_attention attention = attention_of(CSP_LOGITS);

    for (int causal = 0; causal < 2; causal++) {
        attention.mask = causal ? CSP_CAUSAL : CSP_FULL;
        count_pairs(&n_intra, &n_inter, causal);
        assert_int_equal(count(&attention, 1.0), DONE);
        assert_int_equal(layer.n_intra, n_intra);
        assert_int_equal(layer.n_inter, n_inter);
    }
}

TEST(gap_weights_are_those_of_the_n_softmax)
{
    csp_attention attention = attention_of(CSP_LOGITS);
    attention.mask = CSP_FULL;
    for (size_t i = 0; i < COUNT(scores); i++)
        scores[i] = logf(0.5f);

    assert_int_equal(count(&attention, 1.5), DONE);

    /* 0.5 / (1.5 + 7 * 0.5) */
    assert_true(fabs(layer.median_intra - -1.0) < 1.0 / DENSITY_PER_DECADE);
    assert_true(fabs(layer.median_inter - -1.0) < 1.0 / DENSITY_PER_DECADE);
    assert_true(layer.divergence < 1e-9);
    memset(scores, 0, sizeof scores);
}

TEST(gap_of_sides_that_differ_is_near_one_bit)
{
    csp_attention attention = attention_of(CSP_LOGITS);
    for (uint32_t h = 0; h < HEADS; h++)
        for (uint32_t r = 0; r < QUERIES; r++)
            for (uint32_t k = 0; k < KEYS; k++)
                scores[(h * QUERIES + r) * KEYS + k] =
                    modality(FIRST + r) == modality(k) ? 0.0f : -9.0f;

    assert_int_equal(count(&attention, 0.0), DONE);

    assert_true(layer.divergence > 0.99);
    memset(scores, 0, sizeof scores);
}

TEST(gap_leaves_out_masked_keys_and_counts_tiny_weights)
{
    csp_attention attention = attention_of(CSP_LOGITS);
    uint64_t n_intra, n_inter;
    count_pairs(&n_intra, &n_inter, true);
    scores[0] = -INFINITY; /* row 0 is of token 4, text, and so is key 0 */
    scores[3] = -1e30f;
    scores[1] = -1e6f; /* an image, visible, but weight 0 */

    assert_int_equal(count(&attention, 1.0), DONE);

    assert_int_equal(layer.n_intra, n_intra - 2);
    assert_int_equal(layer.n_inter, n_inter - 1);
    assert_int_equal(layer.n_tiny, 1);
    memset(scores, 0, sizeof scores);
}

TEST(gap_of_half_precision_knows_its_mask)
{
    static const uint16_t lowest = 0xfbff; /* -65504 */
    uint16_t half[QUERIES * KEYS] = {0};
    csp_attention attention = {.first_query = FIRST, .mask = CSP_FULL};
    attention.scores = csp_tensor_packed(half, CSP_F16, 1, QUERIES, KEYS);
    half[0] = half[KEYS + 2] = lowest;

    assert_int_equal(count(&attention, 1.0), DONE);

    assert_int_equal(layer.n_intra + layer.n_inter, QUERIES * KEYS - 2);
    assert_int_equal(layer.n_tiny, 0);
}

TEST(gap_takes_probabilities_as_they_are_or_by_their_lse)
{
    csp_attention attention = attention_of(CSP_PROBABILITIES);
    for (size_t i = 0; i < COUNT(scores); i++)
        scores[i] = 0.1f;
    for (size_t i = 0; i < COUNT(lse); i++)
        lse[i] = logf(1.0f / 9.0f);

    assert_int_equal(count(&attention, 0.0), DONE);
    assert_true(fabs(layer.median_intra - -1.0) < 1.0 / DENSITY_PER_DECADE);
    /* 0.1 / (1 + 1 / exp(lse)) */
    attention.lse = csp_tensor_packed(lse, CSP_F32, HEADS, QUERIES, 1);
    assert_int_equal(count(&attention, 1.0), DONE);
    assert_true(fabs(layer.median_intra - -2.0) < 1.0 / DENSITY_PER_DECADE);
    attention.lse_unit = CSP_LSE_BASE2;
    for (size_t i = 0; i < COUNT(lse); i++)
        lse[i] = log2f(1.0f / 9.0f);
    assert_int_equal(count(&attention, 1.0), DONE);
    assert_true(fabs(layer.median_intra - -2.0) < 1.0 / DENSITY_PER_DECADE);
    memset(scores, 0, sizeof scores);
}

TEST(gap_refuses_what_is_not_finite)
{
    csp_attention logits = attention_of(CSP_LOGITS);
    csp_attention probabilities = attention_of(CSP_PROBABILITIES);

    scores[2] = NAN;
    assert_int_equal(count(&logits, 1.0), BAD_INPUT);
    assert_int_equal(count(&probabilities, 0.0), BAD_INPUT);
    scores[2] = -0.5f;
    assert_int_equal(count(&probabilities, 0.0), BAD_INPUT);
    scores[2] = 0.0f;
}

TEST(gap_refuses_a_log_sum_exp_that_is_none)
{
    csp_attention attention = attention_of(CSP_PROBABILITIES);
    attention.lse = csp_tensor_packed(lse, CSP_F32, HEADS, QUERIES, 1);
    for (size_t i = 0; i < COUNT(lse); i++)
        lse[i] = -INFINITY;
    assert_int_equal(count(&attention, 1.0), DONE);

    lse[1] = NAN;
    assert_int_equal(count(&attention, 1.0), BAD_INPUT);
    lse[1] = INFINITY;
    assert_int_equal(count(&attention, 1.0), BAD_INPUT);
}

TEST(gap_of_one_side_only_is_no_number)
{
    csp_tokens text = tokens;
    gap_counter *counter;
    csp_attention attention = attention_of(CSP_LOGITS);
    size_t first, last;
    text.n_spans = 0;
    assert_int_equal(gap_counter_create(KEYS, &counter), DONE);

    assert_int_equal(gap_count(counter, "scores", 0, &attention, &text, 1.0),
                     DONE);
    gap_finish(counter, &layer);

    assert_int_equal(layer.n_inter, 0);
    assert_true(isnan(layer.divergence) && isnan(layer.median_inter));
    gap_support(&layer, &first, &last);
    assert_true(first < last && last < DENSITY_POINTS);
    gap_counter_reset(counter);
    gap_finish(counter, &layer);
    assert_int_equal(layer.n_intra, 0);
    gap_counter_free(counter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gap_counts_visible_pairs_of_each_side),
        cmocka_unit_test(gap_weights_are_those_of_the_n_softmax),
        cmocka_unit_test(gap_of_sides_that_differ_is_near_one_bit),
        cmocka_unit_test(gap_leaves_out_masked_keys_and_counts_tiny_weights),
        cmocka_unit_test(gap_of_half_precision_knows_its_mask),
        cmocka_unit_test(gap_takes_probabilities_as_they_are_or_by_their_lse),
        cmocka_unit_test(gap_refuses_what_is_not_finite),
        cmocka_unit_test(gap_refuses_a_log_sum_exp_that_is_none),
        cmocka_unit_test(gap_of_one_side_only_is_no_number),
    };
    return RUN(tests);
}
