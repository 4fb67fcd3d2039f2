/*
 * prune.c - scores to a decision, layer by layer
 *
 * The core of the library on one layer after the other.  Where all layers share
 * a list, a first pass keeps everyone's importance, and a second one reads the
 * scores again, to measure what was dropped.
 */
#include "prune.h"

#include "prune_heads.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct engine {
    const prune_options *o;
    prune_input in;
    csp_config config;
    csp_tokens tokens; /* of one layer */
    csp_attention attention;
    head_work work;
    char described[128];       /* what the scores are */
    uint32_t n_stored;         /* layers that 'importance' has room for */
    csp_importance importance; /* [n_stored][n_kv_heads][n_keys] */
    csp_kept kept;
    uint8_t *reasons; /* [kept.n_lists][n_keys], 0 where dropped */
    void *workspace;  /* csp_select's */
    size_t workspace_size;
    bool has_sinks;
    csp_calibration sums;
    float *sink_logits, *residual;
    prune_times times;
} engine;

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* ---- Room ---------------------------------------------------------------- */

/* The heads that csp_select sees at once. */
static csp_tokens selected_tokens(const engine *e)
{
    csp_tokens tokens = e->tokens;

    tokens.n_kv_heads *= e->n_stored;
    return tokens;
}

static bool allocate_importance(engine *e)
{
    const size_t n_heads = (size_t)e->n_stored * e->in.n_kv_heads;
    const size_t n_keys = e->in.n_keys;
    csp_importance *i = &e->importance;

    if (n_heads > SIZE_MAX / sizeof(float) / n_keys)
        return false;
    i->capacity = e->in.n_keys;
    i->intra = calloc(n_heads * n_keys, sizeof(float));
    i->inter = calloc(n_heads * n_keys, sizeof(float));
    if (e->config.weigh_rows) {
        i->intra_rows = calloc(n_heads * n_keys, sizeof(float));
        i->inter_rows = calloc(n_heads * n_keys, sizeof(float));
    }
    if (e->in.value_dim > 0)
        i->value_norm = calloc(n_heads * n_keys, sizeof(float));
    return i->intra != NULL && i->inter != NULL &&
           (!e->config.weigh_rows ||
            (i->intra_rows != NULL && i->inter_rows != NULL)) &&
           (e->in.value_dim == 0 || i->value_norm != NULL);
}

static bool allocate_kept(engine *e)
{
    const csp_tokens tokens = selected_tokens(e);
    csp_kept *k = &e->kept;

    k->n_lists = e->config.scope == CSP_PER_HEAD ? e->in.n_kv_heads : 1;
    k->capacity = csp_kept_bound(&tokens, &e->config);
    e->workspace_size = csp_select_workspace_size(&tokens, &e->config);
    e->workspace = calloc(1, e->workspace_size + 1);
    if (k->capacity > SIZE_MAX / sizeof(uint32_t) / k->n_lists)
        return false;
    k->rows = calloc((size_t)k->n_lists * k->capacity + 1, sizeof *k->rows);
    k->counts = calloc(k->n_lists, sizeof *k->counts);
    k->n_both = calloc(k->n_lists, sizeof *k->n_both);
    k->reasons = calloc((size_t)k->n_lists * k->capacity + 1, 1);
    e->reasons = calloc(k->n_lists, e->in.n_keys);
    return e->workspace != NULL && k->rows != NULL && k->counts != NULL &&
           k->n_both != NULL && k->reasons != NULL && e->reasons != NULL;
}

static bool allocate_sums(engine *e)
{
    const size_t n = e->in.n_heads, dim = e->in.value_dim;
    csp_calibration *s = &e->sums;

    if (!e->has_sinks)
        return true;
    if (dim > 0 && n > SIZE_MAX / sizeof(float) / dim)
        return false;
    s->n_heads = e->in.n_heads;
    s->value_dim = e->in.value_dim;
    s->log_mass = calloc(n, sizeof *s->log_mass);
    s->rows = calloc(n, sizeof *s->rows);
    e->sink_logits = calloc(n, sizeof *e->sink_logits);
    if (dim > 0) {
        s->value = calloc(n * dim, sizeof *s->value);
        e->residual = calloc(n * dim, sizeof *e->residual);
    }
    return s->log_mass != NULL && s->rows != NULL && e->sink_logits != NULL &&
           (dim == 0 || (s->value != NULL && e->residual != NULL));
}

