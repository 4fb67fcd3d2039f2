/*
 * fuzz_engine.c - what an engine around a pruner has
 */
#include "fuzz_engine.h"

#include <stdlib.h>
#include <string.h>

/* ---- Hooks --------------------------------------------------------------- */

static void *ledger_allocate(void *context, size_t size)
{
    fuzz_ledger *ledger = context;

    if (ledger->fail_at == 0) {
        if (!ledger->fail_on)
            ledger->fail_at = UINT32_MAX;
        return NULL;
    }
    if (ledger->fail_at != UINT32_MAX)
        ledger->fail_at--;
    REQUIRE(size > 0, "pruner: asked for no memory");
    void *memory = malloc(size);
    REQUIRE(memory != NULL, "no memory for the test itself");
    memset(memory, 0xA5, size);
    ledger->n_live++;
    return memory;
}

static void ledger_deallocate(void *context, void *memory)
{
    fuzz_ledger *ledger = context;

    REQUIRE(memory != NULL && ledger->n_live > 0, "pruner: gave back too much");
    ledger->n_live--;
    free(memory);
}

csp_allocator fuzz_ledger_hooks(fuzz_ledger *ledger)
{
    return (csp_allocator){ledger, ledger_allocate, ledger_deallocate};
}

static void run_reversed(void *context, uint32_t n_workers,
                         void (*work)(void *argument, uint32_t worker),
                         void *argument)
{
    (void)context;
    for (uint32_t w = n_workers; w > 1; w--)
        work(argument, w - 1);
    if (n_workers == 1)
        work(argument, 0);
}

csp_parallel fuzz_parallel(uint32_t n_workers)
{
    return (csp_parallel){NULL, n_workers, run_reversed};
}

/* ---- Caches -------------------------------------------------------------- */

static csp_tokens tokens_of(const fuzz_engine *e, uint32_t layer)
{
    csp_tokens tokens;

    REQUIRE(csp_pruner_tokens(e->pruner, layer, &tokens) == CSP_OK,
            "pruner: no tokens of layer %u", layer);
    return tokens;
}

uint32_t engine_rows(const fuzz_engine *e, uint32_t layer)
{
    return tokens_of(e, layer).n_keys;
}

void engine_append(fuzz_engine *e, uint32_t layer, uint32_t n_tokens)
{
    const csp_tokens tokens = tokens_of(e, layer);

    for (uint32_t g = 0; g < e->n_kv_heads; g++)
        for (uint32_t i = 0; i < n_tokens; i++)
            e->cache[layer][g][tokens.counts[g] - n_tokens + i] =
                (engine_cell){e->n_tokens[layer] + i, g};
    e->n_tokens[layer] += n_tokens;
}

csp_cells engine_cells(fuzz_engine *e, uint32_t layer)
{
    csp_cells cells = csp_cells_packed(e->cache[layer], e->n_kv_heads,
                                       ENGINE_ROWS, sizeof(engine_cell));
    cells.n_tokens = engine_rows(e, layer);
    return cells;
}

void engine_require_agreement(const fuzz_engine *e)
{
    for (uint32_t layer = 0; layer < e->n_layers; layer++) {
        const csp_tokens tokens = tokens_of(e, layer);
        for (uint32_t g = 0; g < e->n_kv_heads; g++)
            for (uint32_t i = 0; i < tokens.counts[g]; i++) {
                const engine_cell *cell = &e->cache[layer][g][i];
                REQUIRE(cell->head == g &&
                            cell->token == fuzz_token(&tokens, g, i),
                        "pruner: layer %u, head %u, row %u is token %u, the "
                        "cache has %u",
                        layer, g, i, fuzz_token(&tokens, g, i), cell->token);
            }
    }
}

/* ---- Digest -------------------------------------------------------------- */

/* FNV-1a, eight bytes at a time; high bits come down, or they would be lost. */
static void add_word(uint64_t *digest, uint64_t word)
{
    *digest = (*digest ^ word) * UINT64_C(0x100000001b3);
    *digest ^= *digest >> 32;
}

static void add(uint64_t *digest, const void *data, size_t size)
{
    const unsigned char *bytes = data;
    uint64_t word;

    for (; size >= sizeof word; size -= sizeof word, bytes += sizeof word) {
        memcpy(&word, bytes, sizeof word);
        add_word(digest, word);
    }
    for (; size > 0; size--)
        add_word(digest, *bytes++);
}

static void add_floats(uint64_t *digest, const float *x, size_t at,
                       uint32_t count)
{
    if (x != NULL && count > 0)
        add(digest, x + at, count * sizeof *x);
}

static void add_rows(const fuzz_engine *e, uint32_t layer, uint64_t *digest)
{
    const csp_tokens tokens = tokens_of(e, layer);
    csp_importance from;

    REQUIRE(csp_pruner_importance(e->pruner, layer, &from) == CSP_OK,
            "pruner: no importance of layer %u", layer);
    for (uint32_t i = 0; i < tokens.n_spans; i++)
        add(digest, &tokens.spans[i], sizeof tokens.spans[i]);
    for (uint32_t g = 0; g < e->n_kv_heads; g++) {
        const uint32_t count = tokens.counts[g];
        const size_t at = (size_t)g * from.capacity;
        add_word(digest, count);
        for (uint32_t i = 0; i < count; i++)
            add_word(digest, fuzz_token(&tokens, g, i));
        add_floats(digest, from.intra, at, count);
        add_floats(digest, from.inter, at, count);
        add_floats(digest, from.intra_rows, at, count);
        add_floats(digest, from.inter_rows, at, count);
        add_floats(digest, from.value_norm, at, count);
    }
}

static void add_plan(const fuzz_engine *e, uint32_t layer, uint64_t *digest)
{
    csp_kept kept;
    const csp_status status = csp_pruner_kept(e->pruner, layer, &kept);

    REQUIRE(status == (e->has_plan ? CSP_OK : CSP_E_STATE),
            "pruner: plan is %s", csp_status_string(status));
    for (uint32_t i = 0; status == CSP_OK && i < kept.n_lists; i++) {
        add_word(digest, kept.counts[i]);
        add(digest, kept.rows + (size_t)i * kept.capacity,
            kept.counts[i] * sizeof *kept.rows);
    }
}

uint64_t engine_digest(const fuzz_engine *e)
{
    uint64_t digest = UINT64_C(0xcbf29ce484222325);

    for (uint32_t layer = 0; layer < e->n_layers; layer++) {
        add_rows(e, layer, &digest);
        add_plan(e, layer, &digest);
    }
    add(&digest, e->cache, sizeof e->cache);
    return digest;
}

/* ---- Settings ------------------------------------------------------------ */

csp_config engine_config(fuzz_input *in)
{
    csp_config c = fuzz_config(in, ENGINE_ROWS / 2);

    c.decay = (double)(4 - fuzz_below(in, 5)) / 4.0;
    if (c.selection != CSP_EXACT || c.scope == CSP_GLOBAL || c.block != 1)
        return c;
    c.layer_spread = (csp_layer_spread)fuzz_below(in, 3);
    c.layer_slope = (double)fuzz_below(in, 8) / 8.0;
    c.layer_threshold = (double)(1 + fuzz_below(in, 100)) / 100.0;
    return c;
}
