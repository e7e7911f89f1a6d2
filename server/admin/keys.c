/* Owns: API keys as JSON, and who sees or makes whose.
 * Refuses to know: how keys look and are checked (auth/key). */
#include <config.h>

#include "admin/admin.h"

#include <stdlib.h>

#include "api/schema.h"
#include "auth/auth.h"
#include "auth/key.h"
#include "auth/people.h"
#include "auth/vault.h"
#include "base/clock.h"
#include "service/service.h"

/* ---- JSON ------------------------------------------------------------------------------------- */

/* NULL = everything = null. */
static json_t *list_json(const char *text)
{
    json_t *list = text ? json_loads(text, 0, NULL) : NULL;
    return list ? list : json_null();
}

static json_t *key_json(const struct key_row *k)
{
    return json_pack("{s:I, s:I, s:o, s:s, s:o, s:o, s:o, s:o, s:I, s:o, s:o, s:o, s:I}", "id",
                     (json_int_t)k->id, "person_id", (json_int_t)k->person_id, "prefix",
                     json_sprintf("sk-%s", k->public_id), "name", k->name, "scopes",
                     admin_scopes_json(k->scopes), "models", list_json(k->models), "templates",
                     list_json(k->templates), "networks", list_json(k->networks), "created_at",
                     (json_int_t)k->created_at, "expires_at", admin_or_null(k->expires_at),
                     "revoked_at", admin_or_null(k->revoked_at), "last_used_at",
                     admin_or_null(k->last_used_at), "revision", (json_int_t)k->revision);
}

/* Lists are JSON texts, as the table keeps them. */
struct key_body {
    int64_t person_id, expires_at;
    const char *name;
    uint32_t scopes;
    char *models, *templates, *networks; /* owned; NULL = everything */
};

static void key_body_release(struct key_body *b)
{
    free(b->models);
    free(b->templates);
    free(b->networks);
}

static bool parse_scopes(const struct schema_field *f, const json_t *v, void *target,
                         struct api_error *e)
{
    struct key_body *b = target;
    return admin_scopes_read(v, f->name, &b->scopes, e);
}

static bool parse_list(const struct schema_field *f, const json_t *v, void *target,
                       struct api_error *e)
{
    char **text = (char **)((char *)target + f->offset);
    if (!json_is_array(v))
        return schema_fail_type(f, "an array of strings, or null for everything", e);
    free(*text);
    *text = json_dumps(v, JSON_COMPACT);
    return *text || api_fail(e, API_OVERLOADED, NULL, "The server is short of memory.");
}

#define AT(member) offsetof(struct key_body, member)
#define KEY_FIELDS(required)                                                                       \
    {"name", SCHEMA_STRING, 1, KEY_NAME_BYTES, AT(name), required, NULL, NULL, "for people", NULL},\
        {"scopes", SCHEMA_CUSTOM, 0, 0, AT(scopes), required,                                      \
         "array of infer, templates, usage, edit, audit, admin", NULL,                             \
         "what it may be used for; each needs a role of its person", parse_scopes},                \
        {"models", SCHEMA_CUSTOM, 0, 0, AT(models), false, "array of names, `*` at an end", "all", \
         "models it may use", parse_list},                                                         \
        {"templates", SCHEMA_CUSTOM, 0, 0, AT(templates), false,                                   \
         "array of names, `*` at an end", "all", "templates it may use", parse_list},              \
        {"networks", SCHEMA_CUSTOM, 0, 0, AT(networks), false, "array of 10.1.0.0/16, fd00::/8",   \
         "all", "where it may be used from", parse_list},                                          \
    {                                                                                              \
        "expires_at", SCHEMA_INT, 0, ADMIN_ID_MAX, AT(expires_at), false, NULL, "never",           \
            "seconds since the epoch; 0 or null = never", NULL                                     \
    }
static const struct schema_field new_fields[] = {
    {"person_id", SCHEMA_INT, 1, ADMIN_ID_MAX, AT(person_id), false, NULL, "who asks",
     "whose key it is", NULL},
    KEY_FIELDS(true),
};
static const struct schema_field patch_fields[] = {KEY_FIELDS(false)};
#undef AT
static const struct schema new_schema = {"POST /admin/v1/keys", new_fields,
                                         sizeof new_fields / sizeof new_fields[0]};
static const struct schema patch_schema = {"PATCH /admin/v1/keys/{id}", patch_fields,
                                           sizeof patch_fields / sizeof patch_fields[0]};

static struct key_spec spec_of(const struct key_body *b)
{
    return (struct key_spec){.name = b->name,
                             .scopes = b->scopes,
                             .models = b->models,
                             .templates = b->templates,
                             .networks = b->networks,
                             .expires_at = b->expires_at};
}

/* ---- reading ---------------------------------------------------------------------------------- */

/* One row, kept after its callback. */
struct found {
    int64_t id, person_id, revision;
    json_t *json; /* owned */
};

