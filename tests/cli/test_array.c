/*
 * test_array.c - arrays are read piece by piece, in C order
 *
 * The numbers of the files say where they are: element i, in C order, is i.
 */
#include "cli_test.h"

#include "array.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

enum { MAX_HEADER = 128 };

/* ---- Files of counting numbers ------------------------------------------- */

typedef struct form {
    const char *descr;
    uint32_t size;
    bool big, fortran;
} form;

static bool host_is_big(void)
{
    return element_is_swapped(true);
}

/* The bytes of the number 'i' in that form. */
static void put_number(const form *f, uint32_t i, unsigned char *out)
{
    const uint8_t byte = (uint8_t)i;
    const uint16_t half = (uint16_t)i;
    const uint64_t wide = i;
    const float x = (float)i;
    const double y = i;
    const bool is_float = f->descr[1] == 'f';
    const void *bytes = f->size == 1   ? (const void *)&byte
                        : f->size == 2 ? (const void *)&half
                        : f->size == 4 ? is_float ? (const void *)&x : &i
                        : is_float     ? (const void *)&y
                                       : &wide;

    memcpy(out, bytes, f->size);
    if (f->big != host_is_big())
        elements_swap(out, 1, f->size);
}

/* Where element 'i' of C order lies in the file. */
static size_t place_of(const uint32_t *shape, uint32_t rank, bool fortran,
                       size_t i)
{
    size_t place = 0, stride = 1, index[4];

    if (!fortran)
        return i;
    for (uint32_t axis = rank; axis-- > 0;) {
        index[axis] = i % shape[axis];
        i /= shape[axis];
    }
    for (uint32_t axis = 0; axis < rank; axis++) {
        place += index[axis] * stride;
        stride *= shape[axis];
    }
    return place;
}

/* Returns the number of elements. */
static uint32_t write_counting(const char *name, const form *f,
                               const uint32_t *shape, uint32_t rank)
{
    char header[MAX_HEADER];
    uint32_t n = 1;
    size_t used = (size_t)snprintf(header, sizeof header,
                                   "{'descr': '%s', 'fortran_order': %s, "
                                   "'shape': (",
                                   f->descr, f->fortran ? "True" : "False");

    for (uint32_t axis = 0; axis < rank; axis++) {
        n *= shape[axis];
        used += (size_t)snprintf(header + used, sizeof header - used, "%u, ",
                                 shape[axis]);
    }
    snprintf(header + used, sizeof header - used, "), }\n");
    if (rank > 1) /* "3, )" is "3,)" of one axis, "3)" of two */
        memcpy(header + used - 2, "), }\n", sizeof "), }\n");
    unsigned char *data = malloc((size_t)n * f->size);
    assert_non_null(data);
    for (uint32_t i = 0; i < n; i++)
        put_number(f, i, data + place_of(shape, rank, f->fortran, i) * f->size);
    write_npy(name, header, data, (size_t)n * f->size);
    free(data);
    return n;
}

/* ---- Reading ------------------------------------------------------------- */

static void assert_counts_in_floats(const array *a, uint32_t first, uint32_t n)
{
    guarded out = guard(NULL, n * sizeof(float));
    float x;

    assert_int_equal(array_read_floats(a, first, n, (float *)(void *)out.data),
                     DONE);
    for (uint32_t i = 0; i < n; i++) {
        memcpy(&x, out.data + i * sizeof x, sizeof x);
        assert_near(x, (float)(first + i), 0.0);
    }
    unguard(&out);
}

/* Ranges at both ends, of one element, of none, and some between. */
static void assert_counts(const array *a, uint32_t n)
{
    const uint32_t firsts[] = {0, 1, n / 3, n / 2, n - 1, n};

    for (size_t i = 0; i < COUNT(firsts); i++) {
        const uint32_t rest = n - firsts[i];
        const uint32_t counts[] = {0, rest > 0, rest / 2, rest};
        for (size_t j = 0; j < COUNT(counts); j++)
            assert_counts_in_floats(a, firsts[i], counts[j]);
    }
}

