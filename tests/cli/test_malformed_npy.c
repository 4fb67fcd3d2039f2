/*
 * test_malformed_npy.c - .npy files that are refused
 *
 * A table for the dictionaries, each with 24 bytes of data, which is what the
 * shape (2, 3) of f4 needs; another for what comes before them.  Then a valid
 * file of each kind, cut at every byte and with every byte of its header
 * changed.
 */
#include "cli_test.h"
#include "malformed.h"

#include <stdio.h>

#define F "'fortran_order': False"
#define S "'shape': (2, 3)"
#define D "'descr': '<f4'"

static const unsigned char data[24];

static const struct {
    const char *text, *reason;
} dictionaries[] = {
    /* The dictionary. */
    {"", "the .npy header ends where '{' is expected"},
    {"\n", "expected '{'"},
    {" {" D ", " F ", " S ", }\n", "expected '{'"},
    {"[" D ", " F ", " S ", ]\n", "expected '{'"},
    {"(" D ", " F ", " S ", )\n", "expected '{'"},
    {"{", "ends where 'descr', 'fortran_order' or 'shape' is expected"},
    {"{}\n", "expected 'descr', 'fortran_order' or 'shape'"},
    {"{" D ", " F ", }\n", "expected 'descr', 'fortran_order' or 'shape'"},
    {"{" D ", " S ", }\n", "expected 'descr', 'fortran_order' or 'shape'"},
    {"{" F ", " S ", }\n", "expected 'descr', 'fortran_order' or 'shape'"},
    {"{" D ", " D ", " F ", " S ", }\n", "each once"},
    {"{" D ", " F ", " F ", " S ", }\n", "each once"},
    {"{" D ", " S ", " S ", }\n", "each once"},
    {"{" D ", " F ", " S ", " D ", }\n", "expected '}'"},
    {"{" D ", " F ", " S ", 'more': 1, }\n", "expected '}'"},
    {"{'more': 1, " D ", " F ", " S ", }\n", "each once"},
    {"{" D ", 'Shape': (2, 3), " F ", }\n", "each once"},
    {"{" D ", 'shape ': (2, 3), " F ", }\n", "'descr'"},
    {"{" D " " F ", " S ", }\n", "expected ','"},
    {"{" D "; " F ", " S ", }\n", "expected ','"},
    {"{," D ", " F ", " S ", }\n", "'descr'"},
    {"{" D ",, " F ", " S ", }\n", "'descr'"},
    {"{" D ", " F ", " S ",, }\n", "expected '}'"},
    {"{" D ", " F ", " S, "ends where '}' is expected"},
    {"{" D ", " F ", " S "\n", "expected '}'"},
    {"{" D ", " F ", " S ", ]\n", "expected '}'"},
    {"{" D ", " F ", " S ", }", "expected"},
    {"{" D ", " F ", " S ", }  ", "expected"},
    {"{" D ", " F ", " S ", }}\n", "a newline at the very end"},
    {"{" D ", " F ", " S ", }\n\n", "a newline at the very end"},
    {"{" D ", " F ", " S ", }\n ", "a newline at the very end"},
    {"{" D ", " F ", " S ", }\t\n", "a newline at the very end"},
    {"{" D ", " F ", " S ", }\r\n", "a newline at the very end"},
    {"{" D ", " F ", " S ", } #\n", "a newline at the very end"},
    {"{" D ", " F ", " S ", }; import os\n", "a newline at the very end"},
    {"{" D ",\n" F ", " S ", }\n", "'descr'"},
    {"{" D ",\t" F ", " S ", }\n", "'descr'"},
    {"{" D ",\v" F ", " S ", }\n", "'descr'"},
    {"{" D ",\xc2\xa0" F ", " S ", }\n", "'descr'"},
    {"dict(descr='<f4', fortran_order=False, shape=(2, 3))\n", "expected '{'"},
    {"{**{}, " D ", " F ", " S ", }\n", "'descr'"},
    /* Keys. */
    {"{descr: '<f4', " F ", " S ", }\n", "'descr'"},
    {"{'descr: '<f4', " F ", " S ", }\n", "'descr'"},
    {"{'descr\": '<f4', " F ", " S ", }\n", "'descr'"},
    {"{u'descr': '<f4', " F ", " S ", }\n", "'descr'"},
    {"{b'descr': '<f4', " F ", " S ", }\n", "'descr'"},
    {"{'''descr''': '<f4', " F ", " S ", }\n", "'descr'"},
    {"{'des' 'cr': '<f4', " F ", " S ", }\n", "'descr'"},
    {"{'d\\x65scr': '<f4', " F ", " S ", }\n", "'descr'"},
    {"{'descr' '<f4', " F ", " S ", }\n", "expected ':'"},
    {"{'descr'= '<f4', " F ", " S ", }\n", "expected ':'"},
    {"{'descr':: '<f4', " F ", " S ", }\n", "expected a type"},
    {"{'': '<f4', " F ", " S ", }\n", "each once"},
    {"{'fortran_order_and_more': False, " D ", " S ", }\n", "'descr'"},
    {"{1: '<f4', " F ", " S ", }\n", "'descr'"},
    /* Types. */
    {"{'descr': '|O', " F ", " S ", }\n", "the type is '|O'"},
    {"{'descr': 'O', " F ", " S ", }\n", "the type is 'O'"},
    {"{'descr': '|O8', " F ", " S ", }\n", "the type is '|O8'"},
    {"{'descr': '|S4', " F ", " S ", }\n", "the type is '|S4'"},
    {"{'descr': '<U1', " F ", " S ", }\n", "the type is '<U1'"},
    {"{'descr': '|V4', " F ", " S ", }\n", "the type is '|V4'"},
    {"{'descr': '|V2', " F ", " S ", }\n", "bfloat16: view it as u2"},
    {"{'descr': '<c8', " F ", " S ", }\n", "the type is '<c8'"},
    {"{'descr': '<M8[s]', " F ", " S ", }\n", "the type is '<M8[s]'"},
    {"{'descr': '|b1', " F ", " S ", }\n", "the type is '|b1'"},
    {"{'descr': '|i1', " F ", " S ", }\n", "the type is '|i1'"},
    {"{'descr': '<i2', " F ", " S ", }\n", "the type is '<i2'"},
    {"{'descr': '<u8', " F ", " S ", }\n", "the type is '<u8'"},
    {"{'descr': '<f1', " F ", " S ", }\n", "the type is '<f1'"},
    {"{'descr': '<f3', " F ", " S ", }\n", "the type is '<f3'"},
    {"{'descr': '<f0', " F ", " S ", }\n", "the type is '<f0'"},
    {"{'descr': '<f16', " F ", " S ", }\n", "the type is '<f16'"},
    {"{'descr': 'f4', " F ", " S ", }\n", "the type is 'f4'"},
    {"{'descr': '|f4', " F ", " S ", }\n", "the type is '|f4'"},
    {"{'descr': '=f4', " F ", " S ", }\n", "the type is '=f4'"},
    {"{'descr': '<F4', " F ", " S ", }\n", "the type is '<F4'"},
    {"{'descr': '<<4', " F ", " S ", }\n", "the type is '<<4'"},
    {"{'descr': 'float32', " F ", " S ", }\n", "the type is 'float32'"},
    {"{'descr': '<f4<', " F ", " S ", }\n", "the type is '<f4<'"},
    {"{'descr': '<f44', " F ", " S ", }\n", "the type is '<f44'"},
    {"{'descr': '<f', " F ", " S ", }\n", "the type is '<f'"},
    {"{'descr': '<', " F ", " S ", }\n", "the type is '<'"},
    {"{'descr': '', " F ", " S ", }\n", "the type is ''"},
    {"{'descr': '<f4 ', " F ", " S ", }\n", "expected a type"},
    {"{'descr': '<f4\x1b[31m', " F ", " S ", }\n", "'<f4\\x1b[31m'"},
    {"{'descr': '<f4\x80', " F ", " S ", }\n", "expected a type"},
    {"{'descr': '<f4\", " F ", " S ", }\n", "expected a type"},
    {"{'descr': '<f4, " F ", " S ", }\n", "expected a type"},
    {"{'descr': '<f4<f4<f4<f4<f4<f4', " F ", " S ", }\n", "expected a type"},
    {"{'descr': <f4, " F ", " S ", }\n", "expected a type"},
    {"{'descr': None, " F ", " S ", }\n", "expected a type"},
    {"{'descr': 4, " F ", " S ", }\n", "expected a type"},
    {"{'descr': ('<f4', (2,)), " F ", " S ", }\n", "expected a type"},
    {"{'descr': [('a', '<f4')], " F ", " S ", }\n",
     "\"[('a', '<f4')], \", expected a type of one number"},
    {"{'descr': ", "ends where a type"},
    /* Order. */
    {"{" D ", 'fortran_order': false, " S ", }\n", "True or False"},
    {"{" D ", 'fortran_order': 0, " S ", }\n", "True or False"},
    {"{" D ", 'fortran_order': 'False', " S ", }\n", "True or False"},
    {"{" D ", 'fortran_order': None, " S ", }\n", "True or False"},
    {"{" D ", 'fortran_order': , " S ", }\n", "True or False"},
    {"{" D ", 'fortran_order': Fals", "True or False"},
    {"{" D ", 'fortran_order': Falsey, " S ", }\n", "expected ','"},
    {"{" D ", 'fortran_order': True or 1, " S ", }\n", "expected ','"},
    /* Shapes. */
    {"{" D ", " F ", 'shape': [2, 3], }\n", "'(' of the shape"},
    {"{" D ", " F ", 'shape': 6, }\n", "'(' of the shape"},
    {"{" D ", " F ", 'shape': None, }\n", "'(' of the shape"},
    {"{" D ", " F ", 'shape': '(2, 3)', }\n", "'(' of the shape"},
    {"{" D ", " F ", 'shape': ", "ends where '(' of the shape"},
    {"{" D ", " F ", 'shape': (", "ends where a count"},
    {"{" D ", " F ", 'shape': (2", "ends where ',' or ')'"},
    {"{" D ", " F ", 'shape': (2, 3", "ends where ',' or ')'"},
    {"{" D ", " F ", 'shape': (2, 3, }\n", "a count or ')'"},
    {"{" D ", " F ", 'shape': (2, 3], }\n", "',' or ')'"},
    {"{" D ", " F ", 'shape': (6), }\n", "as in (3,)"},
    {"{" D ", " F ", 'shape': (,), }\n", "a count or ')'"},
    {"{" D ", " F ", 'shape': (,6), }\n", "a count or ')'"},
    {"{" D ", " F ", 'shape': (6,,), }\n", "a count or ')'"},
    {"{" D ", " F ", 'shape': (2,, 3), }\n", "a count or ')'"},
    {"{" D ", " F ", 'shape': (2 3), }\n", "',' or ')'"},
    {"{" D ", " F ", 'shape': ((2, 3)), }\n", "a count or ')'"},
    {"{" D ", " F ", 'shape': ((2,), 3), }\n", "a count or ')'"},
    {"{" D ", " F ", 'shape': (-2, -3), }\n", "a count or ')'"},
    {"{" D ", " F ", 'shape': (+2, 3), }\n", "a count or ')'"},
    {"{" D ", " F ", 'shape': (2.0, 3), }\n", "',' or ')'"},
    {"{" D ", " F ", 'shape': (2e0, 3), }\n", "',' or ')'"},
    {"{" D ", " F ", 'shape': (2L, 3L), }\n", "',' or ')'"},
    {"{" D ", " F ", 'shape': (0x2, 3), }\n", "',' or ')'"},
    {"{" D ", " F ", 'shape': (02, 3), }\n", "without a 0 in front"},
    {"{" D ", " F ", 'shape': (00, 3), }\n", "without a 0 in front"},
    {"{" D ", " F ", 'shape': (2_0, 3), }\n", "',' or ')'"},
    {"{" D ", " F ", 'shape': (2*1, 3), }\n", "',' or ')'"},
    {"{" D ", " F ", 'shape': (\xc2\xb2, 3), }\n", "a count or ')'"},
    {"{" D ", " F ", 'shape': (True, 3), }\n", "a count or ')'"},
    {"{" D ", " F ", 'shape': (2,\n3), }\n", "a count or ')'"},
    {"{" D ", " F ", 'shape': (1, 1, 1, 1, 1, 1, 1, 2, 3), }\n",
     "at most 8 counts"},
    {"{" D ", " F ", 'shape': (18446744073709551616,), }\n", "at most 64 bits"},
    {"{" D ", " F ", 'shape': (99999999999999999999999999999,), }\n",
     "at most 64 bits"},
    {"{" D ", " F ", 'shape': (4294967296, 4294967296), }\n",
     "more than 64 bits can count"},
    {"{" D ", " F ", 'shape': (9223372036854775808, 2), }\n",
     "more than 64 bits can count"},
    {"{" D ", " F ", 'shape': (4611686018427387904,), }\n",
     "more than 64 bits can count"},
    {"{" D ", " F ", 'shape': (4611686018427387910,), }\n", /* 24 too */
     "more than 64 bits can count"},
    {"{" D ", " F ", 'shape': (0, 4294967296, 4294967296), }\n",
     "more than 64 bits can count"},
    {"{" D ", " F ", 'shape': (18446744073709551615,), }\n",
     "more than 64 bits can count"},
    /* Shape and data. */
    {"{" D ", " F ", 'shape': (2, 2), }\n", "24 bytes of data, expected 16"},
    {"{" D ", " F ", 'shape': (2, 4), }\n", "24 bytes of data, expected 32"},
    {"{" D ", " F ", 'shape': (), }\n", "24 bytes of data, expected 4"},
    {"{" D ", " F ", 'shape': (0,), }\n", "24 bytes of data, expected 0"},
    {"{" D ", " F ", 'shape': (2, 0, 3), }\n", "expected 0 for f32 [2][0]"},
    {"{" D ", " F ", 'shape': (1000000000000,), }\n",
     "expected 4000000000000 for f32 [1000000000000]"},
    {"{'descr': '<f8', " F ", " S ", }\n", "expected 48 for f64 [2][3]"},
    {"{'descr': '<f2', " F ", " S ", }\n", "expected 12 for f16 [2][3]"},
    {"{'descr': '|u1', " F ", " S ", }\n", "expected 6 for u8 [2][3]"},
};

