/*
 * exponential.h - the numbers behind exp, the same in every tier
 *
 * x is k eighths of an octave and a fraction f of one: x 8 log2(e) = k + f.
 * Then e^x = 2^(k / 8) e^(f ln2 / 8), the first factor a table of eight and an
 * exponent, the second close enough to 1 for three terms.  A table this small
 * fits a register of every tier.
 */
#ifndef CSP_EXPONENTIAL_H
#define CSP_EXPONENTIAL_H

#include "numeric.h"

/* 8 log2(e) as the sum of two floats. */
#define EIGHTHS_HI 0x1.715476p+3f
#define EIGHTHS_LO 0x1.4ae0c0p-23f

/* x + c - c rounds x to an integer, if c is 1.5 * 2^23 and |x| < 2^22, and the
   integer then stands in the low bits of x + c.  With 8 * shift taken from c it
   is k - 8 * shift. */
#define ROUND(shift) (0x1.8p+23f - 8.0f * (float)(shift))

/* (e^(f ln2 / 8) - 1) / f on [-1/2, 1/2] as C1 + C2 f + C3 f^2: minimax in the
   relative error of e^..., 2.7e-8 before rounding; 1.4 ulp in all. */
#define C1 0x1.62e432p-4f
#define C2 0x1.ec0c3ep-9f
#define C3 0x1.c6a004p-14f

/* The bits of 2^(j / 8), less j << 20: adding k << 20, with j the low three
   bits of k, puts the other bits of k into the exponent. */
#define POWERS                                                                 \
    0x3f800000, 0x3f7b95c2, 0x3f7837f0, 0x3f75fed7, 0x3f7504f3, 0x3f75672a,    \
        0x3f7744fd, 0x3f7ac0c7

/* Outside [LOW(shift), HIGH(shift)] the exponent field of a power would leave
   0..255: at LOW it is 0, which makes the result 0, at HIGH 255, which makes it
   inf or NaN. */
#define LOW(shift) ((float)(((shift)-127) * CSP__LN2))
#define HIGH(shift) ((float)(((shift) + 128) * CSP__LN2))

#endif
