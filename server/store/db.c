/* Owns: a connection, its settings, its prepared statements, and the translation of SQLite's
 * results into errors. Refuses to know: threads, what the statements say.
 *
 * Statements are found by the address of their text (a literal) and kept until the connection
 * closes. One that is in use when the same text is asked for again gets a twin. None is freed while
 * a callback runs, so store_done() may be called twice on one. */
#include <config.h>

#include "store/db.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/store.h"

enum {
    DB_BUSY_MS = 2000,
    DB_SQL_BYTES = 64 * 1024,
    DB_STATEMENTS = 1024, /* kept per connection; a program has a few hundred literals */
    DB_BUCKETS = 256,
};

struct store_stmt {
    struct store_db *db;
    const char *sql; /* the literal */
    char *text;      /* what it said when it was prepared */
    sqlite3_stmt *st;
    int bind_rc; /* first failure of a bind */
    bool busy, ended;
    struct store_stmt *next; /* of the bucket */
};

struct store_db {
    sqlite3 *handle;
    enum db_kind kind;
    enum db_trouble trouble;
    struct err why; /* of `trouble` */
    unsigned n_statements, n_busy;
    struct store_stmt *bucket[DB_BUCKETS];
};

/* ---- errors ---------------------------------------------------------------------------------- */

static enum db_trouble trouble_of(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_IOERR:
        return rc == SQLITE_IOERR_FSYNC || rc == SQLITE_IOERR_DIR_FSYNC ? DB_STOP : DB_RETRY;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return DB_STOP;
    case SQLITE_FULL:
    case SQLITE_NOMEM:
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PROTOCOL:
        return DB_RETRY;
    default:
        return DB_FINE;
    }
}

static enum err_code code_of(const struct store_db *db, int rc)
{
    switch (rc & 0xff) {
    case SQLITE_CONSTRAINT:
        return rc == SQLITE_CONSTRAINT_UNIQUE || rc == SQLITE_CONSTRAINT_PRIMARYKEY ||
                       rc == SQLITE_CONSTRAINT_ROWID
                   ? ERR_CONFLICT
                   : ERR_ARG;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
        return ERR_BUSY;
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
        return ERR_IO;
    case SQLITE_READONLY:
        return db && db->kind == DB_READER ? ERR_INTERNAL : ERR_IO;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return ERR_DAMAGED;
    case SQLITE_NOMEM:
        return ERR_NOMEM;
    case SQLITE_TOOBIG:
        return ERR_LIMIT;
    case SQLITE_INTERRUPT:
        return ERR_CANCELLED;
    default:
        return ERR_INTERNAL;
    }
}

static const char *advice(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_FULL:
        return ": free space on the disk of the database";
    case SQLITE_IOERR:
        return trouble_of(rc) == DB_STOP ? ": check the disk, then restart seekd"
                                         : ": check the disk";
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
        return ": check the owner and permissions of the file and its folder";
    case SQLITE_CORRUPT:
        return ": restore a backup (seekctl restore)";
    case SQLITE_NOTADB:
        return ": it is no SQLite database";
    case SQLITE_BUSY:
        return ": another program holds the database; try again";
    default:
        return "";
    }
}

bool db_fail(struct store_db *db, int rc, const char *doing, struct err *e)
{
    /* Of the connection's own text only constraints and SQL mistakes say more than the code does.
     */
    const char *text = sqlite3_errstr(rc);
    int primary = rc & 0xff, os = 0;
    if (db && (primary == SQLITE_CONSTRAINT || primary == SQLITE_ERROR) &&
        sqlite3_extended_errcode(db->handle) == rc)
        text = sqlite3_errmsg(db->handle);
    if (db && (primary == SQLITE_IOERR || primary == SQLITE_CANTOPEN))
        os = sqlite3_system_errno(db->handle);
    struct err why;
    err_set(&why, code_of(db, rc), primary == SQLITE_FULL ? ENOSPC : os, __FILE__, __LINE__,
            "cannot %s: %s (%d%s%s)%s", doing, text, rc, os ? ", " : "",
            os ? strerrordesc_np(os) : "", advice(rc));
    enum db_trouble trouble = trouble_of(rc);
    if (db && trouble > db->trouble) {
        db->trouble = trouble;
        db->why = why;
    }
    if (e)
        *e = why;
    return false;
}

