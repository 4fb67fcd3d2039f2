/*
 * json_check.c - what JSON from outside has to be before a parser sees it
 *
 * One pass over the bytes with a counter for the depth; there is no grammar.
 */
#include "json_check.h"

#include "size.h"

#include <stdint.h>
#include <string.h>

enum { MAX_DEPTH = 4 };

/* Up to here every integer is a double. */
#define MAX_INTEGER (UINT64_C(1) << 53)

typedef struct scanner {
    const unsigned char *text;
    size_t length, at;
    int depth;
} scanner;

/* The byte 'ahead' of here, or 0, which is nowhere right, at the end. */
static unsigned char peek(const scanner *s, size_t ahead)
{
    return ahead < s->length - s->at ? s->text[s->at + ahead] : 0;
}

static bool is_digit(unsigned char c)
{
    return c >= '0' && c <= '9';
}

static const char *scan_number(scanner *s)
{
    const size_t start = s->at;
    uint64_t number = 0;

    while (is_digit(peek(s, 0))) {
        if (!size_append_digit(&number, (char)peek(s, 0)) ||
            number > MAX_INTEGER)
            return "an integer of at most 2^53";
        s->at++;
    }
    if (s->text[start] == '0' && s->at > start + 1)
        return "an integer without a 0 in front";
    const unsigned char next = peek(s, 0);
    if (next == 'e' || next == 'E' || next == '.' || next == '+' || next == '-')
        return "an integer of digits only";
    return NULL;
}

/* Bytes of the UTF-8 character here; 0: none.  Shorter forms exist for what
   'least' cuts off, and 0xd800 to 0xdfff are no characters. */
static size_t utf8_size(const scanner *s)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char c = peek(s, 0);
    const size_t n = c < 0x80 ? 1 : c >> 5 == 6 ? 2 : c >> 4 == 14 ? 3 : 4;

    if (n == 1)
        return 1;
    if (n == 4 && c >> 3 != 30)
        return 0;
    uint32_t code = c & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if (peek(s, i) >> 6 != 2)
            return 0;
        code = code << 6 | (peek(s, i) & 0x3fu);
    }
    if (code < least[n] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
        return 0;
    return n;
}

static const char *scan_escape(scanner *s)
{
    const unsigned char c = peek(s, 1);

    if (c == 'u' && s->length - s->at >= 6 &&
        memcmp(s->text + s->at + 2, "0000", 4) == 0)
        return "no escaped NUL";
    if (c == 0 || strchr("\"\\/bfnrtu", c) == NULL)
        return "an escape of JSON";
    s->at += 2;
    return NULL;
}

static const char *scan_string(scanner *s)
{
    const char *wrong = NULL;

    s->at++;
    while (wrong == NULL && s->at < s->length && peek(s, 0) != '"') {
        const size_t size = utf8_size(s);
        if (peek(s, 0) < 0x20 || peek(s, 0) == 0x7f || size == 0)
            return "UTF-8 without control characters";
        if (peek(s, 0) == '\\')
            wrong = scan_escape(s);
        else
            s->at += size;
    }
    if (wrong != NULL)
        return wrong;
    if (s->at == s->length)
        return "the quote that ends a string";
    s->at++;
    return NULL;
}

static const char *scan_bracket(scanner *s)
{
    const unsigned char c = peek(s, 0);

    if (c == '{' || c == '[')
        s->depth++;
    else if (c == '}' || c == ']')
        s->depth--;
    if (s->depth > MAX_DEPTH)
        return "at most 4 levels";
    s->at++;
    return NULL;
}

static const char *scan_token(scanner *s)
{
    const unsigned char c = peek(s, 0);

    if (c == '"')
        return scan_string(s);
    if (is_digit(c))
        return scan_number(s);
    if (c != 0 && strchr("{}[]:, \t\n\r", c) != NULL)
        return scan_bracket(s);
    return "a string, a list, an object or an integer of digits only";
}

const char *json_check(const char *text, size_t length, size_t *at)
{
    scanner s = {.text = (const unsigned char *)text, .length = length};
    const char *wrong = NULL;

    while (wrong == NULL && s.at < s.length)
        wrong = scan_token(&s);
    *at = s.at;
    return wrong;
}
