/* Owns: the table `department`: the tree, its names, its policies for prompts.
 * Refuses to know who may change it. */
#include <config.h>

#include <stdio.h>
#include <string.h>

#include "auth/act.h"
#include "auth/auth.h"
#include "auth/people.h"
#include "auth/roster.h"
#include "base/clock.h"
#include "store/store.h"

/* ---- rows ------------------------------------------------------------------------------------ */

#define COLUMNS "id, parent_id, name, keep_prompts, keep_days, created_at, disabled_at, revision"

static void read_row(struct store_stmt *st, struct department *d)
{
    *d = (struct department){.id = store_int(st, 0),
                             .parent_id = store_int(st, 1),
                             .keep_prompts = store_int(st, 3) != 0,
                             .keep_days = (int)store_int(st, 4),
                             .created_at = store_int(st, 5),
                             .disabled_at = store_int(st, 6),
                             .revision = store_int(st, 7)};
    snprintf(d->name, sizeof d->name, "%s", store_text(st, 2));
}

bool department_read(struct store_db *db, int64_t id, struct department *out, struct err *e)
{
    struct store_stmt *st;
    bool row;
    if (!store_query(db, "SELECT " COLUMNS " FROM department WHERE id = ?1", &st, e))
        return false;
    store_bind_int(st, 0, id);
    if (!store_step(st, &row, e))
        return false;
    if (row)
        read_row(st, out);
    store_done(st);
    if (!row)
        FAIL(e, ERR_NOT_FOUND, "there is no such department");
    return true;
}

static json_t *to_json(const struct department *d)
{
    return json_pack("{sI ss sb si sb}", "parent_id", (json_int_t)d->parent_id, "name", d->name,
                     "keep_prompts", d->keep_prompts, "keep_days", d->keep_days, "disabled",
                     d->disabled_at != 0);
}

static bool spec_valid(const struct department_spec *s, struct err *e)
{
    if (!act_text_valid(s->name, PEOPLE_NAME_BYTES, false, "the name of a department", e))
        return false;
    if (strchr(s->name, '/'))
        FAIL(e, ERR_ARG, "the name of a department must not contain '/'");
    if (s->keep_days < 1 || s->keep_days > 3650)
        FAIL(e, ERR_ARG, "prompts are kept for 1 to 3650 days");
    return true;
}

/* ---- the tree -------------------------------------------------------------------------------- */

/* *levels = how many departments lie from `id` to its root, itself included; 0 for id 0. *meets =
 * `other` is among them. */
static bool walk_up(struct store_db *db, int64_t id, int64_t other, int *levels, bool *meets,
                    struct err *e)
{
    struct department d;
    *meets = false;
    for (*levels = 0; id; (*levels)++, id = d.parent_id) {
        *meets |= id == other;
        if (*levels > 2 * PEOPLE_DEPTH)
            FAIL(e, ERR_DAMAGED, "the departments are no tree: restore a backup");
        if (!department_read(db, id, &d, e))
            return false;
    }
    return true;
}

/* How many levels the tree below `id` has, itself included. */
static bool height_of(struct store_db *db, int64_t id, int64_t *height, struct err *e)
{
    struct store_stmt *st;
    if (!store_query(
            db,
            "WITH RECURSIVE below (id, level) AS (SELECT ?1, 1 UNION ALL"
            " SELECT d.id, level + 1 FROM department d JOIN below ON d.parent_id = below.id"
            " WHERE level < 64) SELECT max(level) FROM below",
            &st, e))
        return false;
    store_bind_int(st, 0, id);
    return store_first_int(st, 1, height, e);
}

/* Whether `id` (0 = a new one) may hang below `parent_id`. */
static bool check_place(struct store_db *db, int64_t id, int64_t parent_id, struct err *e)
{
    struct department parent;
    int levels;
    int64_t height = 1;
    bool meets;
    if (parent_id && (!department_read(db, parent_id, &parent, e)))
        return err_prefix(e, "parent");
    if (parent_id && parent.disabled_at)
        FAIL(e, ERR_ARG, "the parent department is disabled");
    if (!walk_up(db, parent_id, id, &levels, &meets, e) || (id && !height_of(db, id, &height, e)))
        return false;
    if (id && meets)
        FAIL(e, ERR_ARG, "a department cannot be below itself");
    if (levels + height > PEOPLE_DEPTH)
        FAIL(e, ERR_ARG, "departments are at most %d levels deep", PEOPLE_DEPTH);
    return true;
}

