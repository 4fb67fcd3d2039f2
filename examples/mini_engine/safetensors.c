/*
 * safetensors.c - reader of .safetensors files
 *
 * A file is the length of a header (u64, little-endian), the header (a JSON
 * object: name -> type, shape, [begin, end) of its bytes) and the data.  Every
 * number in the header is checked before it is used, so that no file can make
 * the reader touch memory that is not its own.
 */
#include "safetensors.h"

#include "numbers.h"
#include "support.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LENGTH_SIZE = 8 };

/* Integers that JSON's numbers, which are doubles, hold exactly. */
static const double max_count = 9007199254740992.0;

/* ---- Header -------------------------------------------------------------- */

static uint64_t dtype_size(const char *path, const char *name,
                           const char *dtype)
{
    static const struct {
        const char *dtype;
        uint64_t size;
    } known[] = {{"F32", 4},     {"F16", 2},     {"BF16", 2}, {"F64", 8},
                 {"I64", 8},     {"I32", 4},     {"I16", 2},  {"I8", 1},
                 {"U64", 8},     {"U32", 4},     {"U16", 2},  {"U8", 1},
                 {"F8_E4M3", 1}, {"F8_E5M2", 1}, {"BOOL", 1}};

    for (size_t i = 0; i < sizeof known / sizeof *known; ++i)
        if (strcmp(dtype, known[i].dtype) == 0)
            return known[i].size;
    die(path, "tensor %s: unknown dtype \"%.16s\"", name, dtype);
}

static uint64_t count_of(const char *path, const char *name, const cJSON *item)
{
    double x = cJSON_IsNumber(item) ? item->valuedouble : -1.0;

    if (!(x >= 0.0 && x <= max_count) || x != floor(x))
        die(path, "tensor %s: a count is no whole number >= 0", name);
    return (uint64_t)x;
}

/* Bytes of the tensor by its shape and type. */
static uint64_t read_shape(const char *path, const cJSON *shape,
                           safetensors_entry *e)
{
    uint64_t size = dtype_size(path, e->name, e->dtype);
    const cJSON *count;

    if (!cJSON_IsArray(shape) ||
        cJSON_GetArraySize(shape) > SAFETENSORS_MAX_RANK)
        die(path, "tensor %s: the shape is no list of up to %d counts", e->name,
            SAFETENSORS_MAX_RANK);
    cJSON_ArrayForEach(count, shape)
    {
        uint64_t n = count_of(path, e->name, count);

        if (n != 0 && size > UINT64_MAX / n)
            die(path, "tensor %s: the shape is too large", e->name);
        size *= n;
        e->shape[e->rank++] = n;
    }
    return size;
}

static void read_entry(const safetensors *s, const cJSON *item,
                       safetensors_entry *e)
{
    const cJSON *dtype = cJSON_GetObjectItemCaseSensitive(item, "dtype");
    const cJSON *shape = cJSON_GetObjectItemCaseSensitive(item, "shape");
    const cJSON *at = cJSON_GetObjectItemCaseSensitive(item, "data_offsets");
    const char *name = item->string;

    if (!cJSON_IsObject(item) || !cJSON_IsString(dtype))
        die(s->path, "tensor %s: no object with a dtype", name);
    e->name = duplicate(name, strlen(name) + 1, 1);
    e->dtype = duplicate(dtype->valuestring, strlen(dtype->valuestring) + 1, 1);
    uint64_t size = read_shape(s->path, shape, e);
    if (!cJSON_IsArray(at) || cJSON_GetArraySize(at) != 2)
        die(s->path, "tensor %s: data_offsets are no two numbers", name);
    e->begin = count_of(s->path, name, cJSON_GetArrayItem(at, 0));
    e->end = count_of(s->path, name, cJSON_GetArrayItem(at, 1));
    if (e->begin > e->end || e->end > s->data_size)
        die(s->path, "tensor %s: data_offsets are outside the file", name);
    if (e->end - e->begin != size)
        die(s->path, "tensor %s: shape and data_offsets disagree", name);
}

static int by_place(const void *a, const void *b)
{
    const safetensors_entry *x = a, *y = b;

    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return (x->end > y->end) - (x->end < y->end);
}

static int by_name(const void *a, const void *b)
{
    const safetensors_entry *x = a, *y = b;

    return strcmp(x->name, y->name);
}

static void check_entries(safetensors *s)
{
    uint64_t place = 0;

    qsort(s->entries, s->n_entries, sizeof *s->entries, by_place);
    for (size_t i = 0; i < s->n_entries; ++i) {
        if (s->entries[i].begin != place)
            die(s->path, "tensor %s: overlap or gap before its bytes",
                s->entries[i].name);
        place = s->entries[i].end;
    }
    if (place != s->data_size)
        die(s->path, "%llu bytes of data belong to no tensor",
            (unsigned long long)(s->data_size - place));
    qsort(s->entries, s->n_entries, sizeof *s->entries, by_name);
    for (size_t i = 1; i < s->n_entries; ++i)
        if (strcmp(s->entries[i - 1].name, s->entries[i].name) == 0)
            die(s->path, "tensor %s: there are two", s->entries[i].name);
}

