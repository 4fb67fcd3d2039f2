/*
 * hostile_verbs.c - every function of csp.h, called with a scene's arguments
 */
#include "hostile.h"

static csp_status score_as(scene *s, csp_source source)
{
    arguments *a = &s->a;

    if (a->attention.source == CSP_LOGITS) /* else that is what is wrong */
        a->attention.source = source;
    return csp_score(&a->attention, &a->tokens, &a->config, a->workspace,
                     a->workspace_size, &a->importance);
}

static csp_status score_logits(scene *s)
{
    return score_as(s, CSP_LOGITS);
}

static csp_status score_probabilities(scene *s)
{
    return score_as(s, CSP_PROBABILITIES);
}

static csp_status score_queries(scene *s)
{
    return score_as(s, CSP_QUERY_KEY);
}

static csp_status select_rows(scene *s)
{
    const arguments *a = &s->a;

    return csp_select(&a->importance, &a->tokens, &a->config, a->workspace,
                      a->workspace_size, &a->chosen);
}

static csp_status select_shares(scene *s)
{
    csp_config *config = &s->a.config;

    if (config->head_floor == 1.0)
        config->head_floor = 0.5;
    if (config->span_quota == 0)
        config->span_quota = 1;
    return select_rows(s);
}

static csp_status calibrate(scene *s)
{
    const arguments *a = &s->a;

    return csp_calibrate(&a->attention, &a->tokens, &a->kept, &a->values,
                         &a->compute, a->workspace, a->workspace_size,
                         &a->sums);
}

static csp_status finish_calibration(scene *s)
{
    return csp_calibration_finish(&s->a.sums, s->out.sink_logits,
                                  s->out.residual);
}

static csp_status correct(scene *s)
{
    const arguments *a = &s->a;

    return csp_correct(&a->outputs, &a->lse, a->unit, s->in.sinks,
                       s->in.residual, a->corrected);
}

static csp_status nsoftmax(scene *s)
{
    const arguments *a = &s->a;

    return csp_nsoftmax(&a->attention.scores, a->n, s->in.sinks, &a->compute,
                        a->weights);
}

static csp_status value_norms(scene *s)
{
    return csp_value_norms(&s->a.values, &s->a.tokens, ROOM, s->out.norms);
}

static csp_status value_distances(scene *s)
{
    const arguments *a = &s->a;

    return csp_value_distances(&a->values, &a->tokens, a->workspace,
                               a->workspace_size, ROOM, s->out.norms);
}

static csp_status report(scene *s)
{
    const arguments *a = &s->a;

    return csp_report_add(&a->importance, &a->tokens, &a->kept, a->token_size,
                          &s->out.report);
}

static csp_status kept_mask(scene *s)
{
    return csp_kept_mask(s->a.kept.rows, s->a.n_kept, KEYS, s->a.mask);
}

static csp_status kept_bits(scene *s)
{
    return csp_kept_bits(s->a.kept.rows, s->a.n_kept, KEYS, s->a.mask);
}

static csp_status kept_ranges(scene *s)
{
    return csp_kept_ranges(s->a.kept.rows, s->a.n_kept, KEYS, s->a.room,
                           s->out.ranges, s->a.n_out);
}

static csp_status dropped_ranges(scene *s)
{
    return csp_dropped_ranges(s->a.kept.rows, s->a.n_kept, KEYS, s->a.room,
                              s->out.ranges, s->a.n_out);
}

static csp_status kept_blocks(scene *s)
{
    return csp_kept_blocks(s->a.kept.rows, s->a.n_kept, KEYS, s->a.block,
                           s->a.room, s->out.blocks, s->a.n_out);
}

static csp_status kept_moves(scene *s)
{
    return csp_kept_moves(s->a.kept.rows, s->a.n_kept, KEYS, s->a.room,
                          s->out.moves, s->a.n_out);
}

static csp_status kept_pages(scene *s)
{
    return csp_kept_pages(&s->a.kept, KEYS, s->a.block, s->in.pages, true,
                          s->a.room, s->out.indptr, s->out.indices,
                          s->out.last_page);
}

static csp_status compact(scene *s)
{
    return csp_compact(s->a.src, 2, &s->a.kept, NULL);
}

static csp_status compact_to(scene *s)
{
    return csp_compact(s->a.src, 2, &s->a.kept, s->a.dst);
}

static csp_status moments(scene *s)
{
    const arguments *a = &s->a;

    return csp_moments_add(&a->attention.keys, &a->values, &a->tokens, &a->kept,
                           &a->compute, a->workspace, a->workspace_size,
                           &a->moments);
}

static csp_status summarise(scene *s)
{
    return csp_summarise(&s->a.moments, s->a.workspace, s->a.workspace_size,
                         &s->a.summary);
}

static csp_status expand(scene *s)
{
    return csp_summary_expand(&s->a.summary, s->a.workspace,
                              s->a.workspace_size, &s->a.moments);
}

static csp_status fit_rows(scene *s)
{
    const arguments *a = &s->a;

    return csp_fit_rows(&a->attention, &a->tokens, &a->kept, &a->summary,
                        &a->compute, a->workspace, a->workspace_size,
                        a->fit_sums);
}

