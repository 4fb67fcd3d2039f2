/*
 * synthetic_svg.c - draw what was kept: tokens to the right, KV heads down
 *
 * A run of kept tokens is one piece of a path, so the file stays small.
 */
#include "synthetic.h"

#include <math.h>
#include <stdio.h>

/* Blue and orange are told apart in every kind of colour vision. */
static const char *const ink[2] = {"#1f6fb2", "#e08214"};
/* The same for tokens that are kept in any case. */
static const char *const faint[2] = {"#a9c8e2", "#f3cf9e"};
static const char *const ground = "#eceef0";
static const char *const needle_ink = "#111418";

/* Units of the picture. */
static const double width = 1206.0, left = 92.0, plot_width = 1000.0;
static const double curve_height = 76.0, curve_top[2] = {150.0, 264.0};
static const double strip_top = 368.0, strip_height = 22.0;
static const double map_top = 402.0, layer_gap = 9.0;
static const double count_x[2] = {1132.0, 1180.0};

typedef struct canvas {
    FILE *file;
    const prompt *p;
    const trace *picture;
    double row_height;
    double map_end;
} canvas;

static double x_of(const canvas *c, uint32_t token)
{
    return left + plot_width * (double)token / (double)c->p->n_context;
}

static double row_top(const canvas *c, uint32_t layer, uint32_t head)
{
    double row = (double)layer * c->p->n_kv_heads + head;

    return map_top + row * c->row_height + layer * layer_gap;
}

static void label(const canvas *c, double x, double y, const char *style,
                  const char *anchor, const char *text)
{
    fprintf(c->file,
            "<text x=\"%.1f\" y=\"%.1f\" class=\"%s\" "
            "text-anchor=\"%s\">%s</text>\n",
            x, y, style, anchor, text);
}

static void box(const canvas *c, double x, double y, double w, double h,
                const char *fill)
{
    fprintf(c->file,
            "<rect x=\"%.2f\" y=\"%.1f\" width=\"%.2f\" height=\"%.1f\" "
            "fill=\"%s\"/>\n",
            x, y, w, h, fill);
}

/* End of the run of tokens of one modality that 'token' starts or is in. */
static uint32_t run_end(const prompt *p, uint32_t token)
{
    uint32_t modality = modality_of(p, token);

    while (token < p->n_context && modality_of(p, token) == modality)
        ++token;
    return token;
}

/* ---- Head ---------------------------------------------------------------- */

static void draw_title(const canvas *c, uint32_t budget, const outcome *r)
{
    const prompt *p = c->p;
    const double n_lists = (double)p->n_layers * p->n_kv_heads;
    const double full = n_lists * p->n_context * p->head_dim * 8.0;
    char text[320];

    snprintf(text, sizeof text,
             "Cross-Self Pruning keeps %u of %u tokens in each KV head", budget,
             p->n_context);
    label(c, left, 46.0, "title", "start", text);
    int used = snprintf(
        text, sizeof text,
        "%s prompt &#183; %u layers &#215; %u KV heads &#183; "
        "%.0f text and %.0f image tokens kept on average &#183; "
        "cache %.0f &#8594; %.0f KiB",
        p->n_needles > 0 ? "Synthetic" : "Real", p->n_layers, p->n_kv_heads,
        r->text, r->image, full / 1024.0, r->cache_bytes / 1024.0);
    if (p->n_needles > 0)
        snprintf(text + used, sizeof text - (size_t)used,
                 " &#183; %.0f %% of needles kept", 100.0 * r->recall);
    label(c, left, 72.0, "sub", "start", text);
}

static double legend_box(const canvas *c, double x, const char *fill,
                         const char *text, double advance)
{
    box(c, x, 93.0, 13.0, 13.0, fill);
    label(c, x + 19.0, 104.0, "small", "start", text);
    return x + advance;
}

static void draw_legend(const canvas *c)
{
    double x = legend_box(c, left, ink[TEXT], "text, kept", 104.0);

    x = legend_box(c, x, ink[IMAGE], "image, kept", 116.0);
    x = legend_box(c, x, faint[TEXT], "", 15.0);
    x = legend_box(c, x, faint[IMAGE], "kept in any case", 150.0);
    x = legend_box(c, x, ground, "dropped", 96.0);
    if (c->p->n_needles == 0)
        return;
    fprintf(c->file, "<path class=\"needle\" d=\"M%.1f 95h10l-5 9z\"/>\n", x);
    label(c, x + 17.0, 104.0, "small", "start",
          "needle: a token that later queries ask for; black where kept");
}

/* ---- Importance ---------------------------------------------------------- */

