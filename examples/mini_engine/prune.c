/*
 * prune.c - the library's side of the engine
 *
 * The order of things, which is the same in every engine:
 *
 *   1  prune_start    settings for the prompt's length, spans of its images
 *   2  prune_watch    each chunk of each layer, while its logits are at hand
 *   3  prune_cache    norms of the values, plan, measure, apply; then each head
 *                     is as long as its list, and the sequence as long as ever
 *   4  decoding       prune_watch goes on; prune_cache again when the cache has
 *                     grown too large
 *
 * Positions never change: csp_pruner knows which row holds which token.  After
 * a corrected round it is shown logits of the kept rows alone, as attention
 * sees them without the sink: heads that lean on it vote as loudly as others.
 */
#include "prune.h"

#include "csp.h"

#include "recorder.h"
#include "remains.h"
#include "support.h"

#include <math.h>
#include <stdlib.h>

/* Rows whose attention tells what the dropped keys weigh: the last few, as they
   are most like those to come. */
enum { MEASURING_ROWS = 16 };

/* How much old importance counts, round by round, while decoding. */
static const double decay = 0.5;

const char *const method_names[N_METHODS] = {
    [METHOD_CSP] = "csp",
    [METHOD_AGNOSTIC] = "agnostic",
    [METHOD_REFERENCE] = "reference",
    [METHOD_PAPER] = "paper",
    [METHOD_SNAPKV] = "snapkv",
    [METHOD_H2O] = "h2o",
    [METHOD_STREAMING] = "streaming",
    [METHOD_RANDOM] = "random",
};
const char *const correction_names[N_CORRECTIONS] = {
    [CORRECT_NONE] = "none",
    [CORRECT_SINK] = "sink",
    [CORRECT_RESIDUAL] = "residual",
    [CORRECT_MOMENTS] = "moments",
};
const char *const source_names[N_SOURCES] = {
    [FROM_LOGITS] = "logits",
    [FROM_QUERIES] = "queries",
};

struct prune_state {
    prune_settings settings;
    csp_config config;
    csp_pruner *pruner;
    recorder last; /* queries of the measuring rows */
    float scale;   /* of logits */
};

/* ---- Settings ------------------------------------------------------------ */

uint32_t prune_budget(const prune_settings *s, uint32_t n_tokens)
{
    uint32_t budget = (uint32_t)(s->keep * n_tokens + 0.5);

    return budget > 0 ? budget : 1;
}

/* The preset, and the share of recent rows where the user has a say. */
static csp_config preset_for(const prune_settings *s, uint32_t n_rows,
                             uint32_t budget)
{
    static const csp_preset presets[N_METHODS] = {
        [METHOD_CSP] = CSP_PRESET_DEFAULT,
        [METHOD_AGNOSTIC] = CSP_PRESET_AGNOSTIC,
        [METHOD_REFERENCE] = CSP_PRESET_REFERENCE,
        [METHOD_PAPER] = CSP_PRESET_PAPER,
        [METHOD_SNAPKV] = CSP_PRESET_SNAPKV,
        [METHOD_H2O] = CSP_PRESET_H2O,
        [METHOD_STREAMING] = CSP_PRESET_STREAMING,
        [METHOD_RANDOM] = CSP_PRESET_DEFAULT,
    };
    csp_config config;

    check(csp_config_preset(presets[s->method], n_rows, budget, &config),
          "csp_config_preset");
    if (s->method == METHOD_RANDOM) {
        /* One row votes, of random weights; the rest is as the default has
           it. */
        config.n = 0.0;
        config.weigh_values = false;
        config.auto_share = false;
        config.n_intra = 0;
        config.first_vote = 0;
    }
    if (s->recent < 0.0)
        return config;
    uint32_t recent = (uint32_t)(s->recent * n_rows);
    recent = recent > budget / 2 ? budget / 2 : recent;
    recent = recent > 0 ? recent : 1;
    if (config.selection != CSP_EXACT || s->method == METHOD_STREAMING)
        die(method_names[s->method], "has no share of recent rows to set");
    config.recent = recent;
    if (s->method != METHOD_H2O) /* there every row votes */
        config.first_vote = n_rows - recent;
    return config;
}

