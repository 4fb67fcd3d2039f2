/*
 * test_safetensors.c - .safetensors files that are as they should be
 *
 * What is refused is in test_malformed_safetensors.c.
 */
#include "cli_test.h"

#include "file.h"
#include "safetensors.h"

#include <stdio.h>

#define TENSOR(dtype, shape, begin, end)                                       \
    "{\"dtype\":\"" dtype "\",\"shape\":[" shape "],\"data_offsets\":[" #begin \
    "," #end "]}"

static const unsigned char data[256] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};

static outcome read_header(const char *name, safetensors *s)
{
    int descriptor;
    uint64_t size;

    assert_int_equal(file_open(name, &descriptor, &size), DONE);
    const outcome result =
        safetensors_read(name, descriptor, size, SAFETENSORS_MAX_HEADER, s);
    close(descriptor);
    return result;
}

TEST(tensors_come_by_name_whatever_their_order)
{
    safetensors s;

    write_safetensors(
        "s",
        "{\"b\":" TENSOR("F32", "2,1", 4, 12) ",\"a\":" TENSOR(
            "F16", "", 0, 2) ",\"c\":" TENSOR("U8", "2", 2, 4) "}"
                                                               "  ",
        data, 12);

    assert_int_equal(read_header("s", &s), DONE);

    assert_int_equal(s.n_entries, 3);
    assert_string_equal(s.entries[0].name, "a");
    assert_string_equal(s.entries[1].name, "b");
    assert_string_equal(s.entries[1].dtype, "F32");
    assert_int_equal(s.entries[1].rank, 2);
    assert_int_equal(s.entries[1].n_elements, 2);
    assert_int_equal(s.entries[1].end - s.entries[1].begin, 8);
    assert_ptr_equal(safetensors_find(&s, "c"), &s.entries[2]);
    assert_null(safetensors_find(&s, "d"));
    safetensors_free(&s);
}

TEST(every_type_has_its_size)
{
    static const struct {
        const char *dtype;
        int size; /* of 8 elements, so that bits make bytes */
    } types[] = {{"BOOL", 8},    {"F4", 4},   {"F6_E2M3", 6}, {"F6_E3M2", 6},
                 {"U8", 8},      {"I8", 8},   {"F8_E5M2", 8}, {"F8_E4M3", 8},
                 {"F8_E8M0", 8}, {"I16", 16}, {"U16", 16},    {"F16", 16},
                 {"BF16", 16},   {"I32", 32}, {"U32", 32},    {"F32", 32},
                 {"C64", 64},    {"F64", 64}, {"I64", 64},    {"U64", 64}};

    for (size_t i = 0; i < COUNT(types); i++) {
        safetensors s;
        char json[128];
        snprintf(json, sizeof json,
                 "{\"x\":{\"dtype\":\"%s\",\"shape\":[8],"
                 "\"data_offsets\":[0,%d]}}",
                 types[i].dtype, types[i].size);
        write_safetensors("s", json, data, (size_t)types[i].size);
        assert_int_equal(read_header("s", &s), DONE);
        assert_string_equal(s.entries[0].dtype, types[i].dtype);
        safetensors_free(&s);
    }
}

TEST(empty_tensors_and_metadata_are_read)
{
    safetensors s;

    write_safetensors("s",
                      "{\"__metadata__\":{\"format\":\"pt\",\"\xc3\xa9\":\"\"},"
                      "\"a\":" TENSOR("F32", "0,9007199254740992", 0,
                                      0) ",\"b\":" TENSOR("F32", "0", 0, 0) "}",
                      data, 0);
    assert_int_equal(read_header("s", &s), DONE);
    assert_int_equal(s.n_entries, 2);
    assert_int_equal(s.entries[0].n_elements, 0);
    safetensors_free(&s);

    write_safetensors("s", "{}", data, 0);
    assert_int_equal(read_header("s", &s), DONE);
    assert_int_equal(s.n_entries, 0);
    safetensors_free(&s);
}

/* Whichever comes first in the header, the empty one comes first in the
   file. */
TEST(empty_tensors_lie_before_others_at_their_place)
{
    static const char *const headers[] = {
        "{\"a\":" TENSOR("U8", "2", 0, 2) ",\"b\":" TENSOR(
            "U8", "0", 0, 0) ",\"c\":" TENSOR("U8", "0", 2, 2) "}",
        "{\"b\":" TENSOR("U8", "0", 0, 0) ",\"c\":" TENSOR(
            "U8", "0", 2, 2) ",\"a\":" TENSOR("U8", "2", 0, 2) "}"};

    for (size_t i = 0; i < COUNT(headers); i++) {
        safetensors s;
        write_safetensors("s", headers[i], data, 2);
        assert_int_equal(read_header("s", &s), DONE);
        assert_int_equal(s.n_entries, 3);
        safetensors_free(&s);
    }
}

