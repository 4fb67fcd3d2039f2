/*
 * fuzz_array.c - reading an array that a hostile file claims to have
 */
#include "fuzz_array.h"

#include "array.h"

#include <string.h>

/* A piece is what the whole has there. */
static void check_piece(const array *a, const unsigned char *whole)
{
    const uint64_t first = a->n_elements / 3;
    const uint64_t count = (a->n_elements - first) / 2;
    const size_t size = (size_t)count * a->element_size;
    unsigned char *piece = fuzz_take(size, 1, FUZZ_OUTPUT);

    REQUIRE(array_read(a, first, count, piece) == DONE, "array: not read");
    REQUIRE(memcmp(piece, whole + first * a->element_size, size) == 0,
            "array: a piece is not what the whole is");
}

/* Floats are those that single elements convert to. */
static void check_floats(const array *a, const unsigned char *whole)
{
    const size_t n = (size_t)a->n_elements;
    float *all = fuzz_take(n * sizeof *all, 0, FUZZ_OUTPUT);
    const outcome result = array_read_floats(a, 0, a->n_elements, all);

    if (!element_is_float(a->element)) {
        REQUIRE(result == BAD_INPUT || n == 0, "array: integers as floats");
        return;
    }
    REQUIRE(result == DONE, "array: floats are not read");
    for (size_t i = 0; i < n; i++) {
        float x;
        elements_to_floats(a->element, whole + i * a->element_size, 1, &x);
        REQUIRE(memcmp(&x, &all[i], sizeof x) == 0, "array: float %zu", i);
    }
}

static void check_array(const array *a, size_t file_size)
{
    const uint64_t size = a->n_elements * a->element_size;
    unsigned char one[8];

    REQUIRE(a->rank <= MAX_RANK && a->begin <= file_size &&
                size <= file_size - a->begin,
            "array: lies beyond the end of the file");
    unsigned char *whole = fuzz_take((size_t)size, 1, FUZZ_OUTPUT);
    REQUIRE(array_read(a, 0, a->n_elements, whole) == DONE, "array: not read");
    REQUIRE(array_read(a, a->n_elements, 1, one) != DONE,
            "array: read beyond its end");
    REQUIRE(strlen(array_describe(a)) > 0, "array: has no description");
    check_piece(a, whole);
    check_floats(a, whole);
}

void fuzz_read_array(const char *path, const char *tensor, size_t size)
{
    array a;

    if (array_open(path, tensor, size % 2 == 1, &a) != DONE) {
        REQUIRE(a.buffer == NULL && a.name == NULL && a.descriptor == -1,
                "array: refused, and something is open");
        return;
    }
    check_array(&a, size);
    array_close(&a);
    fuzz_release();
}
