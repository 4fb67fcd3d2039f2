/*
 * options.c - the command line of csp-llama
 */
#include "program.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

static void budgets(command_line *o, const char *text)
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

static void methods(command_line *o, const char *text)
{
    for (o->n_methods = 0;;) {
        const size_t length = strcspn(text, ",");
        int how = METHOD_CSP;

        while (how < N_METHODS &&
               (strlen(method_names[how]) != length ||
                strncmp(method_names[how], text, length) != 0))
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

static void add_piece_option(command_line *o, piece_kind kind, const char *path)
{
    if (o->n_pieces == MAX_PIECES)
        fail(path, "too many pieces of prompt");
    o->pieces[o->n_pieces++] = (piece_option){.kind = kind, .path = path};
}

static void set_grid(command_line *o, const char *text)
{
    const size_t length = strcspn(text, "x");
    char width[11] = "";

    if (o->n_pieces == 0 || o->pieces[o->n_pieces - 1].kind != PIECE_IMAGE)
        fail("--grid", "follows the image it is of");
    if (text[length] == '\0' || length >= sizeof width)
        fail("--grid", "not WxH");
    memcpy(width, text, length);
    piece_option *image = &o->pieces[o->n_pieces - 1];
    image->grid_width = whole("--grid", width, 1, UINT32_MAX);
    image->grid_height = whole("--grid", text + length + 1, 1, UINT32_MAX);
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

static void set_mode(command_line *o, const char *text)
{
    static const char *const modes[] = {"head", "layer", "global"};
    static const csp_scope scopes[] = {CSP_PER_HEAD, CSP_PER_LAYER, CSP_GLOBAL};
    const uint32_t mode = choice("--mode", text, modes, 3);

    o->scope = scopes[mode];
    o->global = o->scope == CSP_GLOBAL;
}

static void set_option(command_line *o, const char *name, const char *text)
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

command_line read_options(int argc, char **argv)
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
    command_line o = {
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
