/*
 * moments.c - sums over dropped tokens (E11)
 *
 * Dropped tokens are gathered in blocks, channel by channel, less the block's
 * means; then the sums of products are dot products of channels, which is what
 * the kernel of logits does.  Blocks are added up in double, where moving the
 * origin back costs no digits that count.
 */
#include <math.h>
#include <string.h>

#include "config.h"
#include "dropped.h"
#include "kernels.h"
#include "moments.h"
#include "numeric.h"
#include "tokens.h"
#include "views.h"
#include "workspace.h"

/* Tokens of a block: a sum of so many products in lanes is good to 2^-19. */
#define BLOCK CSP__BLOCK

/* Products of so large numbers can still be added up in float. */
#define LARGEST 0x1p58f

typedef struct scratch {
    float *block;    /* [key_dim + value_dim][tokens] */
    float *products; /* [key_dim][key_dim + value_dim] */
    double *sums;    /* [key_dim + value_dim] of a block */
    float *origin;   /* [key_dim + value_dim] its means */
    float *row;      /* [key_dim + value_dim] one token */
} scratch;

static void carve(scratch *s, uint32_t key_dim, uint32_t value_dim,
                  csp__arena *arena)
{
    const size_t dim = (size_t)key_dim + value_dim;

    s->block = csp__arena_take(arena, dim, BLOCK, sizeof(float));
    s->products = csp__arena_take(arena, key_dim, dim, sizeof(float));
    s->sums = csp__arena_take(arena, 1, dim, sizeof(double));
    s->origin = csp__arena_take(arena, 1, dim, sizeof(float));
    s->row = csp__arena_take(arena, 1, dim, sizeof(float));
}

/* ---- Blocks -------------------------------------------------------------- */

typedef struct job {
    const csp__kernels *kernels;
    csp_tensor keys, values;
    const csp_tokens *tokens;
    const csp_kept *kept;
    const csp_moments *moments;
    scratch scratch;
} job;

/* Key and value of a token, one behind the other. */
static void load_token(const job *j, uint32_t g, uint32_t row)
{
    csp__load(j->kernels, &j->keys, csp__row_at(&j->keys, g, row),
              j->keys.n_cols, j->scratch.row);
    csp__load(j->kernels, &j->values, csp__row_at(&j->values, g, row),
              j->values.n_cols, j->scratch.row + j->keys.n_cols);
}

/* Every number that is going to be added is a good one. */
static bool all_good(const job *j)
{
    const size_t dim = (size_t)j->keys.n_cols + j->values.n_cols;
    uint32_t row;

    for (uint32_t g = 0; g < j->tokens->n_kv_heads; g++) {
        csp__dropped d = csp__dropped_rows(j->tokens, j->kept, g);
        while (csp__next_dropped(&d, &row)) {
            load_token(j, g, row);
            for (size_t i = 0; i < dim; i++)
                if (!(fabsf(j->scratch.row[i]) <= LARGEST))
                    return false;
        }
    }
    return true;
}

/* Gather the next block, transposed: returns how many tokens it has, channels
   that many floats apart. */
static uint32_t gather(const job *j, uint32_t g, csp__dropped *d)
{
    const scratch *s = &j->scratch;
    const size_t dim = (size_t)j->keys.n_cols + j->values.n_cols;
    uint32_t n = 0, row;

    memset(s->sums, 0, dim * sizeof *s->sums);
    while (n < BLOCK && csp__next_dropped(d, &row)) {
        load_token(j, g, row);
        for (size_t i = 0; i < dim; i++) {
            s->block[i * BLOCK + n] = s->row[i];
            s->sums[i] += (double)s->row[i];
        }
        n++;
    }
    for (size_t i = 0; i < dim && n > 0; i++) {
        s->origin[i] = (float)(s->sums[i] / n);
        for (uint32_t t = 0; t < n; t++) /* moves nothing not yet moved */
            s->block[i * n + t] = s->block[i * BLOCK + t] - s->origin[i];
    }
    return n;
}

/*
 * Add a row of products: sum (x - c)(y - b) = product, so with dx = sum (x - c)
 * and dy = sum (y - b)
 *
 *   sum x y = product + c dy + b dx + n c b.
 */
static void add_products(const scratch *s, const float *products, double c,
                         double dx, size_t first, size_t dim, double n,
                         double *to)
{
    for (size_t i = 0; i < dim; i++) {
        const double b = (double)s->origin[first + i];
        const double dy = s->sums[first + i] - n * b;
        to[i] += (double)products[first + i] + (c * dy + b * dx + n * c * b);
    }
}

