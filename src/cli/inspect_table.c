/*
 * inspect_table.c - what csp inspect prints of a .safetensors file
 */
#include "inspect.h"
#include "json_print.h"

#include <stdio.h>
#include <string.h>

enum {
    MAX_NAME = 4097, /* 1024 bytes, each escaped */
    MAX_SHAPE = 256, /* 8 counts of up to 20 digits, and brackets */
    MAX_COLUMN = 60
};

static void print_shape(char *text, size_t size, const safetensors_entry *e)
{
    size_t used = 0;

    text[0] = '\0';
    for (uint32_t i = 0; i < e->rank; i++)
        used += (size_t)snprintf(text + used, size - used, "[%llu]",
                                 (unsigned long long)e->shape[i]);
}

static void print_entry(const safetensors_entry *e, int width)
{
    static char name[MAX_NAME];
    char shape[MAX_SHAPE];

    escape(name, sizeof name, e->name);
    print_shape(shape, sizeof shape, e);
    printf("  %-*s  %-7s  %-24s %14llu\n", width, name, e->dtype, shape,
           (unsigned long long)(e->end - e->begin));
}

static void print_lines(const char *path, const safetensors *s)
{
    static char name[MAX_NAME];
    int width = (int)sizeof "tensor" - 1;

    for (size_t i = 0; i < s->n_entries; i++) {
        escape(name, sizeof name, s->entries[i].name);
        const size_t length = strlen(name);
        if (length > (size_t)width)
            width = length < MAX_COLUMN ? (int)length : MAX_COLUMN;
    }
    escape(name, sizeof name, path);
    printf("%s: %zu tensor%s\n", name, s->n_entries,
           s->n_entries == 1 ? "" : "s");
    if (s->n_entries > 0)
        printf("  %-*s  %-7s  %-24s %14s\n", width, "tensor", "type", "shape",
               "bytes");
    for (size_t i = 0; i < s->n_entries; i++)
        print_entry(&s->entries[i], width);
}

outcome inspect_print_table(const char *path, const safetensors *s, bool json)
{
    if (!json) {
        print_lines(path, s);
        return flush_output();
    }
    cJSON *object = json_begin();
    json_add_name(object, "file", path);
    cJSON *list = cJSON_AddArrayToObject(object, "tensors");
    for (size_t i = 0; i < s->n_entries; i++) {
        const safetensors_entry *e = &s->entries[i];
        cJSON *item = cJSON_CreateObject();
        json_add_name(item, "name", e->name);
        cJSON_AddStringToObject(item, "type", e->dtype);
        json_add_counts(item, "shape", e->shape, e->rank);
        json_add_count(item, "begin", e->begin);
        json_add_count(item, "bytes", e->end - e->begin);
        json_append(list, item);
    }
    return json_print(object);
}
