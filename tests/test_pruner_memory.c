/*
 * test_pruner_memory.c - a pruner stays in the memory that it was given
 */
#include "test.h"

#include "pruner.h"
#include "pruner_fixture.h"

/* What is in front of a block, which ends at a page that cannot be touched. */
#define HEADER ((sizeof(guarded) + 15) / 16 * 16)

static void *guarded_allocate(void *context, size_t size)
{
    guarded g = guard(NULL, HEADER + (size + 15) / 16 * 16);

    (void)context;
    memcpy(g.data, &g, sizeof g);
    return g.data + HEADER;
}

static void guarded_deallocate(void *context, void *memory)
{
    guarded g;

    (void)context;
    memcpy(&g, (unsigned char *)memory - HEADER, sizeof g);
    unguard(&g);
}

static const csp_allocator guarded_hooks = {NULL, guarded_allocate,
                                            guarded_deallocate};

/* Chunks of many sizes, so that rows often fill what there is for them. */
TEST(pruner_stays_in_its_memory_while_it_grows)
{
    for (uint32_t step = 1; step <= 64; step *= 2) {
        const csp_config config = plain_config(90);
        engine e;
        engine_init(&e, 2, 2, 1, 320, step);
        csp_pruner *pruner = new_pruner(&e, &config, &guarded_hooks, NULL);

        for (uint32_t round = 0; round < 2; round++) {
            for (uint32_t begin = e.n_tokens; e.n_tokens < begin + 128;) {
                engine_append(&e, step);
                engine_score_all(&e, pruner, e.n_tokens - 1, e.n_tokens,
                                 QUERIES);
            }
            engine_set_values(&e, pruner);
            assert_ok(csp_pruner_plan(pruner));
            engine_apply(&e, pruner);
            assert_true(engine_agrees(&e, pruner));
        }
        csp_pruner_destroy(pruner);
        engine_free(&e);
    }
}

TEST(workspaces_beyond_the_address_space_are_refused)
{
    const csp_parallel three = hook_reversed(3);
    const csp_config config = plain_config(9);
    csp_pruner *pruner = NULL;
    assert_ok(csp_pruner_create(1, 1, &config, NULL, &three, &pruner));

    /* Three times that is 2, were it not refused. */
    assert_status(csp__workspace_grow(pruner, SIZE_MAX / 3 + 1),
                  CSP_E_OVERFLOW);

    assert_null(pruner->workspace);
    csp_pruner_destroy(pruner);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pruner_stays_in_its_memory_while_it_grows),
        cmocka_unit_test(workspaces_beyond_the_address_space_are_refused),
    };

    return RUN(tests);
}