static bool keep(void *ctx, const struct key_row *k, struct err *e)
{
    struct found *f = ctx;
    (void)e;
    *f = (struct found){k->id, k->person_id, k->revision, key_json(k)};
    return true;
}

static bool sees(const struct api_call *call, int64_t person_id, enum authority_object object)
{
    struct person p;
    if (!person_get(call->service->auth, person_id, &p, NULL))
        return false;
    struct authority_owner owner = {.person_id = p.id, .department_id = p.department_id};
    return authority_may(call->service->auth, &call->grant->principal, object, AUTHORITY_READ,
                         &owner);
}

/* The one of the path, if the caller sees it. On failure f->json is NULL. */
static bool find_key(const struct api_call *call, struct found *f, struct api_error *e)
{
    struct err why = ERR_INIT;
    int64_t id;
    *f = (struct found){.json = NULL};
    if (!api_param_id(call, 0, &id, e))
        return false;
    if (!key_get(call->service->auth, id, keep, f, &why))
        return api_fail_act(e, &why);
    if (sees(call, f->person_id, AUTHORITY_KEY))
        return true;
    json_decref(f->json);
    f->json = NULL;
    return api_fail(e, API_NOT_FOUND, NULL, "there is no such key");
}

/* The key, with its text when it is new. */
static void show(const struct api_call *call, int64_t id, unsigned status, const char *text,
                 struct api_answer *answer)
{
    struct found f = {.json = NULL};
    struct err e = ERR_INIT;
    if (!key_get(call->service->auth, id, keep, &f, &e)) {
        api_answer_act(answer, &e);
        return;
    }
    if (text)
        json_object_set_new(f.json, "key", json_string(text));
    api_answer_etag(answer, f.revision);
    api_answer_json_take(answer, status, f.json);
}

static void key_one(const struct api_call *call, struct api_answer *answer)
{
    struct api_error e = API_ERROR_INIT;
    struct found f;
    if (!find_key(call, &f, &e)) {
        api_answer_error(answer, &e);
        return;
    }
    api_answer_etag(answer, f.revision);
    api_answer_json_take(answer, 200, f.json);
}

static bool read_filter(const struct api_call *call, struct key_filter *f, struct api_error *e)
{
    f->now_s = clock_wall_s();
    return admin_page(call, &f->after_id, &f->limit, e) &&
           api_query_int(call, "person_id", 1, INT64_MAX, 0, &f->person_id, e) &&
           api_query_int(call, "department_id", 1, INT64_MAX, 0, &f->department_id, e) &&
           api_query_bool(call, "active", false, &f->active, e);
}

static bool add_key(void *ctx, const struct key_row *k, struct err *e)
{
    (void)e;
    json_array_append_new(ctx, key_json(k));
    return true;
}

static void keys_list(const struct api_call *call, struct api_answer *answer)
{
    const struct principal *p = &call->grant->principal;
    struct api_error e = API_ERROR_INIT;
    struct err why = ERR_INIT;
    struct key_filter f = {.limit = 0};
    int64_t next;
    if (!read_filter(call, &f, &e)) {
        api_answer_error(answer, &e);
        return;
    }
    bool all = authority_reach(p, AUTHORITY_KEY, AUTHORITY_READ) == AUTHORITY_ALL;
    if (!all && f.person_id && f.person_id != p->person_id) {
        admin_list_take(answer, json_array(), 0);
        return;
    }
    if (!all)
        f.person_id = p->person_id;
    json_t *list = json_array();
    if (key_list(call->service->auth, &f, add_key, list, &next, &why)) {
        admin_list_take(answer, list, next);
    } else {
        api_answer_act(answer, &why);
        json_decref(list);
    }
}

/* ---- changes ---------------------------------------------------------------------------------- */

/* Whether the caller may make a key for that person: for themselves, or for everybody. */
static bool may_make(const struct api_call *call, int64_t person_id, struct api_error *e)
{
    struct authority_owner owner = {.person_id = person_id};
    if (!person_id)
        return api_fail(e, API_MISSING_FIELD, "person_id",
                        "'person_id' is required: say whose key it is.");
    if (person_id != call->grant->principal.person_id && !sees(call, person_id, AUTHORITY_PERSON))
        return api_fail(e, API_NOT_FOUND, "person_id", "there is no such person");
    return admin_may(call, AUTHORITY_KEY, AUTHORITY_WRITE, &owner, e);
}

