/*
 * parallel_openmp.c - heads scored by OpenMP's threads
 *
 * OpenMP's threads may spin while they wait for each other.  Where cores are
 * shared that costs far more than it saves: set OMP_WAIT_POLICY=passive.
 */
#include "parallel_prune.h"

/* The hook: each worker is a turn of the loop, whatever thread takes it. */
static void run(void *context, uint32_t n_workers,
                void (*work)(void *argument, uint32_t worker), void *argument)
{
    (void)context;
#pragma omp parallel for schedule(dynamic, 1) num_threads((int)n_workers)
    for (uint32_t worker = 0; worker < n_workers; worker++)
        work(argument, worker);
}

int main(void)
{
    static const uint32_t sizes[] = {1, 2, 3, 8};
    bool same = true;

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        const csp_parallel hook = {NULL, sizes[i], run};
        same &= agrees_with_serial(&hook);
    }
    return same ? 0 : 1;
}
