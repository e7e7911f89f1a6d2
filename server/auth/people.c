/* Owns: the table `person`: who they are, where they belong, which roles they have.
 * Refuses to know: passwords, keys, who may change a person. Departments: department.c. */
#include <config.h>

#include "auth/people.h"

#include <stdio.h>
#include <string.h>

#include "auth/act.h"
#include "auth/auth.h"
#include "auth/principal.h"
#include "auth/roster.h"
#include "auth/session.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "store/store.h"

/* ---- rows ------------------------------------------------------------------------------------ */

#define COLUMNS                                                                                    \
    "id, login, name, email, department_id, roles, source, created_at, disabled_at, "              \
    "last_login_at,"                                                                               \
    " revision"

static void read_row(struct store_stmt *st, struct person *p)
{
    *p = (struct person){.id = store_int(st, 0),
                         .department_id = store_int(st, 4),
                         .roles = (uint32_t)store_int(st, 5),
                         .created_at = store_int(st, 7),
                         .disabled_at = store_int(st, 8),
                         .last_login_at = store_int(st, 9),
                         .revision = store_int(st, 10)};
    snprintf(p->login, sizeof p->login, "%s", store_text(st, 1));
    snprintf(p->name, sizeof p->name, "%s", store_text(st, 2));
    snprintf(p->email, sizeof p->email, "%s", store_text(st, 3));
    snprintf(p->source, sizeof p->source, "%s", store_text(st, 6));
}

/* One row or ERR_NOT_FOUND; `st` is bound and done with afterwards. */
static bool read_one(struct store_stmt *st, struct person *out, struct err *e)
{
    bool row;
    if (!store_step(st, &row, e))
        return false;
    if (row)
        read_row(st, out);
    store_done(st);
    if (!row)
        FAIL(e, ERR_NOT_FOUND, "there is no such person");
    return true;
}

bool person_read(struct store_db *db, int64_t id, struct person *out, struct err *e)
{
    struct store_stmt *st;
    if (!store_query(db, "SELECT " COLUMNS " FROM person WHERE id = ?1", &st, e))
        return false;
    store_bind_int(st, 0, id);
    return read_one(st, out, e);
}

static json_t *to_json(const struct person *p)
{
    return json_pack("{ss ss ss sI si ss sb}", "login", p->login, "name", p->name, "email",
                     p->email, "department_id", (json_int_t)p->department_id, "roles",
                     (int)p->roles, "source", p->source, "disabled", p->disabled_at != 0);
}

/* ---- what is allowed ------------------------------------------------------------------------- */

static bool roles_valid(uint32_t roles, const char *source, struct err *e)
{
    const uint32_t all = ROLE_ADMIN | ROLE_EDITOR | ROLE_APPROVER | ROLE_AUDITOR | ROLE_USER |
                         ROLE_SERVICE;
    if (roles & ~all)
        FAIL(e, ERR_ARG, "there is no such role");
    if ((roles & ROLE_AUDITOR) && (roles & (ROLE_ADMIN | ROLE_EDITOR | ROLE_APPROVER)))
        FAIL(e, ERR_ARG, "an auditor changes nothing: not together with admin, editor or approver");
    if ((roles & ROLE_SERVICE) && (roles & (ROLE_ADMIN | ROLE_APPROVER | ROLE_USER)))
        FAIL(e, ERR_ARG, "a service is no person: not together with admin, approver or user");
    if ((roles & ROLE_SERVICE) && strcmp(source, "local") != 0)
        FAIL(e, ERR_ARG, "a service does not come from an identity provider");
    return true;
}

static bool fields_valid(const struct person_spec *s, const char *source, struct err *e)
{
    return act_text_valid(s->name, PEOPLE_NAME_BYTES, true, "the name", e) &&
           act_text_valid(s->email, PEOPLE_EMAIL_BYTES, true, "the e-mail address", e) &&
           roles_valid(s->roles, source, e);
}

/* Of a login that is made up here: what an input method slips in, what command lines read as an option
 * and what lists are split at. Directories have their own rules. */
static bool login_writable(const char *login, struct err *e)
{
    uint32_t c;
    if (*login == '-')
        FAIL(e, ERR_ARG, "the login must not begin with -");
    for (size_t left = strlen(login), n; left; login += n, left -= n) {
        n = utf8_decode(login, left, &c);
        if (!n || c == ',' || c == ';' || (c >= 0x2000 && c <= 0x206f) ||
            (c >= 0x3000 && c <= 0x303f) || (c >= 0xff00 && c <= 0xffef))
            FAIL(e, ERR_ARG, "the login must not hold commas, semicolons, full-width forms or "
                 "punctuation of Chinese typing");
    }
    return true;
}

