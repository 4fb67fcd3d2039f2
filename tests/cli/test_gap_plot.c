/*
 * test_gap_plot.c - where the parts of a picture are
 */
#include "cli_test.h"

#include "gap.h"

#include <stdio.h>

enum { N_LAYERS = 7, FIRST = 1000, POINTS = 120, CELL = 204, ROW = 118 };

static gap_layer layers[N_LAYERS];
static double curves[N_LAYERS][2][DENSITY_POINTS];
static const gap all = {.n_layers = N_LAYERS, .layers = layers};

static bool contains(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        print_error("no %s\n", part);
    return strstr(text, part) != NULL;
}

static int count(const char *text, const char *part)
{
    int n = 0;

    for (; (text = strstr(text, part)) != NULL; text++)
        n++;
    return n;
}

/* Ramps in every layer, those across modalities half as high. */
static void make_ramps(size_t first, int points)
{
    memset(layers, 0, sizeof layers);
    memset(curves, 0, sizeof curves);
    for (int l = 0; l < N_LAYERS; l++) {
        layers[l].n_intra = layers[l].n_inter = 1;
        layers[l].intra = curves[l][0];
        layers[l].inter = curves[l][1];
        layers[l].divergence = (double)l / 8.0;
        for (int i = 0; i < points; i++) {
            layers[l].intra[first + (size_t)i] = (double)(i + 1) / points;
            layers[l].inter[first + (size_t)i] = 0.5 * (double)(i + 1) / points;
        }
    }
}

static char *draw(const gap *g)
{
    size_t size;

    assert_int_equal(gap_plot(g, "gap.svg"), DONE);
    return (char *)read_file("gap.svg", &size);
}

/* Five layers in a row. */
TEST(layers_stand_in_rows_of_five)
{
    make_ramps(FIRST, POINTS);
    char *svg = draw(&all);

    assert_true(contains(svg, " viewBox=\"0 0 1052 324\""));
    assert_true(contains(svg, "<rect width=\"1052\" height=\"324\""));
    assert_int_equal(count(svg, "class=\"name\""), N_LAYERS);
    for (int l = 0; l < N_LAYERS; l++) {
        char label[128];
        snprintf(label, sizeof label,
                 "<text class=\"name\" x=\"%d.0\" y=\"%d.0\">layer %d"
                 "<tspan class=\"bits\"> %.3f bits<",
                 16 + CELL * (l % 5), 86 + ROW * (l / 5), l, (double)l / 8.0);
        assert_true(contains(svg, label));
    }
    assert_true(contains(svg, "Jensen-Shannon"));
    free(svg);
}

TEST(a_picture_is_as_wide_as_its_layers)
{
    const gap two = {.n_layers = 2, .layers = layers};

    make_ramps(FIRST, POINTS);
    char *svg = draw(&two);

    assert_true(contains(svg, " viewBox=\"0 0 440 206\""));
    assert_null(strstr(svg, "Jensen-Shannon")); /* there is no room */
    assert_true(contains(svg, "</svg>\n"));
    free(svg);
}

/* Layer 6, whose plot begins at (220, 282) and is 180 by 70. */
TEST(curves_and_ticks_are_where_their_numbers_are)
{
    make_ramps(FIRST, POINTS);
    char *svg = draw(&all);

    assert_true(contains(svg, "<path class=\"axis\" d=\"M220.0 282.0h180\"/>"));
    assert_true(contains(svg, "<path class=\"intra\" d=\"M220.0 281.4L"));
    assert_true(contains(svg, "L310.8 246.4L"));
    assert_true(contains(svg, "L400.0 212.0\"/>"));
    assert_true(contains(svg, "<path class=\"inter\" d=\"M220.0 281.7L"));
    assert_true(contains(svg, "L310.8 264.2L"));
    assert_true(contains(svg, "L400.0 247.0\"/>"));
    /* 1e-32 of 10^-32.184 to 10^-31.254 */
    assert_true(contains(svg, "<path class=\"axis\" d=\"M255.5 282.0v3\"/>"));
    assert_true(contains(svg, "x=\"255.5\" y=\"297.0\">10<tspan dy=\"-4\" "
                              "font-size=\"8\">-32<"));
    assert_int_equal(count(svg, "class=\"tick\""), N_LAYERS);
    free(svg);
}

/* 1400 points are eleven decades: every third has a tick, from 1e-37 on. */
TEST(many_decades_have_few_ticks)
{
    make_ramps(300, 1401);
    char *svg = draw(&all);

    assert_int_equal(count(svg, "class=\"tick\""), 4 * N_LAYERS);
    assert_true(contains(svg, "x=\"26.6\" y=\"179.0\">10<tspan dy=\"-4\" "
                              "font-size=\"8\">-37<"));
    assert_true(contains(svg, "x=\"174.8\" y=\"179.0\">10<tspan dy=\"-4\" "
                              "font-size=\"8\">-28<"));
    free(svg);
}

TEST(a_side_without_pairs_has_no_curve)
{
    make_ramps(FIRST, POINTS);
    layers[1].n_intra = 0;
    layers[2].n_inter = 0;
    layers[1].divergence = layers[2].divergence = (double)NAN;
    char *svg = draw(&all);

    /* one more of each explains the colours */
    assert_int_equal(count(svg, "<path class=\"intra\""), N_LAYERS);
    assert_int_equal(count(svg, "<path class=\"inter\""), N_LAYERS);
    assert_int_equal(count(svg, " bits</tspan>"), N_LAYERS - 2);
    free(svg);
}

/* Of all layers the highest curve and the widest range count. */
TEST(layers_share_their_scales)
{
    make_ramps(FIRST, POINTS);
    for (int i = 0; i < 10; i++)
        layers[3].inter[FIRST + POINTS + i] = 2.0;
    char *svg = draw(&all);

    assert_true(contains(svg, "L808.0 94.0\"/>")); /* the peak of layer 3 */
    assert_true(contains(svg, "M16.0 163.7L"));    /* layer 0: half as high */
    free(svg);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layers_stand_in_rows_of_five),
        cmocka_unit_test(a_picture_is_as_wide_as_its_layers),
        cmocka_unit_test(curves_and_ticks_are_where_their_numbers_are),
        cmocka_unit_test(many_decades_have_few_ticks),
        cmocka_unit_test(a_side_without_pairs_has_no_curve),
        cmocka_unit_test(layers_share_their_scales),
    };

    return RUN_IN_FOLDER(tests);
}
