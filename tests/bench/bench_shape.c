/*
 * bench_shape.c - shapes and settings of W1 to W4
 */
#include "scene.h"

/* As published; the prompt of 2789 tokens cuts the last one short. */
static const uint32_t five_images[] = {112, 717, 1313, 1916, 2513};
static const uint32_t two_images[] = {35, 700};
/* Three images in a row, 128 tokens of text, and so on. */
static const uint32_t many_images[] = {
    64,    640,   1216,  1920,  2496,  3072,  3776,  4352, 4928,
    5632,  6208,  6784,  7488,  8064,  8640,  9344,  9920, 10496,
    11200, 11776, 12352, 13056, 13632, 14208, 14912, 15488};

typedef struct full_shape {
    const char *name;
    uint32_t n_heads, n_kv_heads, n_keys, n_rows;
    const uint32_t *images; /* where they begin */
    uint32_t n_images, image_size;
} full_shape;

static const full_shape full_shapes[] = {
    [W1] = {"W1", 32, 32, 1024, 102, two_images, 2, 256},
    [W2] = {"W2", 32, 32, 2789, 278, five_images, 5, 576},
    [W3] = {"W3", 32, 8, 16384, 64, many_images, 26, 576},
    [W4] = {"W4", 32, 32, 2789, 278, five_images, 5, 576}};

/* Images that begin inside the prompt, each to its end or the prompt's. */
static void set_spans(shape *s, const full_shape *full)
{
    for (uint32_t i = 0; i < full->n_images; i++) {
        const uint32_t begin = full->images[i];
        const uint32_t end = begin + full->image_size;
        if (begin >= s->n_keys)
            return;
        s->spans[s->n_spans++] =
            (csp_span){begin, end < s->n_keys ? end : s->n_keys, 1};
    }
}

shape shape_of(workload w, bench_size size)
{
    const full_shape *full = &full_shapes[w];
    shape s = {.name = full->name,
               .n_heads = full->n_heads,
               .n_kv_heads = full->n_kv_heads,
               .n_keys = full->n_keys,
               .n_rows = full->n_rows};

    if (size != SIZE_FULL) {
        const uint32_t group = s.n_heads / s.n_kv_heads;
        s.n_kv_heads = 2;
        s.n_heads = s.n_kv_heads * group;
    }
    if (size == SIZE_TINY) {
        s.n_keys /= w == W3 ? 16 : 4;
        s.n_rows /= 4;
    }
    s.stored_rows = w == W2 ? s.n_keys : s.n_rows;
    set_spans(&s, full);
    return s;
}

csp_config shape_config(const shape *s, csp_tier tier)
{
    const uint32_t n_listed = s->n_keys / 10;
    csp_config config;

    check(csp_config_init(&config), "csp_config_init");
    config.compute.tier = tier;
    config.recent = s->n_rows;
    config.budget = n_listed + s->n_rows;
    config.n_inter = n_listed / 10;
    config.n_intra = n_listed - n_listed / 10 - 1;
    return config;
}

csp_tokens shape_tokens(const shape *s)
{
    return (csp_tokens){.n_kv_heads = s->n_kv_heads,
                        .n_keys = s->n_keys,
                        .spans = s->spans,
                        .n_spans = s->n_spans};
}