static bool spec_valid(const struct person_spec *s, struct err *e)
{
    if (!act_text_valid(s->login, PEOPLE_NAME_BYTES, false, "the login", e))
        return false;
    if (strchr(s->login, ' '))
        FAIL(e, ERR_ARG, "the login must not contain blanks");
    if (!s->subject && !login_writable(s->login, e))
        return false;
    if (strcmp(s->source, "local") != 0 && strcmp(s->source, "ldap") != 0 &&
        strcmp(s->source, "oidc") != 0)
        FAIL(e, ERR_ARG, "a person is local or comes from ldap or oidc");
    if ((strcmp(s->source, "local") == 0) != !s->subject)
        FAIL(e, ERR_ARG, "who comes from an identity provider has a subject there, nobody else");
    if (s->subject && !act_text_valid(s->subject, PEOPLE_SUBJECT_BYTES, false, "the subject", e))
        return false;
    return fields_valid(s, s->source, e);
}

static bool department_open(struct store_db *db, int64_t id, struct err *e)
{
    struct department d;
    if (!department_read(db, id, &d, e))
        return false;
    if (d.disabled_at)
        FAIL(e, ERR_ARG, "the department \"%.100s\" is disabled", d.name);
    return true;
}

/* That somebody else is an active administrator. */
static bool another_admin(struct store_db *db, int64_t id, struct err *e)
{
    struct store_stmt *st;
    int64_t found;
    if (!store_query(db,
                     "SELECT EXISTS (SELECT 1 FROM person WHERE roles & 1 AND disabled_at IS NULL"
                     " AND id <> ?1)",
                     &st, e))
        return false;
    _Static_assert(ROLE_ADMIN == 1, "the bit in the statement");
    store_bind_int(st, 0, id);
    if (!store_first_int(st, 0, &found, e))
        return false;
    if (!found)
        FAIL(e, ERR_CONFLICT, "this is the last administrator: name another one first");
    return true;
}

/* ---- creating -------------------------------------------------------------------------------- */

