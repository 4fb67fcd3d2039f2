/*
 * test_inspect.c - what csp inspect says of files
 *
 * Numbers are checked in the JSON, where each has a name.
 */
#include "cli_test.h"

#include "commands.h"
#include "elements.h"

#include <cjson/cJSON.h>
#include <stdio.h>

/* A .npy file of f4, or of f2 or f8 by 'type', in native byte order. */
static void write_numbers(const char *type, const char *shape, const void *data,
                          size_t size)
{
    char header[128];

    snprintf(header, sizeof header,
             "{'descr': '%c%s', 'fortran_order': False, 'shape': %s}\n",
             element_is_swapped(true) ? '>' : '<', type, shape);
    write_npy("a.npy", header, data, size);
}

/* "--json" and up to one more option with its value; delete the result. */
static cJSON *inspect(const char *option, const char *value)
{
    const char *arguments[] = {"inspect", "a.npy", "--json",
                               option,    value,   NULL};

    assert_int_equal(run_command(command_inspect, arguments), DONE);
    cJSON *object = cJSON_Parse(command_output);
    assert_non_null(object);
    return object;
}

static double number(const cJSON *object, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);

    assert_true(cJSON_IsNumber(item));
    return item->valuedouble;
}

static void assert_text(const cJSON *object, const char *key, const char *text)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);

    assert_true(cJSON_IsString(item));
    assert_string_equal(item->valuestring, text);
}

static bool is_null(const cJSON *object, const char *key)
{
    return cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(object, key));
}

static const double log_2 = 0.693147180559945309;

TEST(logits_have_the_entropy_of_their_softmax)
{
    /* 1 of 4 to 3 of 4; two alike; nothing; and one. */
    const float x[] = {0.0f,      logf(3.0f), -INFINITY, 5.0f,
                       5.0f,      -1e30f,     -INFINITY, -INFINITY,
                       -INFINITY, -2e30f,     -7.0f,     -INFINITY};
    const double first = 2.0 * log_2 - 0.75 * log(3.0);

    write_numbers("f4", "(2, 2, 3)", x, sizeof x);
    cJSON *object = inspect(NULL, NULL);

    assert_text(object, "rows_are", "logits");
    assert_text(object, "because", "some are masked, <= -1e30");
    assert_near(number(object, "rows"), 4, 0.0);
    assert_near(number(object, "entropy_rows"), 3, 0.0);
    assert_near(number(object, "mean_entropy_nats"), (first + log_2) / 3, 1e-7);
    assert_near(number(object, "masked"), 7, 0.0);
    assert_near(number(object, "masked_share"), 7.0 / 12.0, 1e-12);
    assert_near(number(object, "minus_inf"), 5, 0.0);
    assert_near(number(object, "plus_inf"), 0, 0.0);
    assert_near(number(object, "nan"), 0, 0.0);
    assert_near(number(object, "min"), (double)-2e30f, 0.0);
    assert_near(number(object, "max"), 5.0, 0.0);
    cJSON_Delete(object);
}

TEST(probabilities_are_told_by_their_sums)
{
    const float x[] = {0.25f, 0.75f, 0.0f, 0.5f, 0.5f, 0.0f, 0.0f, 0.0f, 0.0f};
    const double first = 2.0 * log_2 - 0.75 * log(3.0);

    write_numbers("f4", "(3, 3)", x, sizeof x);
    cJSON *object = inspect(NULL, NULL);

    assert_text(object, "rows_are", "probabilities");
    assert_near(number(object, "entropy_rows"), 2, 0.0);
    assert_near(number(object, "mean_entropy_nats"), (first + log_2) / 2, 1e-9);
    assert_near(number(object, "masked"), 5, 0.0);
    cJSON_Delete(object);
}

/* A number may be above 1 by what a row's sum may. */
TEST(a_probability_may_be_all_of_its_row)
{
    const float x[] = {1.0f, 0.0f, 0.0f, 1.0009f};
    const float y[] = {1.0f, 0.0f, 0.0f, 1.0011f};

    write_numbers("f4", "(2, 2)", x, sizeof x);
    cJSON *object = inspect(NULL, NULL);
    assert_text(object, "rows_are", "probabilities");
    assert_near(number(object, "mean_entropy_nats"), 0.0, 0.0);
    cJSON_Delete(object);

    write_numbers("f4", "(2, 2)", y, sizeof y);
    object = inspect(NULL, NULL);
    assert_text(object, "rows_are", "unknown");
    cJSON_Delete(object);
}

TEST(rows_above_1_are_no_probabilities)
{
    const float x[] = {0.5f, 0.5f, 0.0f, 0.5f, 0.5f, 0.25f};

    write_numbers("f4", "(2, 3)", x, sizeof x);
    cJSON *object = inspect(NULL, NULL);

    assert_text(object, "rows_are", "unknown");
    cJSON_Delete(object);
}

