/*
 * scene.h - workloads: what an engine has at hand after prefill, one layer
 *
 *   W1  32 heads, 1024 tokens, the last 102 rows
 *   W2  32 heads, 2789 tokens, five images; the last 278 of rows that all exist
 *   W3  8 KV heads of 4 query heads, 16384 tokens, the last 64 rows
 *   W4  W2 with nothing but its 278 rows
 *
 * Logits are N(0, 2^2), and the lowest number of their type behind the
 * diagonal.  A tenth of the tokens is kept beside the window, a tenth of these
 * by inter-attention.
 */
#ifndef SCENE_H
#define SCENE_H

#include "bench.h"

#define N_DTYPES 3
#define HEAD_DIM 128u
#define MAX_SPANS 32

typedef enum workload { W1, W2, W3, W4 } workload;

typedef struct shape {
    const char *name;
    uint32_t n_heads, n_kv_heads;
    uint32_t n_keys;
    uint32_t n_rows;      /* the last rows, which vote */
    uint32_t stored_rows; /* all that the buffer has room for */
    csp_span spans[MAX_SPANS];
    uint32_t n_spans;
} shape;

shape shape_of(workload w, bench_size size);

/* n = 1; budget and lists as above. */
csp_config shape_config(const shape *s, csp_tier tier);
csp_tokens shape_tokens(const shape *s);

typedef struct scene {
    shape shape;
    pages pages;
    csp_tokens tokens;
    csp_attention attention[N_DTYPES];
    size_t read_size[N_DTYPES]; /* bytes that scoring reads */
    double mass;                /* what all rows give to all keys */
    csp_importance importance;
    memory logits[N_DTYPES];
    memory sums;
} scene;

const char *dtype_name(csp_dtype dtype);
size_t dtype_size(csp_dtype dtype);

/* Numbers x[0..n) become elements 'at' and so on of an array of that type. */
void store_numbers(csp_dtype dtype, const float *x, size_t n, size_t at,
                   void *to);

/* With logits of the first 'n_dtypes' types. */
scene *scene_open(const shape *s, pages kind, uint32_t n_dtypes);
void scene_close(scene *s);
void scene_zero(scene *s);

/* Ends the program unless 'importance' is what 'n_calls' scorings add up to. */
void scene_check(const scene *s, const csp_importance *importance,
                 double n_calls);

/* ---- Scoring a scene ----------------------------------------------------- */

typedef struct score_job {
    scene *scene;
    csp_dtype dtype;
    csp_config config;
    memory workspace;
    uint64_t sum; /* of the read */
} score_job;

void score_job_open(score_job *j, scene *s, csp_dtype dtype,
                    const csp_config *config);
void score_job_close(score_job *j);
void score_job_before(void *job);
void score_job_run(void *job);
void score_job_after(void *job);

/*
 * The read that scoring is paired to: each row as far as it is visible.  What
 * lies between two rows is prefetched, not read: gaps break the streams that
 * hardware prefetches.  The other does without, which may cost a third.
 */
void score_job_read(void *job);
void score_job_read_bare(void *job);

/* Enter it with the labels of its scene. */
entrant *score_job_enter(contest *c, const char *what, void (*run)(void *job),
                         score_job *j, cache_state state);

#endif
