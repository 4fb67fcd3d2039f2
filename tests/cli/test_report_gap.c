/*
 * test_report_gap.c - csp report shows the gap that csp gap prints
 */
#include "prune_fixture.h"

/* The numbers behind "KEY":[ in the page, layer after layer. */
static int read_pairs(const char *page, const char *key, double (*pairs)[2])
{
    char start[32];
    int n = 0;

    snprintf(start, sizeof start, "\"%s\":[", key);
    while ((page = strstr(page, start)) != NULL) {
        assert_true(n < LAYERS);
        page += strlen(start);
        assert_int_equal(sscanf(page, "%lf,%lf", &pairs[n][0], &pairs[n][1]),
                         2);
        n++;
    }
    return n;
}

static double number(const cJSON *layer, const char *side, const char *key)
{
    return find(layer, side, key)->valuedouble;
}

/* With this n, or as much as is said of none. */
static void assert_same_gap(const char *n, const char *const *more)
{
    static char page[1 << 20];
    double medians[LAYERS][2], pairs[LAYERS][2];
    command_line gap = start_line("gap"), report = start_line("report");
    command_line *lines[] = {&gap, &report};

    for (int i = 0; i < 2; i++) {
        add_word(lines[i], "%s", in_folder(&the_folder, "scores.npy"));
        add_word(lines[i], "--kv-heads=2");
        add_word(lines[i], "--spans=2:12=image");
        add_word(lines[i], "--n=%s", n);
    }
    for (; *more != NULL; more++)
        add_word(&report, "%s", *more);
    add_word(&report, "-o%s", in_folder(&the_folder, "page.html"));
    assert_runs(&report);
    read_text(in_folder(&the_folder, "page.html"), page, sizeof page);
    assert_int_equal(read_pairs(page, "medians", medians), LAYERS);
    assert_int_equal(read_pairs(page, "pairs", pairs), LAYERS);
    add_word(&gap, "--json");
    assert_runs(&gap);

    cJSON *root = json_output(OUTPUT_FILE);
    const cJSON *layers = cJSON_GetObjectItemCaseSensitive(root, "layers");
    assert_int_equal(cJSON_GetArraySize(layers), LAYERS);
    for (int l = 0; l < LAYERS; l++) {
        const cJSON *layer = cJSON_GetArrayItem(layers, l);
        static const char *const sides[] = {"intra", "inter"};
        for (int i = 0; i < 2; i++) {
            assert_near(pairs[l][i], number(layer, sides[i], "pairs"), 0.0);
            assert_near(medians[l][i],
                        number(layer, sides[i], "median_log10_weight"), 1e-4);
        }
    }
    cJSON_Delete(root);
}

TEST(report_counts_the_weights_that_gap_counts)
{
    assert_same_gap("0", (const char *[]){"--budget=8", NULL});
    assert_same_gap("1", (const char *[]){"--budget=8", NULL});
    assert_same_gap("40", (const char *[]){"--preset=h2o", "--budget=8", NULL});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_files(report_counts_the_weights_that_gap_counts),
    };

    return RUN(tests);
}