TEST(dictionaries_that_are_not_as_they_should_be)
{
    for (size_t i = 0; i < COUNT(dictionaries); i++) {
        write_npy("bad.npy", dictionaries[i].text, data, sizeof data);
        assert_refused("bad.npy", dictionaries[i].reason);
    }
}

#define START "\x93NUMPY"
static const struct {
    const char *bytes;
    size_t size;
    const char *reason;
} starts[] = {
    {"", 0, "begins neither like"},
    {"\n", 1, "begins neither like"},
    {"\x93", 1, "begins neither like"},
    {"\x93NUMPX\x01\0\0\0", 10, "begins neither like"},
    {"\x93numpy\x01\0\0\0", 10, "begins neither like"},
    {"\x92NUMPY\x01\0\0\0", 10, "begins neither like"},
    {"NUMPY\x01\0\0\0\0", 10, "begins neither like"},
    {"PK\x03\x04\0\0\0\0\0\0", 10, "begins neither like"},
    {"\x89HDF\r\n\x1a\n\0\0", 10, "begins neither like"},
    {"\x80\x04\x95\0\0\0\0\0\0\0", 10, "begins neither like"},
    {"GGUF\x03\0\0\0\0\0", 10, "begins neither like"},
    {START, 6, "6 bytes, too short"},
    {START "\x01", 7, "7 bytes, too short"},
    {START "\x01\0\0", 9, "9 bytes, too short"},
    {START "\x02\0\0\0", 10, "10 bytes, too short"},
    {START "\x02\0\0\0\0", 11, "11 bytes, too short"},
    {START "\0\0\x20\0\0\0", 12, "version 0.0, expected 1.0 to 3.0"},
    {START "\x04\0\x20\0\0\0", 12, "version 4.0, expected 1.0 to 3.0"},
    {START "\xff\xff\x20\0\0\0", 12, "version 255.255"},
    {START "\x01\x01\x20\0", 10, "version 1.1"},
    {START "\x03\x01\x20\0\0\0", 12, "version 3.1"},
    {START "\x01\0\x01\0", 10, "header of 1 bytes"},
    {START "\x01\0\0\0", 10, "header ends where '{'"},
    {START "\x02\0\0\0\0\0", 12, "header ends where '{'"},
    {START "\x01\0\x11\x27", 10, "header of 10001 bytes"},
    {START "\x01\0\xff\xff", 10, "header of 65535 bytes"},
    {START "\x02\0\xff\xff\xff\xff", 12, "header of 4294967295 bytes"},
    {START "\x03\0\xff\xff\xff\x7f", 12, "header of 2147483647 bytes"},
    {START "\x03\0\x00\x00\x00\x80", 12, "header of 2147483648 bytes"},
    {START "\x02\0\x10\x27\0\0", 12,
     "header of 10000 bytes, expected at "
     "most 10000, and 0 are left"},
};

