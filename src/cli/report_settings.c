/*
 * report_settings.c - what summary.json of `csp prune` says, for a report
 *
 * Only what a report needs is looked at, and each of it is checked.
 */
#include "report_settings.h"

#include "json_memory.h"
#include "prune_options.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A file while it is read. */
typedef struct reader {
    const char *name;
    const cJSON *root, *parameters;
    report_settings *s;
    outcome result;
} reader;

/* ---- Members ------------------------------------------------------------- */

static const cJSON *member(const cJSON *object, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(object, key);
}

static void expected(reader *r, const char *key, const char *what)
{
    if (r->result == DONE)
        r->result = fail(BAD_INPUT, "%s: %s: expected %s", r->name, key, what);
}

/* A whole number in [low, high]. */
static bool is_count(const cJSON *item, uint32_t low, uint32_t high)
{
    return cJSON_IsNumber(item) && item->valuedouble >= (double)low &&
           item->valuedouble <= (double)high &&
           item->valuedouble == (double)(uint32_t)item->valuedouble;
}

static uint32_t count_of(reader *r, const cJSON *object, const char *key,
                         uint32_t low)
{
    const cJSON *item = member(object, key);
    char what[48];

    if (is_count(item, low, UINT32_MAX))
        return (uint32_t)item->valuedouble;
    snprintf(what, sizeof what, "a whole number of at least %u", low);
    expected(r, key, what);
    return low;
}

static const char *text_of(reader *r, const cJSON *object, const char *key)
{
    const cJSON *item = member(object, key);

    if (cJSON_IsString(item))
        return item->valuestring;
    expected(r, key, "a string");
    return "";
}

static bool flag_of(reader *r, const cJSON *object, const char *key)
{
    const cJSON *item = member(object, key);

    if (!cJSON_IsBool(item))
        expected(r, key, "true or false");
    return cJSON_IsTrue(item);
}

/* One of the names that an option takes. */
static int choice_of(reader *r, const char *key, enum prune_option option)
{
    const char *text = text_of(r, r->parameters, key);

    for (int value = 0; r->result == DONE; value++) {
        const char *name = prune_choice_name(option, value);
        if (name == NULL) {
            expected(r, key, "a name that the option takes");
            break;
        }
        if (strcmp(name, text) == 0)
            return value;
    }
    return 0;
}

/* ---- Shape and spans ----------------------------------------------------- */

static void read_shape(reader *r)
{
    const cJSON *o = member(r->root, "shape");
    report_shape *shape = &r->s->shape;

    r->s->has_layers = !cJSON_IsNull(member(o, "layers"));
    shape->n_layers = r->s->has_layers ? count_of(r, o, "layers", 1) : 1;
    shape->n_heads = count_of(r, o, "heads", 1);
    shape->n_kv_heads = count_of(r, o, "kv_heads", 1);
    shape->n_queries = count_of(r, o, "queries", 1);
    shape->n_keys = count_of(r, o, "keys", 1);
    if (r->result == DONE && shape->n_heads % shape->n_kv_heads != 0)
        expected(r, "heads", "a multiple of kv_heads");
}

static bool find_modality(const cJSON *item, uint32_t *modality)
{
    if (!cJSON_IsString(item))
        return false;
    for (*modality = 0; *modality < CSP_MAX_MODALITIES; ++*modality)
        if (strcmp(modality_name(*modality), item->valuestring) == 0)
            return true;
    return false;
}

static void read_spans(reader *r)
{
    const cJSON *list = member(r->root, "spans"), *item;
    const uint32_t n_keys = r->s->shape.n_keys;
    const int n = cJSON_GetArraySize(list);
    uint32_t behind = 0, i = 0;

    r->s->spans = malloc((size_t)n * sizeof(csp_span) + 1);
    if (r->s->spans == NULL) {
        r->result = fail(INTERNAL, "not enough memory for spans");
        return;
    }
    cJSON_ArrayForEach(item, list)
    {
        const cJSON *begin = cJSON_GetArrayItem(item, 0);
        const cJSON *end = cJSON_GetArrayItem(item, 1);
        uint32_t modality = 0;
        if (!is_count(begin, behind, n_keys) || !is_count(end, 0, n_keys) ||
            end->valuedouble < begin->valuedouble ||
            !find_modality(cJSON_GetArrayItem(item, 2), &modality)) {
            expected(r, "spans",
                     "ascending [begin, end, modality] of the keys");
            return;
        }
        behind = (uint32_t)end->valuedouble;
        r->s->spans[i++] = (csp_span){.begin = (uint32_t)begin->valuedouble,
                                      .end = behind,
                                      .modality = modality};
    }
    r->s->shape.spans = r->s->spans;
    r->s->shape.n_spans = i;
}

/* ---- Parameters ---------------------------------------------------------- */

static void read_method(reader *r)
{
    csp_config *c = &r->s->config;
    const cJSON *p = r->parameters;
    const char *pool = text_of(r, p, "pool");

    c->pooling = strcmp(pool, "avg") == 0   ? CSP_POOL_AVG
                 : strcmp(pool, "max") == 0 ? CSP_POOL_MAX
                                            : CSP_POOL_NONE;
    c->pool_width = count_of(r, p, "pool_width", 1);
    c->reduce =
        strcmp(text_of(r, p, "reduce"), "mean") == 0 ? CSP_MEAN : CSP_SUM;
    c->weigh_values = flag_of(r, p, "value_norm");
    c->center_values = flag_of(r, p, "value_distance");
    c->weigh_values = c->weigh_values || c->center_values;
    c->weigh_rows = flag_of(r, p, "visible_rows");
    c->selection = (csp_selection)choice_of(r, "select", OPTION_SELECT);
    c->scope = (csp_scope)choice_of(r, "scope", OPTION_SCOPE);
}

