/*
 * test_mini_outcome.c - what a round keeps, counts and leaves behind
 */
#include "mini_test.h"

#include "prune.h"
#include "recorder.h"
#include "support.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { READ = 36, LATER = 8 };

static prune_settings settings_of(method how, correction c, double keep)
{
    return (prune_settings){
        .method = how, .correction = c, .keep = keep, .recent = -1.0};
}

static cache read_watched(const scene *s, const prune_settings *settings,
                          prune_state **p)
{
    *p = prune_start(&s->m, settings, s->p.spans, s->p.n_spans, READ);
    return scene_read(s, READ, READ + LATER, 10, (watcher){prune_watch, *p},
                      NULL);
}

static cache read_pruned(const scene *s, const prune_settings *settings,
                         prune_outcome *outcome)
{
    prune_state *p;
    cache c = read_watched(s, settings, &p);

    *outcome = prune_cache(p, &c);
    prune_end(p);
    return c;
}

/* Whether a head has that key among its rows. */
static bool has_key(const cache *c, uint32_t layer, uint32_t g,
                    const float *key)
{
    const float *row = c->keys + cache_head(c, layer, g);
    const size_t n = c->rows[(size_t)layer * c->n_kv_heads + g];

    for (size_t i = 0; i < n; ++i, row += c->head_dim)
        if (memcmp(row, key, c->head_dim * sizeof *key) == 0)
            return true;
    return false;
}

/* ---- Counts -------------------------------------------------------------- */

TEST(outcome_counts_rows_of_images)
{
    static const watcher nobody = {0};
    const prune_settings settings = settings_of(METHOD_CSP, CORRECT_NONE, 0.5);
    scene s = scene_make("f32");
    cache full = scene_read(&s, READ, READ, READ, nobody, NULL);
    prune_outcome o;
    cache c = read_pruned(&s, &settings, &o);
    const uint64_t n_heads = (uint64_t)s.m.n_layers * s.m.n_kv_heads;
    uint64_t images = 0, kept = 0;

    for (uint32_t i = 0; i < s.p.n_patches; ++i) {
        const uint32_t t = (uint32_t)s.p.places[i];

        if (t >= READ)
            continue;
        images++;
        for (uint32_t l = 0; l < s.m.n_layers; ++l)
            for (uint32_t g = 0; g < s.m.n_kv_heads; ++g)
                kept += has_key(&c, l, g,
                                full.keys + cache_head(&full, l, g) +
                                    (size_t)t * full.head_dim);
    }
    assert_int_equal(o.rows_before, READ * n_heads);
    assert_int_equal(o.images_before, images * n_heads);
    assert_int_equal(o.images_after, kept);
    assert_true(images > 0 && kept > 0 && kept < images * n_heads);
    assert_true(o.retained > 0.0 && o.retained < 1.0);

    cache_free(&c);
    cache_free(&full);
    scene_free(&s);
}

TEST(all_rows_retain_all_attention)
{
    const prune_settings settings = settings_of(METHOD_CSP, CORRECT_NONE, 1.0);
    scene s = scene_make("f32");
    prune_outcome o;
    cache c = read_pruned(&s, &settings, &o);

    assert_true(fabs(o.retained - 1.0) < 1e-9);
    cache_free(&c);
    scene_free(&s);
}

/* ---- Settings ------------------------------------------------------------ */

TEST(methods_keep_different_rows)
{
    scene s = scene_make("f32");
    cache caches[N_METHODS];
    prune_outcome o;

    for (int m = 0; m < N_METHODS; ++m) {
        const prune_settings settings =
            settings_of((method)m, CORRECT_NONE, 0.4);

        caches[m] = read_pruned(&s, &settings, &o);
        for (int k = 0; k < m; ++k) {
            const size_t size =
                cache_head(&caches[m], s.m.n_layers, 0) * sizeof(float);

            assert_int_not_equal(memcmp(caches[m].keys, caches[k].keys, size),
                                 0);
        }
    }
    for (int m = 0; m < N_METHODS; ++m)
        cache_free(&caches[m]);
    scene_free(&s);
}