/* The scale is that of all tokens but the sinks, which may tower over them. */
static double scale_top(const prompt *p, const float *values)
{
    double top = 0.0;

    for (uint32_t t = p->n_context > 8 ? 4 : 0; t < p->n_context; ++t)
        top = fmax(top, (double)values[t]);
    return top > 0.0 ? top : 1.0;
}

static void draw_curve(const canvas *c, int which, const float *values,
                       const char *name, const char *what)
{
    const prompt *p = c->p;
    const double top = scale_top(p, values),
                 base = curve_top[which] + curve_height;

    label(c, left, curve_top[which] - 9.0, "name", "start", name);
    label(c, left + 46.0, curve_top[which] - 9.0, "small", "start", what);
    for (uint32_t t = 0, end; t < p->n_context; t = end) {
        end = run_end(p, t);
        fprintf(c->file, "<path fill=\"%s\" d=\"M%.2f %.1f",
                ink[modality_of(p, t)], x_of(c, t), base);
        for (uint32_t i = t; i < end; ++i) {
            double height =
                sqrt(fmin((double)values[i] / top, 1.0)) * curve_height;

            fprintf(c->file, "V%.1fH%.2f", base - height, x_of(c, i + 1));
        }
        fprintf(c->file, "V%.1fz\"/>\n", base);
    }
    fprintf(c->file, "<path class=\"axis\" d=\"M%.1f %.1fh%.1f\"/>\n", left,
            base, plot_width);
}

/* ---- Tokens -------------------------------------------------------------- */

static void draw_needles(const canvas *c)
{
    for (uint32_t i = 0; i < c->p->n_needles; ++i) {
        double x =
            (x_of(c, c->p->needles[i]) + x_of(c, c->p->needles[i] + 1)) / 2.0;

        fprintf(c->file, "<path class=\"needle\" d=\"M%.1f %.1fh8l-4 8z\"/>\n",
                x - 4.0, strip_top - 11.0);
    }
}

static void draw_strip(const canvas *c)
{
    const prompt *p = c->p;
    uint32_t image = 0;

    label(c, left - 12.0, strip_top + 15.5, "small", "end", "prompt");
    for (uint32_t t = 0, end; t < p->n_context; t = end) {
        uint32_t modality = modality_of(p, t);
        double x = x_of(c, t);
        char text[32];

        end = run_end(p, t);
        double w = x_of(c, end) - x;
        box(c, x, strip_top, w - 1.0, strip_height, ink[modality]);
        if (modality == IMAGE)
            snprintf(text, sizeof text, "image %u", ++image);
        else
            snprintf(text, sizeof text, "text");
        if (w > (modality == IMAGE ? 54.0 : 34.0))
            label(c, x + w / 2.0, strip_top + 15.5, "inside", "middle", text);
    }
}

/* One path for kept tokens of a modality in [begin, end); returns how many. */
static uint32_t draw_kept(const canvas *c, const uint8_t *kept,
                          uint32_t modality, uint32_t begin, uint32_t end,
                          const char *fill, double y)
{
    const prompt *p = c->p;
    const double height = c->row_height - 1.5;
    uint32_t n = 0;

    for (uint32_t t = begin, stop; t < end; t = stop) {
        stop = t + 1;
        if (!kept[t] || modality_of(p, t) != modality)
            continue;
        while (stop < end && kept[stop] && modality_of(p, stop) == modality)
            ++stop;
        double w = x_of(c, stop) - x_of(c, t);
        if (n == 0)
            fprintf(c->file, "<path fill=\"%s\" d=\"", fill);
        fprintf(c->file, "M%.2f %.1fh%.2fv%.1fh-%.2fz", x_of(c, t), y, w,
                height, w);
        n += stop - t;
    }
    if (n > 0)
        fputs("\"/>\n", c->file);
    return n;
}

static void draw_kept_needles(const canvas *c, const uint8_t *kept, double y)
{
    const double w = fmax(plot_width / (double)c->p->n_context, 2.5);

    for (uint32_t i = 0; i < c->p->n_needles; ++i)
        if (kept[c->p->needles[i]])
            box(c, x_of(c, c->p->needles[i]), y, w, c->row_height - 1.5,
                needle_ink);
}

static void draw_row(const canvas *c, uint32_t layer, uint32_t head)
{
    const prompt *p = c->p;
    const uint32_t n = p->n_context, chosen = n - c->picture->recent;
    const uint8_t *kept =
        c->picture->kept + ((size_t)layer * p->n_kv_heads + head) * n;
    const double y = row_top(c, layer, head);

    box(c, left, y, plot_width, c->row_height - 1.5, ground);
    for (uint32_t m = 0; m < 2; ++m) {
        uint32_t n_kept =
            draw_kept(c, kept, m, 0, c->picture->sinks, faint[m], y);

        n_kept += draw_kept(c, kept, m, c->picture->sinks, chosen, ink[m], y);
        n_kept += draw_kept(c, kept, m, chosen, n, faint[m], y);
        if (c->row_height >= 11.0)
            fprintf(c->file,
                    "<text x=\"%.1f\" y=\"%.1f\" class=\"count\" "
                    "fill=\"%s\">%u</text>\n",
                    count_x[m], y + c->row_height / 2.0 + 3.2, ink[m], n_kept);
    }
    draw_kept_needles(c, kept, y);
}

