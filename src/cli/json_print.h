/*
 * json_print.h - JSON on standard output
 */
#ifndef CLI_JSON_PRINT_H
#define CLI_JSON_PRINT_H

#include "message.h"

#include <cjson/cJSON.h>
#include <stdint.h>

/* A name of a file or a tensor, which need be no UTF-8, as fail prints it. */
void json_add_name(cJSON *object, const char *key, const char *name);
void json_add_count(cJSON *object, const char *key, uint64_t count);
void json_add_counts(cJSON *object, const char *key, const uint64_t *counts,
                     uint32_t n);

/* Print the object and delete it. */
outcome json_print(cJSON *object);

#endif /* CLI_JSON_PRINT_H */
