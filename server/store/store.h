/* The database: one SQLite file, one writer thread, a few readers.
 *
 * Everything that is written goes through the writer thread, the only connection that writes and
 * checkpoints. It gathers what arrives within `commit_ms` (or `commit_jobs` jobs) into one transaction;
 * each job runs inside its own savepoint, so a job that fails takes nothing with it. A job has been
 * done when the COMMIT (synchronous=FULL) has returned, not before. Reads run on the caller's thread,
 * each in one snapshot.
 *
 * Owner: the process; a lock file beside the database keeps a second one out. Other modules see no
 * SQLite type: they get a store_db for the time of a callback and prepare constant SQL text with it.
 * Thread: every function may be called from any thread but store_open and store_close, unless stated.
 * Errors: ERR_BUSY (queue full, database locked: try again), ERR_IO (disk full or broken; `msg` says
 * what to do), ERR_FORMAT (not our file), ERR_DAMAGED (no database, or not any more), ERR_UNSUPPORTED
 * (made by a newer seekd), ERR_CONFLICT (a unique row exists), ERR_ARG (another constraint refuses the
 * row), ERR_NOT_FOUND.
 */
#ifndef SEEKD_STORE_STORE_H
#define SEEKD_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct store;
struct store_db;   /* a connection inside its transaction; valid during the callback only */
struct store_stmt; /* a prepared statement; valid until store_done or the end of the callback */

struct store_options {
    const char *path; /* created with mode 0600 when missing; its folder must exist */
    unsigned readers;     /* 1..4 */
    unsigned commit_ms;   /* a job waits at most this long for others, 0..50; alone not at all */
    unsigned commit_jobs; /* and a transaction holds at most this many */
    unsigned queue_jobs;  /* waiting jobs; above it, ERR_BUSY */
    const char *vfs;      /* name of an SQLite VFS (fault tests), NULL = the system's */
};
#define STORE_OPTIONS_DEFAULT                                                                      \
    ((struct store_options){.readers = 4, .commit_ms = 20, .commit_jobs = 256, .queue_jobs = 8192})

/* Opens, or creates, and migrates to the newest schema (each migration in one transaction, with a
 * backup file "PATH.before-N" first when there is data). Checks what SQLite itself finds wrong
 * (quick_check). */
bool store_open(const struct store_options *opt, struct store **out, struct err *e) WARN_UNUSED;
/* Runs what is queued, checkpoints (TRUNCATE) and closes. Nobody may call in any more. */
void store_close(struct store **s);

/* A job: returns true when its rows may be committed; false rolls back what it did (e says why).
 * It must not wait for anything but the database. */
typedef bool store_fn(struct store_db *db, void *ctx, struct err *e);
/* After the COMMIT (ok) or the failure. Writer thread; short, may call store_post, not store_write. */
typedef void store_done_fn(void *ctx, bool ok, const struct err *e);

/* Runs `fn` on the writer thread and returns when it is durable. Not from a store callback. */
bool store_write(struct store *s, store_fn *fn, void *ctx, struct err *e) WARN_UNUSED;
/* The same without waiting. `done` may be NULL. False (queue full, closing): `done` is not called. */
bool store_post(struct store *s, store_fn *fn, void *ctx, store_done_fn *done,
                struct err *e) WARN_UNUSED;
/* Runs `fn` here, on one of the readers, in one snapshot; it can not write. Waits for a free reader
 * for at most two seconds. */
bool store_read(struct store *s, store_fn *fn, void *ctx, struct err *e) WARN_UNUSED;

/* ---- statements: inside a callback only ----------------------------------------------------------
 * `sql` is one statement, a string literal (prepared once per connection, found by its address).
 * Parameters and columns count from 0. Binding cannot fail late: a bind that runs out of memory makes
 * the next store_step fail. Text and blobs are borrowed until store_done.
 */
bool store_query(struct store_db *db, const char *sql, struct store_stmt **out,
                 struct err *e) WARN_UNUSED;
void store_bind_null(struct store_stmt *st, int i);
void store_bind_int(struct store_stmt *st, int i, int64_t v);
void store_bind_real(struct store_stmt *st, int i, double v);
void store_bind_text(struct store_stmt *st, int i, const char *v); /* NULL binds NULL */
void store_bind_blob(struct store_stmt *st, int i, const void *v, size_t bytes);
/* *row = there is one. False: an error; the statement is done then. */
bool store_step(struct store_stmt *st, bool *row, struct err *e) WARN_UNUSED;
bool store_is_null(struct store_stmt *st, int i);
int64_t store_int(struct store_stmt *st, int i);
double store_real(struct store_stmt *st, int i);
const char *store_text(struct store_stmt *st, int i); /* NULL for NULL; until the next step */
const void *store_blob(struct store_stmt *st, int i, size_t *bytes);
void store_done(struct store_stmt *st); /* accepts NULL; ends it, clears bindings */

/* Steps a statement without result rows to its end and is done with it. *changes may be NULL. */
bool store_run(struct store_db *db, struct store_stmt *st, int64_t *changes,
               struct err *e) WARN_UNUSED;
/* Steps once; *out = the integer of the first column, `none` where that is NULL or there is no row. Ends
 * the statement. */
bool store_first_int(struct store_stmt *st, int64_t none, int64_t *out, struct err *e) WARN_UNUSED;
int64_t store_last_id(struct store_db *db); /* rowid of the last INSERT */

/* Optimistic locking: ERR_STALE "changed meanwhile" when a row has another revision (`found`) than its
 * caller saw. */
bool store_same_revision(int64_t seen, int64_t found, struct err *e) WARN_UNUSED;

/* ---- care ---------------------------------------------------------------------------------------- */
struct store_stats {
    uint64_t commits, jobs, failed_jobs;
    uint64_t wal_bytes;  /* at the last commit; above 64 MiB a warning is logged */
    unsigned queued;     /* waiting now */
    bool read_only;      /* the disk refused a write; cleared by the next commit that writes something.
                          * After a failed fsync, or damage, none does until the process starts again */
};
void store_stats(struct store *s, struct store_stats *out);

/* Deletes are zeroed (secure_delete); this also empties the WAL. Used after purges. */
bool store_truncate_wal(struct store *s, struct err *e) WARN_UNUSED;

/* Copies a consistent snapshot while others write, checks it (integrity_check, foreign keys) and puts
 * it in place with a rename; mode 0600. `key` NULL: a plain SQLite file. Else 32 bytes: AES-256-GCM in
 * chunks of 1 MiB, each with a counter nonce and its number as associated data, and an end marker.
 * `progress` (may be NULL) hears of pages done and pages in all. */
typedef void store_progress_fn(void *ctx, uint64_t done, uint64_t all);
bool store_backup(struct store *s, const char *path, const uint8_t *key, store_progress_fn *progress,
                  void *ctx, struct err *e) WARN_UNUSED;
/* Checks a backup (of either kind) fully; with `to`, also writes it there as a database, which must not
 * exist. A changed byte anywhere is found: a plain backup has its SHA-256 beside it in "PATH.sha256" and
 * is refused without it. A sealed backup that is only checked is held in memory. */
bool store_restore(const char *backup, const uint8_t *key, const char *to, struct err *e) WARN_UNUSED;

/* Full check of an open database, one finding per call of `say`; true when there were none. */
typedef void store_finding_fn(void *ctx, const char *finding);
bool store_check(struct store *s, store_finding_fn *say, void *ctx, struct err *e) WARN_UNUSED;

#endif
