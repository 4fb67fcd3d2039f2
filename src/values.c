/*
 * values.c - norms of value rows (E12)
 */
#include <math.h>

#include "kernels.h"
#include "numeric.h"
#include "tokens.h"
#include "views.h"

/* Channels widened together: a multiple of the 16 lanes, small enough for the
   stack. */
#define CHUNK 256u

static float norm_of_row(const csp__kernels *k, const csp_tensor *values,
                         size_t g, size_t t)
{
    const unsigned char *row = csp__row_at(values, g, t);
    float lanes[16] = {0.0f};
    float chunk[CHUNK];

    for (size_t begin = 0; begin < values->n_cols; begin += CHUNK) {
        size_t n =
            values->n_cols - begin < CHUNK ? values->n_cols - begin : CHUNK;
        csp__load(k, values, row + begin * values->col_stride, n, chunk);
        k->add_squares(chunk, n, lanes);
    }
    return sqrtf(csp__fold(lanes));
}

csp_status csp_value_norms(const csp_tensor *values, const csp_tokens *tokens,
                           uint32_t capacity, float *norms)
{
    csp__kernels kernels;

    if (values == NULL || tokens == NULL)
        return CSP_E_NULL;
    csp_status status = csp__check_tokens(tokens);
    if (status != CSP_OK)
        return status;
    csp_tensor used = *values;
    if (used.n_heads != tokens->n_kv_heads || used.n_rows < tokens->n_keys)
        return CSP_E_SHAPE;
    used.n_rows = tokens->n_keys;
    status = csp__check_tensor(&used, true, false, NULL);
    if (status != CSP_OK)
        return status;
    if (capacity < tokens->n_keys)
        return CSP_E_CAPACITY;
    if ((status = csp__check_array(tokens->n_kv_heads, capacity)) != CSP_OK)
        return status;
    if (norms == NULL && tokens->n_keys > 0)
        return CSP_E_NULL;
    csp__kernels_choose(NULL, &kernels);

    /* Once to know that every norm is a number, once to write. */
    for (int write = 0; write < 2; write++)
        for (uint32_t g = 0; g < used.n_heads; g++)
            for (uint32_t t = 0; t < csp__count(tokens, g); t++) {
                float norm = norm_of_row(&kernels, &used, g, t);
                if (!csp__is_finite(norm))
                    return CSP_E_NOT_FINITE;
                if (write)
                    norms[(size_t)g * capacity + t] = norm;
            }
    return CSP_OK;
}
