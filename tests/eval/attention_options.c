/*
 * attention_options.c - the command line
 */
#include "attention_options.h"

#include "support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: eval_attention MODEL_DIR TESTSET_DIR [options]\n"
    "Attention outputs of a trained model over full and pruned caches.\n"
    "\n"
    "  --limit-contexts N  only the first N contexts\n"
    "  --csv FILE          write every number\n"
    "  --experiments       other moments and fits as well, for csp\n"
    "  --cache-only        later tokens do not see each other\n"
    "  --threads N         1 to 16 (2)\n"
    "  --help              print this\n";

static uint32_t count(const char *option, const char *text, uint32_t most)
{
    char *end;
    unsigned long long n;

    errno = 0;
    n = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 ||
        n == 0 || n > most)
        die(option, "\"%s\" is no whole number from 1 to %u", text, most);
    return (uint32_t)n;
}

static const char *value(int argc, char **argv, int *i)
{
    if (*i + 1 == argc)
        die(argv[*i], "needs a value, see --help");
    return argv[++*i];
}

options read_options(int argc, char **argv)
{
    options o = {.limit = UINT32_MAX, .threads = 2};

    for (int i = 1; i < argc; ++i) {
        const char *arg = argv[i];

        if (strcmp(arg, "--help") == 0) {
            fputs(usage, stdout);
            exit(EXIT_SUCCESS);
        } else if (strcmp(arg, "--limit-contexts") == 0) {
            o.limit = count(arg, value(argc, argv, &i), UINT32_MAX);
        } else if (strcmp(arg, "--threads") == 0) {
            o.threads = count(arg, value(argc, argv, &i), MAX_THREADS);
        } else if (strcmp(arg, "--csv") == 0) {
            o.csv = value(argc, argv, &i);
        } else if (strcmp(arg, "--experiments") == 0) {
            o.experiments = true;
        } else if (strcmp(arg, "--cache-only") == 0) {
            o.cache_only = true;
        } else if (arg[0] == '-') {
            die(arg, "not known, see --help");
        } else if (o.model == NULL) {
            o.model = arg;
        } else if (o.testset == NULL) {
            o.testset = arg;
        } else {
            die(arg, "one argument too many, see --help");
        }
    }
    if (o.model == NULL || o.testset == NULL)
        die("arguments", "MODEL_DIR and TESTSET_DIR are needed, see --help");
    return o;
}
