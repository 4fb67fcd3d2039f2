/*
 * report_write.c - the report as a file: the page, and the data in it
 *
 * The page is cut where it says @STYLE@ and so on.  Its policy names the style
 * and the script by their SHA-256, so a browser runs nothing else, whatever the
 * data holds.
 */
#include "report_write.h"

#include "report_assets.h"
#include "report_json.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct report_writer {
    output file;
    report_shape shape;
    report_grid grid;
    csp_span *spans;
    report_bins bins;
    uint32_t n_layers; /* added */
    size_t page_at;    /* bytes of the page written */
    report_text text;
};

static void put_hash(report_text *t, const report_asset *asset)
{
    text_put(t, "'sha256-");
    text_base64(t, asset->sha256, SHA256_SIZE);
    text_put(t, "'");
}

static void put_policy(report_text *t)
{
    text_put(t, "default-src 'none'; script-src ");
    put_hash(t, &report_script);
    text_put(t, "; style-src ");
    put_hash(t, &report_style);
    text_put(t, "; base-uri 'none'; form-action 'none'");
}

/* Where the next of "@STYLE@", "@DATA@" is; the page's end if there is none. */
static size_t find_mark(size_t from, const char *mark)
{
    const size_t size = strlen(mark);

    for (size_t i = from; i + size <= report_page.size; i++)
        if (memcmp(report_page.bytes + i, mark, size) == 0)
            return i;
    return report_page.size;
}

/* The page up to 'mark', which is left out. */
static void put_page_to(report_writer *w, const char *mark)
{
    const size_t end = find_mark(w->page_at, mark);

    text_bytes(&w->text, report_page.bytes + w->page_at, end - w->page_at);
    w->page_at = end;
    if (end < report_page.size)
        w->page_at += strlen(mark);
}

static void put_asset(report_writer *w, const report_asset *asset)
{
    text_bytes(&w->text, asset->bytes, asset->size);
}

static outcome copy_spans(report_writer *w)
{
    const size_t size = w->shape.n_spans * sizeof *w->spans;

    w->spans = malloc(size > 0 ? size : 1);
    if (w->spans == NULL)
        return fail(INTERNAL, "not enough memory for spans");
    if (size > 0)
        memcpy(w->spans, w->shape.spans, size);
    w->shape.spans = w->spans;
    return DONE;
}

static void free_writer(report_writer *w)
{
    report_bins_free(&w->bins);
    free(w->spans);
    free(w);
}

outcome report_begin(const char *path, const report_head *head,
                     report_writer **writer)
{
    report_writer *w = calloc(1, sizeof *w);
    outcome result = DONE;

    if (w == NULL)
        return fail(INTERNAL, "not enough memory for a report");
    w->shape = head->shape;
    w->grid = report_grid_of(&head->shape);
    if ((result = copy_spans(w)) != DONE ||
        (result = report_bins_create(&w->shape, &w->grid, &w->bins)) != DONE ||
        (result = output_open(path, &w->file)) != DONE) {
        free_writer(w);
        return result;
    }
    text_begin(&w->text, &w->file);
    put_page_to(w, "@POLICY@");
    put_policy(&w->text);
    put_page_to(w, "@STYLE@");
    put_asset(w, &report_style);
    put_page_to(w, "@DATA@");
    json_head(&w->text, head, &w->grid);
    *writer = w;
    return DONE;
}

outcome report_add(report_writer *w, const report_layer *layer)
{
    report_bins_fill(&w->shape, &w->grid, layer, &w->bins);
    text_put(&w->text, w->n_layers > 0 ? ",\n" : "\n");
    json_layer(&w->text, &w->shape, &w->grid, layer, &w->bins);
    w->n_layers++;
    return w->text.result;
}

outcome report_end(report_writer *w, outcome result)
{
    if (result == DONE) {
        text_put(&w->text, "]}\n");
        put_page_to(w, "@SCRIPT@");
        put_asset(w, &report_script);
        put_page_to(w, "@END@");
        result = text_end(&w->text);
    }
    if (result == DONE)
        result = output_commit(&w->file, 1);
    else
        output_abandon(&w->file, 1);
    free_writer(w);
    return result;
}