/* ---- connections ----------------------------------------------------------------------------- */

static bool configure(struct store_db *db, struct err *e)
{
    static const struct {
        int option, value;
    } switches[] = {
        {SQLITE_DBCONFIG_DEFENSIVE, 1},      {SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0},
        {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0}, {SQLITE_DBCONFIG_ENABLE_FKEY, 1},
        {SQLITE_DBCONFIG_ENABLE_TRIGGER, 1}, {SQLITE_DBCONFIG_DQS_DDL, 0},
        {SQLITE_DBCONFIG_DQS_DML, 0},        {SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1},
    };
    static const char *const pragmas[] = {
        "PRAGMA synchronous = FULL",
        "PRAGMA mmap_size = 0",
        "PRAGMA cell_size_check = ON",
        "PRAGMA wal_autocheckpoint = 0",
        "PRAGMA temp_store = 2",
        "PRAGMA secure_delete = ON",
        "PRAGMA recursive_triggers = ON",
        "PRAGMA foreign_keys = ON",
        "PRAGMA journal_size_limit = 67108864",
    };
    for (size_t i = 0; i < sizeof switches / sizeof *switches; i++) {
        int rc = sqlite3_db_config(db->handle, switches[i].option, switches[i].value, NULL);
        if (rc != SQLITE_OK)
            return db_fail(db, rc, "configure the database", e);
    }
    sqlite3_limit(db->handle, SQLITE_LIMIT_ATTACHED, 0);
    sqlite3_limit(db->handle, SQLITE_LIMIT_SQL_LENGTH, DB_SQL_BYTES);
    sqlite3_busy_timeout(db->handle, DB_BUSY_MS);
    for (size_t i = 0; i < sizeof pragmas / sizeof *pragmas; i++) {
        if (!db_exec(db, pragmas[i], e))
            return false;
    }
    /* The writer's transactions dirty thousands of pages; what does not fit goes to the WAL twice. */
    return db_exec(db, db->kind == DB_WRITER ? "PRAGMA cache_size = -32768" : "PRAGMA query_only = ON",
                   e);
}

struct store_db *db_adopt_take(sqlite3 *handle)
{
    struct store_db *db = mem_zalloc(sizeof *db);
    db->handle = handle;
    return db;
}

bool db_open(const char *path, const char *vfs, enum db_kind kind, struct store_db **out,
             struct err *e)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE |
                (kind == DB_WRITER ? SQLITE_OPEN_CREATE : 0);
    sqlite3 *handle = NULL;
    int rc = sqlite3_open_v2(path, &handle, flags, vfs);
    struct store_db *db = db_adopt_take(handle);
    db->kind = kind;
    if (rc != SQLITE_OK)
        db_fail(handle ? db : NULL, rc, "open the database", e);
    if (rc != SQLITE_OK || !configure(db, e)) {
        db_close(&db);
        return false;
    }
    *out = db;
    return true;
}

bool db_open_image(const void *bytes, size_t len, struct store_db **out, struct err *e)
{
    struct store_db *db;
    if (!db_open(":memory:", NULL, DB_READER, &db, e))
        return false;
    /* SQLite's parameter is not const because other flags let it write. */
    int rc = sqlite3_deserialize(db->handle, "main", (unsigned char *)(uintptr_t)bytes,
                                 (sqlite3_int64)len, (sqlite3_int64)len,
                                 SQLITE_DESERIALIZE_READONLY);
    if (rc != SQLITE_OK) {
        db_fail(db, rc, "read the copy", e);
        db_close(&db);
        return false;
    }
    *out = db;
    return true;
}

static void free_statement(struct store_stmt *st)
{
    sqlite3_finalize(st->st);
    free(st->text);
    free(st);
}

static void free_statements(struct store_db *db)
{
    for (unsigned i = 0; i < DB_BUCKETS; i++) {
        for (struct store_stmt *st = db->bucket[i], *next; st; st = next) {
            next = st->next;
            free_statement(st);
        }
        db->bucket[i] = NULL;
    }
    db->n_statements = 0;
}

void db_close(struct store_db **out)
{
    struct store_db *db = *out;
    if (!db)
        return;
    free_statements(db);
    sqlite3_close(db->handle);
    free(db);
    *out = NULL;
}

