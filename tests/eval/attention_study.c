/*
 * attention_study.c - every way of pruning one scene
 */
#include "attention_study.h"

#include "support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One layer of a scene, and scratch. */
typedef struct bench {
    const scene *s;
    moment when;
    uint32_t layer;
    bool experiments;
    tally *t;
    choice choice;
    choice later; /* the later queries' importance; its kept rows are unused */
    outputs seen;
    float *corrected;
    uint8_t *masks; /* [method][n_kv_heads][n_keys] */
} bench;

static uint32_t rows_of(const scene *s, uint32_t budget)
{
    const uint32_t n = scene_keys(s);
    const uint32_t rows =
        (uint32_t)(((uint64_t)n * budget_percent[budget] + 50) / 100);

    return rows > 0 ? rows : 1;
}

/* ---- Errors -------------------------------------------------------------- */

static void add_errors(const bench *b, errors *e)
{
    const scene *s = b->s;
    const float *full = s->layers[b->layer].full.rows;

    for (size_t i = 0; i < (size_t)s->n * s->n_heads; ++i) {
        errors *head = e + i % s->n_heads;
        double square = 0.0, reference = 0.0;

        for (uint32_t d = 0; d < s->head_dim; ++d) {
            const double x = (double)full[i * s->head_dim + d];
            const double off = (double)b->corrected[i * s->head_dim + d] - x;

            square += off * off;
            reference += x * x;
        }
        if (!(reference > 0.0))
            continue;
        head->rows += 1.0;
        head->relative += sqrt(square / reference);
        head->squares += square;
        head->reference += reference;
    }
}

static void add_correction(const bench *b, study_method method, uint32_t budget,
                           uint32_t c)
{
    const scene *s = b->s;

    correct(s, b->layer, &b->choice.kept, &corrections[c], &b->seen,
            b->corrected);
    add_errors(b, tally_errors(b->t, b->when, method, budget, c) +
                      (size_t)b->layer * s->n_heads);
}

static bool is_wanted(const bench *b, study_method method, uint32_t c)
{
    switch (corrections[c].audience) {
    case FOR_ALL:
        return true;
    case FOR_RANKED:
        return method == STUDY_CSP || method == STUDY_CSP_HALF ||
               method == STUDY_JOINT;
    case FOR_DEFAULT:
        return method == STUDY_CSP;
    case FOR_EXPERIMENT:
        return b->experiments && method == STUDY_CSP;
    }
    return false;
}

static void add_corrections(bench *b, study_method method, uint32_t budget)
{
    scene_attend(b->s, b->layer, &b->choice.kept, &b->seen);
    for (uint32_t c = 0; c < n_corrections; ++c)
        if (is_wanted(b, method, c) && !corrections[c].equal_memory)
            add_correction(b, method, budget, c);
}

/* Summaries paid for with kept rows, where there are as many. */
static void add_equal_memory(bench *b, study_method method, uint32_t budget)
{
    const uint32_t rows = rows_of(b->s, budget);

    for (uint32_t c = 0; c < n_corrections; ++c) {
        const uint32_t cost = correction_rows(&corrections[c], b->s->head_dim);

        if (!corrections[c].equal_memory || !is_wanted(b, method, c) ||
            cost >= rows)
            continue;
        choose(b->s, b->layer, method, rows - cost, &b->choice);
        scene_attend(b->s, b->layer, &b->choice.kept, &b->seen);
        add_correction(b, method, budget, c);
    }
}

/* ---- Reports ------------------------------------------------------------- */

static void add_reports(const bench *b, study_method method, uint32_t budget)
{
    const scene *s = b->s;
    const csp_tokens tokens = scene_tokens(s);
    const size_t at = tally_report(b->when, method, budget);
    const uint64_t token_size = 2 * s->head_dim * sizeof(float);

    csp_check(csp_report_add(&b->choice.importance, &tokens, &b->choice.kept,
                             token_size, &b->t->window[at]),
              "csp_report_add");
    csp_check(csp_report_add(&b->later.importance, &tokens, &b->choice.kept,
                             token_size, &b->t->later[at]),
              "csp_report_add");
}

static void add_mask(const bench *b, study_method method)
{
    const uint32_t n_keys = scene_keys(b->s);
    const csp_kept *kept = &b->choice.kept;

    for (uint32_t g = 0; g < b->s->n_kv_heads; ++g)
        csp_check(
            csp_kept_mask(kept->rows + (size_t)g * kept->capacity,
                          kept->counts[g], n_keys,
                          b->masks +
                              ((size_t)method * b->s->n_kv_heads + g) * n_keys),
            "csp_kept_mask");
}

static double jaccard(const uint8_t *a, const uint8_t *b, uint32_t n)
{
    uint32_t both = 0, either = 0;

    for (uint32_t i = 0; i < n; ++i) {
        both += a[i] & b[i];
        either += a[i] | b[i];
    }
    return (double)both / either;
}

static void add_overlaps(const bench *b, uint32_t budget)
{
    const uint32_t n_keys = scene_keys(b->s), heads = b->s->n_kv_heads;

    for (uint32_t i = 0; i < N_STUDY_METHODS; ++i)
        for (uint32_t j = 0; j < N_STUDY_METHODS; ++j) {
            overlap *o = &b->t->overlaps[tally_overlap(b->when, budget, i, j)];

            for (uint32_t g = 0; g < heads; ++g)
                o->jaccard += jaccard(
                    b->masks + ((size_t)i * heads + g) * n_keys,
                    b->masks + ((size_t)j * heads + g) * n_keys, n_keys);
            o->n += heads;
        }
}

/* ---- All ----------------------------------------------------------------- */

/* What later queries attend to, as importance. */
static void score_later(bench *b)
{
    const csp_attention attention = scene_later(b->s, b->layer);
    csp_config config;

    csp_check(csp_config_init(&config), "csp_config_init");
    config.n = 0.0;
    score(b->s, &attention, &config, &b->later.importance);
}

static void study_layer(bench *b)
{
    score_later(b);
    for (uint32_t budget = 0; budget < N_BUDGETS; ++budget) {
        for (uint32_t m = 0; m < N_STUDY_METHODS; ++m) {
            choose(b->s, b->layer, m, rows_of(b->s, budget), &b->choice);
            add_reports(b, m, budget);
            add_mask(b, m);
            add_corrections(b, m, budget);
            add_equal_memory(b, m, budget);
        }
        add_overlaps(b, budget);
    }
}

void study(const scene *s, moment when, bool experiments, tally *t)
{
    const size_t n_keys = scene_keys(s);
    bench b = {.s = s,
               .when = when,
               .experiments = experiments,
               .t = t,
               .choice = choice_make(s),
               .later = choice_make(s),
               .seen = outputs_make(s)};

    b.corrected =
        take(times(times(s->n, s->n_heads), s->head_dim), sizeof(float));
    b.masks = take(N_STUDY_METHODS * times(s->n_kv_heads, n_keys), 1);
    for (b.layer = 0; b.layer < s->n_layers; ++b.layer)
        study_layer(&b);
    free(b.masks);
    free(b.corrected);
    outputs_free(&b.seen);
    choice_free(&b.later);
    choice_free(&b.choice);
}
