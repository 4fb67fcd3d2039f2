/*
 * synthetic_prune.c - the library at work on the cache of a whole model
 *
 * The pruner scores layer by layer, as an engine computes them, then plans and
 * applies.  Between the two, csp_calibrate reads what is about to be dropped.
 */
#include "synthetic.h"

#include <stdlib.h>
#include <string.h>

const char *const method_names[N_METHODS] = {
    [METHOD_CSP] = "CSP",
    [METHOD_REFERENCE] = "CSP paper's code",
    [METHOD_PAPER] = "CSP paper's Eq.3",
    [METHOD_SNAPKV] = "SnapKV-like",
    [METHOD_H2O] = "H2O-like",
    [METHOD_STREAMING] = "Streaming-like",
    [METHOD_RANDOM] = "random",
};

void check(csp_status status, const char *what)
{
    if (status != CSP_OK)
        fail(what, csp_status_string(status));
}

/* ---- Settings ------------------------------------------------------------ */

static void set_share(csp_config *config, double share)
{
    uint32_t listed = config->n_intra == CSP_REST
                          ? config->budget - config->sinks - config->recent
                          : config->n_intra + config->n_inter;

    config->auto_share = false;
    config->n_inter = (uint32_t)(share * (double)listed + 0.5);
    config->n_intra = listed - config->n_inter;
}

static csp_config settings(method m, uint32_t n_keys, uint32_t budget,
                           double share)
{
    static const csp_preset presets[N_METHODS] = {
        [METHOD_CSP] = CSP_PRESET_DEFAULT,
        [METHOD_REFERENCE] = CSP_PRESET_REFERENCE,
        [METHOD_PAPER] = CSP_PRESET_PAPER,
        [METHOD_SNAPKV] = CSP_PRESET_SNAPKV,
        [METHOD_H2O] = CSP_PRESET_H2O,
        [METHOD_STREAMING] = CSP_PRESET_STREAMING,
        [METHOD_RANDOM] = CSP_PRESET_DEFAULT,
    };
    csp_config config;

    check(csp_config_preset(presets[m], n_keys, budget, &config),
          "csp_config_preset");
    if (share >= 0.0 && m <= METHOD_PAPER)
        set_share(&config, share);
    if (m == METHOD_RANDOM) {
        /* Sinks and recent tokens as CSP has them; one row votes, at random. */
        config.n = 0.0;
        config.weigh_values = false;
        config.auto_share = false;
        config.n_intra = 0;
        config.first_vote = n_keys - 1;
    }
    return config;
}

/* ---- Views --------------------------------------------------------------- */

/* Rows of [n_heads][n_tokens][head_dim]. */
static csp_tensor rows_view(const prompt *p, const float *data,
                            uint32_t n_heads, uint32_t n_rows)
{
    csp_tensor view =
        csp_tensor_packed(data, CSP_F32, n_heads, n_rows, p->head_dim);

    view.head_stride = (size_t)p->n_tokens * p->head_dim * sizeof(float);
    return view;
}

static csp_cells cells_view(const prompt *p, float *data)
{
    return (csp_cells){
        .data = data,
        .n_heads = p->n_kv_heads,
        .n_channels = 1,
        .n_tokens = p->n_context,
        .cell_size = p->head_dim * sizeof(float),
        .head_stride = (size_t)p->n_tokens * p->head_dim * sizeof(float),
        .token_stride = p->head_dim * sizeof(float),
    };
}

/* The window's logits, as an engine of plain attention has them. */
static csp_attention window_view(const prompt *p, uint32_t layer)
{
    size_t at = (size_t)layer * p->n_heads * p->n_window * p->n_context;

    return (csp_attention){
        .source = CSP_LOGITS,
        .first_query = p->n_context - p->n_window,
        .scores = csp_tensor_packed(p->window + at, CSP_F32, p->n_heads,
                                    p->n_window, p->n_context),
    };
}

/* Queries and cached keys, for windows whose logits nobody kept. */
static csp_attention query_key_view(const trial *s, uint32_t layer,
                                    uint32_t first)
{
    const prompt *p = s->p;
    const float *queries =
        query_rows(p, layer, 0) + (size_t)first * p->head_dim;

    return (csp_attention){
        .source = CSP_QUERY_KEY,
        .first_query = first,
        .queries = rows_view(p, queries, p->n_heads, p->n_context - first),
        .keys = rows_view(p, s->keys + kv_offset(p, layer, 0), p->n_kv_heads,
                          p->n_context),
        .scale = p->scale,
    };
}

/* One row of random weights in place of attention. */
static csp_attention random_view(trial *s, uint64_t *random)
{
    const prompt *p = s->p;

    for (size_t i = 0; i < (size_t)p->n_heads * p->n_context; ++i)
        s->luck[i] = (float)uniform(random);
    return (csp_attention){
        .source = CSP_PROBABILITIES,
        .first_query = p->n_context - 1,
        .scores =
            csp_tensor_packed(s->luck, CSP_F32, p->n_heads, 1, p->n_context),
    };
}

