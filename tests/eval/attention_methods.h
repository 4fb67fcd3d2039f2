/*
 * attention_methods.h - which rows each method keeps
 */
#ifndef ATTENTION_METHODS_H
#define ATTENTION_METHODS_H

#include "attention_scene.h"

#include <stdint.h>

typedef enum study_method {
    STUDY_CSP,      /* the preset for a question that is asked, or is not */
    STUDY_CSP_HALF, /* inter share 0.5, window and recent rows a tenth */
    STUDY_JOINT,    /* that preset, ranked without the split */
    STUDY_H2O,      /* presets */
    STUDY_SNAPKV,
    STUDY_STREAMING,
    STUDY_RANDOM, /* what that preset protects, and any others */
    N_STUDY_METHODS
} study_method;

extern const char *const study_method_names[N_STUDY_METHODS];

/* A layer's importance and what is kept by it. */
typedef struct choice {
    csp_importance importance;
    csp_kept kept;
} choice;

/* Room for one layer of a scene; used again for other methods. */
choice choice_make(const scene *s);
void choice_free(choice *c);

/* Score a layer and select 'budget' rows of each KV head, 1 to all. */
void choose(const scene *s, uint32_t layer, study_method method,
            uint32_t budget, choice *c);

/* Add the attention of 'attention' to an importance that is cleared first. */
void score(const scene *s, const csp_attention *attention,
           const csp_config *config, csp_importance *importance);

#endif /* ATTENTION_METHODS_H */
