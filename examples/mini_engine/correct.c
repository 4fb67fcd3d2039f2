/*
 * correct.c - attention outputs corrected for what was dropped, by the library
 *
 * An engine that computes its attention in one fused call, sinks or none, does
 * the same: all it takes are outputs and their log-sum-exp.
 */
#include "correct.h"

#include "csp.h"

#include "remains.h"
#include "support.h"

#include <math.h>
#include <stdlib.h>

/* Rows token by token, [n][n_heads][head_dim]. */
static csp_tensor token_view(const cache *c, const float *rows, uint32_t n)
{
    csp_tensor view =
        csp_tensor_packed(rows, CSP_F32, c->n_heads, n, c->head_dim);

    view.head_stride = c->head_dim * sizeof *rows;
    view.row_stride = (size_t)c->n_heads * c->head_dim * sizeof *rows;
    return view;
}

void correct_layer(const cache *c, uint32_t layer, uint32_t n,
                   const float *queries, const float *lse, float *outputs)
{
    const csp_summary summary = remains_summary(c, layer);
    const csp_fit fit = remains_fit(c, layer);
    const csp_tensor output_view = token_view(c, outputs, n);
    const csp_tensor query_view = token_view(c, queries, n);
    const csp_tensor lse_view =
        csp_tensor_packed(lse, CSP_F32, c->n_heads, n, 1);
    const size_t size = csp_correct_summary_workspace_size(&summary);
    void *workspace = take(size, 1);

    check(csp_correct_summary(&output_view, &query_view,
                              1.0f / sqrtf((float)c->head_dim), &lse_view,
                              CSP_LSE_NATURAL, &summary, &fit, NULL, workspace,
                              size, outputs),
          "csp_correct_summary");
    free(workspace);
}
