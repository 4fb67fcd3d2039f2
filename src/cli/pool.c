/*
 * pool.c - threads for the library, which has none
 *
 * They sleep between jobs; nobody spins, so cores that others use as well cost
 * no more than their share.  Whoever is awake takes the next worker's number,
 * the caller too: a thread that wakes late, or could not be created, holds up
 * nobody.
 */
#include "pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

struct pool {
    pthread_mutex_t lock; /* of all below but the threads */
    pthread_cond_t wake;  /* there is a job, or no more will come */
    pthread_cond_t done;  /* nobody is busy */
    void (*work)(void *argument, uint32_t worker);
    void *argument;
    uint32_t next, n_next; /* numbers that nobody has taken: [next, n_next) */
    uint32_t n_busy;
    bool stopping;
    uint32_t n_workers;
    uint32_t n_threads;
    pthread_t threads[MAX_WORKERS];
};

/* Be one worker after the other while there are any.  With the lock held. */
static void take_part(pool *p)
{
    while (p->next < p->n_next) {
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

/* Signals are the caller's, who may hold them back while it must not be
   disturbed. */
static void start_threads(pool *p)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (p->n_threads + 1 < p->n_workers &&
           pthread_create(&p->threads[p->n_threads], NULL, thread_main, p) == 0)
        p->n_threads++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

pool *pool_start(uint32_t n_workers)
{
    pool *p = calloc(1, sizeof *p);

    if (p == NULL)
        return NULL;
    p->lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    p->wake = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
    p->done = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
    p->n_workers = n_workers;
    start_threads(p);
    return p;
}

void pool_stop(pool *p)
{
    if (p == NULL)
        return;
    pthread_mutex_lock(&p->lock);
    p->stopping = true;
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
    for (uint32_t i = 0; i < p->n_threads; i++)
        pthread_join(p->threads[i], NULL);
    pthread_cond_destroy(&p->done);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

static void pool_run(void *context, uint32_t n_workers,
                     void (*work)(void *argument, uint32_t worker),
                     void *argument)
{
    pool *p = context;

    pthread_mutex_lock(&p->lock);
    p->work = work;
    p->argument = argument;
    p->next = 0;
    p->n_next = n_workers;
    pthread_cond_broadcast(&p->wake);
    take_part(p);
    while (p->n_busy > 0)
        pthread_cond_wait(&p->done, &p->lock);
    pthread_mutex_unlock(&p->lock);
}

csp_parallel pool_hook(pool *p)
{
    return (csp_parallel){
        .context = p, .n_workers = p->n_workers, .run = pool_run};
}

uint32_t pool_cpus(void)
{
    const long n = sysconf(_SC_NPROCESSORS_ONLN);

    if (n < 1)
        return 1;
    return n > MAX_WORKERS ? MAX_WORKERS : (uint32_t)n;
}
