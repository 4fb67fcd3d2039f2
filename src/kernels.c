/*
 * kernels.c - choose the kernels: scalar, then the tier, then BLAS
 *
 * The one place that knows which tiers there are.
 */
#include "kernels.h"

#include "config.h"
#include "cpu.h"

#if defined(__x86_64__) && defined(__GNUC__)
#define X86_TIERS
#elif defined(__aarch64__) && defined(__GNUC__)
#define NEON_TIER
#endif

_Static_assert((int)CSP__F32 == CSP_F32 && (int)CSP__F16 == CSP_F16 &&
                   (int)CSP__BF16 == CSP_BF16,
               "tables by type are indexed by csp_dtype");

bool csp_has_blas(void)
{
#ifdef CSP_WITH_BLAS
    return true;
#else
    return false;
#endif
}

bool csp_has_tier(csp_tier tier)
{
    switch (tier) {
    case CSP_TIER_AUTO:
    case CSP_TIER_SCALAR:
        return true;
    case CSP_TIER_AVX2:
        return (csp__cpu() & CSP__CPU_AVX2) != 0;
    case CSP_TIER_AVX512:
        return (csp__cpu() & CSP__CPU_AVX512) != 0;
    case CSP_TIER_NEON:
        return (csp__cpu() & CSP__CPU_NEON) != 0;
    }
    return false;
}

static csp_tier best_tier(void)
{
    static const csp_tier tiers[] = {CSP_TIER_AVX512, CSP_TIER_AVX2,
                                     CSP_TIER_NEON};

    for (size_t i = 0; i < sizeof tiers / sizeof tiers[0]; i++)
        if (csp_has_tier(tiers[i]))
            return tiers[i];
    return CSP_TIER_SCALAR;
}

/* A tier that this CPU has. */
static void overlay_tier(csp_tier tier, csp__kernels *kernels)
{
    csp__kernels_scalar(kernels);
#if defined(X86_TIERS)
    if (tier != CSP_TIER_SCALAR)
        csp__kernels_stream(kernels);
    if (tier == CSP_TIER_AVX2)
        csp__kernels_avx2(kernels);
    if (tier == CSP_TIER_AVX512)
        csp__kernels_avx512(kernels);
#elif defined(NEON_TIER)
    if (tier == CSP_TIER_NEON)
        csp__kernels_neon(kernels);
#else
    (void)tier;
#endif
}

static bool path_is_known(csp_path path)
{
    return path == CSP_PATH_AUTO || path == CSP_PATH_KERNEL ||
           path == CSP_PATH_BLAS;
}

csp_status csp__check_compute(const csp_compute *compute)
{
    if (compute == NULL)
        return CSP_OK;
    if (!path_is_known(compute->product) ||
        !path_is_known(compute->column_sums))
        return CSP_E_CONFIG;
    if (!csp_has_tier(compute->tier))
        return CSP_E_UNSUPPORTED;
    if (!csp_has_blas() && (compute->product == CSP_PATH_BLAS ||
                            compute->column_sums == CSP_PATH_BLAS))
        return CSP_E_UNSUPPORTED;
    return CSP_OK;
}

void csp__kernels_choose(const csp_compute *compute, csp__kernels *kernels)
{
    static const csp_compute automatic = {CSP_TIER_AUTO, CSP_PATH_AUTO,
                                          CSP_PATH_AUTO};

    if (compute == NULL)
        compute = &automatic;
    overlay_tier(compute->tier != CSP_TIER_AUTO ? compute->tier : best_tier(),
                 kernels);
#ifdef CSP_WITH_BLAS
    if (compute->product == CSP_PATH_BLAS)
        csp__kernels_blas_product(kernels);
    if (compute->column_sums == CSP_PATH_BLAS)
        csp__kernels_blas_column_sums(kernels);
#endif
}
