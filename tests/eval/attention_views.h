/*
 * attention_views.h - a scene as the library sees it
 */
#ifndef ATTENTION_VIEWS_H
#define ATTENTION_VIEWS_H

#include "attention_scene.h"

/* A status that is not CSP_OK ends the program with a message. */
void csp_check(csp_status status, const char *what);

/* The library's views of a layer: its rows, their keys or values, and the
   attention of the last 'n_rows' tokens read (all of them if fewer). */
csp_tokens scene_tokens(const scene *s);
csp_tensor scene_rows(const scene *s, uint32_t layer, const float *rows);
csp_attention scene_attention(const scene *s, uint32_t layer, uint32_t n_rows);

/* The last rows that were read, text rows only if so wanted, run by run. */
typedef struct row_runs {
    uint32_t end;  /* rows that were not looked at yet */
    uint32_t left; /* wanted */
    bool text_only;
} row_runs;

/* The next run before; false: there is none. */
bool next_run(const scene *s, uint32_t layer, row_runs *r, csp_attention *run);

/* Later attention over the cache, as if its tokens came next. */
csp_attention scene_later(const scene *s, uint32_t layer);

/* A view of numbers [n][n_heads][n_cols], as later rows lie. */
csp_tensor scene_view(const scene *s, const float *rows, uint32_t n_cols);

#endif /* ATTENTION_VIEWS_H */