static void key_add(const struct api_call *call, struct api_answer *answer)
{
    struct api_error e = API_ERROR_INIT;
    struct err why = ERR_INIT;
    struct key_body b = {.person_id = call->grant->principal.person_id};
    struct audit_actor actor = api_actor(call);
    char text[KEY_TEXT] = "";
    int64_t id;
    json_t *body = api_body(call, &new_schema, &b, &e);
    struct key_spec spec = spec_of(&b);
    if (!body || !may_make(call, b.person_id, &e))
        api_answer_error(answer, &e);
    else if (!key_create(call->service->auth, &actor, b.person_id, &spec, &id, text, &why))
        api_answer_act(answer, &why);
    else
        show(call, id, 201, text, answer);
    vault_wipe(text, sizeof text);
    key_body_release(&b);
    json_decref(body);
}

static bool may_change(const struct api_call *call, const struct found *f, struct api_error *e)
{
    struct authority_owner owner = {.person_id = f->person_id};
    return admin_may(call, AUTHORITY_KEY, AUTHORITY_WRITE, &owner, e);
}

static char *list_text(const json_t *key, const char *name)
{
    const json_t *list = json_object_get(key, name);
    return json_is_array(list) ? json_dumps(list, JSON_COMPACT) : NULL;
}

/* As the key is now. */
static bool body_of(const struct found *f, struct key_body *b, struct api_error *e)
{
    *b = (struct key_body){
        .person_id = f->person_id,
        .expires_at = json_integer_value(json_object_get(f->json, "expires_at")),
        .name = json_string_value(json_object_get(f->json, "name")),
        .models = list_text(f->json, "models"),
        .templates = list_text(f->json, "templates"),
        .networks = list_text(f->json, "networks")};
    return admin_scopes_read(json_object_get(f->json, "scopes"), "scopes", &b->scopes, e);
}

/* null takes a restriction away; a field that is not there leaves it. */
static void clear_nulls(const json_t *body, struct key_body *b)
{
    struct {
        const char *name;
        char **text;
    } lists[] = {
        {"models", &b->models}, {"templates", &b->templates}, {"networks", &b->networks}};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        if (json_is_null(json_object_get(body, lists[i].name))) {
            free(*lists[i].text);
            *lists[i].text = NULL;
        }
    if (json_is_null(json_object_get(body, "expires_at")))
        b->expires_at = 0;
}

static bool change(const struct api_call *call, const struct found *f, struct api_error *e)
{
    struct audit_actor actor = api_actor(call);
    struct err why = ERR_INIT;
    struct key_body b;
    int64_t revision;
    if (!api_revision(call, &revision, e))
        return false;
    bool ok = body_of(f, &b, e);
    json_t *body = ok ? api_body(call, &patch_schema, &b, e) : NULL;
    ok = body != NULL;
    if (ok) {
        clear_nulls(body, &b);
        struct key_spec spec = spec_of(&b);
        ok = key_change(call->service->auth, &actor, f->id, revision, &spec, call->reason, &why) ||
             api_fail_act(e, &why);
    }
    key_body_release(&b);
    json_decref(body);
    return ok;
}

static void key_edit(const struct api_call *call, struct api_answer *answer)
{
    struct api_error e = API_ERROR_INIT;
    struct found f;
    if (find_key(call, &f, &e) && may_change(call, &f, &e) && change(call, &f, &e))
        show(call, f.id, 200, NULL, answer);
    else
        api_answer_error(answer, &e);
    json_decref(f.json);
}

/* Whatever the revision: what must end ends. */
static void key_end(const struct api_call *call, struct api_answer *answer)
{
    struct api_error e = API_ERROR_INIT;
    struct err why = ERR_INIT;
    struct audit_actor actor = api_actor(call);
    struct found f;
    if (!find_key(call, &f, &e) || !may_change(call, &f, &e))
        api_answer_error(answer, &e);
    else if (key_revoke(call->service->auth, &actor, f.id, call->reason, &why))
        show(call, f.id, 200, NULL, answer);
    else
        api_answer_act(answer, &why);
    json_decref(f.json);
}

/* ---- routes ----------------------------------------------------------------------------------- */

#define ROW(method, path, how)                                                                     \
    method, "/admin/v1/" path, .access = ROUTE_OBJECT, .object = AUTHORITY_KEY,                    \
        .verb = AUTHORITY_##how, .place = ROUTE_SLOW, .needs_database = true

static const struct route rows[] = {
    {ROW("GET", "keys", READ), .handler = keys_list,
     .query = "after limit person_id department_id active", .summary = "API keys"},
    {ROW("POST", "keys", WRITE), .body_bytes = ADMIN_BODY, .handler = key_add, .body = &new_schema,
     .summary = "A new key; its text is shown once"},
    {ROW("GET", "keys/{id}", READ), .handler = key_one, .summary = "One key"},
    {ROW("PATCH", "keys/{id}", WRITE), .body_bytes = ADMIN_BODY, .revised = true,
     .handler = key_edit, .body = &patch_schema, .summary = "Change what a key may be used for"},
    {ROW("DELETE", "keys/{id}", WRITE), .handler = key_end,
     .summary = "Revoke a key for good"},
};

const struct route_table ADMIN_KEYS = ROUTE_TABLE(rows);
