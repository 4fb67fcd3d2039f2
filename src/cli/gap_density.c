/*
 * gap_density.c - densities of weights on a logarithmic scale
 *
 * The bin of a weight comes from a table by the leading bits of the float and
 * one comparison, without a logarithm: a prompt has billions of weights.
 */
#include "gap_density.h"

#include <math.h>
#include <string.h>

static float float_of(uint32_t bits)
{
    float x;

    memcpy(&x, &bits, sizeof x);
    return x;
}

static uint32_t bits_of(float x)
{
    uint32_t bits;

    memcpy(&bits, &x, sizeof bits);
    return bits;
}

void density_scale_init(density_scale *scale)
{
    uint16_t bin = 0;

    for (int i = 0; i <= DENSITY_BINS; i++)
        scale->edges[i] =
            (float)pow(10.0, (double)i / DENSITY_PER_DECADE - DENSITY_DECADES);
    for (uint32_t cell = 0; cell < DENSITY_CELLS; cell++) {
        const float least = float_of(cell << 15);
        while (bin + 1 < DENSITY_BINS && least >= scale->edges[bin + 1])
            bin++;
        scale->bin_of_cell[cell] = bin;
    }
}

void density_add(const density_scale *scale, const float *weights, size_t n,
                 density_counts *counts)
{
    for (size_t i = 0; i < n; i++) {
        const float w = weights[i];
        uint32_t bin = DENSITY_BINS - 1;

        if (!(w > 0.0f))
            continue;
        if (w < scale->edges[0]) {
            counts->tiny++;
            continue;
        }
        if (w < 1.0f) {
            bin = scale->bin_of_cell[bits_of(w) >> 15];
            bin += bin + 1 < DENSITY_BINS && w >= scale->edges[bin + 1];
        }
        counts->of_bin[bin]++;
        counts->n++;
    }
}

double density_at(size_t point)
{
    return ((double)point - DENSITY_MARGIN + 0.5) / DENSITY_PER_DECADE -
           DENSITY_DECADES;
}

double density_quantile(const density_counts *counts, double share)
{
    const double wanted = share * (double)counts->n;
    double below = 0.0;

    if (counts->n == 0)
        return (double)NAN;
    for (size_t i = 0; i < DENSITY_BINS; i++) {
        const double here = (double)counts->of_bin[i];
        if (here > 0.0 && below + here >= wanted)
            return ((double)i + (wanted - below) / here) / DENSITY_PER_DECADE -
                   DENSITY_DECADES;
        below += here;
    }
    return 0.0; /* wanted is all, and rounding left some over */
}

static double deviation(const density_counts *counts)
{
    const double n = (double)counts->n;
    double mean = 0.0, squares = 0.0;

    for (size_t i = 0; i < DENSITY_BINS; i++)
        mean += (double)counts->of_bin[i] * density_at(i + DENSITY_MARGIN);
    mean /= n;
    for (size_t i = 0; i < DENSITY_BINS; i++) {
        const double off = density_at(i + DENSITY_MARGIN) - mean;
        squares += (double)counts->of_bin[i] * off * off;
    }
    return sqrt(squares / n);
}

double density_bandwidth(const density_counts *counts)
{
    if (counts->n == 0)
        return DENSITY_NARROWEST;
    const double middle =
        density_quantile(counts, 0.75) - density_quantile(counts, 0.25);
    double spread = deviation(counts);
    if (middle > 0.0)
        spread = fmin(spread, middle / 1.34);
    const double h = 0.9 * spread * pow((double)counts->n, -0.2);
    return fmin(fmax(h, DENSITY_NARROWEST), DENSITY_WIDEST);
}

/* taps[0..reach], symmetric: all of them sum to 1.  Returns reach. */
static size_t make_kernel(double bandwidth, double *taps)
{
    const double h = bandwidth * DENSITY_PER_DECADE; /* in bins */
    const size_t reach = (size_t)(4.0 * h);
    double sum = 0.0;

    for (size_t i = 0; i <= reach; i++) {
        const double x = (double)i / h;
        taps[i] = exp(-0.5 * x * x);
        sum += i == 0 ? taps[i] : 2.0 * taps[i];
    }
    for (size_t i = 0; i <= reach; i++)
        taps[i] /= sum;
    return reach;
}

void density_curve(const density_counts *counts, double bandwidth,
                   double *curve)
{
    double taps[DENSITY_MARGIN + 1];
    const double h = fmin(fmax(bandwidth, DENSITY_NARROWEST), DENSITY_WIDEST);
    const size_t reach = make_kernel(h, taps);

    memset(curve, 0, DENSITY_POINTS * sizeof *curve);
    if (counts->n == 0)
        return;
    for (size_t i = 0; i < DENSITY_BINS; i++) {
        const double mass = (double)counts->of_bin[i] / (double)counts->n *
                            (double)DENSITY_PER_DECADE;
        double *middle = curve + DENSITY_MARGIN + i;
        if (counts->of_bin[i] == 0)
            continue;
        *middle += mass * taps[0];
        for (size_t j = 1; j <= reach; j++) {
            middle[j] += mass * taps[j];
            middle[-(ptrdiff_t)j] += mass * taps[j];
        }
    }
}

/* One side's part of the divergence, p log2(p / middle). */
static double part(double p, double middle)
{
    return p > 0.0 ? p * log2(p / middle) : 0.0;
}

double density_divergence(const double *p, const double *q, size_t n)
{
    double sum_p = 0.0, sum_q = 0.0, bits = 0.0;

    for (size_t i = 0; i < n; i++) {
        sum_p += p[i];
        sum_q += q[i];
    }
    if (!(sum_p > 0.0) || !(sum_q > 0.0))
        return (double)NAN;
    for (size_t i = 0; i < n; i++) {
        const double a = p[i] / sum_p, b = q[i] / sum_q;
        const double middle = 0.5 * (a + b);
        bits += 0.5 * (part(a, middle) + part(b, middle));
    }
    return fmin(fmax(bits, 0.0), 1.0);
}
