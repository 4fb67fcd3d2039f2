/*
 * kept.c - forms of a kept list
 *
 * Each is one walk along the ascending list.  What is counted is counted
 * before anything is written, so a short array leaves the outputs alone.
 */
#include <string.h>

#include "tokens.h"

csp_status csp_kept_mask(const uint32_t *kept, uint32_t n_kept, uint32_t n_keys,
                         uint8_t *mask)
{
    csp_status status = csp__check_rows(kept, n_kept, n_keys);

    if (status != CSP_OK || n_keys == 0)
        return status;
    if (mask == NULL)
        return CSP_E_NULL;
    memset(mask, 0, n_keys);
    for (uint32_t i = 0; i < n_kept; i++)
        mask[kept[i]] = 1;
    return CSP_OK;
}

csp_status csp_kept_bits(const uint32_t *kept, uint32_t n_kept, uint32_t n_keys,
                         uint8_t *bits)
{
    csp_status status = csp__check_rows(kept, n_kept, n_keys);

    if (status != CSP_OK || n_keys == 0)
        return status;
    if (bits == NULL)
        return CSP_E_NULL;
    memset(bits, 0, n_keys / 8 + (n_keys % 8 != 0));
    for (uint32_t i = 0; i < n_kept; i++)
        bits[kept[i] / 8] |= (uint8_t)(1u << kept[i] % 8);
    return CSP_OK;
}

/* Check what every list of n_out elements needs before it is written. */
static csp_status check_room(uint32_t n_out, uint32_t capacity, const void *out,
                             const uint32_t *count)
{
    if (count == NULL || (out == NULL && n_out > 0))
        return CSP_E_NULL;
    return n_out > capacity ? CSP_E_CAPACITY : CSP_OK;
}

/* Write the runs of kept rows, or those between them; NULL: count only. */
static uint32_t runs(const uint32_t *kept, uint32_t n_kept, uint32_t n_keys,
                     bool dropped, csp_range *ranges)
{
    uint32_t n = 0;
    uint32_t end = 0; /* of the last run of kept rows */

    for (uint32_t i = 0; i < n_kept;) {
        csp_range run = {.begin = kept[i], .end = kept[i] + 1};
        for (i++; i < n_kept && kept[i] == run.end; i++)
            run.end++;
        csp_range gap = {.begin = end, .end = run.begin};
        end = run.end;
        if (dropped && gap.begin == gap.end)
            continue;
        if (ranges != NULL)
            ranges[n] = dropped ? gap : run;
        n++;
    }
    if (dropped && end < n_keys) {
        if (ranges != NULL)
            ranges[n] = (csp_range){.begin = end, .end = n_keys};
        n++;
    }
    return n;
}

static csp_status write_runs(const uint32_t *kept, uint32_t n_kept,
                             uint32_t n_keys, bool dropped, uint32_t capacity,
                             csp_range *ranges, uint32_t *n_ranges)
{
    csp_status status = csp__check_rows(kept, n_kept, n_keys);

    if (status != CSP_OK)
        return status;
    uint32_t n = runs(kept, n_kept, n_keys, dropped, NULL);
    if ((status = check_room(n, capacity, ranges, n_ranges)) != CSP_OK)
        return status;
    *n_ranges = runs(kept, n_kept, n_keys, dropped, ranges);
    return CSP_OK;
}

csp_status csp_kept_ranges(const uint32_t *kept, uint32_t n_kept,
                           uint32_t n_keys, uint32_t capacity,
                           csp_range *ranges, uint32_t *n_ranges)
{
    return write_runs(kept, n_kept, n_keys, false, capacity, ranges, n_ranges);
}

csp_status csp_dropped_ranges(const uint32_t *kept, uint32_t n_kept,
                              uint32_t n_keys, uint32_t capacity,
                              csp_range *ranges, uint32_t *n_ranges)
{
    return write_runs(kept, n_kept, n_keys, true, capacity, ranges, n_ranges);
}

/* Whether kept[i] is the first kept row of its block. */
static bool opens_block(const uint32_t *kept, uint32_t i, uint32_t block)
{
    return i == 0 || kept[i] / block != kept[i - 1] / block;
}

