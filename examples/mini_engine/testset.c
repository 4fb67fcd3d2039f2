/*
 * testset.c - accuracy of a model on prompts with known answers
 *
 * Several questions share a context.  It is read once; its cache is copied for
 * each question, and its queries are recorded, so that every method can score
 * the same prompt without reading it again.
 */
#include "testset.h"

#include "engine.h"
#include "recorder.h"
#include "support.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 64 };

const char *const protocol_names[N_PROTOCOLS] = {
    [PROTOCOL_HQ] = "hq",
    [PROTOCOL_H1] = "h1",
    [PROTOCOL_R] = "r",
};

/* ---- Files --------------------------------------------------------------- */

static array load(const char *folder, const char *name, const char *type,
                  uint32_t rank, uint32_t n)
{
    char *path = join(folder, name);
    array a = array_read(path, type, rank);

    if (a.shape[0] == 0 || (n != 0 && a.shape[0] != n))
        die(path, "%u entries, not %u", a.shape[0], n);
    free(path);
    return a;
}

static void expect(bool good, const char *folder, uint32_t i, const char *what)
{
    if (!good)
        die(folder, "prompt %u: bad %s", i, what);
}

static bool within(int32_t x, uint32_t low, uint32_t high)
{
    return x >= 0 && (uint32_t)x >= low && (uint32_t)x <= high;
}

static void check_prompt(const testset *t, const model *m, const char *folder,
                         uint32_t i)
{
    const uint32_t n_tasks = m->n_tasks > 0 ? m->n_tasks : MAX_TASKS;
    const int32_t length = t->prompt_len.i32[i];

    expect(within(length, 2, t->tokens.shape[1]), folder, i, "prompt_len");
    expect(within(t->ctx_len.i32[i], 1, (uint32_t)length - 1), folder, i,
           "ctx_len");
    expect(within(t->ctx_id.i32[i], 0, t->pixels.shape[0] - 1), folder, i,
           "ctx_id");
    expect(within(t->task.i32[i], 0, n_tasks - 1), folder, i, "task");
    expect(within(t->answer_len.i32[i], 1, t->answer.shape[1]), folder, i,
           "answer_len");
    for (int32_t k = 0; k < t->answer_len.i32[i]; ++k)
        expect(within(t->answer.i32[i * (size_t)t->answer.shape[1] + (size_t)k],
                      0, m->n_vocab - 1),
               folder, i, "answer");
    prompt p = testset_prompt(t, i);
    prompt_check(&p, m, folder);
    expect(p.n_patches == 0 || p.places[p.n_patches - 1] < t->ctx_len.i32[i],
           folder, i, "patch_pos, which leaves the context");
    prompt_free(&p);
}

testset testset_read(const char *folder, const model *m)
{
    testset t = {.tokens = load(folder, "tokens.npy", "<i4", 2, 0)};
    const uint32_t n = t.tokens.shape[0];

    t.n_prompts = n;
    t.prompt_len = load(folder, "prompt_len.npy", "<i4", 1, n);
    t.ctx_len = load(folder, "ctx_len.npy", "<i4", 1, n);
    t.ctx_id = load(folder, "ctx_id.npy", "<i4", 1, n);
    t.task = load(folder, "task.npy", "<i4", 1, n);
    t.answer = load(folder, "answer.npy", "<i4", 2, n);
    t.answer_len = load(folder, "answer_len.npy", "<i4", 1, n);
    t.pixels = load(folder, "pixels.npy", "|u1", 3, 0);
    t.patch_pos = load(folder, "patch_pos.npy", "<i4", 2, t.pixels.shape[0]);
    if (t.patch_pos.shape[1] != t.pixels.shape[1])
        die(folder, "%u patches at %u places", t.pixels.shape[1],
            t.patch_pos.shape[1]);
    if (m->n_tasks > MAX_TASKS)
        die(folder, "more than %d tasks", MAX_TASKS);
    for (uint32_t i = 0; i < n; ++i)
        check_prompt(&t, m, folder, i);
    return t;
}

void testset_free(testset *t)
{
    free(t->tokens.i32);
    free(t->prompt_len.i32);
    free(t->ctx_len.i32);
    free(t->ctx_id.i32);
    free(t->task.i32);
    free(t->answer.i32);
    free(t->answer_len.i32);
    free(t->pixels.u8);
    free(t->patch_pos.i32);
    *t = (testset){0};
}

