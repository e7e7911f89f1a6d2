/* Owns: application_id, user_version, and the order of migrations. Refuses to know: what they do.
 */
#include <config.h>

#include "store/migrate.h"

#include <limits.h>
#include <sqlite3.h>
#include <stdint.h>
#include <stdio.h>

#include "base/log.h"
#include "store/db.h"
#include "store/schema.h"
#include "store/snapshot.h"

bool migrate_look(struct store_db *db, size_t newest, size_t *version, struct err *e)
{
    int64_t id, found, objects;
    if (!db_int(db, "PRAGMA application_id", &id, e) ||
        !db_int(db, "PRAGMA user_version", &found, e) ||
        !db_int(db, "SELECT count(*) FROM sqlite_schema", &objects, e))
        return false;
    *version = 0;
    if (objects == 0 && found == 0 && (id == 0 || id == SCHEMA_APPLICATION_ID))
        return true;
    if (id != SCHEMA_APPLICATION_ID || found < 1)
        FAIL(e, ERR_FORMAT, "this SQLite file was not made by seekd: name another one");
    if ((uint64_t)found > newest)
        FAIL(e, ERR_UNSUPPORTED,
             "the database has version %lld, this seekd knows versions up to %zu: install a newer "
             "seekd",
             (long long)found, newest);
    *version = (size_t)found;
    return true;
}

static bool keep_copy(struct store_db *db, const char *path, size_t version, struct err *e)
{
    char name[PATH_MAX];
    int len = snprintf(name, sizeof name, "%s.before-%zu", path, version);
    if (len < 0 || (size_t)len >= sizeof name)
        FAIL(e, ERR_ARG, "the path of the database is too long");
    if (!snapshot_put(db, name, NULL, NULL, e))
        return err_prefix(e, "backup before the migration");
    LOG_I("store", "backup before migration path=%s", name);
    return true;
}

static bool execute(struct store_db *db, const char *sql, struct err *e)
{
    int rc = sqlite3_exec(db_handle(db), sql, NULL, NULL, NULL);
    return rc == SQLITE_OK || db_fail(db, rc, "migrate the database", e);
}

static bool apply(struct store_db *db, const char *const *texts, size_t number, struct err *e)
{
    char mark[96];
    (void)snprintf(mark, sizeof mark, "PRAGMA application_id = %d; PRAGMA user_version = %zu;",
                   SCHEMA_APPLICATION_ID, number);
    bool ok = db_exec(db, "BEGIN IMMEDIATE", e);
    for (; ok && *texts; texts++)
        ok = execute(db, *texts, e);
    ok = ok && execute(db, mark, e) && db_exec(db, "COMMIT", e);
    if (!ok && db_in_transaction(db) && !db_exec(db, "ROLLBACK", NULL))
        LOG_E("store", "a failed migration could not be rolled back");
    return ok || err_prefix(e, "migration %zu", number);
}

bool migrate_run(struct store_db *db, const char *path, const char *const *const *steps,
                 size_t n_steps, size_t version, struct err *e)
{
    if (version > 0 && version < n_steps && !keep_copy(db, path, version, e))
        return false;
    for (size_t i = version; i < n_steps; i++) {
        if (!apply(db, steps[i], i + 1, e))
            return false;
        LOG_I("store", "migrated path=%s version=%zu", path, i + 1);
    }
    return true;
}