TEST(rows_are_what_the_option_says)
{
    const float x[] = {0.25f, 0.25f, 0.5f, 0.5f};

    write_numbers("f4", "(2, 2)", x, sizeof x);
    cJSON *object = inspect("--kind", "logits");
    assert_text(object, "rows_are", "logits");
    assert_near(number(object, "mean_entropy_nats"), log_2, 1e-9);
    cJSON_Delete(object);

    const float y[] = {2.0f, 2.0f, -1.0f, 0.5f};
    write_numbers("f4", "(2, 2)", y, sizeof y);
    object = inspect("--kind", "probs");
    assert_text(object, "rows_are", "probabilities");
    assert_true(is_null(object, "mean_entropy_nats"));
    cJSON_Delete(object);

    /* A row that is none leaves no mean, also not of others. */
    const float z[] = {0.5f, 0.5f, 2.0f, -1.0f};
    write_numbers("f4", "(2, 2)", z, sizeof z);
    object = inspect("--kind", "probs");
    assert_true(is_null(object, "mean_entropy_nats"));
    assert_near(number(object, "entropy_rows"), 0, 0.0);
    cJSON_Delete(object);
}

TEST(keys_and_values_are_no_attention)
{
    const float x[] = {0.25f, -0.75f, 1.5f, 0.5f, 3.5f, 0.0f};

    write_numbers("f4", "(1, 3, 2)", x, sizeof x);
    cJSON *object = inspect(NULL, NULL);

    assert_text(object, "rows_are", "unknown");
    assert_true(is_null(object, "mean_entropy_nats"));
    assert_near(number(object, "mean"), 5.0 / 6.0, 1e-12);
    cJSON_Delete(object);
}

TEST(what_is_not_finite_is_counted_apart)
{
    const float x[] = {NAN, 1.0f, INFINITY, -INFINITY, 3.0f, -NAN};

    write_numbers("f4", "(2, 3)", x, sizeof x);
    cJSON *object = inspect(NULL, NULL);

    assert_near(number(object, "nan"), 2, 0.0);
    assert_near(number(object, "plus_inf"), 1, 0.0);
    assert_near(number(object, "minus_inf"), 1, 0.0);
    assert_near(number(object, "min"), 1, 0.0);
    assert_near(number(object, "max"), 3, 0.0);
    assert_near(number(object, "mean"), 2, 0.0);
    /* Neither row has an entropy: NaN and +inf are no logits. */
    assert_near(number(object, "entropy_rows"), 0, 0.0);
    cJSON_Delete(object);
}

TEST(f16_is_masked_from_its_least_number_on)
{
    const uint16_t x[] = {0xfbff, 0xfc00, 0xfbfe, 0x3c00}; /* -65504, -inf */

    write_numbers("f2", "(2, 2)", x, sizeof x);
    cJSON *object = inspect(NULL, NULL);

    assert_text(object, "type", "f16");
    assert_near(number(object, "masked"), 2, 0.0);
    assert_near(number(object, "min"), -65504.0, 0.0);
    assert_near(number(object, "entropy_rows"), 1, 0.0);
    cJSON_Delete(object);
}

TEST(doubles_keep_their_range)
{
    const double x[] = {1e300, -1e300, 0.1, 0.2};

    write_numbers("f8", "(4,)", x, sizeof x);
    cJSON *object = inspect(NULL, NULL);

    assert_near(number(object, "max"), 1e300, 0.0);
    assert_near(number(object, "min"), -1e300, 0.0);
    assert_near(number(object, "plus_inf"), 0, 0.0);
    cJSON_Delete(object);
}

TEST(integers_are_exact)
{
    const int64_t x[] = {INT64_MIN, INT64_MAX, 0};
    const char *arguments[] = {"inspect", "a.npy", NULL};

    write_numbers("i8", "(3,)", x, sizeof x);

    assert_int_equal(run_command(command_inspect, arguments), DONE);

    assert_non_null(strstr(command_output, "range    -9223372036854775808 to "
                                           "9223372036854775807\n"));
    assert_null(strstr(command_output, "entropy"));
}

TEST(bf16_is_read_where_asked_for)
{
    const uint16_t x[] = {0x3f80, 0xc000};

    write_numbers("u2", "(2,)", x, sizeof x);
    cJSON *object = inspect("--dtype", "bf16");

    assert_text(object, "type", "bf16");
    assert_near(number(object, "min"), -2.0, 0.0);
    cJSON_Delete(object);
}

TEST(empty_arrays_have_no_range)
{
    write_numbers("f4", "(0, 3)", NULL, 0);
    cJSON *object = inspect(NULL, NULL);

    assert_true(is_null(object, "min"));
    assert_true(is_null(object, "mean"));
    assert_true(is_null(object, "masked_share"));
    cJSON_Delete(object);
}

