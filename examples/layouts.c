/*
 * layouts.c - the caches of engines as views, and ways to carry out a plan
 *
 * An engine finds element d of head h and token t by a formula of its own; the
 * distances of neighbours in it are the strides of the view.  Each cache is
 * filled by the formula, pruned through the view and read by the formula: kept
 * tokens come in order, and no byte has changed that should not.  All of this
 * is about memory: the layouts are the engines', the engines do not run here.
 */
#include "csp.h"

#include <stdio.h>
#include <string.h>

enum { HEADS = 2, TOKENS = 23, KEEP = 16, ROOM = 32, PAGE = 4 };
enum { LAYER = HEADS * ROOM * 64 * 4 }; /* bytes of the largest */

/* Where the pages of the sequence lie in the pool. */
static const uint32_t scattered[ROOM / PAGE] = {5, 2, 7, 0, 3, 6, 1, 4};

typedef struct cache cache;
typedef size_t formula(const cache *c, size_t h, size_t t, size_t d);

struct cache {
    formula *at;           /* bytes before element (h, t, d) */
    uint32_t dim;          /* elements of a token in one head, */
    size_t size;           /* bytes of each: numbers, or blocks of them */
    uint32_t room;         /* tokens there is memory for */
    const uint32_t *pages; /* of PAGE tokens, if it has pages */
    unsigned char memory[2 * LAYER]; /* layer 1 is pruned, 0 is not ours */
};

/* ---- Formulas ------------------------------------------------------------ */

/* [token][head][dim] */
static size_t thd(const cache *c, size_t h, size_t t, size_t d)
{
    return ((t * HEADS + h) * c->dim + d) * c->size;
}

/* [head][token][dim] */
static size_t htd(const cache *c, size_t h, size_t t, size_t d)
{
    return ((h * c->room + t) * c->dim + d) * c->size;
}

/* The same, heads begin at multiples of 16 bytes: ncnn's cstep. */
static size_t htd_cstep(const cache *c, size_t h, size_t t, size_t d)
{
    const size_t cstep = (c->size * c->room * c->dim + 15) / 16 * 16;
    return h * cstep + (t * c->dim + d) * c->size;
}

/* [head][dim][token], transposed */
static size_t hdt(const cache *c, size_t h, size_t t, size_t d)
{
    return ((h * c->dim + d) * c->room + t) * c->size;
}

/* [page][token][head][dim] */
static size_t nhd(const cache *c, size_t h, size_t t, size_t d)
{
    return thd(c, h, (size_t)c->pages[t / PAGE] * PAGE + t % PAGE, d);
}

/* [page][head][token][dim] */
static size_t hnd(const cache *c, size_t h, size_t t, size_t d)
{
    const size_t head = (size_t)c->pages[t / PAGE] * HEADS + h;
    return ((head * PAGE + t % PAGE) * c->dim + d) * c->size;
}

/* ---- Engines ------------------------------------------------------------- */

enum way { COMPACT, COPY, RANGES, MOVES, PAGES };

static const char *const ways[] = {
    "kept rows to the front", "kept rows to smaller caches", "dropped ranges",
    "moves that the engine makes", "page table, nothing moves"};

struct engine {
    const char *name;
    formula *k, *v;
    uint32_t dim;
    size_t size;
    csp_scope scope;
    enum way way;
};

/* Few odd channels for ncnn, so that its heads are padded. */
static const struct engine engines[] = {
    {"llama.cpp", thd, hdt, 64, 2, CSP_PER_HEAD, COMPACT},
    {"  flash attention", thd, thd, 64, 2, CSP_PER_HEAD, COMPACT},
    {"  q8_0 (32 in 34 bytes)", thd, thd, 2, 34, CSP_PER_HEAD, COMPACT},
    {"  llama_memory_seq_rm", thd, hdt, 64, 2, CSP_GLOBAL, RANGES},
    {"ncnn SDPA", htd_cstep, htd_cstep, 5, 2, CSP_PER_HEAD, COPY},
    {"ncnn MultiHeadAttention", hdt, hdt, 64, 4, CSP_PER_HEAD, COPY},
    {"ONNX Runtime", htd, htd, 64, 2, CSP_PER_HEAD, COPY},
    {"llama2.c", thd, thd, 64, 4, CSP_PER_HEAD, COMPACT},
    {"vLLM", nhd, nhd, 64, 2, CSP_PER_LAYER, MOVES},
    {"FlashInfer NHD", nhd, nhd, 64, 2, CSP_PER_LAYER, PAGES},
    {"FlashInfer HND", hnd, hnd, 64, 2, CSP_PER_HEAD, COMPACT},
};

