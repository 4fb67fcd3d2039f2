/*
 * fuzz_naive.h - what kept rows have to be, found without any cleverness
 */
#ifndef FUZZ_NAIVE_H
#define FUZZ_NAIVE_H

#include "fuzz_input.h"

enum { FUZZ_MAX_ROWS = 300 };

/*
 * Fail unless 'kept' is what csp_select may make of these: lists ascend inside
 * their heads, protected rows are kept, budgets are met to the row, blocks are
 * whole, spans have their quota; and where the settings do not change the
 * scores, the very rows that sorting by hand gives.
 */
void fuzz_check_kept(const csp_importance *importance, const csp_tokens *tokens,
                     const csp_config *config, const csp_kept *kept);

#endif /* FUZZ_NAIVE_H */
