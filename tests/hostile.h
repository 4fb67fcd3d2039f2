/*
 * hostile.h - one small layer and what every function of csp.h is called with
 *
 * All is in one struct, so that "nothing was written" is one comparison.
 */
#ifndef HOSTILE_H
#define HOSTILE_H

#include "test.h"

enum {
    HEADS = 4,
    KV_HEADS = 2,
    QUERIES = 3,
    KEYS = 12,
    DIM = 8,
    ROOM = 14,
    RANK = 2,
    CACHE = KV_HEADS * KEYS * DIM
};

/* What is only read. */
typedef struct inputs {
    float scores[HEADS * QUERIES * KEYS], lse[HEADS * QUERIES];
    float queries[HEADS * QUERIES * DIM], keys[CACHE], values[CACHE];
    float outputs[HEADS * QUERIES * DIM], sinks[HEADS], residual[HEADS * DIM];
    uint32_t counts[KV_HEADS], positions[KV_HEADS * ROOM];
    uint32_t rows[KV_HEADS * ROOM], n_rows[KV_HEADS], pages[KV_HEADS * KEYS];
    csp_span spans[2];
} inputs;

/* What is written, and some of it read before. */
typedef struct results {
    float importance[5][KV_HEADS * ROOM], norms[KV_HEADS * ROOM];
    uint32_t rows[KV_HEADS * ROOM], counts[KV_HEADS], n_both[KV_HEADS];
    uint8_t reasons[KV_HEADS * ROOM], mask[KEYS], bits[KEYS];
    double log_mass[HEADS], mass_rows[HEADS], fit_sums[HEADS * CSP_FIT_SUMS];
    float mass_value[HEADS * DIM], sink_logits[HEADS], residual[HEADS * DIM];
    float corrected[HEADS * QUERIES * DIM], weights[HEADS * QUERIES * KEYS];
    csp_report report;
    csp_range ranges[KEYS + 1];
    csp_move moves[KEYS];
    uint32_t blocks[KEYS], n, indptr[KV_HEADS + 1], indices[KV_HEADS * KEYS];
    uint32_t last_page[KV_HEADS];
    float caches[4][CACHE];
    double moment_count[KV_HEADS], moment_key[KV_HEADS * DIM];
    double moment_value[KV_HEADS * DIM], key_key[KV_HEADS * DIM * DIM];
    double key_value[KV_HEADS * DIM * DIM];
    float summary_keys[KV_HEADS * (1 + 2 * RANK) * DIM];
    float summary_values[KV_HEADS * (1 + RANK) * DIM];
    float log_count[KV_HEADS], variance[KV_HEADS];
    float offset[HEADS], slope[HEADS], limit[HEADS];
    csp_config preset;
    csp_pruner *pruner;
} results;

typedef struct arguments {
    csp_attention attention;
    csp_tokens tokens;
    csp_config config;
    csp_importance importance;
    csp_kept kept; /* read */
    csp_kept chosen;
    csp_tensor values, outputs, queries, lse;
    csp_cells src[2], dst[2];
    csp_calibration sums;
    csp_moments moments;
    csp_summary summary;
    csp_fit fit;
    csp_compute compute;
    csp_allocator allocator;
    csp_parallel parallel;
    float scale;
    csp_lse_unit unit;
    csp_preset preset;
    double n, ratio, bias;
    uint32_t n_kept, block, room, layer;
    uint64_t token_size;
    size_t workspace_size;
    void *workspace, *corrected, *weights;
    uint8_t *mask;
    double *fit_sums;
    uint32_t *n_out;
} arguments;

typedef struct scene {
    inputs in;
    results out;
    arguments a;
} scene;

/* A scene that every function accepts. */
void set_scene(scene *s);

/* Each calls one function with the arguments of a scene. */
typedef struct verb {
    const char *name;
    csp_status (*call)(scene *s);
    bool leaves_importance; /* unspecified with CSP_E_NOT_FINITE */
    bool has_stages;        /* several calls, of which one may fail */
} verb;

extern const verb verbs[];
extern const size_t n_verbs;

#endif
