/* Owns: rows of the registry's tables as structs, and the rules who sees and does what. Refuses to
 * know: transactions; callers are inside one. */
#include <config.h>

#include "template/registry_db.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- statements ---- */

static bool open_bound(struct store_db *db, const char *sql, struct store_stmt **st, struct err *e,
                       const char *types, va_list ap)
{
    if (!store_query(db, sql, st, e))
        return false;
    for (int i = 0; types[i]; i++) {
        if (types[i] == 't') {
            store_bind_text(*st, i, va_arg(ap, const char *));
        } else if (types[i] == 'h') {
            store_bind_blob(*st, i, va_arg(ap, const uint8_t *), CANON_HASH_BYTES);
        } else {
            int64_t v = va_arg(ap, int64_t);
            if (types[i] == 'z' && v == 0)
                store_bind_null(*st, i);
            else
                store_bind_int(*st, i, v);
        }
    }
    return true;
}

bool rdb_query(struct store_db *db, const char *sql, struct store_stmt **st, struct err *e,
               const char *types, ...)
{
    va_list ap;
    va_start(ap, types);
    bool ok = open_bound(db, sql, st, e, types, ap);
    va_end(ap);
    return ok;
}

bool rdb_run(struct store_db *db, const char *sql, struct err *e, const char *types, ...)
{
    struct store_stmt *st;
    va_list ap;
    va_start(ap, types);
    bool ok = open_bound(db, sql, &st, e, types, ap);
    va_end(ap);
    return ok && store_run(db, st, NULL, e);
}

json_t *rdb_json(struct store_stmt *st, int column)
{
    const char *text = store_text(st, column);
    json_t *j = text ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;
    return j ? j : json_null();
}

json_t *rdb_string(struct store_stmt *st, int column)
{
    const char *text = store_text(st, column);
    json_t *j = text ? json_string(text) : NULL;
    return j ? j : json_null();
}

json_t *rdb_integer(struct store_stmt *st, int column)
{
    return store_is_null(st, column) ? json_null() : json_integer(store_int(st, column));
}

/* ---- who ---- */

bool rdb_sees_all(const struct principal *who)
{
    return !who || who->local || (who->roles & (ROLE_ADMIN | ROLE_AUDITOR));
}

/* *is = department `id` is `ancestor` or lies below it. */
static bool within(struct store_db *db, int64_t id, int64_t ancestor, bool *is, struct err *e)
{
    struct store_stmt *st;
    int64_t found;
    if (!rdb_query(db,
                   "WITH RECURSIVE up(id) AS (SELECT ?1 UNION SELECT d.parent_id FROM department d"
                   " JOIN up ON d.id = up.id WHERE d.parent_id IS NOT NULL)"
                   " SELECT 1 FROM up WHERE id = ?2",
                   &st, e, "ii", id, ancestor) ||
        !store_first_int(st, 0, &found, e))
        return false;
    *is = found == 1;
    return true;
}

bool rdb_sees(struct store_db *db, const struct principal *who, int64_t owner_id,
              int64_t department_id, bool *sees, struct err *e)
{
    *sees = rdb_sees_all(who) || department_id == 0 || owner_id == who->person_id ||
            department_id == who->department_id;
    return *sees || within(db, who->department_id, department_id, sees, e);
}

bool rdb_check_ids(struct store_db *db, int64_t person_id, int64_t department_id, struct err *e)
{
    struct store_stmt *st;
    bool person, department, row;
    if (!rdb_query(db,
                   "SELECT ?1 = 0 OR EXISTS (SELECT 1 FROM person WHERE id = ?1),"
                   " ?2 = 0 OR EXISTS (SELECT 1 FROM department WHERE id = ?2)",
                   &st, e, "ii", person_id, department_id) ||
        !store_step(st, &row, e))
        return false;
    person = store_int(st, 0) != 0;
    department = store_int(st, 1) != 0;
    store_done(st);
    if (!person)
        FAIL(e, ERR_NOT_FOUND, "there is no person %" PRId64, person_id);
    if (!department)
        FAIL(e, ERR_NOT_FOUND, "there is no department %" PRId64, department_id);
    return true;
}

bool rdb_may_write(const struct principal *who, struct err *e)
{
    if (!who->local && !(who->roles & ROLE_EDITOR))
        FAIL(e, ERR_DENIED, "this needs the role of a prompt editor");
    return true;
}

bool rdb_may_give(struct store_db *db, const struct principal *who, int64_t owner_id,
                  int64_t department_id, struct err *e)
{
    bool above, below = false;
    if (who->local || (who->roles & ROLE_ADMIN))
        return true;
    if (owner_id && owner_id != who->person_id)
        FAIL(e, ERR_DENIED, "only an administrator makes templates for somebody else");
    if (!department_id)
        return true;
    if (!within(db, who->department_id, department_id, &above, e) ||
        (!above && !within(db, department_id, who->department_id, &below, e)))
        return false;
    if (!above && !below)
        FAIL(e, ERR_DENIED, "a template goes to everybody, your department, one above or one below it");
    return true;
}