static bool name_taken(struct err *e, const char *name)
{
    if (e && e->code == ERR_CONFLICT)
        err_set(e, ERR_CONFLICT, 0, __FILE__, __LINE__,
                "there is a department \"%.60s\" here already", name);
    return false;
}

static bool insert(struct store_db *db, const struct audit_actor *actor,
                   const struct department_spec *spec, int64_t *id, struct err *e)
{
    struct store_stmt *st;
    struct department d;
    if (!check_place(db, 0, spec->parent_id, e) ||
        !store_query(db,
                     "INSERT INTO department (parent_id, name, keep_prompts, keep_days, created_at)"
                     " VALUES (nullif(?1, 0), ?2, ?3, ?4, ?5)",
                     &st, e))
        return false;
    store_bind_int(st, 0, spec->parent_id);
    store_bind_text(st, 1, spec->name);
    store_bind_int(st, 2, spec->keep_prompts);
    store_bind_int(st, 3, spec->keep_days);
    store_bind_int(st, 4, clock_wall_s());
    if (!store_run(db, st, NULL, e))
        return name_taken(e, spec->name);
    *id = store_last_id(db);
    return department_read(db, *id, &d, e) &&
           act_record_take(db, actor, "department.create", "department", *id, NULL, to_json(&d), "",
                           e);
}

/* ---- changes --------------------------------------------------------------------------------- */

struct change {
    struct roster *roster;
    const struct audit_actor *actor;
    const struct department_spec *spec;
    int64_t id, revision;
    bool disable;
    const char *reason;
};

static void apply(void *ctx)
{
    struct change *c = ctx;
    roster_put_department(c->roster, c->id, c->spec->parent_id);
}

static bool create(struct store_db *db, void *ctx, struct err *e)
{
    struct change *c = ctx;
    return insert(db, c->actor, c->spec, &c->id, e);
}

bool department_create(const struct auth *a, const struct audit_actor *actor,
                       const struct department_spec *spec, int64_t *id, struct err *e)
{
    struct change c = {.roster = a->roster, .actor = actor, .spec = spec};
    if (!spec_valid(spec, e) || !act_commit(a->store, create, apply, &c, e))
        return false;
    *id = c.id;
    return true;
}

static bool change(struct store_db *db, void *ctx, struct err *e)
{
    struct change *c = ctx;
    struct department before, after;
    struct store_stmt *st;
    if (!department_read(db, c->id, &before, e) ||
        !store_same_revision(c->revision, before.revision, e) ||
        (c->spec->parent_id != before.parent_id &&
         !check_place(db, c->id, c->spec->parent_id, e)) ||
        !store_query(
            db,
            "UPDATE department SET parent_id = nullif(?2, 0), name = ?3, keep_prompts = ?4,"
            " keep_days = ?5, revision = revision + 1 WHERE id = ?1",
            &st, e))
        return false;
    store_bind_int(st, 0, c->id);
    store_bind_int(st, 1, c->spec->parent_id);
    store_bind_text(st, 2, c->spec->name);
    store_bind_int(st, 3, c->spec->keep_prompts);
    store_bind_int(st, 4, c->spec->keep_days);
    if (!store_run(db, st, NULL, e))
        return name_taken(e, c->spec->name);
    return department_read(db, c->id, &after, e) &&
           act_record_take(db, c->actor, "department.change", "department", c->id, to_json(&before),
                           to_json(&after), c->reason, e);
}

