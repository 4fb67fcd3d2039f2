/*
 * npy.c - strict reader of .npy files, for examples and tests
 *
 * The header is a Python dictionary, but NumPy writes it in one way only, so it
 * is matched word by word instead of being parsed.
 */
#include "npy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Magic, version 1.0, and two bytes of header size. */
#define PREFIX_SIZE 10

/* Far below where a size could overflow. */
#define MAX_FILE_SIZE (UINT32_C(1) << 30)

/* Step over 'word' if the text starts with it. */
static bool skip(const char **text, const char *word)
{
    const size_t length = strlen(word);
    if (strncmp(*text, word, length) != 0)
        return false;
    *text += length;
    return true;
}

static bool read_count(const char **text, uint32_t *count)
{
    const char *start = *text;
    uint32_t value = 0;
    while (**text >= '0' && **text <= '9' && value < MAX_FILE_SIZE / 10)
        value = value * 10 + (uint32_t)(*(*text)++ - '0');
    *count = value;
    return *text != start && !(**text >= '0' && **text <= '9');
}

/* "(3,), }", "(3, 4), }" or "(3, 4, 5), }", spaces, newline. */
static bool read_shape(const char *text, npy_array *array)
{
    if (!skip(&text, "("))
        return false;
    array->rank = 0;
    do {
        if (array->rank == NPY_MAX_RANK ||
            !read_count(&text, &array->shape[array->rank++]))
            return false;
    } while (skip(&text, ", "));
    if (array->rank == 1 && !skip(&text, ","))
        return false;
    if (!skip(&text, "), }"))
        return false;
    while (skip(&text, " "))
        ;
    return strcmp(text, "\n") == 0;
}

/* A type of either order of bytes, of which the file's is told. */
static bool read_type(const char **text, const char *descr, char *order)
{
    const char *orders = descr[0] == '|' ? "|" : "<>";
    *order = **text;
    if (*order == '\0' || strchr(orders, *order) == NULL)
        return false;
    ++*text;
    return skip(text, descr + 1);
}

static bool read_header(char *header, const char *descr, char *order,
                        npy_array *array)
{
    const char *text = header;
    return skip(&text, "{'descr': '") && read_type(&text, descr, order) &&
           skip(&text, "', 'fortran_order': False, 'shape': ") &&
           read_shape(text, array);
}

/* The last character of a type is its size. */
static size_t item_size(const char *descr)
{
    return (size_t)(descr[2] - '0');
}

/* Bytes of the array, or a number above MAX_FILE_SIZE. */
static uint64_t data_size(const npy_array *array, const char *descr)
{
    uint64_t size = item_size(descr);
    for (uint32_t i = 0; i < array->rank && size <= MAX_FILE_SIZE; i++)
        size *= array->shape[i];
    return size;
}

static void make_native(char order, unsigned char *data, size_t size,
                        size_t item)
{
    const uint16_t one = 1;
    const bool is_little = *(const unsigned char *)&one == 1;
    if (order == '|' || is_little == (order == '<'))
        return;
    for (size_t i = 0; i < size; i += item) {
        for (size_t j = 0; j < item / 2; j++) {
            const unsigned char byte = data[i + j];
            data[i + j] = data[i + item - 1 - j];
            data[i + item - 1 - j] = byte;
        }
    }
}

/* Takes what is left of the file, which must be the data and no more. */
static void *read_data(FILE *file, char order, size_t size, size_t item)
{
    unsigned char *data = malloc(size + 1);
    if (data == NULL)
        return NULL;
    if (fread(data, 1, size + 1, file) != size) {
        free(data);
        return NULL;
    }
    make_native(order, data, size, item);
    return data;
}

static bool read_file(FILE *file, const char *descr, npy_array *array)
{
    static const char magic[] = "\x93NUMPY\x01\x00";
    unsigned char prefix[PREFIX_SIZE];
    if (fread(prefix, 1, PREFIX_SIZE, file) != PREFIX_SIZE ||
        memcmp(prefix, magic, sizeof(magic) - 1) != 0)
        return false;

    char header[256] = {0};
    const size_t header_size = (size_t)prefix[8] | (size_t)prefix[9] << 8;
    if (header_size >= sizeof(header) ||
        fread(header, 1, header_size, file) != header_size)
        return false;

    npy_array result = {0};
    char order;
    if (!read_header(header, descr, &order, &result))
        return false;
    const uint64_t size = data_size(&result, descr);
    if (size > MAX_FILE_SIZE)
        return false;
    result.data = read_data(file, order, (size_t)size, item_size(descr));
    if (result.data == NULL)
        return false;
    *array = result;
    return true;
}

bool npy_read(const char *path, const char *descr, npy_array *array)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return false;
    const bool ok = read_file(file, descr, array);
    fclose(file);
    return ok;
}
