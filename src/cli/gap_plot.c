/*
 * gap_plot.c - curves of every layer, in rows of small plots
 *
 * All plots have the same scales, so that layers can be compared.
 */
#include "gap.h"

#include "report_text.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    LEFT = 16, /* units of the picture */
    TOP = 76,
    CELL_WIDTH = 204,
    CELL_HEIGHT = 118,
    PLOT_WIDTH = 180,
    PLOT_HEIGHT = 70,
    POINTS = 120
};

typedef struct plot {
    const gap *g;
    report_text *text;
    size_t first, last; /* points of the densities */
    double top;         /* largest density */
    uint32_t n_columns;
} plot;

/* Text that was formatted here, so nothing of it is from outside. */
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
static void
put(plot *p, const char *format, ...)
{
    char line[512];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    text_put(p->text, line);
}

static void find_scales(plot *p)
{
    p->first = DENSITY_POINTS - 1;
    p->last = 0;
    for (uint32_t l = 0; l < p->g->n_layers; l++) {
        const gap_layer layer = gap_with_curves(p->g, l);
        size_t first, last;
        gap_support(&layer, &first, &last);
        p->first = first < p->first ? first : p->first;
        p->last = last > p->last ? last : p->last;
        for (size_t i = 0; i < DENSITY_POINTS; i++)
            p->top = fmax(p->top, fmax(layer.intra[i], layer.inter[i]));
    }
    if (p->last <= p->first)
        p->last = p->first + 1;
    if (!(p->top > 0.0))
        p->top = 1.0;
}

static void put_curve(plot *p, const double *curve, const char *style,
                      double left, double base)
{
    put(p, "<path class=\"%s\" d=\"", style);
    for (int i = 0; i < POINTS; i++) {
        const size_t at =
            p->first + (p->last - p->first) * (size_t)i / (POINTS - 1);
        put(p, "%s%.1f %.1f", i == 0 ? "M" : "L",
            left + PLOT_WIDTH * (double)i / (POINTS - 1),
            base - PLOT_HEIGHT * curve[at] / p->top);
    }
    put(p, "\"/>\n");
}

/* Powers of ten below a plot. */
static void put_axis(plot *p, double left, double base)
{
    const double from = density_at(p->first), to = density_at(p->last);
    const int step = (int)fmax(1.0, ceil((to - from) / 4.0));

    put(p, "<path class=\"axis\" d=\"M%.1f %.1fh%d\"/>\n", left, base,
        PLOT_WIDTH);
    for (int e = (int)ceil(from); (double)e <= to; e += step) {
        const double x = left + PLOT_WIDTH * ((double)e - from) / (to - from);
        put(p, "<path class=\"axis\" d=\"M%.1f %.1fv3\"/>\n", x, base);
        put(p,
            "<text class=\"tick\" x=\"%.1f\" y=\"%.1f\">10<tspan "
            "dy=\"-4\" font-size=\"8\">%d</tspan></text>\n",
            x, base + 15.0, e);
    }
}

static void put_layer(plot *p, uint32_t l)
{
    const gap_layer layer = gap_with_curves(p->g, l);
    const uint32_t column = l % p->n_columns, row = l / p->n_columns;
    const double left = LEFT + CELL_WIDTH * column;
    const double top = TOP + CELL_HEIGHT * row;
    const double base = top + 18.0 + PLOT_HEIGHT;

    put(p, "<text class=\"name\" x=\"%.1f\" y=\"%.1f\">layer %u", left,
        top + 10.0, l);
    if (!isnan(layer.divergence))
        put(p, "<tspan class=\"bits\"> %.3f bits</tspan>", layer.divergence);
    put(p, "</text>\n");
    put_axis(p, left, base);
    if (layer.n_intra > 0)
        put_curve(p, layer.intra, "intra", left, base);
    if (layer.n_inter > 0)
        put_curve(p, layer.inter, "inter", left, base);
}

static void put_frame(plot *p)
{
    const uint32_t n_rows = (p->g->n_layers + p->n_columns - 1) / p->n_columns;
    const uint32_t width = 2 * LEFT + CELL_WIDTH * p->n_columns;
    const uint32_t height = TOP + CELL_HEIGHT * n_rows + 12;

    put(p,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %u %u\" "
        "font-family=\"system-ui, sans-serif\">\n<style>\n",
        width, height);
    text_put(p->text, "  .title { font-size: 17px; font-weight: 600 }\n"
                      "  text { font-size: 12px; fill: #1b1f24 }\n"
                      "  .name { font-weight: 600 }\n"
                      "  .bits { font-weight: 400; fill: #57606a }\n"
                      "  .tick { font-size: 10.5px; fill: #57606a; "
                      "text-anchor: middle }\n"
                      "  path { fill: none }\n"
                      "  .axis { stroke: #c8cdd3 }\n"
                      "  .intra { stroke: #1b7f4d; stroke-width: 1.8 }\n"
                      "  .inter { stroke: #8d4a9f; stroke-width: 1.8; "
                      "stroke-dasharray: 5 3 }\n"
                      "</style>\n");
    put(p, "<rect width=\"%u\" height=\"%u\" fill=\"#fff\"/>\n", width, height);
    put(p,
        "<text class=\"title\" x=\"%d\" y=\"28\">Attention weights within "
        "and across modalities</text>\n",
        LEFT);
    put(p,
        "<path class=\"intra\" d=\"M%d 48h26\"/><text x=\"%d\" y=\"52\">intra"
        "</text>\n<path class=\"inter\" d=\"M%d 48h26\"/>"
        "<text x=\"%d\" y=\"52\">inter</text>\n",
        LEFT, LEFT + 32, LEFT + 82, LEFT + 114);
    if (width > 500)
        put(p,
            "<text class=\"bits\" x=\"%d\" y=\"52\">density over the weight; "
            "bits: Jensen-Shannon divergence</text>\n",
            LEFT + 164);
}

outcome gap_plot(const gap *g, const char *path)
{
    output file;
    report_text *text = malloc(sizeof *text);
    plot p = {
        .g = g, .text = text, .n_columns = g->n_layers < 5 ? g->n_layers : 5};
    outcome result = text != NULL
                         ? output_open(path, &file)
                         : fail(INTERNAL, "not enough memory for a plot");

    if (result != DONE) {
        free(text);
        return result;
    }
    text_begin(text, &file);
    find_scales(&p);
    put_frame(&p);
    for (uint32_t l = 0; l < g->n_layers; l++)
        put_layer(&p, l);
    text_put(text, "</svg>\n");
    result = text_end(text);
    free(text);
    if (result == DONE)
        return output_commit(&file, 1);
    output_abandon(&file, 1);
    return result;
}
