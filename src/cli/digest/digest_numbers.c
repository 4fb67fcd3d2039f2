/*
 * digest_numbers.c - drawing the numbers that views show
 *
 * Floats are multiples of powers of two and sums of such, each rounded once;
 * halves are these, rounded by integers.
 */
#include "digest.h"

#include "../../numeric.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <string.h>

/* ---- Layouts ------------------------------------------------------------- */

typedef enum layout {
    PACKED,      /* [head][row][col] */
    PADDED,      /* at odd addresses, with gaps of odd sizes */
    INTERLEAVED, /* [row][head][col] */
    TRANSPOSED,  /* [head][col][row] */
    REPEATED,    /* one head for all */
    N_LAYOUTS
} layout;

/* Lay out a view in 'to'; one of 'contiguous' rows in the first layouts. */
static void lay_out(random_source *random, csp_dtype dtype, uint32_t n_heads,
                    uint32_t n_rows, uint32_t n_cols, bool contiguous,
                    array *to)
{
    const layout kind =
        (layout)random_below(random, contiguous ? TRANSPOSED : N_LAYOUTS);
    const size_t size = dtype == CSP_F32 ? 4 : 2;
    csp_tensor *view = &to->view;

    *view = csp_tensor_packed(to->memory, dtype, n_heads, n_rows, n_cols);
    to->data = to->memory;
    if (kind == PADDED) {
        to->data += random_below(random, 8);
        view->row_stride += random_below(random, 12);
        view->head_stride = n_rows * view->row_stride + size;
    } else if (kind == INTERLEAVED) {
        view->head_stride = view->row_stride;
        view->row_stride *= n_heads;
    } else if (kind == TRANSPOSED) {
        view->row_stride = size;
        view->col_stride = n_rows * size;
    } else if (kind == REPEATED) {
        view->head_stride = 0;
    }
    view->data = to->data;
    assert(n_heads * n_rows * (n_cols * size + 12) + 16 + n_heads * size <=
           sizeof to->memory);
}

static void put(array *to, size_t h, size_t r, size_t c, float x)
{
    const csp_tensor *view = &to->view;
    unsigned char *at = to->data + h * view->head_stride +
                        r * view->row_stride + c * view->col_stride;

    if (view->dtype == CSP_F32) {
        memcpy(at, &x, sizeof x);
    } else {
        const uint16_t half =
            view->dtype == CSP_F16 ? csp__to_f16(x) : csp__to_bf16(x);
        memcpy(at, &half, sizeof half);
    }
}

/* A multiple of 2^-16 in [-range, range). */
static float draw(random_source *random, uint32_t range)
{
    const int64_t steps = (int64_t)random_below(random, range << 17);

    return (float)(steps - ((int64_t)range << 16)) * 0x1p-16f;
}

static void draw_all(sample *s, uint32_t range, array *to)
{
    for (uint32_t h = 0; h < to->view.n_heads; h++)
        for (uint32_t r = 0; r < to->view.n_rows; r++)
            for (uint32_t c = 0; c < to->view.n_cols; c++)
                put(to, h, r, c, draw(&s->random, range));
}

/* ---- Logits -------------------------------------------------------------- */

typedef enum style {
    PLAIN,
    TIED,    /* few values */
    STEEP,   /* most exponentials of a row underflow */
    JUMPING, /* no row's scale is good for the next */
    HUGE,    /* some numbers far beyond any exponential */
    TINY,    /* subnormal, and zeros of both signs */
    N_STYLES
} style;

/* How a case's logits are drawn. */
typedef struct recipe {
    style style;
    csp_dtype dtype;
    uint32_t masked_percent; /* of keys */
    uint32_t empty_percent;  /* of rows, all of whose keys are masked */
    uint32_t hidden;         /* first keys, masked for every row */
} recipe;

static float draw_masked(random_source *random, csp_dtype dtype)
{
    static const float masked[] = {-INFINITY, -FLT_MAX, -1e35f};

    if (dtype == CSP_F16)
        return random_chance(random, 50) ? -INFINITY : -65504.0f;
    return masked[random_below(random, LENGTH(masked))];
}

static float draw_huge(random_source *random, csp_dtype dtype)
{
    static const float huge[] = {1e5f,  -1e5f,  5.5e5f, -5.5e5f,
                                 4e20f, -4e20f, 1e38f,  -9e29f};

    if (dtype == CSP_F16)
        return random_chance(random, 50) ? 65504.0f : -65472.0f;
    return huge[random_below(random, LENGTH(huge))];
}

static float draw_logit(random_source *random, const recipe *like, float offset)
{
    switch (like->style) {
    case TIED:
        return (float)random_below(random, 8) * 0.5f - 2.0f;
    case STEEP:
        return draw(random, 150);
    case JUMPING:
        return offset + draw(random, 8);
    case HUGE:
        return random_chance(random, 10) ? draw_huge(random, like->dtype)
                                         : draw(random, 8);
    case TINY:
        return random_chance(random, 30)
                   ? (random_chance(random, 50) ? 0.0f : -0.0f)
                   : draw(random, 8) * 0x1p-130f;
    case PLAIN:
    case N_STYLES:
        break;
    }
    return draw(random, 8);
}

