/*
 * prune_input.h - the files that `csp prune` reads, a layer at a time
 */
#ifndef CLI_PRUNE_INPUT_H
#define CLI_PRUNE_INPUT_H

#include "array.h"
#include "prune_options.h"

/* One of the files, and room for a layer of it. */
typedef struct input_file {
    array array;
    bool is_open;
    csp_dtype dtype;  /* in memory: f64 becomes f32 */
    uint64_t n_layer; /* elements of a layer */
    void *data;
} input_file;

typedef struct prune_input {
    input_file scores, lse, values; /* the latter two where given */
    bool has_layers;
    uint32_t n_layers, n_heads, n_kv_heads, n_queries, n_keys;
    uint32_t first_query;
    uint32_t value_dim; /* 0: no values */
    bool probabilities; /* what the scores are said to be */
} prune_input;

/* Open the files and see that they, and the spans, fit together.  Close it
   after errors, too. */
outcome prune_input_open(const prune_options *o, prune_input *in);
void prune_input_close(prune_input *in);

/* Read a layer of all files into their 'data'. */
outcome prune_input_read(const prune_input *in, uint32_t layer);

#endif /* CLI_PRUNE_INPUT_H */