prompt testset_prompt(const testset *t, uint32_t i)
{
    const size_t context = (size_t)t->ctx_id.i32[i];
    const size_t n_patches = t->pixels.shape[1];
    const size_t image_size = n_patches * t->pixels.shape[2];
    prompt p = {.n_tokens = (uint32_t)t->prompt_len.i32[i],
                .n_patches = t->pixels.shape[1],
                .patch_size = t->pixels.shape[2]};

    p.tokens = duplicate(t->tokens.i32 + i * (size_t)t->tokens.shape[1],
                         p.n_tokens, sizeof *p.tokens);
    p.pixels = duplicate(t->pixels.u8 + context * image_size, image_size, 1);
    p.places = duplicate(t->patch_pos.i32 + context * n_patches, n_patches,
                         sizeof *p.places);
    prompt_find_spans(&p);
    return p;
}

/* ---- Run ----------------------------------------------------------------- */

typedef struct trial {
    const testset *t;
    const model *m;
    protocol how;
    const prune_settings *settings;
    uint32_t n_settings;
    engine e;
    recorder queries;  /* of all that was read */
    float *logits;     /* of the next token */
    cache context;     /* full, after the context */
    cache *caches;     /* [1 + n_settings] full and pruned, ready to answer */
    uint32_t n_pruned; /* how often these were made */
} trial;

static uint32_t context_length(const testset *t, uint32_t i)
{
    return (uint32_t)t->ctx_len.i32[i];
}

/* Tokens that are in the cache when it is pruned. */
static uint32_t prefix_length(const trial *s, uint32_t i)
{
    const uint32_t length = (uint32_t)s->t->prompt_len.i32[i];

    return s->how == PROTOCOL_HQ   ? context_length(s->t, i)
           : s->how == PROTOCOL_H1 ? length - 1
                                   : length;
}

static bool same_context(const testset *t, uint32_t i, uint32_t j)
{
    const size_t longest = t->tokens.shape[1];
    const uint32_t n = context_length(t, i);

    return t->ctx_id.i32[i] == t->ctx_id.i32[j] && n == context_length(t, j) &&
           memcmp(t->tokens.i32 + i * longest, t->tokens.i32 + j * longest,
                  n * sizeof *t->tokens.i32) == 0;
}

static void read_context(trial *s, const float *embeddings, uint32_t n)
{
    cache_free(&s->context);
    s->context = cache_make(s->m, n);
    recorder_cut(&s->queries, 0);
    s->e.watcher = (watcher){recorder_watch, &s->queries};
    engine_run(&s->e, &s->context, embeddings, n, NULL);
    s->e.watcher = (watcher){0};
}

/* A pruned copy of the full cache. */
static cache prune_copy(const trial *s, const cache *full, const prompt *p,
                        const prune_settings *settings, double *kept)
{
    cache large = cache_copy(full, full->capacity);
    prune_state *pruning =
        prune_start(s->m, settings, p->spans, p->n_spans, full->position);

    for (uint32_t l = 0; l < s->m->n_layers; ++l) {
        const attention_seen seen = recorder_view(&s->queries, l, full);
        prune_watch(pruning, &seen);
    }
    const prune_outcome o = prune_cache(pruning, &large);
    *kept += (double)o.rows_after / (double)o.rows_before;
    prune_end(pruning);
    cache small = cache_copy(&large, cache_rows(&large));
    cache_free(&large);
    return small;
}

/* Read the question as far as it comes before pruning, and prune. */
static void make_caches(trial *s, uint32_t i, const prompt *p,
                        const float *embeddings, double *kept)
{
    const uint32_t context = context_length(s->t, i);
    const uint32_t prefix = prefix_length(s, i);
    const float *question = embeddings + (size_t)context * s->m->hidden;

    for (uint32_t k = 0; k <= s->n_settings; ++k)
        cache_free(&s->caches[k]);
    s->caches[0] = cache_copy(&s->context, prefix);
    recorder_cut(&s->queries, context);
    s->e.watcher = (watcher){recorder_watch, &s->queries};
    engine_run(&s->e, &s->caches[0], question, prefix - context, s->logits);
    s->e.watcher = (watcher){0};
    s->n_pruned++;
    for (uint32_t k = 0; k < s->n_settings; ++k)
        s->caches[k + 1] =
            prune_copy(s, &s->caches[0], p, &s->settings[k], &kept[k + 1]);
}