sqlite3 *db_handle(struct store_db *db)
{
    return db->handle;
}

bool db_in_transaction(struct store_db *db)
{
    return !sqlite3_get_autocommit(db->handle);
}

bool db_owes_rows(struct store_db *db)
{
    int now = 0, high = 0;
    int rc = sqlite3_db_status(db->handle, SQLITE_DBSTATUS_DEFERRED_FKS, &now, &high, 0);
    return rc == SQLITE_OK && now != 0;
}

enum db_trouble db_trouble(const struct store_db *db, struct err *why)
{
    if (why && db->trouble != DB_FINE)
        *why = db->why;
    return db->trouble;
}

void db_forget(struct store_db *db)
{
    db->trouble = DB_FINE;
}

void db_tidy(struct store_db *db)
{
    for (unsigned i = 0; i < DB_BUCKETS && db->n_busy > 0; i++) {
        for (struct store_stmt *st = db->bucket[i]; st; st = st->next)
            store_done(st);
    }
    if (db->n_statements > DB_STATEMENTS)
        free_statements(db);
}

/* ---- statements ------------------------------------------------------------------------------ */

static struct store_stmt **bucket_of(struct store_db *db, const char *sql)
{
    return &db->bucket[((uintptr_t)sql * UINT64_C(0x9e3779b97f4a7c15)) >> 56];
}

static bool prepare(struct store_db *db, const char *sql, struct store_stmt **out, struct err *e)
{
    sqlite3_stmt *prepared = NULL;
    const char *tail = "";
    int rc = sqlite3_prepare_v3(db->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &prepared, &tail);
    if (rc != SQLITE_OK)
        return db_fail(db, rc, "prepare a statement", e);
    if (!prepared || tail[strspn(tail, " \n;")]) {
        sqlite3_finalize(prepared);
        FAIL(e, ERR_INTERNAL, "not one SQL statement: %.80s", sql);
    }
    struct store_stmt *st = mem_zalloc(sizeof *st);
    *st = (struct store_stmt){.db = db, .sql = sql, .text = mem_strdup(sql), .st = prepared};
    struct store_stmt **bucket = bucket_of(db, sql);
    st->next = *bucket;
    *bucket = st;
    db->n_statements++;
    *out = st;
    return true;
}

bool store_query(struct store_db *db, const char *sql, struct store_stmt **out, struct err *e)
{
    *out = NULL;
    struct store_stmt *st = *bucket_of(db, sql);
    while (st && (st->busy || st->sql != sql || strcmp(st->text, sql) != 0))
        st = st->next;
    if (!st && !prepare(db, sql, &st, e))
        return false;
    st->busy = true;
    db->n_busy++;
    st->ended = false;
    st->bind_rc = SQLITE_OK;
    *out = st;
    return true;
}

void store_done(struct store_stmt *st)
{
    if (!st || !st->busy)
        return;
    sqlite3_reset(st->st);
    sqlite3_clear_bindings(st->st);
    st->busy = false;
    st->db->n_busy--;
}

static void bound(struct store_stmt *st, int rc)
{
    if (rc != SQLITE_OK && st->bind_rc == SQLITE_OK)
        st->bind_rc = rc;
}

void store_bind_null(struct store_stmt *st, int i)
{
    bound(st, sqlite3_bind_null(st->st, i + 1));
}

void store_bind_int(struct store_stmt *st, int i, int64_t v)
{
    bound(st, sqlite3_bind_int64(st->st, i + 1, v));
}

void store_bind_real(struct store_stmt *st, int i, double v)
{
    bound(st, sqlite3_bind_double(st->st, i + 1, v));
}

void store_bind_text(struct store_stmt *st, int i, const char *v)
{
    bound(st, sqlite3_bind_text(st->st, i + 1, v, -1, SQLITE_STATIC));
}

void store_bind_blob(struct store_stmt *st, int i, const void *v, size_t bytes)
{
    bound(st, sqlite3_bind_blob64(st->st, i + 1, v, bytes, SQLITE_STATIC));
}

