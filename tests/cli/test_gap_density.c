/*
 * test_gap_density.c - densities against closed forms and a plain estimate
 */
#include "test.h"

#include "gap_density.h"

#define PI 3.14159265358979323846

static density_scale scale;
static density_counts counts;
static double curve[DENSITY_POINTS], other[DENSITY_POINTS];

static void clear(void)
{
    density_scale_init(&scale);
    memset(&counts, 0, sizeof counts);
}

static void add(double log10_weight)
{
    const float w = (float)pow(10.0, log10_weight);
    density_add(&scale, &w, 1, &counts);
}

/* Quantile of the standard normal distribution, by bisection. */
static double normal_quantile(double share)
{
    double low = -10.0, high = 10.0;
    for (int i = 0; i < 60; i++) {
        const double middle = 0.5 * (low + high);
        if (0.5 * erfc(-middle / sqrt(2.0)) < share)
            low = middle;
        else
            high = middle;
    }
    return 0.5 * (low + high);
}

static double gauss(double x, double mean, double deviation)
{
    const double z = (x - mean) / deviation;
    return exp(-0.5 * z * z) / (deviation * sqrt(2.0 * PI));
}

/* A weight is in the bin whose edges are around it. */
static void assert_in_its_bin(float w)
{
    memset(&counts, 0, sizeof counts);
    density_add(&scale, &w, 1, &counts);
    for (int i = 0; i < DENSITY_BINS; i++)
        if (counts.of_bin[i] != 0 &&
            (w < scale.edges[i] || w >= scale.edges[i + 1]))
            fail_msg("%a is not in [%a, %a)", (double)w, (double)scale.edges[i],
                     (double)scale.edges[i + 1]);
    assert_int_equal(counts.n, 1);
}

TEST(density_add_finds_the_bin_at_every_edge)
{
    clear();
    for (int i = 1; i < DENSITY_BINS; i += 3) {
        assert_in_its_bin(scale.edges[i]);
        assert_in_its_bin(nextafterf(scale.edges[i], 0.0f));
        assert_in_its_bin(nextafterf(scale.edges[i], 1.0f));
    }
}

TEST(density_add_skips_what_is_masked_and_counts_what_is_tiny)
{
    const float weights[] = {0.0f, 1e-39f, 1.0f, 2.0f, -1.0f, 1e-38f};
    clear();

    density_add(&scale, weights, COUNT(weights), &counts);

    assert_int_equal(counts.n, 3);
    assert_int_equal(counts.tiny, 1);
    assert_int_equal(counts.of_bin[DENSITY_BINS - 1], 2);
    assert_int_equal(counts.of_bin[0], 1);
}

TEST(density_curve_of_normal_weights_is_the_wider_normal_density)
{
    const double mean = -4.0, deviation = 0.6, h = 0.2;
    clear();
    for (int i = 0; i < 20000; i++)
        add(mean + deviation * normal_quantile((i + 0.5) / 20000.0));

    density_curve(&counts, h, curve);

    const double wide = sqrt(deviation * deviation + h * h);
    const double peak = gauss(mean, mean, wide);
    for (size_t i = 0; i < DENSITY_POINTS; i++)
        if (fabs(curve[i] - gauss(density_at(i), mean, wide)) > 1e-3 * peak)
            fail_msg("at %g: %g", density_at(i), curve[i]);
}

TEST(density_curve_is_near_a_plain_kernel_estimate)
{
    double samples[300];
    uint32_t state = 12345;
    clear();
    for (size_t i = 0; i < COUNT(samples); i++) {
        state = state * 1664525u + 1013904223u;
        samples[i] = -7.0 + 5.0 * (double)(state >> 8) / 0x1p24;
        samples[i] = log10((double)(float)pow(10.0, samples[i]));
        add(samples[i]);
    }
    const double h = density_bandwidth(&counts);

    density_curve(&counts, h, curve);

    double peak = 0.0;
    for (size_t i = 0; i < DENSITY_POINTS; i++)
        peak = fmax(peak, curve[i]);
    for (size_t i = 0; i < DENSITY_POINTS; i += 7) {
        double sum = 0.0;
        for (size_t j = 0; j < COUNT(samples); j++)
            sum += gauss(density_at(i), samples[j], h);
        if (fabs(curve[i] - sum / COUNT(samples)) > 2e-3 * peak)
            fail_msg("at %g: %g, plainly %g", density_at(i), curve[i],
                     sum / COUNT(samples));
    }
}

