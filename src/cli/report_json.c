/*
 * report_json.c - the data of a report, as its page reads it
 *
 * Numbers of bins are base-64 digits.  Importance spans orders of magnitude, so
 * its levels are even steps of the logarithm, between a row's smallest and
 * largest number; level 0 is zero.  With two digits six decades have steps of
 * 0.3 %, with one 25 %.
 */
#include "report_json.h"

#include "gap_layer.h"

#include <math.h>
#include <stdio.h>

enum {
    CURVE_POINTS = 120, /* of a density */
    MEAN_DIGITS = 2
};

/* ---- Rows of importance -------------------------------------------------- */

typedef struct range {
    double low, high; /* log10 */
} range;

static range range_of(const double *x, uint32_t n)
{
    range r = {0.0, 0.0};
    bool any = false;

    for (uint32_t i = 0; i < n; i++) {
        if (!(x[i] > 0.0))
            continue;
        const double y = log10(x[i]);
        r.low = !any || y < r.low ? y : r.low;
        r.high = !any || y > r.high ? y : r.high;
        any = true;
    }
    return r;
}

static void put_row(report_text *t, const double *x, uint32_t n, range r,
                    uint32_t digits)
{
    const double steps = (double)((UINT32_C(1) << 6 * digits) - 2);

    for (uint32_t i = 0; i < n; i++) {
        uint32_t level = 0;
        if (x[i] > 0.0) {
            const double part =
                r.high > r.low ? (log10(x[i]) - r.low) / (r.high - r.low) : 0.0;
            level = 1 + (uint32_t)(part * steps + 0.5);
        }
        text_digits(t, level, digits);
    }
}

/* In thousandths of a decade, which is 0.2 %. */
static void put_range(report_text *t, range r)
{
    char text[64];

    snprintf(text, sizeof text, "[%.3f,%.3f]", r.low, r.high);
    text_put(t, text);
}

/* "NAME":{"levels":"...","ranges":[[low,high],...]} of all heads. */
static void put_heads(report_text *t, const char *name, const double *x,
                      uint32_t n_heads, const report_grid *grid)
{
    text_put(t, "\"");
    text_put(t, name);
    text_put(t, "\":{\"levels\":\"");
    for (uint32_t g = 0; g < n_heads; g++) {
        const double *row = x + (size_t)g * grid->n_bins;
        put_row(t, row, grid->n_bins, range_of(row, grid->n_bins),
                grid->digits);
    }
    text_put(t, "\",\"ranges\":[");
    for (uint32_t g = 0; g < n_heads; g++) {
        text_put(t, g > 0 ? "," : "");
        put_range(t, range_of(x + (size_t)g * grid->n_bins, grid->n_bins));
    }
    text_put(t, "]}");
}

/* The same for the mean over heads, which takes the place of head 0. */
static void put_mean(report_text *t, const char *name, double *x,
                     uint32_t n_heads, const report_grid *grid)
{
    for (uint32_t b = 0; b < grid->n_bins; b++) {
        for (uint32_t g = 1; g < n_heads; g++)
            x[b] += x[(size_t)g * grid->n_bins + b];
        x[b] /= (double)n_heads;
    }
    const range r = range_of(x, grid->n_bins);
    text_put(t, "\"");
    text_put(t, name);
    text_put(t, "\":{\"levels\":\"");
    put_row(t, x, grid->n_bins, r, MEAN_DIGITS);
    text_put(t, "\",\"ranges\":[");
    put_range(t, r);
    text_put(t, "]}");
}

/* ---- Parts of a layer ---------------------------------------------------- */

/* A count of up to 63 tokens as it is, else as that share of 63, where only
   nothing is 0 and only everything is 63. */
static uint32_t kept_level(uint32_t kept, uint32_t width)
{
    if (width <= 63 || kept == 0)
        return kept;
    if (kept == width)
        return 63;
    const uint32_t level =
        (uint32_t)(((uint64_t)kept * 126 + width) / width / 2);
    return level == 0 ? 1 : level == 63 ? 62 : level;
}

static void put_kept(report_text *t, const report_shape *shape,
                     const report_grid *grid, const report_bins *bins)
{
    text_put(t, "\"kept\":\"");
    for (uint32_t g = 0; g < shape->n_kv_heads; g++)
        for (uint32_t b = 0; b < grid->n_bins; b++) {
            const uint32_t left = shape->n_keys - b * grid->width;
            const uint32_t kept = bins->kept[(size_t)g * grid->n_bins + b];
            text_digits(
                t, kept_level(kept, left < grid->width ? left : grid->width),
                1);
        }
    text_put(t, "\"");
}

static void put_masses(report_text *t, uint32_t n_heads, const double *mass)
{
    text_put(t, ",\"mass\":[");
    for (uint32_t g = 0; g < n_heads; g++) {
        text_put(t, g > 0 ? ",[" : "[");
        for (uint32_t i = 0; i < N_MASSES; i++) {
            text_put(t, i > 0 ? "," : "");
            text_number(t, mass[(size_t)g * N_MASSES + i]);
        }
        text_put(t, "]");
    }
    text_put(t, "]");
}