static void draw_map(const canvas *c)
{
    const prompt *p = c->p;
    char text[32];

    if (c->row_height >= 11.0) {
        label(c, count_x[TEXT], strip_top + 15.5, "small", "end", "text");
        label(c, count_x[IMAGE], strip_top + 15.5, "small", "end", "image");
    }
    for (uint32_t l = 0; l < p->n_layers; ++l) {
        for (uint32_t g = 0; g < p->n_kv_heads; ++g)
            draw_row(c, l, g);
        if (c->row_height * p->n_kv_heads + layer_gap < 11.0)
            continue;
        snprintf(text, sizeof text, "layer %u", l + 1);
        label(c, left - 12.0,
              row_top(c, l, 0) + (double)p->n_kv_heads * c->row_height / 2.0 +
                  3.2,
              "small", "end", text);
    }
}

static void draw_bracket(const canvas *c, uint32_t begin, uint32_t end,
                         const char *anchor, double x, const char *text)
{
    if (begin >= end)
        return;
    fprintf(c->file, "<path class=\"bracket\" d=\"M%.1f %.1fv5H%.1fv-5\"/>\n",
            x_of(c, begin), c->map_end + 5.0, x_of(c, end));
    label(c, x, c->map_end + 26.0, "small", anchor, text);
}

/* Token numbers below, but none where the brackets are named. */
static void draw_axis(const canvas *c)
{
    const uint32_t n = c->p->n_context;
    const uint32_t step = n > 2000 ? 500 : n > 200 ? 100 : 20;
    char text[32];

    draw_bracket(c, 0, c->picture->sinks, "start", left, "sinks");
    draw_bracket(c, n - c->picture->recent, n, "end", left + plot_width,
                 "recent tokens");
    for (uint32_t t = step; t < n; t += step) {
        double x = x_of(c, t);

        if (x < left + 60.0 || x > left + plot_width - 120.0)
            continue;
        fprintf(c->file, "<path class=\"axis\" d=\"M%.1f %.1fv5\"/>\n", x,
                c->map_end + 5.0);
        snprintf(text, sizeof text, t == step ? "token %u" : "%u", t);
        label(c, x, c->map_end + 26.0, "small", "middle", text);
    }
}

static void draw_frame(const canvas *c)
{
    const double height = c->map_end + 48.0;

    fprintf(
        c->file,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" "
        "font-family=\"system-ui, sans-serif\">\n"
        "<style>\n"
        "  .title { font-size: 25px; font-weight: 600; fill: #16191d }\n"
        "  .sub { font-size: 15px; fill: #4a525c }\n"
        "  .name { font-size: 14px; font-weight: 600; fill: #16191d }\n"
        "  .small { font-size: 12.5px; fill: #5b6470 }\n"
        "  .inside { font-size: 12px; fill: #fff }\n"
        "  .count { font-size: 12px; text-anchor: end }\n"
        "  .needle { fill: #111418 }\n"
        "  .axis { stroke: #b9c0c8; fill: none }\n"
        "  .bracket { stroke: #5b6470; fill: none }\n"
        "</style>\n"
        "<rect width=\"%.0f\" height=\"%.0f\" fill=\"#fdfdfc\"/>\n",
        width, height, width, height);
}

bool draw(const char *path, const prompt *p, uint32_t budget,
          const outcome *result, const trace *picture)
{
    const double rows = (double)p->n_layers * p->n_kv_heads;
    canvas c = {.file = fopen(path, "w"), .p = p, .picture = picture};

    if (c.file == NULL)
        return false;
    c.row_height = fmax(3.0, fmin(22.0, 420.0 / rows));
    c.map_end = row_top(&c, p->n_layers - 1, p->n_kv_heads);
    draw_frame(&c);
    draw_title(&c, budget, result);
    draw_legend(&c);
    draw_curve(&c, 0, picture->intra, "Intra",
               "attention a token gets from its own modality");
    draw_curve(&c, 1, picture->inter, "Inter",
               "attention it gets from the other modality");
    label(&c, left + plot_width, curve_top[0] - 9.0, "small", "end",
          "mean over KV heads, square-root scale");
    draw_strip(&c);
    draw_needles(&c);
    draw_map(&c);
    draw_axis(&c);
    fputs("</svg>\n", c.file);
    bool good = ferror(c.file) == 0;
    return fclose(c.file) == 0 && good;
}
