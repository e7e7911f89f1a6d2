/* Owns: the database as a whole: its path and lock, the order of opening and closing, the readers.
 * Refuses to know: what stands in the tables. */
#include <config.h>

#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/backup.h"
#include "store/db.h"
#include "store/lock.h"
#include "store/migrate.h"
#include "store/schema.h"
#include "store/snapshot.h"
#include "store/writer.h"

enum { STORE_READERS = 4, STORE_READER_WAIT_S = 2 };

struct store {
    char *path; /* absolute */
    char *vfs;  /* or NULL */
    int lock_fd;
    struct store_db *db; /* the writer thread's once that runs */
    struct writer *writer;

    pthread_mutex_t mu; /* guards idle, n_idle */
    pthread_cond_t returned;
    struct store_db *idle[STORE_READERS]; /* the last used on top: its statements are warm */
    unsigned n_idle;

    pthread_mutex_t backup_mu; /* one backup at a time */
};

/* ---- opening --------------------------------------------------------------------------------- */

static bool check_options(const struct store_options *opt, struct err *e)
{
    if (!opt->path || !opt->path[0] || opt->readers < 1 || opt->readers > STORE_READERS ||
        opt->commit_ms > 50 || opt->commit_jobs < 1 || opt->queue_jobs < 1)
        FAIL(e, ERR_ARG, "store_open: options out of range");
    return true;
}

/* One name for one file, whichever way it was named. */
static bool resolve(const char *path, char **out, struct err *e)
{
    struct stat st;
    *out = realpath(path, NULL);
    if (*out) {
        if (stat(*out, &st) != 0)
            FAIL_OS(e, "cannot look at the database %s", path);
        if (!S_ISREG(st.st_mode))
            FAIL(e, ERR_ARG, "%s is no file", path);
        if (st.st_mode & 077)
            LOG_W("store", "others may read the database: chmod 600 path=%s", path);
        return true;
    }
    if (errno != ENOENT)
        FAIL_OS(e, "cannot open the database %s", path);
    char *copy = mem_strdup(path), *copy2 = mem_strdup(path);
    char *folder = realpath(dirname(copy), NULL);
    bool ok = true;
    if (!folder)
        ok = err_set_os(e, __FILE__, __LINE__, "the folder of the database %s", path);
    else if (asprintf(out, "%s/%s", strcmp(folder, "/") ? folder : "", basename(copy2)) < 0)
        ok = err_set(e, ERR_NOMEM, 0, __FILE__, __LINE__, "out of memory");
    free(folder);
    free(copy2);
    free(copy);
    return ok;
}

/* SQLite gives its other files the mode of this one. Nothing of the process holds the file yet, so
 * closing this descriptor drops no locks. */
static bool create_file(const char *path, struct err *e)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 && errno != EEXIST)
        FAIL_OS(e, "cannot create the database %s", path);
    if (fd >= 0)
        close(fd);
    return true;
}

/* The statement must be stepped to its end: its commit, and a failure of that, comes behind the
 * row. */
static bool use_wal(struct store_db *db, struct err *e)
{
    struct store_stmt *st;
    bool row, wal = false;
    if (!store_query(db, "PRAGMA journal_mode = WAL", &st, e))
        return false;
    do {
        if (!store_step(st, &row, e))
            return false;
        wal = row ? strcmp(store_text(st, 0), "wal") == 0 : wal;
    } while (row);
    store_done(st);
    if (!wal)
        FAIL(e, ERR_BUSY, "the database does not go into WAL mode: does another program hold it?");
    return true;
}

static bool prepare_file(struct store *s, struct err *e)
{
    size_t version;
    unsigned findings;
    if (!migrate_look(s->db, SCHEMA_VERSION, &version, e) || !use_wal(s->db, e) ||
        !db_examine(s->db, true, NULL, NULL, &findings, e))
        return false;
    if (findings > 0)
        FAIL(e, ERR_DAMAGED, "%s is damaged (%u errors): restore a backup (seekctl restore)",
             s->path, findings);
    /* A fresh file went into WAL mode by way of a journal, whose removal has to last: were it found
     * again after a power failure, it would undo the first page. */
    return (version > 0 || snapshot_sync_folder(s->path, e)) &&
           migrate_run(s->db, s->path, SCHEMA_MIGRATIONS, SCHEMA_VERSION, version, e);
}

static bool open_readers(struct store *s, unsigned n, struct err *e)
{
    while (s->n_idle < n) {
        if (!db_open(s->path, s->vfs, DB_READER, &s->idle[s->n_idle], e))
            return false;
        s->n_idle++;
    }
    return true;
}

bool store_open(const struct store_options *opt, struct store **out, struct err *e)
{
    *out = NULL;
    if (!check_options(opt, e))
        return false;
    struct store *s = mem_zalloc(sizeof *s);
    s->lock_fd = -1;
    s->vfs = opt->vfs ? mem_strdup(opt->vfs) : NULL;
    pthread_mutex_init(&s->mu, NULL);
    pthread_mutex_init(&s->backup_mu, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->returned, &attr);
    pthread_condattr_destroy(&attr);
    TRY(resolve(opt->path, &s->path, e));
    TRY(lock_take(s->path, &s->lock_fd, e));
    TRY(create_file(s->path, e));
    TRY(db_open(s->path, s->vfs, DB_WRITER, &s->db, e));
    TRY(prepare_file(s, e));
    TRY(open_readers(s, opt->readers, e));
    TRY(writer_start(s->db, opt, &s->writer, e));
    *out = s;
    return true;
fail:
    store_close(&s);
    return false;
}

