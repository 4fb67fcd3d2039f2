/*
 * engine.h - what the tests against a real llama.cpp share
 *
 * Models come from the folder that the program is given: <kind>.gguf as
 * tiny_gguf writes them.
 */
#ifndef ENGINE_H
#define ENGINE_H

#include "test.h"

#include "csp_llama.h"
#include "random.h"

/* Sequence 0 of a context, a capture and a pruner; all of it freed by close. */
typedef struct engine {
    struct llama_model *llama;
    csp_llama_model model;
    struct llama_context *context;
    csp_llama_capture *capture; /* NULL without a pruner */
    csp_pruner *pruner;
    uint32_t n_tokens; /* decoded so far, which is the next position */
    uint32_t n_vocab;
} engine;

typedef struct engine_setup {
    const char *kind; /* of model */
    bool flash;
    enum ggml_type type_k, type_v;
    uint32_t n_ctx, n_ubatch; /* 0: 512, 64 */
    uint32_t n_seq_max;       /* 0: 1 */
    const csp_config *config; /* NULL: no pruner */
} engine_setup;

extern const char *engine_models; /* the folder */

/* NULL or fails the test. */
#define assert_no_problem(problem)                                             \
    do {                                                                       \
        const char *problem_ = (problem);                                      \
        if (problem_)                                                          \
            fail_msg("%s", problem_);                                          \
    } while (0)

/* A problem whose text has 'part' in it. */
void assert_problem(const char *problem, const char *part);

struct llama_model *engine_load(const char *kind);
engine engine_open(const engine_setup *setup);
void engine_close(engine *e);

/* Another context of the same model, as 'setup' says, not captured. */
struct llama_context *engine_context(const engine *e,
                                     const engine_setup *setup);

/* Decode 'n' tokens, the same for every context at the same position. */
void engine_prompt(engine *e, uint32_t n);

/* A context that has read and scored 'n' tokens; what follows is not scored. */
engine engine_prompted(engine_setup setup, const csp_config *config,
                       uint32_t n);

/* Logits after one more token at 'position', [n_vocab]; free them. */
float *engine_decode(const engine *e, struct llama_context *context,
                     llama_seq_id seq, uint32_t position);

/* Largest difference over the next 'n' tokens of two contexts. */
double engine_difference(const engine *e, struct llama_context *a,
                         struct llama_context *b, uint32_t position,
                         uint32_t n);

/* What sums in another order may change in a logit: where a cache rounds what
   it is given, or flash attention its sums, another number may be nearest. */
double engine_tolerance(const engine_setup *setup);

/* CSP_EXACT by the importance of all rows, the last token protected. */
csp_config engine_config(csp_scope scope, uint32_t budget);

csp_llama_state engine_state(const engine *e, struct llama_context *context);
void assert_same_state(const csp_llama_state *a, const csp_llama_state *b);

/* ---- The groups, and the figures they find ------------------------------- */

extern const struct CMUnitTest capture_tests[], state_tests[], prune_tests[],
    global_tests[], refusal_tests[], round_tests[], refused_prune_tests[];
extern const size_t n_capture_tests, n_state_tests, n_prune_tests,
    n_global_tests, n_refusal_tests, n_round_tests, n_refused_prune_tests;

/* Of caches that round nothing. */
extern double figure_permute_maxdiff, figure_seqrm_vs_blob_maxdiff;

/* Decode tokens/s, pruned to 'percent' of 'n_tokens' against full. */
double engine_speedup(uint32_t n_tokens, uint32_t percent);

#endif /* ENGINE_H */
