/*
 * compact.h - the steps of a compaction, for one cache or all layers'
 *
 * Check each view, check that views are apart, then move: the moves cannot
 * fail.
 */
#ifndef CSP_COMPACT_H
#define CSP_COMPACT_H

#include "csp.h"
#include "kernels.h"

/* One view and its lists; 'dst' NULL: in place. */
csp_status csp__check_compact(const csp_cells *src, const csp_kept *kept,
                              const csp_cells *dst);

/* Checked views: no destination overlaps a source or another destination. */
csp_status csp__check_apart(const csp_cells *src, size_t n_views,
                            const csp_cells *dst);

void csp__move(const csp__kernels *kernels, const csp_cells *src,
               const csp_kept *kept, const csp_cells *dst);

#endif