/* ---- Filling and reading by the formula ---------------------------------- */

static unsigned char *element(cache *c, size_t h, size_t t, size_t d)
{
    return c->memory + LAYER + c->at(c, h, t, d);
}

/* Bytes that tell head, token and channel, and their own places. */
static void stamp(const cache *c, size_t h, size_t t, size_t d, void *out)
{
    unsigned char *bytes = out;
    const size_t number = (h * TOKENS + t) * c->dim + d;

    for (size_t i = 0; i < c->size; i++)
        bytes[i] = (unsigned char)((number >> i % 2 * 8) + i / 2);
}

/* Row i of head h after pruning. */
static uint32_t row_of(const csp_kept *kept, uint32_t h, uint32_t i)
{
    const uint32_t list = kept->n_lists == 1 ? 0 : h;

    return i < kept->counts[list] ? kept->rows[list * kept->capacity + i] : i;
}

/* All of memory; with 'kept', as it is when these have moved to the front. */
static void fill(cache *c, const csp_kept *kept)
{
    memset(c->memory, 0xee, sizeof c->memory);
    for (uint32_t h = 0; h < HEADS; h++)
        for (uint32_t t = 0; t < TOKENS && t < c->room; t++)
            for (uint32_t d = 0; d < c->dim; d++)
                stamp(c, h, kept != NULL ? row_of(kept, h, t) : t, d,
                      element(c, h, t, d));
}

/* Whether memory is that, and rows[i], where row i is now, reads as kept. */
static bool check(cache *c, const csp_kept *kept, bool moved,
                  const uint32_t *rows)
{
    static cache expected;
    unsigned char bytes[34]; /* of the largest element */
    bool good = true;

    for (uint32_t h = 0; h < HEADS; h++)
        for (uint32_t i = 0; i < kept->counts[0]; i++)
            for (uint32_t d = 0; d < c->dim; d++) {
                stamp(c, h, row_of(kept, h, i), d, bytes);
                if (memcmp(element(c, h, rows[i], d), bytes, c->size) != 0)
                    good = false;
            }
    expected = *c;
    expected.pages = scattered;
    fill(&expected, moved ? kept : NULL);
    return good && memcmp(expected.memory, c->memory, sizeof c->memory) == 0;
}

/* ---- Pruning ------------------------------------------------------------- */

/* Strides of a formula.  Channels side by side are one cell. */
static csp_cells view(cache *c)
{
    const size_t channel = c->at(c, 0, 0, 1) - c->at(c, 0, 0, 0);
    const bool whole = channel == c->size;

    return (csp_cells){
        .data = c->memory + LAYER,
        .n_heads = HEADS,
        .n_channels = whole ? 1 : c->dim,
        .n_tokens = c->room,
        .cell_size = whole ? c->dim * c->size : c->size,
        .head_stride = c->at(c, 1, 0, 0) - c->at(c, 0, 0, 0),
        .channel_stride = channel,
        .token_stride = c->at(c, 0, 1, 0) - c->at(c, 0, 0, 0),
        .pages = c->pages,
        .page_tokens = PAGE,
        .n_pages = ROOM / PAGE,
        .page_stride = c->size * PAGE * HEADS * c->dim,
    };
}

/* As the engine does it, by its formula. */
static void move_rows(cache *c, const csp_move *moves, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t h = 0; h < HEADS; h++)
            for (uint32_t d = 0; d < c->dim; d++)
                memcpy(element(c, h, moves[i].dst, d),
                       element(c, h, moves[i].src, d), c->size);
}

/* The last range first, so that those before stay where they are. */
static void remove_ranges(uint32_t *rows, const csp_range *ranges, uint32_t n)
{
    while (n-- > 0)
        memmove(rows + ranges[n].begin, rows + ranges[n].end,
                (TOKENS - ranges[n].end) * sizeof *rows);
}

