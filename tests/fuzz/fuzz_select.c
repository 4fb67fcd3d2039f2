/*
 * fuzz_select.c - csp_select on any importance, tokens and settings
 */
#include "fuzz_naive.h"

enum { MAX_HEADS = 4, MAX_KEYS = FUZZ_MAX_ROWS };

typedef struct selecting {
    csp_importance importance;
    csp_tokens tokens;
    csp_config config;
    csp_kept kept;
    const csp_importance *importance_in;
    const csp_tokens *tokens_in;
    const csp_config *config_in;
    const csp_kept *kept_in;
    void *workspace;
    size_t workspace_size;
} selecting;

static csp_status select_rows(void *context)
{
    const selecting *s = context;

    return csp_select(s->importance_in, s->tokens_in, s->config_in,
                      s->workspace, s->workspace_size, s->kept_in);
}

static void draw_importance(fuzz_input *in, fuzz_numbers numbers, selecting *s)
{
    csp_importance *from = &s->importance;

    from->capacity = s->tokens.n_keys + fuzz_below(in, 4);
    const size_t count = (size_t)s->tokens.n_kv_heads * from->capacity;
    from->intra = fuzz_floats(in, count, FUZZ_INPUT, numbers);
    from->inter = fuzz_floats(in, count, FUZZ_INPUT, numbers);
    if (s->config.weigh_rows || fuzz_chance(in, 64)) {
        from->intra_rows = fuzz_floats(in, count, FUZZ_INPUT, FUZZ_POSITIVE);
        from->inter_rows = fuzz_floats(in, count, FUZZ_INPUT, FUZZ_POSITIVE);
    }
    if (s->config.weigh_values || fuzz_chance(in, 64))
        from->value_norm = fuzz_floats(in, count, FUZZ_INPUT, FUZZ_POSITIVE);
}

static void draw_kept(fuzz_input *in, selecting *s)
{
    csp_kept *kept = &s->kept;

    kept->n_lists = s->config.scope == CSP_PER_HEAD ? s->tokens.n_kv_heads : 1;
    kept->capacity = csp_kept_bound(&s->tokens, &s->config) + fuzz_below(in, 3);
    const size_t count = (size_t)kept->n_lists * kept->capacity;
    kept->rows = fuzz_take(count * sizeof *kept->rows, 0, FUZZ_OUTPUT);
    kept->counts =
        fuzz_take(kept->n_lists * sizeof *kept->counts, 0, FUZZ_OUTPUT);
    if (fuzz_chance(in, 128)) {
        kept->n_both =
            fuzz_take(kept->n_lists * sizeof *kept->n_both, 0, FUZZ_OUTPUT);
        kept->reasons = fuzz_take(count, 0, FUZZ_OUTPUT);
    }
}

static bool leave_out(fuzz_input *in, selecting *s)
{
    switch (fuzz_below(in, 5)) {
    case 0:
        s->importance_in = NULL;
        return true;
    case 1:
        s->tokens_in = NULL;
        return true;
    case 2:
        s->config_in = NULL;
        return true;
    case 3:
        s->kept_in = NULL;
        return true;
    default:
        s->workspace = NULL;
        return true;
    }
}

static bool break_kept(fuzz_input *in, selecting *s)
{
    const uint32_t bound = csp_kept_bound(&s->tokens, &s->config);

    switch (fuzz_below(in, 4)) {
    case 0:
        s->kept.n_lists += 1 + fuzz_byte(in);
        return true;
    case 1:
        s->kept.counts = NULL;
        return true;
    case 2:
        s->kept.rows = NULL;
        return bound > 0;
    default:
        s->kept.capacity = bound > 0 ? bound - 1 : 0;
        return bound > 0;
    }
}

static bool break_importance(fuzz_input *in, selecting *s)
{
    switch (fuzz_below(in, 4)) {
    case 0:
        s->importance.intra = NULL;
        break;
    case 1:
        s->importance.value_norm = NULL;
        return s->config.weigh_values && s->tokens.n_keys > 0;
    case 2:
        s->importance.inter_rows = NULL;
        return s->config.weigh_rows && s->tokens.n_keys > 0;
    default:
        if (s->tokens.n_keys > 0)
            s->importance.capacity = fuzz_below(in, s->tokens.n_keys);
        break;
    }
    return s->tokens.n_keys > 0;
}

static bool break_one(fuzz_input *in, selecting *s)
{
    switch (in->broken % 6) {
    case 0:
        return fuzz_break_tokens(in, &s->tokens);
    case 1:
        return fuzz_break_config(in, &s->config);
    case 2:
        return break_importance(in, s);
    case 3:
        return break_kept(in, s);
    case 4:
        return leave_out(in, s);
    default:
        s->workspace_size = fuzz_below(in, 64);
        return true;
    }
}

/* What may be refused although nothing is broken: data that are not finite,
   budgets that blocks or quotas exceed, shared lists of unequal heads. */
static bool may_refuse(const selecting *s, fuzz_numbers numbers,
                       csp_status status)
{
    const csp_config *c = &s->config;

    switch (status) {
    case CSP_OK:
        return true;
    case CSP_E_NOT_FINITE:
        return numbers == FUZZ_ANY;
    case CSP_E_BUDGET:
        return c->block > 1 || c->span_quota > 0;
    case CSP_E_SHAPE:
        return s->kept.n_lists == 1 && s->tokens.counts != NULL;
    default:
        return false;
    }
}

static void prepare(fuzz_input *in, fuzz_numbers numbers, selecting *s)
{
    s->tokens = fuzz_tokens(in, MAX_HEADS, MAX_KEYS);
    s->config = fuzz_config(in, s->tokens.n_keys);
    draw_importance(in, numbers, s);
    draw_kept(in, s);
    s->workspace_size = csp_select_workspace_size(&s->tokens, &s->config);
    REQUIRE(s->workspace_size > 0, "select: no workspace size");
    s->workspace = fuzz_workspace(in, s->workspace_size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input in = fuzz_open(data, size, 176);
    selecting s = {.importance_in = &s.importance,
                   .tokens_in = &s.tokens,
                   .config_in = &s.config,
                   .kept_in = &s.kept};
    const fuzz_numbers numbers = fuzz_chance(&in, 64) ? FUZZ_ANY : FUZZ_FINITE;

    prepare(&in, numbers, &s);
    const bool refused = in.broken != 0 && break_one(&in, &s);
    const csp_status status =
        fuzz_run("select", select_rows, &s, &s.config.compute);
    REQUIRE(!refused || status != CSP_OK, "select: took what is broken");
    REQUIRE(in.broken != 0 || may_refuse(&s, numbers, status),
            "select: refused what is legal: %s", csp_status_string(status));
    if (status == CSP_OK)
        fuzz_check_kept(&s.importance, &s.tokens, &s.config, &s.kept);
    fuzz_release();
    return 0;
}
