/*
 * synthetic.h - what the files of the example program share
 *
 * synthetic_prompt.c and synthetic_real.c make a prompt: queries, keys and
 * values of every layer, and the logits of the last rows, as an engine has them
 * after prefill.  synthetic_attention.c is that engine's attention.
 * synthetic_prune.c is where the library is used, synthetic_run.c where the
 * result is measured.  synthetic_svg.c draws.
 */
#ifndef CSP_EXAMPLE_SYNTHETIC_H
#define CSP_EXAMPLE_SYNTHETIC_H

#include "csp.h"

#include <stdint.h>

enum { TEXT = 0, IMAGE = 1 };

/*
 * A prompt, [0, n_context), whose cache is pruned, and the tokens that come
 * after it, [n_context, n_tokens), which find the cache pruned.
 */
typedef struct prompt {
    uint32_t n_layers;
    uint32_t n_heads;
    uint32_t n_kv_heads;
    uint32_t head_dim;
    uint32_t n_tokens;
    uint32_t n_context;
    uint32_t n_window; /* last rows of the context, whose logits are at hand */
    uint32_t n_spans;
    uint32_t n_needles;
    float scale;
    csp_span *spans;
    uint32_t *needles; /* tokens that later queries ask for, ascending */
    float *queries;    /* [n_layers][n_heads][n_tokens][head_dim] */
    float *keys;       /* [n_layers][n_kv_heads][n_tokens][head_dim] */
    float *values;     /* as keys */
    float *window;     /* [n_layers][n_heads][n_window][n_context] logits */
} prompt;

typedef struct sizes {
    uint32_t n_context;
    uint32_t n_layers;
    uint32_t n_heads;
    uint32_t n_kv_heads;
    uint32_t n_images;
    uint64_t seed;
} sizes;

/* Both end the program with a message when they cannot do it. */
void prompt_make(const sizes *wanted, prompt *p);
void prompt_load(const char *folder, prompt *p);
void prompt_free(prompt *p);

uint32_t modality_of(const prompt *p, uint32_t token);
const float *query_rows(const prompt *p, uint32_t layer, uint32_t head);
size_t kv_offset(const prompt *p, uint32_t layer, uint32_t kv_head);

/* Fill p->window. */
void prompt_window(prompt *p);

/*
 * Softmax attention of one query over 'n' rows; 'scratch' holds n floats.
 * Writes [head_dim] 'output' and the log-sum-exp of the logits.
 */
void attend(const prompt *p, const float *query, const float *keys,
            const float *values, uint32_t n, float *scratch, float *output,
            float *lse);

/* Outputs [n_layers][n_heads][later tokens][head_dim] over the full cache. */
float *attend_full(const prompt *p);

typedef enum method {
    METHOD_CSP,
    METHOD_REFERENCE,
    METHOD_PAPER,
    METHOD_SNAPKV,
    METHOD_H2O,
    METHOD_STREAMING,
    METHOD_RANDOM,
    N_METHODS
} method;

extern const char *const method_names[N_METHODS];

/* One run: the engine's cache, [n_layers][n_kv_heads][n_tokens][head_dim] like
   the prompt's, and what is known of it. */
typedef struct trial {
    const prompt *p;
    csp_pruner *pruner;
    csp_config config;
    method how;
    uint32_t n_later;
    float *keys;
    float *values;
    float *luck;        /* [n_heads][1][n_context] scores of METHOD_RANDOM */
    uint32_t *counts;   /* [n_layers * n_kv_heads] rows in the pruned cache */
    float *sink_logits; /* [n_layers][n_heads] */
    float *residual;    /* [n_layers][n_heads][head_dim] */
} trial;

/*
 * Prune: make a copy of the prompt's cache and a pruner with the method's
 * settings, score and plan, then, while all rows are there, calibrate, and
 * apply.
 *
 * 'share' is the inter share of CSP, negative for the method's own; 'seed' is
 * looked at by METHOD_RANDOM.
 */
void trial_open(trial *s, const prompt *p, method m, uint32_t budget,
                double share);
void trial_plan(trial *s, uint64_t seed);
void trial_calibrate(trial *s, uint32_t layer);
void trial_apply(trial *s);
void trial_close(trial *s);

/* What makes up for the dropped tokens. */
typedef enum correction {
    PLAIN,      /* nothing: softmax over the kept keys */
    FIXED,      /* n = 1 */
    CALIBRATED, /* n of each head, E8 */
    RESIDUAL,   /* that, and the mean dropped value, E10 */
    N_CORRECTIONS
} correction;

/* Tokens are means over KV heads and layers, errors also over queries. */
typedef struct outcome {
    double text;
    double image;
    double cache_bytes;
    double error[N_CORRECTIONS];
    double recall;
    double milliseconds;
} outcome;

/* What the picture shows of a run. */
typedef struct trace {
    uint8_t *kept; /* [n_layers * n_kv_heads][n_context] */
    float *intra;  /* [n_context] mean over layers and KV heads */
    float *inter;
    uint32_t sinks; /* protected tokens */
    uint32_t recent;
} trace;

/*
 * Prune and measure against 'full', of attend_full(); 'picture' may be NULL.
 */
outcome run(const prompt *p, method m, uint32_t budget, double share,
            uint64_t seed, const float *full, trace *picture);

/* Draw a run of METHOD_CSP.  Returns whether the file could be written. */
bool draw(const char *path, const prompt *p, uint32_t budget,
          const outcome *result, const trace *picture);

/* Uniform in [0, 1), and the next state. */
double uniform(uint64_t *state);

/* Zeroed memory; out of memory ends the program, as do the two below. */
void *take(size_t count, size_t size);
_Noreturn void fail(const char *what, const char *why);
void check(csp_status status, const char *what);

#endif