bool rdb_may_approve(const struct principal *who, struct err *e)
{
    if (!who->local && !(who->roles & ROLE_APPROVER))
        FAIL(e, ERR_DENIED, "this needs the role of a prompt approver");
    return true;
}

/* ---- templates ---- */

bool registry_fail_missing(const char *name, const char *label, struct err *e)
{
    if (label)
        FAIL(e, ERR_NOT_FOUND, "the template \"%.150s\" has no label \"%.64s\"", name, label);
    FAIL(e, ERR_NOT_FOUND, "there is no template \"%.200s\"", name);
}

bool rdb_template_any(struct store_db *db, const char *name, struct rdb_template *out, bool *found,
                      struct err *e)
{
    struct store_stmt *st;
    *out = (struct rdb_template){.id = 0};
    snprintf(out->name, sizeof out->name, "%s", name);
    if (!rdb_query(db,
                   "SELECT id, owner_id, department_id, revision, created_at, archived_at,"
                   " forked_from, forked_version FROM template WHERE name = ?1",
                   &st, e, "t", name) ||
        !store_step(st, found, e))
        return false;
    if (*found) {
        out->id = store_int(st, 0);
        out->owner_id = store_int(st, 1);
        out->department_id = store_int(st, 2);
        out->revision = store_int(st, 3);
        out->created_at = store_int(st, 4);
        out->archived = !store_is_null(st, 5);
        out->forked_from = store_int(st, 6);
        out->forked_version = store_int(st, 7);
    }
    store_done(st);
    return true;
}

bool rdb_template(struct store_db *db, const struct principal *who, const char *name,
                  struct rdb_template *out, struct err *e)
{
    bool found, sees = false;
    if (!rdb_template_any(db, name, out, &found, e) ||
        (found && !rdb_sees(db, who, out->owner_id, out->department_id, &sees, e)))
        return false;
    if (!sees)
        return registry_fail_missing(name, NULL, e);
    return true;
}

/* ---- versions ---- */

bool rdb_newest(struct store_db *db, int64_t template_id, int64_t *number, struct err *e)
{
    struct store_stmt *st;
    return rdb_query(db, "SELECT max(number) FROM template_version WHERE template_id = ?1", &st, e,
                     "i", template_id) &&
           store_first_int(st, 0, number, e);
}

static bool number_of_label(struct store_db *db, const struct rdb_template *t, const char *label,
                            int64_t *number, struct err *e)
{
    struct store_stmt *st;
    bool latest = strcmp(label, "latest") == 0;
    if (latest) {
        if (!rdb_newest(db, t->id, number, e))
            return false;
    } else if (!rdb_query(db,
                          "SELECT number FROM template_label WHERE template_id = ?1 AND label = ?2",
                          &st, e, "it", t->id, label) ||
               !store_first_int(st, 0, number, e)) {
        return false;
    }
    if (*number == 0)
        return registry_fail_missing(t->name, label, e);
    return true;
}

bool rdb_number(struct store_db *db, const struct rdb_template *t, struct registry_ref ref,
                int64_t *number, struct err *e)
{
    if (ref.label && ref.number)
        FAIL(e, ERR_ARG, "either a label or a version, not both");
    if (ref.label)
        return number_of_label(db, t, ref.label, number, e);
    *number = ref.number;
    if (ref.number < 0)
        FAIL(e, ERR_ARG, "versions are numbered from 1");
    return ref.number ? rdb_version(db, t, ref.number, NULL, NULL, e)
                      : number_of_label(db, t, "latest", number, e);
}

bool rdb_version(struct store_db *db, const struct rdb_template *t, int64_t number,
                 json_t **content, uint8_t hash[CANON_HASH_BYTES], struct err *e)
{
    struct store_stmt *st;
    bool row, ok = true;
    size_t n = 0;
    if (!rdb_query(db,
                   "SELECT hash, CASE WHEN ?3 THEN content END FROM template_version"
                   " WHERE template_id = ?1 AND number = ?2",
                   &st, e, "iii", t->id, number, (int64_t)(content != NULL)) ||
        !store_step(st, &row, e))
        return false;
    if (!row) {
        store_done(st);
        FAIL(e, ERR_NOT_FOUND, "the template \"%s\" has no version %" PRId64, t->name, number);
    }
    const void *blob = store_blob(st, 0, &n);
    if (hash && n == CANON_HASH_BYTES)
        memcpy(hash, blob, n);
    if (content) {
        const char *text = store_text(st, 1);
        *content = text ? canon_parse(text, strlen(text), e) : NULL;
        ok = *content != NULL;
    }
    store_done(st);
    return ok;
}

static const char *const state_names[] = {"draft", "review", "approved", "rejected"};

const char *registry_state_name(enum registry_state s)
{
    return state_names[s];
}

