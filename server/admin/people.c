/* Owns: departments and persons as JSON, and which of them a caller sees.
 * Refuses to know: the rules of the tables (auth/people). */
#include <config.h>

#include "admin/admin.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "admin/login.h"
#include "api/schema.h"
#include "auth/auth.h"
#include "auth/lockout.h"
#include "auth/password.h"
#include "auth/people.h"
#include "auth/session.h"
#include "auth/vault.h"
#include "service/service.h"

/* A change of `disabled` is an act of its own; together with others half of it could fail. */
static bool check_alone(const json_t *body, bool changes, struct api_error *e)
{
    return !changes || json_object_size(body) == 1 ||
           api_fail(e, API_INVALID_VALUE, "disabled",
                    "Send 'disabled' alone, other changes in a request of their own.");
}

/* ---- departments: JSON ------------------------------------------------------------------------ */

static json_t *department_json(const struct department *d)
{
    return json_pack("{s:I, s:o, s:s, s:b, s:i, s:I, s:b, s:o, s:I}", "id", (json_int_t)d->id,
                     "parent_id", admin_or_null(d->parent_id), "name", d->name, "keep_prompts",
                     d->keep_prompts, "keep_days", d->keep_days, "created_at",
                     (json_int_t)d->created_at, "disabled", d->disabled_at != 0, "disabled_at",
                     admin_or_null(d->disabled_at), "revision", (json_int_t)d->revision);
}

struct department_body {
    int64_t parent_id, keep_days;
    const char *name;
    bool keep_prompts, disabled;
};

#define AT(member) offsetof(struct department_body, member)
#define DEPARTMENT_FIELDS(name_required)                                                           \
    {"name", SCHEMA_STRING, 1, PEOPLE_NAME_BYTES, AT(name), name_required, NULL, NULL,             \
     "unique below its parent, without '/'", NULL},                                                \
        {"parent_id", SCHEMA_INT, 0, ADMIN_ID_MAX, AT(parent_id), false, NULL, NULL,               \
         "the department above; 0 or null = none", NULL},                                          \
        {"keep_prompts", SCHEMA_BOOL, 0, 0, AT(keep_prompts), false, NULL, "false",                \
         "keep what is asked and answered, encrypted", NULL},                                      \
    {                                                                                              \
        "keep_days", SCHEMA_INT, 1, 3650, AT(keep_days), false, NULL, "30", "for so many days",    \
            NULL                                                                                   \
    }
static const struct schema_field department_new_fields[] = {DEPARTMENT_FIELDS(true)};
static const struct schema_field department_fields[] = {
    DEPARTMENT_FIELDS(false),
    {"disabled", SCHEMA_BOOL, 0, 0, AT(disabled), false, NULL, NULL,
     "takes no members any more; to be sent alone", NULL},
};
#undef AT
static const struct schema department_new = {
    "POST /admin/v1/departments", department_new_fields,
    sizeof department_new_fields / sizeof department_new_fields[0]};
static const struct schema department_patch = {
    "PATCH /admin/v1/departments/{id}", department_fields,
    sizeof department_fields / sizeof department_fields[0]};

static struct department_spec department_spec_of(const struct department_body *b)
{
    return (struct department_spec){.parent_id = b->parent_id,
                                    .name = b->name,
                                    .keep_prompts = b->keep_prompts,
                                    .keep_days = (int)b->keep_days};
}

/* ---- departments: reading --------------------------------------------------------------------- */

static bool sees_department(const struct api_call *call, int64_t id)
{
    struct authority_owner owner = {.department_id = id};
    return authority_may(call->service->auth, &call->grant->principal, AUTHORITY_DEPARTMENT,
                         AUTHORITY_READ, &owner);
}

/* The one of the path, if the caller sees it. */
static bool find_department(const struct api_call *call, struct department *d, struct api_error *e)
{
    struct err why = ERR_INIT;
    int64_t id;
    if (!api_param_id(call, 0, &id, e))
        return false;
    if (!sees_department(call, id))
        return api_fail(e, API_NOT_FOUND, NULL, "there is no such department");
    return department_get(call->service->auth, id, d, &why) || api_fail_act(e, &why);
}

