/*
 * accuracy.c - how often a model still answers, by ways to prune and budgets
 *
 *     eval_accuracy MODEL_DIR TESTSET_DIR [--prompts N] [--threads N]
 *         [--csv FILE] [--only PART_OF_NAME]
 *
 * Both protocols: the question in the window ("w", all of the prompt but its
 * last token is in the cache when it is pruned) and after pruning ("a").
 * Prompts that share a context are not independent, so confidence comes from
 * the spread of contexts' means.
 */
#include "variants.h"

#include "support.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { N_BUDGETS = 6, MAX_THREADS = 64 };

static const double budgets[N_BUDGETS] = {5, 10, 15, 20, 30, 50};

typedef struct options {
    const char *model, *testset, *csv, *only;
    uint32_t n_prompts, n_threads;
} options;

/* ---- Running ------------------------------------------------------------- */

typedef struct job {
    const model *m;
    const testset *t;
    protocol how;
    const prune_settings *settings;
    uint32_t n_settings, begin, end;
    verdicts found;
} job;

static void *run(void *argument)
{
    job *j = argument;

    j->found = testset_run(j->t, j->m, j->how, j->settings, j->n_settings,
                           j->begin, j->end);
    return NULL;
}

/* The end of a part that starts at 'begin', moved to a context's end. */
static uint32_t part_end(const testset *t, uint32_t end, uint32_t most)
{
    while (end < most && t->ctx_id.i32[end] == t->ctx_id.i32[end - 1])
        ++end;
    return end;
}

/* Verdicts on prompts [0, n), from as many threads; the same however many. */
static verdicts run_all(const model *m, const testset *t, protocol how,
                        const prune_settings *settings, uint32_t n_settings,
                        const options *o)
{
    const uint32_t n =
        o->n_prompts < t->n_prompts ? o->n_prompts : t->n_prompts;
    const size_t row = 1 + (size_t)n_settings;
    verdicts all = {.end = n, .n_settings = n_settings};
    pthread_t threads[MAX_THREADS];
    job jobs[MAX_THREADS];
    uint32_t begin = 0, n_jobs = 0;

    all.right = take(n * row, 1);
    all.kept = take(row, sizeof *all.kept);
    for (uint32_t i = 0; i < o->n_threads && begin < n; ++i) {
        uint32_t end = begin + (n - begin) / (o->n_threads - i);

        end = part_end(t, end > begin ? end : begin + 1, n);
        jobs[n_jobs] = (job){.m = m,
                             .t = t,
                             .how = how,
                             .settings = settings,
                             .n_settings = n_settings,
                             .begin = begin,
                             .end = end};
        if (pthread_create(&threads[n_jobs], NULL, run, &jobs[n_jobs]) != 0)
            die("threads", "none to be had");
        ++n_jobs;
        begin = end;
    }
    for (uint32_t i = 0; i < n_jobs; ++i) {
        job *j = &jobs[i];

        pthread_join(threads[i], NULL);
        memcpy(all.right + j->begin * row, j->found.right,
               (j->end - j->begin) * row);
        for (size_t k = 0; k < row; ++k)
            all.kept[k] += j->found.kept[k] * (j->end - j->begin) / n;
        verdicts_free(&j->found);
    }
    return all;
}

/* ---- Statistics ---------------------------------------------------------- */

typedef struct estimate {
    double mean, error; /* of 95 % confidence, both as fractions */
} estimate;

/* Mean over prompts of a - b (b NULL: of a), by contexts as clusters. */
static estimate estimate_of(const testset *t, const verdicts *v, uint32_t a,
                            const uint32_t *b)
{
    const size_t row = 1 + (size_t)v->n_settings;
    double sum = 0.0, squares = 0.0;
    uint32_t n_clusters = 0;

    for (uint32_t i = v->begin; i < v->end;) {
        const int32_t context = t->ctx_id.i32[i];

        for (; i < v->end && t->ctx_id.i32[i] == context; ++i)
            sum += v->right[i * row + a] - (b ? v->right[i * row + *b] : 0);
        ++n_clusters;
    }
    const double n = v->end - v->begin;
    const double mean = sum / n;
    for (uint32_t i = v->begin; i < v->end;) {
        const int32_t context = t->ctx_id.i32[i];
        double rest = 0.0;

        for (; i < v->end && t->ctx_id.i32[i] == context; ++i)
            rest +=
                v->right[i * row + a] - (b ? v->right[i * row + *b] : 0) - mean;
        squares += rest * rest;
    }
    const double fewness =
        n_clusters > 1 ? n_clusters / (n_clusters - 1.0) : 0.0;
    return (estimate){.mean = mean,
                      .error = 1.96 * sqrt(fewness * squares) / n};
}

