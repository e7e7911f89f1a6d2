/* Owns the rows of quota and calendar. Refuses to know how they are enforced (limits.c). */
#include <config.h>

#include "usage/quota.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "usage/calendar.h"

enum { NAME_BYTES = 200, ID_TEXT = 40 };

const char *quota_subject_name(enum quota_subject s)
{
    static const char *const names[QUOTA_SUBJECT_COUNT] = {"key", "person", "department"};
    return names[s];
}

const char *quota_limit_name(enum quota_limit l)
{
    static const char *const names[QUOTA_LIMIT_COUNT] = {"requests_per_minute", "tokens_per_minute",
                                                         "parallel", "tokens_per_day",
                                                         "tokens_per_month"};
    return names[l];
}

/* ---- quotas: reading --------------------------------------------------------------------------- */

#define QUOTA_COLUMNS                                                                              \
    "subject_kind, subject_id, requests_per_minute, tokens_per_minute, parallel, tokens_per_day,"  \
    " tokens_per_month, soft, calendar_id, revision"

static void read_quota(struct store_stmt *st, struct quota *q)
{
    const char *kind = store_text(st, 0);
    *q = (struct quota){.subject_id = store_int(st, 1),
                        .soft = store_int(st, 7) != 0,
                        .calendar_id = store_int(st, 8),
                        .revision = store_int(st, 9)};
    for (int k = 0; k < QUOTA_SUBJECT_COUNT; k++)
        if (strcmp(kind, quota_subject_name((enum quota_subject)k)) == 0)
            q->kind = (enum quota_subject)k;
    for (int i = 0; i < QUOTA_LIMIT_COUNT; i++)
        q->limit[i] = store_is_null(st, 2 + i) ? QUOTA_NONE : store_int(st, 2 + i);
}

/* Without a row, revision 0. */
static bool find_quota(struct store_db *db, enum quota_subject kind, int64_t id, struct quota *q,
                       struct err *e)
{
    struct store_stmt *st;
    bool row;
    if (!store_query(db,
                     "SELECT " QUOTA_COLUMNS " FROM quota WHERE subject_kind = ?1 AND"
                     " subject_id = ?2",
                     &st, e))
        return false;
    store_bind_text(st, 0, quota_subject_name(kind));
    store_bind_int(st, 1, id);
    if (!store_step(st, &row, e))
        return false;
    *q = (struct quota){.kind = kind, .subject_id = id};
    if (row)
        read_quota(st, q);
    store_done(st);
    return true;
}

static bool get_quota(struct store_db *db, void *ctx, struct err *e)
{
    struct quota *q = ctx;
    return find_quota(db, q->kind, q->subject_id, q, e);
}

bool quota_get(struct store *s, enum quota_subject kind, int64_t subject_id, struct quota *out,
               struct err *e)
{
    *out = (struct quota){.kind = kind, .subject_id = subject_id};
    if (!store_read(s, get_quota, out, e))
        return false;
    if (!out->revision)
        FAIL(e, ERR_NOT_FOUND, "this %s has no limits of its own", quota_subject_name(kind));
    return true;
}

bool quota_each(struct store_db *db, quota_fn *fn, void *ctx, struct err *e)
{
    struct store_stmt *st;
    if (!store_query(db, "SELECT " QUOTA_COLUMNS " FROM quota ORDER BY subject_kind, subject_id",
                     &st, e))
        return false;
    for (;;) {
        struct quota q;
        bool row;
        if (!store_step(st, &row, e))
            return false;
        if (!row)
            break;
        read_quota(st, &q);
        if (!fn(ctx, &q, e)) {
            store_done(st);
            return false;
        }
    }
    store_done(st);
    return true;
}

/* ---- quotas: changing -------------------------------------------------------------------------- */

struct change {
    const struct audit_actor *actor;
    const char *reason;
    struct quota quota;
};

