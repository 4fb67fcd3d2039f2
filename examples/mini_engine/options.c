/*
 * options.c - the command line
 */
#include "options.h"

#include "support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: mini_engine MODEL_DIR --tokens FILE [options]\n"
    "       mini_engine MODEL_DIR --testset DIR [options]\n"
    "Run a llama-style checkpoint with a full and with pruned KV caches.\n"
    "\n"
    "  --tokens FILE     prompt, .npy of i32\n"
    "  --pixels FILE     its image patches, .npy of u8 [patches][bytes]\n"
    "  --patches FILE    which tokens they are, .npy of i32\n"
    "  --spans FILE      .npy of i32 [n][3], begin, end, modality (1: image);\n"
    "                    default: each run of patches\n"
    "  --generate N      tokens to generate (16)\n"
    "  --reprune N       prune again whenever N tokens were generated (never)\n"
    "  --chunk N         tokens of a prefill chunk (64)\n"
    "\n"
    "  --testset DIR     accuracy on the prompts of a folder of .npy files\n"
    "  --protocol P      when to prune: hq, h1 or r (hq)\n"
    "  --limit N         only the first N prompts\n"
    "  --prompt N        only prompt N, as with --tokens\n"
    "\n"
    "  --method M[,M...] csp, agnostic, reference, paper, snapkv, h2o, "
    "streaming,\n"
    "                    random, full (csp)\n"
    "  --budget P[,P...] percent of the rows to keep (20)\n"
    "  --correct C[,...] none, sink, residual, moments: what stands for "
    "dropped\n"
    "                    rows (none)\n"
    "  --rank N          of the moments' summary (1)\n"
    "  --scores S        logits or queries: what the library is shown "
    "(logits)\n"
    "  --recent P        percent of recent rows (as the method has it)\n"
    "  --help            print this\n";

enum { MAX_LIST = 16 };

/* What was asked for; options.settings are its combinations. */
typedef struct lists {
    uint32_t methods[MAX_LIST], corrections[MAX_LIST];
    double budgets[MAX_LIST];
    uint32_t n_methods, n_corrections, n_budgets;
    source source;
    uint32_t rank;
    double recent;
} lists;

/* ---- Values -------------------------------------------------------------- */

static double number(const char *option, const char *text, char **end,
                     double low, double high)
{
    double x = strtod(text, end);

    if (*end == text || !(x >= low && x <= high))
        die(option, "\"%s\" is no number from %.10g to %.10g", text, low, high);
    return x;
}

static double only_number(const char *option, const char *text, double low,
                          double high)
{
    char *end;
    double x = number(option, text, &end, low, high);

    if (*end != '\0')
        die(option, "\"%s\" is not a number", text);
    return x;
}

static uint32_t count(const char *option, const char *text, uint32_t low,
                      uint32_t high)
{
    double x = only_number(option, text, low, high);

    if (x != floor(x))
        die(option, "\"%s\" is no whole number", text);
    return (uint32_t)x;
}

/* The index of text[0..length) among names. */
static uint32_t choice(const char *option, const char *text, size_t length,
                       const char *const *names, uint32_t n)
{
    for (uint32_t i = 0; i < n; ++i)
        if (strlen(names[i]) == length && strncmp(text, names[i], length) == 0)
            return i;
    die(option, "\"%s\" is not known, see --help", text);
}

/* A list of names, as indices. */
static uint32_t choices(const char *option, const char *text,
                        const char *const *names, uint32_t n, uint32_t *list)
{
    uint32_t count_of = 0;

    for (;; ++text) {
        size_t length = strcspn(text, ",");

        if (count_of == MAX_LIST)
            die(option, "more than %d names", MAX_LIST);
        list[count_of++] = choice(option, text, length, names, n);
        text += length;
        if (*text == '\0')
            return count_of;
    }
}

/* Methods, of which "full" is no pruning, as every run has it anyway. */
static void read_methods(const char *text, lists *l)
{
    const char *names[N_METHODS + 1];
    uint32_t all[MAX_LIST];

    memcpy(names, method_names, sizeof method_names);
    names[N_METHODS] = "full";
    l->n_methods = 0;
    uint32_t n = choices("--method", text, names, N_METHODS + 1, all);
    for (uint32_t i = 0; i < n; ++i)
        if (all[i] < N_METHODS)
            l->methods[l->n_methods++] = all[i];
}

static void read_budgets(const char *text, lists *l)
{
    char *end;

    for (l->n_budgets = 0;; text = end + 1) {
        if (l->n_budgets == MAX_LIST)
            die("--budget", "more than %d budgets", MAX_LIST);
        l->budgets[l->n_budgets++] = number("--budget", text, &end, 1.0, 100.0);
        if (*end == '\0')
            return;
        if (*end != ',')
            die("--budget", "\"%s\" is no list of numbers", text);
    }
}

