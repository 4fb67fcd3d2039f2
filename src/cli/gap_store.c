/*
 * gap_store.c - what was counted of every layer, for curves to be made again
 */
#include "gap_store.h"

#include <stdlib.h>
#include <string.h>

/* A bin and its count in one number: 2^51 weights are more than files hold. */
enum { BIN_BITS = 13, BIN_MASK = (1 << BIN_BITS) - 1 };

_Static_assert(DENSITY_BINS <= BIN_MASK + 1, "a bin's number has 13 bits");

/* Bins that are not empty, those of intra before those of inter. */
typedef struct kept_layer {
    uint32_t n_intra, n_inter;
    uint64_t bins[];
} kept_layer;

struct gap_store {
    uint32_t n_layers;
    kept_layer **layers; /* [n_layers], NULL: not yet */
    density_counts counts;
    double intra[DENSITY_POINTS], inter[DENSITY_POINTS];
};

outcome gap_store_create(uint32_t n_layers, gap_store **store)
{
    gap_store *s = malloc(sizeof *s);

    if (s != NULL)
        s->layers = calloc(n_layers, sizeof(kept_layer *));
    if (s == NULL || s->layers == NULL) {
        free(s);
        return fail(INTERNAL, "not enough memory for %u layers", n_layers);
    }
    s->n_layers = n_layers;
    *store = s;
    return DONE;
}

void gap_store_free(gap_store *store)
{
    if (store == NULL)
        return;
    for (uint32_t l = 0; l < store->n_layers; l++)
        free(store->layers[l]);
    free(store->layers);
    free(store);
}

static uint32_t count_filled(const density_counts *counts)
{
    uint32_t n = 0;

    for (size_t i = 0; i < DENSITY_BINS; i++)
        n += counts->of_bin[i] > 0;
    return n;
}

static void pack(const density_counts *counts, uint64_t *bins)
{
    for (size_t i = 0; i < DENSITY_BINS; i++)
        if (counts->of_bin[i] > 0)
            *bins++ = counts->of_bin[i] << BIN_BITS | i;
}

static void unpack(const uint64_t *bins, uint32_t n, density_counts *counts)
{
    memset(counts, 0, sizeof *counts);
    for (uint32_t i = 0; i < n; i++) {
        const uint64_t count = bins[i] >> BIN_BITS;
        counts->of_bin[bins[i] & BIN_MASK] = count;
        counts->n += count;
    }
}

outcome gap_store_keep(gap_store *store, uint32_t number,
                       const gap_counter *counter)
{
    const density_counts *intra, *inter;
    kept_layer *kept;

    gap_counted(counter, &intra, &inter);
    const uint32_t n_intra = count_filled(intra), n_inter = count_filled(inter);
    kept = malloc(sizeof *kept + (n_intra + n_inter) * sizeof *kept->bins);
    if (kept == NULL)
        return fail(INTERNAL, "not enough memory for layer %u", number);
    kept->n_intra = n_intra;
    kept->n_inter = n_inter;
    pack(intra, kept->bins);
    pack(inter, kept->bins + n_intra);
    store->layers[number] = kept;
    return DONE;
}

void gap_store_draw(gap_store *store, uint32_t number, gap_layer *layer)
{
    const kept_layer *kept = store->layers[number];

    unpack(kept->bins, kept->n_intra, &store->counts);
    density_curve(&store->counts, layer->bandwidth, store->intra);
    unpack(kept->bins + kept->n_intra, kept->n_inter, &store->counts);
    density_curve(&store->counts, layer->bandwidth, store->inter);
    layer->intra = store->intra;
    layer->inter = store->inter;
}
