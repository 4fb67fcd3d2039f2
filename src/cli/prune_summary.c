/*
 * prune_summary.c - what a decision amounts to, head by head
 */
#include "prune_summary.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

outcome prune_summary_begin(prune_summary *s, const prune_options *options,
                            const prune_shape *shape)
{
    const size_t n = (size_t)shape->n_layers * shape->n_kv_heads;

    *s = (prune_summary){
        .options = options, .shape = *shape, .config = *shape->config};
    snprintf(s->scores, sizeof s->scores, "%s", shape->scores);
    s->shape.scores = s->scores;
    s->shape.config = &s->config;
    s->heads = calloc(n, sizeof *s->heads);
    return s->heads != NULL ? DONE : fail(INTERNAL, "out of memory");
}

void prune_summary_free(prune_summary *s)
{
    free(s->heads);
}

/* One KV head, as a layer of its own. */
static csp_status add_head(const prune_layer *layer, uint32_t g, csp_report *r)
{
    const csp_kept *all = layer->kept;
    const uint32_t list = all->n_lists > 1 ? g : 0;
    const size_t at = (size_t)g * layer->importance->capacity;
    const csp_importance importance = {.intra = layer->importance->intra + at,
                                       .inter = layer->importance->inter + at,
                                       .capacity = layer->importance->capacity};
    const csp_kept kept = {.rows = all->rows + (size_t)list * all->capacity,
                           .counts = all->counts + list,
                           .n_both = all->n_both + list,
                           .n_lists = 1,
                           .capacity = all->capacity};
    csp_tokens tokens = *layer->tokens;

    tokens.n_kv_heads = 1;
    return csp_report_add(&importance, &tokens, &kept, 0, r);
}

outcome prune_summary_layer(prune_summary *s, const prune_layer *layer)
{
    const uint32_t n = s->shape.n_kv_heads;

    for (uint32_t g = 0; g < n; g++) {
        csp_report *r = &s->heads[(size_t)layer->layer * n + g];
        csp_status status = add_head(layer, g, r);
        if (status == CSP_OK)
            status = add_head(layer, g, &s->all);
        if (status != CSP_OK)
            return fail(INTERNAL, "layer %u, KV head %u: %s", layer->layer, g,
                        csp_status_string(status));
    }
    s->times = *layer->times;
    return DONE;
}

static double part(double kept, double total)
{
    return total > 0.0 ? kept / total : (double)NAN;
}

double retained(const csp_report *r)
{
    return part(r->intra_kept + r->inter_kept, r->intra_total + r->inter_total);
}

double retained_intra(const csp_report *r)
{
    return part(r->intra_kept, r->intra_total);
}

double retained_inter(const csp_report *r)
{
    return part(r->inter_kept, r->inter_total);
}