/* 'rows' and 'pages' receive where kept rows are if they have not moved. */
static csp_status carry_out(enum way way, cache *kv, cache *small,
                            const csp_kept *kept, uint32_t *rows,
                            uint32_t *pages)
{
    const csp_cells caches[] = {view(&kv[0]), view(&kv[1])};
    const csp_cells copies[] = {view(&small[0]), view(&small[1])};
    uint32_t indptr[2], last_page, n;
    csp_range dropped[KEEP + 1];
    csp_move moves[KEEP];
    csp_status e;

    switch (way) {
    case COMPACT:
        return csp_compact(caches, 2, kept, NULL);
    case COPY:
        return csp_compact(caches, 2, kept, copies);
    case RANGES:
        e = csp_dropped_ranges(kept->rows, kept->counts[0], TOKENS, KEEP + 1,
                               dropped, &n);
        if (e == CSP_OK)
            remove_ranges(rows, dropped, n);
        return e;
    case MOVES:
        e = csp_kept_moves(kept->rows, kept->counts[0], TOKENS, KEEP, moves,
                           &n);
        for (int i = 0; i < 2 && e == CSP_OK; i++)
            move_rows(&kv[i], moves, n);
        return e;
    case PAGES:
        e = csp_kept_pages(kept, TOKENS, PAGE, scattered, false, ROOM / PAGE,
                           indptr, pages, &last_page);
        kv[0].pages = kv[1].pages = pages;
        return e;
    }
    return CSP_E_CONFIG;
}

/* A plan by made-up importance, of whole pages if nothing is to move. */
static csp_status plan(const struct engine *engine, csp_kept *kept)
{
    static float intra[HEADS * TOKENS], inter[HEADS * TOKENS];
    static uint64_t workspace[1024];
    const csp_importance importance = {
        .intra = intra, .inter = inter, .capacity = TOKENS};
    const csp_tokens tokens = {.n_kv_heads = HEADS, .n_keys = TOKENS};
    csp_config config;

    for (uint32_t i = 0; i < HEADS * TOKENS; i++)
        intra[i] = (float)(i * 37 % 101);
    const csp_status e = csp_config_init(&config);
    config.budget = KEEP;
    config.sinks = 1;
    config.recent = 2;
    config.scope = engine->scope;
    config.block = engine->way == PAGES ? PAGE : 1;
    kept->n_lists = engine->scope == CSP_PER_HEAD ? HEADS : 1;
    return e != CSP_OK ? e
                       : csp_select(&importance, &tokens, &config, workspace,
                                    sizeof workspace, kept);
}

static bool prune(const struct engine *engine)
{
    static cache kv[2], small[2];
    uint32_t kept_rows[HEADS * KEEP], counts[HEADS];
    uint32_t rows[TOKENS], pages[ROOM / PAGE];
    csp_kept kept = {.rows = kept_rows, .counts = counts, .capacity = KEEP};
    csp_status e = plan(engine, &kept);

    for (uint32_t i = 0; i < TOKENS; i++)
        rows[i] = i;
    for (int i = 0; i < 2 && e == CSP_OK; i++) {
        kv[i] = (cache){.at = i == 0 ? engine->k : engine->v,
                        .dim = engine->dim,
                        .size = engine->size,
                        .room = ROOM};
        if (kv[i].at == nhd || kv[i].at == hnd)
            kv[i].pages = scattered;
        fill(&kv[i], NULL);
        small[i] = kv[i];
        small[i].room = counts[0];
        memset(small[i].memory, 0xee, sizeof small[i].memory);
    }
    if (e == CSP_OK)
        e = carry_out(engine->way, kv, small, &kept, rows, pages);
    if (e != CSP_OK) {
        fprintf(stderr, "%s: %s\n", engine->name, csp_status_string(e));
        return false;
    }
    const bool moved = engine->way != RANGES && engine->way != PAGES;
    cache *result = engine->way == COPY ? small : kv;
    const bool good = check(&result[0], &kept, moved, rows) &&
                      check(&result[1], &kept, moved, rows);
    printf("%-24s %2u of %d  %-28s %s\n", engine->name, (unsigned)counts[0],
           TOKENS, ways[engine->way], good ? "right" : "WRONG");
    return good;
}

int main(void)
{
    bool good = true;

    for (size_t i = 0; i < sizeof engines / sizeof *engines; i++)
        good &= prune(&engines[i]);
    return good ? 0 : 1;
}
