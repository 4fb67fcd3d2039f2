/*
 * test_report_json.c - the data of a report, to the letter
 */
#include "report_json.h" /* before cmocka makes fail() a macro */

#include "gap_layer.h"

#include "test.h"

#include <cjson/cJSON.h>

static report_text text;
static char got[16384];

static void begin(output *file, char *path)
{
    *file = (output){.path = path, .descriptor = mkstemp(path)};
    assert_true(file->descriptor >= 0);
    text_begin(&text, file);
}

static const char *end(const output *file)
{
    assert_int_equal(text_end(&text), DONE);
    const ssize_t n = pread(file->descriptor, got, sizeof got - 1, 0);
    assert_true(n >= 0);
    got[n] = '\0';
    close(file->descriptor);
    unlink(file->path);
    return got;
}

/* Five keys in bins of two. */
static const report_shape shape = {.n_layers = 2,
                                   .n_kv_heads = 2,
                                   .n_heads = 4,
                                   .n_queries = 3,
                                   .n_keys = 5,
                                   .spans = (csp_span[]){{1, 3, 1}, {3, 4, 2}},
                                   .n_spans = 2};
static const report_grid grid = {
    .width = 2, .n_bins = 3, .digits = 1, .n_modalities = 2};

TEST(head_names_all_that_layers_have_in_common)
{
    static const report_setting settings[] = {{"budget", "5"}, {"n", "<1>"}};
    const report_head head = {.source = "a<b",
                              .shape = shape,
                              .modalities = {"text", NULL, "unused"},
                              .settings = settings,
                              .n_settings = 2};
    char path[] = "report_json_XXXXXX";
    output file;

    begin(&file, path);
    json_head(&text, &head, &grid);

    assert_string_equal(
        end(&file),
        "{\"source\":\"a\\u003cb\",\"n_layers\":2,\"n_heads\":4,"
        "\"n_kv_heads\":2,\"n_queries\":3,\"n_keys\":5,\"width\":2,"
        "\"n_bins\":3,\"digits\":1,\"modalities\":[\"text\",\"\"],"
        "\"spans\":[[1,3,1],[3,4,2]],\"settings\":[[\"budget\",\"5\"],"
        "[\"n\",\"\\u003c1\\u003e\"]],\"layers\":[");
}

/* What json_layer writes of numbers that need no more than a look. */
static const char *write_layer(const report_shape *of, const report_grid *by,
                               const float *sinks, const gap_layer *gap,
                               uint32_t *kept)
{
    double intra[] = {0.01, 0.1, 1.0, 0.0, 0.0, 0.5};
    double inter[] = {0.0, 0.0, 0.0, 1.0, 10.0, 100.0};
    double mass[] = {1.5, 1.0, 2.0, 0.25, 3.0, 3.0, 4.0, 0.0};
    uint32_t split[4 * N_REASONS] = {1, 0, 0, 0, 0, 0, 0, 9, 0, 2, 0,
                                     0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0,
                                     0, 0, 0, 0, 0, 4, 0, 0, 0, 0};
    const report_bins bins = {.intra = intra,
                              .inter = inter,
                              .kept = kept,
                              .mass = mass,
                              .split = split};
    const report_layer layer = {.sink_logits = sinks, .gap = gap};
    char path[] = "report_json_XXXXXX";
    output file;

    begin(&file, path);
    json_layer(&text, of, by, &layer, &bins);
    return end(&file);
}

/* With one digit, levels are 1 to 63 between a row's ends, B to /, with two 1
   to 4095; the middle of three decades is 32, or 1882 of 1 : 10 : 150. */
#define ROWS                                                                   \
    "\"intra\":{\"levels\":\"Bg/AAB\","                                        \
    "\"ranges\":[[-2.000,0.000],[-0.301,-0.301]]},"                            \
    "\"inter\":{\"levels\":\"AAABg/\","                                        \
    "\"ranges\":[[0.000,0.000],[0.000,2.000]]},"                               \
    "\"mean_intra\":{\"levels\":\"ABda//\",\"ranges\":[[-2.301,-0.125]]},"     \
    "\"mean_inter\":{\"levels\":\"ABgA//\",\"ranges\":[[-0.301,1.699]]},"      \
    "\"mass\":[[1.5,1,2,0.25],[3,3,4,0]],"                                     \
    "\"split\":[[[1,0,0,0,0,0,0,9],[0,2,0,0,0,0,0,0]],"                        \
    "[[0,0,3,0,0,0,0,0],[0,0,0,4,0,0,0,0]]]"

