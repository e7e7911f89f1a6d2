/* Owns: labels: moving, protecting, canaries, going back. Refuses to know: what versions say. */
#include <config.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "template/registry_db.h"

struct label_row {
    bool found, is_protected;
    int64_t number, revision, canary_number, canary_permille, canary_department;
};

static bool read_label(struct store_db *db, int64_t template_id, const char *label,
                       struct label_row *out, struct err *e)
{
    struct store_stmt *st;
    *out = (struct label_row){.found = false};
    if (!rdb_query(
            db,
            "SELECT number, protected, revision, canary_number, canary_permille,"
            " canary_department_id FROM template_label WHERE template_id = ?1 AND label = ?2",
            &st, e, "it", template_id, label) ||
        !store_step(st, &out->found, e))
        return false;
    if (out->found) {
        out->number = store_int(st, 0);
        out->is_protected = store_int(st, 1) != 0;
        out->revision = store_int(st, 2);
        out->canary_number = store_int(st, 3);
        out->canary_permille = store_int(st, 4);
        out->canary_department = store_int(st, 5);
    }
    store_done(st);
    return true;
}

/* For the audit log. */
static json_t *describe(const struct label_row *row)
{
    if (!row->found)
        return NULL;
    json_t *j = json_pack("{s:I, s:b}", "number", (json_int_t)row->number, "protected",
                          (int)row->is_protected);
    if (row->canary_number)
        json_object_set_new(j, "canary",
                            json_pack("{s:I, s:I, s:I}", "number", (json_int_t)row->canary_number,
                                      "permille", (json_int_t)row->canary_permille, "department_id",
                                      (json_int_t)row->canary_department));
    return j;
}

static bool record(struct store_db *db, const struct registry_act *act, const char *action,
                   const struct rdb_template *t, const char *label, const struct label_row *before,
                   struct err *e)
{
    char object[RDB_OBJECT_TEXT];
    struct label_row after;
    snprintf(object, sizeof object, "%s@%s", t->name, label);
    return read_label(db, t->id, label, &after, e) &&
           rdb_audit_take(db, act, action, "label", object, describe(before), describe(&after), e);
}

static bool check_name(const char *label, struct err *e)
{
    if (strcmp(label, "latest") == 0)
        FAIL(e, ERR_ARG, "\"latest\" always means the newest version and cannot be moved");
    if (!content_is_label(label))
        FAIL(e, ERR_ARG, "a label is 1 to %d of a-z, 0-9, '_', '.', '-', and not digits alone",
             CONTENT_LABEL_MAX);
    return true;
}

static bool may_move(const struct registry_act *act, bool is_protected, struct err *e)
{
    return is_protected ? rdb_may_approve(act->who, e) : rdb_may_write(act->who, e);
}

/* Otherwise whoever writes and approves could publish alone: nothing asks for approval without it. */
static bool may_unprotect(const struct principal *who, struct err *e)
{
    if (!who->local && !(who->roles & ROLE_ADMIN))
        FAIL(e, ERR_DENIED, "only an administrator may take the protection off a label");
    return true;
}

/* What every act on an existing label begins with. */
static bool find(struct store_db *db, const struct registry_act *act, const char *name,
                 const char *label, int64_t revision, struct rdb_template *t, struct label_row *row,
                 struct err *e)
{
    if (!rdb_template(db, act->who, name, t, e) || !read_label(db, t->id, label, row, e))
        return false;
    if (!row->found)
        return registry_fail_missing(name, label, e);
    return store_same_revision(revision, row->revision, e);
}

/* ---- moving ---- */

bool rdb_label_move(struct store_db *db, const struct registry_act *act,
                    const struct rdb_template *t, const char *label, int64_t number,
                    int64_t revision, struct err *e)
{
    struct label_row before;
    if (!check_name(label, e) || !read_label(db, t->id, label, &before, e))
        return false;
    bool is_protected = before.found ? before.is_protected : strcmp(label, "production") == 0;
    if (!may_move(act, is_protected, e) || !rdb_version(db, t, number, NULL, NULL, e) ||
        !store_same_revision(revision, before.revision, e) ||
        (is_protected && !rdb_fit_to_protect(db, t, number, e)))
        return false;
    if (before.found && before.number == number && before.canary_number == 0)
        return true;
    return rdb_run(db,
                   "INSERT INTO template_label (template_id, label, number, protected, moved_at,"
                   " moved_by) VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (template_id, label)"
                   " DO UPDATE SET number = excluded.number, canary_number = NULL,"
                   " canary_permille = NULL, canary_department_id = NULL,"
                   " moved_at = excluded.moved_at, moved_by = excluded.moved_by,"
                   " revision = revision + 1",
                   e, "itiiii", t->id, label, number, (int64_t)is_protected, act->now_s,
                   act->who->person_id) &&
           record(db, act, "label.move", t, label, &before, e);
}

struct label_call {
    const struct registry_act *act;
    const char *name, *label;
    int64_t revision;
    int64_t number; /* move: to; rollback: result */
    bool protect;
    const struct registry_canary *canary;
};

static bool run_move(struct store_db *db, void *ctx, struct err *e)
{
    const struct label_call *c = ctx;
    struct rdb_template t;
    return rdb_template(db, c->act->who, c->name, &t, e) &&
           rdb_label_move(db, c->act, &t, c->label, c->number, c->revision, e);
}

bool registry_label_move(struct registry *r, const struct registry_act *act, const char *name,
                         const char *label, int64_t number, int64_t revision, struct err *e)
{
    struct label_call call = {
        .act = act, .name = name, .label = label, .number = number, .revision = revision};
    return store_write(r->store, run_move, &call, e);
}

