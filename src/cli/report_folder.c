/*
 * report_folder.c - a report of what `csp prune --out` wrote
 *
 * Arrays are read a layer at a time, and each number is checked: a folder may
 * have been put together by others.
 */
#include "report_folder.h"

#include "array.h"
#include "file.h"
#include "report_settings.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_JSON = 64 << 20, MOST_PATH = 4096 };

enum { MASK, REASONS, IMPORTANCE, SINK_LOGITS, N_ARRAYS };

static const char *const names[N_ARRAYS] = {
    "mask.npy", "reasons.npy", "importance.npy", "sink_logits.npy"};

typedef struct folder {
    const char *name;
    report_settings settings;
    array arrays[N_ARRAYS];
    bool is_open[N_ARRAYS];
    uint8_t *mask, *reasons; /* [n_kv_heads][n_keys] of a layer */
    float *rows;             /* [2][n_kv_heads][n_keys] */
    float *logits;           /* [n_heads] */
} folder;

/* ---- Files --------------------------------------------------------------- */

static outcome path_of(const folder *f, const char *file, char *path)
{
    const int n = snprintf(path, MOST_PATH, "%s/%s", f->name, file);

    return n > 0 && n < MOST_PATH
               ? DONE
               : fail(BAD_USAGE, "%s: is too long a name", f->name);
}

static outcome read_settings(folder *f)
{
    char path[MOST_PATH];
    int descriptor;
    uint64_t size;
    outcome result = path_of(f, "summary.json", path);

    if (result == DONE)
        result = file_open(path, &descriptor, &size);
    if (result != DONE)
        return result;
    char *text = size <= MOST_JSON ? malloc((size_t)size + 1) : NULL;
    if (size > MOST_JSON)
        result = fail(BAD_INPUT, "%s: has %llu bytes, expected at most %d",
                      path, (unsigned long long)size, (int)MOST_JSON);
    else if (text == NULL)
        result = fail(INTERNAL, "%s: not enough memory", path);
    else if ((result = file_read(path, descriptor, 0, text, (size_t)size)) ==
             DONE) {
        text[size] = '\0';
        result = report_settings_read(path, text, (size_t)size, &f->settings);
    }
    close(descriptor);
    free(text);
    return result;
}

/* Open an array and see that it has this shape behind the layers. */
static outcome open_array(folder *f, int file, element type, uint32_t rank,
                          const uint32_t *shape)
{
    char path[MOST_PATH];
    array *a = &f->arrays[file];
    const uint32_t before = f->settings.has_layers ? 1 : 0;
    outcome result = path_of(f, names[file], path);

    if (result == DONE)
        result = array_open(path, NULL, false, a);
    if (result != DONE)
        return result;
    f->is_open[file] = true;
    bool fits = a->element == type && a->rank == rank + before &&
                (before == 0 || a->shape[0] == f->settings.shape.n_layers);
    for (uint32_t i = 0; fits && i < rank; i++)
        fits = a->shape[before + i] == shape[i];
    return fits ? DONE
                : fail(BAD_INPUT, "%s: is %s, which does not go with %s", path,
                       array_describe(a), "summary.json");
}

/* Open an array that need not be there. */
static outcome open_optional(folder *f, int file, element type, uint32_t rank,
                             const uint32_t *shape)
{
    char path[MOST_PATH];
    struct stat status;
    outcome result = path_of(f, names[file], path);

    if (result == DONE && stat(path, &status) != 0)
        return errno == ENOENT ? DONE
                               : fail(IO_FAILED, "%s: cannot be opened: %s",
                                      path, strerror(errno));
    return result == DONE ? open_array(f, file, type, rank, shape) : result;
}

static outcome open_arrays(folder *f)
{
    const report_shape *s = &f->settings.shape;
    const uint32_t heads[] = {2, s->n_kv_heads, s->n_keys};
    outcome result = open_array(f, MASK, ELEMENT_U8, 2, heads + 1);

    if (result == DONE)
        result = open_array(f, IMPORTANCE, ELEMENT_F32, 3, heads);
    if (result == DONE)
        result = open_optional(f, REASONS, ELEMENT_U8, 2, heads + 1);
    if (result == DONE)
        result = open_optional(f, SINK_LOGITS, ELEMENT_F32, 1, &s->n_heads);
    return result;
}

/* The files have as many bytes, so no size is a fancy. */
static outcome allocate(folder *f)
{
    const report_shape *s = &f->settings.shape;
    const size_t cells = (size_t)s->n_kv_heads * s->n_keys;

    f->mask = malloc(cells);
    f->reasons = malloc(cells);
    f->rows = malloc(2 * cells * sizeof *f->rows);
    f->logits = malloc(s->n_heads * sizeof *f->logits);
    return f->mask != NULL && f->reasons != NULL && f->rows != NULL &&
                   f->logits != NULL
               ? DONE
               : fail(INTERNAL, "%s: not enough memory for a layer", f->name);
}

