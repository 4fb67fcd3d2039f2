/*
 * safetensors.c - headers of .safetensors files
 *
 * A file is the length of a header (u64, little-endian), the header (a JSON
 * object: name -> type, shape, [begin, end) of its bytes) and the data.  The
 * text is looked through before cJSON parses it, and no number is used before
 * it was compared with the size of the file.
 */
#include "safetensors.h"

#include "file.h"
#include "json_check.h"
#include "json_memory.h"
#include "size.h"

#include <stdlib.h>
#include <string.h>

enum { LENGTH_SIZE = 8, MAX_NAME = 1024, N_FIELDS = 3 };

/* What the reading of one header needs everywhere. */
typedef struct reading {
    const char *path;
    uint64_t begin, end; /* of the data, bytes in the file */
    safetensors *s;
} reading;

/* ---- One tensor ---------------------------------------------------------- */

/* Bits of an element, and the type's name for as long as the program runs. */
static bool find_type(const cJSON *item, const char **dtype, uint64_t *bits)
{
    static const struct {
        const char *dtype;
        uint64_t bits;
    } known[] = {{"BOOL", 8},    {"F4", 4},   {"F6_E2M3", 6}, {"F6_E3M2", 6},
                 {"U8", 8},      {"I8", 8},   {"F8_E5M2", 8}, {"F8_E4M3", 8},
                 {"F8_E8M0", 8}, {"I16", 16}, {"U16", 16},    {"F16", 16},
                 {"BF16", 16},   {"I32", 32}, {"U32", 32},    {"F32", 32},
                 {"C64", 64},    {"F64", 64}, {"I64", 64},    {"U64", 64}};

    for (size_t i = 0; cJSON_IsString(item) && i < sizeof known / sizeof *known;
         i++) {
        if (strcmp(item->valuestring, known[i].dtype) == 0) {
            *dtype = known[i].dtype;
            *bits = known[i].bits;
            return true;
        }
    }
    return false;
}

/* A list of at most 'max' integers; json_check saw to it that they are. */
static bool read_counts(const cJSON *list, uint32_t max, uint64_t *counts,
                        uint32_t *n)
{
    const cJSON *item;

    *n = 0;
    if (!cJSON_IsArray(list))
        return false;
    cJSON_ArrayForEach(item, list)
    {
        if (!cJSON_IsNumber(item) || *n == max)
            return false;
        counts[(*n)++] = (uint64_t)item->valuedouble;
    }
    return true;
}

static outcome check_size(const reading *r, const safetensors_entry *e,
                          uint64_t bits)
{
    uint64_t size;

    if (!size_of_shape(bits, e->shape, e->rank, &size) || size % 8 != 0)
        return fail(BAD_INPUT,
                    "%s: tensor %s: the shape is no whole number of bytes, "
                    "or more bits than 64 bits can count",
                    r->path, e->name);
    if (e->begin > e->end || e->end > r->end)
        return fail(BAD_INPUT,
                    "%s: tensor %s: data_offsets are not inside the %llu "
                    "bytes of data",
                    r->path, e->name, (unsigned long long)(r->end - r->begin));
    if (e->end - e->begin != size / 8)
        return fail(BAD_INPUT,
                    "%s: tensor %s: data_offsets span %llu bytes, expected "
                    "%llu for its shape and type",
                    r->path, e->name, (unsigned long long)(e->end - e->begin),
                    (unsigned long long)(size / 8));
    return DONE;
}