TEST(floats_of_every_form_are_read_in_c_order)
{
    static const uint32_t shapes[][4] = {
        {7}, {3, 4}, {1, 5}, {5, 1}, {2, 3, 4}, {2, 3, 1, 5}, {3, 2, 4, 2}};
    static const uint32_t ranks[] = {1, 2, 2, 2, 3, 4, 4};

    for (uint32_t i = 0; i < 8; i++) {
        const bool big = i & 1, wide = i >> 1 & 1;
        const form f = {big    ? wide ? ">f8" : ">f4"
                        : wide ? "<f8"
                               : "<f4",
                        wide ? 8 : 4, big, i >> 2 & 1};
        for (size_t j = 0; j < COUNT(shapes); j++) {
            array a;
            const uint32_t n = write_counting("a.npy", &f, shapes[j], ranks[j]);
            assert_int_equal(array_open("a.npy", NULL, false, &a), DONE);
            assert_counts(&a, n);
            array_close(&a);
        }
    }
}

/* Above the buffer of 2^18 bytes, with runs that are shorter and longer. */
TEST(large_arrays_are_read_in_c_order)
{
    static const uint32_t shapes[][2] = {{3, 50000}, {50000, 3}, {350, 500}};

    for (uint32_t i = 0; i < 4; i++) {
        const form f = {i & 1 ? "<f8" : "<f4", i & 1 ? 8 : 4, false, i >> 1};
        for (size_t j = 0; j < COUNT(shapes); j++) {
            array a;
            const uint32_t n = write_counting("a.npy", &f, shapes[j], 2);
            assert_int_equal(array_open("a.npy", NULL, false, &a), DONE);
            assert_counts_in_floats(&a, 0, n);
            assert_counts_in_floats(&a, n / 3, n / 2);
            array_close(&a);
        }
    }
}

TEST(integers_are_read_in_native_byte_order)
{
    static const uint32_t shape[] = {5, 3};
    static const form forms[] = {
        {"<u2", 2, false, false}, {">u2", 2, true, false},
        {"<u4", 4, false, false}, {">u4", 4, true, true},
        {"<i4", 4, false, true},  {">i8", 8, true, false},
        {"<i8", 8, false, true},  {"|u1", 1, false, true}};

    for (size_t i = 0; i < COUNT(forms); i++) {
        array a;
        const uint32_t n = write_counting("a.npy", &forms[i], shape, 2);
        guarded out = guard(NULL, (size_t)n * forms[i].size);
        form native = forms[i];
        native.big = host_is_big();
        assert_int_equal(array_open("a.npy", NULL, false, &a), DONE);
        assert_int_equal(array_read(&a, 0, n, out.data), DONE);
        for (uint32_t j = 0; j < n; j++) {
            unsigned char expected[8];
            put_number(&native, j, expected);
            assert_memory_equal(out.data + j * native.size, expected,
                                native.size);
        }
        unguard(&out);
        array_close(&a);
    }
}

TEST(doubles_are_rounded_to_nearest)
{
    static const double stored[] = {1.0 + 0x1p-24, 1.0 + 0x1.8p-23, 1e300,
                                    -1e300, 1e-300};
    static const float expected[] = {1.0f, 1.0f + 0x1p-22f, INFINITY, -INFINITY,
                                     0.0f};
    float x[COUNT(stored)];
    array a;

    write_npy("a.npy",
              host_is_big()
                  ? "{'descr': '>f8', 'fortran_order': False, 'shape': (5,)}\n"
                  : "{'descr': '<f8', 'fortran_order': False, 'shape': (5,)}\n",
              stored, sizeof stored);
    assert_int_equal(array_open("a.npy", NULL, false, &a), DONE);

    assert_int_equal(array_read_floats(&a, 0, COUNT(stored), x), DONE);

    assert_floats(x, expected);
    array_close(&a);
}

