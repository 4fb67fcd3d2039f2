/*
 * test_parallel.c - tasks claimed one by one by whoever is free
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdatomic.h>

#include "parallel.h"
#include "pruner_fixture.h"

#define N_TASKS 100u
#define MAX_WORKERS 16u

/* What the tasks of one run saw; assertions wait until all threads are back. */
typedef struct record {
    atomic_uint runs[N_TASKS];
    atomic_uint busy[MAX_WORKERS];
    atomic_uint shared;    /* a worker's number was in use twice at once */
    atomic_uint strangers; /* worker numbers out of range */
    uint32_t n_workers;
    uint32_t
        fails_from; /* tasks [from, N_TASKS) fail, each with its own status */
} record;

static csp_status note(void *argument, uint32_t index, uint32_t worker)
{
    record *r = argument;

    if (index >= N_TASKS || worker >= r->n_workers) {
        atomic_fetch_add(&r->strangers, 1);
        return CSP_OK;
    }
    if (atomic_fetch_add(&r->busy[worker], 1) != 0)
        atomic_fetch_add(&r->shared, 1);
    atomic_fetch_add(&r->runs[index], 1);
    atomic_fetch_sub(&r->busy[worker], 1);
    return index >= r->fails_from ? (csp_status)(1 + index % 17) : CSP_OK;
}

static csp_status run(uint32_t hook, uint32_t n_tasks, uint32_t fails_from,
                      record *r)
{
    const csp_parallel parallel = hook_number(hook);

    *r = (record){.n_workers = parallel.n_workers, .fails_from = fails_from};
    return csp__run_tasks(&parallel, n_tasks, note, r);
}

static void run_tasks_runs_each_task_once_under_every_hook(void **state)
{
    (void)state;
    for (uint32_t hook = 0; hook < N_HOOKS; hook++) {
        record r;

        csp_status status = run(hook, N_TASKS, N_TASKS, &r);

        assert_int_equal(status, CSP_OK);
        for (uint32_t i = 0; i < N_TASKS; i++)
            assert_int_equal(atomic_load(&r.runs[i]), 1);
    }
}

static void run_tasks_runs_no_task_beyond_the_last(void **state)
{
    (void)state;
    for (uint32_t hook = 0; hook < N_HOOKS; hook++) {
        record r;

        run(hook, 7, N_TASKS, &r);

        assert_int_equal(atomic_load(&r.runs[6]), 1);
        for (uint32_t i = 7; i < N_TASKS; i++)
            assert_int_equal(atomic_load(&r.runs[i]), 0);
    }
}

static void run_tasks_hands_out_worker_numbers_in_range(void **state)
{
    (void)state;
    for (uint32_t hook = 0; hook < N_HOOKS; hook++) {
        record r;

        run(hook, N_TASKS, N_TASKS, &r);

        assert_int_equal(atomic_load(&r.strangers), 0);
    }
}

static void run_tasks_uses_a_worker_number_once_at_a_time(void **state)
{
    (void)state;
    for (uint32_t round = 0; round < 50; round++)
        for (uint32_t hook = 0; hook < N_HOOKS; hook++) {
            record r;

            run(hook, N_TASKS, N_TASKS, &r);

            assert_int_equal(atomic_load(&r.shared), 0);
        }
}

static void run_tasks_reports_the_first_failure_by_index(void **state)
{
    (void)state;
    for (uint32_t hook = 0; hook < N_HOOKS; hook++)
        for (uint32_t first = 0; first < N_TASKS; first += 9) {
            record r;

            csp_status status = run(hook, N_TASKS, first, &r);

            assert_int_equal(status, 1 + first % 17);
        }
}

static void run_tasks_runs_all_tasks_in_spite_of_failures(void **state)
{
    (void)state;
    for (uint32_t hook = 0; hook < N_HOOKS; hook++) {
        record r;

        run(hook, N_TASKS, 0, &r);

        for (uint32_t i = 0; i < N_TASKS; i++)
            assert_int_equal(atomic_load(&r.runs[i]), 1);
    }
}

static void run_tasks_without_tasks_is_ok(void **state)
{
    record r;

    (void)state;
    assert_int_equal(run(2, 0, 0, &r), CSP_OK);
    assert_int_equal(atomic_load(&r.runs[0]), 0);
}

/* ---- Without threads ----------------------------------------------------- */

static csp_status append_index(void *argument, uint32_t index, uint32_t worker)
{
    uint32_t *list = argument;

    list[++list[0]] = index;
    return worker == 0 ? CSP_OK : CSP_E_STATE;
}

static void run_tasks_without_a_hook_is_serial(void **state)
{
    const csp_parallel serial = {NULL, 1, NULL};
    uint32_t list[6] = {0};

    (void)state;
    csp_status status = csp__run_tasks(&serial, 5, append_index, list);

    assert_int_equal(status, CSP_OK);
    assert_int_equal(list[0], 5);
    for (uint32_t i = 0; i < 5; i++)
        assert_int_equal(list[i + 1], i);
}

static void count_calls(void *context, uint32_t n_workers,
                        void (*work)(void *argument, uint32_t worker),
                        void *argument)
{
    uint32_t *calls = context;

    calls[0]++;
    calls[1] = n_workers;
    (void)work;
    (void)argument;
}

static void run_tasks_calls_the_hook_once_with_its_workers(void **state)
{
    uint32_t calls[2] = {0};
    const csp_parallel hook = {calls, 3, count_calls};
    uint32_t list[6] = {0};

    (void)state;
    csp__run_tasks(&hook, 2, append_index, list);

    assert_int_equal(calls[0], 1);
    assert_int_equal(calls[1], 3);
}

static void run_tasks_does_a_single_task_itself(void **state)
{
    uint32_t calls[2] = {0};
    const csp_parallel hook = {calls, 3, count_calls};
    uint32_t list[2] = {0};

    (void)state;
    csp_status status = csp__run_tasks(&hook, 1, append_index, list);

    assert_int_equal(status, CSP_OK);
    assert_int_equal(calls[0], 0);
    assert_int_equal(list[0], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(run_tasks_runs_each_task_once_under_every_hook),
        cmocka_unit_test(run_tasks_runs_no_task_beyond_the_last),
        cmocka_unit_test(run_tasks_hands_out_worker_numbers_in_range),
        cmocka_unit_test(run_tasks_uses_a_worker_number_once_at_a_time),
        cmocka_unit_test(run_tasks_reports_the_first_failure_by_index),
        cmocka_unit_test(run_tasks_runs_all_tasks_in_spite_of_failures),
        cmocka_unit_test(run_tasks_without_tasks_is_ok),
        cmocka_unit_test(run_tasks_without_a_hook_is_serial),
        cmocka_unit_test(run_tasks_calls_the_hook_once_with_its_workers),
        cmocka_unit_test(run_tasks_does_a_single_task_itself),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
