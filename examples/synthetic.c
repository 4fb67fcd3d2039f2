/*
 * synthetic.c - prune the cache of a vision-language prompt by several methods
 *
 * Makes a prompt (or loads a real one), prunes its cache after the context,
 * lets later queries read the pruned cache, and prints what was kept and how
 * far their attention outputs are from those over the full cache.  Run with
 * --help for the options.
 */
#include "synthetic.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef CSP_EXAMPLE_DATA_DIR
#define CSP_EXAMPLE_DATA_DIR "examples/data"
#endif

enum { MAX_BUDGETS = 16, RANDOM_RUNS = 5 };

typedef struct options {
    sizes shape;
    double budgets[MAX_BUDGETS]; /* percent */
    uint32_t n_budgets;
    double share; /* negative: each method's own */
    bool real;
    const char *data;
    const char *svg;
} options;

static const char usage[] =
    "usage: synthetic [options]\n"
    "Prune the KV cache of a vision-language prompt and compare methods.\n"
    "\n"
    "  --tokens N         tokens of the prompt, 256 to 8192 (640)\n"
    "  --images N         images in it (4)\n"
    "  --layers N         layers (4)\n"
    "  --heads N          query heads (8)\n"
    "  --kv-heads N       KV heads, a divisor of the query heads (2)\n"
    "  --seed N           seed of the prompt and of random pruning (1)\n"
    "  --budget P[,P...]  percent of tokens to keep (10,20,30)\n"
    "  --inter-share X    inter list's share in CSP, 0 to 1 (automatic)\n"
    "  --real             use the real prompt instead of a synthetic one\n"
    "  --data DIR         folder of the real prompt\n"
    "  --svg FILE         draw what CSP keeps at the middle budget\n"
    "  --help             print this\n";

/* ---- Options ------------------------------------------------------------- */

static double number(const char *name, const char *text, char **end, double low,
                     double high)
{
    double x = strtod(text, end);

    if (*end == text || !(x >= low && x <= high))
        fail(name, "number missing or out of range, see --help");
    return x;
}

static double only_number(const char *name, const char *text, double low,
                          double high)
{
    char *end;
    double x = number(name, text, &end, low, high);

    if (*end != '\0')
        fail(name, "not a number");
    return x;
}

static uint32_t count(const char *name, const char *text, uint32_t low,
                      uint32_t high)
{
    double x = only_number(name, text, (double)low, (double)high);

    if (x != floor(x))
        fail(name, "not a whole number");
    return (uint32_t)x;
}

static void add_budgets(options *o, const char *text)
{
    char *end;

    for (;; text = end + 1) {
        if (o->n_budgets == MAX_BUDGETS)
            fail("--budget", "too many");
        o->budgets[o->n_budgets++] = number("--budget", text, &end, 2.0, 100.0);
        if (*end == '\0')
            return;
        if (*end != ',')
            fail("--budget", "not a list of numbers");
    }
}

static void set_option(options *o, const char *name, const char *text)
{
    if (strcmp(name, "--tokens") == 0)
        o->shape.n_context = count(name, text, 256, 8192);
    else if (strcmp(name, "--images") == 0)
        o->shape.n_images = count(name, text, 0, 400);
    else if (strcmp(name, "--layers") == 0)
        o->shape.n_layers = count(name, text, 1, 64);
    else if (strcmp(name, "--heads") == 0)
        o->shape.n_heads = count(name, text, 1, 64);
    else if (strcmp(name, "--kv-heads") == 0)
        o->shape.n_kv_heads = count(name, text, 1, 64);
    else if (strcmp(name, "--seed") == 0)
        o->shape.seed = count(name, text, 0, UINT32_MAX);
    else if (strcmp(name, "--budget") == 0)
        add_budgets(o, text);
    else if (strcmp(name, "--inter-share") == 0)
        o->share = only_number(name, text, 0.0, 1.0);
    else if (strcmp(name, "--data") == 0)
        o->data = text;
    else if (strcmp(name, "--svg") == 0)
        o->svg = text;
    else
        fail(name, "unknown option, see --help");
}

static options read_options(int argc, char **argv)
{
    options o = {
        .shape = {.n_context = 640,
                  .n_layers = 4,
                  .n_heads = 8,
                  .n_kv_heads = 2,
                  .n_images = 4,
                  .seed = 1},
        .share = -1.0,
        .data = CSP_EXAMPLE_DATA_DIR,
    };

    for (int i = 1; i < argc; ++i) {
        if (strcmp(argv[i], "--help") == 0) {
            fputs(usage, stdout);
            exit(EXIT_SUCCESS);
        }
        if (strcmp(argv[i], "--real") == 0) {
            o.real = true;
            continue;
        }
        if (i + 1 == argc)
            fail(argv[i], "unknown option or no value, see --help");
        set_option(&o, argv[i], argv[i + 1]);
        ++i;
    }
    if (o.n_budgets == 0)
        add_budgets(&o, "10,20,30");
    if (o.shape.n_heads % o.shape.n_kv_heads != 0)
        fail("--kv-heads", "does not divide the query heads");
    if (o.shape.n_images > o.shape.n_context / 20)
        fail("--images", "more than the tokens have room for");
    return o;
}

/* ---- Table --------------------------------------------------------------- */

