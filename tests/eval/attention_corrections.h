/*
 * attention_corrections.h - ways to make up for the dropped rows
 */
#ifndef ATTENTION_CORRECTIONS_H
#define ATTENTION_CORRECTIONS_H

#include "attention_views.h"

#include <stdbool.h>
#include <stdint.h>

typedef enum correction_kind {
    CORRECTION_NONE,
    CORRECTION_ONE,      /* n = 1 in every softmax */
    CORRECTION_SINK,     /* n as calibrated (E8) */
    CORRECTION_RESIDUAL, /* and with a mean value (E10) */
    CORRECTION_ORACLE,   /* each query's true dropped mass, that mean value */
    CORRECTION_MOMENTS   /* a summary (E11) */
} correction_kind;

/* What a dropped token counts in the moments. */
typedef enum weighting {
    WEIGHT_ALIKE,
    WEIGHT_ATTENTION, /* by the attention of the measuring rows */
    WEIGHT_TILTED     /* likewise, and expanded around their mean query */
} weighting;

/* How the summary's mass is fitted to the measuring rows. */
typedef enum fitting {
    FIT_BOUNDED,   /* csp_fit_finish: 0 <= slope <= 1, and a limit */
    FIT_NONE,      /* not at all: the Gaussian's own mass */
    FIT_LIMIT,     /* likewise, and a limit */
    FIT_OFFSET,    /* slope 0, and a limit */
    FIT_FREE,      /* any slope, and a limit */
    FIT_UNLIMITED, /* csp_fit_finish, but no limit */
    FIT_ONE,       /* slope 1, and a limit: the offset alone is fitted */
    FIT_TRUTH      /* not at all: each later query's true dropped mass */
} fitting;

/* For which methods a correction is run. */
typedef enum audience {
    FOR_ALL,
    FOR_RANKED,    /* those that rank by the same window: csp and joint */
    FOR_DEFAULT,   /* the default preset */
    FOR_EXPERIMENT /* likewise, if experiments are asked for */
} audience;

enum { RANK_FULL = UINT8_MAX };

typedef struct correction_spec {
    const char *name;
    correction_kind kind;
    uint32_t rank; /* of a summary; RANK_FULL: as many as channels */
    uint32_t rows; /* measuring rows, the last ones */
    bool text;     /* of text only */
    weighting weight;
    fitting fit;
    bool apart;        /* a summary of each modality */
    bool equal_memory; /* fewer rows are kept, by what the summary takes */
    audience audience;
} correction_spec;

/* The rows that prune.c of the small engine measures by. */
enum { MEASURING_ROWS = 16 };

/* The first correction: none. */
enum { FIRST_CORRECTION };

extern const correction_spec corrections[];
extern const uint32_t n_corrections;

/* Rows of a KV head that a correction takes the memory of. */
uint32_t correction_rows(const correction_spec *c, uint32_t head_dim);

/* The rows that a correction is measured by. */
row_runs measuring_rows(const scene *s, const correction_spec *c);

/* What the later queries see of the kept rows, corrected. */
void correct(const scene *s, uint32_t layer, const csp_kept *kept,
             const correction_spec *c, const outputs *seen, float *corrected);

#endif /* ATTENTION_CORRECTIONS_H */