bool department_change(const struct auth *a, const struct audit_actor *actor, int64_t id,
                       int64_t revision, const struct department_spec *spec, const char *reason,
                       struct err *e)
{
    struct change c = {.roster = a->roster,
                       .actor = actor,
                       .spec = spec,
                       .id = id,
                       .revision = revision,
                       .reason = reason};
    return spec_valid(spec, e) && act_commit(a->store, change, apply, &c, e);
}

static bool has_active(struct store_db *db, int64_t id, int64_t *any, struct err *e)
{
    struct store_stmt *st;
    if (!store_query(
            db,
            "SELECT EXISTS (SELECT 1 FROM person WHERE department_id = ?1 AND disabled_at IS"
            " NULL) OR EXISTS (SELECT 1 FROM department WHERE parent_id = ?1 AND disabled_at"
            " IS NULL)",
            &st, e))
        return false;
    store_bind_int(st, 0, id);
    return store_first_int(st, 0, any, e);
}

static bool disable(struct store_db *db, void *ctx, struct err *e)
{
    struct change *c = ctx;
    struct department before, after;
    struct store_stmt *st;
    int64_t busy = 0;
    if (!department_read(db, c->id, &before, e) ||
        !store_same_revision(c->revision, before.revision, e))
        return false;
    if (c->disable ? !has_active(db, c->id, &busy, e)
                   : !check_place(db, c->id, before.parent_id, e))
        return false;
    if (busy)
        FAIL(e, ERR_CONFLICT, "the department has active persons or departments: move them first");
    if (!store_query(
            db, "UPDATE department SET disabled_at = ?2, revision = revision + 1 WHERE id = ?1",
            &st, e))
        return false;
    store_bind_int(st, 0, c->id);
    if (c->disable)
        store_bind_int(st, 1, before.disabled_at ? before.disabled_at : clock_wall_s());
    else
        store_bind_null(st, 1);
    return store_run(db, st, NULL, e) && department_read(db, c->id, &after, e) &&
           act_record_take(db, c->actor, c->disable ? "department.disable" : "department.enable",
                           "department", c->id, to_json(&before), to_json(&after), c->reason, e);
}

bool department_disable(const struct auth *a, const struct audit_actor *actor, int64_t id,
                        int64_t revision, bool off, const char *reason, struct err *e)
{
    struct change c = {
        .actor = actor, .id = id, .revision = revision, .disable = off, .reason = reason};
    return act_commit(a->store, disable, NULL, &c, e);
}

/* ---- finding --------------------------------------------------------------------------------- */

struct get {
    int64_t id;
    struct department *out;
};

static bool get(struct store_db *db, void *ctx, struct err *e)
{
    struct get *g = ctx;
    return department_read(db, g->id, g->out, e);
}

bool department_get(const struct auth *a, int64_t id, struct department *out, struct err *e)
{
    struct get g = {id, out};
    return store_read(a->store, get, &g, e);
}

struct listing {
    const struct department_filter *filter;
    int64_t next;
    department_fn *fn;
    void *ctx;
};

static bool row(void *ctx, struct store_stmt *st, int64_t *id, struct err *e)
{
    struct listing *l = ctx;
    struct department d;
    read_row(st, &d);
    *id = d.id;
    return l->fn(l->ctx, &d, e);
}

static bool list(struct store_db *db, void *ctx, struct err *e)
{
    struct listing *l = ctx;
    const struct department_filter *f = l->filter;
    struct store_stmt *st;
    if (!store_query(db,
                     "SELECT " COLUMNS " FROM department WHERE id > ?1"
                     " AND (?2 = -1 OR coalesce(parent_id, 0) = ?2)"
                     " AND (?3 = 0 OR (disabled_at IS NULL) = (?3 = 1))"
                     " AND (?4 IS NULL OR instr(lower(name), lower(?4)))"
                     " ORDER BY id LIMIT ?5 + 1",
                     &st, e))
        return false;
    store_bind_int(st, 0, f->after_id);
    store_bind_int(st, 1, f->parent_id);
    store_bind_int(st, 2, f->state);
    store_bind_text(st, 3, f->text);
    store_bind_int(st, 4, f->limit);
    return act_page(st, f->limit, row, l, &l->next, e);
}

