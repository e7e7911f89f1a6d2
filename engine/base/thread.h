/* What every module with a thread needs beside pthread: condition variables whose timed waits follow
 * the monotonic clock, so that a changed wall clock never shortens or stretches a wait.
 */
#ifndef SEEKD_BASE_THREAD_H
#define SEEKD_BASE_THREAD_H

#include <pthread.h>
#include <time.h>

/* For pthread_cond_timedwait with thread_deadline; destroy with pthread_cond_destroy. */
static inline void thread_cond_init(pthread_cond_t *c)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(c, &attr);
    pthread_condattr_destroy(&attr);
}

/* `ms` (>= 0) from now. */
static inline struct timespec thread_deadline(long ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000L;
    }
    return until;
}

#endif
