/*
 * select_fixture.h - importance whose order is known
 */
#ifndef SELECT_FIXTURE_H
#define SELECT_FIXTURE_H

#include "test.h"

#include <float.h>

enum { KEYS = 8, HEADS = 2, ROOM = 10 };

typedef struct fixture {
    float intra[HEADS * ROOM];
    float inter[HEADS * ROOM];
    float intra_rows[HEADS * ROOM];
    float inter_rows[HEADS * ROOM];
    float norm[HEADS * ROOM];
    uint32_t rows[HEADS * ROOM];
    uint32_t counts[HEADS];
    uint32_t n_both[HEADS];
    uint8_t reasons[HEADS * ROOM];
    csp_importance importance;
    csp_tokens tokens;
    csp_config config;
    csp_kept kept;
    unsigned char workspace[2048];
} fixture;

/* One head.  By intra the order is that of rows, by inter the reverse. */
static inline void set_up(fixture *f)
{
    memset(f, 0, sizeof *f);
    for (size_t i = 0; i < HEADS * ROOM; i++) {
        f->intra[i] = (float)(i % ROOM < KEYS ? KEYS - 1 - i % ROOM : 99);
        f->inter[i] = (float)(i % ROOM < KEYS ? i % ROOM : 99);
        f->intra_rows[i] = f->inter_rows[i] = f->norm[i] = 1.0f;
        f->rows[i] = f->reasons[i] = 77;
    }
    f->counts[0] = f->counts[1] = f->n_both[0] = f->n_both[1] = 77;
    f->importance = (csp_importance){f->intra,      f->inter, f->intra_rows,
                                     f->inter_rows, f->norm,  ROOM};
    f->tokens = (csp_tokens){.n_kv_heads = 1, .n_keys = KEYS};
    assert_ok(csp_config_init(&f->config));
    f->kept = (csp_kept){.rows = f->rows,
                         .counts = f->counts,
                         .n_both = f->n_both,
                         .n_lists = 1,
                         .capacity = ROOM,
                         .reasons = f->reasons};
}

static inline csp_status choose(fixture *f)
{
    return csp_select(&f->importance, &f->tokens, &f->config, f->workspace,
                      sizeof f->workspace, &f->kept);
}

static inline void assert_list(const fixture *f, size_t list,
                               const uint32_t *expected, size_t n)
{
    assert_int_equal(f->counts[list], n);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(f->rows[list * ROOM + i], expected[i]);
    for (size_t i = n; i < ROOM; i++) /* nothing behind is written */
        assert_int_equal(f->rows[list * ROOM + i], 77);
}

/* Select and compare the only list with the rows that follow. */
#define assert_keeps(f, ...)                                                   \
    do {                                                                       \
        const uint32_t expected_[] = {__VA_ARGS__};                            \
        assert_ok(choose(f));                                                  \
        assert_list(f, 0, expected_, COUNT(expected_));                        \
    } while (0)

static inline void set_numbers(float *to, const float *numbers)
{
    memcpy(to, numbers, KEYS * sizeof *to);
}

#endif
