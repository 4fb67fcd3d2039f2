/*
 * mass.h - what a summary says of one query
 *
 * The rows of a KV head's summary are widened once; then each query costs 1 + 2
 * rank dot products.
 */
#ifndef CSP_MASS_H
#define CSP_MASS_H

#include "csp.h"
#include "kernels.h"
#include "workspace.h"

/* The two parts of log n(q): log m + q.mu, and q'Sq / 2. */
typedef struct csp__log_mass {
    double linear, quadratic;
} csp__log_mass;

typedef struct csp__mass {
    const csp__kernels *kernels;
    const csp_summary *summary;
    uint32_t kv_head;
    float *keys;   /* [1 + 2 rank][key_dim] */
    float *values; /* [1 + rank][value_dim] */
    float *query;  /* [key_dim] */
    float *dots;   /* [1 + 2 rank] of the last query, times the scale */
} csp__mass;

void csp__mass_carve(csp__mass *mass, const csp_summary *summary,
                     csp__arena *arena);

/* Widen the summary of a KV head. */
void csp__mass_start(csp__mass *mass, uint32_t kv_head);

/* Mass for row 'query' of head 'head' of the view; false if the query, a dot
   product or what the summary says of it is NaN or +inf. */
bool csp__mass_of(csp__mass *mass, const csp_tensor *queries, float scale,
                  uint32_t head, uint32_t query, csp__log_mass *log_mass);

#endif
