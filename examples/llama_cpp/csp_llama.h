/*
 * csp_llama.h - prune the KV cache of llama.cpp through its public C API
 *
 * One sequence of one context is pruned after its prompt, or between decode
 * steps.  Two ways out, both on an unmodified libllama:
 *
 *   global  every layer and head drops the same tokens: llama_memory_seq_rm
 *   state   every KV head of every layer keeps tokens of its own, as many as
 *           the others: the sequence's state is read, compacted, written back,
 *           or into another context, which may be smaller and have flash
 *           attention where the first had none
 *
 *   csp_llama_model_of        what is pruned, or why it cannot be
 *   csp_llama_capture_*       attention of llama_decode -> csp_pruner_score
 *   csp_llama_prune           state: values, plan, compact, write, apply
 *   csp_llama_prune_global    global: plan, llama_memory_seq_rm, apply
 *
 * Functions return NULL, or in plain English why they did nothing: then cache
 * and pruner are as before, save for a plan and value norms.  One exception
 * is named below.
 *
 * Limits.  llama.cpp's graphs take no sink logit and give out no log-sum-exp,
 * so calibrated n-softmax cannot be applied here.  The cache buffer has the
 * size of its context: pruning in place makes room and decoding faster, memory
 * shrinks by pruning into a smaller context.  Cells shared by llama_memory_
 * seq_cp are not to be pruned, nor is a pruned state a prefix for others.  A
 * state has positions that llama_memory_seq_add changed, but keys are not yet
 * rotated to them: decode a token in between.  With layers on a GPU every read
 * and write of a state goes over the bus once.
 *
 * The layout of a state is promised by nobody.  It is checked to its last byte;
 * known is that of LLAMA_STATE_SEQ_VERSION 3.
 */
#ifndef CSP_LLAMA_H
#define CSP_LLAMA_H

#include "csp.h"
#include "ggml.h"
#include "llama.h"

/* ---- Model --------------------------------------------------------------- */

typedef struct csp_llama_model {
    uint32_t n_layers, n_heads, n_kv_heads;
    bool shared_positions; /* M-RoPE: the tokens of an image share a position */
} csp_llama_model;

/*
 * Refused: recurrent and hybrid models; encoders; sliding windows, whose mask
 * looks at a cell's position, which per-head pruning makes another token's;
 * ALiBi, whose bias does; latent attention, which caches no values.
 */
const char *csp_llama_model_of(const struct llama_model *model,
                               csp_llama_model *shape);

/* ---- Capture: attention -> pruners --------------------------------------- */

/*
 * Scores what llama_decode computes.  Without flash attention the probabilities
 * kq_soft_max-<layer> are read (config.n must be 0 then); with it, queries
 * after RoPE and the cached keys, as they enter the attention node: nothing is
 * materialised that would not be anyway.
 *
 *     csp_llama_capture capture;
 *     csp_llama_capture_init(&model, &pruner, 1, &capture);
 *     params.cb_eval = csp_llama_eval;
 *     params.cb_eval_user_data = &capture;
 *     ... llama_init_from_model, llama_decode of the prompt ...
 *     if (capture.failure) ...
 *
 * The context decodes one sequence, which starts at its first cell; batches may
 * be of any size.  After csp_llama_prune in place capturing goes on with the
 * tokens that follow; after csp_llama_prune_global it wants csp_llama_compact
 * first.  Rows that vote and see anything else are a failure.  On a failure, or
 * when llama_decode fails, start over with a fresh sequence.
 *
 * 'on'          false: let everything pass, for good: tokens not seen are not
 *               counted either.
 * 'mask'        CSP_FULL while an image is decoded without causal attention.
 * 'first_vote'  rows of earlier tokens are not looked at, only counted: the
 *               smallest config.first_vote of the pruners.
 * 'failure'     why capturing stopped, or NULL.
 */
typedef struct csp_llama_capture {
    bool on;
    csp_mask mask;
    uint32_t first_vote;
    const char *failure;

    csp_llama_model model;
    csp_pruner **pruners;
    uint32_t n_pruners;
    uint32_t *n_tokens; /* [n_layers] seen so far */
    void *buffers[3];   /* copies from devices, dequantised keys */
    size_t sizes[3];
} csp_llama_capture;

/* 'pruners' [n_pruners] is kept, not copied; all score the same attention. */
const char *csp_llama_capture_init(const csp_llama_model *model,
                                   csp_pruner **pruners, uint32_t n_pruners,
                                   csp_llama_capture *capture);
void csp_llama_capture_free(csp_llama_capture *capture);

