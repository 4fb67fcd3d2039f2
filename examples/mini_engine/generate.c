/*
 * generate.c - greedy decoding, with a cache that may be pruned on the way
 */
#include "generate.h"

#include "support.h"

#include <stdbool.h>
#include <stdlib.h>

uint32_t generate(engine *e, cache *c, int32_t token, uint32_t most,
                  prune_rounds *r, int32_t *tokens)
{
    float *logits = take(e->m->n_vocab, sizeof *logits);
    const bool rounds = r != NULL && r->pruning != NULL && r->every > 0;
    uint32_t n = 0;

    if (rounds) {
        prune_while_decoding(r->pruning, r->rows);
        e->watcher = (watcher){prune_watch, r->pruning};
    }
    while (n < most && token != e->m->end_of_text &&
           c->position < e->m->n_positions) {
        engine_step(e, c, token, logits);
        token = most_likely(logits, e->m->n_vocab);
        tokens[n++] = token;
        if (rounds && n % r->every == 0) {
            prune_cache(r->pruning, c);
            r->done++;
        }
    }
    if (rounds)
        e->watcher = (watcher){0};
    free(logits);
    return n;
}
