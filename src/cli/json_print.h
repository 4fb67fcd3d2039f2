/*
 * json_print.h - JSON to be printed
 */
#ifndef CLI_JSON_PRINT_H
#define CLI_JSON_PRINT_H

#include "message.h"

#include <cjson/cJSON.h>
#include <stdint.h>

/* An empty object, to be given to json_text or json_print when it is full: what
   did not fit in memory meanwhile is their error, so nobody else looks. */
cJSON *json_begin(void);

/* Behind the others of a list; without a list the item is deleted. */
void json_append(cJSON *list, cJSON *item);

/* A name of a file or a tensor, which need be no UTF-8, as fail prints it. */
void json_add_name(cJSON *object, const char *key, const char *name);
void json_add_count(cJSON *object, const char *key, uint64_t count);
void json_add_counts(cJSON *object, const char *key, const uint64_t *counts,
                     uint32_t n);

/* Delete the object.  The text of it, with a newline, is to be released with
   free(); NULL if any of it is missing for want of memory, and said so. */
char *json_text(cJSON *object);

/* Print the object and delete it. */
outcome json_print(cJSON *object);

#endif /* CLI_JSON_PRINT_H */
