/*
 * generate.h - greedy decoding, with a cache that may be pruned on the way
 */
#ifndef GENERATE_H
#define GENERATE_H

#include "engine.h"
#include "prune.h"

#include <stdint.h>

/* Prune again while decoding: whenever 'every' tokens were added, back to
   'rows' rows.  A pruning of NULL or 'every' of 0: never. */
typedef struct prune_rounds {
    prune_state *pruning;
    uint32_t every, rows;
    uint32_t done; /* receives the number of rounds */
} prune_rounds;

/* Run 'token', then the most likely tokens after it, up to 'most' of them, or
   until the text ends or the model's positions do.  'tokens' receives them;
   returns their number. */
uint32_t generate(engine *e, cache *c, int32_t token, uint32_t most,
                  prune_rounds *r, int32_t *tokens);

#endif /* GENERATE_H */