static csp_config config_for(const prune_settings *s, uint32_t n_rows,
                             uint32_t budget)
{
    csp_config config = preset_for(s, n_rows, budget);

    if (s->adjust != NULL)
        s->adjust(s->adjust_context, n_rows, &config);
    return config;
}

prune_state *prune_start(const model *m, const prune_settings *settings,
                         const span *spans, uint32_t n_spans, uint32_t n_tokens)
{
    prune_state *p = take(1, sizeof *p);
    csp_span *copies = take(n_spans, sizeof *copies);

    p->settings = *settings;
    p->config =
        config_for(settings, n_tokens, prune_budget(settings, n_tokens));
    p->scale = 1.0f / sqrtf((float)m->head_dim);
    p->last = recorder_make(m, MEASURING_ROWS);
    check(csp_pruner_create(m->n_layers, m->n_kv_heads, &p->config, NULL, NULL,
                            &p->pruner),
          "csp_pruner_create");
    for (uint32_t s = 0; s < n_spans; ++s)
        copies[s] = (csp_span){.begin = spans[s].begin,
                               .end = spans[s].end,
                               .modality = spans[s].modality};
    check(csp_pruner_set_spans(p->pruner, copies, n_spans),
          "csp_pruner_set_spans");
    free(copies);
    return p;
}

void prune_end(prune_state *p)
{
    if (p == NULL)
        return;
    csp_pruner_destroy(p->pruner);
    recorder_free(&p->last);
    free(p);
}

void prune_while_decoding(prune_state *p, uint32_t rows)
{
    prune_settings s = p->settings;

    s.recent = -1.0; /* that was a share of the prompt */
    p->config = config_for(&s, rows, rows);
    p->config.first_vote = 0; /* every row since the last round */
    p->config.decay = decay;
    check(csp_pruner_configure(p->pruner, &p->config), "csp_pruner_configure");
}

/* ---- Views of the engine's memory ---------------------------------------- */

/* The rows of each KV head of a layer, up to the longest head's end; the pruner
   knows how many of them each head uses. */
static csp_tensor rows_view(const cache *c, uint32_t layer, const float *rows)
{
    csp_tensor view = csp_tensor_packed(
        rows + cache_head(c, layer, 0), CSP_F32, c->n_kv_heads,
        cache_layer_rows(c, layer), c->head_dim);

    view.head_stride = (size_t)c->capacity * c->head_dim * sizeof *rows;
    return view;
}

static csp_cells cells_view(const cache *c, uint32_t layer, float *rows)
{
    return csp_cells_packed(rows + cache_head(c, layer, 0), c->n_kv_heads,
                            c->capacity, c->head_dim * sizeof *rows);
}

/* Queries lie token by token, [query][head][channel]. */
static csp_attention queries_view(const attention_seen *seen, uint32_t skip,
                                  float scale)
{
    const cache *c = seen->cache;
    const size_t row = (size_t)c->n_heads * c->head_dim;
    csp_tensor queries =
        csp_tensor_packed(seen->queries + skip * row, CSP_F32, c->n_heads,
                          seen->n_queries - skip, c->head_dim);

    queries.head_stride = c->head_dim * sizeof(float);
    queries.row_stride = row * sizeof(float);
    return (csp_attention){
        .source = CSP_QUERY_KEY,
        .first_query = seen->first + skip,
        .queries = queries,
        .keys = rows_view(c, seen->layer, c->keys),
        .scale = scale,
    };
}

static csp_attention logits_view(const attention_seen *seen, uint32_t skip)
{
    csp_tensor logits = csp_tensor_packed(
        seen->logits + (size_t)skip * seen->logits_stride, CSP_F32,
        seen->cache->n_heads, seen->n_queries - skip, seen->logits_stride);

    logits.head_stride =
        (size_t)seen->n_queries * seen->logits_stride * sizeof(float);
    return (csp_attention){
        .source = CSP_LOGITS,
        .first_query = seen->first + skip,
        .scores = logits,
    };
}

