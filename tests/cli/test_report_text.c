/*
 * test_report_text.c - what is written is what was meant, and harmless
 */
#include "report_text.h" /* before cmocka makes fail() a macro */

#include "test.h"

#include <fcntl.h>

static report_text text;
static char got[256];

/* What 'put' writes into a file. */
static const char *written(void (*put)(report_text *t, const void *argument),
                           const void *argument)
{
    char path[] = "report_text_XXXXXX";
    output file = {.path = path, .descriptor = mkstemp(path)};

    assert_true(file.descriptor >= 0);
    text_begin(&text, &file);
    put(&text, argument);
    assert_int_equal(text_end(&text), DONE);
    const ssize_t n = pread(file.descriptor, got, sizeof got - 1, 0);
    assert_true(n >= 0);
    got[n] = '\0';
    close(file.descriptor);
    unlink(path);
    return got;
}

static void put_string(report_text *t, const void *argument)
{
    text_string(t, argument);
}

TEST(text_string_cannot_end_its_element)
{
    assert_string_equal(written(put_string, "</script><b>&\"\\"),
                        "\"\\u003c/script\\u003e\\u003cb\\u003e\\u0026\\u0022"
                        "\\u005c\"");
    assert_string_equal(written(put_string, "a\n\x1b\x7f"),
                        "\"a\\u000a\\u001b\\u007f\"");
}

TEST(text_string_keeps_utf8_and_nothing_else)
{
    static const char *const bad[] = {"\x80",
                                      "\xc0\xaf",
                                      "\xe0\x80\x80",
                                      "\xed\xa0\x80",
                                      "\xf4\x90\x80\x80",
                                      "\xff",
                                      "\xe2\x82",
                                      "\xc1\xbf",
                                      "\xe0\x9f\xbf",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf5\x80\x80\x80",
                                      "\xf0\x9f\x98",
                                      "\xc3"};

    assert_string_equal(
        written(put_string, "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"),
        "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"");
    for (size_t i = 0; i < COUNT(bad); i++) {
        const char *s = written(put_string, bad[i]);
        assert_int_equal(strlen(s), 2 + 6 * strlen(bad[i]));
        assert_non_null(strstr(s, "\\ufffd"));
    }
}

static void put_number(report_text *t, const void *argument)
{
    text_number(t, *(const double *)argument);
}

TEST(text_string_goes_on_behind_what_is_no_utf8)
{
    assert_string_equal(written(put_string, "\x80"
                                            "a\xc3"
                                            "b\xff\xc3\xa9"),
                        "\"\\ufffda\\ufffdb\\ufffd\xc3\xa9\"");
}

TEST(text_number_is_json)
{
    static const double numbers[] = {0.0,  -1.5,        123456.0,
                                     1e-9, (double)NAN, (double)-INFINITY};
    static const char *const expected[] = {"0",     "-1.5", "1.2346e+05",
                                           "1e-09", "null", "null"};

    for (size_t i = 0; i < COUNT(numbers); i++)
        assert_string_equal(written(put_number, &numbers[i]), expected[i]);
}

static void put_digits(report_text *t, const void *argument)
{
    (void)argument;
    text_digits(t, 0, 1);
    text_digits(t, 63, 1);
    text_digits(t, 26 * 64 + 52, 2);
    text_digits(t, 4095, 2);
}

TEST(text_digits_are_those_of_base64)
{
    assert_string_equal(written(put_digits, NULL), "A/a0//");
}

static void put_base64(report_text *t, const void *argument)
{
    const char *s = argument;
    text_base64(t, (const unsigned char *)s, strlen(s));
}

TEST(text_base64_has_the_vectors_of_rfc_4648)
{
    static const char *const vectors[][2] = {{"", ""},
                                             {"f", "Zg=="},
                                             {"fo", "Zm8="},
                                             {"foo", "Zm9v"},
                                             {"foob", "Zm9vYg=="},
                                             {"fooba", "Zm9vYmE="},
                                             {"foobar", "Zm9vYmFy"}};

    for (size_t i = 0; i < COUNT(vectors); i++)
        assert_string_equal(written(put_base64, vectors[i][0]), vectors[i][1]);
}

TEST(text_error_sticks)
{
    const int fd = open("/dev/full", O_WRONLY);
    if (fd < 0)
        skip();
    output file = {.path = (char[]){"/dev/full"}, .descriptor = fd};
    text_begin(&text, &file);

    for (int i = 0; i < 20000; i++)
        text_put(&text, "ten bytes ");

    assert_int_equal(text.result, IO_FAILED);
    assert_int_equal(text_end(&text), IO_FAILED);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_string_cannot_end_its_element),
        cmocka_unit_test(text_string_keeps_utf8_and_nothing_else),
        cmocka_unit_test(text_string_goes_on_behind_what_is_no_utf8),
        cmocka_unit_test(text_number_is_json),
        cmocka_unit_test(text_digits_are_those_of_base64),
        cmocka_unit_test(text_base64_has_the_vectors_of_rfc_4648),
        cmocka_unit_test(text_error_sticks),
    };
    return RUN(tests);
}
