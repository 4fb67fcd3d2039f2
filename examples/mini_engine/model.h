/*
 * model.h - weights and settings of a llama-style decoder
 */
#ifndef MODEL_H
#define MODEL_H

#include <stdint.h>

/* Matrices are [inputs][outputs], transposed from the file, so that the inner
   loop of a product runs over outputs and needs no sum across lanes. */
typedef struct layer_weights {
    float *attention_norm; /* [hidden] */
    float *query;          /* [hidden][n_heads * head_dim] */
    float *key, *value;    /* [hidden][n_kv_heads * head_dim] */
    float *output;         /* [n_heads * head_dim][hidden] */
    float *mlp_norm;       /* [hidden] */
    float *gate, *up;      /* [hidden][n_inner] */
    float *down;           /* [n_inner][hidden] */
} layer_weights;

typedef struct model {
    uint32_t n_vocab, hidden, n_inner;
    uint32_t n_layers, n_heads, n_kv_heads, head_dim;
    uint32_t patch_size;  /* bytes of an image patch; 0: text only */
    uint32_t n_positions; /* tokens of the longest sequence */
    int32_t end_of_text;  /* token that ends an answer; -1: none */
    float norm_epsilon;
    double rope_theta;
    float *embeddings; /* [n_vocab][hidden] */
    float *projector;  /* [patch_size][hidden] */
    float *norm;       /* [hidden] */
    float *head;       /* [hidden][n_vocab] */
    layer_weights *layers;
    char **words; /* [n_vocab], NULL: the checkpoint names none */
    char **tasks; /* [n_tasks] of the test set */
    uint32_t n_tasks;
} model;

/*
 * Read config.json and model.safetensors of a folder: a llama checkpoint under
 * the names that Hugging Face uses, with model.mm_projector.weight for images.
 * What this decoder does not do (biases, scaled RoPE, sliding windows, other
 * activations) is refused, not ignored, and so is a layer's tensor that it does
 * not know: an error ends the program with a message.
 */
model model_load(const char *folder);
void model_free(model *m);

#endif /* MODEL_H */
