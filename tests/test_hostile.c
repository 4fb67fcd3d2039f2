/*
 * test_hostile.c - one argument of one call at its worst
 *
 * Every function, and each thing that it is given in turn: a NULL pointer, a
 * number that is none, a value no enum has, strides and counts at the ends of
 * their types.  A call returns, reads and writes only what it may, which
 * sanitizers see, and with any status but CSP_OK nothing has changed.  What C
 * cannot check is left out: counts of more memory than there is.
 */
#include "hostile.h"

#include <float.h>

/* ---- What is made worst -------------------------------------------------- */

typedef enum kind {
    POINTER,
    COUNT_BELOW,
    SETTING,
    STRIDE,
    ENUM,
    FLOAT,
    DOUBLE
} kind;

typedef struct field {
    const char *name;
    size_t offset;
    kind kind;
} field;

#define FIELD(member, kind)                                                    \
    {                                                                          \
#member, offsetof(arguments, member), kind                             \
    }

#define TENSOR(t)                                                              \
    FIELD(t.data, POINTER), FIELD(t.dtype, ENUM),                              \
        FIELD(t.n_heads, COUNT_BELOW), FIELD(t.n_rows, COUNT_BELOW),           \
        FIELD(t.n_cols, COUNT_BELOW), FIELD(t.head_stride, STRIDE),            \
        FIELD(t.row_stride, STRIDE), FIELD(t.col_stride, STRIDE)

#define CELLS(c)                                                               \
    FIELD(c.data, POINTER), FIELD(c.n_heads, COUNT_BELOW),                     \
        FIELD(c.n_channels, COUNT_BELOW), FIELD(c.n_tokens, COUNT_BELOW),      \
        FIELD(c.cell_size, STRIDE), FIELD(c.head_stride, STRIDE),              \
        FIELD(c.token_stride, STRIDE), FIELD(c.page_tokens, SETTING)

/* clang-format off */
static const field fields[] = {
    FIELD(attention.source, ENUM), FIELD(attention.mask, ENUM),
    FIELD(attention.first_query, SETTING), FIELD(attention.lse_unit, ENUM),
    FIELD(attention.scale, FLOAT), FIELD(attention.softcap, FLOAT),
    TENSOR(attention.scores), TENSOR(attention.lse), TENSOR(attention.queries),
    TENSOR(attention.keys), TENSOR(values), TENSOR(outputs), TENSOR(queries),
    TENSOR(lse), CELLS(src[0]), CELLS(src[1]), CELLS(dst[0]), CELLS(dst[1]),
    FIELD(tokens.n_kv_heads, COUNT_BELOW), FIELD(tokens.n_keys, SETTING),
    FIELD(tokens.counts, POINTER), FIELD(tokens.spans, POINTER),
    FIELD(tokens.n_spans, COUNT_BELOW), FIELD(tokens.n_tokens, SETTING),
    FIELD(tokens.positions, POINTER), FIELD(tokens.capacity, COUNT_BELOW),
    FIELD(config.struct_size, STRIDE), FIELD(config.compute.tier, ENUM),
    FIELD(config.compute.product, ENUM),
    FIELD(config.compute.column_sums, ENUM), FIELD(config.n, DOUBLE),
    FIELD(config.first_vote, SETTING), FIELD(config.reduce, ENUM),
    FIELD(config.pooling, ENUM), FIELD(config.pool_width, SETTING),
    FIELD(config.selection, ENUM), FIELD(config.scope, ENUM),
    FIELD(config.budget, SETTING), FIELD(config.sinks, SETTING),
    FIELD(config.recent, SETTING), FIELD(config.n_intra, SETTING),
    FIELD(config.n_inter, SETTING), FIELD(config.block, SETTING),
    FIELD(config.head_floor, DOUBLE), FIELD(config.span_quota, SETTING),
    FIELD(config.layer_spread, ENUM), FIELD(config.layer_slope, DOUBLE),
    FIELD(config.layer_threshold, DOUBLE), FIELD(config.decay, DOUBLE),
    FIELD(importance.intra, POINTER), FIELD(importance.inter, POINTER),
    FIELD(importance.intra_rows, POINTER),
    FIELD(importance.inter_rows, POINTER),
    FIELD(importance.value_norm, POINTER),
    FIELD(importance.capacity, COUNT_BELOW), FIELD(kept.rows, POINTER),
    FIELD(kept.counts, POINTER), FIELD(kept.n_lists, COUNT_BELOW),
    FIELD(kept.capacity, COUNT_BELOW), FIELD(chosen.rows, POINTER),
    FIELD(chosen.counts, POINTER), FIELD(chosen.n_both, POINTER),
    FIELD(chosen.n_lists, SETTING), FIELD(chosen.capacity, COUNT_BELOW),
    FIELD(chosen.reasons, POINTER), FIELD(sums.log_mass, POINTER),
    FIELD(sums.rows, POINTER), FIELD(sums.value, POINTER),
    FIELD(sums.n_heads, COUNT_BELOW), FIELD(sums.value_dim, COUNT_BELOW),
    FIELD(moments.count, POINTER), FIELD(moments.key, POINTER),
    FIELD(moments.value, POINTER), FIELD(moments.key_key, POINTER),
    FIELD(moments.key_value, POINTER), FIELD(moments.n_kv_heads, SETTING),
    FIELD(moments.key_dim, SETTING), FIELD(moments.value_dim, SETTING),
    FIELD(summary.keys, POINTER), FIELD(summary.values, POINTER),
    FIELD(summary.log_count, POINTER), FIELD(summary.variance, POINTER),
    FIELD(summary.dtype, ENUM), FIELD(summary.n_kv_heads, SETTING),
    FIELD(summary.key_dim, SETTING), FIELD(summary.value_dim, COUNT_BELOW),
    FIELD(summary.rank, COUNT_BELOW), FIELD(fit.offset, POINTER),
    FIELD(fit.slope, POINTER), FIELD(fit.limit, POINTER),
    FIELD(compute.tier, ENUM), FIELD(compute.product, ENUM),
    FIELD(compute.column_sums, ENUM), FIELD(allocator.allocate, POINTER),
    FIELD(allocator.deallocate, POINTER), FIELD(parallel.run, POINTER),
    FIELD(scale, FLOAT), FIELD(unit, ENUM), FIELD(preset, ENUM),
    FIELD(n, DOUBLE), FIELD(ratio, DOUBLE), FIELD(bias, DOUBLE),
    FIELD(n_kept, SETTING), FIELD(block, SETTING), FIELD(room, COUNT_BELOW),
    FIELD(layer, SETTING), FIELD(workspace, POINTER),
    FIELD(workspace_size, STRIDE), FIELD(corrected, POINTER),
    FIELD(weights, POINTER), FIELD(mask, POINTER), FIELD(fit_sums, POINTER),
    FIELD(n_out, POINTER),
};
/* clang-format on */

