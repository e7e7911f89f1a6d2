/* Owns: the copy of a database while others write. Refuses to know: encryption, where copies go.
 *
 * The source's read transaction stays open over all steps, so that commits meanwhile neither show
 * nor make SQLite start again from the first page. */
#include <config.h>

#include "store/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "store/db.h"

enum { SNAPSHOT_PAGES = 256 }; /* per step */

static bool copy_pages(struct store_db *from, sqlite3 *to, store_progress_fn *progress, void *ctx,
                       struct err *e)
{
    sqlite3_backup *copy = sqlite3_backup_init(to, "main", db_handle(from), "main");
    if (!copy)
        return db_fail(from, sqlite3_extended_errcode(to), "begin the copy", e);
    int rc;
    do {
        rc = sqlite3_backup_step(copy, SNAPSHOT_PAGES);
        if (progress && (rc == SQLITE_OK || rc == SQLITE_DONE)) {
            int all = sqlite3_backup_pagecount(copy);
            progress(ctx, (uint64_t)(all - sqlite3_backup_remaining(copy)), (uint64_t)all);
        }
    } while (rc == SQLITE_OK);
    int end = sqlite3_backup_finish(copy);
    if (rc != SQLITE_DONE || end != SQLITE_OK)
        return db_fail(from, rc != SQLITE_DONE ? rc : end, "copy the database", e);
    return true;
}

static bool copy_in_snapshot(struct store_db *from, sqlite3 *to, store_progress_fn *progress,
                             void *ctx, struct err *e)
{
    int64_t any;
    bool ok = db_exec(from, "BEGIN", e) &&
              db_int(from, "SELECT count(*) FROM sqlite_schema", &any, e) &&
              copy_pages(from, to, progress, ctx, e);
    db_tidy(from);
    if (db_in_transaction(from) && !db_exec(from, "ROLLBACK", ok ? e : NULL))
        ok = false;
    return ok;
}

static bool examine(struct store_db *copy, struct err *e)
{
    unsigned findings;
    if (!db_examine(copy, false, NULL, NULL, &findings, e))
        return false;
    if (findings > 0)
        FAIL(e, ERR_DAMAGED, "the copy has %u errors: the database is damaged (seekctl doctor)",
             findings);
    return true;
}

static bool write_copy(struct store_db *from, const char *part, store_progress_fn *progress,
                       void *ctx, struct err *e)
{
    sqlite3 *handle = NULL;
    int rc = sqlite3_open_v2(
        part, &handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, "unix");
    struct store_db *copy = db_adopt_take(handle);
    bool ok = (rc == SQLITE_OK || db_fail(handle ? copy : NULL, rc, "open the copy", e)) &&
              copy_in_snapshot(from, handle, progress, ctx, e) &&
              db_exec(copy, "PRAGMA journal_mode = DELETE", e) && examine(copy, e);
    db_close(&copy);
    return ok;
}

static bool sync_file(const char *path, struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        FAIL_OS(e, "cannot open %s", path);
    bool ok = fsync(fd) == 0;
    if (!ok)
        err_set_os(e, __FILE__, __LINE__, "cannot flush %s", path);
    close(fd);
    return ok;
}

bool snapshot_sync_folder(const char *path, struct err *e)
{
    char *copy = mem_strdup(path);
    bool ok = false;
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0)
        err_set_os(e, __FILE__, __LINE__, "cannot flush the folder of %s", path);
    else
        ok = true;
    if (fd >= 0)
        close(fd);
    free(copy);
    return ok;
}

bool snapshot_put(struct store_db *from, const char *to, store_progress_fn *progress, void *ctx,
                  struct err *e)
{
    char part[PATH_MAX];
    int len = snprintf(part, sizeof part, "%s.part", to);
    if (len < 0 || (size_t)len >= sizeof part)
        FAIL(e, ERR_ARG, "the path of the copy is too long");
    if (unlink(part) != 0 && errno != ENOENT)
        FAIL_OS(e, "cannot remove %s", part);
    int fd = open(part, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        FAIL_OS(e, "cannot create %s", part);
    close(fd);
    TRY(write_copy(from, part, progress, ctx, e));
    TRY(sync_file(part, e));
    if (rename(part, to) != 0) {
        err_set_os(e, __FILE__, __LINE__, "cannot name the copy %s", to);
        goto fail;
    }
    return snapshot_sync_folder(to, e);
fail:
    unlink(part);
    return false;
}