bool department_list(const struct auth *a, const struct department_filter *f, department_fn *fn,
                     void *ctx, int64_t *next, struct err *e)
{
    struct listing l = {.filter = f, .fn = fn, .ctx = ctx};
    *next = 0;
    if (!act_limit_valid(f->limit, PEOPLE_PAGE, e))
        return false;
    if (!store_read(a->store, list, &l, e))
        return false;
    *next = l.next;
    return true;
}

/* ---- paths ----------------------------------------------------------------------------------- */

static bool child_of(struct store_db *db, int64_t parent_id, const char *name, int64_t *id,
                     bool *disabled, struct err *e)
{
    struct store_stmt *st;
    bool row;
    if (!store_query(db,
                     "SELECT id, disabled_at FROM department"
                     " WHERE coalesce(parent_id, 0) = ?1 AND name = ?2",
                     &st, e))
        return false;
    store_bind_int(st, 0, parent_id);
    store_bind_text(st, 1, name);
    if (!store_step(st, &row, e))
        return false;
    *id = row ? store_int(st, 0) : 0;
    *disabled = row && !store_is_null(st, 1);
    store_done(st);
    return true;
}

/* What a walk along a path found or made. */
struct path {
    struct roster *roster;
    const struct audit_actor *actor; /* NULL: nothing is created */
    const char *text;
    int64_t id;
    struct {
        int64_t id, parent_id;
    } made[PEOPLE_DEPTH];
    int n_made;
};

static bool walk_path(struct store_db *db, void *ctx, struct err *e)
{
    struct path *p = ctx;
    char name[PEOPLE_NAME_TEXT];
    const char *at = p->text;
    p->id = 0;
    for (int level = 0; level < PEOPLE_DEPTH; level++) {
        size_t len = strcspn(at, "/");
        int64_t parent = p->id;
        bool disabled;
        snprintf(name, sizeof name, "%.*s", (int)(len < sizeof name ? len : sizeof name), at);
        struct department_spec spec = {.parent_id = parent, .name = name, .keep_days = 30};
        if (len >= sizeof name || !spec_valid(&spec, e))
            FAIL(e, ERR_ARG, "the path \"%.100s\" names no possible department", p->text);
        if (!child_of(db, parent, name, &p->id, &disabled, e))
            return false;
        if (disabled)
            FAIL(e, ERR_DENIED, "the department \"%.100s\" is disabled", p->text);
        if (!p->id && !p->actor)
            FAIL(e, ERR_NOT_FOUND, "there is no department \"%.100s\"", p->text);
        if (!p->id) {
            if (!insert(db, p->actor, &spec, &p->id, e))
                return false;
            p->made[p->n_made].id = p->id;
            p->made[p->n_made++].parent_id = parent;
        }
        if (!at[len])
            return true;
        at += len + 1;
    }
    FAIL(e, ERR_ARG, "departments are at most %d levels deep", PEOPLE_DEPTH);
}

static void apply_path(void *ctx)
{
    struct path *p = ctx;
    for (int i = 0; i < p->n_made; i++)
        roster_put_department(p->roster, p->made[i].id, p->made[i].parent_id);
}

bool department_find(const struct auth *a, const char *text, int64_t *id, struct err *e)
{
    struct path p = {.text = text};
    if (!store_read(a->store, walk_path, &p, e))
        return false;
    *id = p.id;
    return true;
}

bool department_ensure(const struct auth *a, const struct audit_actor *actor, const char *text,
                       int64_t *id, struct err *e)
{
    if (department_find(a, text, id, NULL))
        return true;
    struct path p = {.roster = a->roster, .actor = actor, .text = text};
    if (!act_commit(a->store, walk_path, apply_path, &p, e))
        return false;
    *id = p.id;
    return true;
}

bool department_put_path(struct store_db *db, const struct audit_actor *actor, const char *text,
                         int64_t *id, struct err *e)
{
    struct path p = {.actor = actor, .text = text};
    if (!walk_path(db, &p, e))
        return false;
    *id = p.id;
    return true;
}