/* Owned JSON text; NULL for a quota without a row. */
static char *quota_json(const struct quota *q)
{
    if (!q->revision)
        return NULL;
    json_t *j = json_object();
    for (int i = 0; i < QUOTA_LIMIT_COUNT; i++)
        json_object_set_new(j, quota_limit_name((enum quota_limit)i),
                            q->limit[i] == QUOTA_NONE ? json_null() : json_integer(q->limit[i]));
    json_object_set_new(j, "soft", json_boolean(q->soft));
    json_object_set_new(j, "calendar_id",
                        q->calendar_id ? json_integer(q->calendar_id) : json_null());
    json_object_set_new(j, "revision", json_integer(q->revision));
    char *text = json_dumps(j, JSON_COMPACT);
    json_decref(j);
    return text;
}

static bool record_quota(struct store_db *db, const struct change *c, const struct quota *before,
                         const struct quota *after, const char *action, struct err *e)
{
    char id[ID_TEXT], *was = quota_json(before), *is = quota_json(after);
    snprintf(id, sizeof id, "%s/%" PRId64, quota_subject_name(c->quota.kind), c->quota.subject_id);
    struct audit_entry entry = {.action = action,
                                .object_kind = "quota",
                                .object_id = id,
                                .before = was,
                                .after = is,
                                .reason = c->reason};
    bool ok = audit_append(db, c->actor, &entry, e);
    free(was);
    free(is);
    return ok;
}

static bool exists(struct store_db *db, const char *kind, int64_t id, struct err *e)
{
    struct store_stmt *st;
    bool row;
    if (!store_query(db,
                     "SELECT 1 WHERE (?1 = 'key' AND EXISTS (SELECT 1 FROM api_key WHERE id = ?2))"
                     " OR (?1 = 'person' AND EXISTS (SELECT 1 FROM person WHERE id = ?2))"
                     " OR (?1 = 'department' AND EXISTS (SELECT 1 FROM department WHERE id = ?2))"
                     " OR (?1 = 'calendar' AND EXISTS (SELECT 1 FROM calendar WHERE id = ?2))",
                     &st, e))
        return false;
    store_bind_text(st, 0, kind);
    store_bind_int(st, 1, id);
    if (!store_step(st, &row, e))
        return false;
    store_done(st);
    if (!row)
        FAIL(e, ERR_NOT_FOUND, "there is no %s %" PRId64, kind, id);
    return true;
}

static bool put_quota(struct store_db *db, void *ctx, struct err *e)
{
    struct change *c = ctx;
    struct quota before, after = c->quota;
    struct store_stmt *st;
    if (!find_quota(db, after.kind, after.subject_id, &before, e) ||
        !exists(db, quota_subject_name(after.kind), after.subject_id, e) ||
        (after.calendar_id && !exists(db, "calendar", after.calendar_id, e)))
        return false;
    if (!store_same_revision(after.revision, before.revision, e))
        return false;
    after.revision++;
    if (!store_query(db,
                     "INSERT OR REPLACE INTO quota (" QUOTA_COLUMNS ")"
                     " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
                     &st, e))
        return false;
    store_bind_text(st, 0, quota_subject_name(after.kind));
    store_bind_int(st, 1, after.subject_id);
    for (int i = 0; i < QUOTA_LIMIT_COUNT; i++)
        if (after.limit[i] == QUOTA_NONE)
            store_bind_null(st, 2 + i);
        else
            store_bind_int(st, 2 + i, after.limit[i]);
    store_bind_int(st, 7, after.soft);
    if (after.calendar_id)
        store_bind_int(st, 8, after.calendar_id);
    else
        store_bind_null(st, 8);
    store_bind_int(st, 9, after.revision);
    return store_run(db, st, NULL, e) && record_quota(db, c, &before, &after, "quota.set", e);
}

bool quota_put(struct store *s, const struct audit_actor *actor, struct quota *q, const char *reason,
               struct err *e)
{
    for (int i = 0; i < QUOTA_LIMIT_COUNT; i++)
        if (q->limit[i] != QUOTA_NONE && (q->limit[i] < 0 || q->limit[i] > QUOTA_MOST))
            FAIL(e, ERR_ARG, "%s: 0 to %" PRId64, quota_limit_name((enum quota_limit)i),
                 QUOTA_MOST);
    struct change c = {.actor = actor, .reason = reason, .quota = *q};
    if (!store_write(s, put_quota, &c, e))
        return false;
    q->revision++;
    return true;
}

