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

enum { MAX_VARIANTS = 64 };

/*
 * The ways for a protocol; they live as long as 'list', which has room for
 * MAX_VARIANTS.  'only' is NULL, or part of the names wanted.  Returns how
 * many.
 */
uint32_t variants_for(protocol how, const char *only, variant *list);

#endif /* VARIANTS_H */
