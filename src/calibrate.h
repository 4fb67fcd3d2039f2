/*
 * calibrate.h - sums that reach the caller's when nothing can fail any more
 */
#ifndef CSP_CALIBRATE_H
#define CSP_CALIBRATE_H

#include "csp.h"
#include "rows.h"
#include "workspace.h"

/* Check sums and values against a checked window; 'used' receives the view of
   the value rows in use. */
csp_status csp__check_sums(const csp__window *window, const csp_tensor *values,
                           const csp_calibration *sums, csp_tensor *used);

/* Take arrays of the shape of 'like'; value only if it has one. */
void csp__sums_carve(csp_calibration *sums, const csp_calibration *like,
                     csp__arena *arena);

/* to += from. */
void csp__sums_add(const csp_calibration *from, const csp_calibration *to);

#endif
