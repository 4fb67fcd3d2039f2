/*
 * fuzz_chain.c - dropped rows are added up, summarised and expanded
 */
#include "fuzz_chain.h"

#include "oracle.h"

#include <math.h>
#include <string.h>

enum { MAX_HEADS = 3, MAX_KEYS = 60, MAX_DIM = 20 };

void chain_scratch(chain *c, size_t size)
{
    REQUIRE(size > 0, "moments: no workspace size for legal shapes");
    c->workspace = fuzz_workspace(&c->in, size);
    c->workspace_size = size;
    if (c->broken == SCRATCH && fuzz_chance(&c->in, 128)) {
        c->workspace_size = fuzz_below(&c->in, 64);
        c->refused = true;
    }
}

bool chain_run(chain *c, const char *name, fuzz_call *call,
               csp_compute *compute)
{
    const csp_status status = fuzz_run(name, call, c, compute);

    REQUIRE(!c->refused || status != CSP_OK, "%s: took what is broken", name);
    REQUIRE(c->broken != NOTHING || c->numbers == FUZZ_ANY || status == CSP_OK,
            "%s: refused what is legal: %s", name, csp_status_string(status));
    return status == CSP_OK;
}

double *chain_doubles(size_t count)
{
    double *x = fuzz_take(count * sizeof *x, 0, FUZZ_OUTPUT);

    memset(x, 0, count * sizeof *x);
    return x;
}

static csp_moments take_moments(const chain *c)
{
    const size_t heads = c->tokens.n_kv_heads;
    const size_t dk = c->keys.n_cols, dv = c->values.n_cols;

    return (csp_moments){.count = chain_doubles(heads),
                         .key = chain_doubles(heads * dk),
                         .value = chain_doubles(heads * dv),
                         .key_key = chain_doubles(heads * dk * dk),
                         .key_value = chain_doubles(heads * dk * dv),
                         .n_kv_heads = c->tokens.n_kv_heads,
                         .key_dim = c->keys.n_cols,
                         .value_dim = c->values.n_cols};
}

static void freeze_moments(const csp_moments *m)
{
    fuzz_freeze(m->count);
    fuzz_freeze(m->key);
    fuzz_freeze(m->value);
    fuzz_freeze(m->key_key);
    fuzz_freeze(m->key_value);
}

/* ---- Add ----------------------------------------------------------------- */

static csp_status add(void *context)
{
    const chain *c = context;

    return csp_moments_add(&c->keys, &c->values, &c->tokens, &c->kept,
                           &c->compute, c->workspace, c->workspace_size,
                           &c->moments);
}

static void draw_rows(chain *c)
{
    fuzz_input *in = &c->in;
    c->tokens = fuzz_tokens(in, MAX_HEADS, MAX_KEYS);
    const uint32_t heads = c->tokens.n_kv_heads;
    const uint32_t n_rows = c->tokens.n_keys + fuzz_below(in, 3);
    const uint32_t k[] = {heads, n_rows, fuzz_count(in, 1, MAX_DIM)};
    const uint32_t v[] = {heads, n_rows, fuzz_count(in, 1, MAX_DIM)};

    c->keys =
        fuzz_tensor(in, fuzz_dtype(in), k, FUZZ_CELLS, FUZZ_INPUT, c->numbers);
    c->values =
        fuzz_tensor(in, fuzz_dtype(in), v, FUZZ_CELLS, FUZZ_INPUT, c->numbers);
    c->kept = fuzz_kept(in, &c->tokens);
    c->compute = fuzz_compute(in);
    c->moments = take_moments(c);
}

static void break_rows(chain *c)
{
    fuzz_input *in = &c->in;

    switch (c->broken) {
    case TOKENS:
        c->refused = fuzz_break_tokens(in, &c->tokens);
        break;
    case KEPT:
        c->refused = fuzz_break_kept(in, &c->kept);
        break;
    case KEYS:
        c->refused =
            fuzz_break_tensor(in, fuzz_chance(in, 128) ? &c->keys : &c->values);
        c->refused = c->refused && c->tokens.n_keys > 2;
        break;
    case COMPUTE:
        c->compute.tier = (csp_tier)(5 + fuzz_byte(in));
        c->refused = true;
        break;
    case MOMENTS:
        c->moments.key_value = NULL;
        c->refused = true;
        break;
    default:
        break;
    }
}

