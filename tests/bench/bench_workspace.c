/*
 * bench_workspace.c - scratch of a call at 128k tokens, per worker
 *
 * A worker scores one KV head at a time, so that is what is asked for.
 */
#include "scene.h"

#define LONG_KEYS 131072u
#define LONG_ROWS 64u

/* Sizes depend on counts and types alone; what is pointed to is not read. */
static csp_attention long_attention(csp_source source)
{
    static const float nothing;
    csp_attention a = {.source = source,
                       .mask = CSP_CAUSAL,
                       .first_query = LONG_KEYS - LONG_ROWS,
                       .scale = 1.0f};

    a.scores = csp_tensor_packed(&nothing, CSP_F32, 1, LONG_ROWS, LONG_KEYS);
    a.queries = csp_tensor_packed(&nothing, CSP_F32, 1, LONG_ROWS, HEAD_DIM);
    a.keys = csp_tensor_packed(&nothing, CSP_F32, 1, LONG_KEYS, HEAD_DIM);
    return a;
}

static size_t score_size(csp_source source, csp_path path)
{
    const csp_attention a = long_attention(source);
    const csp_tokens tokens = {.n_kv_heads = 1, .n_keys = LONG_KEYS};
    csp_config config;

    check(csp_config_init(&config), "csp_config_init");
    config.compute.product = path;
    const size_t size = csp_score_workspace_size(&a, &tokens, &config);
    expect(size > 0, "csp_score_workspace_size");
    return size;
}

static size_t select_size(void)
{
    const csp_tokens tokens = {.n_kv_heads = 1, .n_keys = LONG_KEYS};
    csp_config config;

    check(csp_config_init(&config), "csp_config_init");
    config.budget = LONG_KEYS / 10;
    return csp_select_workspace_size(&tokens, &config);
}

void topic_workspace(bench *b)
{
    const size_t size = score_size(CSP_LOGITS, CSP_PATH_AUTO);

    table_bytes(b, "score 64 rows of 131072 f32 logits", size);
    table_bytes(b, "score 64 queries and 131072 keys; own product",
                score_size(CSP_QUERY_KEY, CSP_PATH_KERNEL));
    if (csp_has_blas())
        table_bytes(b, "score 64 queries and 131072 keys; BLAS",
                    score_size(CSP_QUERY_KEY, CSP_PATH_BLAS));
    table_bytes(b, "select of 131072 keys", select_size());
    figure(b, "extra_bytes_128k", (double)size);
}
