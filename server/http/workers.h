/* A few threads that run request handlers, so that parsing, rendering and tokenising a large request
 * never holds up the answers of others. Jobs run in the order they came.
 */
#ifndef SEEKD_HTTP_WORKERS_H
#define SEEKD_HTTP_WORKERS_H

#include <stdbool.h>

#include "base/err.h"

struct workers;

/* Part of the object that waits; nothing is allocated for a job. */
struct job {
    struct job *next;
    void (*run)(struct job *job); /* on a worker thread; the job may be gone afterwards */
};

bool workers_open(unsigned n, struct workers **out, struct err *e) WARN_UNUSED;
/* Runs what is queued, then stops. No job may be added any more. */
void workers_close(struct workers **w);
void workers_add(struct workers *w, struct job *job);

#endif
