/*
 * parallel.c - tasks claimed one by one by whoever is free
 */
#include "parallel.h"

#include <stdatomic.h>

/* Workers share this; a claim is a few nanoseconds against a task of
   microseconds. */
typedef struct job {
    csp__task task;
    void *argument;
    uint32_t n_tasks;
    atomic_uint_fast64_t next;    /* 64 bits: cannot wrap */
    atomic_uint_fast64_t failure; /* index << 32 | status, the least so far */
} job;

static void note_failure(job *j, uint32_t index, csp_status status)
{
    uint_fast64_t mine = (uint_fast64_t)index << 32 | (uint_fast64_t)status;
    uint_fast64_t least = atomic_load(&j->failure);

    while (mine < least &&
           !atomic_compare_exchange_weak(&j->failure, &least, mine))
        continue;
}

static void work(void *argument, uint32_t worker)
{
    job *j = argument;

    for (;;) {
        uint_fast64_t index = atomic_fetch_add(&j->next, 1);
        if (index >= j->n_tasks)
            return;
        csp_status status = j->task(j->argument, (uint32_t)index, worker);
        if (status != CSP_OK)
            note_failure(j, (uint32_t)index, status);
    }
}

csp_status csp__run_tasks(const csp_parallel *parallel, uint32_t n_tasks,
                          csp__task task, void *argument)
{
    job j = {.task = task, .argument = argument, .n_tasks = n_tasks};

    atomic_init(&j.next, 0);
    atomic_init(&j.failure, UINT64_MAX);
    if (parallel->run != NULL && n_tasks > 1)
        parallel->run(parallel->context, parallel->n_workers, work, &j);
    work(&j, 0); /* serial, or what a hook left undone */
    uint_fast64_t failure = atomic_load(&j.failure);
    return failure == UINT64_MAX ? CSP_OK : (csp_status)(failure & UINT32_MAX);
}
