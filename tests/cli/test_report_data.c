/*
 * test_report_data.c - bins, sums and sizes of a report's layers
 */
#include "report_data.h" /* before cmocka makes fail() a macro */

#include "test.h"

static report_shape shape_of(uint32_t layers, uint32_t heads, uint32_t keys)
{
    return (report_shape){
        .n_layers = layers, .n_kv_heads = heads, .n_keys = keys};
}

/* Bytes of the bins of all layers. */
static uint64_t size_of(const report_shape *s, const report_grid *g)
{
    return (uint64_t)s->n_layers * s->n_kv_heads * g->n_bins *
           (1 + 2 * g->digits);
}

TEST(report_grid_of_a_short_prompt_is_its_tokens)
{
    const report_shape shape = shape_of(4, 8, 200);

    const report_grid grid = report_grid_of(&shape);

    assert_int_equal(grid.width, 1);
    assert_int_equal(grid.n_bins, 200);
    assert_int_equal(grid.digits, 2);
    assert_int_equal(grid.n_modalities, 1);
}

TEST(report_grid_covers_every_token_once)
{
    static const uint32_t keys[] = {1, 2, 511, 512, 513, 1024, 16384, 99991};

    for (size_t i = 0; i < COUNT(keys); i++) {
        const report_shape shape = shape_of(64, 32, keys[i]);
        const report_grid grid = report_grid_of(&shape);
        assert_true((uint64_t)grid.width * grid.n_bins >= keys[i]);
        assert_true((uint64_t)grid.width * (grid.n_bins - 1) < keys[i]);
        assert_true(grid.n_bins <= 512);
    }
}

TEST(report_grid_stays_small_for_any_shape)
{
    static const uint32_t layers[] = {1, 12, 64, 128, 1000};
    static const uint32_t heads[] = {1, 8, 32, 64};

    for (size_t i = 0; i < COUNT(layers); i++)
        for (size_t j = 0; j < COUNT(heads); j++) {
            const report_shape shape = shape_of(layers[i], heads[j], 200000);
            const report_grid grid = report_grid_of(&shape);
            assert_true(grid.n_bins >= 1);
            if (layers[i] * heads[j] <= 4096)
                assert_true(size_of(&shape, &grid) < 1840000);
        }
}

/* 512 bins of 32 heads with two digits take 84,000 bytes a layer. */
TEST(report_grid_has_two_digits_while_there_is_room)
{
    const report_shape small = shape_of(18, 32, 200000);
    const report_shape large = shape_of(32, 32, 200000);

    assert_int_equal(report_grid_of(&small).digits, 2);
    assert_int_equal(report_grid_of(&small).n_bins, 512);
    assert_int_equal(report_grid_of(&large).digits, 1);
    assert_int_equal(report_grid_of(&large).n_bins, 512);
}

/* Three heads, ten tokens in bins of four: the last has two. */
enum { HEADS = 3, KEYS = 10 };

static const csp_span spans[] = {{2, 5, 1}};
static const report_shape shape = {.n_layers = 1,
                                   .n_kv_heads = HEADS,
                                   .n_keys = KEYS,
                                   .spans = spans,
                                   .n_spans = 1};
static const report_grid grid = {
    .width = 4, .n_bins = 3, .digits = 1, .n_modalities = 2};
static float intra[HEADS * KEYS], inter[HEADS * KEYS];
static uint8_t reasons[HEADS * KEYS];
static report_bins bins;

static void fill(uint32_t n_lists)
{
    const csp_importance importance = {
        .intra = intra, .inter = inter, .capacity = KEYS};
    const report_layer layer = {
        .importance = &importance, .reasons = reasons, .n_lists = n_lists};

    for (int i = 0; i < HEADS * KEYS; i++) {
        intra[i] = (float)i;
        inter[i] = i % KEYS == 3 ? 2.0f : 0.0f;
        reasons[i] = i % KEYS < 3 ? CSP_REASON_PROTECTED : REASON_DROPPED;
    }
    reasons[KEYS + 9] = CSP_REASON_BOTH;
    assert_int_equal(report_bins_create(&shape, &grid, &bins), DONE);
    report_bins_fill(&shape, &grid, &layer, &bins);
}