bool store_step(struct store_stmt *st, bool *row, struct err *e)
{
    *row = false;
    if (st->ended)
        return true;
    int rc = st->bind_rc != SQLITE_OK ? st->bind_rc : sqlite3_step(st->st);
    if (rc == SQLITE_ROW) {
        *row = true;
        return true;
    }
    if (rc == SQLITE_DONE) {
        st->ended = true;
        sqlite3_reset(st->st);
        return true;
    }
    db_fail(st->db, rc, "run a statement", e);
    store_done(st);
    return false;
}

bool store_is_null(struct store_stmt *st, int i)
{
    return sqlite3_column_type(st->st, i) == SQLITE_NULL;
}

int64_t store_int(struct store_stmt *st, int i)
{
    return sqlite3_column_int64(st->st, i);
}

double store_real(struct store_stmt *st, int i)
{
    return sqlite3_column_double(st->st, i);
}

const char *store_text(struct store_stmt *st, int i)
{
    return (const char *)sqlite3_column_text(st->st, i);
}

const void *store_blob(struct store_stmt *st, int i, size_t *bytes)
{
    const void *v = sqlite3_column_blob(st->st, i);
    *bytes = (size_t)sqlite3_column_bytes(st->st, i);
    return v;
}

bool store_run(struct store_db *db, struct store_stmt *st, int64_t *changes, struct err *e)
{
    bool row;
    do {
        if (!store_step(st, &row, e))
            return false;
    } while (row);
    if (changes)
        *changes = sqlite3_changes64(db->handle);
    store_done(st);
    return true;
}

bool store_first_int(struct store_stmt *st, int64_t none, int64_t *out, struct err *e)
{
    bool row;
    if (!store_step(st, &row, e))
        return false;
    *out = row && !store_is_null(st, 0) ? store_int(st, 0) : none;
    store_done(st);
    return true;
}

int64_t store_last_id(struct store_db *db)
{
    return sqlite3_last_insert_rowid(db->handle);
}

bool db_exec(struct store_db *db, const char *sql, struct err *e)
{
    struct store_stmt *st;
    return store_query(db, sql, &st, e) && store_run(db, st, NULL, e);
}

bool db_int(struct store_db *db, const char *sql, int64_t *out, struct err *e)
{
    struct store_stmt *st;
    return store_query(db, sql, &st, e) && store_first_int(st, 0, out, e);
}

/* ---- examination ----------------------------------------------------------------------------- */

/* SQLite tells of pages that it could not read like of damage; those are the disk's. */
static bool is_unreadable(const char *finding, int *rc)
{
    static const char words[] = "unable to get the page. error code=";
    const char *at = strstr(finding, words);
    *rc = at ? (int)strtol(at + sizeof words - 1, NULL, 10) : SQLITE_OK;
    return at && (*rc & 0xff) != SQLITE_CORRUPT && (*rc & 0xff) != SQLITE_NOTADB;
}

bool db_examine(struct store_db *db, bool quick, void (*say)(void *ctx, const char *finding),
                void *ctx, unsigned *findings, struct err *e)
{
    struct store_stmt *st;
    bool row;
    *findings = 0;
    if (!store_query(db, quick ? "PRAGMA quick_check(20)" : "PRAGMA integrity_check(100)", &st, e))
        return false;
    for (;;) {
        if (!store_step(st, &row, e))
            return false;
        const char *text = row ? store_text(st, 0) : NULL;
        if (!row)
            break;
        if (text && strcmp(text, "ok") == 0)
            continue;
        int rc;
        if (text && is_unreadable(text, &rc)) {
            store_done(st);
            return db_fail(db, rc, "read the whole database", e);
        }
        (*findings)++;
        if (say)
            say(ctx, text ? text : "unreadable");
    }
    store_done(st);
    if (quick)
        return true;
    if (!store_query(db, "SELECT \"table\", \"rowid\", \"parent\" FROM pragma_foreign_key_check",
                     &st, e))
        return false;
    while (store_step(st, &row, e)) {
        if (!row) {
            store_done(st);
            return true;
        }
        char text[256];
        sqlite3_snprintf(sizeof text, text, "row %lld of %s names a row of %s that is not there",
                         (long long)store_int(st, 1), store_text(st, 0), store_text(st, 2));
        (*findings)++;
        if (say)
            say(ctx, text);
    }
    return false;
}