TEST(starts_that_are_not_as_they_should_be)
{
    for (size_t i = 0; i < COUNT(starts); i++) {
        write_file("bad.npy", starts[i].bytes, starts[i].size);
        assert_refused("bad.npy", starts[i].reason);
    }
}

/* One byte more than NumPy reads, and all of them there. */
TEST(header_above_the_limit_is_refused)
{
    char header[10002];

    memset(header, ' ', sizeof header);
    memcpy(header, "{" D ", " F ", " S ", }",
           strlen("{" D ", " F ", " S ", }"));
    header[10000] = '\n';
    header[10001] = '\0';
    write_npy("bad.npy", header, data, sizeof data);

    assert_refused("bad.npy", "a .npy header of 10001 bytes");
}

/* ---- Valid files, cut and changed ---------------------------------------- */

typedef struct valid_file {
    unsigned char bytes[160];
    size_t size, header_size;
} valid_file;

static valid_file make_valid(unsigned char version, const char *dictionary,
                             size_t data_size)
{
    valid_file file = {.bytes = "\x93NUMPY"};
    const size_t length = strlen(dictionary);

    file.bytes[6] = version;
    file.bytes[8] = (unsigned char)length;
    file.header_size = (version == 1 ? 10 : 12) + length;
    file.size = file.header_size + data_size;
    assert_true(file.size <= sizeof file.bytes);
    memcpy(file.bytes + file.header_size - length, dictionary, length);
    return file;
}

