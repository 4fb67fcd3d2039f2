/*
 * test_prune_files.c - what csp prune writes and prints
 */
#include "prune_fixture.h"

#include <sys/stat.h>

static bool has_output(const char *name)
{
    char path[64];

    snprintf(path, sizeof path, "out/%s", name);
    return access(in_folder(&the_folder, path), F_OK) == 0;
}

static void assert_shape(const npy_array *array, uint32_t rank,
                         const uint32_t *shape)
{
    assert_int_equal(array->rank, rank);
    for (uint32_t i = 0; i < rank; i++)
        assert_int_equal(array->shape[i], shape[i]);
}

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

/* Scores and the values of 2 KV heads, as tensors "s" and "v" of one file. */
static void write_tensors(const char *path)
{
    static float x[N_SCORES + N_VALUES];
    static unsigned char file[8 + 256 + sizeof x];
    char header[257];

    make_scores(x, NO_NAN);
    const size_t n = N_SCORES + make_values(x + N_SCORES, 2);
    if (element_is_swapped(true))
        elements_swap(x, n, sizeof *x);
    snprintf(header, sizeof header,
             "{\"s\":{\"dtype\":\"F32\",\"shape\":[%d,%d,%d,%d],"
             "\"data_offsets\":[0,%zu]},"
             "\"v\":{\"dtype\":\"F32\",\"shape\":[%d,2,%d,%d],"
             "\"data_offsets\":[%zu,%zu]}}",
             LAYERS, HEADS, QUERIES, KEYS, N_SCORES * sizeof *x, LAYERS, KEYS,
             DIM, N_SCORES * sizeof *x, n * sizeof *x);
    memset(file, ' ', sizeof file);
    memcpy(file, (const unsigned char[8]){0, 1}, 8);
    memcpy(file + 8, header, strlen(header));
    memcpy(file + 8 + 256, x, n * sizeof *x);
    write_bytes(path, file, 8 + 256 + n * sizeof *x);
}

/* The residual of a line, with what all of them have. */
static npy_array residual_of(command_line *line)
{
    add_word(line, "--kv-heads=2");
    add_word(line, "--budget=5");
    add_out(line);
    assert_runs(line);
    return output("residual.npy", "<f4");
}

TEST(prune_takes_scores_and_values_from_one_file)
{
    command_line line = start_line("prune");
    add_word(&line, "%s", in_folder(&the_folder, "scores.npy"));
    add_values(&line);
    npy_array expected = residual_of(&line);
    write_tensors(in_folder(&the_folder, "tensors"));

    line = start_line("prune");
    add_word(&line, "%s", in_folder(&the_folder, "tensors"));
    add_word(&line, "--tensor=s");
    add_word(&line, "--values=%s", in_folder(&the_folder, "tensors"));
    add_word(&line, "--values-tensor=v");
    npy_array residual = residual_of(&line);

    assert_memory_equal(residual.data, expected.data,
                        (size_t)LAYERS * HEADS * DIM * sizeof(float));
    free(residual.data);
    free(expected.data);
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
    assert_int_equal(count_files(in_folder(&the_folder, "out")), 7);
}

/* A folder where a file would be: it cannot be unlinked. */
TEST(prune_tells_of_what_it_cannot_remove)
{
    char text[1024];
    command_line line = start();
    mkdir(in_folder(&the_folder, "out"), 0700);
    mkdir(in_folder(&the_folder, "out/residual.npy"), 0700);
    add_out(&line);
    add_word(&line, "--budget=6");

    assert_int_equal(run_program(&the_folder, &line), 3);

    read_text(in_folder(&the_folder, ERROR_FILE), text, sizeof text);
    assert_non_null(
        strstr(text, "out/residual.npy: of an earlier run, stays there: "));
    assert_true(has_output("summary.json"));
    rmdir(in_folder(&the_folder, "out/residual.npy"));
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
    assert_int_equal(count_files(in_folder(&the_folder, "out")), 6);
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
        with_files(prune_writes_every_array_with_its_layers),
        with_files(prune_takes_scores_and_values_from_one_file),
        with_files(prune_fills_short_lists_up),
        with_files(prune_removes_what_an_earlier_decision_left),
        with_files(prune_tells_of_what_it_cannot_remove),
        with_files(prune_that_fails_leaves_the_earlier_decision),
        with_files(prune_without_log_sum_exp_has_no_sinks_and_says_so),
        with_files(prune_that_keeps_all_has_sinks_of_no_mass),
        with_files(prune_prints_the_object_that_it_writes),
        with_files(prune_summary_fits_a_screen),
    };

    return RUN(tests);
}
