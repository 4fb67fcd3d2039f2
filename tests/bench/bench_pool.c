/*
 * bench_pool.c - a hook of two threads: the caller and one that waits
 *
 * The caller works at once.  If it is done before the partner woke up, nobody
 * has to wait for that: the call is withdrawn.
 */
#include "bench.h"
#include "pool.h"

#include <pthread.h>
#include <stdlib.h>

typedef enum call { CALL_NONE, CALL_MADE, CALL_TAKEN, CALL_QUIT } call;

struct pool {
    pthread_t partner;
    pthread_mutex_t lock;
    pthread_cond_t called, finished;
    call call;
    void (*work)(void *argument, uint32_t worker);
    void *argument;
};

static void *help(void *context)
{
    pool *p = context;

    machine_pin(1);
    pthread_mutex_lock(&p->lock);
    for (;;) {
        while (p->call == CALL_NONE)
            pthread_cond_wait(&p->called, &p->lock);
        if (p->call == CALL_QUIT)
            break;
        p->call = CALL_TAKEN;
        pthread_mutex_unlock(&p->lock);
        p->work(p->argument, 1);
        pthread_mutex_lock(&p->lock);
        p->call = CALL_NONE;
        pthread_cond_signal(&p->finished);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

static void run(void *context, uint32_t n_workers,
                void (*work)(void *argument, uint32_t worker), void *argument)
{
    pool *p = context;

    (void)n_workers;
    pthread_mutex_lock(&p->lock);
    p->work = work;
    p->argument = argument;
    p->call = CALL_MADE;
    pthread_cond_signal(&p->called);
    pthread_mutex_unlock(&p->lock);

    work(argument, 0);

    pthread_mutex_lock(&p->lock);
    if (p->call == CALL_MADE)
        p->call = CALL_NONE;
    while (p->call == CALL_TAKEN)
        pthread_cond_wait(&p->finished, &p->lock);
    pthread_mutex_unlock(&p->lock);
}

pool *pool_open(void)
{
    pool *p = calloc(1, sizeof *p);

    expect(p != NULL, "memory for a pool");
    expect(pthread_mutex_init(&p->lock, NULL) == 0 &&
               pthread_cond_init(&p->called, NULL) == 0 &&
               pthread_cond_init(&p->finished, NULL) == 0 &&
               pthread_create(&p->partner, NULL, help, p) == 0,
           "a second thread");
    return p;
}

void pool_close(pool *p)
{
    pthread_mutex_lock(&p->lock);
    p->call = CALL_QUIT;
    pthread_cond_signal(&p->called);
    pthread_mutex_unlock(&p->lock);
    pthread_join(p->partner, NULL);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->called);
    pthread_cond_destroy(&p->finished);
    free(p);
}

csp_parallel pool_hook(pool *p)
{
    return (csp_parallel){.context = p, .n_workers = 2, .run = run};
}
