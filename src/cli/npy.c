/*
 * npy.c - headers of .npy files
 *
 * After the magic bytes come two of version, the length of the header (16 bits
 * in version 1, else 32) and the header, a Python dictionary such as
 *
 *   {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }
 *
 * with spaces and a newline behind it.  Of Python, the parser takes these three
 * keys, each once, in any order and between quotes of either kind; nothing else
 * is a header of an array of numbers.
 */
#include "npy.h"

#include "file.h"
#include "size.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_HEADER = 10000, /* NumPy's own limit */
    MAX_PREFIX = 12,    /* magic, version, length */
    MAX_FOUND = 16,     /* characters of what was found, in a message */
    MAX_TYPE = 16
};

typedef enum key { KEY_DESCR, KEY_FORTRAN, KEY_SHAPE, N_KEYS } key;

typedef struct parser {
    const char *text;
    size_t length, at;
    const char *expected; /* at 'at', where it was not found */
    bool seen[N_KEYS];
    char type[MAX_TYPE + 1];
    bool fortran;
    uint32_t rank;
    uint64_t shape[MAX_RANK];
} parser;

/* ---- Words --------------------------------------------------------------- */

static bool expected(parser *p, const char *what)
{
    p->expected = what;
    return false;
}

static bool next_is(const parser *p, char c)
{
    return p->at < p->length && p->text[p->at] == c;
}

static bool skip(parser *p, char c)
{
    if (!next_is(p, c))
        return false;
    p->at++;
    return true;
}

static void skip_spaces(parser *p)
{
    while (skip(p, ' '))
        ;
}

static bool skip_word(parser *p, const char *word)
{
    const size_t n = strlen(word);

    if (n > p->length - p->at || memcmp(p->text + p->at, word, n) != 0)
        return false;
    p->at += n;
    return true;
}

/* Text between quotes, at most 'max' characters; there are no escapes. */
static bool read_string(parser *p, const char *what, char *out, size_t max)
{
    const size_t start = p->at;
    size_t n = 0;
    const char quote = next_is(p, '"') ? '"' : '\'';

    if (!skip(p, quote))
        return expected(p, what);
    while (p->at < p->length && n < max && p->text[p->at] != quote &&
           p->text[p->at] > ' ' && p->text[p->at] < 0x7f &&
           p->text[p->at] != '\\')
        out[n++] = p->text[p->at++];
    out[n] = '\0';
    if (!skip(p, quote)) {
        p->at = start;
        return expected(p, what);
    }
    return true;
}

static bool is_digit(const parser *p)
{
    return p->at < p->length && p->text[p->at] >= '0' && p->text[p->at] <= '9';
}

static bool read_count(parser *p, uint64_t *count)
{
    const size_t start = p->at;

    *count = 0;
    while (is_digit(p)) {
        if (!size_append_digit(count, p->text[p->at]))
            return expected(p, "a count of at most 64 bits");
        p->at++;
    }
    if (p->at == start)
        return expected(p, "a count or ')'");
    if (p->text[start] == '0' && p->at > start + 1) {
        p->at = start;
        return expected(p, "a count without a 0 in front");
    }
    return true;
}

/* ---- The dictionary ------------------------------------------------------ */

/* "()", "(3,)", "(3, 4)" or "(3, 4,)"; "(3)" is no tuple. */
static bool read_shape(parser *p)
{
    bool comma = true;

    if (!skip(p, '('))
        return expected(p, "'(' of the shape");
    skip_spaces(p);
    while (!next_is(p, ')')) {
        if (!comma)
            return expected(p, "',' or ')'");
        if (p->rank == MAX_RANK)
            return expected(p, "at most 8 counts");
        if (!read_count(p, &p->shape[p->rank++]))
            return false;
        skip_spaces(p);
        comma = skip(p, ',');
        skip_spaces(p);
    }
    if (p->rank == 1 && !comma)
        return expected(p, "',' before ')', as in (3,)");
    p->at++;
    return true;
}

static bool read_order(parser *p)
{
    p->fortran = skip_word(p, "True");
    return p->fortran || skip_word(p, "False") || expected(p, "True or False");
}

static bool read_value(parser *p, key k)
{
    switch (k) {
    case KEY_DESCR:
        return read_string(p, "a type of one number, such as '<f4'", p->type,
                           MAX_TYPE);
    case KEY_FORTRAN:
        return read_order(p);
    case KEY_SHAPE:
        return read_shape(p);
    case N_KEYS:
        break;
    }
    return false;
}

static bool read_key(parser *p, key *k)
{
    static const char *const names[N_KEYS] = {"descr", "fortran_order",
                                              "shape"};
    char name[MAX_TYPE + 1];
    const size_t start = p->at;

    if (!read_string(p, "'descr', 'fortran_order' or 'shape'", name, MAX_TYPE))
        return false;
    for (int i = 0; i < N_KEYS; i++) {
        if (strcmp(name, names[i]) == 0 && !p->seen[i]) {
            p->seen[i] = true;
            *k = (key)i;
            return true;
        }
    }
    p->at = start;
    return expected(p, "'descr', 'fortran_order' and 'shape', each once");
}

static bool read_item(parser *p)
{
    key k;

    if (!read_key(p, &k))
        return false;
    skip_spaces(p);
    if (!skip(p, ':'))
        return expected(p, "':'");
    skip_spaces(p);
    return read_value(p, k);
}

