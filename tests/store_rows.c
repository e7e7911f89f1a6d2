/* Owns: the rows that store tests write. Refuses to know: what a test does with them. */
#include <config.h>

#include "store_rows.h"

#include <check.h>
#include <stdlib.h>

#include "testfile.h"

bool rows_create(struct store_db *db, void *ctx, struct err *e)
{
    struct store_stmt *st;
    (void)ctx;
    return store_query(
               db,
               "CREATE TABLE IF NOT EXISTS row (id INTEGER PRIMARY KEY, writer INTEGER NOT NULL,"
               " n INTEGER NOT NULL, half INTEGER NOT NULL, filler BLOB NOT NULL,"
               " UNIQUE (writer, n, half)) STRICT",
               &st, e) &&
           store_run(db, st, NULL, e);
}

static bool add_half(struct store_db *db, const struct pair *pair, int half, struct err *e)
{
    struct store_stmt *st;
    if (!store_query(
            db, "INSERT INTO row (writer, n, half, filler) VALUES (?1, ?2, ?3, randomblob(?4))",
            &st, e))
        return false;
    store_bind_int(st, 0, pair->writer);
    store_bind_int(st, 1, pair->n);
    store_bind_int(st, 2, half);
    store_bind_int(st, 3, (int64_t)pair->filler_bytes);
    return store_run(db, st, NULL, e);
}

bool rows_add_pair(struct store_db *db, void *ctx, struct err *e)
{
    return add_half(db, ctx, 1, e) && add_half(db, ctx, 2, e);
}

static bool first_int(struct store_stmt *st, int64_t *out, struct err *e)
{
    bool row;
    if (!store_step(st, &row, e))
        return false;
    *out = row ? store_int(st, 0) : 0;
    store_done(st);
    return true;
}

bool rows_count(struct store_db *db, void *ctx, struct err *e)
{
    struct store_stmt *st;
    return store_query(db, "SELECT count(*) FROM row", &st, e) && first_int(st, ctx, e);
}

bool rows_find_pair(struct store_db *db, void *ctx, struct err *e)
{
    const struct pair *pair = ctx;
    struct store_stmt *st;
    int64_t n;
    if (!store_query(db, "SELECT count(*) FROM row WHERE writer = ? AND n = ?", &st, e))
        return false;
    store_bind_int(st, 0, pair->writer);
    store_bind_int(st, 1, pair->n);
    if (!first_int(st, &n, e))
        return false;
    if (n == 0)
        FAIL(e, ERR_NOT_FOUND, "row %lld of writer %lld is missing", (long long)pair->n,
             (long long)pair->writer);
    if (n != 2)
        FAIL(e, ERR_FORMAT, "half of a job was committed");
    return true;
}

bool rows_find_halves(struct store_db *db, void *ctx, struct err *e)
{
    struct store_stmt *st;
    return store_query(db,
                       "SELECT count(*) FROM (SELECT 1 FROM row GROUP BY writer, n"
                       " HAVING count(*) <> 2)",
                       &st, e) &&
           first_int(st, ctx, e);
}

struct store *rows_reopen(const char *path)
{
    struct store_options opt = STORE_OPTIONS_DEFAULT;
    struct err e = ERR_INIT;
    struct store *s;
    opt.path = path;
    ck_assert_msg(store_open(&opt, &s, &e), "%s", e.msg);
    return s;
}

struct store *rows_open(const char *path)
{
    struct err e = ERR_INIT;
    struct store *s = rows_reopen(path);
    ck_assert_msg(store_write(s, rows_create, NULL, &e), "%s", e.msg);
    return s;
}

void rows_write(struct store *s, int64_t writer, int64_t n, size_t filler_bytes)
{
    struct pair pair = {.writer = writer, .n = n, .filler_bytes = filler_bytes};
    struct err e = ERR_INIT;
    ck_assert_msg(store_write(s, rows_add_pair, &pair, &e), "%s", e.msg);
}

int64_t rows_total(struct store *s)
{
    int64_t n = -1;
    struct err e = ERR_INIT;
    ck_assert_msg(store_read(s, rows_count, &n, &e), "%s", e.msg);
    return n;
}

bool rows_have(struct store *s, int64_t writer, int64_t n)
{
    struct pair pair = {.writer = writer, .n = n};
    struct err e = ERR_INIT;
    if (store_read(s, rows_find_pair, &pair, &e))
        return true;
    ck_assert_msg(e.code == ERR_NOT_FOUND, "%s", e.msg);
    return false;
}

void rows_remove_dir(char *dir)
{
    testfile_remove_dir(dir);
    free(dir);
}
