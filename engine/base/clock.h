/* Time. All timers and durations use clock_now_us() (monotonic); wall time is only for display. */
#ifndef SEEKD_BASE_CLOCK_H
#define SEEKD_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t clock_now_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

/* Processor time of the calling thread: a busy host does not use it up. */
static inline uint64_t clock_thread_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

/* Microseconds since the epoch, for rows that say when something was. */
static inline int64_t clock_wall_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* Seconds since the epoch, for `created` fields and file names. */
static inline int64_t clock_wall_s(void)
{
    return (int64_t)time(NULL);
}

#endif
