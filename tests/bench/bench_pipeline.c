/*
 * bench_pipeline.c - a whole layer, and what its parts take of it
 */
#include "layer.h"

#define N_PARTS 3

static const struct {
    const char *name;
    void (*run)(void *job);
    void (*after)(void *job);
} parts[N_PARTS + 1] = {{"  score", layer_score, NULL},
                        {"  select", layer_select, NULL},
                        {"  gather", layer_gather, layer_check},
                        {" all three", NULL, NULL}};

static void enter(contest *c, layer *l, cache_state state)
{
    const scene *s = l->score.scene;
    char what[32];

    for (size_t i = 0; i <= N_PARTS; i++) {
        snprintf(what, sizeof what, "%s%s", s->shape.name, parts[i].name);
        entrant *e = contest_enter(c, what, parts[i].run, l);
        e->dtype = dtype_name(CSP_F32);
        e->tier = tier_name(l->score.config.compute.tier);
        e->pages = s->pages;
        e->state = state;
        e->keeps_cache = i > 0;
        e->n_summed = i == N_PARTS ? N_PARTS : 0;
        e->after = parts[i].after;
    }
}

static void run_contest(bench *b, workload w, cache_state state)
{
    const shape p = shape_of(w, b->options.size);
    contest *c = contest_open();
    scene *scenes[2];
    layer layers[2];

    for (size_t i = 0; i < 2; i++) {
        scenes[i] = scene_open(&p, (pages)i, 1);
        layer_open(&layers[i], scenes[i]);
        enter(c, &layers[i], state);
    }
    contest_run(b, c);
    contest_close(c);
    for (size_t i = 0; i < 2; i++) {
        layer_close(&layers[i]);
        scene_close(scenes[i]);
    }
}

void topic_pipeline(bench *b)
{
    run_contest(b, W1, STATE_HOT);
    run_contest(b, W1, STATE_COLD);
    run_contest(b, W2, STATE_NONE);
    run_contest(b, W3, STATE_NONE);
    run_contest(b, W4, STATE_NONE);
}