static void read_config(reader *r)
{
    csp_config *c = &r->s->config;
    const cJSON *p = r->parameters;
    const cJSON *n = member(p, "n"), *intra = member(p, "intra");

    csp_config_init(c);
    if (!cJSON_IsNumber(n) || n->valuedouble < 0.0)
        expected(r, "n", "a number of at least 0");
    else
        c->n = n->valuedouble;
    c->first_vote = count_of(r, p, "first_vote", 0);
    c->budget = count_of(r, p, "budget", 0);
    c->sinks = count_of(r, p, "sinks", 0);
    c->recent = count_of(r, p, "recent", 0);
    c->n_intra = cJSON_IsString(intra) ? CSP_REST : count_of(r, p, "intra", 0);
    c->n_inter = count_of(r, p, "inter", 0);
    c->auto_share = flag_of(r, p, "auto_share");
    c->block = count_of(r, p, "block", 1);
    read_method(r);
}

/* ---- Settings as words --------------------------------------------------- */

#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
static void
add(report_settings *s, const char *name, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(s->values[s->n], SETTING_SIZE, format, arguments);
    va_end(arguments);
    s->list[s->n] = (report_setting){name, s->values[s->n]};
    s->n++;
}

static void add_lists(report_settings *s)
{
    const csp_config *c = &s->config;

    if (c->auto_share) {
        add(s, "lists", "intra and inter by mass");
        return;
    }
    if (c->n_intra == CSP_REST)
        add(s, "intra list", "the rest");
    else
        add(s, "intra list", "%u", c->n_intra);
    add(s, "inter list", "%u", c->n_inter);
}

static void add_weights(report_settings *s)
{
    const csp_config *c = &s->config;

    if (c->pooling != CSP_POOL_NONE)
        add(s, "pooling", "%s of %u",
            c->pooling == CSP_POOL_AVG ? "mean" : "largest", c->pool_width);
    if (c->weigh_values || c->weigh_rows)
        add(s, "weights", "%s%s%s",
            c->center_values  ? "value distance"
            : c->weigh_values ? "value norm"
                              : "",
            c->weigh_values && c->weigh_rows ? ", " : "",
            c->weigh_rows ? "visible rows" : "");
    if (c->block > 1)
        add(s, "blocks of", "%u tokens", c->block);
    if (c->first_vote > s->shape.n_keys - s->shape.n_queries)
        add(s, "voting rows", "from token %u on", c->first_vote);
}

static void describe(reader *r)
{
    static const char *const scopes[] = {"each KV head", "each layer",
                                         "all layers together"};
    report_settings *s = r->s;
    const csp_config *c = &s->config;
    const cJSON *preset = member(r->parameters, "preset");

    if (cJSON_IsString(preset))
        add(s, "preset", "%s", preset->valuestring);
    add(s, "selection", "%s",
        prune_choice_name(OPTION_SELECT, (int)c->selection));
    add(s, "for", "%s", scopes[c->scope]);
    if (c->selection == CSP_EXACT)
        add(s, "budget", "%u tokens", c->budget);
    add(s, "sinks", "%u", c->sinks);
    add(s, "recent", "%u", c->recent);
    add_lists(s);
    add(s, "n of the softmax", "%.6g", c->n);
    add_weights(s);
}

/* Whether [at, end) is what JSON may have around it. */
static bool is_space(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || (*at >= '\t' && *at <= '\r')))
        at++;
    return at == end;
}

outcome report_settings_read(const char *name, const char *text, size_t size,
                             report_settings *s)
{
    const char *end;
    cJSON *root;
    reader r = {.name = name, .s = s};

    *s = (report_settings){.n = 0};
    r.result = json_parse(name, text, size, &end, &root);
    if (r.result != DONE)
        return r.result;
    if (!cJSON_IsObject(root)) {
        cJSON_Delete(root);
        return fail(BAD_INPUT, "%s: expected a JSON object", name);
    }
    if (!is_space(end, text + size)) {
        cJSON_Delete(root);
        return fail(BAD_INPUT, "%s: expected nothing behind its JSON", name);
    }
    r.root = root;
    r.parameters = member(root, "parameters");
    const char *source = text_of(&r, root, "scores");
    const char *slash = strrchr(source, '/');
    snprintf(s->source, sizeof s->source, "%s",
             slash != NULL ? slash + 1 : source);
    read_shape(&r);
    if (r.result == DONE)
        read_spans(&r);
    if (r.result == DONE)
        read_config(&r);
    if (r.result == DONE)
        describe(&r);
    cJSON_Delete(root);
    return r.result;
}

void report_settings_free(report_settings *s)
{
    free(s->spans);
    s->spans = NULL;
}

report_head report_settings_head(const report_settings *s)
{
    report_head head = {.source = s->source,
                        .shape = s->shape,
                        .settings = s->list,
                        .n_settings = s->n};

    for (uint32_t m = 0; m < CSP_MAX_MODALITIES; m++)
        head.modalities[m] = modality_name(m);
    return head;
}
