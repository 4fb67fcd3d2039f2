/*
 * test_prune_settings.c - what the options of csp prune do
 */
#include "prune_fixture.h"

/* Masks of heads [first, first + n) are the same. */
static void assert_alike(const npy_array *mask, int first, int n)
{
    const uint8_t *at = (const uint8_t *)mask->data + first * KEYS;

    for (int i = 1; i < n; i++)
        assert_memory_equal(at + i * KEYS, at, KEYS);
}

TEST(prune_shares_lists_in_a_layer_or_everywhere)
{
    static const char *const scopes[] = {"layer", "global"};

    for (int i = 0; i < 2; i++) {
        command_line line = start();
        add_out(&line);
        add_word(&line, "--budget=7");
        add_word(&line, "--scope=%s", scopes[i]);
        assert_runs(&line);
        npy_array mask = output("mask.npy", "|u1");
        for (int layer = 0; layer < LAYERS; layer++)
            assert_alike(&mask, 2 * layer, 2);
        if (i == 1)
            assert_alike(&mask, 0, 2 * LAYERS);
        assert_each_keeps(7);
        free(mask.data);
    }
}

TEST(prune_keeps_whole_blocks)
{
    command_line line = start();

    add_out(&line);
    add_word(&line, "--budget=9");
    add_word(&line, "--block=4");
    assert_runs(&line);

    npy_array mask = output("mask.npy", "|u1");
    const uint8_t *at = mask.data;
    for (int b = 0; b < LAYERS * 2 * KEYS / 4; b++)
        for (int i = 1; i < 4; i++)
            assert_int_equal(at[4 * b + i], at[4 * b]);
    assert_each_keeps(8);
    free(mask.data);
}

TEST(prune_runs_every_preset)
{
    static const char *const presets[] = {
        "csp", "agnostic", "paper", "reference", "snapkv", "h2o", "streaming"};

    for (size_t i = 0; i < COUNT(presets); i++) {
        command_line line = start();
        add_values(&line);
        add_out(&line);
        add_word(&line, "--preset=%s", presets[i]);
        add_word(&line, "--budget=8");
        assert_runs(&line);
        cJSON *root = json_output("out/summary.json");
        assert_string_equal(find(root, "parameters", "preset")->valuestring,
                            presets[i]);
        cJSON_Delete(root);
    }
}

TEST(prune_options_go_over_a_preset)
{
    command_line line = start();

    add_out(&line);
    add_word(&line, "--preset=csp");
    add_word(&line, "--budget=8");
    add_word(&line, "--weights=visible-rows");
    add_word(&line, "--sinks=3");
    add_word(&line, "--recent=10%%");
    add_word(&line, "--n=0.5");
    add_word(&line, "--inter=2");
    add_word(&line, "--pool=max:3");
    assert_runs(&line);

    cJSON *root = json_output("out/summary.json");
    assert_int_equal(find(root, "parameters", "sinks")->valueint, 3);
    assert_int_equal(find(root, "parameters", "recent")->valueint, 2);
    assert_int_equal(find(root, "parameters", "inter")->valueint, 2);
    assert_near(find(root, "parameters", "n")->valuedouble, 0.5, 0.0);
    assert_true(cJSON_IsFalse(find(root, "parameters", "auto_share")));
    assert_true(cJSON_IsFalse(find(root, "parameters", "value_norm")));
    assert_true(cJSON_IsFalse(find(root, "parameters", "value_distance")));
    assert_true(cJSON_IsTrue(find(root, "parameters", "visible_rows")));
    assert_string_equal(find(root, "parameters", "pool")->valuestring, "max");
    assert_each_keeps(8);
    cJSON_Delete(root);
}