static bool delete_quota(struct store_db *db, void *ctx, struct err *e)
{
    const struct change *c = ctx;
    struct quota before, none = {0};
    struct store_stmt *st;
    if (!find_quota(db, c->quota.kind, c->quota.subject_id, &before, e))
        return false;
    if (!before.revision)
        FAIL(e, ERR_NOT_FOUND, "this %s has no limits of its own",
             quota_subject_name(c->quota.kind));
    if (!store_same_revision(c->quota.revision, before.revision, e))
        return false;
    if (!store_query(db, "DELETE FROM quota WHERE subject_kind = ?1 AND subject_id = ?2", &st, e))
        return false;
    store_bind_text(st, 0, quota_subject_name(c->quota.kind));
    store_bind_int(st, 1, c->quota.subject_id);
    return store_run(db, st, NULL, e) && record_quota(db, c, &before, &none, "quota.delete", e);
}

bool quota_delete(struct store *s, const struct audit_actor *actor, enum quota_subject kind,
                  int64_t subject_id, int64_t revision, const char *reason, struct err *e)
{
    struct change c = {.actor = actor, .reason = reason};
    c.quota = (struct quota){.kind = kind, .subject_id = subject_id, .revision = revision};
    return store_write(s, delete_quota, &c, e);
}

/* ---- calendars --------------------------------------------------------------------------------- */

struct calendar_change {
    const struct audit_actor *actor;
    const char *reason;
    struct quota_calendar calendar;
    int64_t id;
};

bool quota_calendar_each(struct store_db *db, quota_calendar_fn *fn, void *ctx, struct err *e)
{
    struct store_stmt *st;
    if (!store_query(db, "SELECT id, revision, name, hours FROM calendar ORDER BY id", &st, e))
        return false;
    for (;;) {
        bool row;
        if (!store_step(st, &row, e))
            return false;
        if (!row)
            break;
        struct quota_calendar c = {store_int(st, 0), store_int(st, 1), store_text(st, 2),
                                   store_text(st, 3)};
        if (!fn(ctx, &c, e)) {
            store_done(st);
            return false;
        }
    }
    store_done(st);
    return true;
}

static char *calendar_json(const char *name, const char *hours)
{
    json_t *j = json_pack("{ss so}", "name", name, "hours", json_loads(hours, 0, NULL));
    char *text = json_dumps(j, JSON_COMPACT);
    json_decref(j);
    return text;
}

/* *before = owned JSON of the row when it stands at this revision. */
static bool calendar_before(struct store_db *db, const struct quota_calendar *c, char **before,
                            struct err *e)
{
    struct store_stmt *st;
    bool row;
    *before = NULL;
    if (!store_query(db, "SELECT revision, name, hours FROM calendar WHERE id = ?1", &st, e))
        return false;
    store_bind_int(st, 0, c->id);
    if (!store_step(st, &row, e))
        return false;
    int64_t revision = row ? store_int(st, 0) : 0;
    if (row && revision == c->revision)
        *before = calendar_json(store_text(st, 1), store_text(st, 2));
    store_done(st);
    if (!row)
        FAIL(e, ERR_NOT_FOUND, "there is no calendar %" PRId64, c->id);
    return store_same_revision(c->revision, revision, e);
}

static bool record_calendar(struct store_db *db, const struct calendar_change *c, const char *action,
                            const char *before, const char *after, struct err *e)
{
    char id[ID_TEXT];
    snprintf(id, sizeof id, "%" PRId64, c->id);
    struct audit_entry entry = {.action = action,
                                .object_kind = "calendar",
                                .object_id = id,
                                .before = before,
                                .after = after,
                                .reason = c->reason};
    return audit_append(db, c->actor, &entry, e);
}

