/*
 * views.c - checks of strided views
 *
 * Exact disjointness of strided cells is number theory; real layouts nest:
 * channels inside tokens inside heads, in some order.  So strides are sorted,
 * and each must reach beyond all that the smaller ones span.
 */
#include "views.h"

#include "workspace.h"

#define MAX_DIMS 5

size_t csp__dtype_size(csp_dtype dtype)
{
    switch (dtype) {
    case CSP_F32:
        return 4;
    case CSP_F16:
    case CSP_BF16:
        return 2;
    }
    return 0;
}

/* Copy the dimensions that step (count > 1), smallest stride first; 'empty' if
   a count is 0.  Returns how many. */
static size_t sort_dims(const csp__dim *dims, size_t n_dims, csp__dim *sorted,
                        bool *empty)
{
    size_t n = 0;

    *empty = false;
    for (size_t i = 0; i < n_dims; i++) {
        if (dims[i].count == 0)
            *empty = true;
        if (dims[i].count < 2)
            continue;
        size_t at = n++;
        for (; at > 0 && sorted[at - 1].stride > dims[i].stride; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = dims[i];
    }
    return n;
}

csp_status csp__check_cells(const csp__dim *dims, size_t n_dims, size_t size,
                            bool repeats, size_t *extent)
{
    csp__dim sorted[MAX_DIMS];
    bool empty;
    bool apart = true;
    size_t span = size;

    size_t n = sort_dims(dims, n_dims, sorted, &empty);
    *extent = 0;
    if (empty)
        return CSP_OK;
    if (size > PTRDIFF_MAX)
        return CSP_E_OVERFLOW;
    for (size_t i = 0; i < n; i++) {
        size_t reach;
        if (sorted[i].stride == 0 && repeats)
            continue;
        if (sorted[i].stride < span)
            apart = false;
        if (!csp__mul(sorted[i].count - 1, sorted[i].stride, &reach) ||
            !csp__add(span, reach, &span) || span > PTRDIFF_MAX)
            return CSP_E_OVERFLOW;
    }
    if (!apart)
        return CSP_E_STRIDE;
    *extent = span;
    return CSP_OK;
}

csp_status csp__check_tensor(const csp_tensor *tensor, bool repeats,
                             bool contiguous, size_t *extent)
{
    size_t size = csp__dtype_size(tensor->dtype);
    size_t bytes;

    if (size == 0)
        return CSP_E_DTYPE;
    if (contiguous && tensor->n_cols > 1 && tensor->col_stride != size)
        return CSP_E_STRIDE;
    const csp__dim dims[] = {{tensor->n_heads, tensor->head_stride},
                             {tensor->n_rows, tensor->row_stride},
                             {tensor->n_cols, tensor->col_stride}};
    csp_status status = csp__check_cells(dims, 3, size, repeats, &bytes);
    if (status != CSP_OK)
        return status;
    if (bytes > 0 && tensor->data == NULL)
        return CSP_E_NULL;
    if (extent != NULL)
        *extent = bytes;
    return CSP_OK;
}

void csp__load(const csp__kernels *kernels, const csp_tensor *tensor,
               const unsigned char *x, size_t n, float *y)
{
    if (n < 2 || tensor->col_stride == csp__dtype_size(tensor->dtype)) {
        kernels->load[tensor->dtype](x, n, y);
        return;
    }
    for (size_t i = 0; i < n; i++)
        kernels->load[tensor->dtype](x + i * tensor->col_stride, 1, y + i);
}

void csp__store(const csp__kernels *kernels, const csp_tensor *tensor,
                const float *y, size_t n, unsigned char *x)
{
    if (n < 2 || tensor->col_stride == csp__dtype_size(tensor->dtype)) {
        kernels->store[tensor->dtype](y, 1.0f, n, x);
        return;
    }
    for (size_t i = 0; i < n; i++)
        kernels->store[tensor->dtype](y + i, 1.0f, 1,
                                      x + i * tensor->col_stride);
}

csp_status csp__check_array(uint32_t n_rows, uint32_t capacity)
{
    size_t count, size;

    if (!csp__mul(n_rows, capacity, &count) || !csp__mul(count, 4, &size) ||
        size > PTRDIFF_MAX)
        return CSP_E_OVERFLOW;
    return CSP_OK;
}

bool csp__overlap(const void *a, size_t a_size, const void *b, size_t b_size)
{
    uintptr_t a_begin = (uintptr_t)a;
    uintptr_t b_begin = (uintptr_t)b;

    if (a_size == 0 || b_size == 0)
        return false;
    return a_begin < b_begin ? b_begin - a_begin < a_size
                             : a_begin - b_begin < b_size;
}

csp_tensor csp_tensor_packed(const void *data, csp_dtype dtype,
                             uint32_t n_heads, uint32_t n_rows, uint32_t n_cols)
{
    csp_tensor tensor = {.data = data,
                         .dtype = dtype,
                         .n_heads = n_heads,
                         .n_rows = n_rows,
                         .n_cols = n_cols,
                         .col_stride = csp__dtype_size(dtype)};

    /* A product that does not fit becomes a stride that csp__check_cells
       refuses. */
    if (!csp__mul(n_cols, tensor.col_stride, &tensor.row_stride))
        tensor.row_stride = SIZE_MAX;
    if (!csp__mul(n_rows, tensor.row_stride, &tensor.head_stride))
        tensor.head_stride = SIZE_MAX;
    return tensor;
}

csp_cells csp_cells_packed(void *data, uint32_t n_heads, uint32_t n_tokens,
                           size_t cell_size)
{
    csp_cells cells = {.data = data,
                       .n_heads = n_heads,
                       .n_channels = 1,
                       .n_tokens = n_tokens,
                       .cell_size = cell_size,
                       .token_stride = cell_size};

    if (!csp__mul(n_tokens, cell_size, &cells.head_stride))
        cells.head_stride = SIZE_MAX;
    return cells;
}
