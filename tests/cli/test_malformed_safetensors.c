/*
 * test_malformed_safetensors.c - .safetensors files that are refused
 *
 * A table of headers, each with 24 bytes of data; another for what comes before
 * them.  Then a valid file, cut at every byte and with every byte of its header
 * changed.
 */
#include "cli_test.h"
#include "malformed.h"

#include "commands.h"

#include <stdio.h>

/* The whole of a tensor [2][3] that fills the data, and parts of it. */
#define T "\"dtype\":\"F32\""
#define S "\"shape\":[2,3]"
#define O "\"data_offsets\":[0,24]"
#define A "\"a\":{" T "," S "," O "}"

/* A tensor of bytes. */
#define U8(name, begin, end, size)                                             \
    "\"" name "\":{\"dtype\":\"U8\",\"shape\":[" #size                         \
    "],\"data_offsets\":[" #begin "," #end "]}"

static const unsigned char data[24];

static const struct {
    const char *text, *reason;
} headers[] = {
    /* JSON. */
    {"{", "the header is not JSON"},
    {"{" A, "the header is not JSON"},
    {"{" A "]", "the header is not JSON"},
    {"{" A ",}", "the header is not JSON"},
    {"{," A "}", "the header is not JSON"},
    {"{" A A "}", "the header is not JSON"},
    {"{\"a\"}", "the header is not JSON"},
    {"{\"a\":}", "the header is not JSON"},
    {"{\"a\" {" T "," S "," O "}}", "the header is not JSON"},
    {"{\"a\"::{" T "," S "," O "}}", "the header is not JSON"},
    {"{a:{" T "," S "," O "}}", "byte 1 of the header: expected a string"},
    {"{'a':{" T "," S "," O "}}", "expected a string"},
    {"{" A "}}", "byte 57 of the header: expected spaces behind"},
    {"{" A "}{}", "expected spaces behind"},
    {"{" A "}\n", "expected spaces behind"},
    {"{" A "}\t", "expected spaces behind"},
    {"{" A "} {", "expected spaces behind"},
    {"{" A "}1", "expected spaces behind"},
    {"{" A "}//", "expected a string"},
    {"{/**/" A "}", "expected a string"},
    {"{\v" A "}", "expected a string"},
    {"{\f" A "}", "expected a string"},
    {"{\x01" A "}", "expected a string"},
    {"{\xc2\xa0" A "}", "expected a string"},
    {"{\"a\":[[[[]]]]}", "byte 8 of the header: expected at most 4 levels"},
    {"{\"a\":{\"b\":{\"c\":{\"d\":{}}}}}", "at most 4 levels"},
    {"{\"a\":null}", "expected a string"},
    {"{\"a\":true}", "expected a string"},
    {"{\"a\":false}", "expected a string"},
    {"{\"a\":NaN}", "expected a string"},
    {"{\"a\":-Infinity}", "expected a string"},
    /* Strings. */
    {"{\"a", "the quote that ends a string"},
    {"{\"a\\\"", "the quote that ends a string"},
    {"{\"a\\", "an escape of JSON"},
    {"{\"a\\x\":1}", "an escape of JSON"},
    {"{\"a\\u\":1}", "the header is not JSON"},
    {"{\"a\\u12\":1}", "the header is not JSON"},
    {"{\"a\\ud800\":1}", "the header is not JSON"},
    {"{\"a\\udc00\":1}", "the header is not JSON"},
    {"{\"a\\ud800\\ud800\":1}", "the header is not JSON"},
    {"{\"a\\u0000b\":{" T "," S "," O "}}", "no escaped NUL"},
    {"{\"\\u0000\":{" T "," S "," O "}}", "no escaped NUL"},
    {"{\"a\nb\":{" T "," S "," O "}}", "UTF-8 without control"},
    {"{\"a\x1b[31m\":{" T "," S "," O "}}", "UTF-8 without control"},
    {"{\"a\x7f\":{" T "," S "," O "}}", "UTF-8 without control"},
    {"{\"a\x80\":{" T "," S "," O "}}", "UTF-8 without control"},
    {"{\"a\xc3\":{" T "," S "," O "}}", "UTF-8 without control"},
    {"{\"a\xc0\xaf\":{" T "," S "," O "}}", "UTF-8 without control"},
    {"{\"a\xc1\xbf\":{" T "," S "," O "}}", "UTF-8 without control"},
    {"{\"a\xe0\x80\xaf\":{" T "," S "," O "}}", "UTF-8 without control"},
    {"{\"a\xe0\x9f\xbf\":{" T "," S "," O "}}", "UTF-8 without control"},
    {"{\"a\xed\xa0\x80\":{" T "," S "," O "}}", "UTF-8 without control"},
    {"{\"a\xed\xbf\xbf\":{" T "," S "," O "}}", "UTF-8 without control"},
    {"{\"a\xe2\x82\":{" T "," S "," O "}}", "UTF-8 without control"},
    {"{\"a\xf0\x8f\xbf\xbf\":{" T "," S "," O "}}", "UTF-8 without control"},
    {"{\"a\xf4\x90\x80\x80\":{" T "," S "," O "}}", "UTF-8 without control"},
    {"{\"a\xf8\x88\x80\x80\x80\":{" T "," S "," O "}}",
     "UTF-8 without control"},
    {"{\"a\xf9\x90\x80\x80\":{" T "," S "," O "}}", "UTF-8 without control"},
    {"{\"a\xff\":{" T "," S "," O "}}", "UTF-8 without control"},
    {"{\"a\xf0\x90\x80", "UTF-8 without control"},
    /* Numbers. */
    {"{\"a\":{" T ",\"shape\":[-2,-3]," O "}}", "expected a string"},
    {"{\"a\":{" T ",\"shape\":[+2,3]," O "}}", "expected a string"},
    {"{\"a\":{" T ",\"shape\":[2.0,3]," O "}}", "digits only"},
    {"{\"a\":{" T ",\"shape\":[2.5,3]," O "}}", "digits only"},
    {"{\"a\":{" T ",\"shape\":[.5,3]," O "}}", "expected a string"},
    {"{\"a\":{" T ",\"shape\":[2e0,3]," O "}}", "digits only"},
    {"{\"a\":{" T ",\"shape\":[2E0,3]," O "}}", "digits only"},
    {"{\"a\":{" T ",\"shape\":[1e400,3]," O "}}", "digits only"},
    {"{\"a\":{" T ",\"shape\":[02,3]," O "}}", "without a 0 in front"},
    {"{\"a\":{" T ",\"shape\":[00,3]," O "}}", "without a 0 in front"},
    {"{\"a\":{" T ",\"shape\":[0x2,3]," O "}}", "expected a string"},
    {"{\"a\":{" T ",\"shape\":[2-1,3]," O "}}", "digits only"},
    {"{\"a\":{" T ",\"shape\":[2 3]," O "}}", "not JSON"},
    {"{\"a\":{" T ",\"shape\":[9007199254740993]," O "}}", "at most 2^53"},
    {"{\"a\":{" T ",\"shape\":[18446744073709551616]," O "}}", "at most 2^53"},
    {"{\"a\":{" T ",\"shape\":[99999999999999999999999999999]," O "}}",
     "at most 2^53"},
    /* Tensors. */
    {"{\"a\":1}", "expected dtype, shape and data_offsets"},
    {"{\"a\":\"F32\"}", "expected dtype, shape and data_offsets"},
    {"{\"a\":[]}", "expected dtype, shape and data_offsets"},
    {"{\"a\":{}}", "expected dtype, shape and data_offsets"},
    {"{\"a\":{" T "," S "}}", "expected dtype, shape and data_offsets"},
    {"{\"a\":{" T "," O "}}", "expected dtype, shape and data_offsets"},
    {"{\"a\":{" S "," O "}}", "expected dtype, shape and data_offsets"},
    {"{\"a\":{" T "," S "," O ",\"x\":1}}", "and nothing else"},
    {"{\"a\":{" T "," T "," S "," O "}}", "each once"},
    {"{\"a\":{" T "," S "," S "," O "}}", "each once"},
    {"{\"a\":{" T "," S "," O "," O "}}", "each once"},
    {"{\"a\":{" T "," S "," S "}}", "each once"},
    {"{\"a\":{\"Dtype\":\"F32\"," S "," O "}}", "expected dtype"},
    {"{\"a\":{" T ",\"SHAPE\":[2,3]," O "}}", "expected dtype"},
    {"{\"a\":{\"dtype\":\"F31\"," S "," O "}}", "the dtype is \"F31\""},
    {"{\"a\":{\"dtype\":\"f32\"," S "," O "}}", "the dtype is \"f32\""},
    {"{\"a\":{\"dtype\":\"\"," S "," O "}}", "the dtype is \"\""},
    {"{\"a\":{\"dtype\":\"F32 \"," S "," O "}}", "the dtype is \"F32 \""},
    {"{\"a\":{\"dtype\":4," S "," O "}}", "the dtype is \"\""},
    {"{\"a\":{\"dtype\":[\"F32\"]," S "," O "}}", "the dtype is \"\""},
    {"{\"a\":{" T ",\"shape\":6," O "}}", "the shape is no list"},
    {"{\"a\":{" T ",\"shape\":{}," O "}}", "the shape is no list"},
    {"{\"a\":{" T ",\"shape\":{\"x\":6}," O "}}", "the shape is no list"},
    {"{\"a\":{" T ",\"shape\":\"6\"," O "}}", "the shape is no list"},
    {"{\"a\":{" T ",\"shape\":[\"6\"]," O "}}", "the shape is no list"},
    {"{\"a\":{" T ",\"shape\":[[2],3]," O "}}", "the shape is no list"},
    {"{\"a\":{" T ",\"shape\":[1,1,1,1,1,1,1,2,3]," O "}}",
     "no list of up to 8 counts"},
    {"{\"a\":{" T "," S ",\"data_offsets\":24}}", "no list of two counts"},
    {"{\"a\":{" T "," S ",\"data_offsets\":[]}}", "no list of two counts"},
    {"{\"a\":{" T "," S ",\"data_offsets\":[0]}}", "no list of two counts"},
    {"{\"a\":{" T "," S ",\"data_offsets\":[0,24,24]}}",
     "no list of two counts"},
    {"{\"a\":{" T "," S ",\"data_offsets\":[0,\"24\"]}}",
     "no list of two counts"},
    {"{\"a\":{" T "," S ",\"data_offsets\":{\"b\":0,\"e\":24}}}",
     "no list of two counts"},
    {"{\"a\":{" T "," S ",\"data_offsets\":[24,0]}}", "not inside the 24"},
    {"{\"a\":{" T "," S ",\"data_offsets\":[0,25]}}", "not inside the 24"},
    {"{\"a\":{" T "," S ",\"data_offsets\":[1,25]}}", "not inside the 24"},
    {"{\"a\":{" T "," S ",\"data_offsets\":[0,9007199254740992]}}",
     "not inside the 24"},
    {"{\"a\":{" T "," S ",\"data_offsets\":[9007199254740992,24]}}",
     "not inside the 24"},
    {"{\"a\":{" T "," S ",\"data_offsets\":[0,23]}}",
     "span 23 bytes, expected 24"},
    {"{\"a\":{" T "," S ",\"data_offsets\":[1,24]}}",
     "span 23 bytes, expected 24"},
    {"{\"a\":{\"dtype\":\"F16\"," S "," O "}}", "span 24 bytes, expected 12"},
    {"{\"a\":{" T ",\"shape\":[]," O "}}", "span 24 bytes, expected 4"},
    {"{\"a\":{" T ",\"shape\":[0]," O "}}", "span 24 bytes, expected 0"},
    {"{\"a\":{" T ",\"shape\":[2,0,3]," O "}}", "expected 0 for"},
    {"{\"a\":{" T ",\"shape\":[4294967296,4294967296]," O "}}",
     "more bits than 64 bits can count"},
    {"{\"a\":{" T ",\"shape\":[9007199254740992,2048]," O "}}",
     "more bits than 64 bits can count"},
    {"{\"a\":{" T ",\"shape\":[9007199254740992,64]," O "}}",
     "more bits than 64 bits can count"},
    {"{\"a\":{" T ",\"shape\":[0,9007199254740992,9007199254740992]," O "}}",
     "more bits than 64 bits can count"},
    {"{\"a\":{\"dtype\":\"F4\",\"shape\":[49]," O "}}",
     "no whole number of bytes"},
    {"{\"a\":{\"dtype\":\"F6_E2M3\",\"shape\":[3]," O "}}",
     "no whole number of bytes"},
    /* All of them. */
    {"{}", "the last 24 bytes belong to no tensor"},
    {"{\"__metadata__\":{}}", "the last 24 bytes belong to no tensor"},
    {"{" U8("a", 0, 23, 23) "}", "the last 1 bytes belong to no tensor"},
    {"{" U8("a", 1, 24, 23) "}", "begins at byte 1 of the data, expected "
                                 "0"},
    {"{" U8("a", 0, 12, 12) "," U8("b", 13, 24, 11) "}",
     "tensor b: begins at byte 13 of the data, expected 12"},
    {"{" U8("a", 0, 13, 13) "," U8("b", 12, 24, 12) "}",
     "tensor b: begins at byte 12 of the data, expected 13"},
    {"{" U8("a", 0, 24, 24) "," U8("b", 0, 24, 24) "}",
     "begins at byte 0 of the data, expected 24"},
    {"{" U8("a", 0, 24, 24) "," U8("b", 4, 8, 4) "}",
     "tensor b: begins at byte 4 of the data, expected 24"},
    {"{" U8("a", 0, 24, 24) "," U8("b", 12, 12, 0) "}",
     "tensor b: begins at byte 12 of the data, expected 24"},
    {"{" U8("b", 12, 24, 12) "," U8("a", 0, 11, 11) "}",
     "tensor b: begins at byte 12 of the data, expected 11"},
    {"{" U8("a", 0, 12, 12) "," U8("a", 12, 24, 12) "}",
     "there are two of the name a"},
    {"{" U8("a", 0, 12, 12) "," U8("\\u0061", 12, 24, 12) "}",
     "there are two of the name a"},
    {"{" A ",\"__metadata__\":{},\"__metadata__\":{}}",
     "there are two of the name __metadata__"},
    {"{" A ",\"__metadata__\":{\"x\":\"1\",\"x\":\"2\"}}",
     "there are two of the name x"},
    {"{" A ",\"__metadata__\":{\"x\":1}}", "no string: x"},
    {"{" A ",\"__metadata__\":{\"x\":{}}}", "no string: x"},
    {"{" A ",\"__metadata__\":[\"x\"]}", "__metadata__ is no object"},
    {"{" A ",\"__metadata__\":\"x\"}", "__metadata__ is no object"},
};

