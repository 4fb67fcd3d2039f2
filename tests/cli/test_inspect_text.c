/*
 * test_inspect_text.c - what csp inspect prints for people
 */
#include "cli_test.h"

#include "commands.h"
#include "elements.h"

#include <stdio.h>

/* A .npy file of floats in native byte order. */
static void write_floats(const char *shape, const float *x, size_t size)
{
    char header[128];

    snprintf(header, sizeof header,
             "{'descr': '%cf4', 'fortran_order': False, 'shape': %s}\n",
             element_is_swapped(true) ? '>' : '<', shape);
    write_npy("a.npy", header, x, size);
}

/* The lines behind that of the byte order. */
static void assert_lines(const char *option, const char *kind,
                         const char *lines)
{
    const char *arguments[] = {"inspect", "a.npy", option, kind, NULL};

    assert_int_equal(run_command(command_inspect, arguments), DONE);
    const char *order = strstr(command_output, "  order    C, byte order ");
    assert_non_null(order);
    assert_string_equal(strchr(order, '\n') + 1, lines);
}

TEST(rows_that_are_attention_have_their_mean_entropy)
{
    const float x[] = {0.5f, 0.5f, 0.0f, 0.25f, 0.25f, 0.5f};

    write_floats("(2, 3)", x, sizeof x);

    assert_lines("--kind", "probs",
                 "  range    0 to 0.5\n"
                 "  mean     0.333333333\n"
                 "  special  0 NaN, 0 +inf, 0 -inf\n"
                 "  masked   1, 16.67 % (zeros)\n"
                 "  entropy  0.866434 nats, 1.25 bits, mean of 2 of 2 rows\n"
                 "  rows     taken for probabilities: as --kind says\n");
    assert_non_null(strstr(command_output, "a.npy\n  array    f32 [2][3], 6 "
                                           "numbers, 24 bytes from byte "));
}

TEST(rows_without_an_entropy_are_told)
{
    const float x[] = {-1.0f, 2.0f, NAN, -INFINITY};

    write_floats("(2, 2)", x, sizeof x);

    assert_lines("--kind", "logits",
                 "  range    -1 to 2\n"
                 "  mean     0.5\n"
                 "  special  1 NaN, 0 +inf, 1 -inf\n"
                 "  masked   1, 25 %\n"
                 "  entropy  0.190865 nats, 0.27536 bits, mean of 1 of 2 "
                 "rows\n"
                 "  rows     taken for logits: as --kind says\n");
    assert_lines("--kind", "probs",
                 "  range    -1 to 2\n"
                 "  mean     0.5\n"
                 "  special  1 NaN, 0 +inf, 1 -inf\n"
                 "  masked   0, 0 % (zeros)\n"
                 "  entropy  no row has one as probabilities\n"
                 "  rows     taken for probabilities: as --kind says\n");
}

TEST(rows_that_are_none_are_told_why)
{
    const float x[] = {-1.0f, 2.0f};

    write_floats("(1, 2)", x, sizeof x);

    assert_lines(NULL, NULL,
                 "  range    -1 to 2\n"
                 "  mean     0.5\n"
                 "  special  0 NaN, 0 +inf, 0 -inf\n"
                 "  masked   0, 0 %\n"
                 "  entropy  rows are not taken for attention: nothing is "
                 "masked, and sums of rows are not within 0 and 1\n");
    write_floats("(0, 2)", NULL, 0);
    assert_lines(NULL, NULL,
                 "  range    no finite number\n"
                 "  special  0 NaN, 0 +inf, 0 -inf\n"
                 "  masked   0, 0 %\n"
                 "  entropy  rows are not taken for attention: no rows of "
                 "floating-point numbers\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_that_are_attention_have_their_mean_entropy),
        cmocka_unit_test(rows_without_an_entropy_are_told),
        cmocka_unit_test(rows_that_are_none_are_told_why),
    };

    return RUN_IN_FOLDER(tests);
}
