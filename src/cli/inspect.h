/*
 * inspect.h - what csp inspect prints
 */
#ifndef CLI_INSPECT_H
#define CLI_INSPECT_H

#include "array.h"
#include "safetensors.h"
#include "statistics.h"

#include <stdbool.h>

/* The numbers of one array, for people or as one JSON object. */
outcome inspect_print(const char *path, const char *tensor, const array *a,
                      const statistics *s, bool json);

/* A line for each tensor, or one JSON object. */
outcome inspect_print_table(const char *path, const safetensors *s, bool json);

#endif /* CLI_INSPECT_H */
