/* Owns: the queue of jobs, the transactions they share, the checkpoints. Refuses to know: what jobs
 * do.
 *
 * The thread takes what is queued, up to `commit_jobs`, into one transaction. It lingers up to
 * `commit_ms` for more only where there is company: more than one job now or in the transaction
 * before. A lone caller is committed at once; meanwhile others gather behind it by themselves.
 *
 * Each job has a savepoint. Trouble of the database itself (disk full, read error) loses the whole
 * transaction: all its jobs fail, none was acknowledged. After a failed fsync or with a damaged
 * file nothing is written any more until the process starts again: pages that the kernel failed to
 * write count as clean to it, so a second fsync that succeeds would prove nothing. */
#include <config.h>

#include "store/writer.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/db.h"

enum {
    WRITER_CHECKPOINT_FRAMES = 1000, /* try PASSIVE every so many */
    WRITER_RESTART_FRAMES = 8000,    /* from here on wait for readers a moment */
    WRITER_RESTART_MS = 100,
    WRITER_BUSY_MS = 2000,
    WRITER_WAL_ALARM_BYTES = 64 << 20,
    WRITER_ALARM_US = 60 * 1000000,
};

/* On the heap, or on the stack of who waits for it. */
struct job {
    struct job *next;
    store_fn *fn; /* NULL: empty the WAL */
    void *ctx;
    store_done_fn *done;
    pthread_cond_t *waiter; /* NULL: posted */
    bool finished;          /* guarded by mu */
    bool ok;
    struct err err;
    uint64_t at_us; /* queued */
};

struct writer {
    struct store_db *db; /* the thread's */
    unsigned commit_ms, commit_jobs, queue_jobs;
    pthread_t thread;

    pthread_mutex_t mu; /* guards from here to `stats` */
    pthread_cond_t changed;
    struct job *first, *last;
    unsigned queued;
    bool closing;
    struct store_stats stats;

    /* the thread's own */
    unsigned last_jobs; /* in the transaction before */
    int frames;         /* in the WAL after the last commit */
    bool wrote;         /* a commit since it was cleared: one that changes nothing does not count */
    int next_frames;    /* checkpoint at so many */
    int page_bytes;
    uint64_t alarm_us; /* last warning */
    bool stopped;      /* nothing may be written any more: `why` */
    struct err why;
};

/* ---- the queue ------------------------------------------------------------------------------- */

static bool enqueue(struct writer *w, struct job *job, struct err *e)
{
    ASSERT(!pthread_equal(pthread_self(), w->thread) || !job->waiter);
    job->at_us = clock_now_us();
    pthread_mutex_lock(&w->mu);
    bool closing = w->closing, full = w->queued >= w->queue_jobs;
    if (!closing && !full) {
        if (w->first)
            w->last->next = job;
        else
            w->first = job;
        w->last = job;
        w->queued++;
        if (w->queued == 1 || w->queued >= w->commit_jobs)
            pthread_cond_signal(&w->changed);
    }
    pthread_mutex_unlock(&w->mu);
    if (closing)
        FAIL(e, ERR_BUSY, "the database is being closed");
    if (full)
        FAIL(e, ERR_BUSY, "%u writes wait for the database already: try again", w->queue_jobs);
    return true;
}

/* How long to wait for company, absolute; 0 = not at all. */
static uint64_t linger_until(const struct writer *w)
{
    bool company = w->queued > 1 || w->last_jobs > 1;
    if (w->closing || !company || w->queued >= w->commit_jobs || w->commit_ms == 0)
        return 0;
    uint64_t until = w->first->at_us + (uint64_t)w->commit_ms * 1000;
    return until > clock_now_us() ? until : 0;
}

static void wait_until(struct writer *w, uint64_t us)
{
    struct timespec ts = {.tv_sec = (time_t)(us / 1000000), .tv_nsec = (long)(us % 1000000) * 1000};
    pthread_cond_timedwait(&w->changed, &w->mu, &ts);
}

/* The next jobs, in order, cut off the queue; NULL when closing and there are none. */
static struct job *take(struct writer *w)
{
    pthread_mutex_lock(&w->mu);
    uint64_t until;
    for (;;) {
        if (!w->first && w->closing)
            break;
        if (!w->first)
            pthread_cond_wait(&w->changed, &w->mu);
        else if ((until = linger_until(w)) != 0)
            wait_until(w, until);
        else
            break;
    }
    struct job *batch = w->first, *last = NULL;
    unsigned n = 0;
    while (w->first && n < w->commit_jobs && (!last || last->fn)) {
        last = w->first;
        w->first = last->next;
        n++;
    }
    if (last)
        last->next = NULL;
    w->queued -= n;
    w->last_jobs = n;
    pthread_mutex_unlock(&w->mu);
    return batch;
}

/* ---- one transaction ------------------------------------------------------------------------- */

static void refuse(struct job *job, const struct err *why)
{
    if (job->ok || job->err.code == ERR_NONE)
        job->err = *why;
    job->ok = false;
}

