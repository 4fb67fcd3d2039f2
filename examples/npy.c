/*
 * npy.c - arrays of numbers from .npy files, for the examples
 *
 * Ten bytes, then a Python literal of fixed keys in fixed order, then the
 * numbers.  They must fill the rest of the file to the byte.
 */
#include "npy.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_HEADER = 4096 };

static const char start[] = "\x93NUMPY\x01";

static size_t size_of(npy_type type)
{
    return type == NPY_U8 ? 1 : 4;
}

static const char *parse_type(const char **text, npy_type *type)
{
    static const struct {
        const char *text;
        npy_type type;
    } known[] = {{"'<f4'", NPY_F32}, {"'<i4'", NPY_I32}, {"'|u1'", NPY_U8}};

    for (size_t i = 0; i < sizeof known / sizeof *known; ++i) {
        if (strncmp(*text, known[i].text, 5) == 0) {
            *type = known[i].type;
            *text += 5;
            return NULL;
        }
    }
    return "not of type f4, i4 or u1, little-endian";
}

static const char *parse_shape(const char *text, npy_array *array)
{
    array->rank = 0;
    array->n = 1;
    while (*text != ')') {
        char *end;
        const unsigned long long count = strtoull(text, &end, 10);

        if (*text < '0' || *text > '9' || array->rank == NPY_MAX_RANK)
            return "bad shape";
        if (count > SIZE_MAX / 8 || (count && array->n > SIZE_MAX / 8 / count))
            return "shape too large";
        array->shape[array->rank++] = (size_t)count;
        array->n *= (size_t)count;
        text = end + strspn(end, ", ");
    }
    return NULL;
}

static const char *parse_header(const char *text, npy_array *array)
{
    static const char before_order[] = ", 'fortran_order': False, 'shape': (";
    const char *problem;

    if (strncmp(text, "{'descr': ", 10) != 0)
        return "bad header";
    text += 10;
    if ((problem = parse_type(&text, &array->type)))
        return problem;
    if (strncmp(text, before_order, sizeof before_order - 1) != 0)
        return "not in C order";
    return parse_shape(text + sizeof before_order - 1, array);
}

static const char *read_header(FILE *file, npy_array *array)
{
    unsigned char head[10];
    char text[MAX_HEADER + 1];

    if (fread(head, 1, sizeof head, file) != sizeof head ||
        memcmp(head, start, sizeof start) != 0)
        return "not a .npy file of version 1.0";
    const size_t size = head[8] | (size_t)head[9] << 8;
    if (size > MAX_HEADER || fread(text, 1, size, file) != size)
        return "bad header";
    text[size] = '\0';
    return parse_header(text, array);
}

/* Grows with what the file holds, whatever its header promises. */
static const char *read_numbers(FILE *file, npy_array *array)
{
    const size_t size = array->n * size_of(array->type);
    size_t room = 0, filled = 0;
    char *data = NULL;

    do {
        const size_t step = room < 1 << 20 ? 1 << 20 : room;

        room = size - room < step ? size : room + step;
        char *more = realloc(data, room ? room : 1);
        if (!more) {
            free(data);
            return "out of memory";
        }
        data = more;
        filled += fread(data + filled, 1, room - filled, file);
    } while (filled == room && room < size);
    if (filled < size || fgetc(file) != EOF) {
        free(data);
        return filled < size ? "shorter than its shape"
                             : "longer than its "
                               "shape";
    }
    array->data = data;
    return NULL;
}

const char *npy_read(const char *path, npy_array *array)
{
    npy_array a = {.data = NULL};
    FILE *file = fopen(path, "rb");
    const char *problem;

    if (!file)
        return "cannot be opened";
    problem = read_header(file, &a);
    if (!problem)
        problem = read_numbers(file, &a);
    fclose(file);
    if (!problem)
        *array = a;
    return problem;
}
