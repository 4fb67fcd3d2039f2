/*
 * attention_summary.c - corrections by a summary of the dropped rows (E11)
 *
 * One summary of all of them as the library has it, or one of each modality,
 * whose corrections follow each other.
 */
#include "attention_summary.h"

#include "attention_fit.h"
#include "attention_moments.h"
#include "support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- The tokens of one modality ------------------------------------------ */

static csp_kept lists_make(const scene *s)
{
    const uint32_t n_keys = scene_keys(s);

    return (csp_kept){.rows =
                          take(times(s->n_kv_heads, n_keys), sizeof(uint32_t)),
                      .counts = take(s->n_kv_heads, sizeof(uint32_t)),
                      .n_lists = s->n_kv_heads,
                      .capacity = n_keys};
}

static void lists_free(csp_kept *lists)
{
    free(lists->counts);
    free(lists->rows);
    *lists = (csp_kept){0};
}

/* Bytes: 1 where a token's modality is not 'modality'. */
static void mark_others(const scene *s, uint32_t modality, uint8_t *marks)
{
    memset(marks, modality != 0, scene_keys(s));
    for (uint32_t i = 0; i < s->n_spans; ++i)
        memset(marks + s->spans[i].begin, modality != s->spans[i].modality,
               s->spans[i].end - s->spans[i].begin);
}

/* The kept lists and all tokens of other modalities, so that what these drop is
   the dropped tokens of this one. */
static void spare_others(const scene *s, const csp_kept *kept,
                         uint32_t modality, csp_kept *spared)
{
    const uint32_t n_keys = scene_keys(s);
    uint8_t *marks = take(n_keys, 1);

    for (uint32_t g = 0; g < s->n_kv_heads; ++g) {
        const uint32_t list = kept->n_lists == 1 ? 0 : g;
        const uint32_t *rows = kept->rows + (size_t)list * kept->capacity;
        uint32_t *to = spared->rows + (size_t)g * spared->capacity;
        uint32_t n = 0;

        mark_others(s, modality, marks);
        for (uint32_t i = 0; i < kept->counts[list]; ++i)
            marks[rows[i]] = 1;
        for (uint32_t j = 0; j < n_keys; ++j)
            if (marks[j])
                to[n++] = j;
        spared->counts[g] = n;
    }
    free(marks);
}

/* ---- Correct ------------------------------------------------------------- */

static void apply(const scene *s, uint32_t layer, const csp_summary *summary,
                  const csp_fit *fit, const float *lse_rows, float *corrected)
{
    const csp_tensor rows = scene_view(s, corrected, s->head_dim);
    const csp_tensor queries =
        scene_view(s, s->layers[layer].queries, s->head_dim);
    const csp_tensor lse = scene_view(s, lse_rows, 1);
    const size_t size = csp_correct_summary_workspace_size(summary);
    void *workspace = take(size, 1);

    csp_check(csp_correct_summary(&rows, &queries, s->scale, &lse,
                                  CSP_LSE_NATURAL, summary, fit, NULL,
                                  workspace, size, corrected),
              "csp_correct_summary");
    free(workspace);
}

void blend_by_truth(const scene *s, uint32_t layer, const outputs *seen,
                    float *values)
{
    const float *lse = s->layers[layer].full.lse;
    const uint32_t dim = s->head_dim;

    for (size_t i = 0; i < (size_t)s->n * s->n_heads; ++i) {
        const float share = fminf(expf(seen->lse[i] - lse[i]), 1.0f);
        const float *kept = seen->rows + i * dim;
        float *v = values + i * dim;

        for (uint32_t d = 0; d < dim; ++d)
            v[d] += share * (kept[d] - v[d]);
    }
}

/* Where nothing seems to be kept, the summary's values are all there is. */
static void apply_true_mass(const scene *s, uint32_t layer,
                            const csp_summary *summary, const outputs *seen,
                            float *corrected)
{
    const size_t n = (size_t)s->n * s->n_heads;
    float *nothing = take(n, sizeof *nothing);

    for (size_t i = 0; i < n; ++i)
        nothing[i] = -INFINITY;
    apply(s, layer, summary, NULL, nothing, corrected);
    blend_by_truth(s, layer, seen, corrected);
    free(nothing);
}

/* The corrected outputs stand for the summary's tokens, too, and so must their
   log-sum-exp if another summary is to follow. */
static void add_mass(const scene *s, uint32_t layer, const csp_summary *summary,
                     const csp_fit *fit, float *lse)
{
    const float *queries = s->layers[layer].queries;

    for (size_t i = 0; i < (size_t)s->n * s->n_heads; ++i) {
        const double mass =
            fit_log_mass(summary, fit, (uint32_t)(i % s->n_heads), s->n_heads,
                         queries + i * s->head_dim, s->scale);

        lse[i] += (float)log1p(exp(mass - (double)lse[i]));
    }
}

static void correct_part(const scene *s, uint32_t layer, const csp_kept *kept,
                         const correction_spec *c, const outputs *seen,
                         float *lse, float *corrected)
{
    csp_summary summary = summarise(s, layer, kept, c);
    csp_fit fit = fit_make(s->n_heads);

    fit_mass(s, layer, kept, c, &summary, &fit);
    if (c->fit == FIT_TRUTH)
        apply_true_mass(s, layer, &summary, seen, corrected);
    else
        apply(s, layer, &summary, &fit, lse, corrected);
    if (c->apart)
        add_mass(s, layer, &summary, &fit, lse);
    fit_free(&fit);
    summary_free(&summary);
}

void correct_by_summary(const scene *s, uint32_t layer, const csp_kept *kept,
                        const correction_spec *c, const outputs *seen,
                        float *corrected)
{
    const size_t n = (size_t)s->n * s->n_heads;
    float *lse = duplicate(seen->lse, n, sizeof *lse);

    memcpy(corrected, seen->rows, n * s->head_dim * sizeof *corrected);
    if (c->apart) {
        csp_kept spared = lists_make(s);

        for (uint32_t modality = 0; modality < 2; ++modality) {
            spare_others(s, kept, modality, &spared);
            correct_part(s, layer, &spared, c, seen, lse, corrected);
        }
        lists_free(&spared);
    } else {
        correct_part(s, layer, kept, c, seen, lse, corrected);
    }
    free(lse);
}