bool person_put(struct store_db *db, const struct audit_actor *actor,
                const struct person_spec *spec, int64_t *id, struct err *e)
{
    struct store_stmt *st;
    struct person p;
    if (!department_open(db, spec->department_id, e) ||
        !store_query(
            db,
            "INSERT INTO person (login, name, email, department_id, roles, source, subject,"
            " created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            &st, e))
        return false;
    store_bind_text(st, 0, spec->login);
    store_bind_text(st, 1, spec->name);
    store_bind_text(st, 2, spec->email);
    store_bind_int(st, 3, spec->department_id);
    store_bind_int(st, 4, spec->roles);
    store_bind_text(st, 5, spec->source);
    store_bind_text(st, 6, spec->subject);
    store_bind_int(st, 7, clock_wall_s());
    if (!store_run(db, st, NULL, e)) {
        if (e && e->code == ERR_CONFLICT)
            err_set(e, ERR_CONFLICT, 0, __FILE__, __LINE__, "the login \"%.100s\" is taken",
                    spec->login);
        return false;
    }
    *id = store_last_id(db);
    return person_read(db, *id, &p, e) &&
           act_record_take(db, actor, "person.create", "person", *id, NULL, to_json(&p), "", e);
}

struct change {
    struct roster *roster;
    const struct audit_actor *actor;
    const struct person_spec *spec;
    int64_t id, revision;
    bool disable;
    const char *reason;
    struct roster_person after;
};

static void apply(void *ctx)
{
    struct change *c = ctx;
    roster_put_person(c->roster, &c->after);
}

static bool create(struct store_db *db, void *ctx, struct err *e)
{
    struct change *c = ctx;
    return person_put(db, c->actor, c->spec, &c->id, e) &&
           roster_read_person(db, c->id, &c->after, e);
}

bool person_create(const struct auth *a, const struct audit_actor *actor,
                   const struct person_spec *spec, int64_t *id, struct err *e)
{
    struct change c = {.roster = a->roster, .actor = actor, .spec = spec};
    if (!spec_valid(spec, e) || !act_commit(a->store, create, apply, &c, e))
        return false;
    *id = c.id;
    return true;
}

/* ---- changing -------------------------------------------------------------------------------- */

static bool update(struct store_db *db, struct change *c, const struct person *before,
                   struct err *e)
{
    struct store_stmt *st;
    struct person after;
    const struct person_spec *s = c->spec;
    bool demoted = (before->roles & ~s->roles) != 0;
    if (!fields_valid(s, before->source, e) ||
        (s->department_id != before->department_id && !department_open(db, s->department_id, e)))
        return false;
    if ((before->roles & ~s->roles & ROLE_ADMIN) && !before->disabled_at &&
        !another_admin(db, c->id, e))
        return false;
    if (!store_query(db,
                     "UPDATE person SET name = ?2, email = ?3, department_id = ?4, roles = ?5,"
                     " revision = revision + 1 WHERE id = ?1",
                     &st, e))
        return false;
    store_bind_int(st, 0, c->id);
    store_bind_text(st, 1, s->name);
    store_bind_text(st, 2, s->email);
    store_bind_int(st, 3, s->department_id);
    store_bind_int(st, 4, s->roles);
    return store_run(db, st, NULL, e) && (!demoted || session_end_all(db, c->id, NULL, NULL, e)) &&
           person_read(db, c->id, &after, e) &&
           act_record_take(db, c->actor, "person.change", "person", c->id, to_json(before),
                           to_json(&after), c->reason, e) &&
           roster_read_person(db, c->id, &c->after, e);
}

static bool change(struct store_db *db, void *ctx, struct err *e)
{
    struct change *c = ctx;
    struct person before;
    return person_read(db, c->id, &before, e) &&
           store_same_revision(c->revision, before.revision, e) && update(db, c, &before, e);
}

bool person_change(const struct auth *a, const struct audit_actor *actor, int64_t id,
                   int64_t revision, const struct person_spec *spec, const char *reason,
                   struct err *e)
{
    struct change c = {.roster = a->roster,
                       .actor = actor,
                       .spec = spec,
                       .id = id,
                       .revision = revision,
                       .reason = reason};
    return act_commit(a->store, change, apply, &c, e);
}

static bool disable(struct store_db *db, void *ctx, struct err *e)
{
    struct change *c = ctx;
    struct person before, after;
    struct store_stmt *st;
    if (!person_read(db, c->id, &before, e) || !store_same_revision(c->revision, before.revision, e))
        return false;
    if (c->disable && (before.roles & ROLE_ADMIN) && !before.disabled_at &&
        !another_admin(db, c->id, e))
        return false;
    if (!c->disable && !department_open(db, before.department_id, e))
        return false;
    if (!store_query(db,
                     "UPDATE person SET disabled_at = ?2, revision = revision + 1 WHERE id = ?1",
                     &st, e))
        return false;
    store_bind_int(st, 0, c->id);
    if (c->disable)
        store_bind_int(st, 1, before.disabled_at ? before.disabled_at : clock_wall_s());
    else
        store_bind_null(st, 1);
    return store_run(db, st, NULL, e) && session_end_all(db, c->id, NULL, NULL, e) &&
           person_read(db, c->id, &after, e) &&
           act_record_take(db, c->actor, c->disable ? "person.disable" : "person.enable", "person",
                           c->id, to_json(&before), to_json(&after), c->reason, e) &&
           roster_read_person(db, c->id, &c->after, e);
}

bool person_disable(const struct auth *a, const struct audit_actor *actor, int64_t id,
                    int64_t revision, bool off, const char *reason, struct err *e)
{
    struct change c = {.roster = a->roster,
                       .actor = actor,
                       .id = id,
                       .revision = revision,
                       .disable = off,
                       .reason = reason};
    return act_commit(a->store, disable, apply, &c, e);
}

/* ---- finding --------------------------------------------------------------------------------- */

struct get {
    int64_t id;
    const char *login, *source, *subject;
    struct person *out;
};

static bool get(struct store_db *db, void *ctx, struct err *e)
{
    struct get *g = ctx;
    return person_read(db, g->id, g->out, e);
}

bool person_get(const struct auth *a, int64_t id, struct person *out, struct err *e)
{
    struct get g = {.id = id, .out = out};
    return store_read(a->store, get, &g, e);
}

static bool get_by_login(struct store_db *db, void *ctx, struct err *e)
{
    struct get *g = ctx;
    struct store_stmt *st;
    if (!store_query(db, "SELECT " COLUMNS " FROM person WHERE login = ?1", &st, e))
        return false;
    store_bind_text(st, 0, g->login);
    return read_one(st, g->out, e);
}

bool person_by_login(const struct auth *a, const char *login, struct person *out, struct err *e)
{
    struct get g = {.login = login, .out = out};
    return store_read(a->store, get_by_login, &g, e);
}

/* ---- identity providers ---------------------------------------------------------------------- */

static bool find_subject(struct store_db *db, const char *source, const char *subject, int64_t *id,
                         struct err *e)
{
    struct store_stmt *st;
    if (!store_query(db, "SELECT id FROM person WHERE source = ?1 AND subject = ?2", &st, e))
        return false;
    store_bind_text(st, 0, source);
    store_bind_text(st, 1, subject);
    return store_first_int(st, 0, id, e);
}

static bool get_by_subject(struct store_db *db, void *ctx, struct err *e)
{
    struct get *g = ctx;
    return find_subject(db, g->source, g->subject, &g->id, e) && person_read(db, g->id, g->out, e);
}

bool person_by_subject(const struct auth *a, const char *source, const char *subject,
                       struct person *out, struct err *e)
{
    struct get g = {.source = source, .subject = subject, .out = out};
    return store_read(a->store, get_by_subject, &g, e);
}

static bool same_as(const struct person *p, const struct person_spec *s)
{
    return strcmp(p->name, s->name) == 0 && strcmp(p->email, s->email) == 0 &&
           p->department_id == s->department_id && p->roles == s->roles;
}

static bool arrive(struct store_db *db, void *ctx, struct err *e)
{
    struct change *c = ctx;
    struct person p;
    if (!find_subject(db, c->spec->source, c->spec->subject, &c->id, e))
        return false;
    if (!c->id)
        return create(db, c, e);
    if (!person_read(db, c->id, &p, e))
        return false;
    if (p.disabled_at)
        FAIL(e, ERR_NOT_FOUND, "this person is disabled");
    return same_as(&p, c->spec) ? roster_read_person(db, c->id, &c->after, e)
                                : update(db, c, &p, e);
}

bool person_from_provider(const struct auth *a, const struct audit_actor *actor,
                          const struct person_spec *spec, int64_t *id, struct err *e)
{
    struct change c = {
        .roster = a->roster, .actor = actor, .spec = spec, .reason = "identity provider"};
    if (!spec->subject)
        FAIL(e, ERR_ARG, "who comes from an identity provider has a subject there");
    if (!spec_valid(spec, e) || !act_commit(a->store, arrive, apply, &c, e))
        return false;
    *id = c.id;
    return true;
}

/* ---- lists ----------------------------------------------------------------------------------- */

struct listing {
    const struct person_filter *filter;
    char pattern[2 * PEOPLE_NAME_BYTES + 3]; /* for LIKE, or "" */
    person_fn *fn;
    void *ctx;
    int64_t next;
};

static bool make_pattern(const char *text, char *out, size_t out_bytes)
{
    size_t n = 0;
    out[n++] = '%';
    for (const char *c = text; *c; c++) {
        if (n + 4 > out_bytes)
            return false;
        if (*c == '%' || *c == '_' || *c == '\\')
            out[n++] = '\\';
        out[n++] = *c;
    }
    out[n++] = '%';
    out[n] = '\0';
    return true;
}

static bool row(void *ctx, struct store_stmt *st, int64_t *id, struct err *e)
{
    struct listing *l = ctx;
    struct person p;
    read_row(st, &p);
    *id = p.id;
    return l->fn(l->ctx, &p, e);
}

static bool list(struct store_db *db, void *ctx, struct err *e)
{
    struct listing *l = ctx;
    const struct person_filter *f = l->filter;
    struct store_stmt *st;
    if (!store_query(db,
                     "WITH RECURSIVE below (id) AS (SELECT ?2 UNION SELECT d.id FROM department d"
                     " JOIN below ON d.parent_id = below.id WHERE ?3)"
                     " SELECT " COLUMNS " FROM person WHERE id > ?1"
                     " AND (?2 = 0 OR department_id IN (SELECT id FROM below))"
                     " AND (?4 = 0 OR roles & ?4)"
                     " AND (?5 = 0 OR (disabled_at IS NULL) = (?5 = 1))"
                     " AND (?6 IS NULL OR source = ?6)"
                     " AND (?7 IS NULL OR login LIKE ?7 ESCAPE '\\' OR name LIKE ?7 ESCAPE '\\'"
                     "  OR email LIKE ?7 ESCAPE '\\')"
                     " ORDER BY id LIMIT ?8 + 1",
                     &st, e))
        return false;
    store_bind_int(st, 0, f->after_id);
    store_bind_int(st, 1, f->department_id);
    store_bind_int(st, 2, f->below);
    store_bind_int(st, 3, f->roles);
    store_bind_int(st, 4, f->state);
    store_bind_text(st, 5, f->source);
    store_bind_text(st, 6, l->pattern[0] ? l->pattern : NULL);
    store_bind_int(st, 7, f->limit);
    return act_page(st, f->limit, row, l, &l->next, e);
}

bool person_list(const struct auth *a, const struct person_filter *f, person_fn *fn, void *ctx,
                 int64_t *next, struct err *e)
{
    struct listing l = {.filter = f, .fn = fn, .ctx = ctx};
    *next = 0;
    if (!act_limit_valid(f->limit, PEOPLE_PAGE, e))
        return false;
    if (f->text && f->text[0] && !make_pattern(f->text, l.pattern, sizeof l.pattern))
        FAIL(e, ERR_ARG, "the text to look for is too long");
    if (!store_read(a->store, list, &l, e))
        return false;
    *next = l.next;
    return true;
}
