/*
 * test_correct.c - attention outputs corrected for dropped tokens (E9, E10)
 */
#include "test.h"

#include "numeric.h"

enum { HEADS = 2, QUERIES = 3, DIM = 5, N = HEADS * QUERIES * DIM };

typedef struct fixture {
    float numbers[N];
    float lse_numbers[HEADS * QUERIES];
    float sinks[HEADS];
    float residual[HEADS * DIM];
    csp_tensor outputs;
    csp_tensor lse;
    csp_lse_unit unit;
    float corrected[N];
} fixture;

static void set_up(fixture *f)
{
    memset(f, 0, sizeof *f);
    for (size_t i = 0; i < N; i++)
        f->numbers[i] = sinf((float)i);
    for (size_t i = 0; i < HEADS * QUERIES; i++)
        f->lse_numbers[i] = 0.5f * (float)i - 1.0f;
    f->sinks[0] = 0.3f;
    f->sinks[1] = -2.0f;
    for (size_t i = 0; i < HEADS * DIM; i++)
        f->residual[i] = cosf((float)i);
    f->outputs = csp_tensor_packed(f->numbers, CSP_F32, HEADS, QUERIES, DIM);
    f->lse = csp_tensor_packed(f->lse_numbers, CSP_F32, HEADS, QUERIES, 1);
}

static csp_status correct(fixture *f, void *corrected)
{
    return csp_correct(&f->outputs, &f->lse, f->unit, f->sinks, f->residual,
                       corrected);
}

static double share_of(const fixture *f, size_t row)
{
    double lse = (double)f->lse_numbers[row];

    if (f->unit == CSP_LSE_BASE2)
        lse *= log(2.0);
    return 1.0 / (1.0 + exp((double)f->sinks[row / QUERIES] - lse));
}

/* The blend of E10 in double. */
static void assert_corrected(const fixture *f, const float *got,
                             bool with_residual)
{
    for (size_t i = 0; i < N; i++) {
        const double mean =
            with_residual
                ? (double)f->residual[i / (QUERIES * DIM) * DIM + i % DIM]
                : 0;
        const double expected =
            mean + share_of(f, i / DIM) * ((double)f->numbers[i] - mean);
        assert_true(fabs((double)got[i] - expected) < 3e-7);
    }
}

TEST(correct_blends_output_and_residual)
{
    fixture f;
    set_up(&f);

    assert_ok(correct(&f, f.corrected));

    assert_corrected(&f, f.corrected, true);
}

TEST(correct_takes_base_two)
{
    fixture f;
    set_up(&f);
    f.unit = CSP_LSE_BASE2;

    assert_ok(correct(&f, f.corrected));

    assert_corrected(&f, f.corrected, true);
}

TEST(correct_without_residual_scales)
{
    fixture f;
    set_up(&f);

    assert_ok(
        csp_correct(&f.outputs, &f.lse, f.unit, f.sinks, NULL, f.corrected));

    assert_corrected(&f, f.corrected, false);
}

TEST(correct_works_in_place)
{
    fixture f, expected;
    set_up(&f);
    set_up(&expected);

    assert_ok(correct(&expected, expected.corrected));
    assert_ok(correct(&f, f.numbers));

    assert_memory_equal(f.numbers, expected.corrected, sizeof f.numbers);
}

TEST(correct_without_dropped_mass_changes_nothing)
{
    fixture f;
    set_up(&f);
    f.sinks[0] = f.sinks[1] = -INFINITY;
    f.lse_numbers[0] =
        -INFINITY; /* nothing kept was seen, nothing was dropped */
    f.numbers[1] = -0.0f;
    f.numbers[2] = 0x1p-149f;

    assert_ok(correct(&f, f.corrected));

    assert_memory_equal(f.corrected, f.numbers, sizeof f.numbers);
}

TEST(correct_without_dropped_mass_leaves_every_half_alone)
{
    static uint16_t halves[65536], corrected[65536];
    const float lse = 0.0f, sink = -INFINITY;
    const csp_tensor lse_view = csp_tensor_packed(&lse, CSP_F32, 1, 1, 1);
    for (size_t i = 0; i < 65536; i++)
        halves[i] = (uint16_t)i;

    for (int dtype = CSP_F16; dtype <= CSP_BF16; dtype++) {
        const csp_tensor outputs =
            csp_tensor_packed(halves, (csp_dtype)dtype, 1, 1, 65536);
        assert_ok(csp_correct(&outputs, &lse_view, CSP_LSE_NATURAL, &sink, NULL,
                              corrected));
        assert_memory_equal(corrected, halves, sizeof halves);
    }
}

