/*
 * pool.h - a hook of two threads: the caller and one that waits
 *
 * Waiting is on condition variables, never spinning.
 */
#ifndef POOL_H
#define POOL_H

#include "csp.h"

typedef struct pool pool;

/* The partner is pinned to another CPU than the caller, if there is one. */
pool *pool_open(void);
void pool_close(pool *p);
csp_parallel pool_hook(pool *p);

#endif