static outcome start(engine *e)
{
    const prune_input *in = &e->in;
    outcome result = prune_options_config(e->o, in->n_keys, &e->config);

    if (result != DONE)
        return result;
    e->n_stored = e->config.scope == CSP_GLOBAL ? in->n_layers : 1;
    if (in->n_kv_heads > UINT32_MAX / e->n_stored)
        return fail(BAD_INPUT, "%s: has too many heads to share a list",
                    in->scores.array.name);
    e->tokens = (csp_tokens){.n_kv_heads = in->n_kv_heads,
                             .n_keys = in->n_keys,
                             .spans = e->o->spans.spans,
                             .n_spans = e->o->spans.n};
    e->has_sinks = e->o->kind == CSP_LOGITS || e->o->lse != NULL;
    e->attention = prune_attention(e->o, in);
    snprintf(e->described, sizeof e->described, "%s",
             array_describe(&in->scores.array));
    result = heads_start(e->o, in, &e->config, e->has_sinks, &e->work);
    if (result != DONE)
        return result;
    if (!allocate_importance(e) || !allocate_kept(e) || !allocate_sums(e))
        return fail(INTERNAL, "%s: not enough memory for its importance",
                    in->scores.array.name);
    return DONE;
}

static void stop(engine *e)
{
    heads_stop(&e->work);
    free(e->importance.intra);
    free(e->importance.inter);
    free(e->importance.intra_rows);
    free(e->importance.inter_rows);
    free(e->importance.value_norm);
    free(e->kept.rows);
    free(e->kept.counts);
    free(e->kept.n_both);
    free(e->kept.reasons);
    free(e->reasons);
    free(e->workspace);
    free(e->sums.log_mass);
    free(e->sums.rows);
    free(e->sums.value);
    free(e->sink_logits);
    free(e->residual);
    prune_input_close(&e->in);
}

/* ---- Steps --------------------------------------------------------------- */

static float *layer_part(const engine *e, float *rows, uint32_t layer)
{
    const size_t size = (size_t)e->in.n_kv_heads * e->in.n_keys;

    return rows != NULL ? rows + (e->n_stored > 1 ? layer : 0) * size : NULL;
}

static csp_importance importance_of(const engine *e, uint32_t layer)
{
    const csp_importance *all = &e->importance;

    return (csp_importance){.intra = layer_part(e, all->intra, layer),
                            .inter = layer_part(e, all->inter, layer),
                            .intra_rows = layer_part(e, all->intra_rows, layer),
                            .inter_rows = layer_part(e, all->inter_rows, layer),
                            .value_norm = layer_part(e, all->value_norm, layer),
                            .capacity = all->capacity};
}

static outcome read_layer(engine *e, uint32_t layer)
{
    const double begin = seconds();
    const outcome result = prune_input_read(&e->in, layer);

    e->times.read += seconds() - begin;
    return result;
}

static outcome score_layer(engine *e, uint32_t layer)
{
    const double begin = seconds();
    const size_t size = (size_t)e->in.n_kv_heads * e->in.n_keys * sizeof(float);
    const csp_importance i = importance_of(e, layer);
    float *const sums[] = {i.intra, i.inter, i.intra_rows, i.inter_rows};

    for (int k = 0; k < 4; k++)
        if (sums[k] != NULL)
            memset(sums[k], 0, size);
    const outcome result =
        heads_score(&e->work, layer, &e->attention, &e->tokens, &i);
    e->times.score += seconds() - begin;
    return result;
}

/* The reasons of kept rows, to where these lie among all. */
static void spread_reasons(const engine *e)
{
    const csp_kept *k = &e->kept;

    memset(e->reasons, 0, (size_t)k->n_lists * e->in.n_keys);
    for (uint32_t list = 0; list < k->n_lists; list++) {
        const size_t from = (size_t)list * k->capacity;
        const size_t to = (size_t)list * e->in.n_keys;
        for (uint32_t i = 0; i < k->counts[list]; i++)
            e->reasons[to + k->rows[from + i]] = k->reasons[from + i];
    }
}