TEST(layer_is_its_bins_sums_and_sinks)
{
    static const float sinks[] = {-1.0f, 0.5f, -INFINITY, 2.0f};
    uint32_t kept[] = {2, 1, 1, 0, 2, 0};

    assert_string_equal(write_layer(&shape, &grid, NULL, NULL, kept),
                        "{\"kept\":\"CBBACA\"," ROWS "}");
    assert_string_equal(write_layer(&shape, &grid, sinks, NULL, kept),
                        "{\"kept\":\"CBBACA\"," ROWS
                        ",\"sinks\":[-1,0.5,null,2]}");
}

/* 1, 499, 500 and 999 of 1000, and all of the 100 at the end. */
TEST(kept_of_wide_bins_are_shares_of_63)
{
    report_shape wide = shape;
    const report_grid by = {
        .width = 1000, .n_bins = 3, .digits = 1, .n_modalities = 2};
    uint32_t kept[] = {1, 499, 100, 500, 999, 0};

    wide.n_keys = 2100;

    assert_string_equal(write_layer(&wide, &by, NULL, NULL, kept),
                        "{\"kept\":\"Bf/g+A\"," ROWS "}");
}

/* ---- The distribution gap ------------------------------------------------ */

enum { FIRST = 1000, POINTS = 120, MOST = 4095 };

static double number(const cJSON *object, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);

    assert_true(cJSON_IsNumber(item));
    return item->valuedouble;
}

static double entry(const cJSON *object, const char *key, int i)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(object, key);

    assert_int_equal(cJSON_GetArraySize(list), 2);
    return cJSON_GetArrayItem(list, i)->valuedouble;
}

static int digit(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijkl"
                                 "mnopqrstuvwxyz0123456789+/";
    return (int)(strchr(digits, c) - digits);
}

/* Level i of a curve is that many of 'of' steps. */
static void assert_curve(const cJSON *gap, const char *name, double top,
                         int steps, int of)
{
    const cJSON *curve = cJSON_GetObjectItemCaseSensitive(gap, name);
    const char *levels =
        cJSON_GetObjectItemCaseSensitive(curve, "levels")->valuestring;

    assert_near(number(curve, "top"), top, 0.0);
    assert_int_equal(strlen(levels), 2 * POINTS);
    for (int i = 0; i < POINTS; i++)
        assert_int_equal(digit(levels[2 * i]) * 64 + digit(levels[2 * i + 1]),
                         (2 * steps * (i + 1) * MOST + of) / (2 * of));
}

TEST(gap_has_every_point_of_its_curves)
{
    static double curves[2][DENSITY_POINTS];
    static gap_layer gap = {.n_intra = 7,
                            .n_inter = 8,
                            .median_intra = -1.5,
                            .median_inter = -2.5,
                            .bandwidth = 0.25,
                            .divergence = 0.5,
                            .intra = curves[0],
                            .inter = curves[1]};
    uint32_t kept[] = {2, 1, 1, 0, 2, 0};

    for (int i = 0; i < POINTS; i++)
        gap.intra[FIRST + i] = (double)(i + 1);
    cJSON *layer = cJSON_Parse(write_layer(&shape, &grid, NULL, &gap, kept));
    const cJSON *o = cJSON_GetObjectItemCaseSensitive(layer, "gap");

    assert_near(number(o, "divergence"), 0.5, 0.0);
    assert_near(number(o, "bandwidth"), 0.25, 0.0);
    assert_near(entry(o, "medians", 0), -1.5, 0.0);
    assert_near(entry(o, "medians", 1), -2.5, 0.0);
    assert_near(entry(o, "pairs", 0), 7.0, 0.0);
    assert_near(entry(o, "pairs", 1), 8.0, 0.0);
    assert_near(number(o, "from"), density_at(FIRST), 1e-4);
    assert_near(number(o, "to"), density_at(FIRST + POINTS - 1), 1e-4);
    assert_curve(o, "intra", POINTS, 1, POINTS);
    assert_curve(o, "inter", 0.0, 0, 1);
    cJSON_Delete(layer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(head_names_all_that_layers_have_in_common),
        cmocka_unit_test(layer_is_its_bins_sums_and_sinks),
        cmocka_unit_test(kept_of_wide_bins_are_shares_of_63),
        cmocka_unit_test(gap_has_every_point_of_its_curves),
    };
    return RUN(tests);
}
