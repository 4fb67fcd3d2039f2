/*
 * parallel_pthreads.c - heads scored by a pool of threads
 *
 * The threads live as long as the pool and sleep between jobs; nobody spins,
 * so cores that others use as well cost no more than their share.  Whoever is
 * awake takes the next worker's number, the caller too: a thread that wakes
 * late, or could not be created, holds up nobody.
 */
#include "parallel_prune.h"

#include <pthread.h>

#define MAX_THREADS 64

typedef struct pool {
    pthread_mutex_t lock; /* of all below but 'threads' and 'n_threads' */
    pthread_cond_t wake;  /* there is a job, or no more will come */
    pthread_cond_t done;  /* nobody is busy */
    void (*work)(void *argument, uint32_t worker);
    void *argument;
    uint32_t next, n_workers; /* numbers that nobody has taken: [next, n) */
    uint32_t n_busy;
    bool stopping;
    pthread_t threads[MAX_THREADS];
    uint32_t n_threads;
} pool;

/* Be one worker after the other while there are any.  With the lock held. */
static void take_part(pool *p)
{
    while (p->next < p->n_workers) {
        const uint32_t worker = p->next++;
        p->n_busy++;
        pthread_mutex_unlock(&p->lock);
        p->work(p->argument, worker);
        pthread_mutex_lock(&p->lock);
        if (--p->n_busy == 0)
            pthread_cond_signal(&p->done);
    }
}

static void *thread_main(void *context)
{
    pool *p = context;

    pthread_mutex_lock(&p->lock);
    while (!p->stopping) {
        take_part(p);
        if (!p->stopping)
            pthread_cond_wait(&p->wake, &p->lock);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* Start threads for 'n_workers' with the caller, or as many as can be had. */
static void pool_start(pool *p, uint32_t n_workers)
{
    *p = (pool){.lock = PTHREAD_MUTEX_INITIALIZER,
                .wake = PTHREAD_COND_INITIALIZER,
                .done = PTHREAD_COND_INITIALIZER};
    while (p->n_threads + 1 < n_workers && p->n_threads < MAX_THREADS &&
           pthread_create(&p->threads[p->n_threads], NULL, thread_main, p) == 0)
        p->n_threads++;
}

static void pool_stop(pool *p)
{
    pthread_mutex_lock(&p->lock);
    p->stopping = true;
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
    for (uint32_t i = 0; i < p->n_threads; i++)
        pthread_join(p->threads[i], NULL);
    pthread_cond_destroy(&p->done);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
}

/* The hook. */
static void pool_run(void *context, uint32_t n_workers,
                     void (*work)(void *argument, uint32_t worker),
                     void *argument)
{
    pool *p = context;

    pthread_mutex_lock(&p->lock);
    p->work = work;
    p->argument = argument;
    p->next = 0;
    p->n_workers = n_workers;
    pthread_cond_broadcast(&p->wake);
    take_part(p);
    while (p->n_busy > 0)
        pthread_cond_wait(&p->done, &p->lock);
    pthread_mutex_unlock(&p->lock);
}

int main(void)
{
    static const uint32_t sizes[] = {1, 2, 3, 8};
    bool same = true;

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        pool p;
        pool_start(&p, sizes[i]);
        const csp_parallel hook = {&p, p.n_threads + 1, pool_run};
        same &= agrees_with_serial(&hook);
        pool_stop(&p);
    }
    return same ? 0 : 1;
}
