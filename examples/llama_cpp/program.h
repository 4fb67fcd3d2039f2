/*
 * program.h - the parts of csp-llama
 *
 *   program.c   the order of things
 *   options.c   the command line
 *   prompt.c    text, token ids and image embeddings -> pieces with modalities
 *   engine.c    contexts of llama.cpp: prefill, decode a token
 *   methods.c   settings and pruners of the methods to compare
 *   measure.c   the continuation on a cache: agreement with the full one, speed
 *   output.c    table or JSON
 */
#ifndef CSP_LLAMA_PROGRAM_H
#define CSP_LLAMA_PROGRAM_H

#include "csp_llama.h"

#include <stdnoreturn.h>

/* Ends the program. */
noreturn void fail(const char *what, const char *why);

/* A problem of the adapters, if there is one, ends the program too. */
void check(const char *problem, const char *what);

void *allocate(size_t count, size_t size);

/* ---- Prompt -------------------------------------------------------------- */

enum { TEXT = 0, IMAGE = 1, MAX_PIECES = 64 };

typedef enum piece_kind { PIECE_TEXT, PIECE_TOKENS, PIECE_IMAGE } piece_kind;

/* What an option named, in the order of the options. */
typedef struct piece_option {
    piece_kind kind;
    const char *path;
    uint32_t grid_width, grid_height; /* of an image, for M-RoPE; or 0 */
} piece_option;

typedef struct piece {
    llama_token *tokens; /* [n] or NULL */
    float *embeddings;   /* [n][n_embd] or NULL */
    uint32_t n;
    uint32_t grid_width, grid_height;
} piece;

typedef struct prompt {
    piece pieces[MAX_PIECES];
    uint32_t n_pieces, n_tokens, n_embd;
    csp_span *spans;
    uint32_t n_spans;
    llama_token *continuation; /* [n_continuation], held out, or NULL */
    uint32_t n_continuation;
} prompt;

/* 'spans_path' NULL: images are of modality 1.  The last 'n_held_out' tokens of
   the text become the continuation. */
void read_prompt(const struct llama_model *model, const piece_option *options,
                 uint32_t n_options, const char *spans_path,
                 uint32_t n_held_out, uint32_t n_max, prompt *p);
void free_prompt(prompt *p);

/* ---- Engine -------------------------------------------------------------- */

typedef struct engine_options {
    uint32_t n_threads, n_ubatch;
    enum ggml_type type_k, type_v;
    bool score_flash; /* flash attention while scoring */
    bool flash;       /* and while decoding */
} engine_options;

/* A context with room for 'n_cells', capturing if 'capture' is not NULL. */
struct llama_context *new_context(struct llama_model *model,
                                  const engine_options *o, uint32_t n_cells,
                                  csp_llama_capture *capture);

/* Decode the prompt from position 0 and return the position after it. */
llama_pos prefill(struct llama_context *context, const prompt *p,
                  bool shared_positions);

/* Decode one token; 'logits' receives [n_vocab].  Returns the seconds. */
double decode(struct llama_context *context, llama_token token,
              llama_pos position, uint32_t n_vocab, float *logits);

llama_token best_token(const float *logits, uint32_t n_vocab);

/* ---- Methods ------------------------------------------------------------- */

typedef enum method {
    METHOD_FULL,
    METHOD_CSP,
    METHOD_REFERENCE,
    METHOD_SNAPKV,
    METHOD_H2O,
    METHOD_STREAMING,
    METHOD_RANDOM,
    N_METHODS
} method;

extern const char *const method_names[N_METHODS];

/* One line of the table. */
typedef struct trial {
    method how;
    double percent;
    csp_pruner *pruner;
    uint32_t first_vote;

    uint32_t n_kept;
    size_t cache_bytes;  /* rows of K and V in use */
    size_t buffer_bytes; /* rows the context has memory for */
    size_t state_bytes;
    double prune_seconds;
    double tokens_per_second;
    double agreement;  /* of the best token with the full cache's */
    double divergence; /* mean KL(full || pruned), nats */
    double loss;       /* mean negative log-likelihood of the continuation */
    llama_token *generated;
} trial;

/* What the command line asks of every method. */
typedef struct method_options {
    csp_scope scope;
    bool probabilities; /* what is scored */
    int32_t sinks;      /* negative: the method's own */
} method_options;

void make_pruner(const csp_llama_model *model, const prompt *p,
                 const method_options *o, trial *t);

/* One row of random attention for each layer. */
void score_at_random(const csp_llama_model *model, uint32_t n_tokens,
                     uint32_t seed, csp_pruner *pruner);

/* ---- Options ------------------------------------------------------------- */

enum { MAX_BUDGETS = 16 };

typedef struct command_line {
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
} command_line;

command_line read_options(int argc, char **argv);

/* ---- Measure ------------------------------------------------------------- */

/* What every trial is measured against. */
typedef struct reference {
    llama_token first; /* by the prefill's logits, which no cache changes */
    llama_token *tokens;
    uint32_t n_tokens, n_vocab;
    llama_pos position; /* of tokens[0] */
    float *logits;      /* [n_tokens][n_vocab] of the full cache, after each */
} reference;

/* Choose the continuation of the full cache greedily, into r->tokens. */
void continue_greedily(struct llama_context *context, reference *r);

/* Feed the continuation; the full cache's logits are kept in 'r', others
   compared with them. */
void measure(struct llama_context *context, reference *r, bool full, trial *t);

/* 'n' tokens of the cache's own choice, after the prefill's first. */
llama_token *generate(struct llama_context *context, const reference *r,
                      uint32_t n);

/* ---- Output -------------------------------------------------------------- */

typedef struct report {
    const struct llama_model *model;
    const char *model_path;
    const prompt *p;
    const reference *r;
    const engine_options *engine;
    const char *mode;
    uint32_t n_generated;
    double prefill_seconds;
    const trial *trials;
    uint32_t n_trials;
} report;

void print_table(const report *r);
void print_json(const report *r);

#endif /* CSP_LLAMA_PROGRAM_H */
