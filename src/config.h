/*
 * config.h - checks of settings, part by part
 */
#ifndef CSP_CONFIG_H
#define CSP_CONFIG_H

#include "csp.h"

/* NULL or a struct of another size is refused, before anything else is read. */
csp_status csp__check_config(const csp_config *config);

/* Tier and paths; NULL is fine. */
csp_status csp__check_compute(const csp_compute *compute);

/* What csp_score reads. */
csp_status csp__check_voting(const csp_config *config);

/* What csp_select reads, budgets included. */
csp_status csp__check_selection(const csp_config *config);

/* What csp_pruner_plan reads beside that. */
csp_status csp__check_layers(const csp_config *config);

/*
 * Settings that csp__check_selection accepts with another budget, at least the
 * protected rows: the lists keep their parts of what those leave, each rounded
 * to the nearest row.  CSP_EXACT only.
 */
csp_config csp__with_budget(const csp_config *config, uint32_t budget);

#endif
