/*
 * csp.c - the program: finds the command and runs it
 */
#include "commands.h"
#include "csp.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

typedef struct command {
    const char *name, *summary;
    outcome (*run)(int argc, char **argv);
} command;

/* In the order of --help; the last has no name. */
static const command commands[] = {
    {"prune", "choose the tokens to keep", command_prune},
    {"compact", "gather a cache of keys or values by a keep list",
     command_compact},
    {"inspect", "what is in a file of numbers", command_inspect},
    {"report", "draw what was kept, as a web page", command_report},
    {"gap", "compare attention in and across modalities", command_gap},
    {"selftest", "run built-in cases on every tier", command_selftest},
    {NULL, NULL, NULL},
};

static outcome print_version(void)
{
    const int version = csp_version();

    printf("csp %d.%d.%d\n", version / 10000, version / 100 % 100,
           version % 100);
    return flush_output();
}

static outcome print_help(void)
{
    puts("usage: csp COMMAND [options]\n"
         "\n"
         "Prune key/value caches by attention that was dumped to files, and\n"
         "look at what is kept.\n");
    for (const command *c = commands; c->name != NULL; c++)
        printf("  %-9s %s\n", c->name, c->summary);
    puts(
        "\n"
        "  csp COMMAND --help   options of a command\n"
        "  csp --version        version of the library linked\n"
        "\n"
        "Exit codes: 0 done, 1 wrong usage, 2 bad input, 3 files could not be\n"
        "read or written, 4 internal error.  See also man csp.");
    return flush_output();
}

static const command *find(const char *name)
{
    for (const command *c = commands; c->name != NULL; c++)
        if (strcmp(c->name, name) == 0)
            return c;
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return (int)fail(BAD_USAGE, "expected a command; see csp --help");
    if (strcmp(argv[1], "--help") == 0)
        return (int)print_help();
    if (strcmp(argv[1], "--version") == 0)
        return (int)print_version();
    const command *c = find(argv[1]);
    if (c == NULL)
        return (int)fail(BAD_USAGE, "unknown command %s; see csp --help",
                         argv[1]);
    return (int)c->run(argc - 1, argv + 1);
}