static bool calendar_name_taken(struct err *e, const char *name)
{
    if (e && e->code == ERR_CONFLICT)
        err_set(e, ERR_CONFLICT, 0, __FILE__, __LINE__, "there is a calendar \"%.60s\" already",
                name);
    return false;
}

static bool write_calendar(struct store_db *db, struct calendar_change *c, struct err *e)
{
    const struct quota_calendar *v = &c->calendar;
    struct store_stmt *st;
    bool is_new = v->id == 0;
    if (is_new ? !store_query(db, "INSERT INTO calendar (name, hours) VALUES (?1, ?2)", &st, e)
               : !store_query(db,
                              "UPDATE calendar SET name = ?1, hours = ?2, revision = revision + 1"
                              " WHERE id = ?3",
                              &st, e))
        return false;
    store_bind_text(st, 0, v->name);
    store_bind_text(st, 1, v->hours);
    if (!is_new)
        store_bind_int(st, 2, v->id);
    if (!store_run(db, st, NULL, e))
        return calendar_name_taken(e, v->name);
    c->id = is_new ? store_last_id(db) : v->id;
    return true;
}

static bool put_calendar(struct store_db *db, void *ctx, struct err *e)
{
    struct calendar_change *c = ctx;
    char *before = NULL, *after = calendar_json(c->calendar.name, c->calendar.hours);
    bool ok = after ? true
                    : err_set(e, ERR_FORMAT, 0, __FILE__, __LINE__, "a calendar's name is not UTF-8");
    ok = ok && (!c->calendar.id || calendar_before(db, &c->calendar, &before, e)) &&
         write_calendar(db, c, e) &&
         record_calendar(db, c, c->calendar.id ? "calendar.change" : "calendar.create", before,
                         after, e);
    free(before);
    free(after);
    return ok;
}

bool quota_calendar_put(struct store *s, const struct audit_actor *actor, struct quota_calendar *c,
                        const char *reason, struct err *e)
{
    struct calendar hours;
    struct calendar_change change = {.actor = actor, .reason = reason, .calendar = *c};
    if (!c->name[0] || strlen(c->name) > NAME_BYTES)
        FAIL(e, ERR_ARG, "a calendar's name: 1 to %d bytes", NAME_BYTES);
    if (!calendar_parse(c->hours, &hours, e) || !store_write(s, put_calendar, &change, e))
        return false;
    c->revision = c->id ? c->revision + 1 : 1;
    c->id = change.id;
    return true;
}

static bool calendar_unused(struct store_db *db, int64_t id, struct err *e)
{
    struct store_stmt *st;
    bool row;
    if (!store_query(db, "SELECT 1 FROM quota WHERE calendar_id = ?1 LIMIT 1", &st, e))
        return false;
    store_bind_int(st, 0, id);
    if (!store_step(st, &row, e))
        return false;
    store_done(st);
    if (row)
        FAIL(e, ERR_CONFLICT, "limits use this calendar: give them another one first");
    return true;
}

static bool delete_calendar(struct store_db *db, void *ctx, struct err *e)
{
    struct calendar_change *c = ctx;
    struct store_stmt *st;
    char *before = NULL;
    bool ok = calendar_before(db, &c->calendar, &before, e) && calendar_unused(db, c->id, e) &&
              store_query(db, "DELETE FROM calendar WHERE id = ?1", &st, e);
    if (ok) {
        store_bind_int(st, 0, c->id);
        ok = store_run(db, st, NULL, e) &&
             record_calendar(db, c, "calendar.delete", before, NULL, e);
    }
    free(before);
    return ok;
}

bool quota_calendar_delete(struct store *s, const struct audit_actor *actor, int64_t id,
                           int64_t revision, const char *reason, struct err *e)
{
    struct calendar_change c = {.actor = actor, .reason = reason, .id = id};
    c.calendar = (struct quota_calendar){.id = id, .revision = revision};
    return store_write(s, delete_calendar, &c, e);
}