TEST(integers_are_no_floats)
{
    static const form f = {"<i4", 4, false, false};
    static const uint32_t shape[] = {2, 3};
    float x[6];
    array a;

    write_counting("a.npy", &f, shape, 2);
    assert_int_equal(array_open("a.npy", NULL, false, &a), DONE);

    catch_errors();
    assert_int_equal(array_read_floats(&a, 0, 6, x), BAD_INPUT);

    assert_message(caught_errors(), "a.npy: is i32 [2][3], expected floating");
    array_close(&a);
}

TEST(elements_beyond_the_end_are_not_read)
{
    static const form f = {"<f4", 4, false, false};
    static const uint32_t shape[] = {2, 3};
    float x[8];
    array a;

    write_counting("a.npy", &f, shape, 2);
    assert_int_equal(array_open("a.npy", NULL, false, &a), DONE);
    catch_errors();
    assert_int_equal(array_read_floats(&a, 0, 7, x), INTERNAL);
    assert_message(caught_errors(), "beyond its end");
    catch_errors();
    assert_int_equal(array_read(&a, 7, 0, x), INTERNAL);
    assert_message(caught_errors(), "beyond its end");
    catch_errors();
    assert_int_equal(array_read(&a, 1, UINT64_MAX, x), INTERNAL);
    assert_message(caught_errors(), "beyond its end");
    array_close(&a);
}

TEST(file_that_becomes_shorter_is_an_error)
{
    static const form f = {"<f4", 4, false, false};
    static const uint32_t shape[] = {2, 3};
    float x[6];
    array a;

    write_counting("a.npy", &f, shape, 2);
    assert_int_equal(array_open("a.npy", NULL, false, &a), DONE);
    assert_int_equal(truncate("a.npy", 90), 0);

    catch_errors();
    assert_int_equal(array_read_floats(&a, 0, 6, x), IO_FAILED);

    assert_message(caught_errors(), "a.npy: ends at byte 90");
    array_close(&a);
}

/* ---- A file above 4 GiB that takes no space ------------------------------ */

TEST(five_gigabytes_are_read_in_slices)
{
    static const char header[] = "{'descr': '<f4', 'fortran_order': False, "
                                 "'shape': (1342177280,), }\n";
    const uint64_t n = UINT64_C(1342177280), last = n - 3;
    static const unsigned char data[] = {0, 0, 0x80, 0x3f, 0, 0, 0, 0x40};
    static const float expected[] = {0.0f, 1.0f, 2.0f, 0.0f};
    struct stat status;
    float x[4];
    array a;

    write_npy("large.npy", header, NULL, 0);
    int fd = open("large.npy", O_WRONLY);
    const off_t begin = 10 + (off_t)sizeof header - 1;
    if (ftruncate(fd, begin + (off_t)(4 * n)) != 0 || fstat(fd, &status) != 0 ||
        status.st_blocks > 2048) {
        close(fd);
        remove("large.npy");
        skip();
    }
    assert_int_equal(pwrite(fd, data, sizeof data, begin + (off_t)(4 * last)),
                     sizeof data);
    close(fd);

    assert_int_equal(array_open("large.npy", NULL, false, &a), DONE);
    assert_int_equal(array_read_floats(&a, last - 1, 4, x), DONE);
    assert_floats(x, expected);
    array_close(&a);
    remove("large.npy");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(floats_of_every_form_are_read_in_c_order),
        cmocka_unit_test(large_arrays_are_read_in_c_order),
        cmocka_unit_test(integers_are_read_in_native_byte_order),
        cmocka_unit_test(doubles_are_rounded_to_nearest),
        cmocka_unit_test(integers_are_no_floats),
        cmocka_unit_test(elements_beyond_the_end_are_not_read),
        cmocka_unit_test(file_that_becomes_shorter_is_an_error),
        cmocka_unit_test(five_gigabytes_are_read_in_slices),
    };

    return RUN_IN_FOLDER(tests);
}