TEST(headers_that_are_not_as_they_should_be)
{
    for (size_t i = 0; i < COUNT(headers); i++) {
        write_safetensors("bad", headers[i].text, data, sizeof data);
        assert_refused("bad", headers[i].reason);
    }
}

static const struct {
    const char *bytes;
    size_t size;
    const char *reason;
} starts[] = {
    {"\0\0\0\0\0\0\0", 7, "begins neither like"},
    {"\0\0\0\0\0\0\0\0", 8, "begins neither like"},
    {"\2\0\0\0\0\0\0\0", 8, "begins neither like"},
    {"\2\0\0\0\0\0\0\0[]", 10, "begins neither like"},
    {"\3\0\0\0\0\0\0\0 {}", 11, "begins neither like"},
    {"\5\0\0\0\0\0\0\0\xef\xbb\xbf{}", 13, "begins neither like"},
    {"\0\0\0\0\0\0\0\0{", 9, "does not begin with '{'"},
    {"\1\0\0\0\0\0\0\0{", 9, "not JSON"},
    {"\2\0\0\0\0\0\0\0{", 9,
     "header of 2 bytes, expected at most 1048576, "
     "and 1 are left"},
    {"\3\0\0\0\0\0\0\0{}", 10, "header of 3 bytes"},
    {"\1\0\x10\0\0\0\0\0{}", 10, "header of 1048577 bytes"},
    {"\0\0\0\0\1\0\0\0{}", 10, "header of 4294967296 bytes"},
    {"\xff\xff\xff\xff\xff\xff\xff\x7f{}", 10, "of 9223372036854775807"},
    {"\xff\xff\xff\xff\xff\xff\xff\xff{}", 10, "of 18446744073709551615"},
    {"\xf8\xff\xff\xff\xff\xff\xff\xff{}", 10, "of 18446744073709551608"},
    {"\0\0\0\0\0\0\0\2{}", 10, "header of 144115188075855872 bytes"},
    {"\3\0\0\0\0\0\0\0{}\0", 11, "expected a string"},
    {"\3\0\0\0\0\0\0\0{\0}", 11, "expected a string"},
    {"\6\0\0\0\0\0\0\0{\"\0\":}", 14, "UTF-8 without control"},
    {"\7\0\0\0\0\0\0\0{\"\\\0\":}", 15, "an escape of JSON"},
};

