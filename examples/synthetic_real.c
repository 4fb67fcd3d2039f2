/*
 * synthetic_real.c - one prompt of a trained decoder, from .npy files
 */
#include "synthetic.h"

#include "npy.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_PATH_SIZE = 1024 };

/* [counts[0]][counts[1]]... numbers of a type. */
static void *read_array(const char *folder, const char *name, const char *type,
                        uint32_t rank, uint32_t *counts)
{
    char path[MAX_PATH_SIZE];
    npy_array array;

    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= MAX_PATH_SIZE)
        fail(folder, "too long a name");
    if (!npy_read(path, type, &array) || array.rank != rank)
        fail(path, "not there (--data sets the folder), or not the numbers "
                   "expected");
    memcpy(counts, array.shape, rank * sizeof *counts);
    return array.data;
}

static void load_spans(const char *folder, prompt *p)
{
    uint32_t counts[2];
    int32_t *rows = read_array(folder, "prompt_spans.npy", "<i4", 2, counts);

    if (counts[1] != 3)
        fail(folder, "spans are begin, end, modality");
    p->n_spans = counts[0];
    p->spans = take(p->n_spans, sizeof *p->spans);
    for (size_t s = 0; s < p->n_spans; ++s)
        p->spans[s] = (csp_span){.begin = (uint32_t)rows[3 * s],
                                 .end = (uint32_t)rows[3 * s + 1],
                                 .modality = (uint32_t)rows[3 * s + 2]};
    free(rows);
}

void prompt_load(const char *folder, prompt *p)
{
    uint32_t q[4], k[4], v[4], w[4];

    *p = (prompt){0};
    p->queries = read_array(folder, "prompt_q.npy", "<f4", 4, q);
    p->keys = read_array(folder, "prompt_k.npy", "<f4", 4, k);
    p->values = read_array(folder, "prompt_v.npy", "<f4", 4, v);
    p->window = read_array(folder, "prompt_window.npy", "<f4", 4, w);
    if (k[0] != q[0] || k[2] != q[2] || k[3] != q[3] || q[1] % k[1] != 0 ||
        memcmp(k, v, sizeof k) != 0 || w[0] != q[0] || w[1] != q[1] ||
        w[3] >= q[2] || w[2] > w[3])
        fail(folder, "the files do not belong together");
    p->n_layers = q[0];
    p->n_heads = q[1];
    p->n_kv_heads = k[1];
    p->head_dim = q[3];
    p->n_tokens = q[2];
    p->n_context = w[3];
    p->n_window = w[2];
    p->scale = (float)(1.0 / sqrt(p->head_dim));
    load_spans(folder, p);
}