/* ---- Options ------------------------------------------------------------- */

static bool set_file(options *o, const char *name, const char *text)
{
    if (strcmp(name, "--tokens") == 0)
        o->tokens = text;
    else if (strcmp(name, "--pixels") == 0)
        o->pixels = text;
    else if (strcmp(name, "--patches") == 0)
        o->patches = text;
    else if (strcmp(name, "--spans") == 0)
        o->spans = text;
    else if (strcmp(name, "--testset") == 0)
        o->testset = text;
    else
        return false;
    return true;
}

static bool set_count(options *o, const char *name, const char *text)
{
    if (strcmp(name, "--generate") == 0) {
        o->n_generate = count(name, text, 1, 1u << 20);
    } else if (strcmp(name, "--reprune") == 0) {
        o->reprune = count(name, text, 1, 1u << 20);
    } else if (strcmp(name, "--chunk") == 0) {
        o->chunk = count(name, text, 1, 1u << 16);
    } else if (strcmp(name, "--limit") == 0) {
        o->limit = count(name, text, 1, UINT32_MAX);
    } else if (strcmp(name, "--prompt") == 0) {
        o->prompt = count(name, text, 0, UINT32_MAX);
        o->one_prompt = true;
    } else {
        return false;
    }
    return true;
}

static void set_pruning(options *o, lists *l, const char *name,
                        const char *text)
{
    if (strcmp(name, "--method") == 0)
        read_methods(text, l);
    else if (strcmp(name, "--budget") == 0)
        read_budgets(text, l);
    else if (strcmp(name, "--correct") == 0)
        l->n_corrections = choices(name, text, correction_names, N_CORRECTIONS,
                                   l->corrections);
    else if (strcmp(name, "--scores") == 0)
        l->source =
            (source)choice(name, text, strlen(text), source_names, N_SOURCES);
    else if (strcmp(name, "--rank") == 0)
        l->rank = count(name, text, 0, 1u << 16);
    else if (strcmp(name, "--recent") == 0)
        l->recent = only_number(name, text, 0.0, 100.0) / 100.0;
    else if (strcmp(name, "--protocol") == 0)
        o->protocol = (protocol)choice(name, text, strlen(text), protocol_names,
                                       N_PROTOCOLS);
    else
        die(name, "unknown option, see --help");
}

static void combine(options *o, const lists *l)
{
    for (uint32_t b = 0; b < l->n_budgets; ++b)
        for (uint32_t m = 0; m < l->n_methods; ++m)
            for (uint32_t c = 0; c < l->n_corrections; ++c) {
                if (o->n_settings == MAX_SETTINGS)
                    die("options", "more than %d combinations", MAX_SETTINGS);
                o->settings[o->n_settings++] = (prune_settings){
                    .method = (method)l->methods[m],
                    .correction = (correction)l->corrections[c],
                    .source = l->source,
                    .rank = l->rank,
                    .keep = l->budgets[b] / 100.0,
                    .recent = l->recent,
                };
            }
}

static void check_together(const options *o)
{
    if (o->model == NULL)
        die("options", "no folder of a model, see --help");
    if ((o->tokens == NULL) == (o->testset == NULL))
        die("options", "either --tokens or --testset is needed, see --help");
    if ((o->pixels == NULL) != (o->patches == NULL))
        die("options", "--pixels and --patches belong together");
    if (o->testset != NULL && (o->pixels != NULL || o->spans != NULL))
        die("options", "--pixels and --spans belong to --tokens");
    if (o->testset == NULL && o->one_prompt)
        die("options", "--prompt belongs to --testset");
}

options options_read(int argc, char **argv)
{
    options o = {.n_generate = 16, .chunk = 64, .limit = UINT32_MAX};
    lists l = {.methods = {METHOD_CSP},
               .corrections = {CORRECT_NONE},
               .budgets = {20.0},
               .n_methods = 1,
               .n_corrections = 1,
               .n_budgets = 1,
               .rank = 1,
               .recent = -1.0};

    for (int i = 1; i < argc; ++i) {
        const char *name = argv[i];

        if (strcmp(name, "--help") == 0) {
            fputs(usage, stdout);
            exit(EXIT_SUCCESS);
        }
        if (strncmp(name, "--", 2) != 0) {
            if (o.model != NULL)
                die(name, "a second folder of a model");
            o.model = name;
            continue;
        }
        if (i + 1 == argc)
            die(name, "unknown option or no value, see --help");
        const char *text = argv[++i];
        if (!set_file(&o, name, text) && !set_count(&o, name, text))
            set_pruning(&o, &l, name, text);
    }
    combine(&o, &l);
    check_together(&o);
    return o;
}
