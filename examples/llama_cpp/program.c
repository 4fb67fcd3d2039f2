/*
 * program.c - csp-llama: a prompt's cache pruned in llama.cpp, and what is lost
 *
 * The prompt is prefilled once, while all pruners look on.  Its state is then
 * pruned by each method to each budget, loaded into a context of its own, and
 * continued beside the full cache.
 */
#include "program.h"

#include "ggml-backend.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- Small things -------------------------------------------------------- */

noreturn void fail(const char *what, const char *why)
{
    fprintf(stderr, "csp-llama: %s: %s\n", what, why);
    exit(EXIT_FAILURE);
}

void check(const char *problem, const char *what)
{
    if (problem)
        fail(what, problem);
}

void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count ? count : 1, size);

    if (!memory)
        fail("memory", "not enough");
    return memory;
}

static void quiet(enum ggml_log_level level, const char *text, void *unused)
{
    (void)unused;
    if (level == GGML_LOG_LEVEL_ERROR)
        fputs(text, stderr);
}

/* ---- Trials -------------------------------------------------------------- */

static trial *make_trials(const command_line *o, const csp_llama_model *model,
                          const prompt *p, uint32_t *n_trials)
{
    trial *trials =
        allocate(1 + (size_t)o->n_methods * o->n_budgets, sizeof *trials);
    uint32_t n = 0;

    trials[n++] = (trial){.how = METHOD_FULL, .percent = 100.0};
    for (uint32_t b = 0; b < o->n_budgets; ++b)
        for (uint32_t m = 0; m < o->n_methods; ++m)
            trials[n++] =
                (trial){.how = o->methods[m], .percent = o->budgets[b]};
    const method_options asked = {.scope = o->scope,
                                  .probabilities = !o->engine.score_flash,
                                  .sinks = o->sinks};
    for (uint32_t i = 0; i < n; ++i)
        make_pruner(model, p, &asked, &trials[i]);
    *n_trials = n;
    return trials;
}

static bool looks(const trial *t)
{
    return t->how != METHOD_FULL && t->how != METHOD_STREAMING &&
           t->how != METHOD_RANDOM;
}

/* What pruners that do not look at attention need. */
static void score_without_looking(const command_line *o,
                                  const csp_llama_model *model, const prompt *p,
                                  const trial *t)
{
    const csp_attention none = {.source = CSP_PROBABILITIES,
                                .first_query = p->n_tokens};

    if (t->how == METHOD_RANDOM) {
        score_at_random(model, p->n_tokens, o->seed, t->pruner);
        return;
    }
    for (uint32_t layer = 0; layer < model->n_layers; ++layer)
        if (csp_pruner_score(t->pruner, layer, &none))
            fail("csp_pruner_score", "not even a count of tokens");
}

/* Prefill with all pruners looking on.  Leaves the prompt's state. */
static double score_prompt(const command_line *o, struct llama_model *llama,
                           const csp_llama_model *model, const prompt *p,
                           const trial *trials, uint32_t n_trials, reference *r,
                           csp_llama_state *state)
{
    csp_pruner **pruners = allocate(n_trials, sizeof(csp_pruner *));
    csp_llama_capture capture;
    uint32_t n = 0, first_vote = p->n_tokens;

    for (uint32_t i = 0; i < n_trials; ++i) {
        if (!looks(&trials[i])) {
            score_without_looking(o, model, p, &trials[i]);
            continue;
        }
        pruners[n++] = trials[i].pruner;
        if (trials[i].first_vote < first_vote)
            first_vote = trials[i].first_vote;
    }
    check(csp_llama_capture_init(model, pruners, n, &capture), "capture");
    capture.first_vote = first_vote;
    struct llama_context *context =
        new_context(llama, &o->engine, p->n_tokens, &capture);
    const int64_t start = llama_time_us();
    r->position = prefill(context, p, model->shared_positions);
    const double seconds = (double)(llama_time_us() - start) * 1e-6;
    check(capture.failure, "scoring the prompt");
    r->first = best_token(llama_get_logits_ith(context, -1), r->n_vocab);
    check(csp_llama_state_get(context, 0, model, state), "the prompt's state");
    llama_free(context);
    csp_llama_capture_free(&capture);
    free(pruners);
    return seconds;
}

/* ---- One trial ----------------------------------------------------------- */

static size_t bytes_of_token(const csp_llama_state *state)
{
    size_t size = 0;

    for (uint32_t i = 0; i < state->model.n_layers; ++i)
        size += state->k[i].row_size + state->v[i].row_size;
    return size;
}

static void prune_state(const command_line *o, const csp_llama_state *full,
                        trial *t, csp_llama_state *pruned)
{
    check(csp_llama_state_values(full, t->pruner), "values");
    const csp_status e = csp_pruner_plan(t->pruner);
    check(e ? csp_status_string(e) : NULL, method_names[t->how]);
    check(csp_llama_state_prune(full, t->pruner, !o->engine.flash, pruned),
          method_names[t->how]);
}

/* The pruned cache in a context of the size it needs. */
static struct llama_context *load_pruned(const command_line *o,
                                         struct llama_model *llama,
                                         const csp_llama_state *full,
                                         uint32_t n_more, trial *t)
{
    csp_llama_state pruned;
    const int64_t start = llama_time_us();

    prune_state(o, full, t, &pruned);
    t->prune_seconds = (double)(llama_time_us() - start) * 1e-6;
    struct llama_context *context =
        new_context(llama, &o->engine, pruned.n_cells + n_more, NULL);
    check(csp_llama_state_set(context, 0, &pruned), "the pruned state");
    csp_llama_state_free(&pruned);
    return context;
}