static void draw_row(random_source *random, const recipe *like, uint32_t h,
                     uint32_t r, array *to)
{
    static const float offsets[] = {0.0f,    40.0f,   -40.0f,  150.0f,
                                    -150.0f, 3000.0f, -3000.0f};
    const bool empty = random_chance(random, like->empty_percent);
    const float offset = offsets[random_below(random, LENGTH(offsets))];

    for (uint32_t c = 0; c < to->view.n_cols; c++) {
        const bool masked = empty || c < like->hidden ||
                            random_chance(random, like->masked_percent);
        put(to, h, r, c,
            masked ? draw_masked(random, like->dtype)
                   : draw_logit(random, like, offset));
    }
}

/* Columns beyond the keys, if the view has them, are NaN: not to be read. */
static void lay_out_scores(sample *s, csp_dtype dtype)
{
    const uint32_t extra =
        random_chance(&s->random, 20) ? random_below(&s->random, 20) : 0;

    lay_out(&s->random, dtype, s->n_heads, s->n_queries, s->n_keys + extra,
            true, &s->scores);
    for (uint32_t h = 0; h < s->n_heads; h++)
        for (uint32_t r = 0; r < s->n_queries; r++)
            for (uint32_t c = s->n_keys; c < s->n_keys + extra; c++)
                put(&s->scores, h, r, c, NAN);
    s->attention.scores = s->scores.view;
    s->scores.view.n_cols = s->n_keys;
}

static void draw_logits(sample *s)
{
    static const uint32_t percents[] = {0, 0, 5, 50, 95};
    random_source *random = &s->random;
    const recipe like = {
        .style = (style)random_below(random, N_STYLES),
        .dtype = (csp_dtype)random_below(random, 3),
        .masked_percent = percents[random_below(random, LENGTH(percents))],
        .empty_percent = random_chance(random, 30) ? 25 : 0,
        .hidden =
            random_chance(random, 15) ? random_below(random, s->n_keys) : 0};

    s->attention.source = CSP_LOGITS;
    lay_out_scores(s, like.dtype);
    for (uint32_t h = 0; h < s->n_heads; h++)
        for (uint32_t r = 0; r < s->n_queries; r++)
            draw_row(random, &like, h, r, &s->scores);
}

/* ---- Other sources ------------------------------------------------------- */

static void draw_lse(sample *s)
{
    lay_out(&s->random, CSP_F32, s->n_heads, s->n_queries, 1, false, &s->lse);
    draw_all(s, 20, &s->lse);
    if (random_chance(&s->random, 20))
        put(&s->lse, 0, random_below(&s->random, s->n_queries), 0, -INFINITY);
    s->attention.lse = s->lse.view;
    s->attention.lse_unit = (csp_lse_unit)random_below(&s->random, 2);
}

/* Numbers in [0, 1), rows of any size: probabilities enough for arithmetic. */
static void draw_probabilities(sample *s)
{
    random_source *random = &s->random;

    s->attention.source = CSP_PROBABILITIES;
    lay_out_scores(s, (csp_dtype)random_below(random, 3));
    for (uint32_t h = 0; h < s->n_heads; h++)
        for (uint32_t r = 0; r < s->n_queries; r++) {
            const float unit =
                random_chance(random, 10)
                    ? 0.0f
                    : 0x1p-20f / (float)(1u << random_below(random, 20));
            for (uint32_t c = 0; c < s->n_keys; c++)
                put(&s->scores, h, r, c,
                    (float)random_below(random, 1u << 20) * unit);
        }
    if (random_chance(random, 80))
        draw_lse(s);
}

static void draw_query_key(sample *s)
{
    static const float scales[] = {0.25f, 0.125f, 2.0f, -1.5f};
    static const float softcaps[] = {0.0f, 0.0f, 4.0f, 30.0f};
    random_source *random = &s->random;
    csp_attention *attention = &s->attention;

    attention->source = CSP_QUERY_KEY;
    lay_out(random, (csp_dtype)random_below(random, 3), s->n_heads,
            s->n_queries, s->dim, false, &s->queries);
    draw_all(s, 2, &s->queries);
    lay_out(random, (csp_dtype)random_below(random, 3), s->n_kv_heads,
            s->n_keys, s->dim, false, &s->keys);
    draw_all(s, 2, &s->keys);
    attention->queries = s->queries.view;
    attention->keys = s->keys.view;
    attention->scale = scales[random_below(random, LENGTH(scales))];
    attention->softcap = softcaps[random_below(random, LENGTH(softcaps))];
}

void draw_attention(sample *s)
{
    const uint32_t kind = random_below(&s->random, 100);

    if (kind < 65)
        draw_logits(s);
    else if (kind < 80)
        draw_probabilities(s);
    else
        draw_query_key(s);
}

void draw_values(sample *s)
{
    lay_out(&s->random, (csp_dtype)random_below(&s->random, 3), s->n_kv_heads,
            s->n_keys, s->dim, false, &s->values);
    draw_all(s, 4, &s->values);
}
