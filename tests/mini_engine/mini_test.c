/*
 * mini_test.c - what the tests of the small engine share
 */
#include "mini_test.h"

#include "support.h"

#include <stdlib.h>
#include <string.h>

scene scene_make(const char *dtype)
{
    char *folder = join(MINI_DATA_DIR, dtype);
    scene s = {
        .m = model_load(folder),
        .p = prompt_read(MINI_DATA_DIR "/tokens.npy",
                         MINI_DATA_DIR "/pixels.npy",
                         MINI_DATA_DIR "/patches.npy", NULL),
    };

    free(folder);
    prompt_check(&s.p, &s.m, MINI_DATA_DIR);
    s.embeddings = prompt_embed(&s.p, &s.m);
    return s;
}

void scene_free(scene *s)
{
    free(s->embeddings);
    prompt_free(&s->p);
    model_free(&s->m);
}

cache scene_read(const scene *s, uint32_t n, uint32_t capacity, uint32_t chunk,
                 watcher w, float *next)
{
    engine e = engine_make(&s->m, chunk);
    cache c = cache_make(&s->m, capacity);

    e.watcher = w;
    engine_run(&e, &c, s->embeddings, n, next);
    engine_free(&e);
    return c;
}

void assert_same_cache(const cache *a, const cache *b)
{
    const size_t heads = (size_t)a->n_layers * a->n_heads;
    const size_t row = a->head_dim * sizeof(float);

    assert_int_equal(a->position, b->position);
    for (uint32_t l = 0; l < a->n_layers; ++l)
        for (uint32_t g = 0; g < a->n_kv_heads; ++g) {
            const uint32_t n = a->rows[(size_t)l * a->n_kv_heads + g];
            const size_t x = cache_head(a, l, g), y = cache_head(b, l, g);

            assert_int_equal(n, b->rows[(size_t)l * b->n_kv_heads + g]);
            assert_memory_equal(a->keys + x, b->keys + y, n * row);
            assert_memory_equal(a->values + x, b->values + y, n * row);
        }
    assert_memory_equal(a->sink_logits, b->sink_logits, heads * sizeof(float));
    assert_memory_equal(a->sink_values, b->sink_values, heads * row);
}
