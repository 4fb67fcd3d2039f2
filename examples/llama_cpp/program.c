/*
 * program.c - csp-llama: a prompt's cache pruned in llama.cpp, and what is lost
 *
 * The prompt is prefilled once, while all pruners look on.  Its state is then
 * pruned by each method to each budget, loaded into a context of its own, and
 * continued beside the full cache.
 */
#include "program.h"

#include "ggml-backend.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_BUDGETS = 16 };

typedef struct options {
    const char *model, *backends, *spans;
    piece_option pieces[MAX_PIECES];
    uint32_t n_pieces;
    double budgets[MAX_BUDGETS]; /* percent */
    uint32_t n_budgets;
    method methods[N_METHODS];
    uint32_t n_methods;
    csp_scope scope;
    bool global, json, verbose;
    int32_t sinks;
    uint32_t n_held_out, n_continuation, n_generated, n_max, seed;
    engine_options engine;
} options;

static const char usage[] =
    "usage: csp-llama --model FILE.gguf [prompt] [options]\n"
    "Prune the KV cache of a prompt in llama.cpp and compare how it goes on.\n"
    "\n"
    "prompt, in any number and order:\n"
    "  --text FILE        text\n"
    "  --tokens FILE      token ids, white space between them\n"
    "  --image FILE.npy   image embeddings, f32 [tokens][embedding]\n"
    "  --grid WxH         of the last image, for models with M-RoPE\n"
    "  --spans FILE       lines 'begin end modality' in tokens; without it\n"
    "                     images are of modality 1, the rest of 0\n"
    "  --max-tokens N     cut the text at the end to so many tokens in all\n"
    "\n"
    "pruning:\n"
    "  --method M[,M...]  csp, reference, snapkv, h2o, streaming, random "
    "(csp)\n"
    "  --budget P[,P...]  percent of tokens to keep (20)\n"
    "  --mode M           head: each KV head its own tokens, by the state\n"
    "                     layer: each layer its own, by the state\n"
    "                     global: the same everywhere, by llama_memory_seq_rm\n"
    "  --scores S         softmax: read probabilities, no flash attention\n"
    "                     qk: from queries and keys, with it (qk)\n"
    "  --sinks N          first tokens that are kept in any case (the "
    "method's)\n"
    "  --seed N           of random pruning (1)\n"
    "\n"
    "continuation:\n"
    "  --hold-out N       the text's last N tokens; without it\n"
    "  --continue N       N tokens of the full cache's own choice (64)\n"
    "  --generate N       tokens each cache generates by itself (0)\n"
    "\n"
    "engine:\n"
    "  --flash-attn X     on or off while decoding (on)\n"
    "  --type-k T, --type-v T   of the cache: f32, f16, bf16, q8_0, ... (f16)\n"
    "  --threads N        (as many as CPUs)\n"
    "  --ubatch N         tokens computed at once (512)\n"
    "  --backends DIR     where ggml's backends are\n"
    "  --json             print JSON\n"
    "  --verbose          let llama.cpp speak\n"
    "  --help             print this\n";

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

/* ---- Options ------------------------------------------------------------- */

static uint32_t whole(const char *name, const char *text, uint32_t low,
                      uint32_t high)
{
    char *end;

    errno = 0;
    const unsigned long x = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || x < low || x > high)
        fail(name, "not a whole number within range, see --help");
    return (uint32_t)x;
}

static void budgets(options *o, const char *text)
{
    for (o->n_budgets = 0;; ++text) {
        char *end;
        const double x = strtod(text, &end);

        if (end == text || !(x > 0.0 && x <= 100.0))
            fail("--budget", "percents between 0 and 100");
        if (o->n_budgets == MAX_BUDGETS)
            fail("--budget", "too many");
        o->budgets[o->n_budgets++] = x;
        if (*end == '\0')
            return;
        if (*end != ',')
            fail("--budget", "not a list of numbers");
        text = end;
    }
}

static void methods(options *o, const char *text)
{
    for (o->n_methods = 0;;) {
        const size_t length = strcspn(text, ",");
        int how = METHOD_CSP;

        while (how < N_METHODS && (strlen(method_names[how]) != length ||
                                   strncmp(method_names[how], text, length)))
            ++how;
        if (how == N_METHODS)
            fail("--method", "unknown, see --help");
        if (o->n_methods == N_METHODS)
            fail("--method", "too many");
        o->methods[o->n_methods++] = (method)how;
        if (text[length] == '\0')
            return;
        text += length + 1;
    }
}

