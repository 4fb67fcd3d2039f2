/*
 * attention.c - attention outputs of a trained model over pruned caches
 *
 * Answers are what counts in the end, but they are right or wrong, and it takes
 * hundreds of prompts to tell two methods apart.  The outputs of attention say
 * sooner and finer what pruning does, and what a correction mends: how far is
 * the output over the kept rows from that over all of them, for queries that
 * came after pruning and had no vote?
 *
 * A context with several questions is read once, pruned in many ways, and asked
 * by the queries of all its questions and their answers (moment "after").  Then
 * one of the questions, by turns, is read too, all but its last token, and the
 * rows are pruned with it among them (moment "window"); the queries of that
 * token and of the answer ask.  Nothing is decoded from a pruned cache: queries
 * are the full model's in all layers.
 *
 * Keys of the later tokens, up to the query's own, are in both the full and the
 * pruned cache, as they would be while decoding.  With --cache-only they are in
 * neither, and errors are larger throughout.
 *
 * Contexts fall into a fixed number of shards, each summed by one thread in
 * order, and shards are summed in order, so results do not depend on threads.
 */
#include "attention_options.h"
#include "attention_study.h"
#include "attention_tables.h"

#include "engine.h"
#include "model.h"
#include "support.h"
#include "testset.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 64, SHARDS = MAX_THREADS };

/* Prompts [first, first + n) share a context. */
typedef struct context {
    uint32_t first, n;
} context;

/* What all threads share. */
typedef struct evaluation {
    const options *o;
    const model *m;
    const testset *t;
    const context *contexts;
    uint32_t n_contexts;
    tally shards[SHARDS];
    atomic_uint next; /* shard */
} evaluation;

/* ---- One context --------------------------------------------------------- */

typedef struct reader {
    const evaluation *run;
    engine e;
    cache full;
    recorder seen;
} reader;

static uint32_t context_length(const testset *t, uint32_t i)
{
    return (uint32_t)t->ctx_len.i32[i];
}

/* Go on reading, and record. */
static void read_on(reader *r, const float *embeddings, uint32_t n)
{
    r->e.watcher = (watcher){recorder_watch, &r->seen};
    engine_run(&r->e, &r->full, embeddings, n, NULL);
    r->e.watcher = (watcher){0};
}

/* Embeddings of the tokens of prompt 'i' from 'first' on, and of its answer. */
static float *later_embeddings(const reader *r, uint32_t i, uint32_t first,
                               uint32_t *n)
{
    const testset *t = r->run->t;
    const model *m = r->run->m;
    const int32_t *answer = t->answer.i32 + i * (size_t)t->answer.shape[1];
    const uint32_t n_answer = (uint32_t)t->answer_len.i32[i];
    prompt p = testset_prompt(t, i);
    float *all = prompt_embed(&p, m);
    const size_t n_rest = p.n_tokens - first;
    float *rows = take(times(n_rest + n_answer, m->hidden), sizeof *rows);

    memcpy(rows, all + (size_t)first * m->hidden,
           n_rest * m->hidden * sizeof *rows);
    for (size_t k = 0; k < n_answer; ++k)
        memcpy(rows + (n_rest + k) * m->hidden,
               m->embeddings + (size_t)answer[k] * m->hidden,
               m->hidden * sizeof *rows);
    *n = (uint32_t)n_rest + n_answer;
    free(all);
    prompt_free(&p);
    return rows;
}

/* Prune what has been read, and ask by the rest of prompts [first, end). */
static void study_reader(reader *r, moment when, uint32_t first, uint32_t end,
                         tally *t)
{
    prompt p = testset_prompt(r->run->t, first);
    scene s = scene_make(&r->full, &r->seen, &p, !r->run->o->cache_only, first);

    s.asked = when == AFTER_QUESTION;
    for (uint32_t i = first; i < end; ++i) {
        uint32_t n;
        float *rows = later_embeddings(r, i, r->full.position, &n);

        scene_read(&s, &r->e, rows, n);
        free(rows);
    }
    scene_finish(&s);
    if (when == AFTER_CONTEXT)
        gap_add(&t->gap, &s);
    study(&s, when, r->run->o->experiments, t);
    scene_free(&s);
    prompt_free(&p);
}

