/*
 * numeric.c - exponential and logarithm in double
 *
 * Used once a row or a head, so plain and portable beats fast: argument
 * reduction to a short interval and a Taylor series long enough for double.
 */
#include "numeric.h"

#include <math.h>

/* LN2_HI has 32 bits, so k * LN2_HI is exact for |k| < 2^20. */
#define LN2_HI 0x1.62e42fee00000p-1
#define LN2_LO 0x1.a39ef35793c76p-33
#define INV_LN2 0x1.71547652b82fep+0

static const double inverse_factorial[] = {
    1.0,
    1.0,
    1.0 / 2.0,
    1.0 / 6.0,
    1.0 / 24.0,
    1.0 / 120.0,
    1.0 / 720.0,
    1.0 / 5040.0,
    1.0 / 40320.0,
    1.0 / 362880.0,
    1.0 / 3628800.0,
    1.0 / 39916800.0,
    1.0 / 479001600.0,
    1.0 / 6227020800.0,
    1.0 / 87178291200.0,
};

double csp__exp(double x)
{
    if (x != x)
        return x;
    if (x > 710.0)
        return (double)INFINITY;
    if (x < -746.0)
        return 0.0;

    /* x = k ln 2 + r, |r| <= 0.35; the series ends below 0.35^14 / 14! =
       5e-18. */
    double k = floor(x * INV_LN2 + 0.5);
    double r = (x - k * LN2_HI) - k * LN2_LO;
    double series = inverse_factorial[14];
    for (int i = 13; i >= 0; i--)
        series = inverse_factorial[i] + series * r;
    return ldexp(series, (int)k);
}

double csp__log(double x)
{
    if (!(x > 0.0))
        return x == 0.0 ? (double)-INFINITY : (double)NAN;
    if (x == (double)INFINITY)
        return x;

    /* x = m 2^k, m in [sqrt(1/2), sqrt(2)); ln m = 2 artanh s, |s| <= 0.172. */
    int k;
    double m = frexp(x, &k);
    if (m < 0x1.6a09e667f3bcdp-1) {
        m *= 2.0;
        k--;
    }
    double s = (m - 1.0) / (m + 1.0);
    double square = s * s;
    double series = 0.0;
    for (int i = 23; i > 1; i -= 2)
        series = square * (1.0 / (double)i + series);
    return (double)k * LN2_HI +
           (2.0 * s + (2.0 * s * series + (double)k * LN2_LO));
}
