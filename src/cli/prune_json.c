/*
 * prune_json.c - what a decision amounts to, as a JSON object
 *
 * Numbers of heads stand in lists of layers, as numpy likes them.
 */
#include "prune_summary.h"

#include "json_print.h"

static void add_shape(cJSON *root, const prune_shape *s)
{
    cJSON *o = cJSON_AddObjectToObject(root, "shape");

    if (s->has_layers)
        cJSON_AddNumberToObject(o, "layers", s->n_layers);
    else
        cJSON_AddNullToObject(o, "layers");
    cJSON_AddNumberToObject(o, "heads", s->n_heads);
    cJSON_AddNumberToObject(o, "kv_heads", s->n_kv_heads);
    cJSON_AddNumberToObject(o, "queries", s->n_queries);
    cJSON_AddNumberToObject(o, "keys", s->n_keys);
    cJSON_AddNumberToObject(o, "first_query", s->first_query);
    if (s->value_dim > 0)
        cJSON_AddNumberToObject(o, "value_dim", s->value_dim);
}

static const char *choice_of(enum prune_option option, int value)
{
    return prune_choice_name(option, value);
}

static void add_lists(cJSON *o, const csp_config *c)
{
    cJSON_AddNumberToObject(o, "budget", c->budget);
    cJSON_AddNumberToObject(o, "sinks", c->sinks);
    cJSON_AddNumberToObject(o, "recent", c->recent);
    if (c->n_intra == CSP_REST)
        cJSON_AddStringToObject(o, "intra", "rest");
    else
        cJSON_AddNumberToObject(o, "intra", c->n_intra);
    cJSON_AddNumberToObject(o, "inter", c->n_inter);
    cJSON_AddBoolToObject(o, "auto_share", c->auto_share);
}

static void add_parameters(cJSON *root, const prune_summary *s)
{
    static const char *const poolings[] = {"none", "avg", "max"};
    const prune_options *p = s->options;
    const csp_config *c = &s->config;
    cJSON *o = cJSON_AddObjectToObject(root, "parameters");

    if (p->given[OPTION_PRESET])
        cJSON_AddStringToObject(o, "preset",
                                choice_of(OPTION_PRESET, p->preset));
    cJSON_AddStringToObject(o, "kind", choice_of(OPTION_KIND, p->kind));
    cJSON_AddStringToObject(o, "mask", choice_of(OPTION_MASK, p->mask));
    cJSON_AddNumberToObject(o, "n", c->n);
    cJSON_AddNumberToObject(o, "first_vote", c->first_vote);
    add_lists(o, c);
    cJSON_AddStringToObject(o, "select",
                            choice_of(OPTION_SELECT, (int)c->selection));
    cJSON_AddStringToObject(o, "scope", choice_of(OPTION_SCOPE, (int)c->scope));
    cJSON_AddStringToObject(o, "reduce",
                            c->reduce == CSP_MEAN ? "mean" : "sum");
    cJSON_AddNumberToObject(o, "block", c->block);
    cJSON_AddStringToObject(o, "pool", poolings[c->pooling]);
    cJSON_AddNumberToObject(o, "pool_width", c->pool_width);
    cJSON_AddBoolToObject(o, "value_norm",
                          c->weigh_values && !c->center_values);
    cJSON_AddBoolToObject(o, "value_distance",
                          c->weigh_values && c->center_values);
    cJSON_AddBoolToObject(o, "visible_rows", c->weigh_rows);
    cJSON_AddStringToObject(o, "tier", choice_of(OPTION_TIER, p->tier));
}

static void add_spans(cJSON *root, const prune_shape *s)
{
    cJSON *list = cJSON_AddArrayToObject(root, "spans");

    for (uint32_t i = 0; i < s->n_spans; i++) {
        cJSON *span = cJSON_CreateArray();
        json_append(span, cJSON_CreateNumber(s->spans[i].begin));
        json_append(span, cJSON_CreateNumber(s->spans[i].end));
        json_append(span,
                    cJSON_CreateString(modality_name(s->spans[i].modality)));
        json_append(list, span);
    }
}

/* ---- Heads --------------------------------------------------------------- */

typedef double (*head_number)(const csp_report *r, uint32_t modality);

static double kept_of(const csp_report *r, uint32_t modality)
{
    return (double)r->kept_of_modality[modality];
}

static double kept_all(const csp_report *r, uint32_t modality)
{
    (void)modality;
    return (double)r->n_kept;
}

static double both_of(const csp_report *r, uint32_t modality)
{
    (void)modality;
    return (double)r->n_both;
}

static double mass_all(const csp_report *r, uint32_t modality)
{
    (void)modality;
    return retained(r);
}

static double mass_intra(const csp_report *r, uint32_t modality)
{
    (void)modality;
    return retained_intra(r);
}

static double mass_inter(const csp_report *r, uint32_t modality)
{
    (void)modality;
    return retained_inter(r);
}

/* [layers][heads]; what is no number is null. */
static void add_heads(cJSON *to, const char *key, const prune_summary *s,
                      head_number number, uint32_t modality)
{
    cJSON *layers = cJSON_AddArrayToObject(to, key);

    for (uint32_t l = 0; l < s->shape.n_layers; l++) {
        cJSON *heads = cJSON_CreateArray();
        for (uint32_t g = 0; g < s->shape.n_kv_heads; g++)
            json_append(
                heads,
                cJSON_CreateNumber(number(
                    &s->heads[(size_t)l * s->shape.n_kv_heads + g], modality)));
        json_append(layers, heads);
    }
}

static void add_results(cJSON *root, const prune_summary *s)
{
    cJSON *tokens = cJSON_AddObjectToObject(root, "tokens");
    cJSON *kept = cJSON_AddObjectToObject(root, "kept");
    cJSON *mass = cJSON_AddObjectToObject(root, "retained_mass");

    for (uint32_t m = 0; m < CSP_MAX_MODALITIES; m++) {
        if (s->all.keys_of_modality[m] == 0)
            continue;
        const uint64_t n = s->all.keys_of_modality[m] / s->all.n_heads;
        cJSON_AddNumberToObject(tokens, modality_name(m), (double)n);
        add_heads(kept, modality_name(m), s, kept_of, m);
    }
    add_heads(kept, "all", s, kept_all, 0);
    add_heads(root, "in_both_lists", s, both_of, 0);
    add_heads(mass, "intra", s, mass_intra, 0);
    add_heads(mass, "inter", s, mass_inter, 0);
    add_heads(mass, "all", s, mass_all, 0);
}

static void add_times(cJSON *root, const prune_summary *s)
{
    cJSON *o = cJSON_AddObjectToObject(root, "seconds");

    cJSON_AddNumberToObject(o, "read", s->times.read);
    cJSON_AddNumberToObject(o, "score", s->times.score);
    cJSON_AddNumberToObject(o, "select", s->times.select);
    cJSON_AddNumberToObject(o, "calibrate", s->times.calibrate);
    cJSON_AddNumberToObject(o, "write", s->write);
}

char *prune_summary_json(const prune_summary *s)
{
    cJSON *root = json_begin();

    json_add_name(root, "scores", s->options->scores);
    cJSON_AddStringToObject(root, "type", s->scores);
    add_shape(root, &s->shape);
    add_parameters(root, s);
    add_spans(root, &s->shape);
    add_results(root, s);
    add_times(root, s);
    return json_text(root);
}
