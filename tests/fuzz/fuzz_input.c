/*
 * fuzz_input.c - draws, numbers and tensors
 */
#include "fuzz_input.h"

#include "oracle.h"

#include <math.h>
#include <string.h>

fuzz_input fuzz_open(const uint8_t *data, size_t size, uint32_t legal)
{
    fuzz_input in = {.bytes = data, .size = size};
    const uint32_t first = fuzz_byte(&in);

    in.broken = first < legal ? 0 : first - legal + 1;
    in.noise.state = fuzz_byte(&in);
    return in;
}

uint8_t fuzz_byte(fuzz_input *in)
{
    return in->at < in->size ? in->bytes[in->at++] : 0;
}

uint32_t fuzz_word(fuzz_input *in)
{
    uint32_t word = 0;

    for (int i = 0; i < 4; i++)
        word = word << 8 | fuzz_byte(in);
    return word;
}

uint32_t fuzz_below(fuzz_input *in, uint32_t n)
{
    uint32_t drawn = fuzz_byte(in);

    if (n > 256)
        drawn = drawn << 8 | fuzz_byte(in);
    return drawn % n;
}

uint32_t fuzz_between(fuzz_input *in, uint32_t low, uint32_t high)
{
    return low + fuzz_below(in, high - low + 1);
}

bool fuzz_chance(fuzz_input *in, uint32_t of_256)
{
    return fuzz_byte(in) >= 256 - of_256;
}

uint32_t fuzz_count(fuzz_input *in, uint32_t low, uint32_t high)
{
    const uint32_t most = fuzz_chance(in, 32) ? high : low + (high - low) / 4;

    return fuzz_between(in, low, most);
}

/* ---- Numbers ------------------------------------------------------------- */

enum { NOISE, TIES, ZEROS, EXTREMES, BITS, N_KINDS };

fuzz_style fuzz_draw_style(fuzz_input *in, fuzz_numbers range)
{
    static const double scales[] = {1.0, 0.01, 10.0, 1e4, 1e-30, 1e30};
    static const double offsets[] = {0.0, 0.0, -12.0, 90.0, -1e4, 1e20};
    fuzz_style style = {.range = range, .scale = 1.0};

    style.kind = fuzz_below(in, N_KINDS);
    if (range != FUZZ_SMALL && range != FUZZ_SHARES) {
        style.scale = scales[fuzz_below(in, 6)];
        style.offset = offsets[fuzz_below(in, 6)];
    }
    return style;
}

/* One of the numbers that kernels go wrong on. */
static double extreme(fuzz_input *in)
{
    static const double numbers[] = {0.0,
                                     -0.0,
                                     1.0,
                                     -1.0,
                                     0x1p-126,
                                     -0x1p-127,
                                     0x1.fffffep127,
                                     -0x1.fffffep127,
                                     65504.0,
                                     -65504.0,
                                     -1e30,
                                     88.8,
                                     -88.8,
                                     1e-45,
                                     -(double)INFINITY,
                                     (double)INFINITY,
                                     (double)NAN};
    const uint32_t n = sizeof numbers / sizeof numbers[0];

    return numbers[fuzz_below(in, n)];
}

static double bits_as_float(fuzz_input *in)
{
    const uint32_t bits = (uint32_t)random_bits(&in->noise);
    float x;

    memcpy(&x, &bits, sizeof x);
    return (double)x;
}

static double any_number(fuzz_input *in, const fuzz_style *style)
{
    switch (style->kind) {
    case TIES:
        return (double)random_below(&in->noise, 3) * style->scale;
    case ZEROS:
        return random_chance(&in->noise, 90) ? 0.0 : style->scale;
    case EXTREMES:
        return random_chance(&in->noise, 85) ? random_normal(&in->noise)
                                             : extreme(in);
    case BITS:
        return bits_as_float(in);
    default:
        return style->offset + style->scale * random_normal(&in->noise);
    }
}

double fuzz_number(fuzz_input *in, const fuzz_style *style)
{
    double x = any_number(in, style);

    if (style->range == FUZZ_ANY)
        return x;
    if (!(fabs(x) <= 1e37))
        x = 1.0;
    if (style->range == FUZZ_SMALL)
        return fmod(x, 4.0);
    if (style->range == FUZZ_SHARES)
        return fabs(fmod(x, 1.0));
    return style->range == FUZZ_POSITIVE ? fabs(x) : x;
}

float *fuzz_floats(fuzz_input *in, size_t count, fuzz_role role,
                   fuzz_numbers numbers)
{
    const fuzz_style style = fuzz_draw_style(in, numbers);
    float *x = fuzz_take(count * sizeof *x, 0, role);

    for (size_t i = 0; i < count; i++)
        x[i] = (float)fuzz_number(in, &style);
    return x;
}

