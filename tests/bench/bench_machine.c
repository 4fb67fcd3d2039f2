/*
 * bench_machine.c - where the benchmark runs
 */
#include "bench.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef __linux__
#include <sched.h>
#endif

#ifdef BENCH_WITH_BLAS
#include <cblas.h>
#endif

#define GUESSED_CACHE_SIZE ((size_t)32 << 20)

/* The largest that the kernel lists of the first CPU; 0 if it lists none.
   (sysconf may add up those of CPUs that this machine does not have.) */
static size_t listed_cache_size(void)
{
    size_t largest = 0;

    for (unsigned i = 0; i < 8; i++) {
        char path[64];
        unsigned long kib = 0;

        snprintf(path, sizeof path,
                 "/sys/devices/system/cpu/cpu0/cache/index%u/size", i);
        FILE *file = fopen(path, "r");
        if (file == NULL)
            break;
        if (fscanf(file, "%luK", &kib) == 1 && (size_t)kib << 10 > largest)
            largest = (size_t)kib << 10;
        fclose(file);
    }
    return largest;
}

size_t machine_cache_size(void)
{
    static size_t size;

    if (size == 0)
        size = listed_cache_size();
    if (size == 0)
        size = GUESSED_CACHE_SIZE;
    return size;
}

#ifdef __linux__

void machine_pin(unsigned index)
{
    static cpu_set_t allowed; /* before the first pinning */
    static bool known;
    cpu_set_t one;

    if (!known && sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        return;
    known = true;
    CPU_ZERO(&one);
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &allowed) && index-- == 0) {
            CPU_SET(cpu, &one);
            sched_setaffinity(0, sizeof one, &one);
            return;
        }
    sched_setaffinity(0, sizeof allowed, &allowed);
}

#else

void machine_pin(unsigned index)
{
    (void)index;
}

#endif

size_t machine_tiers(csp_tier tiers[MAX_TIERS])
{
    static const csp_tier all[MAX_TIERS] = {CSP_TIER_AVX512, CSP_TIER_AVX2,
                                            CSP_TIER_NEON, CSP_TIER_SCALAR};
    size_t n = 0;

    for (size_t i = 0; i < MAX_TIERS; i++)
        if (csp_has_tier(all[i]))
            tiers[n++] = all[i];
    return n;
}

const char *tier_name(csp_tier tier)
{
    switch (tier) {
    case CSP_TIER_AUTO:
        return "auto";
    case CSP_TIER_SCALAR:
        return "scalar";
    case CSP_TIER_AVX2:
        return "avx2";
    case CSP_TIER_AVX512:
        return "avx512";
    case CSP_TIER_NEON:
        return "neon";
    }
    return "unknown";
}

/* What follows 'key' in the first line of a file that has it. */
static void print_line_of(const char *path, const char *key)
{
    char line[256];
    FILE *file = fopen(path, "r");

    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, key, strlen(key)) == 0) {
            const char *value = line + strlen(key);
            value += strspn(value, " \t:");
            printf("%.*s", (int)strcspn(value, "\n"), value);
            break;
        }
    if (file != NULL)
        fclose(file);
}

static void print_blas(void)
{
#if defined(BENCH_WITH_BLAS) && defined(OPENBLAS_VERSION)
    printf("%s, kernels of %s, %d thread(s)\n", openblas_get_config(),
           openblas_get_corename(), openblas_get_num_threads());
    if (getenv("OPENBLAS_CORETYPE") != NULL ||
        getenv("OPENBLAS_L2_SIZE") != NULL)
        printf("           OPENBLAS_CORETYPE or OPENBLAS_L2_SIZE is set: "
               "sgemm may be slow\n");
#else
    printf("%s\n", csp_has_blas() ? "yes" : "none");
#endif
}

void machine_print(void)
{
    csp_tier tiers[MAX_TIERS];
    const size_t n = machine_tiers(tiers);

    printf("CPU        ");
    print_line_of("/proc/cpuinfo", "model name");
    printf(", %ld core(s), last cache %zu MiB\n", sysconf(_SC_NPROCESSORS_ONLN),
           machine_cache_size() >> 20);
    printf("tiers     ");
    for (size_t i = 0; i < n; i++)
        printf(" %s", tier_name(tiers[i]));
    printf("\nBLAS       ");
    print_blas();
    printf("pages      %ld bytes; huge ones: ", sysconf(_SC_PAGESIZE));
    print_line_of("/sys/kernel/mm/transparent_hugepage/enabled", "");
#ifdef __VERSION__
    printf("\ncompiler   %s", __VERSION__);
#endif
    printf("\nlibcsp     %d.%d.%d\n", CSP_VERSION_MAJOR, CSP_VERSION_MINOR,
           CSP_VERSION_PATCH);
}
