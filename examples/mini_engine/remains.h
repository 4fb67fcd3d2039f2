/*
 * remains.h - what is left of dropped rows, by the library (E11)
 */
#ifndef REMAINS_H
#define REMAINS_H

#include "cache.h"
#include "csp.h"
#include "support.h"

/* A layer's remains as the library's structs. */
csp_summary remains_summary(const cache *c, uint32_t layer);
csp_fit remains_fit(const cache *c, uint32_t layer);

/* Add what the pruner's plan is about to drop from a layer to its summary. */
void remains_add(cache *c, uint32_t layer, const csp_pruner *pruner,
                 const csp_tensor *keys, const csp_tensor *values);

/* Fit the summary's mass to that of what the plan is about to drop, as
   'attention' saw it. */
void remains_fit_mass(cache *c, uint32_t layer, const csp_pruner *pruner,
                      const csp_attention *attention);

/* Ends the program unless all is well. */
static inline void check(csp_status status, const char *what)
{
    if (status != CSP_OK)
        die(what, "%s", csp_status_string(status));
}

#endif /* REMAINS_H */