/* The JSON object in text[0..length), with nothing but spaces behind it. */
static cJSON *parse(const char *path, const char *text, size_t length)
{
    const char *end = text;
    cJSON *root = NULL;

    if (length > 0 && text[0] == '{')
        root = cJSON_ParseWithLengthOpts(text, length, &end, 0);
    if (root == NULL)
        die(path, "the header is not JSON");
    for (; end < text + length; ++end)
        if (*end != ' ')
            die(path, "the header goes on behind its JSON");
    return root;
}

safetensors safetensors_open(const char *path)
{
    safetensors s = {.path = path};
    size_t size;

    s.file = read_file(path, &size);
    if (size < LENGTH_SIZE)
        die(path, "%zu bytes are no safetensors file", size);
    uint64_t length = read_u64(s.file);
    if (length > size - LENGTH_SIZE)
        die(path, "the header is said to have %llu bytes, the file has %zu",
            (unsigned long long)length, size);
    s.data = s.file + LENGTH_SIZE + length;
    s.data_size = size - LENGTH_SIZE - length;

    cJSON *root =
        parse(path, (const char *)s.file + LENGTH_SIZE, (size_t)length);
    const cJSON *item;
    s.entries = take((size_t)cJSON_GetArraySize(root), sizeof *s.entries);
    cJSON_ArrayForEach(item, root)
    {
        if (strcmp(item->string, "__metadata__") != 0)
            read_entry(&s, item, &s.entries[s.n_entries++]);
    }
    cJSON_Delete(root);
    check_entries(&s);
    return s;
}

void safetensors_close(safetensors *s)
{
    for (size_t i = 0; i < s->n_entries; ++i) {
        free(s->entries[i].name);
        free(s->entries[i].dtype);
    }
    free(s->entries);
    free(s->file);
}

/* ---- Tensors ------------------------------------------------------------- */

static safetensors_entry *find(const safetensors *s, const char *name)
{
    for (size_t i = 0; i < s->n_entries; ++i)
        if (strcmp(s->entries[i].name, name) == 0)
            return &s->entries[i];
    return NULL;
}

static safetensors_entry *need(const safetensors *s, const char *name)
{
    safetensors_entry *e = find(s, name);

    if (e == NULL)
        die(s->path, "tensor %s is missing", name);
    return e;
}

bool safetensors_has(const safetensors *s, const char *name)
{
    return find(s, name) != NULL;
}

const char *safetensors_unread(const safetensors *s, const char *start,
                               const char *but)
{
    for (size_t i = 0; i < s->n_entries; ++i) {
        const safetensors_entry *e = &s->entries[i];

        if (!e->read && strncmp(e->name, start, strlen(start)) == 0 &&
            strstr(e->name, but) == NULL)
            return e->name;
    }
    return NULL;
}

uint32_t safetensors_cols(const safetensors *s, const char *name,
                          uint32_t n_rows)
{
    const safetensors_entry *e = need(s, name);

    if (e->rank != 2 || e->shape[0] != n_rows || e->shape[1] == 0 ||
        e->shape[1] > INT32_MAX)
        die(s->path, "tensor %s: the shape is not [%u][any]", name, n_rows);
    return (uint32_t)e->shape[1];
}

static void check_shape(const safetensors *s, const safetensors_entry *e,
                        uint32_t n_rows, uint32_t n_cols)
{
    if (n_rows == 0 && (e->rank != 1 || e->shape[0] != n_cols))
        die(s->path, "tensor %s: the shape is not [%u]", e->name, n_cols);
    if (n_rows != 0 &&
        (e->rank != 2 || e->shape[0] != n_rows || e->shape[1] != n_cols))
        die(s->path, "tensor %s: the shape is not [%u][%u]", e->name, n_rows,
            n_cols);
}

float *safetensors_floats(const safetensors *s, const char *name,
                          uint32_t n_rows, uint32_t n_cols)
{
    safetensors_entry *e = need(s, name);
    float (*read)(const unsigned char *) = NULL;

    check_shape(s, e, n_rows, n_cols);
    e->read = true;
    if (strcmp(e->dtype, "F32") == 0)
        read = read_f32;
    else if (strcmp(e->dtype, "F16") == 0)
        read = read_f16;
    else if (strcmp(e->dtype, "BF16") == 0)
        read = read_bf16;
    else
        die(s->path, "tensor %s: dtype %s is not F32, F16 or BF16", name,
            e->dtype);
    const size_t element = read == read_f32 ? 4 : 2;
    const size_t n = (size_t)(e->end - e->begin) / element;
    float *floats = take(n, sizeof *floats);
    for (size_t i = 0; i < n; ++i) {
        floats[i] = read(s->data + e->begin + i * element);
        if (!isfinite(floats[i]))
            die(s->path, "tensor %s holds NaN or infinity", name);
    }
    return floats;
}
