/*
 * gap_density.h - densities of weights on a logarithmic scale
 *
 * A binned kernel density estimate: weights are counted in bins so fine, 1/128
 * of a decade, that the kernel cannot tell a weight from the middle of its bin,
 * and the counts are smoothed.  Any number of weights takes the same memory,
 * and their order does not matter.
 */
#ifndef CLI_GAP_DENSITY_H
#define CLI_GAP_DENSITY_H

#include <stddef.h>
#include <stdint.h>

enum {
    DENSITY_PER_DECADE = 128,
    DENSITY_DECADES = 38, /* from 1e-38, below which floats lose digits, to 1 */
    DENSITY_BINS = DENSITY_PER_DECADE * DENSITY_DECADES,
    DENSITY_MARGIN = 2 * DENSITY_PER_DECADE, /* where the kernel spills over */
    DENSITY_POINTS = DENSITY_BINS + 2 * DENSITY_MARGIN
};

/* Bandwidths in decades: four bins, so that binning does not show, and what the
   margin holds at four times the bandwidth. */
#define DENSITY_NARROWEST (4.0 / DENSITY_PER_DECADE)
#define DENSITY_WIDEST 0.5

/* One cell for each float above 0 and below 1, by exponent and 8 bits more. */
enum { DENSITY_CELLS = 0x3f800000 >> 15 };

/* Where bins begin; a cell is narrower than a bin. */
typedef struct density_scale {
    float edges[DENSITY_BINS + 1];
    uint16_t bin_of_cell[DENSITY_CELLS]; /* of the cell's smallest float */
} density_scale;

void density_scale_init(density_scale *scale);

typedef struct density_counts {
    uint64_t of_bin[DENSITY_BINS];
    uint64_t n;    /* in bins */
    uint64_t tiny; /* positive, but below 1e-38 */
} density_counts;

/* Count those of 'n' weights that are above 0; above 1 counts as 1. */
void density_add(const density_scale *scale, const float *weights, size_t n,
                 density_counts *counts);

/* log10 of the weight that point 0 .. DENSITY_POINTS - 1 stands for. */
double density_at(size_t point);

/*
 * Silverman's rule, 0.9 min(deviation, interquartile range / 1.34) n^(-1/5), in
 * decades, and within the bounds above; the narrowest for no weights.  It takes
 * weights for independent, which those of a row are not, so it errs to the
 * narrow side.
 */
double density_bandwidth(const density_counts *counts);

/*
 * Density of log10 weights at each point, smoothed by a Gaussian of this
 * bandwidth, cut at four times that; sums to 1 over points 1/128 apart.  Zeros
 * where nothing was counted.
 */
void density_curve(const density_counts *counts, double bandwidth,
                   double *curve);

/*
 * Jensen-Shannon divergence of two densities on the same points, in bits, 0 to
 * 1.  They need not be normalised; NAN if one of them is all zero.
 */
double density_divergence(const double *p, const double *q, size_t n);

/* log10 weight below which 'share' of what was counted lies, linear within a
   bin; NAN for no weights. */
double density_quantile(const density_counts *counts, double share);

#endif /* CLI_GAP_DENSITY_H */
