/*
 * hostile_scene.c - a layer whose every number is in order
 */
#include "hostile.h"

static unsigned char scratch[1 << 18];

static void *take(void *context, size_t size)
{
    (void)context;
    return malloc(size);
}

static void give_back(void *context, void *memory)
{
    (void)context;
    free(memory);
}

/* The last worker first, and one of them twice. */
static void run(void *context, uint32_t n_workers,
                void (*work)(void *argument, uint32_t worker), void *argument)
{
    (void)context;
    for (uint32_t i = n_workers; i-- > 0;)
        work(argument, i);
    work(argument, 0);
}

static void set_inputs(inputs *in)
{
    float *const arrays[] = {in->scores, in->lse,     in->queries, in->keys,
                             in->values, in->outputs, in->residual};
    const size_t sizes[] = {COUNT(in->scores),  COUNT(in->lse),
                            COUNT(in->queries), COUNT(in->keys),
                            COUNT(in->values),  COUNT(in->outputs),
                            COUNT(in->residual)};

    for (size_t a = 0; a < COUNT(arrays); a++)
        for (size_t i = 0; i < sizes[a]; i++)
            arrays[a][i] = (float)((i + a) * 37 % 19) / 20.0f;
    for (uint32_t g = 0; g < KV_HEADS; g++) {
        in->counts[g] = KEYS - g;
        in->n_rows[g] = 5;
        for (uint32_t i = 0; i < KEYS; i++) {
            in->positions[g * ROOM + i] = i;
            in->rows[g * ROOM + i] = 2 * i;
        }
    }
    for (uint32_t i = 0; i < COUNT(in->pages); i++)
        in->pages[i] = i;
    in->spans[0] = (csp_span){2, 5, 1};
    in->spans[1] = (csp_span){6, 9, 2};
}

/* Sums that a call adds to, and moments of an identity matrix. */
static void set_results(results *out)
{
    for (size_t i = 0; i < KV_HEADS * ROOM; i++)
        for (size_t a = 0; a < COUNT(out->importance); a++)
            out->importance[a][i] = (float)(1 + i % 5);
    for (size_t g = 0; g < KV_HEADS; g++) {
        out->moment_count[g] = 3.0;
        out->log_count[g] = 1.0f;
        out->variance[g] = 0.5f;
    }
    for (size_t i = 0; i < COUNT(out->key_key); i++)
        out->key_key[i] = i / DIM % DIM == i % DIM ? 50.0 : 1.0;
    for (size_t i = 0; i < COUNT(out->summary_keys); i++)
        out->summary_keys[i] = 0.1f;
    for (size_t h = 0; h < HEADS; h++) {
        out->slope[h] = 0.5f;
        out->limit[h] = 9.0f;
    }
}

static void set_views(arguments *a, inputs *in, results *out)
{
    float(*x)[KV_HEADS * ROOM] = out->importance;

    a->attention =
        (csp_attention){.first_query = KEYS - QUERIES, .scale = 0.3f};
    a->attention.scores =
        csp_tensor_packed(in->scores, CSP_F32, HEADS, QUERIES, KEYS);
    a->lse = csp_tensor_packed(in->lse, CSP_F32, HEADS, QUERIES, 1);
    a->attention.lse = a->lse;
    a->queries = csp_tensor_packed(in->queries, CSP_F32, HEADS, QUERIES, DIM);
    a->attention.queries = a->queries;
    a->attention.keys =
        csp_tensor_packed(in->keys, CSP_F32, KV_HEADS, KEYS, DIM);
    a->values = csp_tensor_packed(in->values, CSP_F32, KV_HEADS, KEYS, DIM);
    a->outputs = csp_tensor_packed(in->outputs, CSP_F32, HEADS, QUERIES, DIM);
    a->tokens = (csp_tokens){KV_HEADS, KEYS, in->counts,    in->spans,
                             2,        KEYS, in->positions, ROOM};
    a->importance = (csp_importance){x[0], x[1], x[2], x[3], x[4], ROOM};
    a->kept = (csp_kept){in->rows, in->n_rows, NULL, KV_HEADS, ROOM, NULL};
    a->chosen = (csp_kept){out->rows, out->counts, out->n_both,
                           KV_HEADS,  ROOM,        out->reasons};
    for (size_t i = 0; i < 2; i++) {
        a->src[i] = csp_cells_packed(out->caches[i], KV_HEADS, KEYS, 4 * DIM);
        a->dst[i] =
            csp_cells_packed(out->caches[2 + i], KV_HEADS, KEYS, 4 * DIM);
    }
}

static void set_summaries(arguments *a, results *out)
{
    a->sums = (csp_calibration){out->log_mass, out->mass_rows, out->mass_value,
                                HEADS, DIM};
    a->moments = (csp_moments){out->moment_count,
                               out->moment_key,
                               out->moment_value,
                               out->key_key,
                               out->key_value,
                               KV_HEADS,
                               DIM,
                               DIM};
    a->summary = (csp_summary){out->summary_keys,
                               out->summary_values,
                               out->log_count,
                               out->variance,
                               CSP_F32,
                               KV_HEADS,
                               DIM,
                               DIM,
                               RANK};
    a->fit = (csp_fit){out->offset, out->slope, out->limit};
}

void set_scene(scene *s)
{
    arguments *a = &s->a;

    memset(s, 0, sizeof *s);
    set_inputs(&s->in);
    set_results(&s->out);
    set_views(a, &s->in, &s->out);
    set_summaries(a, &s->out);
    assert_ok(csp_config_init(&a->config));
    a->config.budget = 6;
    a->config.sinks = a->config.recent = 1;
    a->config.n_intra = a->config.n_inter = 1;
    a->config.weigh_rows = a->config.weigh_values = true;
    a->config.pooling = CSP_POOL_AVG;
    a->config.pool_width = 3;
    a->allocator = (csp_allocator){NULL, take, give_back};
    a->parallel = (csp_parallel){NULL, 3, run};
    a->scale = 0.3f;
    a->n = a->bias = 1.0;
    a->ratio = 0.5;
    a->n_kept = 5;
    a->block = 4;
    a->room = KEYS;
    a->token_size = 64;
    a->workspace_size = sizeof scratch;
    a->workspace = scratch;
    a->corrected = s->out.corrected;
    a->weights = s->out.weights;
    a->mask = s->out.mask;
    a->fit_sums = s->out.fit_sums;
    a->n_out = &s->out.n;
}