TEST(starts_that_are_not_as_they_should_be)
{
    for (size_t i = 0; i < COUNT(starts); i++) {
        write_file("bad", starts[i].bytes, starts[i].size);
        assert_refused("bad", starts[i].reason);
    }
}

/* A header of nothing but what 'unit' repeats, up to 'size' bytes. */
static void write_long(size_t size, const char *start, const char *unit,
                       const char *end)
{
    const size_t n = strlen(unit);
    char *json = malloc(size + n + strlen(end) + 1);

    assert_non_null(json);
    size_t used = strlen(start);
    memcpy(json, start, used);
    for (; used + n <= size; used += n)
        memcpy(json + used, unit, n);
    memcpy(json + used, end, strlen(end) + 1);
    write_safetensors("bad", json, data, sizeof data);
    free(json);
}

/* Each is near the limit of 1 MiB, where it costs most. */
TEST(long_headers_are_refused)
{
    enum { NEAR = (1 << 20) - 16 };

    write_long(NEAR, "{\"a\":", "[", "");
    assert_refused("bad", "at most 4 levels");
    write_long(NEAR, "{\"a\":[1", ",1", "]}");
    assert_refused("bad", "expected dtype, shape and data_offsets");
    write_long(NEAR, "{", "\"a\":1,", "\"b\":1}");
    assert_refused("bad", "there are two of the name a");
    write_long(NEAR, "{\"a\":1", " ", ",}");
    assert_refused("bad", "not JSON");
    write_long(NEAR, "{\"", "a", "\":1}");
    assert_refused("bad", "is longer than 1024 bytes");
    write_long(NEAR, "{\"a\":", "1", "}");
    assert_refused("bad", "at most 2^53");
    write_long((1 << 20) + 1, "{" A "}", " ", "");
    assert_refused("bad", "header of 1048577 bytes");
}

