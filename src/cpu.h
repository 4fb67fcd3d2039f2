/*
 * cpu.h - what this CPU can do
 */
#ifndef CSP_CPU_H
#define CSP_CPU_H

/* Bits of csp__cpu(). */
enum {
    CSP__CPU_AVX2 = 1,   /* with FMA and F16C */
    CSP__CPU_AVX512 = 2, /* F, BW, VL, DQ */
    CSP__CPU_NEON = 4,
    CSP__CPU_KNOWN = 8 /* set once the others are */
};

/* Features of this CPU that its operating system lets programs use. */
unsigned csp__cpu(void);

#endif