/* Read the rest of the prompt and decode: is every token of the answer right?
   s->logits are those of the prefix where nothing is left to read. */
static bool answers(trial *s, uint32_t i, const float *embeddings,
                    const cache *ready)
{
    const testset *t = s->t;
    const uint32_t n = (uint32_t)t->answer_len.i32[i];
    const uint32_t prefix = prefix_length(s, i);
    const uint32_t rest = (uint32_t)t->prompt_len.i32[i] - prefix;
    const int32_t *answer = t->answer.i32 + i * (size_t)t->answer.shape[1];
    cache c = cache_copy(ready, cache_rows(ready) + rest + n);
    float *logits = duplicate(s->logits, s->m->n_vocab, sizeof *logits);
    bool right = true;

    engine_run(&s->e, &c, embeddings + (size_t)prefix * s->m->hidden, rest,
               logits);
    for (uint32_t k = 0; k < n && right; ++k) {
        if (k > 0)
            engine_step(&s->e, &c, answer[k - 1], logits);
        right = most_likely(logits, s->m->n_vocab) == answer[k];
    }
    free(logits);
    cache_free(&c);
    return right;
}

static void run_prompt(trial *s, uint32_t i, bool first, uint8_t *right,
                       double *kept)
{
    const bool fresh = first || !same_context(s->t, i - 1, i);
    prompt p = testset_prompt(s->t, i);
    float *embeddings = prompt_embed(&p, s->m);

    if (fresh)
        read_context(s, embeddings, context_length(s->t, i));
    if (fresh || s->how != PROTOCOL_HQ)
        make_caches(s, i, &p, embeddings, kept);
    for (uint32_t k = 0; k <= s->n_settings; ++k)
        right[k] = answers(s, i, embeddings, &s->caches[k]);
    free(embeddings);
    prompt_free(&p);
}

verdicts testset_run(const testset *t, const model *m, protocol how,
                     const prune_settings *settings, uint32_t n_settings,
                     uint32_t begin, uint32_t end)
{
    const size_t n = 1 + (size_t)n_settings;
    verdicts v = {.begin = begin, .end = end, .n_settings = n_settings};
    trial s = {.t = t,
               .m = m,
               .how = how,
               .settings = settings,
               .n_settings = n_settings,
               .e = engine_make(m, CHUNK),
               .queries = recorder_make(m, t->tokens.shape[1])};

    v.right = take(times(end - begin, n), 1);
    v.kept = take(n, sizeof *v.kept);
    s.logits = take(m->n_vocab, sizeof *s.logits);
    s.caches = take(n, sizeof *s.caches);
    for (uint32_t i = begin; i < end; ++i)
        run_prompt(&s, i, i == begin, v.right + (i - begin) * n, v.kept);
    v.kept[0] = 1.0;
    for (uint32_t k = 0; k <= n_settings; ++k) {
        if (k > 0 && s.n_pruned > 0)
            v.kept[k] /= s.n_pruned;
        cache_free(&s.caches[k]);
    }
    free(s.caches);
    free(s.logits);
    cache_free(&s.context);
    recorder_free(&s.queries);
    engine_free(&s.e);
    return v;
}

void verdicts_free(verdicts *v)
{
    free(v->right);
    free(v->kept);
    *v = (verdicts){0};
}

accuracy accuracy_of(const testset *t, const verdicts *v, uint32_t setting)
{
    accuracy a = {.kept = v->kept[setting]};

    for (uint32_t i = v->begin; i < v->end; ++i) {
        const size_t row = (i - v->begin) * (1 + (size_t)v->n_settings);
        const size_t task = (size_t)t->task.i32[i];

        a.total[task]++;
        a.right[task] += v->right[row + setting];
    }
    return a;
}

double accuracy_mean(const accuracy *a, uint32_t n_tasks)
{
    double sum = 0.0;
    uint32_t asked = 0;

    for (uint32_t t = 0; t < n_tasks; ++t)
        if (a->total[t] > 0) {
            sum += 100.0 * a->right[t] / a->total[t];
            asked++;
        }
    return asked > 0 ? sum / asked : 0.0;
}
