/*
 * test_gap_store.c - curves that are made again from what was counted
 */
#include "gap_store.h" /* before cmocka makes fail() a macro */

#include "test.h"

enum { QUERIES = 40, KEYS = 24, LAYERS = 4 };

static const csp_span spans[] = {{3, 15, 1}};
static const csp_tokens tokens = {
    .n_kv_heads = 1, .n_keys = KEYS, .spans = spans, .n_spans = 1};

static float scores[QUERIES * KEYS];
static double intra[LAYERS][DENSITY_POINTS], inter[LAYERS][DENSITY_POINTS];
static gap_layer layers[LAYERS];

/* Layer 0 fills one bin on each side, the others many. */
static void count_layer(gap_counter *counter, uint32_t l)
{
    const csp_attention attention = {
        .source = CSP_LOGITS,
        .scores = csp_tensor_packed(scores, CSP_F32, 1, QUERIES, KEYS)};

    for (uint32_t i = 0; i < COUNT(scores); i++)
        scores[i] = (float)(l * (i * 37 % 101)) / 8.0f;
    gap_counter_reset(counter);
    assert_int_equal(gap_count(counter, "scores", l, &attention, &tokens, 1.0),
                     DONE);
    gap_finish(counter, &layers[l]);
    memcpy(intra[l], layers[l].intra, sizeof intra[l]);
    memcpy(inter[l], layers[l].inter, sizeof inter[l]);
}

static void assert_drawn(gap_store *store, uint32_t l)
{
    gap_layer layer = layers[l];

    layer.intra = layer.inter = NULL;
    gap_store_draw(store, l, &layer);
    assert_memory_equal(layer.intra, intra[l], sizeof intra[l]);
    assert_memory_equal(layer.inter, inter[l], sizeof inter[l]);
}

TEST(curves_made_again_are_the_same_bits)
{
    gap_counter *counter;
    gap_store *store;
    assert_int_equal(gap_counter_create(KEYS, &counter), DONE);
    assert_int_equal(gap_store_create(LAYERS, &store), DONE);

    for (uint32_t l = 0; l < LAYERS; l++) {
        count_layer(counter, l);
        assert_int_equal(gap_store_keep(store, l, counter), DONE);
    }

    for (uint32_t l = LAYERS; l-- > 0;)
        assert_drawn(store, l);
    assert_drawn(store, LAYERS - 1);
    gap_store_free(store);
    gap_counter_free(counter);
}

TEST(curves_of_nothing_are_zero)
{
    static const double none[DENSITY_POINTS];
    gap_layer layer = {.bandwidth = DENSITY_NARROWEST};
    gap_counter *counter;
    gap_store *store;
    assert_int_equal(gap_counter_create(KEYS, &counter), DONE);
    assert_int_equal(gap_store_create(1, &store), DONE);

    assert_int_equal(gap_store_keep(store, 0, counter), DONE);

    gap_store_draw(store, 0, &layer);
    assert_memory_equal(layer.intra, none, sizeof none);
    assert_memory_equal(layer.inter, none, sizeof none);
    gap_store_free(store);
    gap_counter_free(counter);
}

/* As after an error in the middle of a file. */
TEST(store_that_is_not_full_is_freed)
{
    gap_counter *counter;
    gap_store *store;
    assert_int_equal(gap_counter_create(KEYS, &counter), DONE);
    assert_int_equal(gap_store_create(3, &store), DONE);

    assert_int_equal(gap_store_keep(store, 1, counter), DONE);

    gap_store_free(store);
    gap_store_free(NULL);
    gap_counter_free(counter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(curves_made_again_are_the_same_bits),
        cmocka_unit_test(curves_of_nothing_are_zero),
        cmocka_unit_test(store_that_is_not_full_is_freed),
    };
    return RUN(tests);
}