TEST(file_cut_anywhere_is_refused)
{
    const valid_file files[] = {
        make_valid(1, "{" D ", " F ", " S ", }          \n", 24),
        make_valid(1, "{'descr': '|u1', " F ", 'shape': (5,), }\n", 5),
        make_valid(2, "{'descr': '>f8', 'fortran_order': True, " S ", }\n", 48),
        make_valid(3, "{'descr': '<i8', " F ", 'shape': (), }\n", 8)};

    for (size_t i = 0; i < COUNT(files); i++)
        assert_cut_anywhere_is_refused(files[i].bytes, files[i].size);
}

/*
 * What is valid with one byte changed: the other byte order, the types i4 and
 * u4 or i8, a space for the last comma, and the version where it is 2 or 3.
 */
TEST(header_with_a_byte_changed_is_refused_or_valid)
{
    const struct {
        valid_file file;
        size_t n_valid;
    } cases[] = {
        {make_valid(1, "{" D ", " F ", " S ", }   \n", 24), 4},
        {make_valid(2, "{" D ", " F ", " S ", }   \n", 24), 5},
        {make_valid(3, "{'descr': '>f8', " F ", 'shape': (3,), }\n", 24), 4}};

    for (size_t i = 0; i < COUNT(cases); i++) {
        const valid_file *f = &cases[i].file;
        assert_int_equal(count_valid_changes(f->bytes, f->size, f->header_size),
                         cases[i].n_valid);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dictionaries_that_are_not_as_they_should_be),
        cmocka_unit_test(starts_that_are_not_as_they_should_be),
        cmocka_unit_test(header_above_the_limit_is_refused),
        cmocka_unit_test(file_cut_anywhere_is_refused),
        cmocka_unit_test(header_with_a_byte_changed_is_refused_or_valid),
    };

    limit_memory();
    return RUN_IN_FOLDER(tests);
}
