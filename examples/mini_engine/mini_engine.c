/*
 * mini_engine.c - a small decoder that prunes its KV cache
 *
 * Reads a checkpoint and either generates from one prompt, with the full cache
 * and with pruned ones, or answers a test set.  Run with --help for options.
 *
 * A prompt is read up to its last token, and the cache is pruned; the last
 * token and all that is generated after it are read from the pruned cache, so
 * that every token printed depends on it.
 */
#include "engine.h"
#include "generate.h"
#include "model.h"
#include "options.h"
#include "prompt.h"
#include "prune.h"
#include "support.h"
#include "testset.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- One prompt ---------------------------------------------------------- */

static void print_words(const model *m, const int32_t *tokens, uint32_t n)
{
    for (uint32_t i = 0; i < n; ++i)
        if (m->words != NULL)
            printf(" %s", m->words[tokens[i]]);
        else
            printf(" %d", tokens[i]);
    putchar('\n');
}

/* Read all of the prompt but its last token; a pruning, if any, watches. */
static cache prefill(engine *e, const prompt *p, const float *embeddings,
                     const options *o, prune_state *pruning)
{
    cache c = cache_make(e->m, p->n_tokens + o->n_generate);

    if (pruning != NULL)
        e->watcher = (watcher){prune_watch, pruning};
    engine_run(e, &c, embeddings, p->n_tokens - 1, NULL);
    e->watcher = (watcher){0};
    return c;
}

/* How many tokens are the same before the first that is not. */
static uint32_t agreement(const int32_t *a, uint32_t n_a, const int32_t *b,
                          uint32_t n_b)
{
    uint32_t n = 0;

    while (n < n_a && n < n_b && a[n] == b[n])
        ++n;
    return n;
}

static void print_head(void)
{
    printf("%-9s %6s %-8s  %17s  %15s  %8s  %7s\n", "method", "budget",
           "correct", "cache KiB", "text+image rows", "retained", "agrees");
}

static void print_outcome(const prune_settings *s, const prune_outcome *o)
{
    const double kib = 1024.0;

    printf("%-9s %4.0f %% %-8s  %7.1f -> %6.1f  %7" PRIu64 "+%-7" PRIu64,
           method_names[s->method], 100.0 * s->keep,
           correction_names[s->correction], (double)o->bytes_before / kib,
           (double)o->bytes_after / kib, o->rows_after - o->images_after,
           o->images_after);
    if (isnan(o->retained))
        printf("  %8s", "-");
    else
        printf("  %6.1f %%", 100.0 * o->retained);
}

static void run_pruned(engine *e, const prompt *p, const float *embeddings,
                       const options *o, const prune_settings *s,
                       const int32_t *full, uint32_t n_full)
{
    const uint32_t n_read = p->n_tokens - 1;
    prune_state *pruning = prune_start(e->m, s, p->spans, p->n_spans, n_read);
    int32_t *tokens = take(o->n_generate, sizeof *tokens);
    prune_rounds rounds = {.every = o->reprune,
                           .rows = prune_budget(s, n_read)};

    cache large = prefill(e, p, embeddings, o, pruning);
    const prune_outcome outcome = prune_cache(pruning, &large);
    /* The memory comes back by moving into a smaller cache. */
    cache c = cache_copy(&large, cache_rows(&large) + 1 + o->n_generate);
    cache_free(&large);
    if (o->reprune > 0)
        rounds.pruning = pruning;
    uint32_t n =
        generate(e, &c, p->tokens[n_read], o->n_generate, &rounds, tokens);
    print_outcome(s, &outcome);
    printf("  %3u/%-3u\n         ", agreement(full, n_full, tokens, n), n_full);
    print_words(e->m, tokens, n);
    if (o->reprune > 0)
        printf("          pruned %u more times, to %.1f KiB\n", rounds.done,
               (double)cache_bytes(&c) / 1024.0);
    cache_free(&c);
    free(tokens);
    prune_end(pruning);
}

