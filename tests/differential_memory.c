/*
 * differential_memory.c - memory between guards, and tensors with strides at
 * random
 */
#include "differential.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* More than the largest case takes. */
#define ARENA_SIZE ((size_t)8 << 20)

#define GUARD_SIZE 64
#define GUARD_BYTE 0xC5
#define NAN_BYTE 0xFF

bool arena_init(guarded_memory *arena)
{
    arena->memory = malloc(ARENA_SIZE);
    arena->before = malloc(ARENA_SIZE);
    arena->used = 0;
    return arena->memory != NULL && arena->before != NULL;
}

void arena_reset(guarded_memory *arena)
{
    arena->used = 0;
}

void *arena_take(guarded_memory *arena, size_t size, size_t offset)
{
    const size_t begin = (arena->used + GUARD_SIZE + 7) / 8 * 8 + offset;
    const size_t end = begin + size + GUARD_SIZE;
    assert(end <= ARENA_SIZE);
    memset(arena->memory + arena->used, GUARD_BYTE, end - arena->used);
    memset(arena->before + arena->used, GUARD_BYTE, end - arena->used);
    arena->used = end;
    return arena->memory + begin;
}

void arena_snapshot(guarded_memory *arena)
{
    memcpy(arena->before, arena->memory, arena->used);
}

void arena_accept(guarded_memory *arena, const void *data, size_t size)
{
    if (size > 0)
        memcpy(arena->before + ((const unsigned char *)data - arena->memory),
               data, size);
}

bool arena_intact(const guarded_memory *arena)
{
    return memcmp(arena->before, arena->memory, arena->used) == 0;
}

void *take_plain(diff_case *c, size_t count, size_t size)
{
    void *data = arena_take(&c->plain, count * size, 0);
    memset(data, 0, count * size);
    return data;
}

void *take_workspace(diff_case *c, size_t size)
{
    const size_t offset = random_below(&c->random, 8);
    unsigned char *workspace = arena_take(&c->arena, size, offset);
    memset(workspace, NAN_BYTE, size);
    arena_accept(&c->arena, workspace, size);
    return workspace;
}

/* ---- Tensors ------------------------------------------------------------- */

csp_dtype draw_dtype(diff_case *c)
{
    static const csp_dtype dtypes[] = {CSP_F32, CSP_F32, CSP_F16, CSP_BF16};
    const csp_dtype drawn = dtypes[random_below(&c->random, 4)];
    const csp_dtype dtype =
        c->forced_dtype < 0 ? drawn : (csp_dtype)c->forced_dtype;

    c->tally->dtypes[dtype]++;
    return dtype;
}

/* The order of dimensions from the innermost: 0 heads, 1 rows, 2 columns. */
static void draw_order(diff_case *c, bool contiguous_rows, uint32_t *order)
{
    order[0] = 2;
    order[1] = 1;
    order[2] = 0;
    const uint32_t first = contiguous_rows ? 1 : 0;
    for (uint32_t i = first; i < 2 && random_chance(&c->random, 50); i++) {
        const uint32_t j = random_between(&c->random, i, 2);
        const uint32_t swapped = order[i];
        order[i] = order[j];
        order[j] = swapped;
    }
}

/* Strides that keep elements apart, gaps of any size between; returns the
   extent. */
static size_t draw_strides(diff_case *c, size_t element_size,
                           const uint32_t *counts, tensor_kind kind,
                           size_t *strides)
{
    const bool contiguous = kind == TENSOR_ROWS || kind == TENSOR_OUTPUT_ROWS;
    const bool may_repeat = kind == TENSOR_ROWS || kind == TENSOR_INPUT;
    const bool gaps = random_chance(&c->random, 40);
    uint32_t order[3];
    size_t extent = element_size;

    draw_order(c, contiguous, order);
    for (uint32_t i = 0; i < 3; i++) {
        const uint32_t dim = order[i];
        const bool fixed = contiguous && dim == 2;
        strides[dim] = extent;
        if (gaps && !fixed)
            strides[dim] += random_below(&c->random, 10);
        if (may_repeat && !fixed && random_chance(&c->random, 2))
            strides[dim] = 0;
        if (counts[dim] > 1)
            extent += strides[dim] * (counts[dim] - 1);
    }
    for (uint32_t i = 0; i < 3; i++) {
        if (counts[i] == 1 && random_chance(&c->random, 30))
            strides[i] = (size_t)random_bits(&c->random);
    }
    if (gaps)
        cover(c, F16_STRIDES);
    return counts[0] == 0 || counts[1] == 0 || counts[2] == 0 ? 0 : extent;
}

csp_tensor draw_tensor(diff_case *c, csp_dtype dtype, uint32_t n_heads,
                       uint32_t n_rows, uint32_t n_cols, tensor_kind kind)
{
    const uint32_t counts[3] = {n_heads, n_rows, n_cols};
    size_t strides[3];
    const size_t extent =
        draw_strides(c, oracle_element_size(dtype), counts, kind, strides);
    const bool aligned = random_chance(&c->random, 70);
    void *data = arena_take(&c->arena, extent,
                            aligned ? 0 : random_below(&c->random, 8));
    memset(data, NAN_BYTE, extent);
    if (extent == 0 && random_chance(&c->random, 50))
        data = NULL;
    if (!aligned)
        cover(c, F16_STRIDES);
    return (csp_tensor){.data = data,
                        .dtype = dtype,
                        .n_heads = n_heads,
                        .n_rows = n_rows,
                        .n_cols = n_cols,
                        .head_stride = strides[0],
                        .row_stride = strides[1],
                        .col_stride = strides[2]};
}

size_t tensor_offset(const csp_tensor *tensor, uint32_t h, uint32_t r,
                     uint32_t col)
{
    return h * tensor->head_stride + r * tensor->row_stride +
           col * tensor->col_stride;
}

size_t tensor_extent(const csp_tensor *tensor)
{
    if (tensor->n_heads == 0 || tensor->n_rows == 0 || tensor->n_cols == 0)
        return 0;
    return tensor_offset(tensor, tensor->n_heads - 1, tensor->n_rows - 1,
                         tensor->n_cols - 1) +
           oracle_element_size(tensor->dtype);
}

void tensor_put(const csp_tensor *tensor, uint32_t h, uint32_t r, uint32_t col,
                double value)
{
    unsigned char *data = (unsigned char *)(uintptr_t)tensor->data;
    oracle_encode(value, tensor->dtype,
                  data + tensor_offset(tensor, h, r, col));
}

double tensor_get(const csp_tensor *tensor, uint32_t h, uint32_t r,
                  uint32_t col)
{
    const unsigned char *data = tensor->data;
    return oracle_decode(data + tensor_offset(tensor, h, r, col),
                         tensor->dtype);
}

bool is_near(double actual, double expected, double relative, double absolute)
{
    if (isinf(expected) || isinf(actual))
        return actual == expected;
    return fabs(actual - expected) <= relative * fabs(expected) + absolute;
}
