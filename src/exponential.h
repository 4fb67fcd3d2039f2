/*
 * exponential.h - the numbers behind exp, the same in every tier
 */
#ifndef CSP_EXPONENTIAL_H
#define CSP_EXPONENTIAL_H

#include "numeric.h"

/* log2(e) as the sum of two floats. */
#define LOG2E_HI 0x1.715476p+0f
#define LOG2E_LO 0x1.4ae0bfp-26f

/* x + c - c rounds x to an integer, if c is 1.5 * 2^23 and |x| < 2^22, and the
   integer then stands in the low bits of x + c.  With 127 - shift added to c
   it is the exponent field of 2^(k - shift). */
#define ROUND(shift) (0x1.8p+23f + (float)(127 - (shift)))

/* 2^f on [-1/2, 1/2]: minimax in relative error, 2.0e-9 before rounding; 1.1
   ulp in all.  The coefficient of f^0 is 1.  Degree 5 would do for 2.05 ulp. */
#define P1 0x1.62e430p-1f
#define P2 0x1.ebfbdcp-3f
#define P3 0x1.c6aee8p-5f
#define P4 0x1.3b2d4cp-7f
#define P5 0x1.5f3e52p-10f
#define P6 0x1.41fbbcp-13f

/* Outside [LOW(shift), HIGH(shift)] the exponent field of a result would leave
   0..255: at LOW it is 0, which makes the result 0, at HIGH 255, inf. */
#define LOW(shift) ((float)(((shift)-127) * CSP__LN2))
#define HIGH(shift) ((float)(((shift) + 128) * CSP__LN2))

#endif