static outcome read_entry(const reading *r, const cJSON *item,
                          safetensors_entry *e)
{
    const cJSON *dtype = cJSON_GetObjectItemCaseSensitive(item, "dtype");
    const cJSON *shape = cJSON_GetObjectItemCaseSensitive(item, "shape");
    const cJSON *at = cJSON_GetObjectItemCaseSensitive(item, "data_offsets");
    uint64_t bits, offsets[2];
    uint32_t n_offsets;

    if (!cJSON_IsObject(item) || cJSON_GetArraySize(item) != N_FIELDS ||
        dtype == NULL || shape == NULL || at == NULL)
        return fail(BAD_INPUT,
                    "%s: tensor %s: expected dtype, shape and data_offsets, "
                    "each once, and nothing else",
                    r->path, e->name);
    if (!find_type(dtype, &e->dtype, &bits))
        return fail(BAD_INPUT,
                    "%s: tensor %s: the dtype is \"%.16s\", "
                    "expected one of the format, such as \"F32\"",
                    r->path, e->name,
                    cJSON_IsString(dtype) ? dtype->valuestring : "");
    if (!read_counts(shape, MAX_RANK, e->shape, &e->rank))
        return fail(BAD_INPUT,
                    "%s: tensor %s: the shape is no list of up to "
                    "%d counts",
                    r->path, e->name, MAX_RANK);
    if (!read_counts(at, 2, offsets, &n_offsets) || n_offsets != 2 ||
        !size_add(r->begin, offsets[0], &e->begin) ||
        !size_add(r->begin, offsets[1], &e->end))
        return fail(BAD_INPUT,
                    "%s: tensor %s: data_offsets are no list of "
                    "two counts",
                    r->path, e->name);
    if (!size_of_shape(1, e->shape, e->rank, &e->n_elements))
        e->n_elements = 0; /* then check_size refuses it */
    return check_size(r, e, bits);
}

/* ---- All of them --------------------------------------------------------- */

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

static int by_text(const void *a, const void *b)
{
    const char *const *x = a, *const *y = b;

    return strcmp(*x, *y);
}

static outcome check_coverage(const reading *r)
{
    safetensors_entry *entries = r->s->entries;
    uint64_t place = r->begin;

    if (r->s->n_entries > 0)
        qsort(entries, r->s->n_entries, sizeof *entries, by_place);
    for (size_t i = 0; i < r->s->n_entries; i++) {
        if (entries[i].begin != place)
            return fail(BAD_INPUT,
                        "%s: tensor %s: begins at byte %llu of the "
                        "data, expected %llu: a gap or an overlap",
                        r->path, entries[i].name,
                        (unsigned long long)(entries[i].begin - r->begin),
                        (unsigned long long)(place - r->begin));
        place = entries[i].end;
    }
    if (place != r->end)
        return fail(BAD_INPUT, "%s: the last %llu bytes belong to no tensor",
                    r->path, (unsigned long long)(r->end - place));
    if (r->s->n_entries > 0)
        qsort(entries, r->s->n_entries, sizeof *entries, by_name);
    return DONE;
}

/* The keys of an object: none too long, none twice. */
static outcome check_keys(const reading *r, const cJSON *object)
{
    const size_t n = (size_t)cJSON_GetArraySize(object);
    const char **keys = malloc((n + 1) * sizeof *keys);
    const cJSON *item;
    size_t filled = 0;
    outcome result = DONE;

    if (keys == NULL)
        return fail(INTERNAL, "%s: not enough memory", r->path);
    cJSON_ArrayForEach(item, object)
    {
        if (strlen(item->string) > MAX_NAME)
            result = fail(BAD_INPUT,
                          "%s: the name %.32s... is longer than "
                          "%d bytes",
                          r->path, item->string, MAX_NAME);
        keys[filled++] = item->string;
        if (result != DONE)
            break;
    }
    qsort(keys, filled, sizeof *keys, by_text);
    for (size_t i = 1; result == DONE && i < filled; i++)
        if (strcmp(keys[i - 1], keys[i]) == 0)
            result = fail(BAD_INPUT, "%s: there are two of the name %s",
                          r->path, keys[i]);
    free(keys);
    return result;
}

static outcome check_metadata(const reading *r, const cJSON *item)
{
    const cJSON *value;

    if (!cJSON_IsObject(item))
        return fail(BAD_INPUT, "%s: __metadata__ is no object", r->path);
    cJSON_ArrayForEach(value, item)
    {
        if (!cJSON_IsString(value))
            return fail(BAD_INPUT,
                        "%s: __metadata__ has a value that is no "
                        "string: %s",
                        r->path, value->string);
    }
    return check_keys(r, item);
}

