/*
 * bench_memory.c - pages of a known size, empty caches, and the paired read
 *
 * The read is the limit that scoring is measured by: eight independent sums of
 * the widest integers there are, nothing else.
 */
#include "bench.h"

#include <string.h>
#include <sys/mman.h>

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#endif

#ifndef MAP_ANONYMOUS
#define MAP_ANONYMOUS MAP_ANON
#endif

#define HUGE_PAGE ((size_t)2 << 20)
#define CACHE_LINE 64u

memory memory_take(size_t size, pages kind)
{
    memory m = {.size = (size + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE};

    m.data = mmap(NULL, m.size, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (m.data == MAP_FAILED)
        die("mmap", "out of memory");
#if defined(MADV_HUGEPAGE) && defined(MADV_NOHUGEPAGE)
    madvise(m.data, m.size,
            kind == PAGES_HUGE ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
#else
    (void)kind;
#endif
    memset(m.data, 0, size);
    return m;
}

void memory_give(memory *m)
{
    if (m->data != NULL)
        munmap(m->data, m->size);
    *m = (memory){0};
}

/* Writing drives out what is there; reading another half afterwards leaves
   lines that need not be written back on the next one's time. */
void memory_evict(void)
{
    static memory half[2];
    static int round;

    for (size_t i = 0; i < 2; i++)
        if (half[i].data == NULL)
            half[i] = memory_take(2 * machine_cache_size(), PAGES_HUGE);
    memset(half[0].data, round + 1, half[0].size);
    round += 1 + (int)(read_bytes(half[1].data, half[1].size) & 1);
}

#define N_SUMS 8u

static uint64_t read_plain(const unsigned char *data, size_t size)
{
    uint64_t sums[N_SUMS] = {0}, words[N_SUMS], sum = 0;
    size_t at = 0;

    for (; at + sizeof words <= size; at += sizeof words) {
        memcpy(words, data + at, sizeof words);
        for (size_t i = 0; i < N_SUMS; i++)
            sums[i] += words[i];
    }
    for (; at < size; at++)
        sum += data[at];
    for (size_t i = 0; i < N_SUMS; i++)
        sum += sums[i];
    return sum;
}

#if defined(__x86_64__) && defined(__GNUC__)

__attribute__((target("avx2"))) static uint64_t
read_avx2(const unsigned char *data, size_t size)
{
    __m256i sums[N_SUMS];
    uint64_t words[4];
    size_t at = 0;

    for (size_t i = 0; i < N_SUMS; i++)
        sums[i] = _mm256_setzero_si256();
    for (; at + sizeof sums <= size; at += sizeof sums)
        for (size_t i = 0; i < N_SUMS; i++)
            sums[i] = _mm256_add_epi64(
                sums[i], _mm256_loadu_si256(
                             (const __m256i *)(const void *)(data + at) + i));
    for (size_t i = 1; i < N_SUMS; i++)
        sums[0] = _mm256_add_epi64(sums[0], sums[i]);
    _mm256_storeu_si256((__m256i *)(void *)words, sums[0]);
    return words[0] + words[1] + words[2] + words[3] +
           read_plain(data + at, size - at);
}

__attribute__((target("avx512f"))) static uint64_t
read_avx512(const unsigned char *data, size_t size)
{
    __m512i sums[N_SUMS];
    size_t at = 0;

    for (size_t i = 0; i < N_SUMS; i++)
        sums[i] = _mm512_setzero_si512();
    for (; at + sizeof sums <= size; at += sizeof sums)
        for (size_t i = 0; i < N_SUMS; i++)
            sums[i] = _mm512_add_epi64(
                sums[i], _mm512_loadu_si512(data + at + i * sizeof sums[0]));
    for (size_t i = 1; i < N_SUMS; i++)
        sums[0] = _mm512_add_epi64(sums[0], sums[i]);
    return (uint64_t)_mm512_reduce_add_epi64(sums[0]) +
           read_plain(data + at, size - at);
}

uint64_t read_bytes(const void *data, size_t size)
{
    if (__builtin_cpu_supports("avx512f"))
        return read_avx512(data, size);
    if (__builtin_cpu_supports("avx2"))
        return read_avx2(data, size);
    return read_plain(data, size);
}

#else

uint64_t read_bytes(const void *data, size_t size)
{
    return read_plain(data, size);
}

#endif

void prefetch_bytes(const void *data, size_t size)
{
#ifdef __GNUC__
    for (size_t at = 0; at < size; at += CACHE_LINE)
        __builtin_prefetch((const char *)data + at);
#else
    (void)data;
    (void)size;
#endif
}
