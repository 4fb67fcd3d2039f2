/*
 * fuzz_pruner.c - calls of a pruner in any order, some illegal
 *
 * The bytes are a program: a call and its arguments, then the next.  Whatever
 * fails, by its arguments or as memory runs out, leaves all that can be seen of
 * the pruner as it was.  The caches say at any time which token is where.  The
 * program runs on each tier and comes to the same states.
 */
#include "fuzz_engine.h"
#include "fuzz_naive.h"

#include <string.h>

enum { MAX_CALLS = 40 };

/* What a call came to. */
typedef struct result {
    csp_status status;
    bool legal;   /* cannot fail for its arguments */
    bool refused; /* cannot succeed */
} result;

/* ---- Score --------------------------------------------------------------- */

/* A chunk that ends 'n_new' tokens later than the last. */
static csp_attention draw_chunk(fuzz_input *in, const fuzz_engine *e,
                                uint32_t layer, uint32_t n_new,
                                fuzz_numbers numbers)
{
    const csp_tokens rows = {.n_kv_heads = e->n_kv_heads,
                             .n_keys = engine_rows(e, layer) + n_new};
    const uint32_t end = e->n_tokens[layer] + n_new;
    csp_attention a = fuzz_attention(in, &rows, numbers);
    const uint32_t n_queries = fuzz_queries(&a);

    if (n_queries > end) { /* no rows of tokens before the first */
        a.scores.n_rows = a.queries.n_rows = end;
        if (a.lse.data != NULL)
            a.lse.n_rows = end;
    }
    a.first_query = end - fuzz_queries(&a);
    return a;
}

static result score_layer(fuzz_input *in, fuzz_engine *e, uint32_t layer,
                          uint32_t n_new, bool broken)
{
    const fuzz_numbers numbers = fuzz_chance(in, 24) ? FUZZ_ANY : FUZZ_SMALL;
    csp_attention a = draw_chunk(in, e, layer, n_new, numbers);
    result r = {.legal = !broken && numbers == FUZZ_SMALL};
    uint32_t asked = layer;

    if (a.source == CSP_PROBABILITIES && a.lse.data == NULL &&
        e->config.n > 0.0 && fuzz_queries(&a) > 0) {
        r.legal = false;
        r.refused = !broken;
    }
    if (broken && fuzz_chance(in, 64)) {
        asked = e->n_layers + fuzz_byte(in);
        r.refused = true;
    } else if (broken) {
        const bool rows = fuzz_queries(&a) > 0;
        r.refused = fuzz_break_attention(in, engine_rows(e, layer), &a) &&
                    rows && fuzz_queries(&a) > 0;
    }
    const uint32_t end = a.first_query + fuzz_queries(&a);
    if (end >= e->n_tokens[layer] && /* rows that the caches have no room for */
        end - e->n_tokens[layer] + engine_rows(e, layer) > ENGINE_ROWS)
        return (result){.status = CSP_E_CAPACITY};
    fuzz_snapshot();
    r.status = csp_pruner_score(e->pruner, asked, &a);
    fuzz_require_kept("pruner: score", false, false);
    if (r.status == CSP_OK) {
        engine_append(e, layer, end - e->n_tokens[layer]);
        e->has_plan = false;
    }
    return r;
}

static result score(fuzz_input *in, fuzz_engine *e)
{
    const uint32_t layer = fuzz_below(in, e->n_layers);
    const uint32_t room = ENGINE_ROWS - engine_rows(e, layer);
    const uint32_t n_new = fuzz_below(in, 6);

    return score_layer(in, e, layer, n_new < room ? n_new : room,
                       fuzz_chance(in, 64));
}

/* Every layer gets as far as the one that is furthest, and some tokens more:
   then there can be a plan. */
static result score_all(fuzz_input *in, fuzz_engine *e)
{
    uint32_t end = 0, more = fuzz_below(in, 12);
    result r = {.legal = true};

    for (uint32_t i = 0; i < e->n_layers; i++)
        end = e->n_tokens[i] > end ? e->n_tokens[i] : end;
    for (uint32_t i = 0; i < e->n_layers; i++) {
        const uint32_t behind = end - e->n_tokens[i];
        if (engine_rows(e, i) + behind + more > ENGINE_ROWS)
            return r;
    }
    for (uint32_t i = 0; i < e->n_layers; i++) {
        const result one =
            score_layer(in, e, i, end - e->n_tokens[i] + more, false);
        r.legal = r.legal && one.legal;
        r.status = one.status != CSP_OK ? one.status : r.status;
        fuzz_release();
    }
    return r;
}

/* ---- Other calls --------------------------------------------------------- */

