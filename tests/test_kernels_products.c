/*
 * test_kernels_products.c - inner loops that add, convert, multiply, move
 */
#include "kernels_fixture.h"
#include "views.h"

/* ---- add_row, load, store ------------------------------------------------ */

static void check_add_row(const csp__kernels *k, csp_dtype dtype, size_t n)
{
    float x[MAX_N + 1], expected[MAX_N + 1], sums[MAX_N + 1];
    unsigned char bytes[4 * MAX_N + 4];
    for (size_t i = 0; i < n; i++) {
        float y = 0.37f * (float)(i + 1);
        uint16_t half = dtype == CSP_F16 ? csp__to_f16(y) : csp__to_bf16(y);
        if (dtype == CSP_F32)
            memcpy(bytes + 4 * i, &y, 4);
        else
            memcpy(bytes + 2 * i, &half, 2);
        sums[i] = (float)i;
    }
    guarded row = guard(bytes, n * (dtype == CSP_F32 ? 4 : 2));
    for (size_t i = 0; i < n; i++) {
        x[i] = number_at(dtype, &row, i);
        expected[i] = fmaf(0.7f, x[i], sums[i]);
    }

    const double sum = k->add_row[dtype](row.data, n, 0.7f, sums);

    assert_true(sum == sum_in_blocks(x, n));
    assert_memory_equal(sums, expected, n * sizeof(float));
    unguard(&row);
}

TEST(add_row_is_a_fused_sum)
{
    for_all(check_add_row);
}

/* Through csp__load and csp__store, which take any stride of columns. */
static csp_tensor column(csp_dtype dtype, size_t stride)
{
    return (csp_tensor){.dtype = dtype, .col_stride = stride};
}

static void check_load(const csp__kernels *k, csp_dtype dtype, size_t n)
{
    const size_t size = dtype == CSP_F32 ? 4 : 2;
    const csp_tensor packed = column(dtype, size);
    const csp_tensor every_third = column(dtype, 3 * size);
    guarded row = row_of(dtype, n, n);
    float y[MAX_N + 1];

    csp__load(k, &packed, row.data, n, y);
    for (size_t i = 0; i < n; i++)
        assert_true(bits_of_float(y[i]) ==
                    bits_of_float(number_at(dtype, &row, i)));
    csp__load(k, &every_third, row.data, (n + 2) / 3, y);
    for (size_t i = 0; i < n; i += 3)
        assert_true(bits_of_float(y[i / 3]) ==
                    bits_of_float(number_at(dtype, &row, i)));

    unguard(&row);
}

TEST(load_widens_at_any_stride)
{
    for_all(check_load);
}

static void check_store(const csp__kernels *k, csp_dtype dtype, size_t n)
{
    const size_t size = dtype == CSP_F32 ? 4 : 2;
    float y[MAX_N + 1];
    for (size_t i = 0; i < n; i++)
        y[i] = 0.1f * (float)i - 2.0f;

    for (size_t stride = size; stride <= 3 * size; stride += size) {
        const csp_tensor columns = column(dtype, stride);
        guarded out = guard(NULL, n > 0 ? (n - 1) * stride + size : 0);
        csp__store(k, &columns, y, n, out.data);
        for (size_t i = 0; i < n; i++) {
            const uint16_t half =
                dtype == CSP_F16 ? csp__to_f16(y[i]) : csp__to_bf16(y[i]);
            if (dtype == CSP_F32)
                assert_memory_equal(out.data + i * stride, &y[i], 4);
            else
                assert_memory_equal(out.data + i * stride, &half, 2);
            for (size_t b = i * stride + size;
                 i + 1 < n && b < (i + 1) * stride; b++)
                assert_int_equal(out.data[b], GUARD_BYTE);
        }
        unguard(&out);
    }
}

TEST(store_rounds_at_any_stride_and_leaves_gaps)
{
    for_all(check_store);
}

/* ---- Products, counts, gather -------------------------------------------- */

TEST(add_squares_continues_in_lanes)
{
    const csp__kernels k = kernels_of(CSP_TIER_AUTO);
    float x[40], lanes[16] = {1.0f}, expected[16] = {1.0f};
    for (size_t i = 0; i < 40; i++) {
        x[i] = 0.3f * (float)i;
        expected[i % 16] = fmaf(x[i], x[i], expected[i % 16]);
    }

    k.add_squares(x, 32, lanes);
    k.add_squares(x + 32, 8, lanes);
    k.add_squares(x, 0, lanes);

    assert_memory_equal(lanes, expected, sizeof lanes);
}