TEST(report_bins_hold_means_and_counts)
{
    fill(HEADS);

    assert_near(bins.intra[0], 1.5, 0.0);
    assert_near(bins.intra[2], 8.5, 0.0);
    assert_near(bins.intra[3 + 1], 15.5, 0.0);
    assert_near(bins.inter[0], 0.5, 0.0);
    assert_int_equal(bins.kept[0], 3);
    assert_int_equal(bins.kept[2], 0);
    assert_int_equal(bins.kept[3 + 2], 1);
    report_bins_free(&bins);
}

TEST(report_bins_hold_masses_of_kept_tokens)
{
    fill(HEADS);

    const double *mass = bins.mass + N_MASSES;
    assert_near(mass[MASS_INTRA], 145.0, 0.0);
    assert_near(mass[MASS_INTRA_KEPT], 10.0 + 11.0 + 12.0 + 19.0, 0.0);
    assert_near(mass[MASS_INTER], 2.0, 0.0);
    assert_near(mass[MASS_INTER_KEPT], 0.0, 0.0);
    report_bins_free(&bins);
}

TEST(report_bins_split_tokens_by_modality_and_reason)
{
    fill(HEADS);

    /* Head 1, then its modality 0 and 1. */
    const uint32_t *split = bins.split + 2 * N_REASONS;
    assert_int_equal(split[CSP_REASON_PROTECTED], 2);
    assert_int_equal(split[CSP_REASON_BOTH], 1);
    assert_int_equal(split[REASON_DROPPED], 4);
    assert_int_equal(split[N_REASONS + CSP_REASON_PROTECTED], 1);
    assert_int_equal(split[N_REASONS + REASON_DROPPED], 2);
    report_bins_free(&bins);
}

TEST(report_bins_of_a_shared_list_are_every_heads)
{
    fill(1);

    for (uint32_t g = 0; g < HEADS; g++) {
        assert_int_equal(bins.kept[g * 3], 3);
        assert_int_equal(bins.kept[g * 3 + 2], 0);
    }
    report_bins_free(&bins);
}

TEST(report_bins_of_one_token_hold_its_reason)
{
    const report_grid fine = {
        .width = 1, .n_bins = KEYS, .digits = 2, .n_modalities = 2};
    const csp_importance importance = {
        .intra = intra, .inter = inter, .capacity = KEYS};
    const report_layer layer = {
        .importance = &importance, .reasons = reasons, .n_lists = HEADS};
    assert_int_equal(report_bins_create(&shape, &fine, &bins), DONE);

    report_bins_fill(&shape, &fine, &layer, &bins);

    assert_int_equal(bins.kept[KEYS + 9], CSP_REASON_BOTH);
    assert_int_equal(bins.kept[0], CSP_REASON_PROTECTED);
    assert_int_equal(bins.kept[9], REASON_DROPPED);
    report_bins_free(&bins);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(report_grid_of_a_short_prompt_is_its_tokens),
        cmocka_unit_test(report_grid_covers_every_token_once),
        cmocka_unit_test(report_grid_stays_small_for_any_shape),
        cmocka_unit_test(report_grid_has_two_digits_while_there_is_room),
        cmocka_unit_test(report_bins_hold_means_and_counts),
        cmocka_unit_test(report_bins_hold_masses_of_kept_tokens),
        cmocka_unit_test(report_bins_split_tokens_by_modality_and_reason),
        cmocka_unit_test(report_bins_of_a_shared_list_are_every_heads),
        cmocka_unit_test(report_bins_of_one_token_hold_its_reason),
    };
    return RUN(tests);
}
