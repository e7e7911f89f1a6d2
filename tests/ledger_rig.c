/* The folder, the store and the second connection behind the tests of audit/ and usage/. */
#include <config.h>

#include "ledger_rig.h"

#include <check.h>
#include <dirent.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

const struct audit_actor RIG_ACTOR = {
    .person_id = 7, .name = "admin", .address = "10.0.0.1", .request_id = "req_1"};

void rig_reopen(struct rig *r)
{
    struct store_options opt = STORE_OPTIONS_DEFAULT;
    struct err e = ERR_INIT;
    opt.path = r->path;
    opt.commit_ms = 2;
    ck_assert_msg(store_open(&opt, &r->store, &e), "%s", e.msg);
}

void rig_open(struct rig *r)
{
    log_set_level(LOG_ERROR);
    snprintf(r->folder, sizeof r->folder, "check_ledger.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(r->folder));
    snprintf(r->path, sizeof r->path, "%s/db", r->folder);
    rig_reopen(r);
}

void rig_shut(struct rig *r)
{
    if (r->store)
        store_close(&r->store);
}

void rig_close(struct rig *r)
{
    rig_shut(r);
    DIR *d = opendir(r->folder);
    for (struct dirent *f; d && (f = readdir(d));) {
        char path[400];
        snprintf(path, sizeof path, "%s/%s", r->folder, f->d_name);
        if (f->d_name[0] != '.')
            unlink(path);
    }
    if (d)
        closedir(d);
    rmdir(r->folder);
}

void rig_sql(const struct rig *r, const char *sql)
{
    sqlite3 *db;
    char *why = NULL;
    ck_assert_ptr_null(r->store);
    ck_assert_int_eq(sqlite3_open(r->path, &db), SQLITE_OK);
    ck_assert_msg(sqlite3_exec(db, sql, NULL, NULL, &why) == SQLITE_OK, "%s: %s", sql, why);
    sqlite3_close(db);
}

int64_t rig_number(const struct rig *r, const char *sql)
{
    sqlite3 *db;
    sqlite3_stmt *st;
    ck_assert_int_eq(sqlite3_open_v2(r->path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    ck_assert_msg(sqlite3_prepare_v2(db, sql, -1, &st, NULL) == SQLITE_OK, "%s: %s", sql,
                  sqlite3_errmsg(db));
    ck_assert_msg(sqlite3_step(st) == SQLITE_ROW, "%s: no row", sql);
    int64_t v = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    sqlite3_close(db);
    return v;
}

static bool run_sql(struct store_db *db, void *ctx, struct err *e)
{
    struct store_stmt *st;
    return store_query(db, ctx, &st, e) && store_run(db, st, NULL, e);
}

void rig_write(struct rig *r, const char *sql)
{
    struct err e = ERR_INIT;
    ck_assert_msg(store_write(r->store, run_sql, (void *)(uintptr_t)sql, &e), "%s: %s", sql, e.msg);
}
