/*
 * parallel.h - tasks claimed one by one by whoever is free
 */
#ifndef CSP_PARALLEL_H
#define CSP_PARALLEL_H

#include "csp.h"

typedef csp_status (*csp__task)(void *argument, uint32_t index,
                                uint32_t worker);

/*
 * Run tasks 0..n_tasks, each once.  Returns the status of the first, by index,
 * that failed; all are run in any case, so that is the same for every number
 * of workers.
 */
csp_status csp__run_tasks(const csp_parallel *parallel, uint32_t n_tasks,
                          csp__task task, void *argument);

#endif
