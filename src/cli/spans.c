/*
 * spans.c - which tokens are of which modality, as people write it
 */
#include "spans.h"

#include "file.h"
#include "json_check.h"
#include "json_memory.h"
#include "numbers.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_FILE = 1 << 20, MAX_WORD = 16 };

/* The place of a name is its number. */
static const char *const names[CSP_MAX_MODALITIES] = {
    "text", "image", "audio", "video", "4",  "5",  "6",  "7",
    "8",    "9",     "10",    "11",    "12", "13", "14", "15"};

const char *modality_name(uint32_t modality)
{
    return names[modality];
}

/* A name, or any number of a modality. */
static bool find_modality(const char *word, uint32_t *modality)
{
    for (uint32_t i = 0; i < CSP_MAX_MODALITIES; i++)
        if (strcmp(word, names[i]) == 0) {
            *modality = i;
            return true;
        }
    return parse_count(word, 0, CSP_MAX_MODALITIES - 1, modality);
}

/* Add a span behind the others; 'source' is an option or a file. */
static outcome append(const char *source, csp_span span, span_list *list)
{
    const uint32_t end = list->n > 0 ? list->spans[list->n - 1].end : 0;

    if (span.begin >= span.end)
        return fail(BAD_INPUT, "%s: span %u:%u is empty", source, span.begin,
                    span.end);
    if (span.begin < end)
        return fail(BAD_INPUT,
                    "%s: span %u:%u begins before the one in front of it ends,"
                    " at %u",
                    source, span.begin, span.end, end);
    list->spans[list->n++] = span;
    return DONE;
}

void spans_free(span_list *list)
{
    free(list->spans);
    *list = (span_list){.n = 0};
}

/* ---- Text ---------------------------------------------------------------- */

/* Take the bytes up to 'stop', or to the end for 0, as a word. */
static bool take_word(const char **text, char stop, char word[MAX_WORD])
{
    const char *end = stop != '\0' ? strchr(*text, stop) : NULL;
    const size_t length = end != NULL ? (size_t)(end - *text) : strlen(*text);

    if (length >= MAX_WORD || (stop != '\0' && end == NULL))
        return false;
    memcpy(word, *text, length);
    word[length] = '\0';
    *text += length + (end != NULL);
    return true;
}

/* BEGIN:END=MODALITY, all of it. */
static bool parse_span(const char *text, csp_span *span)
{
    char begin[MAX_WORD], end[MAX_WORD], modality[MAX_WORD];

    return take_word(&text, ':', begin) && take_word(&text, '=', end) &&
           take_word(&text, '\0', modality) &&
           parse_count(begin, 0, UINT32_MAX, &span->begin) &&
           parse_count(end, 0, UINT32_MAX, &span->end) &&
           find_modality(modality, &span->modality);
}

/* One span after the other; commas in 'text' become ends of strings. */
static outcome parse_all(char *text, span_list *list)
{
    outcome result = DONE;

    while (result == DONE && text != NULL) {
        csp_span span;
        char *comma = strchr(text, ',');
        if (comma != NULL)
            *comma = '\0';
        if (!parse_span(text, &span))
            return fail(BAD_USAGE,
                        "--spans: found '%s', expected BEGIN:END=MODALITY with"
                        " text, image, audio, video or a number below %d",
                        text, CSP_MAX_MODALITIES);
        result = append("--spans", span, list);
        text = comma != NULL ? comma + 1 : NULL;
    }
    return result == BAD_INPUT ? BAD_USAGE : result;
}

static outcome allocate(size_t n, span_list *list)
{
    list->n = 0;
    list->spans = malloc((n > 0 ? n : 1) * sizeof *list->spans);
    return list->spans != NULL ? DONE : fail(INTERNAL, "out of memory");
}

outcome spans_parse(const char *text, span_list *list)
{
    size_t n = 1;

    for (const char *at = text; *at != '\0'; at++)
        n += *at == ',';
    char *copy = strdup(text);
    outcome result =
        copy != NULL ? allocate(n, list) : fail(INTERNAL, "out of memory");
    if (result == DONE && (result = parse_all(copy, list)) != DONE)
        spans_free(list);
    free(copy);
    return result;
}

/* ---- File ---------------------------------------------------------------- */

static bool number_of(const cJSON *item, uint32_t *number)
{
    if (!cJSON_IsNumber(item) || item->valuedouble > (double)UINT32_MAX)
        return false;
    *number = (uint32_t)item->valuedouble;
    return true;
}

/* json_check has seen to it that numbers are whole. */
static bool span_of(const cJSON *item, csp_span *span)
{
    if (!cJSON_IsArray(item) || cJSON_GetArraySize(item) != 3 ||
        !number_of(item->child, &span->begin) ||
        !number_of(item->child->next, &span->end))
        return false;
    const cJSON *modality = item->child->next->next;
    if (cJSON_IsString(modality))
        return find_modality(modality->valuestring, &span->modality);
    return number_of(modality, &span->modality) &&
           span->modality < CSP_MAX_MODALITIES;
}

static outcome read_spans(const char *path, const cJSON *root, span_list *list)
{
    uint32_t i = 0;
    const cJSON *item;
    outcome result = DONE;

    if (!cJSON_IsArray(root))
        return fail(BAD_INPUT, "%s: expected a list of spans", path);
    if ((result = allocate((size_t)cJSON_GetArraySize(root), list)) != DONE)
        return result;
    cJSON_ArrayForEach(item, root)
    {
        csp_span span;
        i++;
        if (!span_of(item, &span))
            result = fail(BAD_INPUT,
                          "%s: item %u is not [BEGIN, END, MODALITY] with a"
                          " modality's name or a number below %d",
                          path, i, CSP_MAX_MODALITIES);
        else
            result = append(path, span, list);
        if (result != DONE)
            break;
    }
    if (result != DONE)
        spans_free(list);
    return result;
}

static outcome parse_json(const char *path, const char *text, size_t length,
                          span_list *list)
{
    const char *end;
    cJSON *root;
    size_t at;
    const char *wrong = json_check(text, length, &at);

    if (wrong != NULL)
        return fail(BAD_INPUT, "%s: byte %zu: expected %s", path, at, wrong);
    outcome result = json_parse(path, text, length, &end, &root);
    if (result != DONE)
        return result;
    end += strspn(end, " \t\r\n");
    result = root != NULL && end == text + length
                 ? read_spans(path, root, list)
                 : fail(BAD_INPUT, "%s: is not JSON", path);
    cJSON_Delete(root);
    return result;
}

static outcome read_text(const char *path, int descriptor, uint64_t size,
                         span_list *list)
{
    if (size > MAX_FILE)
        return fail(BAD_INPUT, "%s: has %llu bytes, expected at most %d", path,
                    (unsigned long long)size, MAX_FILE);
    char *text = malloc((size_t)size + 1);
    if (text == NULL)
        return fail(INTERNAL, "out of memory");
    outcome result = file_read(path, descriptor, 0, text, (size_t)size);
    if (result == DONE) {
        text[size] = '\0';
        result = parse_json(path, text, (size_t)size, list);
    }
    free(text);
    return result;
}

outcome spans_read(const char *path, span_list *list)
{
    int descriptor;
    uint64_t size;
    outcome result = file_open(path, &descriptor, &size);

    if (result != DONE)
        return result;
    result = read_text(path, descriptor, size, list);
    close(descriptor);
    return result;
}
