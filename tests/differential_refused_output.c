/*
 * differential_refused_output.c - compaction, n-softmax and correction with one
 * thing broken: the call says which and writes nothing
 */
#include "differential.h"

#include <math.h>

static void require_refused(diff_case *c, const char *name, csp_status status,
                            csp_status expected)
{
    require(c, status == expected, "%s: %s instead of %s", name,
            csp_status_string(status), csp_status_string(expected));
    require_intact(c, name);
}

static double draw_bad_number(diff_case *c)
{
    return random_chance(&c->random, 50) ? (double)NAN : (double)INFINITY;
}

/* ---- Compact ------------------------------------------------------------- */

enum { N_TOKENS = 12, CELL_SIZE = 6 };

static csp_cells take_cells(diff_case *c, uint32_t n_heads)
{
    const size_t head_size = N_TOKENS * CELL_SIZE;
    return (csp_cells){.data = arena_take(&c->arena, n_heads * head_size, 0),
                       .n_heads = n_heads,
                       .n_channels = 1,
                       .n_tokens = N_TOKENS,
                       .cell_size = CELL_SIZE,
                       .head_stride = head_size,
                       .token_stride = CELL_SIZE};
}

/* Arguments of csp_compact: two caches and their destinations. */
typedef struct compaction {
    csp_cells src[2];
    csp_cells dst[2];
    csp_kept kept;
    bool in_place;
} compaction;

static csp_status break_list(diff_case *c, compaction *a)
{
    uint32_t *count = &a->kept.counts[a->kept.n_lists - 1];
    uint32_t *rows = a->kept.rows + (a->kept.n_lists - 1) * a->kept.capacity;
    switch (random_below(&c->random, 4)) {
    case 0:
        rows[*count - 1] = N_TOKENS;
        return CSP_E_INDEX;
    case 1:
        rows[0] = rows[1];
        return CSP_E_INDEX;
    case 2:
        *count = a->kept.capacity + 1;
        return CSP_E_CAPACITY;
    default:
        a->kept.n_lists = 2;
        return CSP_E_SHAPE;
    }
}

static csp_status break_pages(diff_case *c, compaction *a)
{
    uint32_t *pages = arena_take(&c->arena, 3 * sizeof(*pages), 0);
    for (uint32_t i = 0; i < 3; i++)
        pages[i] = i;
    pages[random_below(&c->random, 3)] = 3;
    a->src[1].pages = pages;
    a->src[1].page_tokens = 4;
    a->src[1].n_pages = 3;
    a->src[1].page_stride = 4 * CELL_SIZE;
    a->src[1].head_stride = 3 * a->src[1].page_stride;
    return CSP_E_INDEX;
}

static csp_status break_cells(diff_case *c, compaction *a)
{
    csp_cells *broken = a->in_place ? a->src : a->dst;
    switch (random_below(&c->random, 8)) {
    case 0:
        broken[1].data = NULL;
        return CSP_E_NULL;
    case 1:
        broken[1].token_stride--;
        return CSP_E_STRIDE;
    case 2:
        broken[0].head_stride = 0;
        return CSP_E_STRIDE;
    case 3:
        cover(c, F15_SIZE_OVERFLOW);
        broken[1].head_stride = SIZE_MAX / 2;
        return CSP_E_OVERFLOW;
    case 4:
        broken[1].data = (char *)broken[0].data + CELL_SIZE;
        return CSP_E_OVERLAP;
    case 5:
        a->in_place = false;
        a->dst[1].data = a->src[0].data;
        return CSP_E_OVERLAP;
    case 6:
        a->in_place = false;
        a->dst[1].n_tokens = 1;
        return CSP_E_CAPACITY;
    default:
        a->in_place = false;
        a->dst[1].cell_size--;
        return CSP_E_SHAPE;
    }
}

static void check_refused_compact(diff_case *c)
{
    const uint32_t n_rows[3] = {N_TOKENS, N_TOKENS, N_TOKENS};
    const uint32_t n_lists = random_chance(&c->random, 50) ? 1 : 3;
    compaction a = {.kept = draw_kept(c, n_lists, n_rows, 100),
                    .in_place = random_chance(&c->random, 50)};
    for (uint32_t i = 0; i < 2; i++) {
        a.src[i] = take_cells(c, 3);
        a.dst[i] = take_cells(c, 3);
    }
    const uint32_t kind = random_below(&c->random, 10);
    const csp_status expected = kind < 2   ? break_list(c, &a)
                                : kind < 3 ? break_pages(c, &a)
                                           : break_cells(c, &a);

    arena_snapshot(&c->arena);
    const csp_status status =
        csp_compact(a.src, 2, &a.kept, a.in_place ? NULL : a.dst);
    require_refused(c, "compact", status, expected);
}

/* ---- n-softmax and correction -------------------------------------------- */

