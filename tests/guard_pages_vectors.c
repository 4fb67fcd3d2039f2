/*
 * guard_pages_vectors.c - sums, keys, products and cells on guard pages
 */
#include "guard_pages.h"

#include "bits.h"

/* ---- Floats and keys ----------------------------------------------------- */

void try_floats(const trial *t)
{
    float x[MAX_KEYS], lanes[2][16];
    fill(x, t->n);
    fill(lanes[0], 16);
    fill(lanes[1], 16);
    const float *row = floats_of(t, 0, x);

    check_result(t, t->tier->sum(row, t->n), t->scalar->sum(x, t->n));
    check_result(t, t->tier->all_finite(row, t->n), true);
    t->scalar->add_squares(x, t->n, lanes[0]);
    t->tier->add_squares(row, t->n, lanes[1]);
    n_calls++;
    assert_memory_equal(lanes[0], lanes[1], sizeof lanes[0]);
}

void try_order(const trial *t)
{
    const size_t size = t->n * sizeof *keys;
    float x[MAX_KEYS];
    uint32_t expected[MAX_KEYS];
    fill(x, t->n);
    const float *a = floats_of(t, 0, x), *b = floats_of(t, 1, x);

    for (int both = 0; both < 2; both++) {
        uint32_t *got = put_output(&out[0], &t->at, keys, size, sizeof *keys);
        t->scalar->order(x, both ? x : NULL, t->n, expected);
        t->tier->order(a, both ? b : NULL, t->n, got);
        n_calls++;
        check_output(t, 0, expected, size, sizeof *keys);
    }
}

void try_keys(const trial *t)
{
    const size_t n_words = csp__words(t->n);
    uint64_t bits[MAX_KEYS / 64 + 1] = {0}, expected[MAX_KEYS / 64 + 1];
    const uint32_t *x =
        put(&in[0], &t->at, keys, t->n * sizeof *keys, sizeof *keys);
    uint64_t *got =
        put_output(&out[0], &t->at, bits, n_words * sizeof *bits, sizeof *bits);

    check_result(t, (double)t->tier->count_at_least(x, t->n, 0x70000000u),
                 (double)t->scalar->count_at_least(keys, t->n, 0x70000000u));
    t->scalar->reach(keys, t->n, 0x70000000u, expected);
    t->tier->reach(x, t->n, 0x70000000u, got);
    n_calls++;
    check_output(t, 0, expected, n_words * sizeof *bits, sizeof *bits);
}

/* Behind those it keeps, 'out' has room that may be used. */
void try_narrow(const trial *t)
{
    const uint32_t low = 0x30000000u, high = 0xc0000000u;
    const size_t size = t->n * sizeof *keys;
    uint32_t expected[MAX_KEYS];
    const size_t n = t->scalar->narrow(keys, t->n, low, high, expected);
    const uint32_t *x = put(&in[0], &t->at, keys, size, sizeof *keys);

    for (int in_place = 0; in_place < 2; in_place++) {
        uint32_t *got = put_output(&out[0], &t->at, keys, size, sizeof *keys);
        check_result(
            t,
            (double)t->tier->narrow(in_place ? got : x, t->n, low, high, got),
            (double)n);
        if (n > 0 && memcmp(got, expected, n * sizeof *got) != 0)
            fail_trial(t, "kept other keys");
        if (!is_clean(&out[0], &t->at, size, sizeof *keys))
            fail_trial(t, "wrote beside");
    }
}

/* ---- Products and cells -------------------------------------------------- */

/* Keys and logits at strides, the last of each where memory ends. */
static void try_product(const trial *t, size_t n_rows, size_t n_keys)
{
    enum { ROWS = 7, KEYS = 9, STRIDE = MAX_LENGTH + 19 };
    static float q[ROWS * MAX_LENGTH], k[KEYS * STRIDE];
    float logits[ROWS * (KEYS + 19)], expected[COUNT(logits)];
    const place at = {t->at.at_end, t->at.offset, 0, 0};
    const size_t pad = t->at.row * t->at.pad / sizeof(float);
    const size_t stride = t->n + pad, out_stride = n_keys + pad;
    const bool empty = n_rows == 0 || n_keys == 0;
    const size_t n_k = n_keys > 0 ? (n_keys - 1) * stride + t->n : 0;
    const size_t n_out = empty ? 0 : (n_rows - 1) * out_stride + n_keys;

    fill(q, COUNT(q));
    fill(k, COUNT(k));
    fill(logits, COUNT(logits));
    memcpy(expected, logits, sizeof expected);
    const float *q_view = put(&in[0], &at, q, n_rows * t->n * 4, 4);
    const float *k_view = put(&in[1], &at, k, n_k * 4, 4);
    float *got = put_output(&out[0], &at, logits, n_out * 4, 4);
    t->scalar->product(q, n_rows, k, stride, n_keys, t->n, 0.3f, expected,
                       out_stride);
    t->tier->product(q_view, n_rows, k_view, stride, n_keys, t->n, 0.3f, got,
                     out_stride);
    n_calls++;
    trial shown = *t;
    shown.at = at;
    check_output(&shown, 0, expected, n_out * 4, 4);
}

void try_products(const trial *t)
{
    static const size_t shapes[][2] = {{1, 1}, {1, 4}, {4, 1}, {7, 9},
                                       {3, 5}, {2, 8}, {6, 3}, {5, 7},
                                       {0, 3}, {3, 0}, {4, 4}, {1, 9}};

    for (size_t i = 0; i < (all_places ? COUNT(shapes) : 5) && t->n > 0; i++)
        try_product(t, shapes[i][0], shapes[i][1]);
}

/* Cells of n bytes: from one slot to the other, and in place. */
static void try_gather(const trial *t)
{
    enum { KEPT = 7, CELLS = 13 };
    static const uint32_t rows[KEPT] = {0, 1, 4, 5, 6, 9, 12};
    static unsigned char cells[CELLS * (MAX_LENGTH + 80)];
    unsigned char expected[sizeof cells];
    const size_t stride = t->n + t->at.row * t->at.pad;
    const place at = {t->at.at_end, t->at.offset, 0, 0};
    trial shown = *t;
    shown.at = at;

    for (size_t i = 0; i < sizeof cells; i++)
        cells[i] = (unsigned char)(i * 31 + i / 256);
    for (size_t i = 0; i < 2 * (KEPT + 1); i++) {
        const size_t n = i / 2;
        const bool in_place = i % 2 != 0;
        const size_t n_cells = n == 0 ? 0 : rows[n - 1] + 1;
        const size_t all = n == 0 ? 0 : (n_cells - 1) * stride + t->n;
        const size_t kept = n == 0 ? 0 : (n - 1) * stride + t->n;
        const size_t size = in_place ? all : kept;
        unsigned char *to = put_output(&out[0], &at, cells, size, 1);
        const unsigned char *from =
            in_place ? to : put(&in[0], &at, cells, all, 1);
        memcpy(expected, cells, sizeof cells);
        for (size_t r = 0; r < n; r++)
            memcpy(expected + r * stride, cells + rows[r] * stride, t->n);
        t->tier->gather(to, stride, from, stride, t->n, rows, n);
        n_calls++;
        check_output(&shown, 0, expected, size, 1);
    }
}

void try_cells(const trial *t)
{
    if (t->n > 0)
        try_gather(t);
}