bool rdb_state(struct store_db *db, int64_t template_id, int64_t number, enum registry_state *out,
               struct err *e)
{
    struct store_stmt *st;
    bool row;
    *out = STATE_DRAFT;
    if (!rdb_query(db,
                   "SELECT state FROM template_review WHERE template_id = ?1 AND number = ?2"
                   " ORDER BY id DESC LIMIT 1",
                   &st, e, "ii", template_id, number) ||
        !store_step(st, &row, e))
        return false;
    for (int i = STATE_DRAFT; row && i <= STATE_REJECTED; i++) {
        if (strcmp(store_text(st, 0), state_names[i]) == 0)
            *out = (enum registry_state)i;
    }
    store_done(st);
    return true;
}

/* ---- what protected labels may point to ---- */

static bool fit(struct store_db *db, int64_t template_id, const char *name, int64_t number,
                unsigned depth, struct err *e)
{
    struct store_stmt *parts;
    enum registry_state state;
    bool row = true, ok = true;
    if (depth > PROMPT_MAX_DEPTH)
        FAIL(e, ERR_LIMIT, "includes are nested deeper than %d", PROMPT_MAX_DEPTH);
    if (!rdb_state(db, template_id, number, &state, e))
        return false;
    if (state != STATE_APPROVED)
        FAIL(e, ERR_CONFLICT, "version %" PRId64 " of \"%s\" is not approved but \"%s\"", number,
             name, state_names[state]);
    if (!rdb_query(
            db,
            "SELECT p.part_id, t.name, p.part_number FROM template_part p"
            " JOIN template t ON t.id = p.part_id WHERE p.template_id = ?1 AND p.number = ?2",
            &parts, e, "ii", template_id, number))
        return false;
    while (ok && (ok = store_step(parts, &row, e)) && row)
        ok = fit(db, store_int(parts, 0), store_text(parts, 1), store_int(parts, 2), depth + 1, e);
    store_done(parts);
    return ok;
}

bool rdb_fit_to_protect(struct store_db *db, const struct rdb_template *t, int64_t number,
                        struct err *e)
{
    return fit(db, t->id, t->name, number, 0, e);
}

/* ---- composition ---- */

bool rdb_fetch(void *ctx, const char *name, const char *label, int64_t number,
               struct prompt_source *out, struct err *e)
{
    const struct rdb_fetch *f = ctx;
    struct rdb_template t;
    struct registry_ref ref = {.label = label, .number = label ? 0 : number};
    *out = (struct prompt_source){.content = NULL};
    if (!rdb_template(f->db, f->who, name, &t, e) || !rdb_number(f->db, &t, ref, &out->number, e) ||
        !rdb_version(f->db, &t, out->number, &out->content, NULL, e))
        return false;
    out->template_id = t.id;
    return true;
}

/* *number stays 0 when there is no such template or label. */
static bool number_now(struct store_db *db, const struct principal *who, const char *name,
                       const char *label, int64_t *number, struct err *e)
{
    struct rdb_template t;
    struct err why = ERR_INIT;
    if (rdb_template(db, who, name, &t, &why) && number_of_label(db, &t, label, number, &why))
        return true;
    *number = 0;
    if (why.code != ERR_NOT_FOUND && e)
        *e = why;
    return why.code == ERR_NOT_FOUND;
}

bool rdb_pin(struct store_db *db, const struct principal *who, const json_t *content, json_t **out,
             struct err *e)
{
    json_t *messages = json_array(), *m;
    size_t i;
    *out = json_copy(json_iterable(content));
    json_object_set_new(*out, "messages", messages);
    json_array_foreach (json_object_get(content, "messages"), i, m) {
        const char *label = json_string_value(json_object_get(m, "label"));
        const char *name = json_string_value(json_object_get(m, "include"));
        int64_t number = 0;
        if (label && !number_now(db, who, name, label, &number, e)) {
            json_decref(*out);
            *out = NULL;
            return false;
        }
        json_array_append_new(messages, number ? json_pack("{s:s, s:I}", "include", name, "number",
                                                           (json_int_t)number)
                                               : json_incref(m));
    }
    return true;
}

/* ---- audit ---- */

bool rdb_audit_take(struct store_db *db, const struct registry_act *act, const char *action,
                    const char *kind, const char *object, json_t *before, json_t *after,
                    struct err *e)
{
    char *texts[2] = {NULL, NULL};
    json_t *values[2] = {before, after};
    bool ok = true;
    for (size_t i = 0; i < 2; i++)
        ok = ok && (!values[i] || canon_text(values[i], &texts[i], NULL, e));
    ok = ok && audit_append(db, act->actor,
                            &(struct audit_entry){.action = action,
                                                  .object_kind = kind,
                                                  .object_id = object,
                                                  .before = texts[0],
                                                  .after = texts[1],
                                                  .reason = act->reason ? act->reason : ""},
                            e);
    for (size_t i = 0; i < 2; i++) {
        free(texts[i]);
        json_decref(values[i]);
    }
    return ok;
}
