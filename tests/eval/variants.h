/*
 * variants.h - the ways to prune that are compared
 */
#ifndef VARIANTS_H
#define VARIANTS_H

#include "prune.h"
#include "testset.h"

typedef struct recipe recipe;

/* One way, as settings without a budget. */
typedef struct variant {
    const char *name;
    prune_settings settings;
    const recipe *made_by;
    protocol how;
} variant;

/* All ways for a protocol, for as long as 'list', which must have room for
   n_variants of them. */
extern const uint32_t n_variants;
void variants_for(protocol how, variant *list);

#endif /* VARIANTS_H */