/* Of the layer that is stored, or of all. */
static outcome choose(engine *e)
{
    const double begin = seconds();
    const csp_tokens tokens = selected_tokens(e);
    const csp_status status =
        csp_select(&e->importance, &tokens, &e->config, e->workspace,
                   e->workspace_size, &e->kept);

    e->times.select += seconds() - begin;
    if (status != CSP_OK)
        return fail(outcome_of(status), "%s: %s", e->in.scores.array.name,
                    csp_status_string(status));
    spread_reasons(e);
    return DONE;
}

static outcome calibrate_layer(engine *e, uint32_t layer)
{
    const double begin = seconds();
    const csp_calibration *s = &e->sums;
    const size_t n = s->n_heads;

    if (!e->has_sinks)
        return DONE;
    memset(s->log_mass, 0, n * sizeof *s->log_mass);
    memset(s->rows, 0, n * sizeof *s->rows);
    if (s->value != NULL)
        memset(s->value, 0, n * s->value_dim * sizeof *s->value);
    const outcome result = heads_calibrate(&e->work, layer, &e->attention,
                                           &e->tokens, &e->kept, s);
    if (result == DONE)
        csp_calibration_finish(s, e->sink_logits, e->residual);
    e->times.calibrate += seconds() - begin;
    return result;
}

/* ---- Layers -------------------------------------------------------------- */

static outcome show_shape(const engine *e,
                          outcome (*begin)(void *context,
                                           const prune_shape *shape),
                          void *context)
{
    const prune_input *in = &e->in;
    const prune_shape shape = {.has_layers = in->has_layers,
                               .n_layers = in->n_layers,
                               .n_heads = in->n_heads,
                               .n_kv_heads = in->n_kv_heads,
                               .n_queries = in->n_queries,
                               .n_keys = in->n_keys,
                               .first_query = in->first_query,
                               .value_dim = in->value_dim,
                               .has_sinks = e->has_sinks,
                               .spans = e->o->spans.spans,
                               .n_spans = e->o->spans.n,
                               .scores = e->described,
                               .config = &e->config};

    return begin(context, &shape);
}

static outcome finish_layer(engine *e, uint32_t layer,
                            outcome (*show)(void *context,
                                            const prune_layer *layer),
                            void *context)
{
    const csp_importance importance = importance_of(e, layer);
    const prune_layer done = {.layer = layer,
                              .attention = &e->attention,
                              .tokens = &e->tokens,
                              .importance = &importance,
                              .kept = &e->kept,
                              .reasons = e->reasons,
                              .sink_logits = e->sink_logits,
                              .residual = e->residual,
                              .times = &e->times};
    const outcome result = calibrate_layer(e, layer);

    return result == DONE ? show(context, &done) : result;
}

/* The first pass, where all layers share a list. */
static outcome score_all(engine *e)
{
    outcome result = DONE;

    for (uint32_t layer = 0; result == DONE && layer < e->in.n_layers;
         layer++) {
        progress("scoring", layer, e->in.n_layers);
        result = read_layer(e, layer);
        if (result == DONE)
            result = score_layer(e, layer);
    }
    return result == DONE ? choose(e) : result;
}

static outcome
run_layers(engine *e, outcome (*show)(void *context, const prune_layer *layer),
           void *context)
{
    const bool is_global = e->config.scope == CSP_GLOBAL;
    outcome result = is_global ? score_all(e) : DONE;

    for (uint32_t layer = 0; result == DONE && layer < e->in.n_layers;
         layer++) {
        progress("pruning", layer, e->in.n_layers);
        /* A single layer is still there. */
        if (!is_global || e->in.n_layers > 1)
            result = read_layer(e, layer);
        if (result == DONE && !is_global)
            result = score_layer(e, layer);
        if (result == DONE && !is_global)
            result = choose(e);
        if (result == DONE)
            result = finish_layer(e, layer, show, context);
    }
    progress_end();
    return result;
}

outcome prune_run(const prune_options *options,
                  outcome (*begin)(void *context, const prune_shape *shape),
                  outcome (*layer)(void *context, const prune_layer *layer),
                  void *context)
{
    engine e = {.o = options};
    outcome result = prune_input_open(options, &e.in);

    if (result == DONE)
        result = start(&e);
    if (result == DONE)
        result = show_shape(&e, begin, context);
    if (result == DONE)
        result = run_layers(&e, layer, context);
    stop(&e);
    return result;
}
