/*
 * attention_views.c - a scene as the library sees it
 */
#include "attention_views.h"

#include "support.h"

void csp_check(csp_status status, const char *what)
{
    if (status != CSP_OK)
        die(what, "%s", csp_status_string(status));
}

csp_tokens scene_tokens(const scene *s)
{
    return (csp_tokens){.n_kv_heads = s->n_kv_heads,
                        .n_keys = scene_keys(s),
                        .spans = s->spans,
                        .n_spans = s->n_spans};
}

csp_tensor scene_rows(const scene *s, uint32_t layer, const float *rows)
{
    csp_tensor view =
        csp_tensor_packed(rows + cache_head(s->full, layer, 0), CSP_F32,
                          s->n_kv_heads, scene_keys(s), s->head_dim);

    view.head_stride = (size_t)s->full->capacity * s->head_dim * sizeof *rows;
    return view;
}

/* Numbers token by token, [n][n_heads][n_cols]. */
static csp_tensor by_token(const scene *s, const float *rows, uint32_t n,
                           uint32_t n_cols)
{
    csp_tensor view = csp_tensor_packed(rows, CSP_F32, s->n_heads, n, n_cols);

    view.head_stride = n_cols * sizeof *rows;
    view.row_stride = (size_t)s->n_heads * n_cols * sizeof *rows;
    return view;
}

csp_tensor scene_view(const scene *s, const float *rows, uint32_t n_cols)
{
    return by_token(s, rows, s->n, n_cols);
}

static csp_attention by_queries(const scene *s, uint32_t layer,
                                uint32_t first_query, const float *queries,
                                uint32_t n)
{
    return (csp_attention){
        .source = CSP_QUERY_KEY,
        .first_query = first_query,
        .queries = by_token(s, queries, n, s->head_dim),
        .keys = scene_rows(s, layer, s->full->keys),
        .scale = s->scale,
    };
}

csp_attention scene_attention(const scene *s, uint32_t layer, uint32_t n_rows)
{
    const attention_seen seen = recorder_view(s->seen, layer, s->full);
    const size_t row = (size_t)s->n_heads * s->head_dim;
    const uint32_t n = n_rows < seen.n_queries ? n_rows : seen.n_queries;
    const uint32_t skip = seen.n_queries - n;

    return by_queries(s, layer, seen.first + skip, seen.queries + skip * row,
                      n);
}

/* The end of the text before row 'end', and where that text begins. */
static uint32_t text_before(const scene *s, uint32_t end, uint32_t *begin)
{
    *begin = 0;
    for (uint32_t i = s->n_spans; i-- > 0;) {
        const csp_span *image = &s->spans[i];

        if (image->modality == 0 || image->begin >= end)
            continue;
        if (image->end < end) {
            *begin = image->end;
            break;
        }
        end = image->begin;
    }
    return end;
}

bool next_run(const scene *s, uint32_t layer, row_runs *r, csp_attention *run)
{
    const size_t row = (size_t)s->n_heads * s->head_dim;
    const attention_seen seen = recorder_view(s->seen, layer, s->full);
    uint32_t begin = 0;

    if (r->end > seen.n_queries)
        r->end = seen.n_queries;
    if (r->text_only)
        r->end = text_before(s, r->end, &begin);
    const uint32_t n = r->end - begin < r->left ? r->end - begin : r->left;
    r->end -= n;
    r->left -= n;
    *run = by_queries(s, layer, seen.first + r->end,
                      seen.queries + r->end * row, n);
    return n > 0;
}

csp_attention scene_later(const scene *s, uint32_t layer)
{
    return by_queries(s, layer, scene_keys(s), s->layers[layer].queries, s->n);
}