static void add_piece_option(options *o, piece_kind kind, const char *path)
{
    if (o->n_pieces == MAX_PIECES)
        fail(path, "too many pieces of prompt");
    o->pieces[o->n_pieces++] = (piece_option){.kind = kind, .path = path};
}

static void set_grid(options *o, const char *text)
{
    uint32_t width, height;
    char end;

    if (o->n_pieces == 0 || o->pieces[o->n_pieces - 1].kind != PIECE_IMAGE)
        fail("--grid", "follows the image it is of");
    if (sscanf(text, "%" SCNu32 "x%" SCNu32 "%c", &width, &height, &end) != 2 ||
        width == 0 || height == 0)
        fail("--grid", "not WxH");
    o->pieces[o->n_pieces - 1].grid_width = width;
    o->pieces[o->n_pieces - 1].grid_height = height;
}

/* The types that llama.cpp's own programs take; it crashes at some others. */
static enum ggml_type cache_type(const char *name, const char *text)
{
    static const enum ggml_type types[] = {
        GGML_TYPE_F32,  GGML_TYPE_F16,  GGML_TYPE_BF16,
        GGML_TYPE_Q8_0, GGML_TYPE_Q4_0, GGML_TYPE_Q4_1,
        GGML_TYPE_Q5_0, GGML_TYPE_Q5_1, GGML_TYPE_IQ4_NL};

    for (size_t i = 0; i < sizeof types / sizeof *types; ++i)
        if (strcmp(ggml_type_name(types[i]), text) == 0)
            return types[i];
    fail(name, "unknown type");
}

/* Which of 'n' words, from 0. */
static uint32_t choice(const char *name, const char *text,
                       const char *const *words, uint32_t n)
{
    for (uint32_t i = 0; i < n; ++i)
        if (strcmp(words[i], text) == 0)
            return i;
    fail(name, "unknown, see --help");
}

static void set_mode(options *o, const char *text)
{
    static const char *const modes[] = {"head", "layer", "global"};
    static const csp_scope scopes[] = {CSP_PER_HEAD, CSP_PER_LAYER, CSP_GLOBAL};
    const uint32_t mode = choice("--mode", text, modes, 3);

    o->scope = scopes[mode];
    o->global = o->scope == CSP_GLOBAL;
}

static void set_option(options *o, const char *name, const char *text)
{
    static const char *const off_on[] = {"off", "on"};
    static const char *const scores[] = {"softmax", "qk"};

    if (strcmp(name, "model") == 0)
        o->model = text;
    else if (strcmp(name, "text") == 0)
        add_piece_option(o, PIECE_TEXT, text);
    else if (strcmp(name, "tokens") == 0)
        add_piece_option(o, PIECE_TOKENS, text);
    else if (strcmp(name, "image") == 0)
        add_piece_option(o, PIECE_IMAGE, text);
    else if (strcmp(name, "grid") == 0)
        set_grid(o, text);
    else if (strcmp(name, "spans") == 0)
        o->spans = text;
    else if (strcmp(name, "max-tokens") == 0)
        o->n_max = whole("--max-tokens", text, 2, INT32_MAX);
    else if (strcmp(name, "method") == 0)
        methods(o, text);
    else if (strcmp(name, "budget") == 0)
        budgets(o, text);
    else if (strcmp(name, "mode") == 0)
        set_mode(o, text);
    else if (strcmp(name, "scores") == 0)
        o->engine.score_flash = choice("--scores", text, scores, 2);
    else if (strcmp(name, "sinks") == 0)
        o->sinks = (int32_t)whole("--sinks", text, 0, 1 << 20);
    else if (strcmp(name, "seed") == 0)
        o->seed = whole("--seed", text, 0, UINT32_MAX);
    else if (strcmp(name, "hold-out") == 0)
        o->n_held_out = whole("--hold-out", text, 1, 1 << 20);
    else if (strcmp(name, "continue") == 0)
        o->n_continuation = whole("--continue", text, 1, 1 << 20);
    else if (strcmp(name, "generate") == 0)
        o->n_generated = whole("--generate", text, 0, 1 << 20);
    else if (strcmp(name, "flash-attn") == 0)
        o->engine.flash = choice("--flash-attn", text, off_on, 2);
    else if (strcmp(name, "type-k") == 0)
        o->engine.type_k = cache_type("--type-k", text);
    else if (strcmp(name, "type-v") == 0)
        o->engine.type_v = cache_type("--type-v", text);
    else if (strcmp(name, "threads") == 0)
        o->engine.n_threads = whole("--threads", text, 1, 1024);
    else if (strcmp(name, "ubatch") == 0)
        o->engine.n_ubatch = whole("--ubatch", text, 1, 65536);
    else if (strcmp(name, "backends") == 0)
        o->backends = text;
    else if (strcmp(name, "json") == 0)
        o->json = true;
    else
        o->verbose = true;
}

