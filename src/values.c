/*
 * values.c - norms of value rows, or of what they differ from their mean (E12)
 */
#include <math.h>

#include "kernels.h"
#include "numeric.h"
#include "tokens.h"
#include "views.h"
#include "workspace.h"

/* Channels widened together: a multiple of the 16 lanes, small enough for the
   stack. */
#define CHUNK 256u

typedef struct scratch {
    double *sums; /* [n_cols] */
    float *means; /* [n_heads][n_cols] of the rows in use */
} scratch;

static void carve(scratch *s, uint32_t n_heads, uint32_t n_cols,
                  csp__arena *arena)
{
    s->sums = csp__arena_take(arena, 1, n_cols, sizeof(double));
    s->means = csp__arena_take(arena, n_heads, n_cols, sizeof(float));
}

static size_t measure(uint32_t n_heads, uint32_t n_cols)
{
    csp__arena arena = {0};
    scratch s;

    carve(&s, n_heads, n_cols, &arena);
    return csp__arena_size(&arena);
}

/* Channels [begin, begin + n) of a row. */
static size_t load_chunk(const csp__kernels *k, const csp_tensor *values,
                         size_t g, size_t t, size_t begin, float *chunk)
{
    const size_t left = values->n_cols - begin;
    const size_t n = left < CHUNK ? left : CHUNK;

    csp__load(k, values, csp__row_at(values, g, t) + begin * values->col_stride,
              n, chunk);
    return n;
}

/* 'mean' is taken off before; NULL: nothing is. */
static float norm_of_row(const csp__kernels *k, const csp_tensor *values,
                         const float *mean, size_t g, size_t t)
{
    float lanes[16] = {0.0f};
    float chunk[CHUNK];

    for (size_t begin = 0; begin < values->n_cols; begin += CHUNK) {
        const size_t n = load_chunk(k, values, g, t, begin, chunk);
        for (size_t i = 0; mean != NULL && i < n; i++)
            chunk[i] -= mean[begin + i];
        k->add_squares(chunk, n, lanes);
    }
    return sqrtf(csp__fold(lanes));
}

static void mean_of_rows(const csp__kernels *k, const csp_tensor *values,
                         size_t g, uint32_t n_rows, double *sums, float *mean)
{
    float chunk[CHUNK];

    for (size_t i = 0; i < values->n_cols; i++)
        sums[i] = 0.0;
    for (uint32_t t = 0; t < n_rows; t++)
        for (size_t begin = 0; begin < values->n_cols; begin += CHUNK) {
            const size_t n = load_chunk(k, values, g, t, begin, chunk);
            for (size_t i = 0; i < n; i++)
                sums[begin + i] += (double)chunk[i];
        }
    for (size_t i = 0; n_rows > 0 && i < values->n_cols; i++)
        mean[i] = (float)(sums[i] / (double)n_rows);
}

/* Check, and get the view of what is read. */
static csp_status check(const csp_tensor *values, const csp_tokens *tokens,
                        uint32_t capacity, const float *out, csp_tensor *used)
{
    if (values == NULL || tokens == NULL)
        return CSP_E_NULL;
    csp_status status = csp__check_tokens(tokens);
    if (status != CSP_OK)
        return status;
    *used = *values;
    if (used->n_heads != tokens->n_kv_heads || used->n_rows < tokens->n_keys)
        return CSP_E_SHAPE;
    used->n_rows = tokens->n_keys;
    status = csp__check_tensor(used, true, false, NULL);
    if (status != CSP_OK)
        return status;
    if (capacity < tokens->n_keys)
        return CSP_E_CAPACITY;
    if ((status = csp__check_array(tokens->n_kv_heads, capacity)) != CSP_OK)
        return status;
    return out == NULL && tokens->n_keys > 0 ? CSP_E_NULL : CSP_OK;
}

/* Once to know that every norm is a number, once to write. */
static csp_status write_norms(const csp__kernels *k, const csp_tensor *values,
                              const csp_tokens *tokens, const float *means,
                              uint32_t capacity, float *norms)
{
    for (int write = 0; write < 2; write++)
        for (uint32_t g = 0; g < values->n_heads; g++)
            for (uint32_t t = 0; t < csp__count(tokens, g); t++) {
                const float *mean =
                    means != NULL ? means + (size_t)g * values->n_cols : NULL;
                const float norm = norm_of_row(k, values, mean, g, t);
                if (!csp__is_finite(norm))
                    return CSP_E_NOT_FINITE;
                if (write)
                    norms[(size_t)g * capacity + t] = norm;
            }
    return CSP_OK;
}

csp_status csp_value_norms(const csp_tensor *values, const csp_tokens *tokens,
                           uint32_t capacity, float *norms)
{
    csp__kernels kernels;
    csp_tensor used;
    csp_status status = check(values, tokens, capacity, norms, &used);

    if (status != CSP_OK)
        return status;
    csp__kernels_choose(NULL, &kernels);
    return write_norms(&kernels, &used, tokens, NULL, capacity, norms);
}

size_t csp_value_distances_workspace_size(uint32_t n_kv_heads,
                                          uint32_t value_dim)
{
    return n_kv_heads > 0 ? measure(n_kv_heads, value_dim) : 0;
}

csp_status csp_value_distances(const csp_tensor *values,
                               const csp_tokens *tokens, void *workspace,
                               size_t workspace_size, uint32_t capacity,
                               float *distances)
{
    csp__kernels kernels;
    csp_tensor used;
    scratch s;
    csp_status status = check(values, tokens, capacity, distances, &used);

    if (status == CSP_OK)
        status = csp__check_workspace(workspace, workspace_size,
                                      measure(used.n_heads, used.n_cols));
    if (status != CSP_OK)
        return status;
    csp__kernels_choose(NULL, &kernels);
    csp__arena arena = csp__arena_over(workspace);
    carve(&s, used.n_heads, used.n_cols, &arena);
    for (uint32_t g = 0; g < used.n_heads; g++)
        mean_of_rows(&kernels, &used, g, csp__count(tokens, g), s.sums,
                     s.means + (size_t)g * used.n_cols);
    return write_norms(&kernels, &used, tokens, s.means, capacity, distances);
}