TEST(density_curve_sums_to_one_at_both_ends_of_the_scale)
{
    const float weights[] = {1.0f, 1.0f, 1e-38f};
    double sum = 0.0;
    clear();
    density_add(&scale, weights, COUNT(weights), &counts);

    density_curve(&counts, DENSITY_WIDEST, curve);

    for (size_t i = 0; i < DENSITY_POINTS; i++)
        sum += curve[i] / DENSITY_PER_DECADE;
    assert_near(sum, 1.0, 1e-12);
}

TEST(density_curve_of_no_weights_is_zero)
{
    clear();

    density_curve(&counts, density_bandwidth(&counts), curve);

    for (size_t i = 0; i < DENSITY_POINTS; i++)
        assert_true(curve[i] == 0.0);
}

TEST(density_bandwidth_is_silvermans)
{
    clear();
    for (int i = 0; i < 1000; i++)
        add(-6.0 + normal_quantile((i + 0.5) / 1000.0));

    const double h = density_bandwidth(&counts);

    /* The interquartile range of a normal distribution is 1.349 deviations. */
    assert_near(h, 0.9 * pow(1000.0, -0.2), 0.02);
}

TEST(density_bandwidth_keeps_its_bounds)
{
    clear();
    for (int i = 0; i < 10; i++)
        add(-2.0);
    assert_near(density_bandwidth(&counts), DENSITY_NARROWEST, 0.0);
    clear();
    add(-37.0);
    add(-1.0);
    assert_near(density_bandwidth(&counts), DENSITY_WIDEST, 0.0);
}

TEST(density_quantile_splits_uniform_weights)
{
    clear();
    for (int i = 0; i < 10000; i++)
        add(-3.0 + (i + 0.5) / 10000.0);

    assert_true(fabs(density_quantile(&counts, 0.25) + 2.75) < 0.005);
    assert_true(fabs(density_quantile(&counts, 1.0) + 2.0) < 0.009);
    memset(&counts, 0, sizeof counts);
    assert_true(isnan(density_quantile(&counts, 0.5)));
}

TEST(density_divergence_of_identical_densities_is_zero)
{
    clear();
    add(-3.0);
    add(-5.0);
    density_curve(&counts, 0.1, curve);

    assert_true(density_divergence(curve, curve, DENSITY_POINTS) == 0.0);
}

TEST(density_divergence_of_disjoint_densities_is_one_bit)
{
    clear();
    add(-3.0);
    density_curve(&counts, 0.1, curve);
    clear();
    add(-9.0);
    density_curve(&counts, 0.1, other);

    assert_near(density_divergence(curve, other, DENSITY_POINTS), 1.0, 1e-12);
}

TEST(density_divergence_has_its_closed_form)
{
    const double p[] = {2.0, 0.0}, q[] = {0.5, 0.5};

    /* With middle (3/4, 1/4): log2(4/3) / 2 + (log2(2/3) + 1) / 4. */
    assert_near(density_divergence(p, q, 2), 0.311278124459132864, 1e-12);
    assert_near(density_divergence(q, p, 2), 0.311278124459132864, 1e-12);
}

TEST(density_divergence_without_weights_is_no_number)
{
    const double p[] = {1.0, 0.0}, none[] = {0.0, 0.0};

    assert_true(isnan(density_divergence(p, none, 2)));
    assert_true(isnan(density_divergence(none, p, 2)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(density_add_finds_the_bin_at_every_edge),
        cmocka_unit_test(
            density_add_skips_what_is_masked_and_counts_what_is_tiny),
        cmocka_unit_test(
            density_curve_of_normal_weights_is_the_wider_normal_density),
        cmocka_unit_test(density_curve_is_near_a_plain_kernel_estimate),
        cmocka_unit_test(density_curve_sums_to_one_at_both_ends_of_the_scale),
        cmocka_unit_test(density_curve_of_no_weights_is_zero),
        cmocka_unit_test(density_bandwidth_is_silvermans),
        cmocka_unit_test(density_bandwidth_keeps_its_bounds),
        cmocka_unit_test(density_quantile_splits_uniform_weights),
        cmocka_unit_test(density_divergence_of_identical_densities_is_zero),
        cmocka_unit_test(density_divergence_of_disjoint_densities_is_one_bit),
        cmocka_unit_test(density_divergence_has_its_closed_form),
        cmocka_unit_test(density_divergence_without_weights_is_no_number),
    };
    return RUN(tests);
}