TEST(correct_of_rows_that_kept_nothing_is_the_residual)
{
    fixture f;
    set_up(&f);
    for (size_t i = 0; i < HEADS * QUERIES; i++)
        f.lse_numbers[i] = -INFINITY;

    assert_ok(correct(&f, f.corrected));

    for (size_t i = 0; i < N; i++)
        assert_near(f.corrected[i],
                    f.residual[i / (QUERIES * DIM) * DIM + i % DIM], 0.0);
}

TEST(correct_of_rows_that_kept_nothing_looks_at_no_output)
{
    fixture f;
    set_up(&f);
    f.lse_numbers[1] = -INFINITY;
    for (size_t i = 0; i < DIM; i++)
        f.numbers[DIM + i] = NAN;

    assert_ok(correct(&f, f.corrected));

    for (size_t i = 0; i < DIM; i++)
        assert_true(f.corrected[DIM + i] == f.residual[i]);
}

TEST(correct_refuses_a_result_over_its_lse)
{
    fixture f;
    set_up(&f);

    assert_status(correct(&f, f.lse_numbers), CSP_E_OVERLAP);
}

TEST(correct_takes_sinks_of_any_size)
{
    fixture f;
    set_up(&f);
    f.sinks[0] = 3e38f;
    f.sinks[1] = -3e38f;

    assert_ok(correct(&f, f.corrected));

    assert_corrected(&f, f.corrected, true);
}

TEST(correct_rounds_halves_once)
{
    uint16_t halves[N], corrected[N];
    fixture f;
    set_up(&f);
    for (size_t i = 0; i < N; i++) {
        halves[i] = csp__to_f16(f.numbers[i]);
        f.numbers[i] = csp__from_f16(halves[i]);
    }
    f.outputs = csp_tensor_packed(halves, CSP_F16, HEADS, QUERIES, DIM);

    assert_ok(correct(&f, corrected));
    f.outputs = csp_tensor_packed(f.numbers, CSP_F32, HEADS, QUERIES, DIM);
    assert_ok(correct(&f, f.corrected));

    for (size_t i = 0; i < N; i++)
        assert_int_equal(corrected[i], csp__to_f16(f.corrected[i]));
}

TEST(correct_keeps_the_layout_and_what_lies_between)
{
    float spread[N * 2];
    fixture f;
    set_up(&f);
    for (size_t i = 0; i < N;
         i++) { /* [query][head][channel], every second float */
        const size_t h = i / (QUERIES * DIM), r = i / DIM % QUERIES,
                     d = i % DIM;
        spread[2 * ((r * HEADS + h) * DIM + d)] = f.numbers[i];
    }
    f.outputs = (csp_tensor){spread, CSP_F32, HEADS, QUERIES, DIM, 40, 80, 8};
    guarded out = guard(NULL, sizeof spread - sizeof(float));

    assert_ok(correct(&f, out.data));

    for (size_t i = 0; i < N; i++) {
        const size_t h = i / (QUERIES * DIM), r = i / DIM % QUERIES,
                     d = i % DIM;
        const size_t at = 8 * ((r * HEADS + h) * DIM + d);
        memcpy(&f.corrected[i], out.data + at, 4);
        for (size_t b = at + 4; b < at + 8 && b < out.size; b++)
            assert_int_equal(out.data[b], GUARD_BYTE);
    }
    assert_corrected(&f, f.corrected, true);
    unguard(&out);
}

TEST(correct_takes_rows_longer_than_a_chunk)
{
    enum { LONG = 600 };
    float numbers[LONG], residual[LONG];
    const float lse = 0.0f, sink = 0.0f;
    for (size_t i = 0; i < LONG; i++) {
        numbers[i] = (float)i;
        residual[i] = -(float)(3 * i);
    }
    const csp_tensor outputs = csp_tensor_packed(numbers, CSP_F32, 1, 1, LONG);
    const csp_tensor lse_view = csp_tensor_packed(&lse, CSP_F32, 1, 1, 1);

    assert_ok(csp_correct(&outputs, &lse_view, CSP_LSE_NATURAL, &sink, residual,
                          numbers));

    for (size_t i = 0; i < LONG; i++)
        assert_near(numbers[i], -(double)i, 0.0);
}

TEST(correct_of_nothing_is_nothing)
{
    fixture f;
    set_up(&f);
    f.outputs = csp_tensor_packed(NULL, CSP_F32, HEADS, QUERIES, 0);

    assert_ok(csp_correct(&f.outputs, &f.lse, f.unit, NULL, NULL, NULL));
    f.outputs = csp_tensor_packed(NULL, CSP_F32, 0, QUERIES, DIM);
    f.lse = csp_tensor_packed(NULL, CSP_F32, 0, QUERIES, 1);
    assert_ok(csp_correct(&f.outputs, &f.lse, f.unit, NULL, NULL, NULL));
}

/* ---- Errors -------------------------------------------------------------- */

/* In place, so that the outputs are what must not change. */
static void refuse(fixture *f, csp_status status)
{
    const fixture before = *f;

    assert_status(correct(f, f->numbers), status);

    assert_memory_equal(f, &before, sizeof before);
}

