/* Owns: the list of connections, their deadlines, and the thread that looks at them.
 * Refuses to know: HTTP, what a request is doing.
 *
 * The thread wakes every TICK_MS while there is something to look at, polls the sockets of busy
 * requests without waiting (1,000 sockets take under a millisecond), and sleeps when there are no
 * connections at all. */
#include <config.h>

#include "http/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"

enum { TICK_MS = 100, MAX_LINGER = 64, LINGER_US = 2000000, LINGER_ROUNDS = 64 };

#define TIMEOUT_BODY                                                                               \
    "{\"error\":{\"message\":\"The request was sent too slowly.\","                                 \
    "\"type\":\"invalid_request_error\",\"param\":null,\"code\":\"request_timeout\"}}"
_Static_assert(sizeof TIMEOUT_BODY - 1 == 125, "Content-Length of the reply below");
static const char TIMEOUT_REPLY[] =
    "HTTP/1.1 408 Request Timeout\r\n"
    "Connection: close\r\n"
    "Content-Type: application/json\r\n"
    "Content-Length: 125\r\n"
    "Cache-Control: no-store\r\n"
    "X-Content-Type-Options: nosniff\r\n"
    "Content-Security-Policy: default-src 'none'\r\n"
    "Referrer-Policy: no-referrer\r\n"
    "\r\n" TIMEOUT_BODY;

struct lingerer {
    int fd;
    uint64_t until_us;
};

struct watch {
    pthread_mutex_t mu; /* guards everything below but `thread` */
    pthread_cond_t changed;
    struct conn *first;
    size_t n_conns, n_busy;
    struct pollfd *fds; /* room for cap_fds, used by the thread */
    struct conn **polled;
    size_t cap_fds;
    struct lingerer lingerers[MAX_LINGER];
    size_t n_lingerers;
    bool stop;
    struct watch_calls calls;
    pthread_t thread;
};

/* ---- the thread ------------------------------------------------------------------------------- */

static bool grow_locked(struct watch *w)
{
    if (w->cap_fds >= w->n_busy)
        return true;
    size_t cap = w->n_busy * 2;
    struct pollfd *fds = mem_try_reallocarray(w->fds, cap, sizeof *fds);
    if (!fds)
        return false;
    w->fds = fds;
    struct conn **polled = mem_try_reallocarray(w->polled, cap, sizeof *polled);
    if (!polled)
        return false;
    w->polled = polled;
    w->cap_fds = cap;
    return true;
}

static void find_hangups_locked(struct watch *w)
{
    if (!w->n_busy || !grow_locked(w))
        return;
    size_t n = 0;
    for (struct conn *c = w->first; c; c = c->next) {
        if (!c->busy)
            continue;
        w->fds[n] = (struct pollfd){.fd = c->fd, .events = POLLRDHUP};
        w->polled[n++] = c;
    }
    if (poll(w->fds, (nfds_t)n, 0) <= 0)
        return;
    for (size_t i = 0; i < n; i++)
        if (w->fds[i].revents & (POLLRDHUP | POLLHUP | POLLERR))
            w->calls.hangup(w->polled[i]->busy);
}

/* Once the connection is ours, its own thread sends nothing any more (conn_expect), and it has written
 * nothing for this request yet: our own short answer is safe. */
static void close_late(struct conn *c, int waits)
{
    if (waits == CONN_NOTHING || !atomic_compare_exchange_strong(&c->waits, &waits, CONN_LATE))
        return;
    if (waits == CONN_FIRST_HEAD || waits == CONN_BODY) {
        ssize_t sent = send(c->fd, TIMEOUT_REPLY, sizeof TIMEOUT_REPLY - 1,
                            MSG_DONTWAIT | MSG_NOSIGNAL);
        (void)sent; /* the client may be gone; there is nothing else to do for it */
    }
    LOG_D("http", "closing slow connection waits=%d", waits);
    shutdown(c->fd, SHUT_RDWR);
    atomic_store(&c->deadline_us, 0);
}

static void close_late_ones_locked(struct watch *w, uint64_t now)
{
    for (struct conn *c = w->first; c; c = c->next) {
        int waits = atomic_load(&c->waits);
        uint64_t deadline = atomic_load(&c->deadline_us);
        if (deadline && now >= deadline)
            close_late(c, waits);
    }
}