/* ---- Output -------------------------------------------------------------- */

/* The setting of a variant at a budget; 0 is the full cache. */
static uint32_t setting_of(uint32_t which, uint32_t budget)
{
    return 1 + which * N_BUDGETS + budget;
}

static void print_table(const testset *t, const verdicts *v,
                        const variant *list, uint32_t n_variants, protocol how)
{
    printf("\n%s: right answers in percent, +- 95 %% confidence; the full "
           "cache %.1f\n\n%-20s",
           how == PROTOCOL_HQ ? "Question after pruning"
                              : "Question in the window",
           100.0 * estimate_of(t, v, 0, NULL).mean, "");
    for (uint32_t b = 0; b < N_BUDGETS; ++b)
        printf("  %7.0f %% ", budgets[b]);
    putchar('\n');
    for (uint32_t i = 0; i < n_variants; ++i) {
        printf("%-20s", list[i].name);
        for (uint32_t b = 0; b < N_BUDGETS; ++b) {
            const estimate e = estimate_of(t, v, setting_of(i, b), NULL);

            printf("  %5.1f+-%.1f", 100.0 * e.mean, 100.0 * e.error);
        }
        putchar('\n');
    }
}

/* What does better than the first variant, prompt by prompt. */
static void print_better(const testset *t, const verdicts *v,
                         const variant *list, uint32_t n_variants)
{
    printf("\nBetter than %s beyond 95 %% confidence of the difference:\n",
           list[0].name);
    for (uint32_t i = 1; i < n_variants; ++i)
        for (uint32_t b = 0; b < N_BUDGETS; ++b) {
            const uint32_t first = setting_of(0, b);
            const estimate e = estimate_of(t, v, setting_of(i, b), &first);

            if (e.mean > e.error)
                printf("%-20s  %2.0f %%: %+.1f+-%.1f\n", list[i].name,
                       budgets[b], 100.0 * e.mean, 100.0 * e.error);
        }
}

static void write_csv(FILE *csv, const model *m, const testset *t,
                      const verdicts *v, const variant *list,
                      uint32_t n_variants, protocol how)
{
    for (uint32_t i = 0; i < n_variants; ++i)
        for (uint32_t b = 0; b < N_BUDGETS; ++b) {
            const uint32_t k = setting_of(i, b);
            const estimate e = estimate_of(t, v, k, NULL);
            const accuracy a = accuracy_of(t, v, k);

            fprintf(csv, "%s,%s,%.0f,%.4f,%.4f,%.4f",
                    how == PROTOCOL_HQ ? "after" : "window", list[i].name,
                    budgets[b], a.kept, e.mean, e.error);
            for (uint32_t task = 0; task < m->n_tasks; ++task)
                fprintf(csv, ",%.4f",
                        a.total[task] ? (double)a.right[task] / a.total[task]
                                      : (double)NAN);
            fputc('\n', csv);
        }
}

static void print_figures(const testset *t, const verdicts *v,
                          const variant *list, uint32_t n_variants,
                          protocol how)
{
    static const char *const names[] = {
        "csp",    "csp_moments", "csp_paper", "csp_reference", "joint",
        "snapkv", "h2o",         "streaming", "random"};

    if (how != PROTOCOL_HQ)
        printf("figure tinyvlm_full_accuracy %.4f\n",
               estimate_of(t, v, 0, NULL).mean);
    for (size_t k = 0; k < sizeof names / sizeof *names; ++k)
        for (uint32_t i = 0; i < n_variants; ++i)
            for (uint32_t b = 0;
                 strcmp(list[i].name, names[k]) == 0 && b < N_BUDGETS; ++b)
                printf("figure acc_%c_%s_%.0f %.4f\n",
                       how == PROTOCOL_HQ ? 'a' : 'w', names[k], budgets[b],
                       estimate_of(t, v, setting_of(i, b), NULL).mean);
}

