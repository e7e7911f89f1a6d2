/* Owns: the suspended or running state of one connection. Refuses to know: why it waits. */
#include <config.h>

#include "http/gate.h"

#include <microhttpd.h>

void gate_init(struct gate *g, struct MHD_Connection *mhd)
{
    pthread_mutex_init(&g->mu, NULL);
    g->state = GATE_RUNNING;
    g->open = false;
    g->held = false;
    g->mhd = mhd;
}

void gate_release(struct gate *g)
{
    /* A waker may have resumed the connection and still be on its way out of the lock. */
    pthread_mutex_lock(&g->mu);
    pthread_mutex_unlock(&g->mu);
    pthread_mutex_destroy(&g->mu);
}

bool gate_wait(struct gate *g)
{
    pthread_mutex_lock(&g->mu);
    bool suspend = g->state == GATE_RUNNING && !g->open;
    if (suspend)
        MHD_suspend_connection(g->mhd);
    g->state = suspend ? GATE_SUSPENDED : GATE_RUNNING;
    pthread_mutex_unlock(&g->mu);
    return suspend;
}

void gate_hold(struct gate *g)
{
    pthread_mutex_lock(&g->mu);
    g->held = true;
    g->state = GATE_SUSPENDED;
    MHD_suspend_connection(g->mhd);
    pthread_mutex_unlock(&g->mu);
}

static void wake_locked(struct gate *g)
{
    if (g->held)
        return;
    if (g->state == GATE_SUSPENDED) {
        g->state = GATE_RUNNING;
        MHD_resume_connection(g->mhd);
    } else {
        g->state = GATE_WAKE_PENDING;
    }
}

void gate_let_go(struct gate *g)
{
    pthread_mutex_lock(&g->mu);
    g->held = false;
    wake_locked(g);
    pthread_mutex_unlock(&g->mu);
}

void gate_wake(struct gate *g)
{
    pthread_mutex_lock(&g->mu);
    wake_locked(g);
    pthread_mutex_unlock(&g->mu);
}

void gate_open(struct gate *g)
{
    pthread_mutex_lock(&g->mu);
    g->open = true;
    wake_locked(g);
    pthread_mutex_unlock(&g->mu);
}
