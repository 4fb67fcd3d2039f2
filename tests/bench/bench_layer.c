/*
 * bench_layer.c - score, select and compact one layer
 */
#include "layer.h"

#include <string.h>

#define CELL_SIZE (HEAD_DIM * sizeof(float))

static void open_views(layer *l, const scene *s, uint32_t budget)
{
    const uint32_t n_heads = s->shape.n_kv_heads;
    const size_t n_cells = (size_t)n_heads * s->shape.n_keys;
    uint64_t seed = 3;

    for (size_t i = 0; i < N_VIEWS; i++) {
        l->caches[i] = memory_take(n_cells * CELL_SIZE, s->pages);
        random_normal(&seed, 1.0, l->caches[i].data, n_cells * HEAD_DIM);
        l->from[i] = csp_cells_packed(l->caches[i].data, n_heads,
                                      s->shape.n_keys, CELL_SIZE);
        l->pruned[i] =
            memory_take((size_t)n_heads * budget * CELL_SIZE, s->pages);
        l->to[i] =
            csp_cells_packed(l->pruned[i].data, n_heads, budget, CELL_SIZE);
    }
    l->kept_size = (size_t)N_VIEWS * n_heads * budget * CELL_SIZE;
}

void layer_open(layer *l, scene *s)
{
    csp_tier tiers[MAX_TIERS];
    const size_t n = machine_tiers(tiers);
    const csp_config config = shape_config(&s->shape, tiers[0]);
    const uint32_t n_lists = s->shape.n_kv_heads;

    expect(n > 0, "a tier");
    *l = (layer){0};
    score_job_open(&l->score, s, CSP_F32, &config);
    l->select_workspace =
        memory_take(csp_select_workspace_size(&s->tokens, &config), s->pages);
    l->rows = memory_take((size_t)n_lists * config.budget * sizeof(uint32_t),
                          s->pages);
    l->counts = memory_take(n_lists * sizeof(uint32_t), s->pages);
    l->kept = (csp_kept){.rows = l->rows.data,
                         .counts = l->counts.data,
                         .n_lists = n_lists,
                         .capacity = config.budget};
    open_views(l, s, config.budget);
}

void layer_close(layer *l)
{
    score_job_close(&l->score);
    memory_give(&l->select_workspace);
    memory_give(&l->rows);
    memory_give(&l->counts);
    for (size_t i = 0; i < N_VIEWS; i++) {
        memory_give(&l->caches[i]);
        memory_give(&l->pruned[i]);
    }
}

void layer_score(void *job)
{
    layer *l = job;

    scene_zero(l->score.scene);
    score_job_run(&l->score);
}

void layer_select(void *job)
{
    const layer *l = job;
    const scene *s = l->score.scene;

    check(csp_select(&s->importance, &s->tokens, &l->score.config,
                     l->select_workspace.data, l->select_workspace.size,
                     &l->kept),
          "csp_select");
}

void layer_gather(void *job)
{
    const layer *l = job;

    check(csp_compact(l->from, N_VIEWS, &l->kept, l->to), "csp_compact");
}

void layer_check(void *job)
{
    const layer *l = job;
    const uint32_t n_keys = l->score.scene->shape.n_keys;

    scene_check(l->score.scene, &l->score.scene->importance, 1.0);
    for (uint32_t g = 0; g < l->kept.n_lists; g++) {
        const uint32_t last = l->kept.counts[g] - 1;
        const size_t to = (size_t)g * l->kept.capacity + last;
        const size_t from = (size_t)g * n_keys + l->kept.rows[to];
        for (size_t i = 0; i < N_VIEWS; i++)
            expect(memcmp((const char *)l->caches[i].data + from * CELL_SIZE,
                          (const char *)l->pruned[i].data + to * CELL_SIZE,
                          CELL_SIZE) == 0,
                   "kept rows are copied");
    }
}
