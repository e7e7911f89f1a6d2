/* Owns: the queue of events of one request and its hand-over between two threads. Refuses to know
 * tokens, text rules and scheduling.
 *
 * Token events are stored back to back in one bounded byte buffer; the done event has a place of its
 * own, so that it always fits. The writer never waits: it looks at stream_is_full() and pauses the
 * sequence instead.
 */
#include <config.h>

#include "sched/stream.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/thread.h"

enum { FULL_BYTES = 64 * 1024, MAX_BYTES = 4 * FULL_BYTES };

struct record {
    int32_t token;
    float logprob;
    uint32_t n_top;
    uint32_t text_len;
};

struct engine_stream {
    atomic_int refs;
    atomic_bool cancelled;
    atomic_bool begun;
    void (*notify)(void *user);
    void *user;
    void (*wake)(void *wake_user);
    void *wake_user;

    pthread_mutex_t mu; /* guards everything below */
    pthread_cond_t changed;
    struct buf queue; /* records, read from `head` on */
    size_t head;
    bool was_full;
    bool done;      /* the done event is queued or was read */
    bool done_read;
    bool notifying, released;
    struct engine_event done_event;
    struct buf done_text;
    struct buf current; /* text of the event last handed out */
};

struct engine_stream *stream_create(void (*notify)(void *user), void *user,
                                    void (*wake)(void *wake_user), void *wake_user)
{
    struct engine_stream *s = mem_zalloc(sizeof *s);
    atomic_init(&s->refs, 2);
    s->notify = notify;
    s->user = user;
    s->wake = wake;
    s->wake_user = wake_user;
    pthread_mutex_init(&s->mu, NULL);
    thread_cond_init(&s->changed);
    buf_init(&s->queue, MAX_BYTES);
    buf_init(&s->done_text, MAX_BYTES);
    buf_init(&s->current, MAX_BYTES);
    return s;
}

void stream_unref(struct engine_stream *s)
{
    if (atomic_fetch_sub(&s->refs, 1) != 1)
        return;
    buf_release(&s->queue);
    buf_release(&s->done_text);
    buf_release(&s->current);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->mu);
    free(s);
}

static bool is_empty(const struct engine_stream *s)
{
    return s->head == s->queue.len && (!s->done || s->done_read);
}

/* Called with mu held after something was queued; calls notify without it. */
static void announce_and_unlock(struct engine_stream *s, bool was_empty)
{
    bool call = was_empty && s->notify && !s->released;
    s->notifying = call;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->mu);
    if (!call)
        return;
    s->notify(s->user);
    pthread_mutex_lock(&s->mu);
    s->notifying = false;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->mu);
}

void stream_push_token(struct engine_stream *s, const struct engine_event *ev)
{
    pthread_mutex_lock(&s->mu);
    ASSERT(!s->done);
    bool was_empty = is_empty(s);
    struct record r = {.token = ev->token, .logprob = ev->logprob, .n_top = ev->n_top,
                       .text_len = (uint32_t)ev->text_len};
    if (s->head > FULL_BYTES) {
        buf_consume(&s->queue, s->head);
        s->head = 0;
    }
    /* Cannot overflow: the sequence pauses at FULL_BYTES and one record is far below the rest. */
    buf_append(&s->queue, &r, sizeof r);
    buf_append(&s->queue, ev->top, ev->n_top * sizeof ev->top[0]);
    buf_append(&s->queue, ev->text, ev->text_len);
    ASSERT(!s->queue.failed);
    announce_and_unlock(s, was_empty);
}

void stream_push_done(struct engine_stream *s, const struct engine_event *ev)
{
    pthread_mutex_lock(&s->mu);
    ASSERT(!s->done);
    bool was_empty = is_empty(s);
    s->done = true;
    s->done_event = *ev;
    buf_append(&s->done_text, ev->text, ev->text_len);
    announce_and_unlock(s, was_empty);
}

void stream_begin(struct engine_stream *s)
{
    atomic_store(&s->begun, true);
}

bool engine_stream_begun(const struct engine_stream *s)
{
    return atomic_load(&s->begun);
}

bool stream_is_cancelled(const struct engine_stream *s)
{
    return atomic_load(&s->cancelled);
}

bool stream_is_full(struct engine_stream *s)
{
    pthread_mutex_lock(&s->mu);
    bool full = s->queue.len - s->head >= FULL_BYTES;
    s->was_full = full;
    pthread_mutex_unlock(&s->mu);
    return full;
}

static void take_record(struct engine_stream *s, struct engine_event *ev)
{
    struct record r;
    const char *p = s->queue.data + s->head;
    memcpy(&r, p, sizeof r);
    p += sizeof r;
    ev->kind = ENGINE_EVENT_TOKEN;
    ev->token = r.token;
    ev->logprob = r.logprob;
    ev->n_top = r.n_top;
    memcpy(ev->top, p, r.n_top * sizeof ev->top[0]);
    p += r.n_top * sizeof ev->top[0];
    buf_clear(&s->current);
    buf_append(&s->current, p, r.text_len);
    s->head = (size_t)(p + r.text_len - s->queue.data);
    ev->text = buf_str(&s->current);
    ev->text_len = r.text_len;
    if (s->head == s->queue.len) {
        buf_clear(&s->queue);
        s->head = 0;
    }
}

/* mu held. */
static bool next_locked(struct engine_stream *s, struct engine_event *ev)
{
    memset(ev, 0, sizeof *ev);
    if (s->head < s->queue.len) {
        take_record(s, ev);
        if (s->was_full && !s->done && s->queue.len - s->head < FULL_BYTES / 2) {
            s->was_full = false;
            s->wake(s->wake_user);
        }
        return true;
    }
    if (s->done && !s->done_read) {
        s->done_read = true;
        *ev = s->done_event;
        ev->kind = ENGINE_EVENT_DONE;
        ev->text = buf_str(&s->done_text);
        ev->text_len = s->done_text.len;
        return true;
    }
    return false;
}

bool engine_stream_next(struct engine_stream *s, struct engine_event *ev)
{
    pthread_mutex_lock(&s->mu);
    bool got = next_locked(s, ev);
    pthread_mutex_unlock(&s->mu);
    return got;
}

bool engine_stream_wait(struct engine_stream *s, struct engine_event *ev, int timeout_ms)
{
    struct timespec until = thread_deadline(timeout_ms > 0 ? timeout_ms : 0);
    pthread_mutex_lock(&s->mu);
    while (is_empty(s) && !s->done_read) {
        if (timeout_ms < 0)
            pthread_cond_wait(&s->changed, &s->mu);
        else if (pthread_cond_timedwait(&s->changed, &s->mu, &until) == ETIMEDOUT)
            break;
    }
    bool got = next_locked(s, ev);
    pthread_mutex_unlock(&s->mu);
    return got;
}

void engine_stream_cancel(struct engine_stream *s)
{
    pthread_mutex_lock(&s->mu);
    if (!atomic_exchange(&s->cancelled, true) && !s->done)
        s->wake(s->wake_user);
    pthread_mutex_unlock(&s->mu);
}

void engine_stream_release(struct engine_stream **sp)
{
    struct engine_stream *s = *sp;
    if (!s)
        return;
    *sp = NULL;
    engine_stream_cancel(s);
    pthread_mutex_lock(&s->mu);
    s->released = true;
    while (s->notifying)
        pthread_cond_wait(&s->changed, &s->mu);
    pthread_mutex_unlock(&s->mu);
    stream_unref(s);
}
