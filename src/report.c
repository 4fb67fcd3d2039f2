/*
 * report.c - what a selection kept
 */
#include "numeric.h"
#include "tokens.h"
#include "views.h"
#include "workspace.h"

/* Walks along one head's rows and its kept ones, which both ascend. */
static void add_head(const csp_importance *importance, const csp_tokens *tokens,
                     const csp_kept *kept, uint32_t g, csp_report *report)
{
    const uint32_t n = csp__count(tokens, g);
    const uint32_t n_kept = kept->counts[csp__list(kept, g)];
    const uint32_t *rows = csp__kept_rows(kept, g);
    const size_t at = (size_t)g * importance->capacity;
    uint32_t next = 0;

    for (uint32_t i = 0; i < n; i++) {
        double intra = (double)importance->intra[at + i];
        double inter = (double)importance->inter[at + i];
        uint32_t modality =
            csp__modality_of(tokens, csp__position(tokens, g, i));
        report->keys_of_modality[modality]++;
        report->intra_total += intra;
        report->inter_total += inter;
        if (next < n_kept && rows[next] == i) {
            next++;
            report->kept_of_modality[modality]++;
            report->intra_kept += intra;
            report->inter_kept += inter;
        }
    }
    report->n_heads++;
    report->n_keys += n;
    report->n_kept += n_kept;
    if (kept->n_both != NULL)
        report->n_both += kept->n_both[csp__list(kept, g)];
}

/* *sum += count * size; false if it does not fit. */
static bool add_bytes(uint64_t count, uint64_t size, uint64_t *sum)
{
    if (size != 0 && count > (UINT64_MAX - *sum) / size)
        return false;
    *sum += count * size;
    return true;
}

csp_status csp_report_add(const csp_importance *importance,
                          const csp_tokens *tokens, const csp_kept *kept,
                          uint64_t token_size, csp_report *report)
{
    csp_status status;

    if (importance == NULL || tokens == NULL || kept == NULL || report == NULL)
        return CSP_E_NULL;
    if ((status = csp__check_tokens(tokens)) != CSP_OK ||
        (status = csp__check_kept(kept, tokens)) != CSP_OK)
        return status;
    if (tokens->n_keys > 0) {
        if (importance->intra == NULL || importance->inter == NULL)
            return CSP_E_NULL;
        if (importance->capacity < tokens->n_keys)
            return CSP_E_CAPACITY;
        if (csp__check_array(tokens->n_kv_heads, importance->capacity) !=
            CSP_OK)
            return CSP_E_OVERFLOW;
    }
    csp_report sum = *report;
    for (uint32_t g = 0; g < tokens->n_kv_heads; g++)
        add_head(importance, tokens, kept, g, &sum);
    if (!add_bytes(sum.n_keys - report->n_keys, token_size,
                   &sum.bytes_before) ||
        !add_bytes(sum.n_kept - report->n_kept, token_size, &sum.bytes_after))
        return CSP_E_OVERFLOW;
    *report = sum;
    return CSP_OK;
}