static void check_counts(const chain *c)
{
    for (uint32_t g = 0; g < c->tokens.n_kv_heads; g++) {
        const uint32_t kept = c->kept.counts[c->kept.n_lists == 1 ? 0 : g];
        REQUIRE(c->moments.count[g] ==
                    (double)(fuzz_rows(&c->tokens, g) - kept),
                "moments: head %u counts %g", g, c->moments.count[g]);
    }
}

/* ---- Summarise ----------------------------------------------------------- */

static csp_status summarise(void *context)
{
    const chain *c = context;

    return csp_summarise(&c->moments, c->workspace, c->workspace_size,
                         &c->summary);
}

static csp_status expand(void *context)
{
    const chain *c = context;

    return csp_summary_expand(&c->summary, c->workspace, c->workspace_size,
                              &c->expanded);
}

static void draw_summary(chain *c)
{
    csp_summary *s = &c->summary;
    const size_t heads = c->tokens.n_kv_heads;

    *s = (csp_summary){.dtype = fuzz_dtype(&c->in),
                       .n_kv_heads = c->tokens.n_kv_heads,
                       .key_dim = c->keys.n_cols,
                       .value_dim = c->values.n_cols};
    s->rank = fuzz_below(&c->in, s->key_dim + 1);
    const size_t element = oracle_element_size(s->dtype);
    const size_t keys = heads * (1 + 2 * (size_t)s->rank) * s->key_dim;
    const size_t values = heads * (1 + (size_t)s->rank) * s->value_dim;
    s->keys =
        fuzz_take(keys * element, element * fuzz_below(&c->in, 4), FUZZ_OUTPUT);
    s->values = fuzz_take(values * element, element * fuzz_below(&c->in, 4),
                          FUZZ_OUTPUT);
    s->log_count = fuzz_take(heads * sizeof(float), 0, FUZZ_OUTPUT);
    s->variance = fuzz_take(heads * sizeof(float), 0, FUZZ_OUTPUT);
    REQUIRE(csp_summary_size(s) ==
                (keys + values) * element + 2 * heads * sizeof(float),
            "summary: another size");
}

static void break_summary(chain *c)
{
    csp_summary *s = &c->summary;

    if (c->broken != SUMMARY)
        return;
    c->refused = true;
    switch (fuzz_below(&c->in, 4)) {
    case 0:
        s->keys = NULL;
        break;
    case 1:
        s->rank = s->key_dim + 1 + fuzz_byte(&c->in);
        break;
    case 2:
        s->dtype = (csp_dtype)(3 + fuzz_byte(&c->in));
        break;
    default:
        s->n_kv_heads = 0;
        break;
    }
}

static void freeze_summary(const csp_summary *s)
{
    fuzz_freeze(s->keys);
    fuzz_freeze(s->values);
    fuzz_freeze(s->log_count);
    fuzz_freeze(s->variance);
}

static void check_expanded(const chain *c)
{
    for (uint32_t g = 0; g < c->tokens.n_kv_heads; g++)
        REQUIRE(fabs(c->expanded.count[g] - c->moments.count[g]) <=
                    1e-5 * c->moments.count[g],
                "expand: head %u counts %g of %g", g, c->expanded.count[g],
                c->moments.count[g]);
}

/* ---- All three ----------------------------------------------------------- */

static bool add_and_summarise(chain *c)
{
    draw_rows(c);
    chain_scratch(c,
                  csp_moments_workspace_size(c->keys.n_cols, c->values.n_cols));
    break_rows(c);
    if (!chain_run(c, "moments", add, &c->compute))
        return false;
    check_counts(c);
    freeze_moments(&c->moments);
    draw_summary(c);
    chain_scratch(
        c, csp_summarise_workspace_size(c->keys.n_cols, c->values.n_cols));
    break_summary(c);
    return chain_run(c, "summarise", summarise, NULL);
}

bool chain_summarise(chain *c)
{
    if (!add_and_summarise(c))
        return false;
    freeze_summary(&c->summary);
    c->expanded = take_moments(c);
    chain_scratch(c, csp_summary_expand_workspace_size(&c->summary));
    if (!chain_run(c, "expand", expand, NULL))
        return false;
    if (c->numbers == FUZZ_SMALL)
        check_expanded(c);
    freeze_moments(&c->expanded);
    return true;
}
