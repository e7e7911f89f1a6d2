/* Owns: the handler threads and their queue. Refuses to know: what a job does. */
#include <config.h>

#include "http/workers.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct workers {
    pthread_mutex_t mu; /* guards first, last, stop */
    pthread_cond_t changed;
    struct job *first, *last;
    bool stop;
    unsigned n;
    pthread_t *threads;
};

static struct job *take(struct workers *w)
{
    pthread_mutex_lock(&w->mu);
    while (!w->first && !w->stop)
        pthread_cond_wait(&w->changed, &w->mu);
    struct job *job = w->first;
    if (job)
        w->first = job->next;
    pthread_mutex_unlock(&w->mu);
    return job;
}

static void *run(void *user)
{
    struct job *job;
    while ((job = take(user)))
        job->run(job);
    return NULL;
}

bool workers_open(unsigned n, struct workers **out, struct err *e)
{
    struct workers *w = mem_zalloc(sizeof *w);
    pthread_mutex_init(&w->mu, NULL);
    pthread_cond_init(&w->changed, NULL);
    w->threads = mem_calloc(n, sizeof *w->threads);
    for (; w->n < n; w->n++) {
        int rc = pthread_create(&w->threads[w->n], NULL, run, w);
        if (rc) {
            workers_close(&w);
            FAIL(e, ERR_NOMEM, "cannot start a worker thread: %s", strerror(rc));
        }
    }
    *out = w;
    return true;
}

void workers_close(struct workers **out)
{
    struct workers *w = *out;
    if (!w)
        return;
    pthread_mutex_lock(&w->mu);
    w->stop = true;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->mu);
    for (unsigned i = 0; i < w->n; i++)
        pthread_join(w->threads[i], NULL);
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->mu);
    free(w->threads);
    free(w);
    *out = NULL;
}

void workers_add(struct workers *w, struct job *job)
{
    job->next = NULL;
    pthread_mutex_lock(&w->mu);
    if (w->first)
        w->last->next = job;
    else
        w->first = job;
    w->last = job;
    pthread_cond_signal(&w->changed);
    pthread_mutex_unlock(&w->mu);
}
