/*
 * report_command.c - csp report
 */
#include "commands.h"
#include "gap_layer.h"
#include "prune_summary.h"
#include "report_folder.h"
#include "report_settings.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A report of scores while they are pruned. */
typedef struct command {
    prune_options options;
    const char *path; /* of the report */
    double n;         /* of the weights that are counted */
    report_writer *writer;
    gap_counter *counter;
    gap_layer gap;
} command;

static const struct option own_rows[] = {
    {"output", required_argument, NULL, 'o'}, {NULL, 0, NULL, 0}};

static outcome take_own(void *context, int option, const char *argument)
{
    command *c = context;

    (void)option;
    if (c->path != NULL)
        return fail(BAD_USAGE, "-o is given twice");
    if (*argument == '\0')
        return fail(BAD_USAGE, "-o: expected a file");
    c->path = argument;
    return DONE;
}

/* ---- From scores --------------------------------------------------------- */

/* The settings are those that summary.json would hold. */
static outcome read_settings(const command *c, const prune_shape *shape,
                             report_settings *settings)
{
    prune_summary summary;
    outcome result = prune_summary_begin(&summary, &c->options, shape);

    if (result != DONE)
        return result;
    char *json = prune_summary_json(&summary);
    result = json != NULL
                 ? report_settings_read("summary", json, strlen(json), settings)
                 : INTERNAL;
    free(json);
    prune_summary_free(&summary);
    return result;
}

static outcome begin(void *context, const prune_shape *shape)
{
    command *c = context;
    report_settings settings = {.n = 0};
    char source[8192];
    outcome result = read_settings(c, shape, &settings);

    c->n = shape->config->n;
    if (result == DONE)
        result = gap_counter_create(shape->n_keys, &c->counter);
    if (result == DONE) {
        report_head head = report_settings_head(&settings);
        const char *tensor = c->options.tensor;
        snprintf(source, sizeof source, "%s%s%s", settings.source,
                 tensor != NULL ? ", " : "", tensor != NULL ? tensor : "");
        head.source = source;
        result = report_begin(c->path, &head, &c->writer);
    }
    report_settings_free(&settings);
    return result;
}

static outcome take_layer(void *context, const prune_layer *layer)
{
    command *c = context;

    gap_counter_reset(c->counter);
    const outcome result =
        gap_count(c->counter, c->options.scores, layer->layer, layer->attention,
                  layer->tokens, c->n);
    if (result != DONE)
        return result;
    gap_finish(c->counter, &c->gap);
    const report_layer done = {.importance = layer->importance,
                               .reasons = layer->reasons,
                               .n_lists = layer->kept->n_lists,
                               .sink_logits = layer->sink_logits,
                               .gap = &c->gap};
    return report_add(c->writer, &done);
}

static outcome report_of_scores(command *c)
{
    outcome result = prune_run(&c->options, begin, take_layer, c);

    if (c->writer != NULL)
        result = report_end(c->writer, result);
    gap_counter_free(c->counter);
    return result;
}

/* ---- The command --------------------------------------------------------- */

static outcome print_help(void)
{
    puts("usage: csp report DIR -o FILE.html\n"
         "       csp report SCORES [options of prune] -o FILE.html\n"
         "\n"
         "Draw what pruning kept, as one web page that needs nothing else.  "
         "DIR\n"
         "is what csp prune wrote; from SCORES the page also shows how\n"
         "differently attention in and across modalities is distributed.\n"
         "\n"
         "  -o, --output FILE     the page\n");
    prune_options_help();
    return flush_output();
}

static outcome is_folder(const char *path, bool *yes)
{
    struct stat status;

    if (stat(path, &status) != 0)
        return fail(IO_FAILED, "%s: cannot be opened: %s", path,
                    strerror(errno));
    *yes = S_ISDIR(status.st_mode);
    return DONE;
}

static outcome run(command *c)
{
    bool has_been_pruned = false;

    if (c->path == NULL)
        return fail(BAD_USAGE, "expected -o FILE.html; see csp report --help");
    const outcome result = is_folder(c->options.scores, &has_been_pruned);
    if (result != DONE)
        return result;
    if (!has_been_pruned)
        return report_of_scores(c);
    for (int i = 0; i < N_PRUNE_OPTIONS; i++)
        if (c->options.given[i])
            return fail(BAD_USAGE, "--%s: %s has been pruned already",
                        prune_option_name((enum prune_option)i),
                        c->options.scores);
    return report_of_folder(c->options.scores, c->path);
}

outcome command_report(int argc, char **argv)
{
    command c = {.path = NULL};
    const own_options own = {own_rows, "o:", take_own, &c};
    outcome result = prune_options_parse(argc, argv, &own, &c.options);

    if (result == DONE && c.options.help)
        result = print_help();
    else if (result == DONE)
        result = run(&c);
    prune_options_free(&c.options);
    return result;
}
