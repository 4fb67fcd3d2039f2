/*
 * report_text.c - text on its way into a file, with what is outside it escaped
 */
#include "report_text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const char alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void text_begin(report_text *t, output *out)
{
    t->out = out;
    t->result = DONE;
    t->used = 0;
}

static void flush(report_text *t)
{
    if (t->result == DONE && t->used > 0)
        t->result = output_write(t->out, t->buffer, t->used);
    t->used = 0;
}

void text_bytes(report_text *t, const void *bytes, size_t size)
{
    const char *at = bytes;

    while (size > 0) {
        const size_t room = sizeof t->buffer - t->used;
        const size_t n = size < room ? size : room;
        memcpy(t->buffer + t->used, at, n);
        t->used += n;
        at += n;
        size -= n;
        if (t->used == sizeof t->buffer)
            flush(t);
    }
}

void text_put(report_text *t, const char *text)
{
    text_bytes(t, text, strlen(text));
}

void text_count(report_text *t, uint64_t n)
{
    char number[24];

    snprintf(number, sizeof number, "%" PRIu64, n);
    text_put(t, number);
}

void text_number(report_text *t, double x)
{
    char number[32];

    if (!isfinite(x)) {
        text_put(t, "null");
        return;
    }
    snprintf(number, sizeof number, "%.5g", x);
    text_put(t, number);
}

/*
 * Bytes of the well-formed UTF-8 character at 's', 0 if there is none: the
 * shortest form, no surrogate, none above U+10FFFF.
 */
static size_t character_size(const unsigned char *s)
{
    if (s[0] < 0x80)
        return 1;
    if (s[0] < 0xc2 || s[0] > 0xf4 || (s[1] & 0xc0) != 0x80)
        return 0;
    if (s[0] < 0xe0)
        return 2;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
        (s[2] & 0xc0) != 0x80)
        return 0;
    if (s[0] < 0xf0)
        return 3;
    if ((s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f) ||
        (s[3] & 0xc0) != 0x80)
        return 0;
    return 4;
}

void text_string(report_text *t, const char *string)
{
    const unsigned char *s = (const unsigned char *)string;

    text_put(t, "\"");
    while (*s != '\0') {
        const size_t size = character_size(s);
        char escape[8];
        if (size == 0) {
            text_put(t, "\\ufffd");
        } else if (*s < 0x20 || *s == 0x7f || strchr("\"\\<>&", *s) != NULL) {
            snprintf(escape, sizeof escape, "\\u%04x", *s);
            text_put(t, escape);
        } else {
            text_bytes(t, s, size);
        }
        s += size > 0 ? size : 1;
    }
    text_put(t, "\"");
}

void text_digits(report_text *t, uint32_t level, uint32_t digits)
{
    for (uint32_t i = digits; i-- > 0;)
        text_bytes(t, &alphabet[level >> (6 * i) & 63], 1);
}

void text_base64(report_text *t, const unsigned char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i += 3) {
        const size_t n = size - i < 3 ? size - i : 3;
        uint32_t group = (uint32_t)bytes[i] << 16;
        if (n > 1)
            group |= (uint32_t)bytes[i + 1] << 8;
        if (n > 2)
            group |= bytes[i + 2];
        text_digits(t, group >> (6 * (3 - n)), (uint32_t)n + 1);
        text_bytes(t, "==", 3 - n);
    }
}

outcome text_end(report_text *t)
{
    flush(t);
    return t->result;
}
