/*
 * test_mini_safetensors.c - weights that are not what they should be
 */
#include "mini_test.h"

#include "numbers.h"
#include "refusal.h"
#include "safetensors.h"
#include "support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void open_and_close(void)
{
    safetensors s = safetensors_open(weights_path);

    safetensors_close(&s);
}

static void take_w(void)
{
    safetensors s = safetensors_open(weights_path);

    free(safetensors_floats(&s, "w", 2, 2));
    safetensors_close(&s);
}

/* A file of 'header' and 'data_size' zeros, its length said to be 'length'. */
static void write_lengths(uint64_t length, const char *header, size_t data_size)
{
    const size_t n = strlen(header);
    unsigned char *bytes = take(8 + n + data_size, 1);

    for (int i = 0; i < 8; ++i)
        bytes[i] = (unsigned char)(length >> (8 * i));
    memcpy(bytes + 8, header, n);
    write_file(weights_path, bytes, 8 + n + data_size);
    free(bytes);
}

static void write_weights(const char *header, size_t data_size)
{
    write_lengths(strlen(header), header, data_size);
}

#define TENSOR(name, dtype, shape, offsets)                                    \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape                   \
    ",\"data_offsets\":" offsets "}"
#define W "{" TENSOR("w", "F32", "[2,2]", "[0,16]") "}"

TEST(good_tensor_is_read)
{
    write_weights(W, 16);
    assert_read(take_w);
    write_weights(W "   ", 16);
    assert_read(take_w);
    write_weights("{\"__metadata__\":{\"a\":\"b\"}," TENSOR(
                      "w", "BF16", "[2,2]",
                      "[4,12]") "," TENSOR("v", "I32", "[]", "[0,4]") "}",
                  12);
    assert_read(take_w);
    write_weights("{}", 0);
    assert_read(open_and_close);
}

TEST(short_file_is_refused)
{
    write_file(weights_path, "", 0);
    assert_refused(open_and_close, "0 bytes are no safetensors file");
    write_file(weights_path, "1234567", 7);
    assert_refused(open_and_close, "7 bytes are no safetensors file");
}

TEST(truncated_file_is_refused)
{
    write_weights(W, 15);
    assert_refused(open_and_close, "outside the file");
    write_weights(W, 0);
    assert_refused(open_and_close, "outside the file");
}

TEST(header_length_beyond_file_is_refused)
{
    write_lengths(strlen(W) + 17, W, 16);
    assert_refused(open_and_close, "the header is said to have");
    write_lengths(UINT64_MAX, W, 16);
    assert_refused(open_and_close, "the header is said to have");
    write_lengths(UINT64_MAX - 7, W, 16);
    assert_refused(open_and_close, "the header is said to have");
}

TEST(header_that_is_no_json_is_refused)
{
    static const char *const headers[] = {"",
                                          "[]",
                                          "nul",
                                          "{",
                                          "{\"w\":",
                                          " {}",
                                          "{\"w\":{\"dtype\":\"F32\"",
                                          "{\"w\" {}}"};

    for (size_t i = 0; i < sizeof headers / sizeof *headers; ++i) {
        write_weights(headers[i], 16);
        assert_refused(open_and_close, "the header is not JSON");
    }
    write_weights(W "x", 16);
    assert_refused(open_and_close, "goes on behind its JSON");
    write_lengths(strlen(W) - 1, W, 16);
    assert_refused(open_and_close, "not JSON");
    write_lengths(0, W, 16);
    assert_refused(open_and_close, "not JSON");
}

TEST(deeply_nested_header_is_refused)
{
    enum { DEPTH = 100000 };
    char *header = take(DEPTH + 6, 1);

    memcpy(header, "{\"w\":", 5);
    memset(header + 5, '[', DEPTH);
    write_weights(header, 0);
    assert_refused(open_and_close, "the header is not JSON");
    free(header);
}