static void print_prompt(const prompt *p, const options *o)
{
    const uint64_t rows = (uint64_t)p->n_layers * p->n_kv_heads * p->n_context;
    uint32_t images = 0, n_text = 0;

    for (uint32_t s = 0; s < p->n_spans; ++s)
        images += p->spans[s].modality == IMAGE;
    for (uint32_t t = 0; t < p->n_context; ++t)
        n_text += modality_of(p, t) == TEXT;
    if (o->real)
        puts("Real prompt of a trained vision-language decoder");
    else
        printf("Synthetic prompt, seed %llu\n",
               (unsigned long long)o->shape.seed);
    printf("  %u tokens, %u text and %u image, %u images; %u more query it\n",
           p->n_context, n_text, p->n_context - n_text, images,
           p->n_tokens - p->n_context);
    printf("  %u layers, %u query heads on %u KV heads of %u channels; "
           "cache %.0f KiB\n\n",
           p->n_layers, p->n_heads, p->n_kv_heads, p->head_dim,
           (double)rows * p->head_dim * 2.0 * sizeof(float) / 1024.0);
}

static void print_head(bool needles)
{
    printf("%-22s %12s %8s   %s%s\n", "", "kept tokens ", "cache ",
           "output error by correction", needles ? "  needle" : "");
    printf("%-6s %-16s %5s %6s %8s   %5s %6s %6s %6s%s %8s\n", "budget",
           "method", "text", "image", "KiB", "none", "n=1", "calib", "+resid",
           needles ? "  recall" : "", "ms");
}

static void print_outcome(double budget, method m, const outcome *r,
                          bool needles)
{
    printf("%4.0f %% %-16s %5.1f %6.1f %8.1f   %5.3f %6.3f %6.3f %6.3f", budget,
           method_names[m], r->text, r->image, r->cache_bytes / 1024.0,
           r->error[PLAIN], r->error[FIXED], r->error[CALIBRATED],
           r->error[RESIDUAL]);
    if (needles)
        printf("  %4.0f %%", 100.0 * r->recall);
    printf(" %8.2f\n", r->milliseconds);
}

static void print_foot(void)
{
    puts("Output error: |pruned - full| / |full| of the attention output, mean "
         "over\n"
         "layers, heads and later queries.  Dropped tokens are made up for by\n"
         "  none    nothing: softmax over the kept keys\n"
         "  n=1     one more key of logit 0, as in the paper\n"
         "  calib   n of each head, as measured before pruning\n"
         "  +resid  that, and the mean dropped value\n"
         "KiB: all layers.  ms: score, select and compact all layers.  "
         "random: mean of 5.");
}

static outcome run_random(const prompt *p, uint32_t budget, uint64_t seed,
                          const float *full)
{
    outcome mean = {0};

    for (uint32_t i = 0; i < RANDOM_RUNS; ++i) {
        outcome r = run(p, METHOD_RANDOM, budget, -1.0, seed * RANDOM_RUNS + i,
                        full, NULL);

        mean.text += r.text / RANDOM_RUNS;
        mean.image += r.image / RANDOM_RUNS;
        mean.cache_bytes += r.cache_bytes / RANDOM_RUNS;
        mean.recall += r.recall / RANDOM_RUNS;
        mean.milliseconds += r.milliseconds / RANDOM_RUNS;
        for (int c = 0; c < N_CORRECTIONS; ++c)
            mean.error[c] += r.error[c] / RANDOM_RUNS;
    }
    return mean;
}

static uint32_t budget_tokens(const prompt *p, double percent)
{
    return (uint32_t)(percent / 100.0 * (double)p->n_context + 0.5);
}

static void print_table(const prompt *p, const options *o, const float *full)
{
    const bool needles = p->n_needles > 0;

    print_head(needles);
    for (uint32_t b = 0; b < o->n_budgets; ++b) {
        uint32_t budget = budget_tokens(p, o->budgets[b]);

        for (int m = 0; m < N_METHODS; ++m) {
            outcome r =
                m == METHOD_RANDOM
                    ? run_random(p, budget, o->shape.seed, full)
                    : run(p, (method)m, budget, o->share, 0, full, NULL);

            print_outcome(o->budgets[b], (method)m, &r, needles);
        }
        putchar('\n');
    }
    print_foot();
}

/* ---- Picture ------------------------------------------------------------- */

static bool make_picture(const prompt *p, const options *o, const float *full)
{
    const size_t n_lists = (size_t)p->n_layers * p->n_kv_heads;
    uint32_t budget = budget_tokens(p, o->budgets[o->n_budgets / 2]);
    trace picture = {.kept = take(n_lists, p->n_context),
                     .intra = take(p->n_context, sizeof(float)),
                     .inter = take(p->n_context, sizeof(float))};
    outcome result = run(p, METHOD_CSP, budget, o->share, 0, full, &picture);

    bool good = draw(o->svg, p, budget, &result, &picture);
    free(picture.inter);
    free(picture.intra);
    free(picture.kept);
    return good;
}

int main(int argc, char **argv)
{
    options o = read_options(argc, argv);
    bool good = true;
    prompt p;

    if (o.real)
        prompt_load(o.data, &p);
    else
        prompt_make(&o.shape, &p);
    float *full = attend_full(&p);
    print_prompt(&p, &o);
    print_table(&p, &o, full);
    if (o.svg != NULL) {
        good = make_picture(&p, &o, full);
        printf("Picture: %s%s\n", o.svg, good ? "" : " could not be written");
    }
    free(full);
    prompt_free(&p);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
