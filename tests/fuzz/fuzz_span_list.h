/*
 * fuzz_span_list.h - what spans from outside have to be once they were taken
 */
#ifndef FUZZ_SPAN_LIST_H
#define FUZZ_SPAN_LIST_H

#include "fuzz_check.h"

#include "spans.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Ascending and disjoint, none empty; written out and read again the same. */
static inline void fuzz_check_spans(const span_list *list)
{
    const size_t size = list->n * (size_t)40 + 1;
    char *text = malloc(size);
    span_list again;
    size_t used = 0;

    REQUIRE(text != NULL, "no memory for the test itself");
    for (uint32_t i = 0; i < list->n; i++) {
        const csp_span *s = &list->spans[i];
        REQUIRE(s->begin < s->end && s->modality < CSP_MAX_MODALITIES &&
                    (i == 0 || s->begin >= s[-1].end),
                "spans: %u is out of order", i);
        used += (size_t)snprintf(text + used, size - used, "%s%u:%u=%s",
                                 i > 0 ? "," : "", s->begin, s->end,
                                 modality_name(s->modality));
    }
    if (list->n > 0) {
        REQUIRE(spans_parse(text, &again) == DONE && again.n == list->n &&
                    memcmp(again.spans, list->spans,
                           list->n * sizeof *list->spans) == 0,
                "spans: \"%s\" is not read as it was written", text);
        spans_free(&again);
    }
    free(text);
}

#endif /* FUZZ_SPAN_LIST_H */