TEST(entry_of_wrong_form_is_refused)
{
    static const struct {
        const char *header, *reason;
    } cases[] = {
        {"{\"w\":5}", "no object with a dtype"},
        {"{\"w\":{\"shape\":[4],\"data_offsets\":[0,16]}}", "no object"},
        {"{" TENSOR("w", "Q4", "[2,2]", "[0,16]") "}", "unknown dtype \"Q4\""},
        {"{" TENSOR("w", "F32", "4", "[0,16]") "}", "no list of up to"},
        {"{" TENSOR("w", "F32", "[1,1,1,1,1,1,1,1,4]", "[0,16]") "}",
         "no list of up to"},
        {"{" TENSOR("w", "F32", "[-2,-2]", "[0,16]") "}", "no whole number"},
        {"{" TENSOR("w", "F32", "[2.5,2]", "[0,16]") "}", "no whole number"},
        {"{" TENSOR("w", "F32", "[\"4\"]", "[0,16]") "}", "no whole number"},
        {"{" TENSOR("w", "F32", "[1e300]", "[0,16]") "}", "no whole number"},
        {"{" TENSOR("w", "F32", "[4294967296,4294967296]", "[0,16]") "}",
         "the shape is too large"},
        {"{" TENSOR("w", "F32", "[9007199254740992]", "[0,16]") "}",
         "disagree"},
        {"{" TENSOR("w", "F32", "[2,2]", "[0]") "}", "no two numbers"},
        {"{" TENSOR("w", "F32", "[2,2]", "[16,0]") "}", "outside the file"},
        {"{" TENSOR("w", "F32", "[2,2]", "[4,20]") "}", "outside the file"},
        {"{" TENSOR("w", "F32", "[2,2]", "[0,1e18]") "}", "no whole number"},
        {"{" TENSOR("w", "F32", "[2,2]", "[-16,0]") "}", "no whole number"},
        {"{" TENSOR("w", "F32", "[2,3]", "[0,16]") "}", "disagree"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        write_weights(cases[i].header, 16);
        assert_refused(open_and_close, cases[i].reason);
    }
}

TEST(overlap_gap_and_twins_are_refused)
{
    write_weights("{" TENSOR("v", "F32", "[2]", "[0,8]") "," TENSOR(
                      "w", "F32", "[2,2]", "[4,20]") "}",
                  20);
    assert_refused(open_and_close, "tensor w: overlap or gap");
    write_weights("{" TENSOR("v", "F32", "[2]", "[0,8]") "," TENSOR(
                      "w", "F32", "[2,2]", "[12,28]") "}",
                  28);
    assert_refused(open_and_close, "tensor w: overlap or gap");
    write_weights(W, 20);
    assert_refused(open_and_close, "4 bytes of data belong to no tensor");
    write_weights("{" TENSOR("w", "F32", "[2]", "[0,8]") "," TENSOR(
                      "w", "F32", "[2,2]", "[8,24]") "}",
                  24);
    assert_refused(open_and_close, "tensor w: there are two");
}

TEST(tensor_of_wrong_kind_is_refused)
{
    write_weights("{" TENSOR("v", "F32", "[2,2]", "[0,16]") "}", 16);
    assert_refused(take_w, "tensor w is missing");
    write_weights("{" TENSOR("w", "I32", "[2,2]", "[0,16]") "}", 16);
    assert_refused(take_w, "dtype I32 is not F32, F16 or BF16");
    write_weights("{" TENSOR("w", "F32", "[4]", "[0,16]") "}", 16);
    assert_refused(take_w, "the shape is not [2][2]");
    write_weights("{" TENSOR("w", "F32", "[1,4]", "[0,16]") "}", 16);
    assert_refused(take_w, "the shape is not [2][2]");
}

TEST(weight_that_is_nan_is_refused)
{
    static const char header[] = "{" TENSOR("w", "F16", "[2,2]", "[0,8]") "}";
    unsigned char bytes[8 + sizeof header - 1 + 8] = {sizeof header - 1};

    memcpy(bytes + 8, header, sizeof header - 1);
    bytes[sizeof bytes - 1] = 0x7e;
    write_file(weights_path, bytes, sizeof bytes);
    assert_refused(take_w, "tensor w holds NaN or infinity");
}

TEST(halves_are_the_floats_they_stand_for)
{
    static const struct {
        unsigned char bytes[2];
        float f16, bf16;
    } cases[] = {
        {{0x00, 0x3c}, 1.0f, 0x1p-7f},
        {{0x01, 0x00}, 0x1p-24f, 0x1p-133f},
        {{0xff, 0x03}, 1023 * 0x1p-24f, 0x1.fep-120f},
        {{0x00, 0x04}, 0x1p-14f, 0x1p-119f},
        {{0xff, 0x7b}, 65504.0f, 0x1.fep+120f},
        {{0x00, 0xc0}, -2.0f, -2.0f},
        {{0x00, 0x80}, -0.0f, -0.0f},
    };
    static const unsigned char infinity[2] = {0x00, 0xfc};

    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        const float f16 = read_f16(cases[i].bytes);
        const float bf16 = read_bf16(cases[i].bytes);

        assert_memory_equal(&f16, &cases[i].f16, sizeof f16);
        assert_memory_equal(&bf16, &cases[i].bf16, sizeof bf16);
    }
    assert_true(read_f16(infinity) == -INFINITY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_tensor_is_read),
        cmocka_unit_test(short_file_is_refused),
        cmocka_unit_test(truncated_file_is_refused),
        cmocka_unit_test(header_length_beyond_file_is_refused),
        cmocka_unit_test(header_that_is_no_json_is_refused),
        cmocka_unit_test(deeply_nested_header_is_refused),
        cmocka_unit_test(entry_of_wrong_form_is_refused),
        cmocka_unit_test(overlap_gap_and_twins_are_refused),
        cmocka_unit_test(tensor_of_wrong_kind_is_refused),
        cmocka_unit_test(weight_that_is_nan_is_refused),
        cmocka_unit_test(halves_are_the_floats_they_stand_for),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