static result set_spans(fuzz_input *in, fuzz_engine *e)
{
    const uint32_t n = fuzz_below(in, 4);
    csp_span *spans = fuzz_take(n * sizeof *spans, 0, FUZZ_INPUT);
    result r = {.legal = true};
    uint32_t at = 0;

    for (uint32_t i = 0; i < n; i++) {
        const uint32_t begin = at + fuzz_below(in, 9);
        at = begin + fuzz_below(in, 9);
        spans[i] = (csp_span){begin, at, fuzz_below(in, CSP_MAX_MODALITIES)};
    }
    if (n > 0 && fuzz_chance(in, 64)) {
        spans[n - 1].modality += CSP_MAX_MODALITIES;
        r = (result){.refused = true};
    }
    r.status = csp_pruner_set_spans(e->pruner, spans, n);
    return r;
}

static result set_values(fuzz_input *in, fuzz_engine *e)
{
    const uint32_t layer = fuzz_below(in, e->n_layers);
    const fuzz_numbers numbers = fuzz_chance(in, 32) ? FUZZ_ANY : FUZZ_SMALL;
    const uint32_t counts[] = {e->n_kv_heads,
                               engine_rows(e, layer) + fuzz_below(in, 2),
                               fuzz_between(in, 1, ENGINE_DIM)};
    csp_tensor values = fuzz_tensor(in, fuzz_dtype(in), counts, FUZZ_CELLS,
                                    FUZZ_INPUT, numbers);
    result r = {.legal = numbers == FUZZ_SMALL};

    if (fuzz_chance(in, 48)) {
        r.legal = false;
        r.refused = fuzz_break_tensor(in, &values) && engine_rows(e, layer) > 2;
    }
    fuzz_snapshot();
    r.status = csp_pruner_set_values(e->pruner, layer, &values);
    fuzz_require_kept("pruner: values", false, false);
    e->has_plan = e->has_plan && r.status != CSP_OK;
    return r;
}

/* What a plan has to be in any case. */
static void check_plan(const fuzz_engine *e)
{
    for (uint32_t i = 0; i < e->n_layers; i++) {
        csp_importance from;
        csp_tokens tokens;
        csp_kept kept;
        csp_pruner_importance(e->pruner, i, &from);
        csp_pruner_tokens(e->pruner, i, &tokens);
        csp_pruner_kept(e->pruner, i, &kept);
        if (e->config.layer_spread == CSP_LAYERS_EQUAL &&
            e->config.scope != CSP_GLOBAL)
            fuzz_check_kept(&from, &tokens, &e->config, &kept);
    }
}

static result plan(fuzz_input *in, fuzz_engine *e)
{
    const csp_status status = csp_pruner_plan(e->pruner);

    (void)in;
    if (status == CSP_OK) {
        e->has_plan = true;
        check_plan(e);
    }
    return (result){.status = status};
}

static result calibrate(fuzz_input *in, fuzz_engine *e)
{
    const uint32_t layer = fuzz_below(in, e->n_layers);
    const csp_attention a = draw_chunk(in, e, layer, 0, FUZZ_SMALL);
    const uint32_t n_heads = fuzz_heads(&a);
    csp_calibration sums = {.n_heads = n_heads + fuzz_chance(in, 32)};
    result r = {.refused = !e->has_plan};

    sums.log_mass = fuzz_take(n_heads * sizeof(double), 0, FUZZ_OUTPUT);
    sums.rows = fuzz_take(n_heads * sizeof(double), 0, FUZZ_OUTPUT);
    memset(sums.log_mass, 0, n_heads * sizeof(double));
    memset(sums.rows, 0, n_heads * sizeof(double));
    fuzz_snapshot();
    r.status = csp_pruner_calibrate(e->pruner, layer, &a, NULL, &sums);
    fuzz_require_kept("pruner: calibrate", r.status == CSP_OK, false);
    return r;
}

static result apply(fuzz_input *in, fuzz_engine *e)
{
    csp_cells caches[ENGINE_LAYERS];
    result r = {.legal = e->has_plan, .refused = !e->has_plan};

    for (uint32_t i = 0; i < e->n_layers; i++)
        caches[i] = engine_cells(e, i);
    if (fuzz_chance(in, 64)) {
        csp_cells *last = &caches[e->n_layers - 1];
        const bool overlap = fuzz_chance(in, 128) && e->n_layers > 1;
        if (overlap)
            *last = caches[0];
        else
            last->cell_size = 0;
        r.legal = false;
        r.refused = !overlap || r.refused || engine_rows(e, 0) > 0;
    }
    r.status = csp_pruner_apply(e->pruner, caches, 1, NULL);
    e->has_plan = e->has_plan && r.status != CSP_OK;
    return r;
}

static result reset(fuzz_input *in, fuzz_engine *e)
{
    (void)in;
    memset(e->n_tokens, 0, sizeof e->n_tokens);
    e->has_plan = false;
    return (result){csp_pruner_reset(e->pruner), true, false};
}