TEST(product_is_a_scaled_dot_in_lanes)
{
    const csp__kernels k = kernels_of(CSP_TIER_AUTO);
    enum { ROWS = 5, KEYS = 7, DIM = 37, STRIDE = 40, OUT = 9 };
    float q[ROWS * DIM], keys[KEYS * STRIDE], logits[ROWS * OUT];
    for (size_t i = 0; i < COUNT(q); i++)
        q[i] = sinf((float)i);
    for (size_t i = 0; i < COUNT(keys); i++)
        keys[i] = cosf((float)i);
    for (size_t i = 0; i < COUNT(logits); i++)
        logits[i] = 77.0f;
    guarded k_view = guard(keys, ((KEYS - 1) * STRIDE + DIM) * sizeof(float));

    k.product(q, ROWS, (const float *)(const void *)k_view.data, STRIDE, KEYS,
              DIM, 0.5f, logits, OUT);

    for (size_t r = 0; r < ROWS; r++)
        for (size_t j = 0; j < OUT; j++) {
            float lanes[16] = {0.0f};
            for (size_t d = 0; d < DIM && j < KEYS; d++)
                lanes[d % 16] =
                    fmaf(q[r * DIM + d], keys[j * STRIDE + d], lanes[d % 16]);
            const float expected =
                j < KEYS ? 0.5f * sum_in_lanes(lanes, 16) : 77.0f;
            assert_true(logits[r * OUT + j] == expected);
        }
    unguard(&k_view);
}

TEST(gather_moves_cells_of_every_size_and_stride)
{
    const csp__kernels k = kernels_of(CSP_TIER_AUTO);
    const uint32_t rows[] = {0, 1, 4, 5, 6, 9, 12};

    for (size_t size = 1; size <= 35; size++)
        for (size_t pad = 0; pad <= 3; pad += 3)
            for (int in_place = 0; in_place < 2; in_place++) {
                const size_t stride = size + pad;
                unsigned char cells[13 * 38];
                for (size_t i = 0; i < sizeof cells; i++)
                    cells[i] = (unsigned char)(i * 31 + i / 256);
                guarded src = guard(cells, 12 * stride + size);
                guarded dst = guard(NULL, 6 * stride + size);
                unsigned char *to = in_place ? src.data : dst.data;
                k.gather(to, stride, src.data, stride, size, rows, COUNT(rows));
                for (size_t i = 0; i < COUNT(rows); i++)
                    assert_memory_equal(to + i * stride,
                                        cells + rows[i] * stride, size);
                for (size_t i = 0; i < pad; i++)
                    assert_int_equal(to[size + i],
                                     in_place ? cells[size + i] : 0xa5);
                unguard(&dst);
                unguard(&src);
            }
}

/* Enough bytes to be moved past the caches, at every alignment. */
static void check_large_cells(const csp__kernels *k, size_t size, size_t offset,
                              bool in_place)
{
    enum { CELLS = 700, KEPT = 350 };
    uint32_t rows[KEPT];
    const size_t all = CELLS * size;
    unsigned char *bytes = malloc(all);
    assert_non_null(bytes);
    for (size_t i = 0; i < all; i++)
        bytes[i] = (unsigned char)(i * 31 + i / 256);
    for (uint32_t i = 0; i < KEPT; i++)
        rows[i] = i < 100 ? i : 2 * i;
    guarded src = guard(NULL, all + offset);
    guarded dst = guard(NULL, KEPT * size + offset);
    memcpy(src.data, bytes, all);
    unsigned char *to = in_place ? src.data : dst.data;

    k->gather(to, size, src.data, size, size, rows, KEPT);

    for (size_t i = 0; i < KEPT; i++)
        assert_memory_equal(to + i * size, bytes + rows[i] * size, size);
    if (in_place)
        assert_memory_equal(to + KEPT * size, bytes + KEPT * size,
                            (CELLS - KEPT) * size);
    unguard(&dst);
    unguard(&src);
    free(bytes);
}

TEST(gather_moves_many_large_cells)
{
    static const size_t sizes[] = {192, 256, 4096, 4160, 250};

    for (size_t t = 0; t < COUNT(tiers); t++) {
        if (!csp_has_tier(tiers[t]))
            continue;
        const csp__kernels k = kernels_of(tiers[t]);
        for (size_t i = 0; i < COUNT(sizes); i++)
            for (size_t offset = 0; offset <= 48; offset += 8) {
                check_large_cells(&k, sizes[i], offset, false);
                check_large_cells(&k, sizes[i], offset, true);
            }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(add_row_is_a_fused_sum),
        cmocka_unit_test(load_widens_at_any_stride),
        cmocka_unit_test(store_rounds_at_any_stride_and_leaves_gaps),
        cmocka_unit_test(add_squares_continues_in_lanes),
        cmocka_unit_test(product_is_a_scaled_dot_in_lanes),
        cmocka_unit_test(gather_moves_cells_of_every_size_and_stride),
        cmocka_unit_test(gather_moves_many_large_cells),
    };

    return RUN(tests);
}
