/*
 * cpu.c - what this CPU can do
 *
 * Asked once and kept in one atomic word, the library's only state: whoever
 * comes first writes what everybody else would.
 */
#include "cpu.h"

#include <stdatomic.h>

#if defined(__x86_64__) && defined(__GNUC__)
#include <cpuid.h>
#endif

#if defined(__x86_64__) && defined(__GNUC__)

/* The builtin for this one is younger than some compilers. */
static int has_f16c(void)
{
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
}

static unsigned ask(void)
{
    unsigned features = CSP__CPU_KNOWN;

    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
        has_f16c())
        features |= CSP__CPU_AVX2;
    if ((features & CSP__CPU_AVX2) != 0 && __builtin_cpu_supports("avx512f") &&
        __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq"))
        features |= CSP__CPU_AVX512;
    return features;
}

#elif defined(__aarch64__)

static unsigned ask(void)
{
    return CSP__CPU_KNOWN | CSP__CPU_NEON; /* every such CPU has it */
}

#else

static unsigned ask(void)
{
    return CSP__CPU_KNOWN;
}

#endif

unsigned csp__cpu(void)
{
    static atomic_uint cpu_features;
    unsigned features =
        atomic_load_explicit(&cpu_features, memory_order_relaxed);

    if (features == 0) {
        features = ask();
        atomic_store_explicit(&cpu_features, features, memory_order_relaxed);
    }
    return features;
}