static void run_prompt(const model *m, const prompt *p, const options *o)
{
    if (p->n_tokens < 2)
        die("prompt", "one token leaves nothing to prune");
    if (p->n_tokens > UINT32_MAX - 1 - o->n_generate)
        die("prompt", "too many tokens");
    float *embeddings = prompt_embed(p, m);
    int32_t *tokens = take(o->n_generate, sizeof *tokens);
    engine e = engine_make(m, o->chunk);

    cache c = prefill(&e, p, embeddings, o, NULL);
    printf("%u tokens in the cache, %u of them image; %.1f KiB\n",
           p->n_tokens - 1, p->n_patches, (double)cache_bytes(&c) / 1024.0);
    const int32_t last = p->tokens[p->n_tokens - 1];
    uint32_t n = generate(&e, &c, last, o->n_generate, NULL, tokens);
    printf("full cache:");
    print_words(m, tokens, n);
    cache_free(&c);
    putchar('\n');
    print_head();
    for (uint32_t k = 0; k < o->n_settings; ++k)
        run_pruned(&e, p, embeddings, o, &o->settings[k], tokens, n);
    engine_free(&e);
    free(tokens);
    free(embeddings);
}

/* ---- Test set ------------------------------------------------------------ */

static void print_accuracy(const accuracy *a, const prune_settings *s,
                           uint32_t n_tasks)
{
    if (s == NULL)
        printf("%-9s %8s %-8s", "full", "", "");
    else
        printf("%-9s %6.0f %% %-8s", method_names[s->method], 100.0 * s->keep,
               correction_names[s->correction]);
    printf(" %5.1f %% %6.1f", 100.0 * a->kept, accuracy_mean(a, n_tasks));
    for (uint32_t t = 0; t < n_tasks; ++t)
        if (a->total[t] > 0)
            printf(" %7.0f", 100.0 * a->right[t] / a->total[t]);
        else
            printf(" %7s", "-");
    putchar('\n');
}

static void print_accuracies(const model *m, const testset *t, const options *o)
{
    const uint32_t n = o->limit < t->n_prompts ? o->limit : t->n_prompts;
    const uint32_t n_tasks = m->n_tasks > 0 ? m->n_tasks : MAX_TASKS;
    const clock_t start = clock();
    verdicts v =
        testset_run(t, m, o->protocol, o->settings, o->n_settings, 0, n);

    printf("%u prompts, protocol %s, exact answers in percent, %.0f s\n\n", n,
           protocol_names[o->protocol],
           (double)(clock() - start) / CLOCKS_PER_SEC);
    printf("%-9s %8s %-8s %7s %6s", "method", "budget", "correct", "kept",
           "mean");
    for (uint32_t k = 0; k < n_tasks; ++k)
        if (m->tasks != NULL)
            printf(" %7.7s", m->tasks[k]);
        else
            printf(" %7u", k);
    putchar('\n');
    for (uint32_t k = 0; k <= o->n_settings; ++k) {
        const accuracy a = accuracy_of(t, &v, k);

        print_accuracy(&a, k > 0 ? &o->settings[k - 1] : NULL, n_tasks);
    }
    verdicts_free(&v);
}

static void run_testset(const model *m, const options *o)
{
    testset t = testset_read(o->testset, m);

    if (!o->one_prompt) {
        print_accuracies(m, &t, o);
    } else if (o->prompt < t.n_prompts) {
        prompt p = testset_prompt(&t, o->prompt);

        run_prompt(m, &p, o);
        prompt_free(&p);
    } else {
        die("--prompt", "the test set has %u prompts", t.n_prompts);
    }
    testset_free(&t);
}

int main(int argc, char **argv)
{
    const options o = options_read(argc, argv);
    model m = model_load(o.model);

    if (o.testset != NULL) {
        run_testset(&m, &o);
    } else {
        prompt p = prompt_read(o.tokens, o.pixels, o.patches, o.spans);

        prompt_check(&p, &m, o.tokens);
        run_prompt(&m, &p, &o);
        prompt_free(&p);
    }
    model_free(&m);
    if (fflush(stdout) != 0 || ferror(stdout))
        die("output", "cannot be written");
    return EXIT_SUCCESS;
}