csp_status csp_kept_blocks(const uint32_t *kept, uint32_t n_kept,
                           uint32_t n_keys, uint32_t block, uint32_t capacity,
                           uint32_t *blocks, uint32_t *n_blocks)
{
    csp_status status = csp__check_rows(kept, n_kept, n_keys);
    uint32_t n = 0;

    if (status != CSP_OK)
        return status;
    if (block == 0)
        return CSP_E_CONFIG;
    for (uint32_t i = 0; i < n_kept; i++)
        n += opens_block(kept, i, block);
    if ((status = check_room(n, capacity, blocks, n_blocks)) != CSP_OK)
        return status;
    *n_blocks = n;
    n = 0;
    for (uint32_t i = 0; i < n_kept; i++)
        if (opens_block(kept, i, block))
            blocks[n++] = kept[i] / block;
    return CSP_OK;
}

csp_status csp_kept_moves(const uint32_t *kept, uint32_t n_kept,
                          uint32_t n_keys, uint32_t capacity, csp_move *moves,
                          uint32_t *n_moves)
{
    csp_status status = csp__check_rows(kept, n_kept, n_keys);
    uint32_t stay = 0;

    if (status != CSP_OK)
        return status;
    while (stay < n_kept &&
           kept[stay] == stay) /* rows ascend: only a prefix stays */
        stay++;
    if ((status = check_room(n_kept - stay, capacity, moves, n_moves)) !=
        CSP_OK)
        return status;
    *n_moves = n_kept - stay;
    for (uint32_t i = stay; i < n_kept; i++)
        moves[i - stay] = (csp_move){.src = kept[i], .dst = i};
    return CSP_OK;
}

/* How many pages a list keeps; CSP_E_SHAPE if it keeps a part of one. */
static csp_status pages_of_list(const uint32_t *rows, uint32_t count,
                                uint32_t n_keys, uint32_t page, bool compacted,
                                uint32_t *n_pages)
{
    csp_status status = csp__check_rows(rows, count, n_keys);

    *n_pages = count / page + (count % page != 0);
    if (status != CSP_OK || compacted)
        return status;
    for (uint32_t i = 0; i < count;) {
        uint32_t first = rows[i] - rows[i] % page;
        uint32_t size = n_keys - first < page ? n_keys - first : page;
        if (rows[i] != first || count - i < size ||
            rows[i + size - 1] != first + size - 1)
            return CSP_E_SHAPE;
        i += size;
    }
    return CSP_OK;
}

csp_status csp_kept_pages(const csp_kept *kept, uint32_t n_keys,
                          uint32_t page_tokens, const uint32_t *pages,
                          bool compacted, uint32_t capacity, uint32_t *indptr,
                          uint32_t *indices, uint32_t *last_page)
{
    uint64_t total = 0;
    uint32_t n_pages;

    if (kept == NULL || indptr == NULL ||
        (kept->n_lists > 0 && (kept->counts == NULL || last_page == NULL)))
        return CSP_E_NULL;
    if (page_tokens == 0)
        return CSP_E_CONFIG;
    for (uint32_t list = 0; list < kept->n_lists; list++) {
        if (kept->counts[list] > kept->capacity)
            return CSP_E_CAPACITY;
        csp_status status =
            pages_of_list(csp__kept_rows(kept, list), kept->counts[list],
                          n_keys, page_tokens, compacted, &n_pages);
        if (status != CSP_OK)
            return status;
        total += n_pages;
    }
    if (total > capacity)
        return CSP_E_CAPACITY;
    if (total > 0 && (pages == NULL || indices == NULL))
        return CSP_E_NULL;

    const size_t table = n_keys / page_tokens + (n_keys % page_tokens != 0);
    uint32_t at = 0;
    for (uint32_t list = 0; list < kept->n_lists; list++) {
        const uint32_t *rows = csp__kept_rows(kept, list);
        const uint32_t count = kept->counts[list];
        indptr[list] = at;
        for (uint32_t i = 0; i < count; i += page_tokens) {
            uint32_t page = (compacted ? i : rows[i]) / page_tokens;
            indices[at++] = pages[list * table + page];
            if (count - i < page_tokens)
                break;
        }
        last_page[list] = count > 0 ? (count - 1) % page_tokens + 1 : 0;
    }
    indptr[kept->n_lists] = at;
    return CSP_OK;
}