static csp_status finish_fit(scene *s)
{
    return csp_fit_finish(s->a.fit_sums, HEADS, &s->a.fit);
}

static csp_status correct_summary(scene *s)
{
    const arguments *a = &s->a;

    return csp_correct_summary(&a->outputs, &a->queries, a->scale, &a->lse,
                               a->unit, &a->summary, &a->fit, &a->compute,
                               a->workspace, a->workspace_size, a->corrected);
}

static csp_status preset(scene *s)
{
    return csp_config_preset(s->a.preset, KEYS, s->a.n_kept, &s->out.preset);
}

static csp_status counts_of_ratios(scene *s)
{
    csp_config config = s->a.config;
    const csp_status status =
        csp_config_set_ratios(KEYS, s->a.ratio, 0.1, 0.5, &config);

    return status != CSP_OK
               ? status
               : csp_config_set_reference(KEYS, s->a.ratio, 0.1, s->a.bias,
                                          s->a.ratio, &config);
}

static csp_status sizes(scene *s)
{
    const arguments *a = &s->a;

    csp_score_workspace_size(&a->attention, &a->tokens, &a->config);
    csp_select_workspace_size(&a->tokens, &a->config);
    csp_kept_bound(&a->tokens, &a->config);
    csp_calibrate_workspace_size(&a->attention, &a->tokens, a->n_kept);
    csp_fit_rows_workspace_size(&a->attention, &a->tokens, &a->summary);
    csp_value_distances_workspace_size(a->n_kept, a->room);
    csp_moments_workspace_size(a->n_kept, a->room);
    csp_summarise_workspace_size(a->n_kept, a->room);
    csp_summary_size(&a->summary);
    csp_summary_expand_workspace_size(&a->summary);
    csp_correct_summary_workspace_size(&a->summary);
    csp_has_tier(a->compute.tier);
    return CSP_OK;
}

/* Two layers, all calls in their order, whatever they return; then once more
   in none. */
static csp_status live(scene *s)
{
    arguments *a = &s->a;
    const csp_cells caches[] = {a->src[0], a->src[1], a->dst[0], a->dst[1]};
    csp_pruner *p = NULL;

    const csp_status status = csp_pruner_create(
        2, KV_HEADS, &a->config, &a->allocator, &a->parallel, &p);
    if (status != CSP_OK)
        return status;
    for (int round = 0; round < 2; round++) {
        csp_pruner_set_spans(p, s->in.spans, 2);
        for (uint32_t layer = 0; layer < 2; layer++) {
            csp_pruner_score(p, layer ^ a->layer, &a->attention);
            csp_pruner_set_values(p, layer, &a->values);
        }
        csp_pruner_plan(p);
        csp_pruner_tokens(p, a->layer, &a->tokens);
        csp_pruner_importance(p, a->layer, &a->importance);
        csp_pruner_kept(p, a->layer, &a->chosen);
        csp_pruner_calibrate(p, a->layer, &a->attention, &a->values, &a->sums);
        csp_pruner_apply(p, caches, 2, NULL);
        csp_pruner_apply(p, caches, 2, NULL);
        csp_pruner_configure(p, &a->config);
    }
    csp_pruner_reset(p);
    csp_pruner_plan(p);
    csp_pruner_destroy(p);
    return CSP_OK;
}

/* clang-format off */
const verb verbs[] = {
    {"csp_score of logits", score_logits, true, false},
    {"csp_score of probabilities", score_probabilities, true, false},
    {"csp_score of queries", score_queries, true, false},
    {"csp_select", select_rows, false, false},
    {"csp_select of shares", select_shares, false, false},
    {"csp_calibrate", calibrate, false, false},
    {"csp_calibration_finish", finish_calibration, false, false},
    {"csp_correct", correct, false, false},
    {"csp_nsoftmax", nsoftmax, false, false},
    {"csp_value_norms", value_norms, false, false},
    {"csp_value_distances", value_distances, false, false},
    {"csp_report_add", report, false, false},
    {"csp_kept_mask", kept_mask, false, false},
    {"csp_kept_bits", kept_bits, false, false},
    {"csp_kept_ranges", kept_ranges, false, false},
    {"csp_dropped_ranges", dropped_ranges, false, false},
    {"csp_kept_blocks", kept_blocks, false, false},
    {"csp_kept_moves", kept_moves, false, false},
    {"csp_kept_pages", kept_pages, false, false},
    {"csp_compact", compact, false, false},
    {"csp_compact elsewhere", compact_to, false, false},
    {"csp_moments_add", moments, false, false},
    {"csp_summarise", summarise, false, false},
    {"csp_summary_expand", expand, false, false},
    {"csp_fit_rows", fit_rows, false, false},
    {"csp_fit_finish", finish_fit, false, false},
    {"csp_correct_summary", correct_summary, false, false},
    {"csp_config_preset", preset, false, false},
    {"csp_config_set_...", counts_of_ratios, false, false},
    {"sizes", sizes, false, false},
    {"csp_pruner_...", live, false, true},
};
/* clang-format on */

const size_t n_verbs = COUNT(verbs);