void store_close(struct store **out)
{
    struct store *s = *out;
    if (!s)
        return;
    writer_drain(s->writer); /* what is called at the end of a job may still read */
    while (s->n_idle > 0)
        db_close(&s->idle[--s->n_idle]);
    writer_stop(&s->writer);
    db_close(&s->db);
    if (s->lock_fd >= 0)
        close(s->lock_fd);
    pthread_cond_destroy(&s->returned);
    pthread_mutex_destroy(&s->backup_mu);
    pthread_mutex_destroy(&s->mu);
    free(s->vfs);
    free(s->path);
    free(s);
    *out = NULL;
}

/* ---- writing --------------------------------------------------------------------------------- */

bool store_write(struct store *s, store_fn *fn, void *ctx, struct err *e)
{
    return writer_run(s->writer, fn, ctx, e);
}

bool store_post(struct store *s, store_fn *fn, void *ctx, store_done_fn *done, struct err *e)
{
    return writer_post(s->writer, fn, ctx, done, e);
}

bool store_truncate_wal(struct store *s, struct err *e)
{
    return writer_truncate(s->writer, e);
}

void store_stats(struct store *s, struct store_stats *out)
{
    writer_stats(s->writer, out);
}

bool store_same_revision(int64_t seen, int64_t found, struct err *e)
{
    if (seen != found)
        FAIL(e, ERR_STALE, "changed meanwhile (revision %" PRId64 " is now %" PRId64 "): read it again",
             seen, found);
    return true;
}

/* ---- reading --------------------------------------------------------------------------------- */

static struct store_db *borrow_reader(struct store *s, struct err *e)
{
    uint64_t us = clock_now_us();
    struct timespec until = {.tv_sec = (time_t)(us / 1000000) + STORE_READER_WAIT_S,
                             .tv_nsec = (long)(us % 1000000) * 1000};
    struct store_db *db = NULL;
    int rc = 0;
    pthread_mutex_lock(&s->mu);
    while (s->n_idle == 0 && rc == 0)
        rc = pthread_cond_timedwait(&s->returned, &s->mu, &until);
    if (s->n_idle > 0)
        db = s->idle[--s->n_idle];
    pthread_mutex_unlock(&s->mu);
    if (!db)
        err_set(e, ERR_BUSY, 0, __FILE__, __LINE__,
                "all readers of the database are busy: try again");
    return db;
}

static void return_reader(struct store *s, struct store_db *db)
{
    pthread_mutex_lock(&s->mu);
    s->idle[s->n_idle++] = db;
    pthread_cond_signal(&s->returned);
    pthread_mutex_unlock(&s->mu);
}

bool store_read(struct store *s, store_fn *fn, void *ctx, struct err *e)
{
    struct store_db *db = borrow_reader(s, e);
    if (!db)
        return false;
    struct err own = ERR_INIT;
    struct err *why = e ? e : &own;
    bool ok = db_exec(db, "BEGIN", why) && fn(db, ctx, why);
    db_tidy(db);
    if (db_in_transaction(db) && !db_exec(db, "ROLLBACK", ok ? why : NULL))
        ok = false;
    db_forget(db);
    return_reader(s, db);
    return ok;
}

/* ---- care ------------------------------------------------------------------------------------ */

bool store_backup(struct store *s, const char *path, const uint8_t *key,
                  store_progress_fn *progress, void *ctx, struct err *e)
{
    if (pthread_mutex_trylock(&s->backup_mu) != 0)
        FAIL(e, ERR_BUSY, "another backup is being made: wait for it");
    char *plain = NULL;
    struct store_db *db = NULL;
    bool ok = asprintf(&plain, "%s.backup", s->path) > 0 &&
              db_open(s->path, s->vfs, DB_READER, &db, e) &&
              snapshot_put(db, plain, progress, ctx, e) && backup_write(plain, path, key, e);
    db_close(&db);
    if (plain && unlink(plain) != 0 && errno != ENOENT)
        LOG_W("store", "cannot remove %s", plain);
    free(plain);
    pthread_mutex_unlock(&s->backup_mu);
    return ok;
}

struct check {
    store_finding_fn *say;
    void *ctx;
    unsigned findings;
};

static bool examine(struct store_db *db, void *ctx, struct err *e)
{
    struct check *c = ctx;
    return db_examine(db, false, c->say, c->ctx, &c->findings, e);
}

bool store_check(struct store *s, store_finding_fn *say, void *ctx, struct err *e)
{
    struct check c = {.say = say, .ctx = ctx};
    if (!store_read(s, examine, &c, e))
        return false;
    if (c.findings > 0)
        FAIL(e, ERR_DAMAGED, "the database has %u errors: restore a backup (seekctl restore)",
             c.findings);
    return true;
}
