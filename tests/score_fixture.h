/*
 * score_fixture.h - a small layer whose weights can be written down
 */
#ifndef SCORE_FIXTURE_H
#define SCORE_FIXTURE_H

#include "test.h"

#include <float.h>

#include "numeric.h"

/* Query heads share two KV heads; tokens 1 and 2 of 4 are an image. */
enum { HEADS = 4, KV_HEADS = 2, QUERIES = 2, KEYS = 4, COLS = 6 };

static const csp_span image[] = {{1, 3, 1}};

typedef struct fixture {
    float numbers[HEADS * QUERIES * COLS];
    float lse[HEADS * QUERIES];
    csp_tokens tokens;
    csp_attention attention;
    csp_config config;
    float intra[KV_HEADS * 5];
    float inter[KV_HEADS * 5];
    float intra_rows[KV_HEADS * 5];
    float inter_rows[KV_HEADS * 5];
    float value_norm[KV_HEADS * 5];
    csp_importance importance;
    unsigned char workspace[8192];
} fixture;

/* Logits log 1, log 3, log 6, log 2 and NaN behind; the last two tokens ask. */
static inline void set_up(fixture *f)
{
    memset(f, 0, sizeof *f);
    for (size_t i = 0; i < COUNT(f->numbers); i++) {
        const float row[COLS] = {0.0f,       logf(3.0f), logf(6.0f),
                                 logf(2.0f), NAN,        NAN};
        f->numbers[i] = row[i % COLS];
    }
    f->tokens = (csp_tokens){
        .n_kv_heads = KV_HEADS, .n_keys = KEYS, .spans = image, .n_spans = 1};
    f->attention.first_query = 2;
    f->attention.scores =
        csp_tensor_packed(f->numbers, CSP_F32, HEADS, QUERIES, COLS);
    assert_ok(csp_config_init(&f->config));
    f->importance = (csp_importance){.intra = f->intra,
                                     .inter = f->inter,
                                     .intra_rows = f->intra_rows,
                                     .inter_rows = f->inter_rows,
                                     .value_norm = f->value_norm,
                                     .capacity = 5};
}

static inline csp_status score(fixture *f)
{
    return csp_score(&f->attention, &f->tokens, &f->config, f->workspace,
                     sizeof f->workspace, &f->importance);
}

/* An error that leaves all as it was. */
static inline void refuse(fixture *f, csp_status status)
{
    static fixture before;
    before = *f;

    assert_status(score(f), status);

    assert_memory_equal(f->numbers, before.numbers,
                        offsetof(fixture, workspace));
}

#endif
