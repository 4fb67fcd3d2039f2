/*
 * tiny_gguf_source.c - reading a model's config.json and model.safetensors
 *
 * A safetensors file is the size of its header as eight bytes, little-endian, a
 * JSON header and the numbers of the tensors.
 */
#include "tiny_gguf_source.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Far above any test model. */
#define MAX_FILE_SIZE (1L << 28)

#define PREFIX_SIZE 8

bool tiny_source_wrong(const char *name, const char *what)
{
    fprintf(stderr, "tiny_gguf: %s: %s\n", name, what);
    return false;
}

static bool read_stream(FILE *in, char **contents, size_t *size)
{
    long end;
    if (fseek(in, 0, SEEK_END) != 0 || (end = ftell(in)) < 0 ||
        end > MAX_FILE_SIZE || fseek(in, 0, SEEK_SET) != 0)
        return false;
    *size = (size_t)end;
    *contents = malloc(*size + 1);
    return *contents && fread(*contents, 1, *size, in) == *size;
}

static bool read_file(const char *directory, const char *name, char **contents,
                      size_t *size)
{
    char path[1024];
    const int length = snprintf(path, sizeof path, "%s/%s", directory, name);
    if (length < 0 || (size_t)length >= sizeof path)
        return tiny_source_wrong(directory, "the path is too long");
    FILE *in = fopen(path, "rb");
    if (!in) {
        perror(path);
        return false;
    }
    const bool read = read_stream(in, contents, size);
    fclose(in);
    return read || tiny_source_wrong(path, "not to be read, or too large");
}

static bool open_config(tiny_source *source, const char *directory)
{
    char *text = NULL;
    size_t size;
    if (read_file(directory, "config.json", &text, &size))
        source->config = cJSON_ParseWithLength(text, size);
    const bool read = text != NULL;
    free(text);
    return source->config != NULL ||
           (read && tiny_source_wrong("config.json", "not JSON"));
}

static bool open_weights(tiny_source *source, const char *directory)
{
    static const char name[] = "model.safetensors";
    size_t size;
    if (!read_file(directory, name, &source->contents, &size))
        return false;
    if (size < PREFIX_SIZE)
        return tiny_source_wrong(name, "truncated");
    uint64_t header_size = 0;
    for (size_t i = PREFIX_SIZE; i-- > 0;)
        header_size = header_size << 8 | (unsigned char)source->contents[i];
    if (header_size > size - PREFIX_SIZE)
        return tiny_source_wrong(name, "its header is longer than the file");
    source->data = PREFIX_SIZE + (size_t)header_size;
    source->size = size - source->data;
    source->header = cJSON_ParseWithLength(source->contents + PREFIX_SIZE,
                                           (size_t)header_size);
    return source->header || tiny_source_wrong(name, "its header is not JSON");
}

bool tiny_source_open(tiny_source *source, const char *directory)
{
    *source = (tiny_source){0};
    if (open_config(source, directory) && open_weights(source, directory))
        return true;
    tiny_source_close(source);
    return false;
}

void tiny_source_close(tiny_source *source)
{
    cJSON_Delete(source->config);
    cJSON_Delete(source->header);
    free(source->contents);
    *source = (tiny_source){0};
}

/* Whether 'item' is a whole number in [low, high]; 'value' is that number. */
static bool whole(const cJSON *item, double low, double high, double *value)
{
    if (!cJSON_IsNumber(item))
        return false;
    *value = item->valuedouble;
    return *value >= low && *value <= high && floor(*value) == *value;
}

bool tiny_source_count(const tiny_source *source, const char *name,
                       uint32_t low, uint32_t high, uint32_t *count)
{
    double value;
    if (!whole(cJSON_GetObjectItemCaseSensitive(source->config, name), low,
               high, &value))
        return tiny_source_wrong(name, "absent or out of range in config.json");
    *count = (uint32_t)value;
    return true;
}

bool tiny_source_positive(const tiny_source *source, const char *name,
                          float *number)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(source->config, name);
    const double value = cJSON_IsNumber(item) ? item->valuedouble : 0.0;
    if (!(value > 1e-30 && value < 1e30))
        return tiny_source_wrong(name, "absent or out of range in config.json");
    *number = (float)value;
    return true;
}

/* "[rows, columns]", or "[columns]" of one row. */
static bool has_shape(const cJSON *shape, uint32_t columns, uint32_t rows)
{
    const int rank = cJSON_GetArraySize(shape);
    double value;
    if (!cJSON_IsArray(shape) || rank != (rows == 1 ? 1 : 2))
        return false;
    return whole(cJSON_GetArrayItem(shape, rank - 1), columns, columns,
                 &value) &&
           (rank == 1 ||
            whole(cJSON_GetArrayItem(shape, 0), rows, rows, &value));
}

const char *tiny_source_tensor(const tiny_source *source, const char *name,
                               uint32_t columns, uint32_t rows)
{
    const cJSON *entry = cJSON_GetObjectItemCaseSensitive(source->header, name);
    const cJSON *type = cJSON_GetObjectItemCaseSensitive(entry, "dtype");
    const cJSON *shape = cJSON_GetObjectItemCaseSensitive(entry, "shape");
    const cJSON *place =
        cJSON_GetObjectItemCaseSensitive(entry, "data_offsets");
    double begin = 0.0, end = 0.0;
    if (!cJSON_IsString(type) || strcmp(type->valuestring, "F32") != 0 ||
        !has_shape(shape, columns, rows)) {
        fprintf(stderr, "tiny_gguf: %s: not an f32 tensor of %u x %u\n", name,
                rows, columns);
        return NULL;
    }
    if (!whole(cJSON_GetArrayItem(place, 0), 0, (double)source->size, &begin) ||
        !whole(cJSON_GetArrayItem(place, 1), begin, (double)source->size,
               &end) ||
        end - begin != (double)sizeof(float) * columns * rows) {
        tiny_source_wrong(name, "its place is not within the file");
        return NULL;
    }
    return source->contents + source->data + (size_t)begin;
}