/* ---- Program ------------------------------------------------------------- */

static uint32_t whole(const char *name, const char *text, uint32_t most)
{
    char *end;
    const unsigned long x = strtoul(text, &end, 10);

    if (*text < '0' || *text > '9' || *end != '\0' || x == 0 || x > most)
        die(name, "\"%s\" is no whole number from 1 to %u", text, most);
    return (uint32_t)x;
}

static options read_options(int argc, char **argv)
{
    const long n_cpus = sysconf(_SC_NPROCESSORS_ONLN);
    options o = {.n_prompts = UINT32_MAX,
                 .n_threads =
                     n_cpus > 0 && n_cpus < MAX_THREADS ? (uint32_t)n_cpus : 1};

    if (argc < 3 || argc % 2 == 0)
        die("usage", "eval_accuracy MODEL_DIR TESTSET_DIR [--prompts N] "
                     "[--threads N] [--csv FILE] [--only PART_OF_NAME]");
    o.model = argv[1];
    o.testset = argv[2];
    for (int i = 3; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--prompts") == 0)
            o.n_prompts = whole(argv[i], argv[i + 1], UINT32_MAX);
        else if (strcmp(argv[i], "--threads") == 0)
            o.n_threads = whole(argv[i], argv[i + 1], MAX_THREADS);
        else if (strcmp(argv[i], "--csv") == 0)
            o.csv = argv[i + 1];
        else if (strcmp(argv[i], "--only") == 0)
            o.only = argv[i + 1];
        else
            die(argv[i], "unknown option");
    }
    return o;
}

/* Every variant at every budget. */
static prune_settings *settings_for(const variant *list, uint32_t n_variants)
{
    prune_settings *settings =
        take((size_t)n_variants * N_BUDGETS, sizeof *settings);

    for (uint32_t i = 0; i < n_variants; ++i)
        for (uint32_t b = 0; b < N_BUDGETS; ++b) {
            prune_settings *s = &settings[setting_of(i, b) - 1];

            *s = list[i].settings;
            s->keep = budgets[b] / 100.0;
        }
    return settings;
}

int main(int argc, char **argv)
{
    static const protocol protocols[] = {PROTOCOL_H1, PROTOCOL_HQ};
    const options o = read_options(argc, argv);
    model m = model_load(o.model);
    testset t = testset_read(o.testset, &m);
    FILE *csv = o.csv ? fopen(o.csv, "w") : NULL;
    verdicts found[2];
    variant *lists[2];
    uint32_t n_variants = 0;

    if (o.csv && !csv)
        die(o.csv, "cannot be written");
    if (csv)
        fprintf(csv, "protocol,variant,budget,kept,accuracy,confidence");
    for (uint32_t task = 0; csv && task < m.n_tasks; ++task)
        fprintf(csv, ",%s", m.tasks[task]);
    if (csv)
        fputc('\n', csv);
    for (int p = 0; p < 2; ++p) {
        lists[p] = take(MAX_VARIANTS, sizeof **lists);
        n_variants = variants_for(protocols[p], o.only, lists[p]);
        prune_settings *settings = settings_for(lists[p], n_variants);
        found[p] =
            run_all(&m, &t, protocols[p], settings, n_variants * N_BUDGETS, &o);
        print_table(&t, &found[p], lists[p], n_variants, protocols[p]);
        print_better(&t, &found[p], lists[p], n_variants);
        if (csv)
            write_csv(csv, &m, &t, &found[p], lists[p], n_variants,
                      protocols[p]);
        free(settings);
    }
    putchar('\n');
    for (int p = 0; p < 2; ++p) {
        print_figures(&t, &found[p], lists[p], n_variants, protocols[p]);
        verdicts_free(&found[p]);
        free(lists[p]);
    }
    if (csv && fclose(csv) != 0)
        die(o.csv, "cannot be written");
    testset_free(&t);
    model_free(&m);
    return EXIT_SUCCESS;
}
