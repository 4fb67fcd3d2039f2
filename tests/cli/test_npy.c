/*
 * test_npy.c - headers of .npy files that are as they should be
 *
 * What is refused is in test_malformed_npy.c.
 */
#include "cli_test.h"

#include "array.h"
#include "elements.h"

#include <stdio.h>

static const float numbers[] = {1, -2, 3, -4, 5, -6};

/* A header with that dictionary, at most three axes, opens. */
static void assert_opens(const char *dictionary, size_t data_size,
                         const char *description, bool fortran)
{
    unsigned char data[128] = {0};
    array a;

    assert_true(data_size <= sizeof data);
    write_npy("a.npy", dictionary, data, data_size);
    assert_int_equal(array_open("a.npy", NULL, false, &a), DONE);
    assert_string_equal(array_describe(&a), description);
    assert_int_equal(a.fortran, fortran);
    assert_int_equal(a.n_elements * a.element_size, data_size);
    array_close(&a);
}

#define C_ORDER "'fortran_order': False"
#define F_ORDER "'fortran_order': True"

TEST(every_type_opens)
{
    static const struct {
        const char *descr, *name;
        size_t size;
    } types[] = {{"<f2", "f16", 2}, {">f2", "f16", 2}, {"<f4", "f32", 4},
                 {">f4", "f32", 4}, {"<f8", "f64", 8}, {">f8", "f64", 8},
                 {"|u1", "u8", 1},  {"<u1", "u8", 1},  {"<u2", "u16", 2},
                 {">u2", "u16", 2}, {"<u4", "u32", 4}, {">u4", "u32", 4},
                 {"<i4", "i32", 4}, {">i4", "i32", 4}, {"<i8", "i64", 8},
                 {">i8", "i64", 8}};

    for (size_t i = 0; i < COUNT(types); i++) {
        char header[96], name[32];
        snprintf(header, sizeof header,
                 "{'descr': '%s', " C_ORDER ", 'shape': (3,), }\n",
                 types[i].descr);
        snprintf(name, sizeof name, "%s [3]", types[i].name);
        assert_opens(header, 3 * types[i].size, name, false);
    }
}

TEST(every_form_of_a_dictionary_opens)
{
    assert_opens("{'descr': '<f4', " C_ORDER ", 'shape': (), }\n", 4, "f32",
                 false);
    assert_opens("{'descr': '<f4', " C_ORDER ", 'shape': (0,)}\n", 0, "f32 [0]",
                 false);
    assert_opens("{'shape': (2, 3), " F_ORDER ", 'descr': '<f4'}     \n", 24,
                 "f32 [2][3]", true);
    assert_opens("{\"descr\":\"<f4\",\"shape\":(2,3,),\"fortran_order\":"
                 "False}\n",
                 24, "f32 [2][3]", false);
    assert_opens("{  'descr'  :  '<f4' , " F_ORDER " , 'shape' : ( 5 , ) , }\n",
                 20, "f32 [5]", false); /* one axis has one order */
    assert_opens("{'descr': '|u1', " C_ORDER
                 ", 'shape': (1, 2, 1, 2, 1, 2, 1, 2), }\n",
                 16, "u8 [1][2][1][2][1][2][1][2]", false);
    assert_opens("{'descr': '<f8', " C_ORDER
                 ", 'shape': (0, 1152921504606846976), }\n",
                 0, "f64 [0][1152921504606846976]", false);
}

TEST(versions_2_and_3_open)
{
    static const char header[] = "{'descr': '<f4', 'fortran_order': False, "
                                 "'shape': (2, 3), }\n";
    unsigned char bytes[12 + sizeof header - 1 + sizeof numbers] =
        "\x93NUMPY\x02";
    array a;

    bytes[8] = sizeof header - 1;
    memcpy(bytes + 12, header, sizeof header - 1);
    memcpy(bytes + 12 + sizeof header - 1, numbers, sizeof numbers);
    if (element_is_swapped(true))
        elements_swap(bytes + 12 + sizeof header - 1, COUNT(numbers), 4);
    for (unsigned char version = 2; version <= 3; version++) {
        float x[6];
        bytes[6] = version;
        write_file("a.npy", bytes, sizeof bytes);
        assert_int_equal(array_open("a.npy", NULL, false, &a), DONE);
        assert_int_equal(array_read_floats(&a, 0, 6, x), DONE);
        assert_floats(x, numbers);
        array_close(&a);
    }
}

TEST(longest_header_opens)
{
    char header[10001];
    static const char start[] = "{'descr': '<f4', 'fortran_order': False, "
                                "'shape': (6,), }";

    memset(header, ' ', sizeof header);
    memcpy(header, start, sizeof start - 1);
    header[9999] = '\n';
    header[10000] = '\0';
    assert_opens(header, 24, "f32 [6]", false);
}

TEST(u2_is_bf16_where_asked_for)
{
    static const unsigned char data[] = {0x80, 0x3f, 0x20, 0xc1};
    static const float expected[] = {1.0f, -10.0f};
    array a;
    float x[2];

    write_npy("a.npy", "{'descr': '<u2', " C_ORDER ", 'shape': (2,), }\n", data,
              sizeof data);

    assert_int_equal(array_open("a.npy", NULL, true, &a), DONE);

    assert_string_equal(array_describe(&a), "bf16 [2]");
    assert_int_equal(array_read_floats(&a, 0, 2, x), DONE);
    assert_floats(x, expected);
    array_close(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_opens),
        cmocka_unit_test(every_form_of_a_dictionary_opens),
        cmocka_unit_test(versions_2_and_3_open),
        cmocka_unit_test(longest_header_opens),
        cmocka_unit_test(u2_is_bf16_where_asked_for),
    };

    return RUN_IN_FOLDER(tests);
}
