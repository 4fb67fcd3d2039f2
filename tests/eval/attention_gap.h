/*
 * attention_gap.h - how differently the modalities attend
 */
#ifndef ATTENTION_GAP_H
#define ATTENTION_GAP_H

#include "attention_scene.h"

#include <stdint.h>

/* Pairs of a query and a key, by modality. */
typedef enum pairing {
    TEXT_TO_TEXT,
    TEXT_TO_IMAGE,
    IMAGE_TO_OWN,   /* to keys of the same image */
    IMAGE_TO_OTHER, /* to those of other images */
    IMAGE_TO_TEXT,
    N_PAIRINGS
} pairing;

/* Bins of log attention weights, from the smallest to 0; what is smaller is in
   the first. */
enum { GAP_BINS = 120, GAP_BINS_PER_NAT = 4 };

typedef struct gap {
    uint32_t n_layers, n_heads;
    double *counts; /* [layer][head][pairing][bin] pairs */
    double *mass;   /* [layer][head][pairing] attention */
} gap;

gap gap_make(uint32_t n_layers, uint32_t n_heads);
void gap_free(gap *g);

/* Add the attention of all tokens read to all cached ones. */
void gap_add(gap *g, const scene *s);
void gap_merge(gap *g, const gap *other);

/* What the queries counted are, and what is compared. */
typedef enum gap_kind {
    GAP_ALL,    /* intra against inter */
    GAP_TEXT,   /* likewise, text queries only */
    GAP_IMAGE,  /* likewise, image queries only */
    GAP_IMAGES, /* own image against other images: both are intra */
    N_GAP_KINDS
} gap_kind;

extern const char *const gap_kind_names[N_GAP_KINDS];

/* Of heads [head, head + n) of a layer: Jensen-Shannon divergence in bits, from
   0 (alike) to 1 (apart); means of the log weights; what the second kind of
   pairs has of all pairs, and of the attention. */
typedef struct gap_figures {
    double divergence, intra_mean, inter_mean, pairs, mass;
} gap_figures;

gap_figures gap_of(const gap *g, uint32_t layer, uint32_t head, uint32_t n,
                   gap_kind kind);

/* Density of the log weights of intra or inter pairs of a layer, per nat. */
void gap_density(const gap *g, uint32_t layer, bool inter, double *density);

#endif /* ATTENTION_GAP_H */
