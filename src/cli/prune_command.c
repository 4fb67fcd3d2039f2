/*
 * prune_command.c - csp prune
 */
#include "commands.h"
#include "prune_files.h"
#include "prune_options.h"
#include "prune_summary.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* One run of the command. */
typedef struct command {
    prune_options options;
    const char *folder; /* NULL: no files */
    bool as_json;
    prune_files *files;
    prune_summary summary;
} command;

enum { OWN_OUT = 1, OWN_JSON };

static const struct option own_rows[] = {
    {"out", required_argument, NULL, OWN_OUT},
    {"json", no_argument, NULL, OWN_JSON},
    {NULL, 0, NULL, 0}};

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static outcome take_own(void *context, int option, const char *argument)
{
    command *c = context;

    if (option == OWN_JSON) {
        c->as_json = true;
        return DONE;
    }
    if (c->folder != NULL)
        return fail(BAD_USAGE, "--out is given twice");
    if (*argument == '\0')
        return fail(BAD_USAGE, "--out: expected a folder");
    c->folder = argument;
    return DONE;
}

static outcome begin(void *context, const prune_shape *shape)
{
    command *c = context;
    const outcome result = prune_summary_begin(&c->summary, &c->options, shape);

    if (result != DONE || c->folder == NULL)
        return result;
    return prune_files_open(c->folder, shape, &c->files);
}

static outcome take_layer(void *context, const prune_layer *layer)
{
    command *c = context;
    const double start = seconds();
    outcome result = prune_summary_layer(&c->summary, layer);

    if (result == DONE && c->files != NULL)
        result = prune_files_layer(c->files, layer);
    c->summary.write += seconds() - start;
    return result;
}

/* Files first: who reads the summary may rely on them. */
static outcome finish(command *c)
{
    char *json = prune_summary_json(&c->summary);
    outcome result = json != NULL ? DONE : INTERNAL;

    if (result == DONE && c->files != NULL) {
        result = prune_files_commit(c->files, json);
        c->files = NULL;
    }
    if (result == DONE && c->as_json)
        fputs(json, stdout);
    else if (result == DONE)
        prune_summary_print(&c->summary, c->folder);
    free(json);
    return result == DONE ? flush_output() : result;
}

static outcome run(command *c)
{
    outcome result = prune_run(&c->options, begin, take_layer, c);

    if (result == DONE)
        result = finish(c);
    prune_files_abandon(c->files);
    prune_summary_free(&c->summary);
    return result;
}

static outcome print_help(void)
{
    puts(
        "usage: csp prune SCORES [options]\n"
        "\n"
        "Choose the tokens that a key/value cache keeps.  SCORES is a .npy or\n"
        ".safetensors file of [heads][queries][keys] or\n"
        "[layers][heads][queries][keys].\n"
        "\n"
        "Results:\n"
        "  --out DIR             write mask.npy, keep.npy, importance.npy,\n"
        "                        reasons.npy, sink_logits.npy, residual.npy,\n"
        "                        summary.json\n"
        "  --json                print summary.json instead of a table\n");
    prune_options_help();
    return flush_output();
}

outcome command_prune(int argc, char **argv)
{
    command c = {.folder = NULL};
    const own_options own = {
        .options = own_rows, .letters = "", .take = take_own, .context = &c};
    outcome result = prune_options_parse(argc, argv, &own, &c.options);

    if (result == DONE && c.options.help)
        result = print_help();
    else if (result == DONE)
        result = run(&c);
    prune_options_free(&c.options);
    return result;
}