/* Where the label pointed before its last move, from the audit log. */
static bool previous_number(struct store_db *db, const struct rdb_template *t, const char *label,
                            int64_t *number, struct err *e)
{
    char object[RDB_OBJECT_TEXT];
    struct store_stmt *st;
    snprintf(object, sizeof object, "%s@%s", t->name, label);
    if (!rdb_query(db,
                   "SELECT json_extract(before, '$.number') FROM audit WHERE object_kind = 'label'"
                   " AND object_id = ?1 AND action = 'label.move' ORDER BY seq DESC LIMIT 1",
                   &st, e, "t", object) ||
        !store_first_int(st, 0, number, e))
        return false;
    if (*number == 0)
        FAIL(e, ERR_NOT_FOUND, "the label \"%s\" pointed nowhere else before", label);
    return true;
}

static bool run_rollback(struct store_db *db, void *ctx, struct err *e)
{
    struct label_call *c = ctx;
    struct rdb_template t;
    struct label_row row;
    return find(db, c->act, c->name, c->label, c->revision, &t, &row, e) &&
           previous_number(db, &t, c->label, &c->number, e) &&
           rdb_label_move(db, c->act, &t, c->label, c->number, c->revision, e);
}

bool registry_label_rollback(struct registry *r, const struct registry_act *act, const char *name,
                             const char *label, int64_t revision, int64_t *number, struct err *e)
{
    struct label_call call = {.act = act, .name = name, .label = label, .revision = revision};
    bool ok = check_name(label, e) && store_write(r->store, run_rollback, &call, e);
    *number = ok ? call.number : 0;
    return ok;
}

/* ---- protecting, deleting ---- */

static bool run_protect(struct store_db *db, void *ctx, struct err *e)
{
    const struct label_call *c = ctx;
    struct rdb_template t;
    struct label_row before;
    if (!find(db, c->act, c->name, c->label, c->revision, &t, &before, e))
        return false;
    if (before.is_protected == c->protect)
        return true;
    if (c->protect && before.canary_number && !rdb_fit_to_protect(db, &t, before.canary_number, e))
        return false;
    if (c->protect && !rdb_fit_to_protect(db, &t, before.number, e))
        return false;
    return rdb_run(db,
                   "UPDATE template_label SET protected = ?3, revision = revision + 1"
                   " WHERE template_id = ?1 AND label = ?2",
                   e, "iti", t.id, c->label, (int64_t)c->protect) &&
           record(db, c->act, "label.protect", &t, c->label, &before, e);
}

bool registry_label_protect(struct registry *r, const struct registry_act *act, const char *name,
                            const char *label, int64_t revision, bool protect, struct err *e)
{
    struct label_call call = {
        .act = act, .name = name, .label = label, .revision = revision, .protect = protect};
    return (protect ? rdb_may_approve(act->who, e) : may_unprotect(act->who, e)) &&
           check_name(label, e) && store_write(r->store, run_protect, &call, e);
}

static bool run_delete(struct store_db *db, void *ctx, struct err *e)
{
    const struct label_call *c = ctx;
    struct rdb_template t;
    struct label_row before;
    if (!find(db, c->act, c->name, c->label, c->revision, &t, &before, e))
        return false;
    if (before.is_protected)
        FAIL(e, ERR_CONFLICT, "the label \"%s\" is protected", c->label);
    return rdb_run(db, "DELETE FROM template_label WHERE template_id = ?1 AND label = ?2", e, "it",
                   t.id, c->label) &&
           record(db, c->act, "label.delete", &t, c->label, &before, e);
}

bool registry_label_delete(struct registry *r, const struct registry_act *act, const char *name,
                           const char *label, int64_t revision, struct err *e)
{
    struct label_call call = {.act = act, .name = name, .label = label, .revision = revision};
    return rdb_may_write(act->who, e) && check_name(label, e) &&
           store_write(r->store, run_delete, &call, e);
}

/* ---- canaries ---- */

static bool run_canary(struct store_db *db, void *ctx, struct err *e)
{
    const struct label_call *c = ctx;
    const struct registry_canary *x = c->canary;
    struct rdb_template t;
    struct label_row before;
    if (!find(db, c->act, c->name, c->label, c->revision, &t, &before, e) ||
        !may_move(c->act, before.is_protected, e))
        return false;
    if (x->number && !rdb_version(db, &t, x->number, NULL, NULL, e))
        return false;
    if (x->number && before.is_protected && !rdb_fit_to_protect(db, &t, x->number, e))
        return false;
    bool by_department = x->number && x->department_id;
    int64_t number = by_department || x->permille ? x->number : 0;
    return (!by_department || rdb_check_ids(db, 0, x->department_id, e)) &&
           rdb_run(db,
                   "UPDATE template_label SET canary_number = ?3, canary_permille = ?4,"
                   " canary_department_id = ?5, revision = revision + 1"
                   " WHERE template_id = ?1 AND label = ?2",
                   e, "itziz", t.id, c->label, number,
                   (int64_t)(number && !by_department ? x->permille : 0),
                   by_department ? x->department_id : (int64_t)0) &&
           record(db, c->act, "label.canary", &t, c->label, &before, e);
}

bool registry_label_canary(struct registry *r, const struct registry_act *act, const char *name,
                           const char *label, int64_t revision, const struct registry_canary *c,
                           struct err *e)
{
    struct label_call call = {
        .act = act, .name = name, .label = label, .revision = revision, .canary = c};
    if (c->permille > 1000)
        FAIL(e, ERR_ARG, "a canary is 0 to 1000 of 1000 callers");
    return check_name(label, e) && store_write(r->store, run_canary, &call, e);
}