TEST(escapes_in_names_are_undone)
{
    safetensors s;

    write_safetensors("s", "{\"a\\u0041\\\"\\n\":" TENSOR("U8", "1", 0, 1) "}",
                      data, 1);

    assert_int_equal(read_header("s", &s), DONE);

    assert_string_equal(s.entries[0].name, "aA\"\n");
    safetensors_free(&s);
}

TEST(array_takes_the_tensor_it_is_asked_for)
{
    static const char json[] = "{\"a\":" TENSOR(
        "U8", "3", 0, 3) ",\"b\":" TENSOR("U16", "2", 3, 7) "}";
    array a;
    unsigned char bytes[3];
    uint16_t words[2];

    write_safetensors("s", json, data, 7);

    assert_int_equal(array_open("s", "b", false, &a), DONE);
    assert_string_equal(a.name, "s: tensor b");
    assert_int_equal(array_read(&a, 0, 2, words), DONE); /* at an odd byte */
    assert_int_equal(words[0], 0x0504);
    assert_int_equal(words[1], 0x0706);
    array_close(&a);
    assert_int_equal(array_open("s", "a", false, &a), DONE);
    assert_int_equal(array_read(&a, 0, 3, bytes), DONE);
    assert_memory_equal(bytes, data, 3);
    array_close(&a);
}

TEST(array_takes_the_only_tensor)
{
    array a;

    write_safetensors("s", "{\"x\":" TENSOR("I64", "1,1", 0, 8) "}", data, 8);

    assert_int_equal(array_open("s", NULL, false, &a), DONE);

    assert_string_equal(array_describe(&a), "i64 [1][1]");
    array_close(&a);
}

TEST(array_refuses_what_it_cannot_choose_or_read)
{
    array a;

    write_safetensors(
        "s",
        "{\"a\":" TENSOR("I8", "3", 0, 3) ",\"b\":" TENSOR("U8", "2", 3, 5) "}",
        data, 5);
    catch_errors();
    assert_int_equal(array_open("s", NULL, false, &a), BAD_INPUT);
    assert_message(caught_errors(), "s: has 2 tensors, expected the name");
    catch_errors();
    assert_int_equal(array_open("s", "c\n", false, &a), BAD_INPUT);
    assert_message(caught_errors(), "s: has no tensor c\\n");
    catch_errors();
    assert_int_equal(array_open("s", "a", false, &a), BAD_INPUT);
    assert_message(caught_errors(), "tensor a: the type is I8");
    write_safetensors("s", "{}", data, 0);
    catch_errors();
    assert_int_equal(array_open("s", NULL, false, &a), BAD_INPUT);
    assert_message(caught_errors(), "s: has 0 tensors");
}

TEST(header_may_be_no_longer_than_is_said)
{
    static const char json[] = "{\"x\":" TENSOR("U8", "1", 0, 1) "}";
    safetensors s;
    int descriptor;
    uint64_t size;

    write_safetensors("s", json, data, 1);
    assert_int_equal(file_open("s", &descriptor, &size), DONE);

    assert_int_equal(
        safetensors_read("s", descriptor, size, sizeof json - 1, &s), DONE);
    safetensors_free(&s);
    catch_errors();
    assert_int_equal(
        safetensors_read("s", descriptor, size, sizeof json - 2, &s),
        BAD_INPUT);
    assert_message(caught_errors(), "expected at most 52");
    close(descriptor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tensors_come_by_name_whatever_their_order),
        cmocka_unit_test(every_type_has_its_size),
        cmocka_unit_test(empty_tensors_and_metadata_are_read),
        cmocka_unit_test(empty_tensors_lie_before_others_at_their_place),
        cmocka_unit_test(escapes_in_names_are_undone),
        cmocka_unit_test(array_takes_the_tensor_it_is_asked_for),
        cmocka_unit_test(array_takes_the_only_tensor),
        cmocka_unit_test(array_refuses_what_it_cannot_choose_or_read),
        cmocka_unit_test(header_may_be_no_longer_than_is_said),
    };

    return RUN_IN_FOLDER(tests);
}