static bool read_dictionary(parser *p)
{
    if (!skip(p, '{'))
        return expected(p, "'{'");
    for (int i = 0; i < N_KEYS; i++) {
        skip_spaces(p);
        if (!read_item(p))
            return false;
        skip_spaces(p);
        if (!skip(p, ',') && i + 1 < N_KEYS)
            return expected(p, "',' and the rest of 'descr', 'fortran_order' "
                               "and 'shape'");
    }
    skip_spaces(p);
    if (!skip(p, '}'))
        return expected(p, "'}'");
    skip_spaces(p);
    if (!skip(p, '\n') || p->at != p->length)
        return expected(p, "spaces and a newline at the very end");
    return true;
}

/* ---- From the file ------------------------------------------------------- */

static outcome refuse(const array *a, const parser *p)
{
    const size_t rest = p->length - p->at;
    const int found = rest < MAX_FOUND ? (int)rest : MAX_FOUND;

    if (rest == 0)
        return fail(BAD_INPUT, "%s: the .npy header ends where %s is expected",
                    a->name, p->expected);
    return fail(BAD_INPUT,
                "%s: byte %zu of the .npy header is \"%.*s\", expected %s",
                a->name, p->at, found, p->text + p->at, p->expected);
}

/* "<f4": a byte order and a type. */
static outcome take_type(array *a, const char *type)
{
    const bool known =
        strlen(type) == 3 && element_of_npy(type + 1, &a->element);
    const bool order =
        type[0] == '<' || type[0] == '>' ||
        (type[0] == '|' && known && element_size(a->element) == 1);

    if (!known || !order)
        return fail(BAD_INPUT,
                    "%s: the type is '%s', expected f2, f4, f8, u1, u2, u4, i4 "
                    "or i8 behind < or > (bfloat16: view it as u2)",
                    a->name, type);
    a->element_size = element_size(a->element);
    a->swapped = a->element_size > 1 && element_is_swapped(type[0] != '>');
    return DONE;
}

static outcome take_shape(array *a, const parser *p, uint64_t data_size)
{
    uint64_t size;

    memcpy(a->shape, p->shape, sizeof a->shape);
    a->rank = p->rank;
    a->fortran = p->fortran && p->rank > 1;
    if (!size_of_shape(1, a->shape, a->rank, &a->n_elements) ||
        !size_mul(a->n_elements, a->element_size, &size))
        return fail(BAD_INPUT, "%s: %s is more than 64 bits can count", a->name,
                    array_describe(a));
    if (size != data_size)
        return fail(BAD_INPUT, "%s: %llu bytes of data, expected %llu for %s",
                    a->name, (unsigned long long)data_size,
                    (unsigned long long)size, array_describe(a));
    return DONE;
}

/* The length of the header, and in a->begin where it begins. */
static outcome read_prefix(array *a, uint64_t file_size, uint32_t *length)
{
    unsigned char prefix[MAX_PREFIX];
    const size_t known =
        file_size < MAX_PREFIX ? (size_t)file_size : (size_t)MAX_PREFIX;
    outcome result = file_read(a->name, a->descriptor, 0, prefix, known);

    if (result != DONE)
        return result;
    a->begin = known > NPY_MAGIC_SIZE && prefix[6] == 1 ? 10 : MAX_PREFIX;
    if (known < a->begin)
        return fail(BAD_INPUT,
                    "%s: %zu bytes, too short for the start of a .npy file",
                    a->name, known);
    if (prefix[6] < 1 || prefix[6] > 3 || prefix[7] != 0)
        return fail(BAD_INPUT, "%s: .npy version %d.%d, expected 1.0 to 3.0",
                    a->name, prefix[6], prefix[7]);
    *length = (uint32_t)prefix[8] | (uint32_t)prefix[9] << 8;
    if (a->begin == MAX_PREFIX)
        *length |= (uint32_t)prefix[10] << 16 | (uint32_t)prefix[11] << 24;
    if (*length > MAX_HEADER || *length > file_size - a->begin)
        return fail(BAD_INPUT,
                    "%s: a .npy header of %lu bytes, expected at most %d, and "
                    "%llu are left in the file",
                    a->name, (unsigned long)*length, MAX_HEADER,
                    (unsigned long long)(file_size - a->begin));
    return DONE;
}

/* What the header text[0..length) says. */
static outcome take_header(array *a, const char *text, uint32_t length,
                           uint64_t data_size)
{
    parser p = {.text = text, .length = length};

    if (!read_dictionary(&p))
        return refuse(a, &p);
    const outcome result = take_type(a, p.type);
    return result == DONE ? take_shape(a, &p, data_size) : result;
}

outcome npy_header(array *a, uint64_t file_size)
{
    uint32_t length = 0;
    outcome result = read_prefix(a, file_size, &length);

    if (result != DONE)
        return result;
    char *text = malloc(length > 0 ? length : 1); /* to the byte, for tools */
    if (text == NULL)
        return fail(INTERNAL, "%s: not enough memory", a->name);
    result = file_read(a->name, a->descriptor, a->begin, text, length);
    a->begin += length;
    if (result == DONE)
        result = take_header(a, text, length, file_size - a->begin);
    free(text);
    return result;
}
