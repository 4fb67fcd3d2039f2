/*
 * report_text.h - text on its way into a file, with what is outside it escaped
 *
 * The first error sticks: later calls do nothing, and 'result' says it.
 */
#ifndef CLI_REPORT_TEXT_H
#define CLI_REPORT_TEXT_H

#include "message.h"
#include "output.h"

#include <stddef.h>
#include <stdint.h>

typedef struct report_text {
    output *out;
    outcome result;
    size_t used;
    char buffer[65536];
} report_text;

void text_begin(report_text *t, output *out);
void text_bytes(report_text *t, const void *bytes, size_t size);
void text_put(report_text *t, const char *text);
void text_count(report_text *t, uint64_t n);

/* Five significant digits; null for what is not finite. */
void text_number(report_text *t, double x);

/*
 * A JSON string that is harmless inside an HTML element: < > & are escaped as
 * well, and what is not UTF-8 becomes U+FFFD.
 */
void text_string(report_text *t, const char *string);

/* 'level' below 64^digits, the leading digit first, in base64's alphabet. */
void text_digits(report_text *t, uint32_t level, uint32_t digits);

/* Standard base64. */
void text_base64(report_text *t, const unsigned char *bytes, size_t size);

/* Write what is left in the buffer. */
outcome text_end(report_text *t);

#endif /* CLI_REPORT_TEXT_H */