/* Read the question of prompt 'i' as well, all but its last token. */
static void read_question(reader *r, uint32_t i)
{
    const uint32_t length = r->full.position;
    const uint32_t last = (uint32_t)r->run->t->prompt_len.i32[i] - 1;
    cache larger = cache_copy(&r->full, last);
    uint32_t n;
    float *rows = later_embeddings(r, i, length, &n);

    cache_free(&r->full);
    r->full = larger;
    read_on(r, rows, last - length);
    free(rows);
}

static void study_context(const evaluation *run, uint32_t number, tally *t)
{
    const context *c = &run->contexts[number];
    const uint32_t length = context_length(run->t, c->first);
    const uint32_t asked = c->first + number % c->n;
    prompt p = testset_prompt(run->t, c->first);
    float *embeddings = prompt_embed(&p, run->m);
    reader r = {.run = run,
                .e = engine_make(run->m, CHUNK),
                .full = cache_make(run->m, length),
                .seen = recorder_make(run->m, run->t->tokens.shape[1])};

    read_on(&r, embeddings, length);
    free(embeddings);
    prompt_free(&p);
    study_reader(&r, AFTER_CONTEXT, c->first, c->first + c->n, t);
    read_question(&r, asked);
    study_reader(&r, AFTER_QUESTION, asked, asked + 1, t);
    t->n_contexts++;
    recorder_free(&r.seen);
    cache_free(&r.full);
    engine_free(&r.e);
}

/* ---- All contexts -------------------------------------------------------- */

static bool same_context(const testset *t, uint32_t i, uint32_t j)
{
    const size_t longest = t->tokens.shape[1];
    const uint32_t n = context_length(t, i);

    return t->ctx_id.i32[i] == t->ctx_id.i32[j] && n == context_length(t, j) &&
           memcmp(t->tokens.i32 + i * longest, t->tokens.i32 + j * longest,
                  n * sizeof *t->tokens.i32) == 0;
}

static uint32_t find_contexts(const testset *t, uint32_t limit,
                              context *contexts)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < t->n_prompts; ++i)
        if (i > 0 && same_context(t, i - 1, i))
            contexts[n - 1].n++;
        else if (n == limit)
            break;
        else
            contexts[n++] = (context){.first = i, .n = 1};
    return n;
}

static void *work(void *argument)
{
    evaluation *r = argument;

    for (;;) {
        const uint32_t shard = atomic_fetch_add(&r->next, 1);

        if (shard >= SHARDS)
            return NULL;
        for (uint32_t c = shard; c < r->n_contexts; c += SHARDS)
            study_context(r, c, &r->shards[shard]);
    }
}

static void run_threads(evaluation *r, uint32_t n)
{
    pthread_t threads[MAX_THREADS];

    for (uint32_t i = 0; i < n; ++i) {
        const int error = pthread_create(&threads[i], NULL, work, r);

        if (error != 0)
            die("thread", "%s", strerror(error));
    }
    for (uint32_t i = 0; i < n; ++i)
        pthread_join(threads[i], NULL);
}

static void evaluate(const options *o)
{
    FILE *csv = o->csv != NULL ? open_csv(o->csv) : NULL;
    model m = model_load(o->model);
    testset t = testset_read(o->testset, &m);
    context *contexts = take(t.n_prompts, sizeof *contexts);
    evaluation r = {.o = o, .m = &m, .t = &t, .contexts = contexts};

    r.n_contexts = find_contexts(&t, o->limit, contexts);
    for (uint32_t i = 0; i < SHARDS; ++i)
        r.shards[i] = tally_make(m.n_layers, m.n_heads);
    run_threads(&r, o->threads);
    for (uint32_t i = 1; i < SHARDS; ++i) {
        tally_merge(&r.shards[0], &r.shards[i]);
        tally_free(&r.shards[i]);
    }
    if (csv != NULL)
        write_csv(&r.shards[0], csv, o->csv);
    print_tables(&r.shards[0]);
    tally_free(&r.shards[0]);
    free(contexts);
    testset_free(&t);
    model_free(&m);
}

int main(int argc, char **argv)
{
    const options o = read_options(argc, argv);

    evaluate(&o);
    if (fflush(stdout) != 0 || ferror(stdout))
        die("output", "cannot be written");
    return EXIT_SUCCESS;
}
