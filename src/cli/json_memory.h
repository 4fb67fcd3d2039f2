/*
 * json_memory.h - whether cJSON had the memory that it asked for
 *
 * cJSON says the same of text that is not JSON and of memory that there is not,
 * and leaves out of an object what it has no memory for.
 */
#ifndef CLI_JSON_MEMORY_H
#define CLI_JSON_MEMORY_H

#include "message.h"

#include <cjson/cJSON.h>
#include <stdbool.h>

/* From here on, remember whether memory ran out. */
void json_memory_watch(void);
bool json_memory_ran_out(void);

/*
 * Parse text[0..length); text[length] is 0, as cJSON 1.7.15 looks at it where
 * text ends with a comma.  '*end' receives where the JSON in it ends.  '*root',
 * to be released with cJSON_Delete, is NULL if there is none; that is for the
 * caller to tell.  Returns INTERNAL if there was not enough memory for what
 * 'name' holds.
 */
outcome json_parse(const char *name, const char *text, size_t length,
                   const char **end, cJSON **root);

#endif /* CLI_JSON_MEMORY_H */