/* What is said last counts, of two that exclude each other. */
TEST(prune_weighs_values_by_norm_or_by_distance)
{
    static const struct {
        const char *weights;
        bool norm, distance, rows;
    } cases[] = {{"value-norm", true, false, false},
                 {"value-distance,visible-rows", false, true, true},
                 {"value-norm,value-distance", false, true, false},
                 {"none", false, false, false}};

    for (size_t i = 0; i < COUNT(cases); i++) {
        command_line line = start();
        add_values(&line);
        add_out(&line);
        add_word(&line, "--preset=csp");
        add_word(&line, "--budget=8");
        add_word(&line, "--weights=%s", cases[i].weights);
        assert_runs(&line);
        cJSON *root = json_output("out/summary.json");
        const cJSON *norm = find(root, "parameters", "value_norm");
        const cJSON *distance = find(root, "parameters", "value_distance");
        const cJSON *rows = find(root, "parameters", "visible_rows");
        assert_int_equal(cJSON_IsTrue(norm), cases[i].norm);
        assert_int_equal(cJSON_IsTrue(distance), cases[i].distance);
        assert_int_equal(cJSON_IsTrue(rows), cases[i].rows);
        cJSON_Delete(root);
    }
}

/* Their mean needs more room than the scores. */
TEST(prune_weighs_wide_values_by_distance)
{
    enum { WIDE = 3000 };
    static const uint32_t shape[] = {LAYERS, 2, KEYS, WIDE};
    static float x[LAYERS * 2 * KEYS * WIDE];
    command_line line = start();

    write_f32(in_folder(&the_folder, "values.npy"), 4, shape, x, COUNT(x));
    add_values(&line);
    add_out(&line);
    add_word(&line, "--budget=8");
    add_word(&line, "--weights=value-distance");
    assert_runs(&line);

    assert_each_keeps(8);
}

TEST(prune_is_plain_without_a_preset)
{
    command_line line = start();

    add_out(&line);
    add_word(&line, "--budget=8");
    assert_runs(&line);

    cJSON *root = json_output("out/summary.json");
    assert_near(find(root, "parameters", "n")->valuedouble, 1.0, 0.0);
    assert_int_equal(find(root, "parameters", "sinks")->valueint, 0);
    assert_int_equal(find(root, "parameters", "recent")->valueint, 0);
    assert_int_equal(find(root, "parameters", "inter")->valueint, 0);
    assert_int_equal(find(root, "parameters", "first_vote")->valueint, 0);
    assert_int_equal(find(root, "parameters", "block")->valueint, 1);
    assert_string_equal(find(root, "parameters", "pool")->valuestring, "none");
    assert_string_equal(find(root, "parameters", "scope")->valuestring, "head");
    assert_string_equal(find(root, "parameters", "select")->valuestring,
                        "exact");
    cJSON_Delete(root);
}

/* A share of what the budget leaves, to the nearest token. */
TEST(prune_divides_the_rest_by_a_share)
{
    command_line line = start();

    add_out(&line);
    add_word(&line, "--budget=10");
    add_word(&line, "--sinks=1");
    add_word(&line, "--recent=2");
    add_word(&line, "--inter-share=0.5");
    add_word(&line, "--select=intersection");
    assert_runs(&line);

    cJSON *root = json_output("out/summary.json");
    assert_int_equal(find(root, "parameters", "inter")->valueint, 4);
    assert_int_equal(find(root, "parameters", "intra")->valueint, 3);
    cJSON_Delete(root);
}

/* The last of five rows is then of the last token that there can be. */
TEST(prune_takes_queries_up_to_the_last_token)
{
    command_line line = start();

    add_out(&line);
    add_word(&line, "--budget=8");
    add_word(&line, "--first-query=4294967290");
    assert_runs(&line);

    cJSON *root = json_output("out/summary.json");
    assert_near(find(root, "shape", "first_query")->valuedouble, 4294967290.0,
                0.0);
    cJSON_Delete(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_files(prune_shares_lists_in_a_layer_or_everywhere),
        with_files(prune_keeps_whole_blocks),
        with_files(prune_runs_every_preset),
        with_files(prune_options_go_over_a_preset),
        with_files(prune_weighs_values_by_norm_or_by_distance),
        with_files(prune_weighs_wide_values_by_distance),
        with_files(prune_is_plain_without_a_preset),
        with_files(prune_divides_the_rest_by_a_share),
        with_files(prune_takes_queries_up_to_the_last_token),
    };

    return RUN(tests);
}