TEST(correct_refuses_null)
{
    fixture f;
    set_up(&f);
    assert_status(
        csp_correct(NULL, &f.lse, f.unit, f.sinks, f.residual, f.corrected),
        CSP_E_NULL);
    assert_status(
        csp_correct(&f.outputs, NULL, f.unit, f.sinks, f.residual, f.corrected),
        CSP_E_NULL);
    assert_status(
        csp_correct(&f.outputs, &f.lse, f.unit, NULL, f.residual, f.corrected),
        CSP_E_NULL);
    assert_status(correct(&f, NULL), CSP_E_NULL);
    f.lse.data = NULL;
    refuse(&f, CSP_E_NULL);
    set_up(&f);
    f.outputs.data = NULL;
    refuse(&f, CSP_E_NULL);
}

TEST(correct_refuses_bad_views)
{
    fixture f;
    set_up(&f);
    f.lse.n_rows--;
    refuse(&f, CSP_E_SHAPE);
    set_up(&f);
    f.lse.n_heads--;
    refuse(&f, CSP_E_SHAPE);
    set_up(&f);
    f.lse.n_cols = 2;
    refuse(&f, CSP_E_SHAPE);
    set_up(&f);
    f.lse.dtype = CSP_F16;
    refuse(&f, CSP_E_DTYPE);
    set_up(&f);
    f.outputs.dtype = (csp_dtype)3;
    refuse(&f, CSP_E_DTYPE);
    set_up(&f);
    f.outputs.row_stride = 0; /* outputs must be distinct */
    refuse(&f, CSP_E_STRIDE);
    set_up(&f);
    f.outputs.head_stride = SIZE_MAX;
    refuse(&f, CSP_E_OVERFLOW);
}

TEST(correct_refuses_unknown_unit)
{
    fixture f;
    set_up(&f);

    f.unit = (csp_lse_unit)2;

    refuse(&f, CSP_E_CONFIG);
}

TEST(correct_refuses_a_result_shifted_over_its_input)
{
    fixture f;
    set_up(&f);
    const fixture before = f;
    f.outputs.n_heads = f.lse.n_heads = 1;

    assert_status(correct(&f, f.numbers + 1), CSP_E_OVERLAP);
    assert_status(correct(&f, f.numbers + QUERIES * DIM - 1), CSP_E_OVERLAP);
    assert_memory_equal(f.numbers, before.numbers, sizeof f.numbers);
    assert_ok(correct(&f, f.numbers + QUERIES * DIM));
}

TEST(correct_refuses_numbers_that_are_none)
{
    const float wrong[] = {NAN, INFINITY};
    fixture f;

    for (size_t i = 0; i < COUNT(wrong); i++) {
        set_up(&f);
        f.lse_numbers[HEADS * QUERIES - 1] = wrong[i];
        refuse(&f, CSP_E_NOT_FINITE);
        set_up(&f);
        f.sinks[1] = wrong[i];
        refuse(&f, CSP_E_NOT_FINITE);
        set_up(&f);
        f.residual[HEADS * DIM - 1] = wrong[i];
        refuse(&f, CSP_E_NOT_FINITE);
    }
    set_up(&f);
    f.residual[0] = -INFINITY;
    refuse(&f, CSP_E_NOT_FINITE);
    f.sinks[0] = -INFINITY; /* of a head that dropped nothing, too */
    refuse(&f, CSP_E_NOT_FINITE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(correct_blends_output_and_residual),
        cmocka_unit_test(correct_takes_base_two),
        cmocka_unit_test(correct_without_residual_scales),
        cmocka_unit_test(correct_works_in_place),
        cmocka_unit_test(correct_without_dropped_mass_changes_nothing),
        cmocka_unit_test(correct_without_dropped_mass_leaves_every_half_alone),
        cmocka_unit_test(correct_of_rows_that_kept_nothing_is_the_residual),
        cmocka_unit_test(correct_of_rows_that_kept_nothing_looks_at_no_output),
        cmocka_unit_test(correct_refuses_a_result_over_its_lse),
        cmocka_unit_test(correct_takes_sinks_of_any_size),
        cmocka_unit_test(correct_rounds_halves_once),
        cmocka_unit_test(correct_keeps_the_layout_and_what_lies_between),
        cmocka_unit_test(correct_takes_rows_longer_than_a_chunk),
        cmocka_unit_test(correct_of_nothing_is_nothing),
        cmocka_unit_test(correct_refuses_null),
        cmocka_unit_test(correct_refuses_bad_views),
        cmocka_unit_test(correct_refuses_unknown_unit),
        cmocka_unit_test(correct_refuses_a_result_shifted_over_its_input),
        cmocka_unit_test(correct_refuses_numbers_that_are_none),
    };

    return RUN(tests);
}
