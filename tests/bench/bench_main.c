/*
 * bench_main.c - options, topics, and the figures at the end
 */
#include "bench.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_ROUNDS 40u
#define QUICK_ROUNDS 5u
#define MAX_ROUNDS 10000u

typedef struct topic {
    const char *name, *about;
    void (*run)(bench *b);
} topic;

static const topic topics[] = {
    {"score", "attention logits to importance, by tier", topic_score},
    {"scalar", "portable C against a loop over expf", topic_scalar},
    {"threads", "a pruner's scoring on one and on two threads", topic_threads},
    {"select", "both lists and filling up, a KV head", topic_select},
    {"gather", "kept rows of K and V to another place", topic_gather},
    {"pipeline", "score, select, gather: a whole layer", topic_pipeline},
    {"product", "straight from queries and keys", topic_product},
    {"workspace", "scratch of a call, per worker", topic_workspace}};

#define N_TOPICS (sizeof topics / sizeof topics[0])

/* ---- Figures ------------------------------------------------------------- */

static void add_figure(bench *b, named_figure f)
{
    expect(b->n_figures < MAX_FIGURES, "room for a figure");
    b->figures[b->n_figures++] = f;
}

void figure(bench *b, const char *name, double value)
{
    expect(value > 0.0 && isfinite(value), name);
    add_figure(b, (named_figure){.name = name, .value = value});
}

void figure_absent(bench *b, const char *name, const char *why)
{
    add_figure(b, (named_figure){.name = name, .why = why});
}

/* What is as small as that was slowed down by others, and still is not 0. */
static int decimals(double value)
{
    if (value < 0.1)
        return 9;
    return value < 1e3 ? 3 : 0;
}

static void print_figures(const bench *b)
{
    printf("\n");
    for (size_t i = 0; i < b->n_figures; i++)
        if (b->figures[i].why != NULL)
            printf("absent %s: %s\n", b->figures[i].name, b->figures[i].why);
    for (size_t i = 0; i < b->n_figures; i++)
        if (b->figures[i].why == NULL)
            printf("figure %s %.*f\n", b->figures[i].name,
                   decimals(b->figures[i].value), b->figures[i].value);
}

/* ---- Options ------------------------------------------------------------- */

static void print_help(void)
{
    puts("usage: bench [--only TOPIC] [--rounds N] [--csv FILE] [--quick]\n"
         "\n"
         "  --only TOPIC  one topic of those below\n"
         "  --rounds N    rounds of a contest; a slow one may stop earlier\n"
         "  --csv FILE    write the rows of the table to FILE\n"
         "  --quick       few heads, few rounds: says little in seconds\n"
         "  --tiny        smaller still: only shows that everything runs\n"
         "\n"
         "Times are of one thread if nothing else is said; set\n"
         "OPENBLAS_NUM_THREADS=1 and OMP_NUM_THREADS=1 for those it is\n"
         "compared with.  Topics:\n");
    for (size_t i = 0; i < N_TOPICS; i++)
        printf("  %-12s  %s\n", topics[i].name, topics[i].about);
}

static uint32_t rounds_of(const char *text)
{
    char *end;

    errno = 0;
    const unsigned long n = strtoul(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || n < 1 || n > MAX_ROUNDS)
        die(text, "not a number of rounds");
    return (uint32_t)n;
}

static void check_topic(const char *name)
{
    for (size_t i = 0; i < N_TOPICS; i++)
        if (strcmp(topics[i].name, name) == 0)
            return;
    die(name, "no such topic; see --help");
}

static options parse(int argc, char **argv)
{
    static const struct option known[] = {
        {"only", required_argument, NULL, 'o'},
        {"rounds", required_argument, NULL, 'r'},
        {"csv", required_argument, NULL, 'c'},
        {"quick", no_argument, NULL, 'q'},
        {"tiny", no_argument, NULL, 't'},
        {"help", no_argument, NULL, 'h'},
        {0}};
    options o = {0};
    int c;

    while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (c == 'o')
            check_topic(o.only = optarg);
        else if (c == 'r')
            o.rounds = rounds_of(optarg);
        else if (c == 'c')
            o.csv = optarg;
        else if (c == 'q')
            o.size = SIZE_QUICK;
        else if (c == 't')
            o.size = SIZE_TINY;
        else {
            print_help();
            exit(c == 'h' ? EXIT_SUCCESS : EXIT_FAILURE);
        }
    }
    if (optind < argc)
        die(argv[optind], "no argument was expected");
    if (o.rounds == 0)
        o.rounds = o.size == SIZE_FULL ? DEFAULT_ROUNDS : QUICK_ROUNDS;
    return o;
}

int main(int argc, char **argv)
{
    bench b = {.options = parse(argc, argv)};

    setvbuf(stdout, NULL, _IOLBF, 0);
    machine_pin(0);
    machine_print();
    table_open(&b);
    for (size_t i = 0; i < N_TOPICS; i++)
        if (b.options.only == NULL ||
            strcmp(b.options.only, topics[i].name) == 0) {
            table_topic(topics[i].name, topics[i].about);
            topics[i].run(&b);
        }
    print_figures(&b);
    table_close(&b);
    return EXIT_SUCCESS;
}