static void put_split(report_text *t, uint32_t n_heads, uint32_t n_modalities,
                      const uint32_t *split)
{
    text_put(t, ",\"split\":[");
    for (uint32_t g = 0; g < n_heads; g++)
        for (uint32_t m = 0; m < n_modalities; m++) {
            text_put(t, m > 0 ? ",[" : g > 0 ? ",[[" : "[[");
            for (uint32_t i = 0; i < N_REASONS; i++) {
                text_put(t, i > 0 ? "," : "");
                text_count(t, *split++);
            }
            text_put(t, m + 1 == n_modalities ? "]]" : "]");
        }
    text_put(t, "]");
}

static void put_sinks(report_text *t, uint32_t n_heads, const float *logits)
{
    text_put(t, ",\"sinks\":[");
    for (uint32_t h = 0; h < n_heads; h++) {
        text_put(t, h > 0 ? "," : "");
        text_number(t, (double)logits[h]);
    }
    text_put(t, "]");
}

/* ---- The distribution gap ------------------------------------------------ */

static void put_curve(report_text *t, const char *name, const double *curve,
                      size_t first, size_t last)
{
    double top = 0.0;

    for (size_t i = first; i <= last; i++)
        top = fmax(top, curve[i]);
    text_put(t, ",\"");
    text_put(t, name);
    text_put(t, "\":{\"top\":");
    text_number(t, top);
    text_put(t, ",\"levels\":\"");
    for (size_t i = 0; i < CURVE_POINTS; i++) {
        const size_t at = first + (last - first) * i / (CURVE_POINTS - 1);
        text_digits(
            t, top > 0.0 ? (uint32_t)(curve[at] / top * 4095.0 + 0.5) : 0, 2);
    }
    text_put(t, "\"}");
}

static void put_gap(report_text *t, const gap_layer *gap)
{
    size_t first, last;

    gap_support(gap, &first, &last);
    text_put(t, ",\"gap\":{\"divergence\":");
    text_number(t, gap->divergence);
    text_put(t, ",\"bandwidth\":");
    text_number(t, gap->bandwidth);
    text_put(t, ",\"medians\":[");
    text_number(t, gap->median_intra);
    text_put(t, ",");
    text_number(t, gap->median_inter);
    text_put(t, "],\"pairs\":[");
    text_count(t, gap->n_intra);
    text_put(t, ",");
    text_count(t, gap->n_inter);
    text_put(t, "],\"from\":");
    text_number(t, density_at(first));
    text_put(t, ",\"to\":");
    text_number(t, density_at(last));
    put_curve(t, "intra", gap->intra, first, last);
    put_curve(t, "inter", gap->inter, first, last);
    text_put(t, "}");
}

/* ---- The whole ----------------------------------------------------------- */

static void put_named(report_text *t, const char *name, uint64_t value)
{
    text_put(t, ",\"");
    text_put(t, name);
    text_put(t, "\":");
    text_count(t, value);
}

static void put_spans(report_text *t, const report_shape *shape)
{
    text_put(t, ",\"spans\":[");
    for (uint32_t i = 0; i < shape->n_spans; i++) {
        const csp_span *s = &shape->spans[i];
        text_put(t, i > 0 ? ",[" : "[");
        text_count(t, s->begin);
        text_put(t, ",");
        text_count(t, s->end);
        text_put(t, ",");
        text_count(t, s->modality);
        text_put(t, "]");
    }
    text_put(t, "]");
}

void json_head(report_text *t, const report_head *head, const report_grid *grid)
{
    text_put(t, "{\"source\":");
    text_string(t, head->source);
    put_named(t, "n_layers", head->shape.n_layers);
    put_named(t, "n_heads", head->shape.n_heads);
    put_named(t, "n_kv_heads", head->shape.n_kv_heads);
    put_named(t, "n_queries", head->shape.n_queries);
    put_named(t, "n_keys", head->shape.n_keys);
    put_named(t, "width", grid->width);
    put_named(t, "n_bins", grid->n_bins);
    put_named(t, "digits", grid->digits);
    text_put(t, ",\"modalities\":[");
    for (uint32_t m = 0; m < grid->n_modalities; m++) {
        text_put(t, m > 0 ? "," : "");
        text_string(t, head->modalities[m] != NULL ? head->modalities[m] : "");
    }
    text_put(t, "]");
    put_spans(t, &head->shape);
    text_put(t, ",\"settings\":[");
    for (uint32_t i = 0; i < head->n_settings; i++) {
        text_put(t, i > 0 ? ",[" : "[");
        text_string(t, head->settings[i].name);
        text_put(t, ",");
        text_string(t, head->settings[i].value);
        text_put(t, "]");
    }
    text_put(t, "],\"layers\":[");
}

void json_layer(report_text *t, const report_shape *shape,
                const report_grid *grid, const report_layer *layer,
                const report_bins *bins)
{
    const uint32_t heads = shape->n_kv_heads;

    text_put(t, "{");
    put_kept(t, shape, grid, bins);
    text_put(t, ",");
    put_heads(t, "intra", bins->intra, heads, grid);
    text_put(t, ",");
    put_heads(t, "inter", bins->inter, heads, grid);
    text_put(t, ",");
    put_mean(t, "mean_intra", bins->intra, heads, grid);
    text_put(t, ",");
    put_mean(t, "mean_inter", bins->inter, heads, grid);
    put_masses(t, heads, bins->mass);
    put_split(t, heads, grid->n_modalities, bins->split);
    if (layer->sink_logits != NULL && shape->n_heads > 0)
        put_sinks(t, shape->n_heads, layer->sink_logits);
    if (layer->gap != NULL)
        put_gap(t, layer->gap);
    text_put(t, "}");
}
