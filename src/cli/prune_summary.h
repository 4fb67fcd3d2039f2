/*
 * prune_summary.h - what a decision amounts to
 */
#ifndef CLI_PRUNE_SUMMARY_H
#define CLI_PRUNE_SUMMARY_H

#include "prune_options.h"

typedef struct prune_summary {
    const prune_options *options;
    prune_shape shape;
    csp_config config;
    csp_report *heads; /* [n_layers][n_kv_heads] */
    csp_report all;
    prune_times times;
    double write; /* seconds */
    char scores[128];
} prune_summary;

outcome prune_summary_begin(prune_summary *s, const prune_options *options,
                            const prune_shape *shape);
outcome prune_summary_layer(prune_summary *s, const prune_layer *layer);
void prune_summary_free(prune_summary *s);

/* The part of the attention mass that is kept, intra and inter together or
   apart; NaN where there was none. */
double retained(const csp_report *r);
double retained_intra(const csp_report *r);
double retained_inter(const csp_report *r);

/* All of it as one JSON object, with a newline; free it.  NULL: there was no
   memory, which has been said. */
char *prune_summary_json(const prune_summary *s);

/* A screen's worth of it on standard output; 'folder' may be NULL. */
void prune_summary_print(const prune_summary *s, const char *folder);

#endif /* CLI_PRUNE_SUMMARY_H */