static csp_attention voting_view(trial *s, uint32_t layer, uint64_t *random)
{
    const prompt *p = s->p;

    if (s->how == METHOD_RANDOM)
        return random_view(s, random);
    if (s->config.first_vote >= p->n_context - p->n_window)
        return window_view(p, layer);
    return query_key_view(s, layer, s->config.first_vote);
}

/* ---- Prune --------------------------------------------------------------- */

void trial_open(trial *s, const prompt *p, method m, uint32_t budget,
                double share)
{
    const size_t heads = (size_t)p->n_layers * p->n_heads;
    const size_t kv_heads = (size_t)p->n_layers * p->n_kv_heads;
    const size_t size = sizeof(float) * p->n_tokens * p->head_dim;

    *s = (trial){
        .p = p, .how = m, .config = settings(m, p->n_context, budget, share)};
    check(csp_pruner_create(p->n_layers, p->n_kv_heads, &s->config, NULL, NULL,
                            &s->pruner),
          "csp_pruner_create");
    s->n_later = p->n_tokens - p->n_context;
    s->keys = take(kv_heads, size);
    s->values = take(kv_heads, size);
    memcpy(s->keys, p->keys, kv_heads * size);
    memcpy(s->values, p->values, kv_heads * size);
    s->luck = take((size_t)p->n_heads * p->n_context, sizeof *s->luck);
    s->counts = take(kv_heads, sizeof *s->counts);
    s->sink_logits = take(heads, sizeof *s->sink_logits);
    s->residual = take(heads * p->head_dim, sizeof *s->residual);
}

void trial_close(trial *s)
{
    free(s->residual);
    free(s->sink_logits);
    free(s->counts);
    free(s->luck);
    free(s->values);
    free(s->keys);
    csp_pruner_destroy(s->pruner);
}

void trial_plan(trial *s, uint64_t seed)
{
    const prompt *p = s->p;

    check(csp_pruner_set_spans(s->pruner, p->spans, p->n_spans),
          "csp_pruner_set_spans");
    for (uint32_t l = 0; l < p->n_layers; ++l) {
        csp_attention attention = voting_view(s, l, &seed);
        csp_tensor values = rows_view(p, s->values + kv_offset(p, l, 0),
                                      p->n_kv_heads, p->n_context);

        check(csp_pruner_score(s->pruner, l, &attention), "csp_pruner_score");
        if (s->config.weigh_values)
            check(csp_pruner_set_values(s->pruner, l, &values),
                  "csp_pruner_set_values");
    }
    check(csp_pruner_plan(s->pruner), "csp_pruner_plan");
}

/* Rows of the modality that will ask measure the dropped mass best: the text
   that the window ends with, or all of it where it ends with an image. */
static csp_attention measuring_view(const prompt *p, uint32_t layer)
{
    csp_attention view = window_view(p, layer);
    uint32_t first = p->n_context - 1;

    if (modality_of(p, first) != TEXT)
        return view;
    while (first > view.first_query && modality_of(p, first - 1) == TEXT)
        --first;
    uint32_t skipped = first - view.first_query;
    view.scores.data =
        (const char *)view.scores.data + skipped * view.scores.row_stride;
    view.scores.n_rows -= skipped;
    view.first_query = first;
    return view;
}

/* Before trial_apply, as it reads what the plan is about to drop. */
void trial_calibrate(trial *s, uint32_t layer)
{
    const prompt *p = s->p;
    const size_t head = (size_t)layer * p->n_heads;
    csp_attention attention = measuring_view(p, layer);
    csp_tensor values = rows_view(p, s->values + kv_offset(p, layer, 0),
                                  p->n_kv_heads, p->n_context);
    csp_calibration sums = {.n_heads = p->n_heads, .value_dim = p->head_dim};

    sums.log_mass = take(p->n_heads, sizeof *sums.log_mass);
    sums.rows = take(p->n_heads, sizeof *sums.rows);
    sums.value = take((size_t)p->n_heads * p->head_dim, sizeof *sums.value);
    check(csp_pruner_calibrate(s->pruner, layer, &attention, &values, &sums),
          "csp_pruner_calibrate");
    check(csp_calibration_finish(&sums, s->sink_logits + head,
                                 s->residual + head * p->head_dim),
          "csp_calibration_finish");
    free(sums.value);
    free(sums.rows);
    free(sums.log_mass);
}

void trial_apply(trial *s)
{
    const prompt *p = s->p;
    csp_cells *caches = take((size_t)p->n_layers * 2, sizeof *caches);

    for (uint32_t l = 0; l < p->n_layers; ++l) {
        caches[2 * (size_t)l] = cells_view(p, s->keys + kv_offset(p, l, 0));
        caches[2 * (size_t)l + 1] =
            cells_view(p, s->values + kv_offset(p, l, 0));
    }
    check(csp_pruner_apply(s->pruner, caches, 2, NULL), "csp_pruner_apply");
    free(caches);
}
