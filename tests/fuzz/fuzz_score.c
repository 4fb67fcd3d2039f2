/*
 * fuzz_score.c - csp_score on any attention, tokens, settings and importance
 */
#include "fuzz_input.h"

#include <math.h>

enum { MAX_HEADS = 3, MAX_KEYS = 150 };

typedef struct scoring {
    csp_attention attention;
    csp_tokens tokens;
    csp_config config;
    csp_importance importance;
    const csp_attention *attention_in;
    const csp_tokens *tokens_in;
    const csp_config *config_in;
    const csp_importance *importance_in;
    void *workspace;
    size_t workspace_size;
} scoring;

static csp_status score(void *context)
{
    const scoring *s = context;

    return csp_score(s->attention_in, s->tokens_in, s->config_in, s->workspace,
                     s->workspace_size, s->importance_in);
}

static void draw_importance(fuzz_input *in, scoring *s)
{
    csp_importance *to = &s->importance;

    to->capacity = s->tokens.n_keys + fuzz_below(in, 4);
    const size_t count = (size_t)s->tokens.n_kv_heads * to->capacity;
    to->intra = fuzz_floats(in, count, FUZZ_LOOSE, FUZZ_SMALL);
    to->inter = fuzz_floats(in, count, FUZZ_LOOSE, FUZZ_SMALL);
    if (fuzz_chance(in, 160)) {
        to->intra_rows = fuzz_floats(in, count, FUZZ_LOOSE, FUZZ_SMALL);
        to->inter_rows = fuzz_floats(in, count, FUZZ_LOOSE, FUZZ_SMALL);
    }
    if (fuzz_chance(in, 128))
        to->value_norm = fuzz_floats(in, count, FUZZ_INPUT, FUZZ_SMALL);
}

/* Whether the call is certain to be refused then. */
static bool break_importance(fuzz_input *in, scoring *s)
{
    switch (fuzz_below(in, 3)) {
    case 0:
        s->importance.inter = NULL;
        break;
    case 1:
        if (s->importance.intra_rows == NULL)
            return false;
        s->importance.intra_rows = NULL;
        break;
    default:
        if (s->tokens.n_keys > 0)
            s->importance.capacity = fuzz_below(in, s->tokens.n_keys);
        break;
    }
    return s->tokens.n_keys > 0;
}

static bool leave_out(fuzz_input *in, scoring *s)
{
    switch (fuzz_below(in, 5)) {
    case 0:
        s->attention_in = NULL;
        return true;
    case 1:
        s->tokens_in = NULL;
        return true;
    case 2:
        s->config_in = NULL;
        return true;
    case 3:
        s->importance_in = NULL;
        return true;
    default:
        s->workspace = NULL;
        return true;
    }
}

static bool break_one(fuzz_input *in, scoring *s)
{
    switch (in->broken % 6) {
    case 0:
        return fuzz_break_tokens(in, &s->tokens);
    case 1:
        return fuzz_break_attention(in, s->tokens.n_keys, &s->attention);
    case 2:
        return fuzz_break_config(in, &s->config);
    case 3:
        return break_importance(in, s);
    case 4:
        return leave_out(in, s);
    default:
        s->workspace_size = fuzz_below(in, 64);
        return true;
    }
}

/* Sums do not shrink, weights of a row come to at most one, and rows that are
   not in use keep what they had. */
static void check_head(const scoring *s, uint32_t g, double most)
{
    const csp_importance *to = &s->importance;
    const float *intra = to->intra + (size_t)g * to->capacity;
    const float *inter = to->inter + (size_t)g * to->capacity;
    const float *intra_before = fuzz_before(intra);
    const float *inter_before = fuzz_before(inter);
    double sum = 0.0;

    for (uint32_t i = 0; i < to->capacity; i++) {
        const double grown = (double)intra[i] - (double)intra_before[i];
        const double other = (double)inter[i] - (double)inter_before[i];
        REQUIRE(grown >= 0.0 && other >= 0.0,
                "score: head %u, row %u lost importance", g, i);
        REQUIRE(i < fuzz_rows(&s->tokens, g) || (grown == 0.0 && other == 0.0),
                "score: head %u, row %u is not in use", g, i);
        sum += grown + other;
    }
    REQUIRE(sum <= most * 1.001 + 1e-3, "score: head %u got %g of %g", g, sum,
            most);
}

static void check(const scoring *s, fuzz_numbers numbers)
{
    const uint32_t group = fuzz_heads(&s->attention) / s->tokens.n_kv_heads;
    const double rows = (double)fuzz_queries(&s->attention) * (double)group;

    for (uint32_t g = 0; g < s->tokens.n_kv_heads && s->tokens.n_keys > 0;
         g++) {
        if (s->attention.source != CSP_PROBABILITIES)
            check_head(s, g, rows);
        else if (numbers == FUZZ_SMALL)
            check_head(s, g, (double)INFINITY);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input in = fuzz_open(data, size, 176);
    scoring s = {.attention_in = &s.attention,
                 .tokens_in = &s.tokens,
                 .config_in = &s.config,
                 .importance_in = &s.importance};
    const fuzz_numbers numbers = fuzz_chance(&in, 80) ? FUZZ_ANY : FUZZ_SMALL;

    s.tokens = fuzz_tokens(&in, MAX_HEADS, MAX_KEYS);
    s.attention = fuzz_attention(&in, &s.tokens, numbers);
    s.config = fuzz_config(&in, s.tokens.n_keys);
    if (s.attention.source == CSP_PROBABILITIES && s.attention.lse.data == NULL)
        s.config.n = 0.0;
    draw_importance(&in, &s);
    s.workspace_size =
        csp_score_workspace_size(&s.attention, &s.tokens, &s.config);
    REQUIRE(s.workspace_size > 0, "score: no workspace size for legal views");
    s.workspace = fuzz_workspace(&in, s.workspace_size);
    const bool refused = in.broken != 0 && break_one(&in, &s);

    const csp_status status = fuzz_run("score", score, &s, &s.config.compute);
    REQUIRE(!refused || status != CSP_OK, "score: took what is broken");
    REQUIRE(in.broken != 0 || numbers == FUZZ_ANY || status == CSP_OK,
            "score: refused what is legal: %s", csp_status_string(status));
    if (status == CSP_OK)
        check(&s, numbers);
    fuzz_release();
    return 0;
}