/* The full cache, and the same tokens dropped everywhere. */
static struct llama_context *load_and_drop(const command_line *o,
                                           struct llama_model *llama,
                                           const csp_llama_state *full,
                                           const trial *whole_prompt,
                                           uint32_t n_more, trial *t)
{
    csp_llama_state converted;
    csp_status e = csp_pruner_plan(whole_prompt->pruner);

    check(e ? csp_status_string(e) : NULL, "full cache");
    check(csp_llama_state_prune(full, whole_prompt->pruner, !o->engine.flash,
                                &converted),
          "full cache");
    struct llama_context *context =
        new_context(llama, &o->engine, full->n_cells + n_more, NULL);
    check(csp_llama_state_set(context, 0, &converted), "full cache");
    csp_llama_state_free(&converted);
    const int64_t start = llama_time_us();
    check(csp_llama_state_values(full, t->pruner), "values");
    check(csp_llama_prune_global(context, 0, &full->model, t->pruner),
          method_names[t->how]);
    check(csp_llama_compact(context, 0, &full->model), "closing the holes");
    t->prune_seconds = (double)(llama_time_us() - start) * 1e-6;
    return context;
}

/* Back to the cache as it was before the continuation. */
static void rewind_to(struct llama_context *context,
                      const csp_llama_state *state)
{
    llama_memory_seq_rm(llama_get_memory(context), 0, -1, -1);
    check(csp_llama_state_set(context, 0, state), "going back");
}

static void run_trial(const command_line *o, struct llama_model *llama,
                      const csp_llama_state *full, const trial *whole_prompt,
                      reference *r, trial *t)
{
    const uint32_t n_more =
        r->n_tokens > o->n_generated ? r->n_tokens : o->n_generated;
    struct llama_context *context =
        o->global && t->how != METHOD_FULL
            ? load_and_drop(o, llama, full, whole_prompt, n_more, t)
            : load_pruned(o, llama, full, n_more, t);
    csp_llama_state state;

    check(csp_llama_state_get(context, 0, &full->model, &state), "state");
    t->n_kept = state.n_cells;
    t->state_bytes = state.size;
    t->cache_bytes = state.n_cells * bytes_of_token(&state);
    t->buffer_bytes = llama_n_ctx(context) * bytes_of_token(&state);
    if (t->how == METHOD_FULL && !r->tokens) {
        r->tokens = allocate(r->n_tokens, sizeof *r->tokens);
        continue_greedily(context, r);
        rewind_to(context, &state);
    }
    measure(context, r, t->how == METHOD_FULL, t);
    if (o->n_generated > 0) {
        rewind_to(context, &state);
        t->generated = generate(context, r, o->n_generated);
    }
    csp_llama_state_free(&state);
    llama_free(context);
}

/* ---- Program ------------------------------------------------------------- */

static struct llama_model *load_model(const command_line *o)
{
    struct llama_model_params params = llama_model_default_params();
    struct llama_model *model;

    if (!o->verbose)
        llama_log_set(quiet, NULL);
    if (o->backends)
        ggml_backend_load_all_from_path(o->backends);
    else
        ggml_backend_load_all();
    llama_backend_init();
    if (!(model = llama_model_load_from_file(o->model, params)))
        fail(o->model, "not a model that llama.cpp can load");
    return model;
}

static void compare(const command_line *o, struct llama_model *llama,
                    const csp_llama_model *model, const prompt *p)
{
    const struct llama_vocab *vocab = llama_model_get_vocab(llama);
    reference r = {
        .n_vocab = (uint32_t)llama_vocab_n_tokens(vocab),
        .n_tokens = p->continuation ? p->n_continuation : o->n_continuation,
        .tokens = p->continuation,
    };
    static const char *const modes[] = {[CSP_PER_HEAD] = "head",
                                        [CSP_PER_LAYER] = "layer",
                                        [CSP_GLOBAL] = "global"};
    csp_llama_state full;
    uint32_t n_trials;
    trial *trials = make_trials(o, model, p, &n_trials);

    r.logits = allocate((size_t)r.n_tokens * r.n_vocab, sizeof *r.logits);
    const double seconds =
        score_prompt(o, llama, model, p, trials, n_trials, &r, &full);
    for (uint32_t i = 0; i < n_trials; ++i)
        run_trial(o, llama, &full, &trials[0], &r, &trials[i]);
    const report shown = {.model = llama,
                          .model_path = o->model,
                          .p = p,
                          .r = &r,
                          .engine = &o->engine,
                          .mode = modes[o->scope],
                          .n_generated = o->n_generated,
                          .prefill_seconds = seconds,
                          .trials = trials,
                          .n_trials = n_trials};
    (o->json ? print_json : print_table)(&shown);
    for (uint32_t i = 0; i < n_trials; ++i) {
        csp_pruner_destroy(trials[i].pruner);
        free(trials[i].generated);
    }
    free(trials);
    csp_llama_state_free(&full);
    free(r.logits);
    if (!p->continuation)
        free(r.tokens);
}

int main(int argc, char **argv)
{
    const command_line o = read_options(argc, argv);
    struct llama_model *llama = load_model(&o);
    csp_llama_model model;
    prompt p;

    check(csp_llama_model_of(llama, &model), o.model);
    if (o.global && model.shared_positions)
        fail("--mode global", "M-RoPE gives a whole image one position");
    read_prompt(llama, o.pieces, o.n_pieces, o.spans, o.n_held_out, o.n_max,
                &p);
    compare(&o, llama, &model, &p);
    free_prompt(&p);
    llama_model_free(llama);
    llama_backend_free();
    return EXIT_SUCCESS;
}