/* The ggml_backend_sched_eval_callback; 'capture' is a csp_llama_capture. */
bool csp_llama_eval(struct ggml_tensor *node, bool ask, void *capture);

/* ---- State: one sequence's cache as bytes -------------------------------- */

/* K or V of one layer: a row is a token's, of all KV heads. */
typedef struct csp_llama_rows {
    enum ggml_type type;
    size_t row_size;
    size_t offset; /* of the first row in the state's data */
} csp_llama_rows;

typedef struct csp_llama_state {
    uint8_t *data;
    size_t size;
    csp_llama_model model;
    uint32_t n_streams, stream; /* which of them holds the sequence */
    uint32_t n_cells;
    size_t cells, cell_size; /* metadata: position, extension, sequence */
    bool v_transposed;       /* [channel][cell]: no flash attention */
    csp_llama_rows *k, *v;   /* [n_layers] */
} csp_llama_state;

/* Read the state of 'seq', which must hold at least one token. */
const char *csp_llama_state_get(struct llama_context *context, llama_seq_id seq,
                                const csp_llama_model *model,
                                csp_llama_state *state);

/* Understand 'size' bytes of a state; they become the state's own on success
   and are freed with it. */
const char *csp_llama_state_parse(uint8_t *data, size_t size,
                                  const csp_llama_model *model,
                                  csp_llama_state *state);

/* Write a state to 'seq' of a context where that is empty.  If llama.cpp does
   not take it (types, V's layout, room), 'seq' stays empty. */
const char *csp_llama_state_set(struct llama_context *context, llama_seq_id seq,
                                const csp_llama_state *state);

/* Write a state in place of what 'seq' holds, which is 'old': that comes back
   if llama.cpp does not take the new one.  If it takes neither, 'seq' is empty,
   and the text says so. */
const char *csp_llama_state_replace(struct llama_context *context,
                                    llama_seq_id seq,
                                    const csp_llama_state *old,
                                    const csp_llama_state *state);

void csp_llama_state_free(csp_llama_state *state);

/* Position of a cell; with M-RoPE the temporal one. */
llama_pos csp_llama_state_position(const csp_llama_state *state, uint32_t cell);

/* Cells of K (or V) of a layer, as csp_compact takes them.  'elements': one
   channel an element, the form in which V fits both layouts. */
csp_cells csp_llama_state_cells(const csp_llama_state *state, uint32_t layer,
                                bool v, bool elements);

/* csp_pruner_set_values for every layer, of any row type. */
const char *csp_llama_state_values(const csp_llama_state *state,
                                   csp_pruner *pruner);

/*
 * A state with only the rows that the pruner's plan keeps, V in either layout.
 * Every head of every layer must keep equally many, the last token among them;
 * so plan with CSP_EXACT and protect at least one recent token.
 */
const char *csp_llama_state_prune(const csp_llama_state *state,
                                  const csp_pruner *pruner, bool v_transposed,
                                  csp_llama_state *pruned);

/* ---- The two ways -------------------------------------------------------- */

/* Where csp_llama_prune puts the pruned sequence: an empty one, of a context
   with the same types. */
typedef struct csp_llama_target {
    struct llama_context *context;
    llama_seq_id seq;
    bool flash_attention; /* of that context */
} csp_llama_target;

/*
 * Plan, and move the kept rows of 'seq' to 'target', or back in place if that
 * is NULL.  'seq' itself stays as it is unless pruned in place.  Decoding goes
 * on at the position after the last token, as if nothing had been dropped.
 *
 * One exception: if llama.cpp refuses both the pruned state and the one that it
 * wrote a moment ago, 'seq' is empty, and the text says so.
 */
const char *csp_llama_prune(struct llama_context *context, llama_seq_id seq,
                            const csp_llama_model *model, csp_pruner *pruner,
                            const csp_llama_target *target);

/*
 * Plan, with CSP_GLOBAL, and remove what is dropped.  Not for M-RoPE, where a
 * position is a whole image; there csp_llama_prune does CSP_GLOBAL as well.
 *
 * Removed cells are holes that attention still walks over until new tokens fill
 * them, unless csp_llama_compact closes them.
 */
const char *csp_llama_prune_global(struct llama_context *context,
                                   llama_seq_id seq,
                                   const csp_llama_model *model,
                                   csp_pruner *pruner);

/* Close the holes in a sequence's cells, through its state.  The exception of
   csp_llama_prune applies. */
const char *csp_llama_compact(struct llama_context *context, llama_seq_id seq,
                              const csp_llama_model *model);

#endif /* CSP_LLAMA_H */
