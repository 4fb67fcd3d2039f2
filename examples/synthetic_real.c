/*
 * synthetic_real.c - one prompt of a trained decoder, from .npy files
 *
 * Reads what these files are: format 1.0, little-endian f4 or i4, C order.
 */
#include "synthetic.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What every .npy file starts with, up to its first count. */
static const char npy_magic[] = "\x93NUMPY\x01";
static const char npy_text[] =
    "{'descr': '<%c4', 'fortran_order': False, 'shape': (";

enum { MAX_PATH_SIZE = 1024, MAX_HEADER = 512, MAX_ELEMENTS = 1 << 24 };

static void read_counts(const char *path, const char *text, uint32_t rank,
                        uint32_t *counts)
{
    for (uint32_t i = 0; i < rank; ++i) {
        char *end;
        unsigned long count = strtoul(text, &end, 10);

        if (end == text || count == 0 || count > MAX_ELEMENTS)
            fail(path, "bad shape");
        counts[i] = (uint32_t)count;
        text = end + (i + 1 < rank ? strspn(end, ", ") : 0);
    }
    if (strncmp(text, "), }", 4) != 0)
        fail(path, "bad shape");
}

/* The header: checks magic, version, type and order, and leaves the counts. */
static void read_header(const char *path, FILE *file, char type, uint32_t rank,
                        uint32_t *counts)
{
    unsigned char start[10];
    char header[MAX_HEADER + 1] = {0};
    char expected[sizeof npy_text];

    if (fread(start, 1, sizeof start, file) != sizeof start ||
        memcmp(start, npy_magic, sizeof npy_magic) != 0)
        fail(path, "not a .npy file of version 1");
    size_t size = start[8] | (size_t)start[9] << 8;
    if (size > MAX_HEADER || fread(header, 1, size, file) != size)
        fail(path, "bad header");
    int length = snprintf(expected, sizeof expected, npy_text, type);
    if (strncmp(header, expected, (size_t)length) != 0)
        fail(path, "not little-endian numbers of four bytes in C order");
    read_counts(path, header + length, rank, counts);
}

/* [counts[0]][counts[1]]... numbers of type 'f' or 'i'. */
static void *read_npy(const char *folder, const char *name, char type,
                      uint32_t rank, uint32_t *counts)
{
    char path[MAX_PATH_SIZE];
    size_t n = 1;

    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= MAX_PATH_SIZE)
        fail(folder, "too long a name");
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        fail(path, "cannot be opened (the folder is set by --data)");
    read_header(path, file, type, rank, counts);
    for (uint32_t i = 0; i < rank; ++i) {
        n *= counts[i];
        if (n > MAX_ELEMENTS)
            fail(path, "too large");
    }
    unsigned char *bytes = take(n, 4);
    if (fread(bytes, 4, n, file) != n || fgetc(file) != EOF)
        fail(path, "not as long as its header says");
    fclose(file);
    for (size_t i = 0; i < n; ++i) {
        const unsigned char *b = bytes + 4 * i;
        uint32_t word = b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 |
                        (uint32_t)b[3] << 24;
        float real;

        memcpy(&real, &word, sizeof real);
        memcpy(bytes + 4 * i, type == 'f' ? (void *)&real : (void *)&word, 4);
    }
    return bytes;
}

static void load_spans(const char *folder, prompt *p)
{
    uint32_t counts[2];
    int32_t *rows = read_npy(folder, "prompt_spans.npy", 'i', 2, counts);

    if (counts[1] != 3)
        fail(folder, "spans are begin, end, modality");
    p->n_spans = counts[0];
    p->spans = take(p->n_spans, sizeof *p->spans);
    for (uint32_t s = 0; s < p->n_spans; ++s)
        p->spans[s] = (csp_span){.begin = (uint32_t)rows[3 * s],
                                 .end = (uint32_t)rows[3 * s + 1],
                                 .modality = (uint32_t)rows[3 * s + 2]};
    free(rows);
}

void prompt_load(const char *folder, prompt *p)
{
    uint32_t q[4], k[4], v[4], w[4];

    *p = (prompt){0};
    p->queries = read_npy(folder, "prompt_q.npy", 'f', 4, q);
    p->keys = read_npy(folder, "prompt_k.npy", 'f', 4, k);
    p->values = read_npy(folder, "prompt_v.npy", 'f', 4, v);
    p->window = read_npy(folder, "prompt_window.npy", 'f', 4, w);
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