static result configure(fuzz_input *in, fuzz_engine *e)
{
    csp_config config = engine_config(in);
    result r = {.legal = true};

    config.compute.tier = e->config.compute.tier;
    if (fuzz_chance(in, 48)) {
        r.legal = false;
        r.refused = fuzz_break_config(in, &config);
    }
    r.status = csp_pruner_configure(e->pruner, &config);
    if (r.status == CSP_OK) {
        e->config = config;
        e->has_plan = false;
    }
    return r;
}

/* ---- Programs ------------------------------------------------------------ */

typedef result operation(fuzz_input *in, fuzz_engine *e);

static const struct {
    const char *name;
    operation *run;
} calls[] = {{"score of all layers", score_all},
             {"plan", plan},
             {"apply", apply},
             {"score", score},
             {"set_values", set_values},
             {"set_spans", set_spans},
             {"calibrate", calibrate},
             {"configure", configure},
             {"reset", reset}};

enum { N_CALLS = sizeof calls / sizeof calls[0] };

static void spoil_memory(fuzz_input *in, fuzz_ledger *ledger)
{
    ledger->fail_at = UINT32_MAX;
    if (fuzz_chance(in, 48)) {
        ledger->fail_at = fuzz_below(in, 4);
        ledger->fail_on = fuzz_chance(in, 128);
    }
}

/* One call, from a state of digest 'before' to the one whose digest it returns;
   several of score_all's may have gone well before one failed. */
static uint64_t run_call(fuzz_input *in, fuzz_engine *e, fuzz_ledger *ledger,
                         uint64_t before, uint64_t *trace)
{
    const uint32_t which = fuzz_below(in, N_CALLS);

    spoil_memory(in, ledger);
    const bool healthy = ledger->fail_at == UINT32_MAX;
    const result r = calls[which].run(in, e);
    ledger->fail_at = UINT32_MAX;
    const uint64_t after = engine_digest(e);
    REQUIRE(!r.refused || r.status != CSP_OK, "pruner: %s took what is broken",
            calls[which].name);
    REQUIRE(!r.legal || !healthy || r.status == CSP_OK,
            "pruner: %s refused what is legal: %s", calls[which].name,
            csp_status_string(r.status));
    REQUIRE(healthy || r.status == CSP_OK || r.status == CSP_E_MEMORY ||
                !r.legal,
            "pruner: %s without memory: %s", calls[which].name,
            csp_status_string(r.status));
    REQUIRE(r.status == CSP_OK || which == 0 || before == after,
            "pruner: %s failed and left traces", calls[which].name);
    engine_require_agreement(e);
    fuzz_release();
    *trace = (*trace ^ after ^ (uint64_t)r.status) * UINT64_C(0x100000001b3);
    return after;
}

static uint64_t run_program(const uint8_t *data, size_t size, csp_tier tier)
{
    static fuzz_engine e;
    fuzz_input in = fuzz_open(data, size, 256);
    fuzz_ledger ledger = {.fail_at = UINT32_MAX};
    const csp_allocator hooks = fuzz_ledger_hooks(&ledger);
    uint64_t trace = 0;

    memset(&e, 0, sizeof e);
    e.n_layers = fuzz_between(&in, 1, ENGINE_LAYERS);
    e.n_kv_heads = fuzz_between(&in, 1, ENGINE_HEADS);
    const csp_parallel parallel = fuzz_parallel(fuzz_between(&in, 1, 3));
    e.config = engine_config(&in);
    e.config.compute.tier = tier;
    spoil_memory(&in, &ledger);
    const csp_status status =
        csp_pruner_create(e.n_layers, e.n_kv_heads, &e.config, &hooks,
                          fuzz_chance(&in, 128) ? &parallel : NULL, &e.pruner);
    REQUIRE(status == CSP_OK ||
                (status == CSP_E_MEMORY && ledger.n_live == 0 && !e.pruner),
            "pruner: not created: %s", csp_status_string(status));
    uint64_t state = status == CSP_OK ? engine_digest(&e) : 0;
    for (int i = 0; status == CSP_OK && i < MAX_CALLS && in.at < in.size; i++)
        state = run_call(&in, &e, &ledger, state, &trace);
    csp_pruner_destroy(e.pruner);
    REQUIRE(ledger.n_live == 0, "pruner: %u blocks are lost", ledger.n_live);
    return trace;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const csp_tier tiers[] = {CSP_TIER_AVX2, CSP_TIER_AVX512,
                                     CSP_TIER_NEON};
    const uint64_t trace = run_program(data, size, CSP_TIER_SCALAR);

    for (size_t i = 0; i < sizeof tiers / sizeof tiers[0]; i++)
        if (csp_has_tier(tiers[i]))
            REQUIRE(run_program(data, size, tiers[i]) == trace,
                    "pruner: tier %d comes to another state", (int)tiers[i]);
    return 0;
}
