/*
 * gap_print.c - what csp gap found, as a table or JSON
 */
#include "gap.h"

#include "json_print.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CURVE_POINTS = 200 };

/* A weight by its logarithm, or a dash. */
static void print_weight(double log10_weight)
{
    if (isnan(log10_weight))
        printf("  %9s", "-");
    else
        printf("  %9.2e", pow(10.0, log10_weight));
}

static void print_bits(double bits)
{
    if (isnan(bits))
        printf("  %6s\n", "-");
    else
        printf("  %6.4f\n", bits);
}

outcome gap_print_table(const gap *g)
{
    printf("attention weights of %s, n = %g\n\n", g->scores, g->n);
    puts("             pairs            median weight   kernel"
         "   divergence");
    puts(
        "layer       intra       inter      intra      inter  decades    bits");
    for (uint32_t l = 0; l < g->n_layers; l++) {
        const gap_layer *layer = &g->layers[l];
        printf("%5" PRIu32 " %11" PRIu64 " %11" PRIu64, l, layer->n_intra,
               layer->n_inter);
        print_weight(layer->median_intra);
        print_weight(layer->median_inter);
        printf("  %7.3f", layer->bandwidth);
        print_bits(layer->divergence);
    }
    printf("mean %60s", "");
    print_bits(gap_mean(g));
    return flush_output();
}

/* ---- JSON ---------------------------------------------------------------- */

/* null for what is not finite. */
static void add_number(cJSON *to, const char *key, double x)
{
    cJSON_AddNumberToObject(to, key, x);
}

static void add_side(cJSON *to, const char *key, uint64_t pairs, double median)
{
    cJSON *side = cJSON_AddObjectToObject(to, key);

    add_number(side, "pairs", (double)pairs);
    add_number(side, "median_log10_weight", median);
}

/* Every so many of the points that are worth drawing, in five digits. */
static void add_curve(cJSON *to, const char *key, const double *curve,
                      size_t first, size_t last)
{
    cJSON *list = cJSON_AddArrayToObject(to, key);

    for (size_t i = 0; i < CURVE_POINTS; i++) {
        const size_t at = first + (last - first) * i / (CURVE_POINTS - 1);
        const double x = curve != NULL ? curve[at] : density_at(at);
        json_append(list, cJSON_CreateNumber(round(x * 1e5) / 1e5));
    }
}

static cJSON *layer_object(const gap_layer *layer)
{
    cJSON *o = cJSON_CreateObject();
    size_t first, last;

    add_number(o, "divergence_bits", layer->divergence);
    add_number(o, "bandwidth_decades", layer->bandwidth);
    add_number(o, "pairs_too_small", (double)layer->n_tiny);
    add_side(o, "intra", layer->n_intra, layer->median_intra);
    add_side(o, "inter", layer->n_inter, layer->median_inter);
    gap_support(layer, &first, &last);
    cJSON *density = cJSON_AddObjectToObject(o, "density");
    add_curve(density, "log10_weight", NULL, first, last);
    add_curve(density, "intra", layer->intra, first, last);
    add_curve(density, "inter", layer->inter, first, last);
    return o;
}

/* What stands in the list "layers" for a layer; false: not enough memory. */
static bool print_layer(const gap *g, uint32_t l)
{
    const gap_layer layer = gap_with_curves(g, l);
    cJSON *root = json_begin();

    json_append(cJSON_AddArrayToObject(root, "layers"), layer_object(&layer));
    char *text = json_text(root);
    if (text == NULL)
        return false;
    const char *begin = strchr(text, '[') + 1;
    printf("%s%.*s", l > 0 ? ", " : "", (int)(strrchr(text, ']') - begin),
           begin);
    free(text);
    return true;
}

/* Layer by layer: as an object, all of them can take a lot of memory. */
outcome gap_print_json(const gap *g)
{
    cJSON *root = json_begin();
    bool is_whole = true;

    json_add_name(root, "scores", g->options->scores);
    cJSON_AddStringToObject(root, "type", g->scores);
    add_number(root, "n", g->n);
    add_number(root, "mean_divergence_bits", gap_mean(g));
    cJSON_AddArrayToObject(root, "layers");
    char *text = json_text(root);
    if (text == NULL)
        return INTERNAL;
    const char *end = strrchr(text, ']');
    printf("%.*s", (int)(end - text), text);
    for (uint32_t l = 0; is_whole && l < g->n_layers; l++)
        is_whole = print_layer(g, l);
    if (is_whole)
        fputs(end, stdout);
    free(text);
    return is_whole ? flush_output() : INTERNAL;
}
