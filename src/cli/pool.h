/*
 * pool.h - threads for the library, which has none
 */
#ifndef CLI_POOL_H
#define CLI_POOL_H

#include "csp.h"

/* What pool_start allows at most. */
enum { MAX_WORKERS = 256 };

typedef struct pool pool;

/*
 * Start threads for 'n_workers' in [1, MAX_WORKERS], the caller being one, or
 * as many as can be had.  NULL: no memory.
 */
pool *pool_start(uint32_t n_workers);
void pool_stop(pool *p);

/* The hook of a pool, good until it stops. */
csp_parallel pool_hook(pool *p);

/* How many CPUs this process may use, in [1, MAX_WORKERS]. */
uint32_t pool_cpus(void);

#endif /* CLI_POOL_H */