static void release(folder *f)
{
    for (int i = 0; i < N_ARRAYS; i++)
        if (f->is_open[i])
            array_close(&f->arrays[i]);
    free(f->mask);
    free(f->reasons);
    free(f->rows);
    free(f->logits);
    report_settings_free(&f->settings);
}

/* ---- A layer ------------------------------------------------------------- */

static outcome read_rows(folder *f, uint32_t layer)
{
    const report_shape *s = &f->settings.shape;
    const array *a = &f->arrays[IMPORTANCE];
    const uint64_t size = 2 * (uint64_t)s->n_kv_heads * s->n_keys;
    const outcome result = array_read_floats(a, layer * size, size, f->rows);

    for (uint64_t i = 0; result == DONE && i < size; i++)
        if (!(f->rows[i] >= 0.0f && isfinite(f->rows[i])))
            return fail(BAD_INPUT, "%s: found %g, expected importance", a->name,
                        (double)f->rows[i]);
    return result;
}

static outcome read_mask(folder *f, uint32_t layer)
{
    const report_shape *s = &f->settings.shape;
    const array *a = &f->arrays[MASK];
    const uint64_t size = (uint64_t)s->n_kv_heads * s->n_keys;
    const outcome result = array_read(a, layer * size, size, f->mask);

    for (uint64_t i = 0; result == DONE && i < size; i++)
        if (f->mask[i] > 1)
            return fail(BAD_INPUT, "%s: found %u, expected 0 or 1", a->name,
                        f->mask[i]);
    return result;
}

/* Of a folder without reasons.npy: what the settings say. */
static void guess_reasons(folder *f)
{
    const report_shape *s = &f->settings.shape;
    const csp_config *c = &f->settings.config;
    const uint32_t rest = c->recent < s->n_keys ? s->n_keys - c->recent : 0;

    for (uint32_t g = 0; g < s->n_kv_heads; g++)
        for (uint32_t t = 0; t < s->n_keys; t++) {
            const size_t at = (size_t)g * s->n_keys + t;
            const bool held = t < c->sinks || t >= rest;
            f->reasons[at] = f->mask[at] == 0 ? REASON_DROPPED
                             : held           ? CSP_REASON_PROTECTED
                                              : REASON_KEPT;
        }
}

static outcome read_reasons(folder *f, uint32_t layer)
{
    const report_shape *s = &f->settings.shape;
    const array *a = &f->arrays[REASONS];
    const uint64_t size = (uint64_t)s->n_kv_heads * s->n_keys;

    if (!f->is_open[REASONS]) {
        guess_reasons(f);
        return DONE;
    }
    const outcome result = array_read(a, layer * size, size, f->reasons);
    for (uint64_t i = 0; result == DONE && i < size; i++)
        if (f->reasons[i] >= REASON_KEPT ||
            (f->reasons[i] != REASON_DROPPED) != (f->mask[i] != 0))
            return fail(BAD_INPUT, "%s: found %u where mask.npy has %u",
                        a->name, f->reasons[i], f->mask[i]);
    return result;
}

static outcome add_layer(folder *f, uint32_t layer, report_writer *writer)
{
    const report_shape *s = &f->settings.shape;
    const csp_importance importance = {
        .intra = f->rows,
        .inter = f->rows + (size_t)s->n_kv_heads * s->n_keys,
        .capacity = s->n_keys};
    const bool has_sinks = f->is_open[SINK_LOGITS];
    const report_layer done = {.importance = &importance,
                               .reasons = f->reasons,
                               .n_lists = s->n_kv_heads,
                               .sink_logits = has_sinks ? f->logits : NULL};
    outcome result = read_mask(f, layer);

    if (result == DONE)
        result = read_reasons(f, layer);
    if (result == DONE)
        result = read_rows(f, layer);
    if (result == DONE && has_sinks)
        result = array_read_floats(&f->arrays[SINK_LOGITS],
                                   (uint64_t)layer * s->n_heads, s->n_heads,
                                   f->logits);
    return result == DONE ? report_add(writer, &done) : result;
}

static outcome add_layers(folder *f, const char *path)
{
    const report_head head = report_settings_head(&f->settings);
    report_writer *writer;
    outcome result = report_begin(path, &head, &writer);

    if (result != DONE)
        return result;
    for (uint32_t l = 0; result == DONE && l < head.shape.n_layers; l++) {
        progress("reading", l, head.shape.n_layers);
        result = add_layer(f, l, writer);
    }
    progress_end();
    return report_end(writer, result);
}

outcome report_of_folder(const char *name, const char *path)
{
    folder f = {.name = name};
    outcome result = read_settings(&f);

    if (result == DONE)
        result = open_arrays(&f);
    if (result == DONE)
        result = allocate(&f);
    if (result == DONE)
        result = add_layers(&f, path);
    release(&f);
    return result;
}