static void add_block(const job *j, uint32_t g, uint32_t n)
{
    const scratch *s = &j->scratch;
    const csp_moments *m = j->moments;
    const size_t key_dim = m->key_dim, value_dim = m->value_dim;
    const size_t dim = key_dim + value_dim;
    double *key = m->key + g * key_dim, *value = m->value + g * value_dim;

    j->kernels->product(s->block, key_dim, s->block, n, dim, n, 1.0f,
                        s->products, dim);
    for (size_t i = 0; i < key_dim; i++) {
        const size_t at = g * key_dim + i;
        const double c = (double)s->origin[i], dx = s->sums[i] - n * c;
        const float *products = s->products + i * dim;
        add_products(s, products, c, dx, 0, key_dim, n,
                     m->key_key + at * key_dim);
        add_products(s, products, c, dx, key_dim, value_dim, n,
                     m->key_value + at * value_dim);
    }
    for (size_t i = 0; i < key_dim; i++)
        key[i] += s->sums[i];
    for (size_t i = 0; i < value_dim; i++)
        value[i] += s->sums[key_dim + i];
    m->count[g] += n;
}

/* ---- Interface ----------------------------------------------------------- */

csp_status csp__check_moments(const csp_moments *m)
{
    size_t size;

    if (m == NULL)
        return CSP_E_NULL;
    if (m->n_kv_heads == 0 || m->key_dim == 0 || m->value_dim == 0)
        return CSP_E_SHAPE;
    const size_t widest = m->key_dim > m->value_dim ? m->key_dim : m->value_dim;
    if (!csp__mul(m->n_kv_heads, m->key_dim, &size) ||
        !csp__mul(size, widest, &size) ||
        !csp__mul(size, sizeof(double), &size))
        return CSP_E_OVERFLOW;
    if (m->count == NULL || m->key == NULL || m->value == NULL ||
        m->key_key == NULL || m->key_value == NULL)
        return CSP_E_NULL;
    return CSP_OK;
}

/* A view of the rows in use, as long as a head of 'like'. */
static csp_status check_rows(const csp_tensor *rows, const csp_tokens *tokens,
                             uint32_t n_cols, csp_tensor *used)
{
    *used = *rows;
    if (used->n_heads != tokens->n_kv_heads || used->n_rows < tokens->n_keys ||
        used->n_cols != n_cols)
        return CSP_E_SHAPE;
    used->n_rows = tokens->n_keys;
    return csp__check_tensor(used, true, false, NULL);
}

static size_t measure(uint32_t key_dim, uint32_t value_dim)
{
    csp__arena arena = {0};
    scratch s;

    carve(&s, key_dim, value_dim, &arena);
    return csp__arena_size(&arena);
}

size_t csp_moments_workspace_size(uint32_t key_dim, uint32_t value_dim)
{
    return key_dim > 0 && value_dim > 0 ? measure(key_dim, value_dim) : 0;
}

csp_status csp_moments_add(const csp_tensor *keys, const csp_tensor *values,
                           const csp_tokens *tokens, const csp_kept *kept,
                           const csp_compute *compute, void *workspace,
                           size_t workspace_size, const csp_moments *moments)
{
    csp__kernels kernels;
    job j = {.kernels = &kernels,
             .tokens = tokens,
             .kept = kept,
             .moments = moments};
    csp_status status;

    if (keys == NULL || values == NULL || tokens == NULL || kept == NULL)
        return CSP_E_NULL;
    if ((status = csp__check_moments(moments)) != CSP_OK ||
        (status = csp__check_tokens(tokens)) != CSP_OK)
        return status;
    if (moments->n_kv_heads != tokens->n_kv_heads)
        return CSP_E_SHAPE;
    if ((status = check_rows(keys, tokens, moments->key_dim, &j.keys)) !=
            CSP_OK ||
        (status = check_rows(values, tokens, moments->value_dim, &j.values)) !=
            CSP_OK ||
        (status = csp__check_kept(kept, tokens)) != CSP_OK ||
        (status = csp__check_compute(compute)) != CSP_OK ||
        (status = csp__check_workspace(
             workspace, workspace_size,
             measure(moments->key_dim, moments->value_dim))) != CSP_OK)
        return status;
    csp__kernels_choose(compute, &kernels);
    csp__arena arena = csp__arena_over(workspace);
    carve(&j.scratch, moments->key_dim, moments->value_dim, &arena);
    if (!all_good(&j))
        return CSP_E_NOT_FINITE;
    for (uint32_t g = 0; g < tokens->n_kv_heads; g++) {
        csp__dropped d = csp__dropped_rows(tokens, kept, g);
        for (uint32_t n; (n = gather(&j, g, &d)) > 0;)
            add_block(&j, g, n);
    }
    return CSP_OK;
}
