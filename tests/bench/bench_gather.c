/*
 * bench_gather.c - moving kept rows against memcpy of as many bytes
 *
 * The copy is of rows that lie together, to the same place.
 */
#include "layer.h"

#include <string.h>

typedef struct copy_job {
    const layer *layer;
    memory packed[N_VIEWS]; /* the kept rows, together */
} copy_job;

static void copy_run(void *job)
{
    const copy_job *j = job;

    for (size_t i = 0; i < N_VIEWS; i++)
        memcpy(j->layer->pruned[i].data, j->packed[i].data,
               j->layer->kept_size / N_VIEWS);
}

/* Enter both; returns the gather. */
static const entrant *enter(contest *c, layer *l, copy_job *j,
                            cache_state state)
{
    const pages kind = l->score.scene->pages;
    const char *name = l->score.scene->shape.name;
    char what[32];

    snprintf(what, sizeof what, "%s memcpy", name);
    entrant *copy = contest_enter(c, what, copy_run, j);
    snprintf(what, sizeof what, "%s gather", name);
    entrant *gather = contest_enter(c, what, layer_gather, l);
    gather->after = layer_check;
    gather->pair = copy;
    copy->pages = gather->pages = kind;
    copy->state = gather->state = state;
    copy->size = gather->size = l->kept_size;
    return gather;
}

static void open_job(copy_job *j, layer *l, scene *s)
{
    layer_open(l, s);
    layer_score(l);
    layer_select(l);
    layer_gather(l);
    *j = (copy_job){.layer = l};
    for (size_t i = 0; i < N_VIEWS; i++) {
        j->packed[i] = memory_take(l->kept_size / N_VIEWS, s->pages);
        memcpy(j->packed[i].data, l->pruned[i].data, l->kept_size / N_VIEWS);
    }
}

static void run_contest(bench *b, workload w)
{
    const shape p = shape_of(w, b->options.size);
    contest *c = contest_open();
    const entrant *gather = NULL;
    scene *scenes[2];
    layer layers[2];
    copy_job jobs[2];

    for (size_t i = 0; i < 2; i++) {
        scenes[i] = scene_open(&p, (pages)i, 1);
        open_job(&jobs[i], &layers[i], scenes[i]);
        const entrant *cold = enter(c, &layers[i], &jobs[i], STATE_COLD);
        enter(c, &layers[i], &jobs[i], STATE_HOT);
        if (scenes[i]->pages == PAGES_4K)
            gather = cold;
    }
    contest_run(b, c);
    if (w == W4)
        figure(b, "gather_vs_memcpy",
               time_best(gather->pair) / time_best(gather));
    contest_close(c);
    for (size_t i = 0; i < 2; i++) {
        for (size_t v = 0; v < N_VIEWS; v++)
            memory_give(&jobs[i].packed[v]);
        layer_close(&layers[i]);
        scene_close(scenes[i]);
    }
}

void topic_gather(bench *b)
{
    run_contest(b, W1);
    run_contest(b, W4);
    run_contest(b, W3);
}
