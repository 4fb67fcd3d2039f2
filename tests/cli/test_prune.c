/*
 * test_prune.c - what csp prune writes and prints, over layers and settings
 */
#include "scores_file.h"

#include "../../examples/npy.h" /* there is another in src/cli */

#include <cjson/cJSON.h>

/* ---- Fixture ------------------------------------------------------------- */

static folder the_folder;

static int set_up(void **state)
{
    (void)state;
    the_folder = make_folder();
    write_scores(in_folder(&the_folder, "scores.npy"), NO_NAN);
    write_values(in_folder(&the_folder, "values.npy"), 2);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    remove_folder(&the_folder);
    return 0;
}

/* csp prune on the fixture's scores, with 2 KV heads and an image. */
static command_line start(void)
{
    command_line line = start_line("prune");

    add_word(&line, "%s", in_folder(&the_folder, "scores.npy"));
    add_word(&line, "--kv-heads=2");
    add_word(&line, "--spans=2:12=image");
    return line;
}

static void assert_runs(command_line *line)
{
    char errors[1024];
    const int code = run_program(&the_folder, line);

    read_text(in_folder(&the_folder, ERROR_FILE), errors, sizeof errors);
    if (code != 0)
        fail_msg("exit code %d: %s", code, errors);
    assert_string_equal(errors, "");
}

static void add_out(command_line *line)
{
    add_word(line, "--out=%s", in_folder(&the_folder, "out"));
}

static void add_values(command_line *line)
{
    add_word(line, "--values=%s", in_folder(&the_folder, "values.npy"));
}

static bool has_output(const char *name)
{
    char path[64];

    snprintf(path, sizeof path, "out/%s", name);
    return access(in_folder(&the_folder, path), F_OK) == 0;
}

static npy_array output(const char *name, const char *descr)
{
    char path[64];
    npy_array array = {0};

    snprintf(path, sizeof path, "out/%s", name);
    assert_true(npy_read(in_folder(&the_folder, path), descr, &array));
    return array;
}

static void assert_shape(const npy_array *array, uint32_t rank,
                         const uint32_t *shape)
{
    assert_int_equal(array->rank, rank);
    for (uint32_t i = 0; i < rank; i++)
        assert_int_equal(array->shape[i], shape[i]);
}

static cJSON *json_output(const char *name)
{
    static char text[65536];

    read_text(in_folder(&the_folder, name), text, sizeof text);
    cJSON *root = cJSON_Parse(text);
    assert_non_null(root);
    return root;
}

static const cJSON *find(const cJSON *root, const char *object, const char *key)
{
    const cJSON *o = cJSON_GetObjectItemCaseSensitive(root, object);
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(o, key);

    if (item == NULL)
        fail_msg("no %s in %s", key, object);
    return item;
}

/* Kept tokens of each head, all alike. */
static void assert_each_keeps(uint32_t count)
{
    npy_array mask = output("mask.npy", "|u1");
    const uint8_t *at = mask.data;

    for (int head = 0; head < LAYERS * 2; head++, at += KEYS) {
        uint32_t n = 0;
        for (int k = 0; k < KEYS; k++)
            n += at[k];
        assert_int_equal(n, count);
    }
    free(mask.data);
}

/* ---- Files --------------------------------------------------------------- */

TEST(prune_writes_every_array_with_its_layers)
{
    command_line line = start();

    add_values(&line);
    add_out(&line);
    add_word(&line, "--budget=25%%");
    assert_runs(&line);

    npy_array mask = output("mask.npy", "|u1");
    npy_array keep = output("keep.npy", "<u4");
    npy_array importance = output("importance.npy", "<f4");
    npy_array sinks = output("sink_logits.npy", "<f4");
    npy_array residual = output("residual.npy", "<f4");
    assert_shape(&mask, 3, (const uint32_t[]){LAYERS, 2, KEYS});
    assert_shape(&keep, 3, (const uint32_t[]){LAYERS, 2, 5});
    assert_shape(&importance, 4, (const uint32_t[]){LAYERS, 2, 2, KEYS});
    assert_shape(&sinks, 2, (const uint32_t[]){LAYERS, HEADS});
    assert_shape(&residual, 3, (const uint32_t[]){LAYERS, HEADS, DIM});
    assert_each_keeps(5);
    free(mask.data);
    free(keep.data);
    free(importance.data);
    free(sinks.data);
    free(residual.data);
}

