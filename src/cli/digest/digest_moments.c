/*
 * digest_moments.c - what comes out of a summary of dropped tokens (E11)
 *
 * Of cases with queries and keys, as these alone have keys to sum up.
 */
#include "digest.h"

#include <string.h>

enum {
    MOST_DIM = 24,
    MOST_RANK = 3,
    N_OUTPUTS = MAX_HEADS * MAX_QUERIES * MOST_DIM
};

/* Room for sums, a summary and a fit of a case. */
typedef struct room {
    double count[MAX_KV_HEADS], key[MAX_KV_HEADS * MOST_DIM];
    double value[MAX_KV_HEADS * MOST_DIM];
    double key_key[MAX_KV_HEADS * MOST_DIM * MOST_DIM];
    double key_value[MAX_KV_HEADS * MOST_DIM * MOST_DIM];
    float keys[MAX_KV_HEADS * (1 + 2 * MOST_RANK) * MOST_DIM];
    float values[MAX_KV_HEADS * (1 + MOST_RANK) * MOST_DIM];
    float log_count[MAX_KV_HEADS], variance[MAX_KV_HEADS];
    float offset[MAX_HEADS], slope[MAX_HEADS], limit[MAX_HEADS];
    float outputs[N_OUTPUTS], lse[MAX_HEADS * MAX_QUERIES];
} room;

static room the_room;
static unsigned char workspace[1 << 20];

static csp_moments add_moments(uint64_t *digest, sample *s,
                               const csp_kept *kept)
{
    room *r = &the_room;
    const size_t n = (size_t)s->n_kv_heads * s->dim;
    const csp_moments moments = {r->count,   r->key,       r->value,
                                 r->key_key, r->key_value, s->n_kv_heads,
                                 s->dim,     s->dim};

    expect_ok(s, csp_moments_add(&s->keys.view, &s->values.view, &s->tokens,
                                 kept, &s->config.compute, workspace,
                                 sizeof workspace, &moments));
    digest_doubles(digest, r->count, s->n_kv_heads);
    digest_doubles(digest, r->key, n);
    digest_doubles(digest, r->value, n);
    digest_doubles(digest, r->key_key, n * s->dim);
    digest_doubles(digest, r->key_value, n * s->dim);
    return moments;
}

static csp_summary summarise(uint64_t *digest, sample *s,
                             const csp_moments *moments)
{
    room *r = &the_room;
    const uint32_t rank = s->dim < MOST_RANK ? s->dim : MOST_RANK;
    const csp_summary summary = {r->keys,     r->values, r->log_count,
                                 r->variance, CSP_F32,   s->n_kv_heads,
                                 s->dim,      s->dim,    rank};

    expect_ok(s, csp_summarise(moments, workspace, sizeof workspace, &summary));
    digest_floats(digest, r->keys,
                  (size_t)s->n_kv_heads * (1 + 2 * rank) * s->dim);
    digest_floats(digest, r->values,
                  (size_t)s->n_kv_heads * (1 + rank) * s->dim);
    digest_floats(digest, r->log_count, s->n_kv_heads);
    digest_floats(digest, r->variance, s->n_kv_heads);
    return summary;
}

static csp_fit fit(uint64_t *digest, sample *s, const csp_kept *kept,
                   const csp_summary *summary)
{
    room *r = &the_room;
    const csp_fit fit = {r->offset, r->slope, r->limit};
    double sums[MAX_HEADS * CSP_FIT_SUMS] = {0.0};

    expect_ok(s, csp_fit_rows(&s->attention, &s->tokens, kept, summary,
                              &s->config.compute, workspace, sizeof workspace,
                              sums));
    expect_ok(s, csp_fit_finish(sums, s->n_heads, &fit));
    digest_doubles(digest, sums, (size_t)s->n_heads * CSP_FIT_SUMS);
    digest_floats(digest, r->offset, s->n_heads);
    digest_floats(digest, r->slope, s->n_heads);
    digest_floats(digest, r->limit, s->n_heads);
    return fit;
}

/* Outputs are any numbers. */
static void correct(uint64_t *digest, sample *s, const csp_summary *summary,
                    const csp_fit *fit)
{
    room *r = &the_room;
    const csp_tensor outputs = csp_tensor_packed(
        r->outputs, CSP_F32, s->n_heads, s->n_queries, s->dim);
    const csp_tensor lse =
        csp_tensor_packed(r->lse, CSP_F32, s->n_heads, s->n_queries, 1);

    for (size_t i = 0; i < N_OUTPUTS; i++)
        r->outputs[i] = (float)(i % 17) * 0.25f;
    expect_ok(s, csp_correct_summary(&outputs, &s->queries.view,
                                     s->attention.scale, &lse, CSP_LSE_NATURAL,
                                     summary, fit, &s->config.compute,
                                     workspace, sizeof workspace, r->outputs));
    digest_floats(digest, r->outputs,
                  (size_t)s->n_heads * s->n_queries * s->dim);
}

void digest_moments(uint64_t *digest, sample *s, const csp_kept *kept)
{
    if (s->attention.source != CSP_QUERY_KEY || s->attention.softcap != 0.0f ||
        s->dim > MOST_DIM)
        return;
    memset(&the_room, 0, sizeof the_room);
    const csp_moments moments = add_moments(digest, s, kept);
    const csp_summary summary = summarise(digest, s, &moments);
    const csp_fit fitted = fit(digest, s, kept, &summary);
    correct(digest, s, &summary, &fitted);
    correct(digest, s, &summary, NULL);
}
