/*
 * test_gap_print.c - the table and the object that csp gap prints
 */
#include "cli_test.h"

#include "gap.h"

#include <cjson/cJSON.h>

enum { FIRST = 1000, POINTS = 200 };

/* A layer with pairs on both sides, and one without pairs across modalities;
   the curve is a ramp of as many points as are printed. */
static gap_layer layers[2];
static double curves[2][2][DENSITY_POINTS];
static prune_options options = {.scores = "a\x1b.npy"};
static const gap all = {.options = &options,
                        .scores = "f32 [2][1][1]",
                        .n = 1.5,
                        .n_layers = 2,
                        .layers = layers};

static void make_layers(void)
{
    layers[0] = (gap_layer){.n_intra = 7,
                            .n_inter = 8,
                            .n_tiny = 9,
                            .median_intra = -1.0,
                            .median_inter = -2.5,
                            .bandwidth = 0.25,
                            .divergence = 0.5,
                            .intra = curves[0][0],
                            .inter = curves[0][1]};
    layers[1] = layers[0];
    layers[1].intra = curves[1][0];
    layers[1].inter = curves[1][1];
    for (int i = 0; i < POINTS; i++)
        layers[0].intra[FIRST + i] = (double)(i + 1) / 128.0;
    layers[1].n_inter = 0;
    layers[1].median_inter = layers[1].divergence = (double)NAN;
}

static outcome print_table(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    return gap_print_table(&all);
}

static outcome print_json(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    return gap_print_json(&all);
}

TEST(table_has_a_line_for_each_layer)
{
    const char *none[] = {NULL};

    make_layers();

    assert_int_equal(run_command(print_table, none), DONE);

    assert_string_equal(
        command_output,
        "attention weights of f32 [2][1][1], n = 1.5\n\n"
        "             pairs            median weight   kernel   divergence\n"
        "layer       intra       inter      intra      inter  decades    bits\n"
        "    0           7           8   1.00e-01   3.16e-03    0.250  0.5000\n"
        "    1           7           0   1.00e-01          -    0.250       -\n"
        "mean                                                               "
        "0.5000\n");
}

TEST(table_without_a_divergence_has_no_mean)
{
    const char *none[] = {NULL};

    make_layers();
    layers[0].divergence = (double)NAN;

    assert_int_equal(run_command(print_table, none), DONE);

    assert_non_null(strstr(command_output, "0.250       -\nmean "));
    assert_string_equal(command_output + strlen(command_output) - 4, "  -\n");
}

static const cJSON *member(const cJSON *object, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);

    if (item == NULL)
        fail_msg("no %s", key);
    return item;
}

static double number(const cJSON *object, const char *key)
{
    assert_true(cJSON_IsNumber(member(object, key)));
    return member(object, key)->valuedouble;
}

static double point(const cJSON *density, const char *key, int i)
{
    const cJSON *list = member(density, key);

    assert_int_equal(cJSON_GetArraySize(list), POINTS);
    return cJSON_GetArrayItem(list, i)->valuedouble;
}

TEST(object_has_each_layer_with_its_curves)
{
    const char *none[] = {NULL};

    make_layers();
    assert_int_equal(run_command(print_json, none), DONE);
    cJSON *root = cJSON_Parse(command_output);

    assert_string_equal(member(root, "scores")->valuestring, "a\\x1b.npy");
    assert_string_equal(member(root, "type")->valuestring, "f32 [2][1][1]");
    assert_near(number(root, "n"), 1.5, 0.0);
    assert_near(number(root, "mean_divergence_bits"), 0.5, 0.0);
    assert_int_equal(cJSON_GetArraySize(member(root, "layers")), 2);
    const cJSON *o = cJSON_GetArrayItem(member(root, "layers"), 0);
    assert_near(number(o, "divergence_bits"), 0.5, 0.0);
    assert_near(number(o, "bandwidth_decades"), 0.25, 0.0);
    assert_near(number(o, "pairs_too_small"), 9.0, 0.0);
    assert_near(number(member(o, "intra"), "pairs"), 7.0, 0.0);
    assert_near(number(member(o, "intra"), "median_log10_weight"), -1.0, 0.0);
    assert_near(number(member(o, "inter"), "pairs"), 8.0, 0.0);
    assert_near(number(member(o, "inter"), "median_log10_weight"), -2.5, 0.0);
    const cJSON *density = member(o, "density");
    for (int i = 0; i < POINTS; i++) {
        const double at = density_at(FIRST + (size_t)i);
        assert_true(fabs(point(density, "log10_weight", i) - at) < 6e-6);
        assert_true(fabs(point(density, "intra", i) - (i + 1) / 128.0) < 6e-6);
        assert_near(point(density, "inter", i), 0.0, 0.0);
    }
    o = cJSON_GetArrayItem(member(root, "layers"), 1);
    assert_true(cJSON_IsNull(member(o, "divergence_bits")));
    assert_true(
        cJSON_IsNull(member(member(o, "inter"), "median_log10_weight")));
    cJSON_Delete(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_has_a_line_for_each_layer),
        cmocka_unit_test(table_without_a_divergence_has_no_mean),
        cmocka_unit_test(object_has_each_layer_with_its_curves),
    };

    return RUN(tests);
}