/* ---- Tensors ------------------------------------------------------------- */

csp_dtype fuzz_dtype(fuzz_input *in)
{
    return (csp_dtype)fuzz_below(in, 3);
}

void *fuzz_element(const csp_tensor *t, uint32_t head, uint32_t row,
                   uint32_t col)
{
    unsigned char *data = (unsigned char *)(uintptr_t)t->data;

    return data + head * t->head_stride + row * t->row_stride +
           col * t->col_stride;
}

double fuzz_get(const csp_tensor *t, uint32_t head, uint32_t row, uint32_t col)
{
    return oracle_decode(fuzz_element(t, head, row, col), t->dtype);
}

/* Strides of nested dimensions, innermost first; returns the extent. */
static size_t draw_strides(fuzz_input *in, size_t element, fuzz_layout layout,
                           const uint32_t *counts, size_t *strides)
{
    static const uint8_t orders[][3] = {{2, 1, 0}, {2, 0, 1}, {1, 2, 0},
                                        {1, 0, 2}, {0, 1, 2}, {0, 2, 1}};
    const uint8_t *order = orders[fuzz_below(in, layout == FUZZ_ROWS ? 2 : 6)];
    const uint32_t gaps = fuzz_chance(in, 80) ? fuzz_below(in, 9) + 1 : 1;
    const bool repeats = layout != FUZZ_WRITTEN && fuzz_chance(in, 16);
    const bool junk = fuzz_chance(in, 48);
    size_t extent = element;

    for (uint32_t i = 0; i < 3; i++) {
        const uint32_t dim = order[i];
        strides[dim] = extent;
        if (layout != FUZZ_ROWS || dim != 2) {
            strides[dim] += random_below(&in->noise, gaps);
            if (repeats && random_chance(&in->noise, 50))
                strides[dim] = 0;
        }
        if (counts[dim] > 1)
            extent += strides[dim] * (counts[dim] - 1);
        else if (junk) /* is not looked at */
            strides[dim] = (size_t)random_bits(&in->noise);
    }
    return counts[0] == 0 || counts[1] == 0 || counts[2] == 0 ? 0 : extent;
}

csp_tensor fuzz_tensor(fuzz_input *in, csp_dtype dtype, const uint32_t *counts,
                       fuzz_layout layout, fuzz_role role, fuzz_numbers numbers)
{
    const fuzz_style style = fuzz_draw_style(in, numbers);
    size_t strides[3];
    const size_t extent =
        draw_strides(in, oracle_element_size(dtype), layout, counts, strides);
    csp_tensor t = {.data = fuzz_take(extent, fuzz_below(in, 8), role),
                    .dtype = dtype,
                    .n_heads = counts[0],
                    .n_rows = counts[1],
                    .n_cols = counts[2],
                    .head_stride = strides[0],
                    .row_stride = strides[1],
                    .col_stride = strides[2]};

    for (uint32_t h = 0; h < counts[0]; h++)
        for (uint32_t r = 0; r < counts[1]; r++)
            for (uint32_t c = 0; c < counts[2]; c++)
                oracle_encode(fuzz_number(in, &style), dtype,
                              fuzz_element(&t, h, r, c));
    return t;
}

bool fuzz_break_tensor(fuzz_input *in, csp_tensor *t)
{
    const bool empty = t->n_heads == 0 || t->n_rows == 0 || t->n_cols == 0;

    switch (fuzz_below(in, 8)) {
    case 0:
        t->data = NULL;
        return !empty;
    case 1:
        t->dtype = (csp_dtype)(3 + fuzz_byte(in));
        return true;
    case 2: /* products beyond the address space */
        t->row_stride = SIZE_MAX - fuzz_byte(in);
        return !empty && t->n_rows > 2;
    case 3:
        t->head_stride = SIZE_MAX / 2 + fuzz_byte(in);
        return !empty && t->n_heads > 2;
    case 4:
        t->n_heads = 0;
        return true;
    case 5: /* views within the one that was drawn */
        t->n_cols = fuzz_below(in, t->n_cols + 1);
        return false;
    case 6:
        t->n_rows = fuzz_below(in, t->n_rows + 1);
        return false;
    default:
        t->col_stride = fuzz_below(in, 2);
        return false;
    }
}

void *fuzz_workspace(fuzz_input *in, size_t size)
{
    return fuzz_take(size, fuzz_below(in, 16), FUZZ_SCRATCH);
}