static options read_options(int argc, char **argv)
{
    static const char *const with_value[] = {
        "model",    "text",       "tokens", "image",    "grid",
        "spans",    "max-tokens", "method", "budget",   "mode",
        "scores",   "sinks",      "seed",   "hold-out", "continue",
        "generate", "flash-attn", "type-k", "type-v",   "threads",
        "ubatch",   "backends"};
    enum { N_VALUES = sizeof with_value / sizeof *with_value };
    struct option known[N_VALUES + 4] = {{.name = NULL}};
    const long n_cpus = sysconf(_SC_NPROCESSORS_ONLN);
    options o = {
        .sinks = -1,
        .seed = 1,
        .n_continuation = 64,
        .n_max = INT32_MAX,
        .engine = {.n_threads = n_cpus > 0 ? (uint32_t)n_cpus : 1,
                   .n_ubatch = 512,
                   .type_k = GGML_TYPE_F16,
                   .type_v = GGML_TYPE_F16,
                   .score_flash = true,
                   .flash = true},
    };
    int which;

    for (int i = 0; i < N_VALUES; ++i)
        known[i] = (struct option){with_value[i], required_argument, NULL, 0};
    known[N_VALUES] = (struct option){"json", no_argument, NULL, 0};
    known[N_VALUES + 1] = (struct option){"verbose", no_argument, NULL, 0};
    known[N_VALUES + 2] = (struct option){"help", no_argument, NULL, 'h'};
    budgets(&o, "20");
    methods(&o, "csp");
    for (int c; (c = getopt_long(argc, argv, "", known, &which)) != -1;) {
        if (c == 'h') {
            fputs(usage, stdout);
            exit(EXIT_SUCCESS);
        }
        if (c != 0)
            exit(EXIT_FAILURE); /* getopt_long has said why */
        set_option(&o, known[which].name, optarg);
    }
    if (optind < argc)
        fail(argv[optind], "not an option, see --help");
    if (!o.model || o.n_pieces == 0)
        fail("--model and a prompt", "missing, see --help");
    return o;
}

/* ---- Trials -------------------------------------------------------------- */

static trial *make_trials(const options *o, const csp_llama_model *model,
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
static void score_without_looking(const options *o,
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
static double score_prompt(const options *o, struct llama_model *llama,
                           const csp_llama_model *model, const prompt *p,
                           const trial *trials, uint32_t n_trials, reference *r,
                           csp_llama_state *state)
{
    csp_pruner **pruners = allocate(n_trials, sizeof *pruners);
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

static void prune_state(const options *o, const csp_llama_state *full, trial *t,
                        csp_llama_state *pruned)
{
    check(csp_llama_state_values(full, t->pruner), "values");
    const csp_status e = csp_pruner_plan(t->pruner);
    check(e ? csp_status_string(e) : NULL, method_names[t->how]);
    check(csp_llama_state_prune(full, t->pruner, !o->engine.flash, pruned),
          method_names[t->how]);
}

/* The pruned cache in a context of the size it needs. */
static struct llama_context *load_pruned(const options *o,
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
static struct llama_context *load_and_drop(const options *o,
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

static void run_trial(const options *o, struct llama_model *llama,
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

static struct llama_model *load_model(const options *o)
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

static void compare(const options *o, struct llama_model *llama,
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
    const options o = read_options(argc, argv);
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
