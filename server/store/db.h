/* One connection to the database file, with the settings that every connection has, and its
 * prepared statements. Internal to store/; the statement functions of store.h are implemented in
 * db.c. Owner: store.c. Thread: one at a time.
 */
#ifndef SEEKD_STORE_DB_H
#define SEEKD_STORE_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct sqlite3;
struct store_db;

/* A writer may write and checkpoint; a reader may do neither. */
enum db_kind { DB_WRITER, DB_READER };

/* Trouble that outlives the statement that met it. */
enum db_trouble {
    DB_FINE,
    DB_RETRY, /* disk full, locked, out of memory, read or write error: this transaction is lost */
    DB_STOP,  /* fsync failed or the file is damaged: nothing more may be written */
};

/* `path` absolute. The file is created when missing (by a writer). Nothing is written otherwise. */
bool db_open(const char *path, const char *vfs, enum db_kind kind, struct store_db **out,
             struct err *e) WARN_UNUSED;
/* The same around a handle that was opened elsewhere; owned from now on, also on failure. Its
 * settings are left alone. */
struct store_db *db_adopt_take(struct sqlite3 *handle);
/* A reader of a database that lies in memory; `bytes` is borrowed until db_close() and never
 * written. */
bool db_open_image(const void *bytes, size_t len, struct store_db **out, struct err *e) WARN_UNUSED;
void db_close(struct store_db **db);

struct sqlite3 *db_handle(struct store_db *db);

/* Runs one constant statement and ignores its rows. */
bool db_exec(struct store_db *db, const char *sql, struct err *e) WARN_UNUSED;
/* The first column of the first row, 0 without one. */
bool db_int(struct store_db *db, const char *sql, int64_t *out, struct err *e) WARN_UNUSED;

/* What a callback may leave behind: ends its statements; keeps the cache small. */
void db_tidy(struct store_db *db);
/* True while BEGIN ... COMMIT or ROLLBACK is open. */
bool db_in_transaction(struct store_db *db);
/* True when a deferred foreign key waits for a row that is not there yet. */
bool db_owes_rows(struct store_db *db);
/* The worst since the last db_forget(); *why (may be NULL) = its error. */
enum db_trouble db_trouble(const struct store_db *db, struct err *why);
void db_forget(struct store_db *db);

/* Turns an SQLite result into an error. `doing`: "commit", "open the database". Returns false. */
bool db_fail(struct store_db *db, int rc, const char *doing, struct err *e);

/* Everything that integrity_check (or the faster quick_check) and foreign_key_check find; `say` may
 * be NULL. *findings = how many. */
bool db_examine(struct store_db *db, bool quick, void (*say)(void *ctx, const char *finding),
                void *ctx, unsigned *findings, struct err *e) WARN_UNUSED;

#endif