/* ---- Score --------------------------------------------------------------- */

/* Rows before first_vote have no vote: the library would skip them, but need
   not see them.  A chunk without voters still tells how many tokens there are;
   that is all that streaming wants to know. */
void prune_watch(void *context, const attention_seen *seen)
{
    prune_state *p = context;
    const uint32_t first_vote = p->config.first_vote;
    uint32_t skip = first_vote > seen->first ? first_vote - seen->first : 0;

    if (skip > seen->n_queries || p->settings.method == METHOD_STREAMING ||
        p->settings.method == METHOD_RANDOM)
        skip = seen->n_queries;
    csp_attention attention =
        seen->logits == NULL || p->settings.source == FROM_QUERIES
            ? queries_view(seen, skip, p->scale)
            : logits_view(seen, skip);
    check(csp_pruner_score(p->pruner, seen->layer, &attention),
          "csp_pruner_score");
    recorder_watch(&p->last, seen);
}

/* ---- Prune --------------------------------------------------------------- */

/* One row of random weights, the same for the same sequence. */
static void score_at_random(prune_state *p, const cache *c)
{
    const uint32_t n = cache_rows(c);
    const size_t size = (size_t)c->n_heads * n;
    float *weights = take(size, sizeof *weights);
    uint64_t state = n;

    for (uint32_t l = 0; l < c->n_layers; ++l) {
        for (size_t i = 0; i < size; ++i) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            weights[i] = (float)(state >> 40) * 0x1p-24f;
        }
        const csp_attention attention = {
            .source = CSP_PROBABILITIES,
            .mask = CSP_FULL,
            .first_query = c->position - 1,
            .scores = csp_tensor_packed(weights, CSP_F32, c->n_heads, 1, n),
        };
        check(csp_pruner_score(p->pruner, l, &attention), "csp_pruner_score");
    }
    free(weights);
}

static void plan(prune_state *p, const cache *c)
{
    if (p->settings.method == METHOD_RANDOM)
        score_at_random(p, c);
    for (uint32_t l = 0; l < c->n_layers && p->config.weigh_values; ++l) {
        csp_tensor values = rows_view(c, l, c->values);

        check(csp_pruner_set_values(p->pruner, l, &values),
              "csp_pruner_set_values");
    }
    check(csp_pruner_plan(p->pruner), "csp_pruner_plan");
}

static prune_outcome outcome_of(const prune_state *p, const cache *c)
{
    const uint64_t row_size = (uint64_t)c->head_dim * 2 * sizeof(float);
    csp_report r = {0};

    for (uint32_t l = 0; l < c->n_layers; ++l) {
        csp_importance importance;
        csp_tokens tokens;
        csp_kept kept;

        check(csp_pruner_importance(p->pruner, l, &importance),
              "csp_pruner_importance");
        check(csp_pruner_tokens(p->pruner, l, &tokens), "csp_pruner_tokens");
        check(csp_pruner_kept(p->pruner, l, &kept), "csp_pruner_kept");
        check(csp_report_add(&importance, &tokens, &kept, row_size, &r),
              "csp_report_add");
    }
    return (prune_outcome){
        .rows_before = r.n_keys,
        .rows_after = r.n_kept,
        .images_before = r.keys_of_modality[1],
        .images_after = r.kept_of_modality[1],
        .bytes_before = r.bytes_before,
        .bytes_after = r.bytes_after,
        .retained =
            (r.intra_kept + r.inter_kept) / (r.intra_total + r.inter_total),
    };
}

/* Put two sinks together: their masses add, and their values by mass.  What an
   earlier round dropped is still gone. */
static void join_sinks(float *logit, float *value, float other_logit,
                       const float *other_value, uint32_t n)
{
    const float top = fmaxf(*logit, other_logit);
    const float mass = expf(*logit - top), other = expf(other_logit - top);

    for (uint32_t d = 0; d < n; ++d)
        value[d] = (mass * value[d] + other * other_value[d]) / (mass + other);
    *logit = top + logf(mass + other);
}