static void show_department(const struct api_call *call, int64_t id, unsigned status,
                            struct api_answer *answer)
{
    struct department d;
    struct err e = ERR_INIT;
    if (!department_get(call->service->auth, id, &d, &e)) {
        api_answer_act(answer, &e);
        return;
    }
    api_answer_etag(answer, d.revision);
    api_answer_json_take(answer, status, department_json(&d));
}

static void department_one(const struct api_call *call, struct api_answer *answer)
{
    struct api_error e = API_ERROR_INIT;
    struct department d;
    if (find_department(call, &d, &e))
        show_department(call, d.id, 200, answer);
    else
        api_answer_error(answer, &e);
}

static bool add_department(void *ctx, const struct department *d, struct err *e)
{
    (void)e;
    json_array_append_new(ctx, department_json(d));
    return true;
}

static int by_id(const void *a, const void *b)
{
    const struct department *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

/* ASCII case ignored, as in the lists of the database. */
static bool contains(const char *text, const char *part)
{
    size_t len = strlen(part);
    while (strlen(text) > len && strncasecmp(text, part, len))
        text++;
    return !strncasecmp(text, part, len);
}

static bool fits(const struct department_filter *f, const struct department *d)
{
    return (f->parent_id < 0 || f->parent_id == d->parent_id) &&
           (f->state == PEOPLE_ANY || (f->state == PEOPLE_ACTIVE) == !d->disabled_at) &&
           (!f->text || contains(d->name, f->text));
}

/* The caller's department and those above it, which is all that most people see: at most PEOPLE_DEPTH,
 * never more than a page. */
static bool list_own_line(const struct api_call *call, const struct department_filter *f, json_t *list,
                          int64_t *next, struct err *e)
{
    struct department line[PEOPLE_DEPTH];
    size_t n = 0;
    *next = 0;
    for (int64_t id = call->grant->principal.department_id; id && n < PEOPLE_DEPTH; n++) {
        if (!department_get(call->service->auth, id, &line[n], e))
            return false;
        id = line[n].parent_id;
    }
    qsort(line, n, sizeof line[0], by_id);
    for (size_t i = 0; i < n; i++) {
        if (line[i].id <= f->after_id || !fits(f, &line[i]))
            continue;
        if (json_array_size(list) == f->limit) {
            *next = line[i - 1].id;
            break;
        }
        json_array_append_new(list, department_json(&line[i]));
    }
    return true;
}

static bool read_state(const struct api_call *call, enum people_state *out, struct api_error *e)
{
    static const char *const words[] = {NULL, "active", "disabled"};
    size_t state;
    if (!admin_query_word(call, "state", words, 3, PEOPLE_ANY, &state, e))
        return false;
    *out = (enum people_state)state;
    return true;
}

static bool read_department_filter(const struct api_call *call, struct department_filter *f,
                                   struct api_error *e)
{
    f->text = api_query(call, "text");
    return admin_page(call, &f->after_id, &f->limit, e) && read_state(call, &f->state, e) &&
           api_query_int(call, "parent_id", 0, INT64_MAX, -1, &f->parent_id, e);
}

static void departments_list(const struct api_call *call, struct api_answer *answer)
{
    struct api_error e = API_ERROR_INIT;
    struct err why = ERR_INIT;
    struct department_filter f = {.limit = 0};
    int64_t next;
    if (!read_department_filter(call, &f, &e)) {
        api_answer_error(answer, &e);
        return;
    }
    json_t *list = json_array();
    bool all = authority_reach(&call->grant->principal, AUTHORITY_DEPARTMENT, AUTHORITY_READ) ==
               AUTHORITY_ALL;
    if (all ? department_list(call->service->auth, &f, add_department, list, &next, &why)
            : list_own_line(call, &f, list, &next, &why)) {
        admin_list_take(answer, list, next);
    } else {
        api_answer_act(answer, &why);
        json_decref(list);
    }
}

/* ---- departments: changes --------------------------------------------------------------------- */

static void department_add(const struct api_call *call, struct api_answer *answer)
{
    struct api_error e = API_ERROR_INIT;
    struct err why = ERR_INIT;
    struct department_body b = {.keep_days = 30};
    struct audit_actor actor = api_actor(call);
    int64_t id;
    json_t *body = api_body(call, &department_new, &b, &e);
    struct department_spec spec = department_spec_of(&b);
    if (!body) {
        api_answer_error(answer, &e);
    } else if (!department_create(call->service->auth, &actor, &spec, &id, &why)) {
        api_answer_act(answer, &why);
    } else {
        service_limits_changed(call->service);
        show_department(call, id, 201, answer);
    }
    json_decref(body);
}

static bool department_put(const struct api_call *call, const struct department *d,
                           int64_t revision, const json_t *body, const struct department_body *b,
                           struct api_error *e)
{
    const struct auth *a = call->service->auth;
    struct audit_actor actor = api_actor(call);
    struct department_spec spec = department_spec_of(b);
    struct err why = ERR_INIT;
    bool turns = b->disabled != (d->disabled_at != 0);
    if (!check_alone(body, turns, e))
        return false;
    if (turns ? department_disable(a, &actor, d->id, revision, b->disabled, call->reason, &why)
              : department_change(a, &actor, d->id, revision, &spec, call->reason, &why))
        return true;
    return api_fail_act(e, &why);
}

static void department_edit(const struct api_call *call, struct api_answer *answer)
{
    struct api_error e = API_ERROR_INIT;
    struct department d;
    int64_t revision;
    json_t *body = NULL;
    bool ok = find_department(call, &d, &e) && api_revision(call, &revision, &e);
    if (ok) {
        struct department_body b = {.parent_id = d.parent_id,
                                    .keep_days = d.keep_days,
                                    .name = d.name,
                                    .keep_prompts = d.keep_prompts,
                                    .disabled = d.disabled_at != 0};
        body = api_body(call, &department_patch, &b, &e);
        if (body && json_is_null(json_object_get(body, "parent_id")))
            b.parent_id = 0;
        ok = body && department_put(call, &d, revision, body, &b, &e);
    }
    if (ok) {
        service_limits_changed(call->service);
        show_department(call, d.id, 200, answer);
    } else {
        api_answer_error(answer, &e);
    }
    json_decref(body);
}

/* ---- persons: JSON ---------------------------------------------------------------------------- */

static json_t *person_json(const struct person *p)
{
    return json_pack("{s:I, s:s, s:s, s:s, s:I, s:o, s:s, s:I, s:b, s:o, s:o, s:I}", "id",
                     (json_int_t)p->id, "login", p->login, "name", p->name, "email", p->email,
                     "department_id", (json_int_t)p->department_id, "roles",
                     admin_roles_json(p->roles), "source", p->source, "created_at",
                     (json_int_t)p->created_at, "disabled", p->disabled_at != 0, "disabled_at",
                     admin_or_null(p->disabled_at), "last_login_at",
                     admin_or_null(p->last_login_at), "revision", (json_int_t)p->revision);
}

struct person_body {
    const char *login, *name, *email;
    int64_t department_id;
    uint32_t roles;
    bool disabled;
};

static bool parse_roles(const struct schema_field *f, const json_t *v, void *target,
                        struct api_error *e)
{
    struct person_body *b = target;
    return admin_roles_read(v, f->name, &b->roles, e);
}

#define AT(member) offsetof(struct person_body, member)
#define PERSON_FIELDS(required)                                                                    \
    {"name", SCHEMA_STRING, 0, PEOPLE_NAME_BYTES, AT(name), false, NULL, "\"\"", "for people",     \
     NULL},                                                                                        \
        {"email", SCHEMA_STRING, 0, PEOPLE_EMAIL_BYTES, AT(email), false, NULL, "\"\"",            \
         "e-mail address", NULL},                                                                  \
        {"department_id", SCHEMA_INT, 1, ADMIN_ID_MAX, AT(department_id), required, NULL, NULL,    \
         "where they belong", NULL},                                                               \
    {                                                                                              \
        "roles", SCHEMA_CUSTOM, 0, 0, AT(roles), required,                                         \
            "array of admin, editor, approver, auditor, user, service", NULL, "what they may do",  \
            parse_roles                                                                            \
    }
static const struct schema_field person_new_fields[] = {
    {"login", SCHEMA_STRING, 1, PEOPLE_NAME_BYTES, AT(login), true, NULL, NULL,
     "unique, without blanks; never changes", NULL},
    PERSON_FIELDS(true),
};
static const struct schema_field person_fields[] = {
    PERSON_FIELDS(false),
    {"disabled", SCHEMA_BOOL, 0, 0, AT(disabled), false, NULL, NULL,
     "sessions end and keys are refused; to be sent alone", NULL},
};
#undef AT
static const struct schema person_new = {"POST /admin/v1/users", person_new_fields,
                                         sizeof person_new_fields / sizeof person_new_fields[0]};
static const struct schema person_patch = {"PATCH /admin/v1/users/{id}", person_fields,
                                           sizeof person_fields / sizeof person_fields[0]};

static struct person_spec person_spec_of(const struct person_body *b)
{
    return (struct person_spec){.login = b->login,
                                .name = b->name,
                                .email = b->email,
                                .department_id = b->department_id,
                                .roles = b->roles,
                                .source = "local"};
}

/* ---- persons: reading ------------------------------------------------------------------------- */

static struct authority_owner owner_of(const struct person *p)
{
    return (struct authority_owner){.person_id = p->id, .department_id = p->department_id};
}

/* The one of the path, if the caller sees them. */
static bool find_person(const struct api_call *call, struct person *p, struct api_error *e)
{
    struct err why = ERR_INIT;
    int64_t id;
    if (!api_param_id(call, 0, &id, e))
        return false;
    if (!person_get(call->service->auth, id, p, &why))
        return api_fail_act(e, &why);
    struct authority_owner owner = owner_of(p);
    return authority_may(call->service->auth, &call->grant->principal, AUTHORITY_PERSON,
                         AUTHORITY_READ, &owner) ||
           api_fail(e, API_NOT_FOUND, NULL, "there is no such person");
}

static void show_person(const struct api_call *call, int64_t id, unsigned status,
                        struct api_answer *answer)
{
    struct person p;
    struct err e = ERR_INIT;
    if (!person_get(call->service->auth, id, &p, &e)) {
        api_answer_act(answer, &e);
        return;
    }
    api_answer_etag(answer, p.revision);
    api_answer_json_take(answer, status, person_json(&p));
}

static void user_one(const struct api_call *call, struct api_answer *answer)
{
    struct api_error e = API_ERROR_INIT;
    struct person p;
    if (find_person(call, &p, &e))
        show_person(call, p.id, 200, answer);
    else
        api_answer_error(answer, &e);
}

static bool read_role(const struct api_call *call, uint32_t *roles, struct api_error *e)
{
    const char *text = api_query(call, "role");
    *roles = 0;
    if (!text)
        return true;
    json_t *list = json_pack("[s]", text);
    bool ok = admin_roles_read(list, "role", roles, e);
    json_decref(list);
    return ok;
}

static bool read_filter(const struct api_call *call, struct person_filter *f, struct api_error *e)
{
    static const char *const sources[] = {NULL, "local", "ldap", "oidc"};
    size_t source;
    if (!admin_page(call, &f->after_id, &f->limit, e) ||
        !api_query_int(call, "department_id", 1, INT64_MAX, 0, &f->department_id, e) ||
        !api_query_bool(call, "below", false, &f->below, e) || !read_role(call, &f->roles, e) ||
        !read_state(call, &f->state, e) ||
        !admin_query_word(call, "source", sources, 4, 0, &source, e))
        return false;
    f->source = sources[source];
    f->text = api_query(call, "text");
    return true;
}

struct users {
    json_t *list;
    int64_t only; /* 0 = all of them */
};

static bool add_user(void *ctx, const struct person *p, struct err *e)
{
    struct users *u = ctx;
    (void)e;
    if (!u->only || p->id == u->only)
        json_array_append_new(u->list, person_json(p));
    return true;
}

/* Who sees only themselves gets a list of at most one. */
static void narrow(struct person_filter *f, int64_t person_id)
{
    f->limit = 1;
    if (f->after_id < person_id)
        f->after_id = person_id - 1;
}

static void users_list(const struct api_call *call, struct api_answer *answer)
{
    const struct principal *p = &call->grant->principal;
    struct api_error e = API_ERROR_INIT;
    struct err why = ERR_INIT;
    struct person_filter f = {.limit = 0};
    struct users u = {.only = 0};
    int64_t next;
    if (!read_filter(call, &f, &e)) {
        api_answer_error(answer, &e);
        return;
    }
    if (authority_reach(p, AUTHORITY_PERSON, AUTHORITY_READ) != AUTHORITY_ALL) {
        u.only = p->person_id;
        narrow(&f, p->person_id);
    }
    u.list = json_array();
    if (person_list(call->service->auth, &f, add_user, &u, &next, &why)) {
        admin_list_take(answer, u.list, u.only ? 0 : next);
    } else {
        api_answer_act(answer, &why);
        json_decref(u.list);
    }
}

/* ---- persons: changes ------------------------------------------------------------------------- */

static void user_add(const struct api_call *call, struct api_answer *answer)
{
    struct api_error e = API_ERROR_INIT;
    struct err why = ERR_INIT;
    struct person_body b = {.name = "", .email = ""};
    struct audit_actor actor = api_actor(call);
    int64_t id;
    json_t *body = api_body(call, &person_new, &b, &e);
    struct person_spec spec = person_spec_of(&b);
    if (!body)
        api_answer_error(answer, &e);
    else if (!person_create(call->service->auth, &actor, &spec, &id, &why))
        api_answer_act(answer, &why);
    else
        show_person(call, id, 201, answer);
    json_decref(body);
}

static bool user_put(const struct api_call *call, const struct person *p, int64_t revision,
                     const json_t *body, const struct person_body *b, struct api_error *e)
{
    const struct auth *a = call->service->auth;
    struct audit_actor actor = api_actor(call);
    struct person_spec spec = person_spec_of(b);
    struct err why = ERR_INIT;
    bool turns = b->disabled != (p->disabled_at != 0);
    if (!check_alone(body, turns, e))
        return false;
    if (turns ? person_disable(a, &actor, p->id, revision, b->disabled, call->reason, &why)
              : person_change(a, &actor, p->id, revision, &spec, call->reason, &why))
        return true;
    return api_fail_act(e, &why);
}

static void user_edit(const struct api_call *call, struct api_answer *answer)
{
    struct api_error e = API_ERROR_INIT;
    struct person p;
    int64_t revision;
    json_t *body = NULL;
    bool ok = find_person(call, &p, &e) && api_revision(call, &revision, &e);
    if (ok) {
        struct person_body b = {.login = p.login,
                                .name = p.name,
                                .email = p.email,
                                .department_id = p.department_id,
                                .roles = p.roles,
                                .disabled = p.disabled_at != 0};
        body = api_body(call, &person_patch, &b, &e);
        ok = body && user_put(call, &p, revision, body, &b, &e);
    }
    if (ok)
        show_person(call, p.id, 200, answer);
    else
        api_answer_error(answer, &e);
    json_decref(body);
}

/* ---- persons: ways in ------------------------------------------------------------------------- */

/* Those who reach only their own password change it; they do not get another one by a session. */
static bool may_reset(const struct api_call *call, struct api_error *e)
{
    const struct authority_owner nobody = {0};
    return admin_may(call, AUTHORITY_PASSWORD, AUTHORITY_WRITE, &nobody, e);
}

static void password_reset_post(const struct api_call *call, struct api_answer *answer)
{
    struct api_error e = API_ERROR_INIT;
    struct err why = ERR_INIT;
    struct audit_actor actor = api_actor(call);
    struct person p;
    char text[PASSWORD_ONE_TIME_TEXT] = "";
    if (!find_person(call, &p, &e) || !may_reset(call, &e)) {
        api_answer_error(answer, &e);
    } else if (password_reset(call->service->auth, &actor, p.id, call->reason, text, &why)) {
        api_answer_json_take(answer, 200,
                             json_pack("{s:s, s:s, s:i}", "login", p.login, "one_time_password",
                                       text, "valid_days", (int)PASSWORD_ONE_TIME_DAYS));
    } else if (why.code == ERR_BUSY) {
        api_fail(&e, API_RATE_LIMITED, NULL, "%s", why.msg);
        api_answer_error(answer, &e);
    } else {
        api_answer_act(answer, &why);
    }
    vault_wipe(text, sizeof text);
}

static void unlock_post(const struct api_call *call, struct api_answer *answer)
{
    struct api_error e = API_ERROR_INIT;
    struct err why = ERR_INIT;
    struct audit_actor actor = api_actor(call);
    struct person p;
    bool found;
    if (!find_person(call, &p, &e))
        api_answer_error(answer, &e);
    else if (lockout_unlock(call->service->auth, &actor, p.login, call->reason, &found, &why))
        api_answer_json_take(answer, 200, json_pack("{s:b}", "was_locked", found));
    else
        api_answer_act(answer, &why);
}

static bool find_for_sessions(const struct api_call *call, enum authority_verb verb,
                              struct person *p, struct api_error *e)
{
    if (!find_person(call, p, e))
        return false;
    struct authority_owner owner = owner_of(p);
    return admin_may(call, AUTHORITY_SESSION, verb, &owner, e);
}

static void user_sessions(const struct api_call *call, struct api_answer *answer)
{
    struct api_error e = API_ERROR_INIT;
    struct err why = ERR_INIT;
    struct person p;
    json_t *list;
    if (!find_for_sessions(call, AUTHORITY_READ, &p, &e))
        api_answer_error(answer, &e);
    else if (admin_sessions_json(call, p.id, &list, &why))
        admin_list_take(answer, list, 0);
    else
        api_answer_act(answer, &why);
}

static void user_sessions_end(const struct api_call *call, struct api_answer *answer)
{
    struct api_error e = API_ERROR_INIT;
    struct err why = ERR_INIT;
    struct audit_actor actor = api_actor(call);
    struct person p;
    int64_t n;
    if (!find_for_sessions(call, AUTHORITY_WRITE, &p, &e))
        api_answer_error(answer, &e);
    else if (session_kill_all(call->service->auth, &actor, p.id, call->reason, &n, &why))
        api_answer_json_take(answer, 200, json_pack("{s:I}", "ended", (json_int_t)n));
    else
        api_answer_act(answer, &why);
}

/* ---- routes ----------------------------------------------------------------------------------- */

#define ROW(method, path, what, how)                                                               \
    method, "/admin/v1/" path, .access = ROUTE_OBJECT, .object = AUTHORITY_##what,                 \
        .verb = AUTHORITY_##how, .place = ROUTE_SLOW, .needs_database = true

static const struct route rows[] = {
    {ROW("GET", "departments", DEPARTMENT, READ), .handler = departments_list,
     .query = "after limit parent_id state text", .summary = "Departments"},
    {ROW("POST", "departments", DEPARTMENT, WRITE), .body_bytes = ADMIN_BODY,
     .handler = department_add, .body = &department_new, .summary = "A new department"},
    {ROW("GET", "departments/{id}", DEPARTMENT, READ), .handler = department_one,
     .summary = "One department"},
    {ROW("PATCH", "departments/{id}", DEPARTMENT, WRITE), .body_bytes = ADMIN_BODY,
     .revised = true, .handler = department_edit, .body = &department_patch,
     .summary = "Rename, move, disable a department; set what it keeps"},
    {ROW("GET", "users", PERSON, READ), .handler = users_list,
     .query = "after limit department_id below role state source text", .summary = "Persons"},
    {ROW("POST", "users", PERSON, WRITE), .body_bytes = ADMIN_BODY, .handler = user_add,
     .body = &person_new, .summary = "A new person, without a password yet"},
    {ROW("GET", "users/{id}", PERSON, READ), .handler = user_one, .summary = "One person"},
    {ROW("PATCH", "users/{id}", PERSON, WRITE), .body_bytes = ADMIN_BODY, .revised = true,
     .handler = user_edit, .body = &person_patch, .summary = "Change or disable a person"},
    {ROW("POST", "users/{id}/password-reset", PASSWORD, WRITE), .handler = password_reset_post,
     .summary = "Give a person a one-time password; shown once"},
    {ROW("POST", "users/{id}/unlock", PERSON, WRITE), .handler = unlock_post,
     .summary = "Lift the waits after wrong passwords"},
    {ROW("GET", "users/{id}/sessions", SESSION, READ), .handler = user_sessions,
     .summary = "A person's sessions"},
    {ROW("DELETE", "users/{id}/sessions", SESSION, WRITE), .handler = user_sessions_end,
     .summary = "End all sessions of a person"},
};

const struct route_table ADMIN_PEOPLE = ROUTE_TABLE(rows);