static outcome read_entries(reading *r, const cJSON *root)
{
    const cJSON *item;
    outcome result = check_keys(r, root);

    if (result != DONE)
        return result;
    const size_t n = (size_t)cJSON_GetArraySize(root);
    r->s->entries = calloc(n + 1, sizeof *r->s->entries);
    if (r->s->entries == NULL)
        return fail(INTERNAL, "%s: not enough memory", r->path);
    cJSON_ArrayForEach(item, root)
    {
        safetensors_entry *e = &r->s->entries[r->s->n_entries];
        if (strcmp(item->string, "__metadata__") == 0) {
            result = check_metadata(r, item);
        } else if ((e->name = strdup(item->string)) != NULL) {
            r->s->n_entries++;
            result = read_entry(r, item, e);
        } else {
            result = fail(INTERNAL, "%s: not enough memory", r->path);
        }
        if (result != DONE)
            return result;
    }
    return check_coverage(r);
}

/* ---- From the file ------------------------------------------------------- */

/* The JSON object in text[0..length), with nothing but spaces behind it. */
static outcome parse(reading *r, const char *text, size_t length)
{
    const char *end;
    cJSON *root;
    size_t at;
    const char *wrong = json_check(text, length, &at);

    if (wrong != NULL)
        return fail(BAD_INPUT, "%s: byte %zu of the header: expected %s",
                    r->path, at, wrong);
    outcome result = json_parse(r->path, text, length, &end, &root);
    if (result == DONE && root == NULL)
        result = fail(BAD_INPUT, "%s: the header is not JSON", r->path);
    if (result != DONE)
        return result;
    while (end < text + length && *end == ' ')
        end++;
    result = end < text + length
                 ? fail(BAD_INPUT,
                        "%s: byte %zu of the header: expected spaces "
                        "behind its JSON",
                        r->path, (size_t)(end - text))
                 : read_entries(r, root);
    cJSON_Delete(root);
    return result;
}

static uint64_t read_length(const unsigned char *bytes)
{
    uint64_t length = 0;

    for (int i = LENGTH_SIZE - 1; i >= 0; i--)
        length = length << 8 | bytes[i];
    return length;
}

bool safetensors_begins(const unsigned char *bytes, uint64_t size)
{
    return size > LENGTH_SIZE && bytes[LENGTH_SIZE] == '{';
}

static outcome read_header(reading *r, int descriptor, uint64_t length)
{
    char *text = malloc((size_t)length + 1);

    if (text == NULL)
        return fail(INTERNAL, "%s: not enough memory", r->path);
    outcome result =
        file_read(r->path, descriptor, LENGTH_SIZE, text, (size_t)length);
    if (result == DONE && (length == 0 || text[0] != '{'))
        result =
            fail(BAD_INPUT, "%s: the header does not begin with '{'", r->path);
    text[length] = '\0';
    if (result == DONE)
        result = parse(r, text, (size_t)length);
    free(text);
    return result;
}

outcome safetensors_read(const char *path, int descriptor, uint64_t file_size,
                         uint64_t max_header, safetensors *s)
{
    unsigned char bytes[LENGTH_SIZE];
    reading r = {.path = path, .end = file_size, .s = s};

    *s = (safetensors){0};
    if (file_size < LENGTH_SIZE)
        return fail(BAD_INPUT, "%s: %llu bytes are no .safetensors file", path,
                    (unsigned long long)file_size);
    outcome result = file_read(path, descriptor, 0, bytes, LENGTH_SIZE);
    if (result != DONE)
        return result;
    const uint64_t length = read_length(bytes);
    if (length > max_header || length > file_size - LENGTH_SIZE)
        return fail(BAD_INPUT,
                    "%s: a header of %llu bytes, expected at most %llu, and "
                    "%llu are left in the file",
                    path, (unsigned long long)length,
                    (unsigned long long)max_header,
                    (unsigned long long)(file_size - LENGTH_SIZE));
    r.begin = LENGTH_SIZE + length;
    result = read_header(&r, descriptor, length);
    if (result != DONE)
        safetensors_free(s);
    return result;
}

void safetensors_free(safetensors *s)
{
    for (size_t i = 0; i < s->n_entries; i++)
        free(s->entries[i].name);
    free(s->entries);
    *s = (safetensors){0};
}

const safetensors_entry *safetensors_find(const safetensors *s,
                                          const char *name)
{
    for (size_t i = 0; i < s->n_entries; i++)
        if (strcmp(s->entries[i].name, name) == 0)
            return &s->entries[i];
    return NULL;
}