TEST(names_may_have_1024_bytes)
{
    const char *inspect[] = {"inspect", "bad", NULL};
    char name[1026], json[2400];

    memset(name, 'n', sizeof name);
    name[1025] = '\0';
    snprintf(json, sizeof json, "{\"%s\":{" T "," S "," O "}}", name);
    write_safetensors("bad", json, data, sizeof data);
    assert_refused("bad", "is longer than 1024 bytes");
    snprintf(json, sizeof json, "{" A ",\"__metadata__\":{\"%s\":\"\"}}", name);
    write_safetensors("bad", json, data, sizeof data);
    assert_refused("bad", "is longer than 1024 bytes");

    name[1024] = '\0';
    snprintf(json, sizeof json,
             "{\"%s\":{" T "," S "," O "},\"__metadata__\":{\"%s\":\"\"}}",
             name, name);
    write_safetensors("bad", json, data, sizeof data);
    assert_int_equal(run_command(command_inspect, inspect), DONE);
}

/* ---- A valid file, cut and changed --------------------------------------- */

static size_t make_valid(unsigned char *bytes, size_t *header_size)
{
    static const char json[] = "{\"__metadata__\":{\"k\":\"v\"}," U8(
        "b", 8, 12,
        4) ",\"a\":{"
           "\"dtype\":\"F32\",\"shape\":[2,1],\"data_offsets\":[0,8]}}  ";

    memset(bytes, 0, 8);
    bytes[0] = sizeof json - 1;
    memcpy(bytes + 8, json, sizeof json - 1);
    *header_size = 8 + sizeof json - 1;
    memset(bytes + *header_size, 1, 12);
    return *header_size + 12;
}

TEST(file_cut_anywhere_is_refused)
{
    unsigned char bytes[256];
    size_t header_size;
    const size_t size = make_valid(bytes, &header_size);

    assert_cut_anywhere_is_refused(bytes, size);
}

/*
 * What is valid with one byte changed: a name may become each of 95 printable
 * characters but for quote, backslash, the old one and the other tensor's; a
 * key or value of the metadata likewise; and U8 may be I8, F32 I32 or U32.
 */
TEST(header_with_a_byte_changed_is_refused_or_valid)
{
    unsigned char bytes[256];
    size_t header_size;
    const size_t size = make_valid(bytes, &header_size);

    assert_int_equal(count_valid_changes(bytes, size, header_size),
                     2 * (95 - 4) + 2 * (95 - 3) + 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_that_are_not_as_they_should_be),
        cmocka_unit_test(starts_that_are_not_as_they_should_be),
        cmocka_unit_test(long_headers_are_refused),
        cmocka_unit_test(names_may_have_1024_bytes),
        cmocka_unit_test(file_cut_anywhere_is_refused),
        cmocka_unit_test(header_with_a_byte_changed_is_refused_or_valid),
    };

    limit_memory();
    return RUN_IN_FOLDER(tests);
}