static bool end_savepoint(struct store_db *db, struct job *job)
{
    if (job->ok && db_owes_rows(db))
        job->ok = err_set(&job->err, ERR_ARG, 0, __FILE__, __LINE__,
                          "a row refers to another one that is not there");
    if (!job->ok && job->err.code == ERR_NONE)
        err_set(&job->err, ERR_INTERNAL, 0, __FILE__, __LINE__, "a database job gave no reason");
    struct err *e = job->ok ? &job->err : NULL;
    return (job->ok || db_exec(db, "ROLLBACK TO job", e)) && db_exec(db, "RELEASE job", e);
}

/* False: the transaction is lost. */
static bool run_job(struct store_db *db, struct job *job)
{
    if (!db_exec(db, "SAVEPOINT job", &job->err))
        return false;
    job->err = ERR_INIT;
    job->ok = job->fn(db, job->ctx, &job->err);
    db_tidy(db);
    return db_trouble(db, NULL) == DB_FINE && db_in_transaction(db) && end_savepoint(db, job);
}

static bool run_jobs(struct writer *w, struct job *batch, struct err *why)
{
    bool ok = db_exec(w->db, "BEGIN IMMEDIATE", why);
    for (struct job *job = batch; ok && job; job = job->next) {
        if (job->fn && !run_job(w->db, job)) {
            *why = job->err;
            ok = false;
        }
    }
    ok = ok && db_exec(w->db, "COMMIT", why);
    if (ok)
        return true;
    (void)db_trouble(w->db, why);
    if (why->code == ERR_NONE)
        err_set(why, ERR_INTERNAL, 0, __FILE__, __LINE__, "the transaction ended inside a job");
    if (db_in_transaction(w->db) && !db_exec(w->db, "ROLLBACK", NULL))
        LOG_E("store", "a failed transaction could not be rolled back");
    return false;
}

/* Remembers what cannot be put right while the process runs. */
static void note_trouble(struct writer *w)
{
    struct err why;
    if (db_trouble(w->db, &why) == DB_STOP && !w->stopped) {
        w->stopped = true;
        w->why = why;
        LOG_E("store", "no more writes until seekd is started again: %s", why.msg);
    }
    db_forget(w->db);
}

static void process(struct writer *w, struct job *batch)
{
    struct err why = w->why;
    bool work = batch->fn != NULL; /* a batch of one WAL job begins no transaction */
    w->wrote = false;
    bool ok = !w->stopped && (!work || run_jobs(w, batch, &why));
    if (!w->stopped)
        note_trouble(w);
    uint64_t n = 0, failed = 0;
    for (struct job *job = batch; job; job = job->next) {
        if (!ok)
            refuse(job, &why);
        n += job->fn != NULL;
        failed += job->fn && !job->ok;
    }
    pthread_mutex_lock(&w->mu);
    w->stats.jobs += n;
    w->stats.failed_jobs += failed;
    w->stats.commits += ok && work;
    w->stats.wal_bytes = w->frames ? 32 + (uint64_t)w->frames * (uint64_t)(w->page_bytes + 24) : 0;
    if (work && (!ok || w->wrote))
        w->stats.read_only = w->stopped || (!ok && why.code == ERR_IO);
    pthread_mutex_unlock(&w->mu);
}

/* Tells everybody. Jobs of waiters are gone afterwards. */
static void finish(struct writer *w, struct job *batch)
{
    for (struct job *job = batch, *next; job; job = next) {
        next = job->next;
        if (job->waiter) {
            pthread_mutex_lock(&w->mu);
            job->finished = true;
            pthread_cond_signal(job->waiter);
            pthread_mutex_unlock(&w->mu);
            continue;
        }
        if (job->done)
            job->done(job->ctx, job->ok, &job->err);
        free(job);
    }
}

/* ---- the WAL --------------------------------------------------------------------------------- */

static int on_commit(void *user, sqlite3 *handle, const char *name, int frames)
{
    struct writer *w = user;
    (void)handle;
    (void)name;
    if (frames < w->frames)
        w->next_frames = WRITER_CHECKPOINT_FRAMES;
    w->frames = frames;
    w->wrote = true;
    return SQLITE_OK;
}

static bool empty_wal(struct writer *w, struct err *e)
{
    int rc = sqlite3_wal_checkpoint_v2(db_handle(w->db), "main", SQLITE_CHECKPOINT_TRUNCATE, NULL,
                                       NULL);
    if (rc != SQLITE_OK)
        return db_fail(w->db, rc, "empty the write-ahead log", e);
    w->frames = 0;
    w->next_frames = WRITER_CHECKPOINT_FRAMES;
    return true;
}

static void complain(struct writer *w, const char *what)
{
    uint64_t now = clock_now_us();
    if (w->alarm_us && now - w->alarm_us < WRITER_ALARM_US)
        return;
    w->alarm_us = now;
    LOG_W("store", "%s wal_bytes=%llu", what,
          (unsigned long long)w->frames * (unsigned long long)w->page_bytes);
}