static bool still_lingers(const struct lingerer *l, uint64_t now)
{
    char drop[16384];
    for (int i = 0; i < LINGER_ROUNDS; i++) {
        ssize_t n = recv(l->fd, drop, sizeof drop, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            break;
        if (n <= 0)
            return false;
    }
    return now < l->until_us;
}

static void drain_lingerers_locked(struct watch *w, uint64_t now)
{
    for (size_t i = 0; i < w->n_lingerers;) {
        if (still_lingers(&w->lingerers[i], now)) {
            i++;
            continue;
        }
        close(w->lingerers[i].fd);
        w->lingerers[i] = w->lingerers[--w->n_lingerers];
    }
}

static void wait_locked(struct watch *w)
{
    if (!w->n_conns && !w->n_lingerers) {
        pthread_cond_wait(&w->changed, &w->mu);
        return;
    }
    struct timespec until = thread_deadline(TICK_MS);
    while (!w->stop && pthread_cond_timedwait(&w->changed, &w->mu, &until) == 0)
        ;
}

static void *run(void *user)
{
    struct watch *w = user;
    pthread_mutex_lock(&w->mu);
    while (!w->stop) {
        uint64_t now = clock_now_us();
        find_hangups_locked(w);
        for (struct conn *c = w->first; c; c = c->next)
            if (c->busy)
                w->calls.tick(c->busy, now);
        close_late_ones_locked(w, now);
        drain_lingerers_locked(w, now);
        wait_locked(w);
    }
    pthread_mutex_unlock(&w->mu);
    return NULL;
}

/* ---- life ------------------------------------------------------------------------------------- */

bool watch_open(const struct watch_calls *calls, struct watch **out, struct err *e)
{
    struct watch *w = mem_zalloc(sizeof *w);
    w->calls = *calls;
    pthread_mutex_init(&w->mu, NULL);
    thread_cond_init(&w->changed);
    int rc = pthread_create(&w->thread, NULL, run, w);
    if (rc) {
        pthread_cond_destroy(&w->changed);
        pthread_mutex_destroy(&w->mu);
        free(w);
        FAIL(e, ERR_NOMEM, "cannot start the watch thread: %s", strerror(rc));
    }
    *out = w;
    return true;
}

void watch_close(struct watch **out)
{
    struct watch *w = *out;
    if (!w)
        return;
    pthread_mutex_lock(&w->mu);
    w->stop = true;
    pthread_cond_signal(&w->changed);
    pthread_mutex_unlock(&w->mu);
    pthread_join(w->thread, NULL);
    for (size_t i = 0; i < w->n_lingerers; i++)
        close(w->lingerers[i].fd);
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->mu);
    free(w->fds);
    free(w->polled);
    free(w);
    *out = NULL;
}

/* ---- connections ------------------------------------------------------------------------------ */

struct conn *watch_add(struct watch *w, int fd)
{
    struct conn *c = mem_zalloc(sizeof *c);
    c->fd = fd;
    pthread_mutex_lock(&w->mu);
    c->next = w->first;
    if (c->next)
        c->next->prev = c;
    w->first = c;
    if (!w->n_conns++)
        pthread_cond_signal(&w->changed);
    pthread_mutex_unlock(&w->mu);
    return c;
}

static void start_linger_locked(struct watch *w, int fd)
{
    if (w->n_lingerers == MAX_LINGER)
        return;
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy < 0)
        return;
    shutdown(copy, SHUT_WR);
    w->lingerers[w->n_lingerers++] =
        (struct lingerer){.fd = copy, .until_us = clock_now_us() + LINGER_US};
    pthread_cond_signal(&w->changed);
}

void watch_remove(struct watch *w, struct conn *c)
{
    pthread_mutex_lock(&w->mu);
    if (c->prev)
        c->prev->next = c->next;
    else
        w->first = c->next;
    if (c->next)
        c->next->prev = c->prev;
    w->n_conns--;
    if (c->linger)
        start_linger_locked(w, c->fd);
    pthread_mutex_unlock(&w->mu);
    free(c);
}

void watch_begin(struct watch *w, struct conn *c, struct exchange *x)
{
    pthread_mutex_lock(&w->mu);
    c->busy = x;
    w->n_busy++;
    pthread_mutex_unlock(&w->mu);
}

void watch_end(struct watch *w, struct conn *c)
{
    pthread_mutex_lock(&w->mu);
    if (c->busy)
        w->n_busy--;
    c->busy = NULL;
    pthread_mutex_unlock(&w->mu);
}

void watch_each(struct watch *w, void (*fn)(struct exchange *x))
{
    pthread_mutex_lock(&w->mu);
    for (struct conn *c = w->first; c; c = c->next)
        if (c->busy)
            fn(c->busy);
    pthread_mutex_unlock(&w->mu);
}

bool conn_expect(struct conn *c, enum conn_waits waits, unsigned ms)
{
    int before = atomic_load(&c->waits);
    do
        if (before == CONN_LATE)
            return false;
    while (!atomic_compare_exchange_weak(&c->waits, &before, (int)waits));
    atomic_store(&c->deadline_us, ms ? clock_now_us() + (uint64_t)ms * 1000u : 0);
    return true;
}
