/*
 * measure.c - how a cache continues the prompt
 *
 * The same tokens are fed to every cache, so that the distributions after each
 * of them can be compared.  The first token's distribution comes from the
 * prefill, before anything is dropped; it is not counted.
 */
#include "program.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* log(sum exp), in double: vocabularies are long. */
static double log_sum_exp(const float *x, uint32_t n)
{
    float max = x[0];
    double sum = 0.0;

    for (uint32_t i = 1; i < n; ++i)
        max = x[i] > max ? x[i] : max;
    for (uint32_t i = 0; i < n; ++i)
        sum += exp((double)x[i] - (double)max);
    return (double)max + log(sum);
}

/* KL(p || q) of two rows of logits. */
static double divergence(const float *p, const float *q, uint32_t n)
{
    const double log_p = log_sum_exp(p, n), log_q = log_sum_exp(q, n);
    double sum = 0.0;

    for (uint32_t i = 0; i < n; ++i) {
        const double a = (double)p[i] - log_p, b = (double)q[i] - log_q;

        sum += exp(a) * (a - b);
    }
    return sum;
}

void continue_greedily(struct llama_context *context, reference *r)
{
    float *logits = allocate(r->n_vocab, sizeof *logits);
    llama_token token = r->first;

    for (uint32_t i = 0; i < r->n_tokens; ++i) {
        r->tokens[i] = token;
        decode(context, token, r->position + (llama_pos)i, r->n_vocab, logits);
        token = best_token(logits, r->n_vocab);
    }
    free(logits);
}

void measure(struct llama_context *context, reference *r, bool full, trial *t)
{
    float *logits = allocate(r->n_vocab, sizeof *logits);
    double seconds = 0.0;
    uint32_t agreed = 0, n_losses = 0;

    t->divergence = t->loss = 0.0;
    for (uint32_t i = 0; i < r->n_tokens; ++i) {
        float *expected = r->logits + (size_t)i * r->n_vocab;

        seconds += decode(context, r->tokens[i], r->position + (llama_pos)i,
                          r->n_vocab, logits);
        if (full)
            memcpy(expected, logits, r->n_vocab * sizeof *logits);
        agreed +=
            best_token(logits, r->n_vocab) == best_token(expected, r->n_vocab);
        t->divergence += divergence(expected, logits, r->n_vocab);
        if (i + 1 < r->n_tokens) {
            t->loss += log_sum_exp(logits, r->n_vocab) -
                       (double)logits[r->tokens[i + 1]];
            ++n_losses;
        }
    }
    free(logits);
    t->agreement = (double)agreed / r->n_tokens;
    t->divergence /= r->n_tokens;
    t->loss = n_losses ? t->loss / n_losses : (double)NAN;
    t->tokens_per_second = r->n_tokens / seconds;
}

llama_token *generate(struct llama_context *context, const reference *r,
                      uint32_t n)
{
    llama_token *tokens = allocate(n, sizeof *tokens);
    float *logits = allocate(r->n_vocab, sizeof *logits);

    tokens[0] = r->first;
    for (uint32_t i = 0; i + 1 < n; ++i) {
        decode(context, tokens[i], r->position + (llama_pos)i, r->n_vocab,
               logits);
        tokens[i + 1] = best_token(logits, r->n_vocab);
    }
    free(logits);
    return tokens;
}
