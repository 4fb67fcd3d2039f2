/*
 * reasons.h - why each row was kept
 *
 * csp_select says which rows stay, not which of its lists they stood in.
 */
#ifndef CLI_REASONS_H
#define CLI_REASONS_H

#include "csp.h"
#include "message.h"

#include <stdint.h>

typedef enum reason {
    REASON_DROPPED = 0,
    REASON_PROTECTED = 1, /* a sink or recent, or in a block with one */
    REASON_INTRA = 2,     /* among the best by intra only */
    REASON_INTER = 3,     /* by inter only */
    REASON_BOTH = 4,
    REASON_FILLED = 5, /* by what the lists left of the budget */
    REASON_KEPT = 6    /* kept, and nobody knows why */
} reason;

enum { N_REASONS = 7 };

/*
 * The reasons of a selection that csp_select made from the same arguments.
 *
 * Every head has n_keys rows, and no quota of spans and no floor of heads had
 * a part in it.
 *
 * 'reasons'  receives [kept->n_lists][n_keys] of the values above.
 *
 * Where the budget holds every row, those that are not protected are FILLED.
 * O(n_kv_heads * n_keys).
 */
outcome reasons_of(const csp_importance *importance, const csp_tokens *tokens,
                   const csp_config *config, const csp_kept *kept,
                   uint8_t *reasons);

#endif /* CLI_REASONS_H */
