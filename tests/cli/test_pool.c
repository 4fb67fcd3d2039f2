/*
 * test_pool.c - every worker is called once, whatever their number
 */
#include "test.h"

#include "pool.h"

#include <pthread.h>

typedef struct tally {
    pthread_mutex_t lock;
    uint32_t calls[MAX_WORKERS];
} tally;

static void count(void *argument, uint32_t worker)
{
    tally *t = argument;

    pthread_mutex_lock(&t->lock);
    t->calls[worker]++;
    pthread_mutex_unlock(&t->lock);
}

static void assert_all_called(uint32_t n_workers)
{
    static tally t;
    pool *p = pool_start(n_workers);

    assert_non_null(p);
    const csp_parallel hook = pool_hook(p);
    assert_int_equal(hook.n_workers, n_workers);
    for (uint32_t round = 1; round <= 50; round++) {
        t = (tally){.lock = PTHREAD_MUTEX_INITIALIZER};
        hook.run(hook.context, n_workers, count, &t);
        for (uint32_t w = 0; w < MAX_WORKERS; w++)
            assert_int_equal(t.calls[w], w < n_workers);
    }
    pool_stop(p);
}

TEST(pool_calls_every_worker_once)
{
    assert_all_called(1);
    assert_all_called(2);
    assert_all_called(5);
    assert_all_called(MAX_WORKERS);
}

TEST(pool_may_stop_without_a_job)
{
    pool *p = pool_start(4);

    assert_non_null(p);
    pool_stop(p);
    pool_stop(NULL);
}

TEST(pool_cpus_is_in_range)
{
    assert_in_range(pool_cpus(), 1, MAX_WORKERS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pool_calls_every_worker_once),
        cmocka_unit_test(pool_may_stop_without_a_job),
        cmocka_unit_test(pool_cpus_is_in_range),
    };

    return RUN(tests);
}