/* Said or not, it is the same share; what is too large is half the budget. */
TEST(recent_share_of_the_method_changes_nothing)
{
    static const struct {
        method how;
        double recent;
    } cases[] = {{METHOD_CSP, 0.05},
                 {METHOD_SNAPKV, 1.0},
                 {METHOD_H2O, 0.2},
                 {METHOD_H2O, 1.0}};
    scene s = scene_make("f32");

    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        prune_settings settings =
            settings_of(cases[i].how, CORRECT_NONE, 14.0 / READ);
        prune_outcome a, b;
        cache c = read_pruned(&s, &settings, &a);

        settings.recent = cases[i].recent;
        cache d = read_pruned(&s, &settings, &b);
        assert_true(fabs(a.retained - b.retained) < 1e-12);
        assert_same_cache(&c, &d);
        cache_free(&d);
        cache_free(&c);
    }
    scene_free(&s);
}

/* A value row that would be heard from afar is kept, a key row is not asked. */
TEST(norms_are_those_of_values)
{
    const prune_settings settings =
        settings_of(METHOD_AGNOSTIC, CORRECT_NONE, 0.3);
    scene s = scene_make("f32");
    prune_state *p;

    for (uint32_t t = 5; t < READ / 2; ++t) {
        cache c = read_watched(&s, &settings, &p);

        for (uint32_t l = 0; l < c.n_layers; ++l)
            for (uint32_t g = 0; g < c.n_kv_heads; ++g)
                c.values[cache_head(&c, l, g) + (size_t)t * c.head_dim] = 1e6f;
        cache full = cache_copy(&c, READ);
        prune_cache(p, &c);
        prune_end(p);
        for (uint32_t l = 0; l < c.n_layers; ++l)
            for (uint32_t g = 0; g < c.n_kv_heads; ++g)
                assert_true(has_key(&c, l, g,
                                    full.keys + cache_head(&full, l, g) +
                                        (size_t)t * c.head_dim));
        cache_free(&full);
        cache_free(&c);
    }
    scene_free(&s);
}

/* ---- Sinks --------------------------------------------------------------- */

TEST(sink_alone_says_nothing)
{
    const prune_settings settings = settings_of(METHOD_CSP, CORRECT_SINK, 0.4);
    scene s = scene_make("f32");
    prune_outcome o;
    cache c = read_pruned(&s, &settings, &o);

    for (uint32_t i = 0; i < c.n_layers * c.n_heads * c.head_dim; ++i)
        assert_true(c.sink_values[i] == 0.0f);
    cache_free(&c);
    scene_free(&s);
}

TEST(copy_has_the_sinks)
{
    const prune_settings settings =
        settings_of(METHOD_CSP, CORRECT_RESIDUAL, 0.4);
    scene s = scene_make("f32");
    prune_outcome o;
    cache c = read_pruned(&s, &settings, &o);
    cache copy = cache_copy(&c, cache_rows(&c));

    assert_true(c.sink_logits[0] > -INFINITY && c.sink_values[0] != 0.0f);
    assert_same_cache(&c, &copy);
    cache_free(&copy);
    cache_free(&c);
    scene_free(&s);
}

/* Two rounds, of which the second can be made to forget the first's sinks:
   then it shows what it has measured itself. */
static cache two_rounds(const scene *s, bool forget, cache *first)
{
    const prune_settings settings =
        settings_of(METHOD_CSP, CORRECT_RESIDUAL, 0.5);
    const size_t n = (size_t)s->m.n_layers * s->m.n_heads;
    prune_state *p;
    cache c = read_watched(s, &settings, &p);

    prune_cache(p, &c);
    *first = cache_copy(&c, cache_rows(&c));
    for (size_t h = 0; h < n && forget; ++h)
        c.sink_logits[h] = -INFINITY;
    for (size_t i = 0; i < n * c.head_dim && forget; ++i)
        c.sink_values[i] = 0.0f;
    prune_while_decoding(p, 7);
    prune_cache(p, &c);
    prune_end(p);
    return c;
}

