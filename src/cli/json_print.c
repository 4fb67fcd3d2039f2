/*
 * json_print.c - JSON on standard output
 */
#include "json_print.h"

#include <stdio.h>

enum { MAX_TEXT = 8192 };

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
        cJSON_AddItemToArray(list, cJSON_CreateNumber((double)counts[i]));
}

outcome json_print(cJSON *object)
{
    char *text = cJSON_Print(object);

    cJSON_Delete(object);
    if (text == NULL)
        return fail(INTERNAL, "not enough memory for the JSON");
    puts(text);
    cJSON_free(text);
    return flush_output();
}
