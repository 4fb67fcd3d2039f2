/*
 * scores_file.h - small made-up scores for tests of what csp prune refuses
 */
#ifndef SCORES_FILE_H
#define SCORES_FILE_H

#include "program.h"

#include "elements.h"

enum { LAYERS = 3, HEADS = 4, QUERIES = 5, KEYS = 20, DIM = 6 };

/* Numbers in files are little-endian. */
static inline void write_f32(const char *path, uint32_t rank,
                             const uint32_t *shape, float *x, size_t n)
{
    if (element_is_swapped(true))
        elements_swap(x, n, sizeof *x);
    write_npy(path, "<f4", false, rank, shape, x, n * sizeof *x);
}

enum {
    N_SCORES = LAYERS * HEADS * QUERIES * KEYS,
    N_VALUES = LAYERS * HEADS * KEYS * DIM /* at most */
};

#define NO_NAN SIZE_MAX

/* Any logits [LAYERS][HEADS][QUERIES][KEYS]; number 'bad_at' is NaN, unless it
   is NO_NAN. */
static inline void make_scores(float *x, size_t bad_at)
{
    for (size_t i = 0; i < N_SCORES; i++)
        x[i] = i == bad_at ? NAN : (float)(i * 37 % 101) / 25.0f;
}

static inline void write_scores(const char *path, size_t bad_at)
{
    static const uint32_t shape[] = {LAYERS, HEADS, QUERIES, KEYS};
    static float x[N_SCORES];

    make_scores(x, bad_at);
    write_f32(path, 4, shape, x, N_SCORES);
}

/* Values [LAYERS][kv_heads][KEYS][DIM]; returns how many numbers. */
static inline size_t make_values(float *x, uint32_t kv_heads)
{
    const size_t n = (size_t)LAYERS * kv_heads * KEYS * DIM;

    assert_true(kv_heads <= HEADS);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(i * 53 % 211) / 100.0f - 1.0f;
    return n;
}

static inline void write_values(const char *path, uint32_t kv_heads)
{
    const uint32_t shape[] = {LAYERS, kv_heads, KEYS, DIM};
    static float x[N_VALUES];
    const size_t n = make_values(x, kv_heads);

    write_f32(path, 4, shape, x, n);
}

#endif /* SCORES_FILE_H */
