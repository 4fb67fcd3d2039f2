/*
 * json_check.h - what JSON from outside has to be before a parser sees it
 */
#ifndef CLI_JSON_CHECK_H
#define CLI_JSON_CHECK_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Look through text[0..length), before cJSON does, which is laxer than JSON
 * and calls itself for every level:
 *
 *   - objects and lists at most 4 deep;
 *   - numbers are digits only, without a 0 in front, at most 2^53, as cJSON
 *     makes them doubles; and no true, false or null;
 *   - strings are UTF-8 without control characters or an escaped NUL, which
 *     would end a string in C;
 *   - nothing else but { } [ ] : , and JSON's own four kinds of white space.
 *
 * That it is JSON is cJSON's to say.  Returns NULL, or what was expected at
 * byte '*at'.
 */
const char *json_check(const char *text, size_t length, size_t *at);

#endif /* CLI_JSON_CHECK_H */