/* Measure what the plan is about to drop from a layer (E8, E10). */
static void measure(prune_state *p, cache *c, uint32_t layer)
{
    const uint32_t heads = c->n_heads, dim = c->head_dim;
    const attention_seen seen = recorder_view(&p->last, layer, c);
    const csp_attention attention = queries_view(&seen, 0, p->scale);
    const csp_tensor values = rows_view(c, layer, c->values);
    csp_calibration sums = {.n_heads = heads, .value_dim = dim};
    float *logits = take(heads, sizeof *logits);
    float *means = take((size_t)heads * dim, sizeof *means);

    sums.log_mass = take(heads, sizeof *sums.log_mass);
    sums.rows = take(heads, sizeof *sums.rows);
    sums.value = take((size_t)heads * dim, sizeof *sums.value);
    check(csp_pruner_calibrate(p->pruner, layer, &attention, &values, &sums),
          "csp_pruner_calibrate");
    /* Without a residual value the means stay zero: a sink says nothing. */
    check(csp_calibration_finish(
              &sums, logits,
              p->settings.correction == CORRECT_RESIDUAL ? means : NULL),
          "csp_calibration_finish");
    for (uint32_t h = 0; h < heads; ++h) {
        const size_t at = (size_t)layer * heads + h;

        if (logits[h] > -INFINITY)
            join_sinks(&c->sink_logits[at], c->sink_values + at * dim,
                       logits[h], means + (size_t)h * dim, dim);
    }
    free(sums.value);
    free(sums.rows);
    free(sums.log_mass);
    free(means);
    free(logits);
}

/* ---- Summaries (E11) ----------------------------------------------------- */

/* The first round fits the mass; later ones go by it, since the rows at hand
   no longer see what went before. */
static void summarise(prune_state *p, cache *c)
{
    const bool first = c->remains.size == 0;

    if (first)
        cache_make_remains(c, p->settings.rank);
    for (uint32_t l = 0; l < c->n_layers; ++l) {
        const attention_seen seen = recorder_view(&p->last, l, c);
        const csp_attention attention = queries_view(&seen, 0, p->scale);
        const csp_tensor keys = rows_view(c, l, c->keys);
        const csp_tensor values = rows_view(c, l, c->values);

        remains_add(c, l, p->pruner, &keys, &values);
        if (first)
            remains_fit_mass(c, l, p->pruner, &attention);
    }
}

/* ---- Apply --------------------------------------------------------------- */

/* Move kept rows to the front of each head, and let the heads end there. */
static void apply(prune_state *p, cache *c)
{
    csp_cells *views = take((size_t)c->n_layers * 2, sizeof *views);

    for (uint32_t l = 0; l < c->n_layers; ++l) {
        uint32_t *rows = c->rows + (size_t)l * c->n_kv_heads;
        csp_kept kept;

        views[2 * (size_t)l] = cells_view(c, l, c->keys);
        views[2 * (size_t)l + 1] = cells_view(c, l, c->values);
        /* The plan is gone once it is applied. */
        check(csp_pruner_kept(p->pruner, l, &kept), "csp_pruner_kept");
        for (uint32_t g = 0; g < c->n_kv_heads; ++g)
            rows[g] = kept.counts[kept.n_lists == 1 ? 0 : g];
    }
    check(csp_pruner_apply(p->pruner, views, 2, NULL), "csp_pruner_apply");
    free(views);
}

prune_outcome prune_cache(prune_state *p, cache *c)
{
    plan(p, c);
    const prune_outcome outcome = outcome_of(p, c);
    if (p->settings.correction == CORRECT_MOMENTS)
        summarise(p, c);
    else if (p->settings.correction != CORRECT_NONE)
        for (uint32_t l = 0; l < c->n_layers; ++l)
            measure(p, c, l);
    apply(p, c);
    return outcome;
}
