/*
 * engine.c - contexts of llama.cpp: prefill a prompt, decode a token
 */
#include "program.h"

#include <stdlib.h>
#include <string.h>

enum { ROUND = 256 }; /* llama.cpp rounds contexts up to it */

struct llama_context *new_context(struct llama_model *model,
                                  const engine_options *o, uint32_t n_cells,
                                  csp_llama_capture *capture)
{
    struct llama_context_params params = llama_context_default_params();
    const bool flash = capture ? o->score_flash : o->flash;
    struct llama_context *context;

    params.n_ctx = (n_cells + ROUND - 1) / ROUND * ROUND;
    params.n_batch = params.n_ubatch = o->n_ubatch;
    params.n_threads = params.n_threads_batch = (int32_t)o->n_threads;
    params.flash_attn_type =
        flash ? LLAMA_FLASH_ATTN_TYPE_ENABLED : LLAMA_FLASH_ATTN_TYPE_DISABLED;
    params.type_k = o->type_k;
    params.type_v = o->type_v;
    params.no_perf = true;
    if (capture) {
        params.cb_eval = csp_llama_eval;
        params.cb_eval_user_data = capture;
    }
    if (!(context = llama_init_from_model(model, params)))
        fail("llama_init_from_model", "no context of these settings");
    return context;
}

/* ---- Prefill ------------------------------------------------------------- */

/* The positions of patches [from, from + n) of an image, in the four planes of
   M-RoPE: time, row, column, nothing. */
static void grid_positions(const piece *image, llama_pos first, uint32_t from,
                           uint32_t n, llama_pos *planes)
{
    for (uint32_t i = 0; i < n; ++i) {
        const uint32_t patch = from + i;

        planes[i] = first;
        planes[n + i] = first + (llama_pos)(patch / image->grid_width);
        planes[2 * n + i] = first + (llama_pos)(patch % image->grid_width);
        planes[3 * n + i] = 0;
    }
}

/* Positions that a piece takes. */
static llama_pos extent(const piece *part, bool shared_positions)
{
    if (!part->embeddings || !shared_positions)
        return (llama_pos)part->n;
    return (llama_pos)(part->grid_width > part->grid_height
                           ? part->grid_width
                           : part->grid_height);
}

/* Tokens [from, from + n) of a piece that starts at position 'first'. */
static void decode_part(struct llama_context *context, const prompt *p,
                        const piece *part, uint32_t from, uint32_t n,
                        llama_pos first, bool shared_positions)
{
    const bool planes = part->embeddings && shared_positions;
    llama_pos *positions =
        allocate(planes ? 4 * (size_t)n : n, sizeof *positions);
    int32_t *n_seq = allocate(n, sizeof *n_seq);
    llama_seq_id **seqs = allocate(n, sizeof(llama_seq_id *));
    int8_t *wanted = allocate(n, sizeof *wanted);
    llama_seq_id zero = 0;
    struct llama_batch batch = {
        .n_tokens = (int32_t)n,
        .token = part->tokens ? part->tokens + from : NULL,
        .embd = part->embeddings ? part->embeddings + (size_t)from * p->n_embd
                                 : NULL,
        .pos = positions,
        .n_seq_id = n_seq,
        .seq_id = seqs,
        .logits = wanted,
    };

    for (uint32_t i = 0; i < n; ++i) {
        positions[i] = first + (llama_pos)(from + i);
        n_seq[i] = 1;
        seqs[i] = &zero;
        wanted[i] = i == n - 1 ? 1 : 0;
    }
    if (planes)
        grid_positions(part, first, from, n, positions);
    if (llama_decode(context, batch) != 0)
        fail("llama_decode", "the prompt cannot be decoded");
    free(positions);
    free(n_seq);
    free(seqs);
    free(wanted);
}

llama_pos prefill(struct llama_context *context, const prompt *p,
                  bool shared_positions)
{
    const uint32_t n_batch = llama_n_batch(context);
    llama_pos position = 0;

    for (uint32_t i = 0; i < p->n_pieces; ++i) {
        const piece *part = &p->pieces[i];

        for (uint32_t from = 0; from < part->n; from += n_batch) {
            const uint32_t rest = part->n - from;

            decode_part(context, p, part, from, rest < n_batch ? rest : n_batch,
                        position, shared_positions);
        }
        position += extent(part, shared_positions);
    }
    llama_synchronize(context);
    return position;
}

/* ---- Decode -------------------------------------------------------------- */

double decode(struct llama_context *context, llama_token token,
              llama_pos position, uint32_t n_vocab, float *logits)
{
    llama_seq_id zero = 0, *seq = &zero;
    int32_t one = 1;
    int8_t wanted = 1;
    const struct llama_batch batch = {
        .n_tokens = 1,
        .token = &token,
        .pos = &position,
        .n_seq_id = &one,
        .seq_id = &seq,
        .logits = &wanted,
    };
    const int64_t start = llama_time_us();

    if (llama_decode(context, batch) != 0)
        fail("llama_decode", "a token cannot be decoded");
    llama_synchronize(context);
    const int64_t end = llama_time_us();
    memcpy(logits, llama_get_logits_ith(context, -1), n_vocab * sizeof *logits);
    return (double)(end - start) * 1e-6;
}

llama_token best_token(const float *logits, uint32_t n_vocab)
{
    uint32_t best = 0;

    for (uint32_t i = 1; i < n_vocab; ++i)
        if (logits[i] > logits[best])
            best = i;
    return (llama_token)best;
}