TEST(sinks_of_rounds_add_by_mass)
{
    scene s = scene_make("f32");
    cache first, same;
    cache both = two_rounds(&s, false, &first);
    cache second = two_rounds(&s, true, &same);

    for (uint32_t h = 0; h < s.m.n_layers * s.m.n_heads; ++h) {
        const double a = exp((double)first.sink_logits[h]);
        const double b = exp((double)second.sink_logits[h]);

        assert_true(a > 0.0 && b > 0.0);
        assert_true(fabs((double)both.sink_logits[h] - log(a + b)) < 1e-5);
        for (uint32_t d = 0; d < s.m.head_dim; ++d) {
            const size_t i = (size_t)h * s.m.head_dim + d;
            const double x = (double)first.sink_values[i];
            const double y = (double)second.sink_values[i];

            assert_true(fabs((double)both.sink_values[i] -
                             (a * x + b * y) / (a + b)) < 1e-5);
        }
    }
    cache_free(&second);
    cache_free(&both);
    cache_free(&same);
    cache_free(&first);
    scene_free(&s);
}

/* ---- Lengths ------------------------------------------------------------- */

TEST(longest_head_is_found_wherever_it_is)
{
    scene s = scene_make("f32");
    cache c = cache_make(&s.m, 9);
    const uint32_t n = c.n_layers * c.n_kv_heads;

    for (uint32_t longest = 0; longest < n; ++longest) {
        for (uint32_t g = 0; g < n; ++g)
            c.rows[g] = g == longest ? 9 : 2;
        assert_int_equal(cache_rows(&c), 9);
        for (uint32_t l = 0; l < c.n_layers; ++l)
            assert_int_equal(cache_layer_rows(&c, l),
                             l == longest / c.n_kv_heads ? 9 : 2);
        assert_int_equal(cache_bytes(&c),
                         (9 + 2 * (n - 1)) * c.head_dim * 2 * sizeof(float));
    }
    cache_free(&c);
    scene_free(&s);
}

TEST(recorder_forgets_what_is_cut)
{
    enum { LEFT = 11 };
    static const watcher nobody = {0};
    scene s = scene_make("f32");
    recorder r = recorder_make(&s.m, s.p.n_tokens);
    cache c =
        scene_read(&s, READ, READ, 7, (watcher){recorder_watch, &r}, NULL);
    cache d = scene_read(&s, READ, READ, 7, nobody, NULL);

    recorder_cut(&r, LEFT);
    recorder_cut(&r, READ); /* what is gone stays so */
    for (uint32_t l = 0; l < s.m.n_layers; ++l) {
        const attention_seen seen = recorder_view(&r, l, &c);

        assert_int_equal(seen.n_queries, LEFT);
        assert_int_equal(seen.first, 0);
    }
    assert_same_cache(&c, &d);
    cache_free(&d);
    cache_free(&c);
    recorder_free(&r);
    scene_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outcome_counts_rows_of_images),
        cmocka_unit_test(all_rows_retain_all_attention),
        cmocka_unit_test(methods_keep_different_rows),
        cmocka_unit_test(recent_share_of_the_method_changes_nothing),
        cmocka_unit_test(norms_are_those_of_values),
        cmocka_unit_test(sink_alone_says_nothing),
        cmocka_unit_test(copy_has_the_sinks),
        cmocka_unit_test(sinks_of_rounds_add_by_mass),
        cmocka_unit_test(longest_head_is_found_wherever_it_is),
        cmocka_unit_test(recorder_forgets_what_is_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
