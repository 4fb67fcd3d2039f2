/*
 * mini_test.h - what the tests of the small engine share
 */
#ifndef MINI_TEST_H
#define MINI_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine.h"
#include "model.h"
#include "prompt.h"

/* A test without state. */
#define TEST(name)                                                             \
    static void name##_body(void);                                             \
    static void name(void **state)                                             \
    {                                                                          \
        (void)state;                                                           \
        name##_body();                                                         \
    }                                                                          \
    static void name##_body(void)

/* A random checkpoint in weights of 'dtype' (f32, f16 or bf16), and a prompt of
   48 tokens, 16 of them two images. */
typedef struct scene {
    model m;
    prompt p;
    float *embeddings; /* [n_tokens][hidden] */
} scene;

scene scene_make(const char *dtype);
void scene_free(scene *s);

/* A cache that holds tokens [0, n), with room for 'capacity', read in chunks of
   'chunk' tokens; 'w' watches.  'next' as for engine_run. */
cache scene_read(const scene *s, uint32_t n, uint32_t capacity, uint32_t chunk,
                 watcher w, float *next);

/* Whether two caches hold the same bits in the rows they use. */
void assert_same_cache(const cache *a, const cache *b);

#endif /* MINI_TEST_H */
