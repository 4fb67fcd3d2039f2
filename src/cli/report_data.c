/*
 * report_data.c - a layer in as many numbers as a picture has pixels
 */
#include "report_data.h"

#include <stdlib.h>
#include <string.h>

/* Of a report's bytes, about. */
enum {
    MOST_BYTES = 1840000,  /* of data, which leaves room for the page */
    FEWEST_BYTES = 200000, /* of bins, where the heads alone are too many */
    LAYER_BYTES = 700,     /* of a layer besides its heads */
    HEAD_BYTES = 100,      /* of a head besides its bins and tokens */
    SPLIT_BYTES = 26       /* for a head's tokens of a modality */
};

enum { MOST_BINS = 512 }; /* about two pixels each */

static uint32_t count_modalities(const report_shape *shape)
{
    uint32_t n = 1;

    for (uint32_t i = 0; i < shape->n_spans; i++)
        if (shape->spans[i].modality >= n)
            n = shape->spans[i].modality + 1;
    return n;
}

static uint32_t divide_up(uint32_t a, uint32_t b)
{
    return a / b + (a % b != 0);
}

/* Bytes that a bin takes in all layers: of each head what is kept and two
   importances, and two means of two digits. */
static uint64_t bin_bytes(const report_shape *shape, uint32_t digits)
{
    return shape->n_layers *
           (shape->n_kv_heads * (1 + 2 * (uint64_t)digits) + 4);
}

report_grid report_grid_of(const report_shape *shape)
{
    report_grid grid = {.digits = 2, .n_modalities = count_modalities(shape)};
    const uint64_t head_bytes =
        HEAD_BYTES + (uint64_t)SPLIT_BYTES * grid.n_modalities;
    const uint64_t fixed =
        shape->n_layers * (LAYER_BYTES + shape->n_kv_heads * head_bytes);
    const uint64_t room =
        fixed + FEWEST_BYTES < MOST_BYTES ? MOST_BYTES - fixed : FEWEST_BYTES;
    const uint32_t most = shape->n_keys < MOST_BINS ? shape->n_keys : MOST_BINS;

    if (bin_bytes(shape, 2) * most > room)
        grid.digits = 1;
    const uint64_t bins = room / bin_bytes(shape, grid.digits);
    grid.width = divide_up(shape->n_keys, bins > most ? most
                                          : bins > 1  ? (uint32_t)bins
                                                      : 1);
    grid.n_bins = divide_up(shape->n_keys, grid.width);
    return grid;
}

outcome report_bins_create(const report_shape *shape, const report_grid *grid,
                           report_bins *bins)
{
    const size_t heads = shape->n_kv_heads;
    const size_t cells = heads * grid->n_bins;

    *bins = (report_bins){.intra = malloc(cells * sizeof(double)),
                          .inter = malloc(cells * sizeof(double)),
                          .kept = malloc(cells * sizeof(uint32_t)),
                          .mass = malloc(heads * N_MASSES * sizeof(double)),
                          .split = malloc(heads * grid->n_modalities *
                                          N_REASONS * sizeof(uint32_t)),
                          .modality = calloc(shape->n_keys, 1)};
    if (bins->intra == NULL || bins->inter == NULL || bins->kept == NULL ||
        bins->mass == NULL || bins->split == NULL || bins->modality == NULL) {
        report_bins_free(bins);
        return fail(INTERNAL, "not enough memory for a layer of the report");
    }
    for (uint32_t i = 0; i < shape->n_spans; i++) {
        const csp_span *s = &shape->spans[i];
        memset(bins->modality + s->begin, (int)s->modality, s->end - s->begin);
    }
    return DONE;
}

void report_bins_free(report_bins *bins)
{
    free(bins->intra);
    free(bins->inter);
    free(bins->kept);
    free(bins->mass);
    free(bins->split);
    free(bins->modality);
    *bins = (report_bins){0};
}

static void fill_bin(const float *x, uint32_t begin, uint32_t end, double *mean)
{
    double sum = 0.0;

    for (uint32_t t = begin; t < end; t++)
        sum += (double)x[t];
    *mean = sum / (double)(end - begin);
}

/* Importance and kept tokens of a head, bin by bin. */
static void fill_head_bins(const report_shape *shape, const report_grid *grid,
                           const float *intra, const float *inter,
                           const uint8_t *reasons, uint32_t head,
                           report_bins *bins)
{
    const size_t at = (size_t)head * grid->n_bins;

    for (uint32_t b = 0; b < grid->n_bins; b++) {
        const uint32_t begin = b * grid->width;
        const uint32_t left = shape->n_keys - begin;
        const uint32_t end = begin + (left < grid->width ? left : grid->width);
        uint32_t kept = 0;
        fill_bin(intra, begin, end, &bins->intra[at + b]);
        fill_bin(inter, begin, end, &bins->inter[at + b]);
        for (uint32_t t = begin; t < end; t++)
            kept += reasons[t] != REASON_DROPPED;
        bins->kept[at + b] = grid->width == 1 ? reasons[begin] : kept;
    }
}

static void fill_head_sums(const report_shape *shape, const report_grid *grid,
                           const float *intra, const float *inter,
                           const uint8_t *reasons, uint32_t head,
                           report_bins *bins)
{
    const size_t size = (size_t)grid->n_modalities * N_REASONS;
    double *mass = bins->mass + (size_t)head * N_MASSES;
    uint32_t *split = bins->split + head * size;

    memset(mass, 0, N_MASSES * sizeof *mass);
    memset(split, 0, size * sizeof *split);
    for (uint32_t t = 0; t < shape->n_keys; t++) {
        const double a = (double)intra[t], b = (double)inter[t];
        const uint8_t why = reasons[t] < N_REASONS ? reasons[t] : REASON_KEPT;
        mass[MASS_INTRA] += a;
        mass[MASS_INTER] += b;
        if (why != REASON_DROPPED) {
            mass[MASS_INTRA_KEPT] += a;
            mass[MASS_INTER_KEPT] += b;
        }
        split[(size_t)bins->modality[t] * N_REASONS + why]++;
    }
}

void report_bins_fill(const report_shape *shape, const report_grid *grid,
                      const report_layer *layer, report_bins *bins)
{
    const csp_importance *m = layer->importance;

    for (uint32_t g = 0; g < shape->n_kv_heads; g++) {
        const float *intra = m->intra + (size_t)g * m->capacity;
        const float *inter = m->inter + (size_t)g * m->capacity;
        const uint8_t *reasons =
            layer->reasons +
            (size_t)(layer->n_lists == 1 ? 0 : g) * shape->n_keys;
        fill_head_bins(shape, grid, intra, inter, reasons, g, bins);
        fill_head_sums(shape, grid, intra, inter, reasons, g, bins);
    }
}