/* After a commit, when its callers have gone on. */
static void checkpoint(struct writer *w)
{
    if (w->frames < w->next_frames || w->stopped)
        return;
    w->next_frames = w->frames + WRITER_CHECKPOINT_FRAMES;
    sqlite3 *handle = db_handle(w->db);
    struct err e = ERR_INIT;
    int rc = sqlite3_wal_checkpoint_v2(handle, "main", SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    bool ok = rc == SQLITE_OK || db_fail(w->db, rc, "checkpoint", &e);
    if (ok && w->frames >= WRITER_RESTART_FRAMES) {
        sqlite3_busy_timeout(handle, WRITER_RESTART_MS);
        ok = empty_wal(w, &e);
        sqlite3_busy_timeout(handle, WRITER_BUSY_MS);
    }
    if (!ok && e.code != ERR_BUSY)
        complain(w, e.msg);
    else if ((int64_t)w->frames * w->page_bytes > WRITER_WAL_ALARM_BYTES)
        complain(w, "the write-ahead log is large: does something read without an end?");
    note_trouble(w);
}

static void empty_wal_for(struct writer *w, struct job *job)
{
    job->ok = empty_wal(w, &job->err);
    note_trouble(w);
    pthread_mutex_lock(&w->mu);
    w->stats.wal_bytes = job->ok ? 0 : w->stats.wal_bytes;
    pthread_mutex_unlock(&w->mu);
}

/* ---- the thread ------------------------------------------------------------------------------ */

static void *run(void *user)
{
    struct writer *w = user;
    struct job *batch;
    while ((batch = take(w))) {
        process(w, batch);
        struct job *last = batch;
        while (last->next)
            last = last->next;
        if (!last->fn && !w->stopped)
            empty_wal_for(w, last);
        finish(w, batch);
        checkpoint(w);
    }
    return NULL;
}

static bool look_up_page_size(struct writer *w, struct err *e)
{
    int64_t bytes;
    if (!db_int(w->db, "PRAGMA page_size", &bytes, e))
        return false;
    w->page_bytes = (int)bytes;
    return true;
}

static void release(struct writer *w)
{
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->mu);
    free(w);
}

bool writer_start(struct store_db *db, const struct store_options *opt, struct writer **out,
                  struct err *e)
{
    struct writer *w = mem_zalloc(sizeof *w);
    w->db = db;
    w->commit_ms = opt->commit_ms;
    w->commit_jobs = opt->commit_jobs;
    w->queue_jobs = opt->queue_jobs;
    w->next_frames = WRITER_CHECKPOINT_FRAMES;
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&w->changed, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&w->mu, NULL);
    sqlite3_wal_hook(db_handle(db), on_commit, w);
    bool ok = look_up_page_size(w, e);
    int rc = ok ? pthread_create(&w->thread, NULL, run, w) : 0;
    if (rc)
        ok = err_set(e, ERR_NOMEM, rc, __FILE__, __LINE__,
                     "cannot start the database's writer thread");
    if (!ok) {
        release(w);
        return false;
    }
    *out = w;
    return true;
}

void writer_drain(struct writer *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->mu);
    w->closing = true;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->mu);
    pthread_join(w->thread, NULL);
}

void writer_stop(struct writer **out)
{
    struct writer *w = *out;
    if (!w)
        return;
    struct err e;
    if (!w->stopped && !empty_wal(w, &e))
        LOG_W("store", "at the end: %s", e.msg);
    else if (!w->stopped) /* closing then removes the empty WAL */
        sqlite3_db_config(db_handle(w->db), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
    release(w);
    *out = NULL;
}

static bool run_and_wait(struct writer *w, struct job *job, struct err *e)
{
    pthread_cond_t finished;
    pthread_cond_init(&finished, NULL);
    job->waiter = &finished;
    bool queued = enqueue(w, job, e);
    if (queued) {
        pthread_mutex_lock(&w->mu);
        while (!job->finished)
            pthread_cond_wait(&finished, &w->mu);
        pthread_mutex_unlock(&w->mu);
        if (!job->ok && e)
            *e = job->err;
    }
    pthread_cond_destroy(&finished);
    return queued && job->ok;
}

bool writer_run(struct writer *w, store_fn *fn, void *ctx, struct err *e)
{
    struct job job = {.fn = fn, .ctx = ctx};
    return run_and_wait(w, &job, e);
}

bool writer_truncate(struct writer *w, struct err *e)
{
    struct job job = {.fn = NULL};
    return run_and_wait(w, &job, e);
}

bool writer_post(struct writer *w, store_fn *fn, void *ctx, store_done_fn *done, struct err *e)
{
    struct job *job = mem_zalloc(sizeof *job);
    *job = (struct job){.fn = fn, .ctx = ctx, .done = done};
    if (enqueue(w, job, e))
        return true;
    free(job);
    return false;
}

void writer_stats(struct writer *w, struct store_stats *out)
{
    pthread_mutex_lock(&w->mu);
    *out = w->stats;
    out->queued = w->queued;
    pthread_mutex_unlock(&w->mu);
}