enum { N_HEADS = 2, N_ROWS = 3, N_COLS = 5, N_ELEMENTS = 30 };

static csp_tensor take_tensor(diff_case *c, uint32_t n_cols)
{
    const size_t n = (size_t)N_HEADS * N_ROWS * n_cols;
    float *data = arena_take(&c->arena, n * sizeof(*data), 0);
    for (size_t i = 0; i < n; i++)
        data[i] = (float)random_normal(&c->random);
    return csp_tensor_packed(data, CSP_F32, N_HEADS, N_ROWS, n_cols);
}

static void spoil_one(diff_case *c, const csp_tensor *tensor)
{
    cover(c, F12_NAN_REFUSED);
    tensor_put(tensor, N_HEADS - 1, random_below(&c->random, N_ROWS),
               random_below(&c->random, tensor->n_cols), draw_bad_number(c));
}

/* What is wrong with a tensor that is written, or where its result goes. */
static csp_status break_written(diff_case *c, csp_tensor *tensor, void **result)
{
    switch (random_below(&c->random, 7)) {
    case 0:
        *result = NULL;
        return CSP_E_NULL;
    case 1:
        tensor->data = NULL;
        return CSP_E_NULL;
    case 2:
        tensor->dtype = (csp_dtype)3;
        return CSP_E_DTYPE;
    case 3:
        tensor->row_stride -= 1;
        return CSP_E_STRIDE;
    case 4:
        tensor->head_stride = 0;
        return CSP_E_STRIDE;
    case 5:
        cover(c, F15_SIZE_OVERFLOW);
        tensor->head_stride = SIZE_MAX - 2;
        return CSP_E_OVERFLOW;
    default:
        *result = (char *)(uintptr_t)tensor->data + 4;
        return CSP_E_OVERLAP;
    }
}

static void check_refused_nsoftmax(diff_case *c)
{
    csp_tensor logits = take_tensor(c, N_COLS);
    float *weights = arena_take(&c->arena, N_ELEMENTS * sizeof(*weights), 0);
    const bool in_place = random_chance(&c->random, 50);
    void *result = in_place ? (void *)(uintptr_t)logits.data : weights;
    const float sinks[N_HEADS] = {-INFINITY, NAN};
    csp_status expected = CSP_E_NOT_FINITE;
    double n = 1.0;
    bool has_sinks = false;
    switch (random_below(&c->random, 4)) {
    case 0:
        spoil_one(c, &logits);
        break;
    case 1:
        has_sinks = true;
        break;
    case 2:
        n = random_chance(&c->random, 50) ? -1.0 : draw_bad_number(c);
        expected = CSP_E_CONFIG;
        break;
    default:
        expected = break_written(c, &logits, &result);
    }

    arena_snapshot(&c->arena);
    const csp_status status =
        csp_nsoftmax(&logits, n, has_sinks ? sinks : NULL, NULL, result);
    require_refused(c, "nsoftmax", status, expected);
}

/* Arguments of csp_correct. */
typedef struct correction {
    csp_tensor outputs, lse;
    csp_lse_unit unit;
    float sinks[N_HEADS];
    float residual[N_HEADS * N_COLS];
    void *corrected;
} correction;

static csp_status break_correction(diff_case *c, correction *a)
{
    switch (random_below(&c->random, 7)) {
    case 0:
        spoil_one(c, &a->lse);
        return CSP_E_NOT_FINITE;
    case 1:
        a->sinks[1] = (float)draw_bad_number(c);
        return CSP_E_NOT_FINITE;
    case 2:
        a->residual[N_HEADS * N_COLS - 1] = -INFINITY;
        return CSP_E_NOT_FINITE;
    case 3:
        a->unit = (csp_lse_unit)2;
        return CSP_E_CONFIG;
    case 4:
        a->lse.n_rows--;
        return CSP_E_SHAPE;
    case 5:
        a->lse.dtype = CSP_BF16;
        return CSP_E_DTYPE;
    default:
        return break_written(c, &a->outputs, &a->corrected);
    }
}

static void check_refused_correct(diff_case *c)
{
    correction a = {.outputs = take_tensor(c, N_COLS),
                    .lse = take_tensor(c, 1)};
    float *corrected = arena_take(&c->arena, N_ELEMENTS * sizeof(float), 0);
    a.corrected = random_chance(&c->random, 50)
                      ? (void *)(uintptr_t)a.outputs.data
                      : corrected;
    const csp_status expected = break_correction(c, &a);

    arena_snapshot(&c->arena);
    const csp_status status = csp_correct(&a.outputs, &a.lse, a.unit, a.sinks,
                                          a.residual, a.corrected);
    require_refused(c, "correct", status, expected);
}

void check_refused_output(diff_case *c)
{
    check_refused_compact(c);
    check_refused_nsoftmax(c);
    check_refused_correct(c);
}