TEST(prune_fills_short_lists_up)
{
    command_line line = start();

    add_out(&line);
    add_word(&line, "--select=reference");
    add_word(&line, "--intra=3");
    add_word(&line, "--inter=3");
    assert_runs(&line);

    npy_array keep = output("keep.npy", "<u4");
    npy_array mask = output("mask.npy", "|u1");
    const uint32_t *list = keep.data, widest = keep.shape[2];
    const uint8_t *bytes = mask.data;
    bool is_reached = false;
    for (int head = 0; head < LAYERS * 2; head++, bytes += KEYS) {
        uint32_t n = 0;
        for (uint32_t k = 0; k < KEYS; k++)
            if (bytes[k] != 0)
                assert_int_equal(list[n++], k);
        is_reached = is_reached || n == widest;
        for (; n < widest; n++)
            assert_int_equal(list[n], UINT32_MAX);
        list += widest;
    }
    assert_true(is_reached);
    assert_in_range(widest, 3, 6);
    free(keep.data);
    free(mask.data);
}

TEST(prune_removes_what_an_earlier_decision_left)
{
    command_line line = start();
    add_values(&line);
    add_out(&line);
    add_word(&line, "--budget=5");
    assert_runs(&line);
    assert_true(has_output("residual.npy"));
    write_bytes(in_folder(&the_folder, "out/mine.txt"), "x", 1);

    line = start();
    add_out(&line);
    add_word(&line, "--budget=6");
    assert_runs(&line);

    assert_false(has_output("residual.npy"));
    assert_true(has_output("mine.txt"));
    assert_each_keeps(6);
    assert_int_equal(count_files(in_folder(&the_folder, "out")), 6);
}

TEST(prune_that_fails_leaves_the_earlier_decision)
{
    command_line line = start();
    add_out(&line);
    add_word(&line, "--budget=5");
    assert_runs(&line);
    write_scores(in_folder(&the_folder, "scores.npy"),
                 2 * (size_t)HEADS * QUERIES * KEYS); /* in the last layer */

    line = start();
    add_out(&line);
    add_word(&line, "--budget=6");
    assert_int_equal(run_program(&the_folder, &line), 2);

    assert_each_keeps(5);
    assert_int_equal(count_files(in_folder(&the_folder, "out")), 5);
}

TEST(prune_without_log_sum_exp_has_no_sinks_and_says_so)
{
    char text[4096];
    command_line line = start();

    add_out(&line);
    add_word(&line, "--budget=5");
    add_word(&line, "--kind=probs");
    add_word(&line, "--n=0");
    assert_runs(&line);

    assert_false(has_output("sink_logits.npy"));
    assert_true(has_output("mask.npy"));
    read_text(in_folder(&the_folder, OUTPUT_FILE), text, sizeof text);
    assert_non_null(strstr(text, "no sink logits: "));
    assert_null(strstr(text, "sink_logits.npy"));
}

TEST(prune_that_keeps_all_has_sinks_of_no_mass)
{
    command_line line = start();

    add_out(&line);
    add_word(&line, "--budget=100%%");
    assert_runs(&line);

    npy_array sinks = output("sink_logits.npy", "<f4");
    const float *x = sinks.data;
    for (int i = 0; i < LAYERS * HEADS; i++)
        assert_true(x[i] == -INFINITY);
    assert_each_keeps(KEYS);
    free(sinks.data);
}

