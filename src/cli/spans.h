/*
 * spans.h - which tokens are of which modality, as people write it
 */
#ifndef CLI_SPANS_H
#define CLI_SPANS_H

#include "csp.h"
#include "message.h"

/* Ascending and disjoint. */
typedef struct span_list {
    csp_span *spans;
    uint32_t n;
} span_list;

/* Either sets a list to be freed, unless it fails. */

/* "20:596=image,640:1216=1". */
outcome spans_parse(const char *text, span_list *list);

/* A JSON file: [[20, 596, "image"], [640, 1216, 1]]. */
outcome spans_read(const char *path, span_list *list);

void spans_free(span_list *list);

/* "text", "image", "audio", "video", then "4" and so on. */
const char *modality_name(uint32_t modality);

#endif /* CLI_SPANS_H */
