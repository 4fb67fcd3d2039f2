/*
 * attention.h - attention of one query over one head's cached rows
 */
#ifndef ATTENTION_H
#define ATTENTION_H

#include <stddef.h>
#include <stdint.h>

/* What stands for the rows that were dropped: one more key of that logit, whose
   value is given, NULL for zero.  -INFINITY: no such key. */
typedef struct attention_sink {
    float logit;
    const float *value;
} attention_sink;

/* logits[j] = scale * (query . key j), for n keys one behind the other. */
void attention_logits(const float *query, const float *keys, uint32_t n,
                      uint32_t head_dim, float scale, float *logits);

/*
 * output = sum_j w_j value_j over n values and the sink, w = softmax of the
 * logits and the sink's.  'weights' is scratch of n floats; 'logits' stay.
 * Returns the log-sum-exp of the n logits, the sink not among them, which is
 * what an engine without sinks needs to correct its output afterwards.
 */
float attention_mix(const float *logits, const float *values, uint32_t n,
                    uint32_t head_dim, attention_sink sink, float *weights,
                    float *output);

#endif /* ATTENTION_H */
