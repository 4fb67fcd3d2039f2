/*
 * gap.c - csp gap: how intra and inter attention are distributed
 *
 * The scores are read like those that are pruned, a layer at a time; what was
 * counted of all layers is kept, for the plots to have one scale.
 */
#include "gap.h"

#include "commands.h"
#include "prune_heads.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct command {
    prune_options options;
    const char *plot; /* NULL: none */
    bool as_json;
} command;

enum { OWN_JSON = 1, OWN_PLOT };

static const struct option own_rows[] = {
    {"json", no_argument, NULL, OWN_JSON},
    {"plot", required_argument, NULL, OWN_PLOT},
    {NULL, 0, NULL, 0}};

static outcome take_own(void *context, int option, const char *argument)
{
    command *c = context;

    if (option == OWN_JSON) {
        c->as_json = true;
        return DONE;
    }
    if (c->plot != NULL)
        return fail(BAD_USAGE, "--plot is given twice");
    if (*argument == '\0')
        return fail(BAD_USAGE, "--plot: expected a file");
    c->plot = argument;
    return DONE;
}

/* Of the options of prune, those that say what the scores are. */
static bool has_part(int option)
{
    return option < OPTION_VALUES || option == OPTION_SPANS ||
           option == OPTION_SPANS_FILE || option == OPTION_N;
}

static outcome check(const prune_options *o)
{
    for (int i = 0; i < N_PRUNE_OPTIONS; i++)
        if (o->given[i] && !has_part(i))
            return fail(BAD_USAGE, "--%s: has no part in a gap",
                        prune_option_name((enum prune_option)i));
    if (o->spans.n == 0)
        return fail(BAD_USAGE, "expected --spans or --spans-file: all tokens"
                               " are of one modality");
    if (o->kind == CSP_PROBABILITIES && o->lse == NULL && o->n > 0.0)
        return fail(BAD_USAGE,
                    "probabilities of an n-softmax need --lse; --n 0 takes them"
                    " as they are");
    return DONE;
}

static outcome count_layer(const prune_input *in, const gap *g, uint32_t layer,
                           gap_counter *counter)
{
    outcome result = prune_input_read(in, layer);
    const csp_attention attention = prune_attention(g->options, in);
    const csp_tokens tokens = {.n_kv_heads = in->n_kv_heads,
                               .n_keys = in->n_keys,
                               .spans = g->options->spans.spans,
                               .n_spans = g->options->spans.n};

    gap_counter_reset(counter);
    if (result == DONE)
        result = gap_count(counter, in->scores.array.name, layer, &attention,
                           &tokens, g->n);
    if (result == DONE)
        gap_finish(counter, &g->layers[layer]);
    g->layers[layer].intra = g->layers[layer].inter = NULL; /* the counter's */
    if (result == DONE && g->store != NULL)
        result = gap_store_keep(g->store, layer, counter);
    return result;
}

static outcome count_all(const prune_input *in, bool draws, gap *g)
{
    gap_counter *counter = NULL;

    g->n_layers = in->n_layers;
    g->layers = calloc(g->n_layers, sizeof *g->layers);
    if (g->layers == NULL)
        return fail(INTERNAL, "not enough memory for %u layers", g->n_layers);
    outcome result = gap_counter_create(in->n_keys, &counter);
    if (result == DONE && draws)
        result = gap_store_create(g->n_layers, &g->store);
    for (uint32_t l = 0; result == DONE && l < g->n_layers; l++) {
        progress("counting", l, g->n_layers);
        result = count_layer(in, g, l, counter);
    }
    progress_end();
    gap_counter_free(counter);
    return result;
}

static outcome run(const command *c)
{
    prune_input in;
    gap g = {.options = &c->options, .n = c->options.n};
    outcome result = prune_input_open(&c->options, &in);

    if (result == DONE) {
        snprintf(g.scores, sizeof g.scores, "%s",
                 array_describe(&in.scores.array));
        result = count_all(&in, c->as_json || c->plot != NULL, &g);
    }
    prune_input_close(&in);
    if (result == DONE && c->plot != NULL)
        result = gap_plot(&g, c->plot);
    if (result == DONE)
        result = c->as_json ? gap_print_json(&g) : gap_print_table(&g);
    free(g.layers);
    gap_store_free(g.store);
    return result;
}

gap_layer gap_with_curves(const gap *g, uint32_t layer)
{
    gap_layer with_curves = g->layers[layer];

    if (g->store != NULL)
        gap_store_draw(g->store, layer, &with_curves);
    return with_curves;
}

double gap_mean(const gap *g)
{
    double sum = 0.0, n = 0.0;

    for (uint32_t l = 0; l < g->n_layers; l++) {
        if (isnan(g->layers[l].divergence))
            continue;
        sum += g->layers[l].divergence;
        n += 1.0;
    }
    return n > 0.0 ? sum / n : (double)NAN;
}

static outcome print_help(void)
{
    puts(
        "usage: csp gap SCORES --spans LIST [options]\n"
        "\n"
        "Compare the attention weights of pairs of query and key that are of\n"
        "one modality (intra) and of two (inter), layer by layer: a Gaussian\n"
        "kernel density of the decimal logarithm of each, and how far the two\n"
        "are apart, as Jensen-Shannon divergence: 0 bits are the same, with\n"
        "1 bit a weight tells which of the two it is.  Only visible pairs\n"
        "count.  The bandwidth of both is the wider of theirs by Silverman's\n"
        "rule.\n"
        "\n"
        "Results:\n"
        "  --json                an object instead of a table, with curves\n"
        "  --plot FILE.svg       draw the curves of each layer\n"
        "\n"
        "Input, as of csp prune: --tensor, --dtype, --kind, --lse,\n"
        "--lse-tensor, --mask, --first-query, --kv-heads, --spans,\n"
        "--spans-file, --n (1)");
    return flush_output();
}

outcome command_gap(int argc, char **argv)
{
    command c = {.plot = NULL};
    const own_options own = {own_rows, "", take_own, &c};
    outcome result = prune_options_parse(argc, argv, &own, &c.options);

    if (result == DONE && c.options.help) {
        result = print_help();
    } else if (result == DONE) {
        result = check(&c.options);
        if (result == DONE)
            result = run(&c);
    }
    prune_options_free(&c.options);
    return result;
}