static const uint32_t small[] = {0, 1, 2};
static const uint32_t counts[] = {
    0, 1, 2, 3, 1u << 16, 1u << 31, 1u << 30, UINT32_MAX - 1, UINT32_MAX};
/* The last half are negative, were they signed. */
static const size_t strides[] = {0,
                                 1,
                                 3,
                                 PTRDIFF_MAX - 7,
                                 PTRDIFF_MAX,
                                 (size_t)PTRDIFF_MAX + 1,
                                 SIZE_MAX - 31,
                                 SIZE_MAX};
static const int enums[] = {INT32_MIN, -1, 1, 2, 3, 4, 5, 7, 99, INT32_MAX};
static const double numbers[] = {
    (double)NAN, (double)INFINITY, -(double)INFINITY, -1.0, -0.0, 0.0,
    5e-324,      1e-310,           1.0000000001,      3e38, -3e38};

static size_t n_worst(kind of)
{
    switch (of) {
    case POINTER:
        return 1;
    case COUNT_BELOW:
        return COUNT(small);
    case SETTING:
        return COUNT(counts);
    case STRIDE:
        return COUNT(strides);
    case ENUM:
        return COUNT(enums);
    case FLOAT:
    case DOUBLE:
        return COUNT(numbers);
    }
    return 0;
}

static void make_worst(arguments *a, const field *f, size_t i)
{
    unsigned char *at = (unsigned char *)a + f->offset;
    void *const null = NULL;
    const float number = (float)numbers[i % COUNT(numbers)];

    switch (f->kind) {
    case POINTER:
        memcpy(at, &null, sizeof null);
        break;
    case COUNT_BELOW:
        memcpy(at, &small[i], sizeof small[i]);
        break;
    case SETTING:
        memcpy(at, &counts[i], sizeof counts[i]);
        break;
    case STRIDE:
        memcpy(at, &strides[i], sizeof strides[i]);
        break;
    case ENUM:
        memcpy(at, &enums[i], sizeof enums[i]);
        break;
    case FLOAT:
        memcpy(at, &number, sizeof number);
        break;
    case DOUBLE:
        memcpy(at, &numbers[i], sizeof numbers[i]);
        break;
    }
}

/* ---- Calls --------------------------------------------------------------- */

static scene now, before;

/* Whether the call was refused. */
static bool call_once(const verb *v, const field *f, size_t i)
{
    set_scene(&now);
    make_worst(&now.a, f, i);
    before = now;

    const csp_status status = v->call(&now);

    if (memcmp(&now.in, &before.in, sizeof now.in) != 0)
        fail_msg("%s wrote to its input: %s, value %zu", v->name, f->name, i);
    if (status == CSP_OK)
        return false;
    if (v->leaves_importance && status == CSP_E_NOT_FINITE)
        memcpy(now.out.importance, before.out.importance,
               sizeof now.out.importance);
    if (memcmp(&now.out, &before.out, sizeof now.out) != 0)
        fail_msg("%s failed and wrote: %s, value %zu", v->name, f->name, i);
    return true;
}

TEST(every_function_takes_the_scene)
{
    for (size_t v = 0; v < n_verbs; v++) {
        set_scene(&now);
        if (verbs[v].call(&now) != CSP_OK)
            fail_msg("%s refused it", verbs[v].name);
    }
}

TEST(every_function_survives_every_argument_at_its_worst)
{
    size_t n_refused = 0, n_taken = 0;

    for (size_t v = 0; v < n_verbs; v++)
        for (size_t f = 0; f < COUNT(fields); f++)
            for (size_t i = 0; i < n_worst(fields[f].kind); i++)
                if (call_once(&verbs[v], &fields[f], i))
                    n_refused++;
                else
                    n_taken++;

    /* Most arguments are not those of the function. */
    assert_true(n_refused > 2000);
    assert_true(n_taken > n_refused);
    print_message("%zu calls refused, %zu taken\n", n_refused, n_taken);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_function_takes_the_scene),
        cmocka_unit_test(every_function_survives_every_argument_at_its_worst),
    };

    return RUN(tests);
}