/* A row of 200,000 is read in pieces of 65,536, the largest logit last. */
TEST(rows_longer_than_a_piece_are_one_row)
{
    enum { N = 200000 };
    float *x = malloc(2 * N * sizeof *x);
    double mass = 0.0, moment = 0.0;

    assert_non_null(x);
    for (int i = 0; i < N; i++) {
        x[i] = x[N + i] = (float)i / 20000.0f;
        mass += exp((double)x[i]);
        moment += exp((double)x[i]) * (double)x[i];
    }
    write_numbers("f4", "(2, 200000)", x, 2 * N * sizeof *x);
    free(x);
    cJSON *object = inspect("--kind", "logits");

    assert_near(number(object, "mean_entropy_nats"), log(mass) - moment / mass,
                1e-10);
    cJSON_Delete(object);
}

/* ---- .safetensors -------------------------------------------------------- */

static const char tensors[] =
    "{\"b\\u001b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[2,6]},"
    "\"a\":{\"dtype\":\"I8\",\"shape\":[2,1],\"data_offsets\":[0,2]}}";

TEST(tensors_are_listed)
{
    const char *arguments[] = {"inspect", "a.npy", NULL};

    write_safetensors("a.npy", tensors, "abcdef", 6);

    assert_int_equal(run_command(command_inspect, arguments), DONE);

    assert_non_null(strstr(command_output, "a.npy: 2 tensors\n"));
    assert_non_null(strstr(command_output, "  a       I8       [2][1]"));
    assert_non_null(strstr(command_output, "  b\\x1b   F32      [1]"));
    cJSON *object = inspect(NULL, NULL);
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(object, "tensors");
    assert_int_equal(cJSON_GetArraySize(list), 2);
    assert_text(cJSON_GetArrayItem(list, 1), "name", "b\\x1b");
    assert_near(number(cJSON_GetArrayItem(list, 1), "bytes"), 4, 0.0);
    cJSON_Delete(object);
}

TEST(a_tensor_is_inspected_by_name)
{
    write_safetensors("a.npy", tensors, "abcdef", 6);
    cJSON *object = inspect("--tensor", "b\x1b");

    assert_text(object, "tensor", "b\\x1b");
    assert_text(object, "type", "f32");
    assert_near(number(object, "numbers"), 1, 0.0);
    cJSON_Delete(object);
}

/* ---- Usage --------------------------------------------------------------- */

TEST(wrong_usage_is_told)
{
    static const struct {
        const char *arguments[6], *reason;
    } cases[] = {
        {{"inspect"}, "expected one FILE"},
        {{"inspect", "a.npy", "b.npy"}, "expected one FILE"},
        {{"inspect", "a.npy", "--tensor"}, "--tensor: unknown, or without"},
        {{"inspect", "a.npy", "--unknown"}, "--unknown: unknown, or without"},
        {{"inspect", "a.npy", "-x"}, "-x: unknown, or without a value"},
        {{"inspect", "a.npy", "--json=1"}, "--json=1: unknown, or without"},
        {{"inspect", "a.npy", "--dtype", "f32"}, "--dtype f32: expected bf16"},
        {{"inspect", "a.npy", "--kind", "p"}, "--kind p: expected logits or"},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *arguments[6];
        memcpy(arguments, cases[i].arguments, sizeof arguments);
        catch_errors();
        assert_int_equal(run_command(command_inspect, arguments), BAD_USAGE);
        assert_message(caught_errors(), cases[i].reason);
    }
}

TEST(help_is_printed)
{
    const char *arguments[] = {"inspect", "--help", NULL};

    assert_int_equal(run_command(command_inspect, arguments), DONE);

    assert_non_null(strstr(command_output, "usage: csp inspect FILE"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_have_the_entropy_of_their_softmax),
        cmocka_unit_test(probabilities_are_told_by_their_sums),
        cmocka_unit_test(a_probability_may_be_all_of_its_row),
        cmocka_unit_test(rows_above_1_are_no_probabilities),
        cmocka_unit_test(rows_are_what_the_option_says),
        cmocka_unit_test(keys_and_values_are_no_attention),
        cmocka_unit_test(what_is_not_finite_is_counted_apart),
        cmocka_unit_test(f16_is_masked_from_its_least_number_on),
        cmocka_unit_test(doubles_keep_their_range),
        cmocka_unit_test(integers_are_exact),
        cmocka_unit_test(bf16_is_read_where_asked_for),
        cmocka_unit_test(empty_arrays_have_no_range),
        cmocka_unit_test(rows_longer_than_a_piece_are_one_row),
        cmocka_unit_test(tensors_are_listed),
        cmocka_unit_test(a_tensor_is_inspected_by_name),
        cmocka_unit_test(wrong_usage_is_told),
        cmocka_unit_test(help_is_printed),
    };

    return RUN_IN_FOLDER(tests);
}
