/*
 * json_print.c - JSON to be printed
 */
#include "json_print.h"

#include "json_memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TEXT = 8192 };

cJSON *json_begin(void)
{
    json_memory_watch();
    return cJSON_CreateObject();
}

void json_append(cJSON *list, cJSON *item)
{
    if (!cJSON_AddItemToArray(list, item))
        cJSON_Delete(item);
}

void json_add_name(cJSON *object, const char *key, const char *name)
{
    static char text[MAX_TEXT];

    escape(text, sizeof text, name);
    cJSON_AddStringToObject(object, key, text);
}

void json_add_count(cJSON *object, const char *key, uint64_t count)
{
    cJSON_AddNumberToObject(object, key, (double)count);
}

void json_add_counts(cJSON *object, const char *key, const uint64_t *counts,
                     uint32_t n)
{
    cJSON *list = cJSON_AddArrayToObject(object, key);

    for (uint32_t i = 0; i < n; i++)
        json_append(list, cJSON_CreateNumber((double)counts[i]));
}

char *json_text(cJSON *object)
{
    char *text = cJSON_Print(object), *line = NULL;

    cJSON_Delete(object);
    if (text != NULL && !json_memory_ran_out()) {
        const size_t length = strlen(text);
        line = malloc(length + 2);
        if (line != NULL) {
            memcpy(line, text, length);
            memcpy(line + length, "\n", 2);
        }
    }
    cJSON_free(text);
    if (line == NULL)
        (void)fail(INTERNAL, "not enough memory for the JSON");
    return line;
}

outcome json_print(cJSON *object)
{
    char *text = json_text(object);

    if (text == NULL)
        return INTERNAL;
    fputs(text, stdout);
    free(text);
    return flush_output();
}