/* ---- Scopes, blocks, presets --------------------------------------------- */

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
    assert_true(cJSON_IsTrue(find(root, "parameters", "visible_rows")));
    assert_string_equal(find(root, "parameters", "pool")->valuestring, "max");
    assert_each_keeps(8);
    cJSON_Delete(root);
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

/* ---- Summaries ----------------------------------------------------------- */

TEST(prune_prints_the_object_that_it_writes)
{
    static char file[65536], text[65536];
    command_line line = start();

    add_out(&line);
    add_word(&line, "--json");
    add_word(&line, "--budget=8");
    assert_runs(&line);

    read_text(in_folder(&the_folder, "out/summary.json"), file, sizeof file);
    read_text(in_folder(&the_folder, OUTPUT_FILE), text, sizeof text);
    assert_string_equal(text, file);
    cJSON *root = json_output("out/summary.json");
    assert_int_equal(find(root, "shape", "layers")->valueint, LAYERS);
    assert_int_equal(find(root, "tokens", "image")->valueint, 10);
    assert_int_equal(find(root, "tokens", "text")->valueint, 10);
    const cJSON *kept = find(root, "kept", "all");
    assert_int_equal(cJSON_GetArraySize(kept), LAYERS);
    assert_int_equal(cJSON_GetArraySize(kept->child), 2);
    assert_int_equal(kept->child->child->valueint, 8);
    const cJSON *mass = find(root, "retained_mass", "all");
    assert_true(mass->child->child->valuedouble > 0.0);
    assert_true(mass->child->child->valuedouble < 1.0);
    cJSON_Delete(root);
}

/* Sixteen modalities, and as many layers as there are. */
TEST(prune_summary_fits_a_screen)
{
    char text[8192];
    int n_lines = 0;
    command_line line = start_line("prune");

    add_word(&line, "%s", in_folder(&the_folder, "scores.npy"));
    add_word(&line,
             "--spans=1:2=1,2:3=2,3:4=3,4:5=4,5:6=5,6:7=6,7:8=7,8:9=8,9:10=9,"
             "10:11=10,11:12=11,12:13=12,13:14=13,14:15=14,15:16=15");
    add_word(&line, "--kind=probs");
    add_word(&line, "--n=0");
    add_word(&line, "--preset=h2o");
    add_word(&line, "--budget=8");
    add_out(&line);
    assert_runs(&line);

    read_text(in_folder(&the_folder, OUTPUT_FILE), text, sizeof text);
    for (const char *at = text; *at != '\0'; at++)
        n_lines += *at == '\n';
    assert_in_range(n_lines, 10, 24);
    assert_non_null(strstr(text, "  others "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prune_writes_every_array_with_its_layers),
        cmocka_unit_test(prune_fills_short_lists_up),
        cmocka_unit_test(prune_removes_what_an_earlier_decision_left),
        cmocka_unit_test(prune_that_fails_leaves_the_earlier_decision),
        cmocka_unit_test(prune_without_log_sum_exp_has_no_sinks_and_says_so),
        cmocka_unit_test(prune_that_keeps_all_has_sinks_of_no_mass),
        cmocka_unit_test(prune_shares_lists_in_a_layer_or_everywhere),
        cmocka_unit_test(prune_keeps_whole_blocks),
        cmocka_unit_test(prune_runs_every_preset),
        cmocka_unit_test(prune_options_go_over_a_preset),
        cmocka_unit_test(prune_is_plain_without_a_preset),
        cmocka_unit_test(prune_divides_the_rest_by_a_share),
        cmocka_unit_test(prune_prints_the_object_that_it_writes),
        cmocka_unit_test(prune_summary_fits_a_screen),
    };
    struct CMUnitTest with_fixture[COUNT(tests)];

    for (size_t i = 0; i < COUNT(tests); i++) {
        with_fixture[i] = tests[i];
        with_fixture[i].setup_func = set_up;
        with_fixture[i].teardown_func = tear_down;
    }
    return RUN(with_fixture);
}
