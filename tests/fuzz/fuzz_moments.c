/*
 * fuzz_moments.c - the way from dropped rows to corrected outputs
 *
 * Add, summarise, expand, fit, correct: each step works on what the one before
 * left, and one of them is called with something broken, or none.
 */
#include "fuzz_chain.h"

#include "oracle.h"

#include <string.h>

/* ---- Fit ----------------------------------------------------------------- */

static csp_status fit_rows(void *context)
{
    const chain *c = context;

    return csp_fit_rows(&c->attention, &c->tokens, &c->kept, &c->summary,
                        &c->compute, c->workspace, c->workspace_size, c->sums);
}

/* Queries are there whatever the source, and probabilities have an lse. */
static void draw_attention(chain *c)
{
    fuzz_input *in = &c->in;
    csp_attention *a = &c->attention;

    *a = fuzz_attention(in, &c->tokens, c->numbers);
    const uint32_t heads = fuzz_heads(a), rows = fuzz_queries(a);
    const uint32_t q[] = {heads, rows, c->keys.n_cols};
    const uint32_t l[] = {heads, rows, 1};
    a->queries =
        fuzz_tensor(in, fuzz_dtype(in), q, FUZZ_CELLS, FUZZ_INPUT, c->numbers);
    if (a->source == CSP_QUERY_KEY)
        a->keys = c->keys;
    if (a->source == CSP_PROBABILITIES)
        a->lse =
            fuzz_tensor(in, CSP_F32, l, FUZZ_CELLS, FUZZ_INPUT, FUZZ_SMALL);
    a->scale = 0.25f;
    a->softcap = 0.0f;
    c->sums = chain_doubles((size_t)heads * CSP_FIT_SUMS);
}

static void finish_fit(chain *c)
{
    const uint32_t heads = fuzz_heads(&c->attention);

    c->fit.offset = fuzz_take(heads * sizeof(float), 0, FUZZ_OUTPUT);
    c->fit.slope = fuzz_take(heads * sizeof(float), 0, FUZZ_OUTPUT);
    c->fit.limit = fuzz_take(heads * sizeof(float), 0, FUZZ_OUTPUT);
    fuzz_freeze(c->sums);
    fuzz_snapshot();
    REQUIRE(csp_fit_finish(c->sums, heads, &c->fit) == CSP_OK, "fit: refused");
    fuzz_require_kept("fit", true, false);
    for (uint32_t h = 0; h < heads; h++)
        REQUIRE(c->fit.slope[h] >= 0.0f && c->fit.slope[h] <= 1.0f,
                "fit: head %u has slope %g", h, (double)c->fit.slope[h]);
}

/* ---- Correct ------------------------------------------------------------- */

static csp_status correct(void *context)
{
    const chain *c = context;

    return csp_correct_summary(
        &c->outputs, &c->queries, 0.25f, &c->lse, c->unit, &c->summary,
        c->fit.offset != NULL ? &c->fit : NULL, &c->compute, c->workspace,
        c->workspace_size, c->corrected);
}

static size_t extent_of(const csp_tensor *t)
{
    if (t->n_heads == 0 || t->n_rows == 0 || t->n_cols == 0)
        return 0;
    return (size_t)((unsigned char *)fuzz_element(
                        t, t->n_heads - 1, t->n_rows - 1, t->n_cols - 1) -
                    (const unsigned char *)t->data) +
           oracle_element_size(t->dtype);
}

static void draw_outputs(chain *c)
{
    fuzz_input *in = &c->in;
    const bool in_place = fuzz_chance(in, 128);
    const uint32_t heads = fuzz_heads(&c->attention);
    const uint32_t rows = fuzz_below(in, 4);
    const uint32_t o[] = {heads, rows, c->values.n_cols};
    const uint32_t q[] = {heads, rows, c->keys.n_cols};
    const uint32_t l[] = {heads, rows, 1};

    c->outputs = fuzz_tensor(in, fuzz_dtype(in), o, FUZZ_WRITTEN,
                             in_place ? FUZZ_OUTPUT : FUZZ_INPUT, FUZZ_SMALL);
    c->queries =
        fuzz_tensor(in, fuzz_dtype(in), q, FUZZ_CELLS, FUZZ_INPUT, c->numbers);
    c->lse = fuzz_tensor(in, CSP_F32, l, FUZZ_CELLS, FUZZ_INPUT, FUZZ_SMALL);
    c->unit = (csp_lse_unit)fuzz_below(in, 2);
    c->corrected = in_place ? (void *)(uintptr_t)c->outputs.data
                            : fuzz_take(extent_of(&c->outputs),
                                        fuzz_below(in, 8), FUZZ_OUTPUT);
}

static void break_outputs(chain *c)
{
    fuzz_input *in = &c->in;

    if (c->broken != OUTPUTS)
        return;
    switch (fuzz_below(in, 4)) {
    case 0:
        c->refused = fuzz_break_tensor(in, &c->outputs);
        break;
    case 1:
        c->refused = fuzz_break_tensor(in, &c->queries);
        break;
    case 2:
        c->unit = (csp_lse_unit)(2 + fuzz_byte(in));
        c->refused = true;
        break;
    default:
        c->lse.dtype = CSP_F16;
        c->refused = true;
        break;
    }
}

/* Elements may have changed, and only where something was dropped; gaps not. */
static void check_corrected(const chain *c)
{
    const uint32_t group = c->outputs.n_heads / c->summary.n_kv_heads;
    const size_t size = oracle_element_size(c->outputs.dtype);
    csp_tensor corrected = c->outputs;

    corrected.data = c->corrected;
    for (uint32_t h = 0; h < corrected.n_heads; h++)
        for (uint32_t r = 0; r < corrected.n_rows; r++)
            for (uint32_t i = 0; i < corrected.n_cols; i++) {
                const void *to = fuzz_element(&corrected, h, r, i);
                const void *from = fuzz_element(&c->outputs, h, r, i);
                REQUIRE(c->moments.count[h / group] > 0.0 ||
                            memcmp(to, fuzz_before(from), size) == 0,
                        "correct: head %u, row %u changed", h, r);
                fuzz_accept(to, size);
            }
    fuzz_require_kept("correct", false, false);
}

/* ---- All of it ----------------------------------------------------------- */

static bool fit(chain *c)
{
    draw_attention(c);
    chain_scratch(
        c, csp_fit_rows_workspace_size(&c->attention, &c->tokens, &c->summary));
    if (c->broken == ATTENTION)
        c->refused =
            fuzz_break_attention(&c->in, c->tokens.n_keys, &c->attention);
    return chain_run(c, "fit", fit_rows, &c->compute);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    chain c = {.in = fuzz_open(data, size, 176)};

    c.broken = c.in.broken % N_BREAKS;
    c.numbers = fuzz_chance(&c.in, 64) ? FUZZ_ANY : FUZZ_SMALL;
    if (chain_summarise(&c) && fit(&c)) {
        if (fuzz_chance(&c.in, 160))
            finish_fit(&c);
        draw_outputs(&c);
        chain_scratch(&c, csp_correct_summary_workspace_size(&c.summary));
        break_outputs(&c);
        if (chain_run(&c, "correct", correct, &c.compute))
            check_corrected(&c);
    }
    fuzz_release();
    return 0;
}
