/*
 * turns.c - a conversation in a cache that never grows
 *
 *     eval_turns MODEL_DIR TESTSET_DIR [--contexts N]
 *
 * All questions on a context are asked one after the other.  The cache is
 * pruned after the context, and again after each question and its answer, to
 * the same number of rows; positions go on.  What is right is compared with a
 * cache that keeps everything, and so is what the two of them weigh.
 */
#include "engine.h"
#include "prune.h"
#include "support.h"
#include "testset.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 64, N_BUDGETS = 4, MAX_TURNS = 64 };

static const double budgets[N_BUDGETS] = {10, 20, 30, 50};

/* ---- One conversation ---------------------------------------------------- */

typedef struct talk {
    const testset *t;
    const model *m;
    uint32_t begin, end; /* the prompts of one context */
} talk;

typedef struct tally {
    uint32_t right, asked;
    double bytes; /* summed over turns, after pruning */
} tally;

static const int32_t *answer_of(const testset *t, uint32_t i)
{
    return t->answer.i32 + i * (size_t)t->answer.shape[1];
}

/* Room for the context, all questions and answers. */
static uint32_t length_of(const talk *k)
{
    const testset *t = k->t;
    uint32_t n = (uint32_t)t->ctx_len.i32[k->begin];

    for (uint32_t i = k->begin; i < k->end; ++i)
        n += (uint32_t)(t->prompt_len.i32[i] - t->ctx_len.i32[i] +
                        t->answer_len.i32[i]);
    return n;
}

/* Ask question i: read it, and decode its answer, fed as it should be. */
static bool ask(const talk *k, engine *e, cache *c, uint32_t i, float *logits)
{
    const testset *t = k->t;
    const uint32_t context = (uint32_t)t->ctx_len.i32[i];
    const uint32_t n = (uint32_t)t->answer_len.i32[i];
    const int32_t *answer = answer_of(t, i);
    prompt p = testset_prompt(t, i);
    float *embeddings = prompt_embed(&p, k->m);
    bool right = true;

    engine_run(e, c, embeddings + (size_t)context * k->m->hidden,
               p.n_tokens - context, logits);
    for (uint32_t j = 0; j < n; ++j) {
        right = right && most_likely(logits, k->m->n_vocab) == answer[j];
        engine_step(e, c, answer[j], logits);
    }
    free(embeddings);
    prompt_free(&p);
    return right;
}

/* 'settings' NULL: nothing is pruned. */
static void hold(const talk *k, const prune_settings *settings, tally *sum)
{
    const uint32_t context = (uint32_t)k->t->ctx_len.i32[k->begin];
    engine e = engine_make(k->m, CHUNK);
    cache c = cache_make(k->m, length_of(k));
    prompt p = testset_prompt(k->t, k->begin);
    float *embeddings = prompt_embed(&p, k->m);
    float *logits = take(k->m->n_vocab, sizeof *logits);
    prune_state *pruning = NULL;

    if (settings != NULL) {
        pruning = prune_start(k->m, settings, p.spans, p.n_spans, context);
        e.watcher = (watcher){prune_watch, pruning};
    }
    engine_run(&e, &c, embeddings, context, NULL);
    if (pruning != NULL) {
        prune_cache(pruning, &c);
        prune_while_decoding(pruning, prune_budget(settings, context));
    }
    for (uint32_t i = k->begin; i < k->end; ++i) {
        sum->right += ask(k, &e, &c, i, logits);
        sum->asked++;
        if (pruning != NULL)
            prune_cache(pruning, &c);
        sum->bytes += (double)cache_bytes(&c);
    }
    prune_end(pruning);
    free(logits);
    free(embeddings);
    prompt_free(&p);
    cache_free(&c);
    engine_free(&e);
}

/* ---- All of them --------------------------------------------------------- */

static tally hold_all(const testset *t, const model *m, uint32_t n_contexts,
                      const prune_settings *settings)
{
    tally sum = {0};
    uint32_t end;

    for (uint32_t begin = 0; begin < t->n_prompts && n_contexts > 0;
         begin = end, --n_contexts) {
        for (end = begin + 1;
             end < t->n_prompts && t->ctx_id.i32[end] == t->ctx_id.i32[begin];)
            ++end;
        hold(&(talk){.t = t, .m = m, .begin = begin, .end = end}, settings,
             &sum);
    }
    return sum;
}

static void print(const char *name, const char *corrected, double budget,
                  const tally *a)
{
    printf("%-10s %-9s %5.0f %%  %6.1f %%  %8.1f KiB\n", name, corrected,
           budget, 100.0 * a->right / a->asked, a->bytes / a->asked / 1024.0);
}

int main(int argc, char **argv)
{
    static const struct {
        method how;
        correction correct;
    } ways[] = {
        {METHOD_AGNOSTIC, CORRECT_NONE},    {METHOD_AGNOSTIC, CORRECT_RESIDUAL},
        {METHOD_AGNOSTIC, CORRECT_MOMENTS}, {METHOD_CSP, CORRECT_NONE},
        {METHOD_H2O, CORRECT_NONE},         {METHOD_H2O, CORRECT_MOMENTS},
        {METHOD_STREAMING, CORRECT_NONE},
    };
    uint32_t n_contexts = UINT32_MAX;

    if (argc == 5 && strcmp(argv[3], "--contexts") == 0)
        n_contexts = (uint32_t)strtoul(argv[4], NULL, 10);
    if ((argc != 3 && argc != 5) || n_contexts == 0)
        die("usage", "eval_turns MODEL_DIR TESTSET_DIR [--contexts N]");
    model m = model_load(argv[1]);
    testset t = testset_read(argv[2], &m);
    const tally full = hold_all(&t, &m, n_contexts, NULL);

    printf("Questions asked in turn, %u in all; right answers, and the cache "
           "after a turn\n\n",
           full.asked);
    print("full", "", 100.0, &full);
    for (uint32_t b = 0; b < N_BUDGETS; ++b)
        for (size_t w = 0; w < sizeof ways / sizeof *ways; ++w) {
            const prune_settings settings = {.method = ways[w].how,
                                             .correction = ways[w].correct,
                                             .source = FROM_LOGITS,
                                             .rank = 1,
                                             .keep = budgets[b] / 100.0,
                                             .recent = -1.0};
            const tally a = hold_all(&t, &m, n_contexts, &settings);

            print(method_names[ways[w].how], correction_names[ways[w].correct],
                  budgets[b], &a);
        }
    testset_free(&t);
    model_free(&m);
    return EXIT_SUCCESS;
}
