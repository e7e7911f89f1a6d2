/* Owns: limits of keys, persons and departments, and the calendars in which they count.
 * Refuses to know: how a request is admitted (usage/limits.h).
 *
 * Whoever reads quotas at all reads every calendar: hours of work are nobody's secret. */
#include <config.h>

#include "admin/admin.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/schema.h"
#include "base/ids.h"
#include "base/mem.h"
#include "service/service.h"
#include "usage/calendar.h"
#include "usage/limits.h"
#include "usage/quota.h"

enum { CURSOR_TEXT = 40, PLACE_DIGITS = 19, CALENDAR_NAME_BYTES = 200 };

/* ---- one quota -------------------------------------------------------------------------------- */

static json_t *most_json(int64_t most)
{
    return most == QUOTA_NONE ? json_null() : json_integer(most);
}

json_t *admin_quota_json(struct limits *l, const struct quota *q)
{
    struct limits_state now = {.open = false};
    json_t *used = json_object();
    json_t *v = json_pack("{s:s, s:I}", "kind", quota_subject_name(q->kind), "id",
                          (json_int_t)q->subject_id);
    limits_look(l, q->kind, q->subject_id, &now);
    for (int i = 0; i < QUOTA_LIMIT_COUNT; i++) {
        const char *name = quota_limit_name((enum quota_limit)i);
        json_object_set_new(v, name, most_json(q->limit[i]));
        json_object_set_new(used, name, json_integer(now.used[i]));
    }
    json_object_set_new(v, "soft", json_boolean(q->soft));
    json_object_set_new(v, "calendar_id", admin_or_null(q->calendar_id));
    json_object_set_new(v, "revision", json_integer(q->revision));
    json_object_set_new(v, "open", json_boolean(now.open));
    json_object_set_new(v, "used", used);
    return v;
}

/* "key", "person" or "department". */
static bool parse_kind(const char *text, enum quota_subject *kind)
{
    for (int k = 0; k < QUOTA_SUBJECT_COUNT; k++)
        if (!strcmp(text, quota_subject_name((enum quota_subject)k))) {
            *kind = (enum quota_subject)k;
            return true;
        }
    return false;
}

static bool take_owner(void *ctx, const struct key_row *k, struct err *e)
{
    (void)e;
    ((struct authority_owner *)ctx)->person_id = k->person_id;
    return true;
}

/* Whose limits these are; a key that is not there is nobody's. */
static bool find_owner(const struct api_call *call, enum quota_subject kind, int64_t id,
                       struct authority_owner *owner, struct err *e)
{
    *owner = (struct authority_owner){.person_id = kind == QUOTA_PERSON ? id : 0,
                                      .department_id = kind == QUOTA_DEPARTMENT ? id : 0};
    return kind != QUOTA_KEY || key_get(call->service->auth, id, take_owner, owner, e) ||
           e->code == ERR_NOT_FOUND;
}

/* The subject in the path. False: answered; one that the caller does not reach is not there. */
static bool take_subject(const struct api_call *call, enum authority_verb verb, struct quota *q,
                         struct api_answer *answer)
{
    struct api_error e = API_ERROR_INIT;
    struct err why = ERR_INIT;
    struct authority_owner owner;
    *q = (struct quota){.revision = 0};
    if (!parse_kind(call->param[0], &q->kind))
        api_fail(&e, API_NOT_FOUND, NULL, "Limits belong to a key, a person or a department.");
    else if (api_param_id(call, 1, &q->subject_id, &e) &&
             (find_owner(call, q->kind, q->subject_id, &owner, &why) || api_fail_act(&e, &why)) &&
             !authority_may(call->service->auth, &call->grant->principal, AUTHORITY_QUOTA, verb,
                            &owner))
        api_fail(&e, API_NOT_FOUND, NULL, "There is no such object.");
    if (e.code == API_OK)
        return true;
    api_answer_error(answer, &e);
    return false;
}

static void answer_quota(const struct api_call *call, unsigned status, const struct quota *q,
                         struct api_answer *answer)
{
    api_answer_etag(answer, q->revision);
    api_answer_json_take(answer, status, admin_quota_json(call->service->limits, q));
}

static void quota_show(const struct api_call *call, struct api_answer *answer)
{
    struct err why = ERR_INIT;
    struct quota q;
    if (!take_subject(call, AUTHORITY_READ, &q, answer))
        return;
    if (quota_get(call->service->store, q.kind, q.subject_id, &q, &why))
        answer_quota(call, 200, &q, answer);
    else
        api_answer_act(answer, &why);
}

#define LIMIT(name, which, doc)                                                                    \
    {name, SCHEMA_INT, 0, (double)QUOTA_MOST,                                                      \
     offsetof(struct quota, limit) + (which) * sizeof(int64_t), false, NULL, "none", doc, NULL}
static const struct schema_field quota_fields[] = {
    LIMIT("requests_per_minute", QUOTA_REQUESTS_PER_MINUTE, "requests in 60 seconds"),
    LIMIT("tokens_per_minute", QUOTA_TOKENS_PER_MINUTE, "tokens in 60 seconds"),
    LIMIT("parallel", QUOTA_PARALLEL, "requests at once"),
    LIMIT("tokens_per_day", QUOTA_TOKENS_PER_DAY, "tokens of a day"),
    LIMIT("tokens_per_month", QUOTA_TOKENS_PER_MONTH, "tokens of a month"),
    {"soft", SCHEMA_BOOL, 0, 0, offsetof(struct quota, soft), false, NULL, "false",
     "above a limit requests are slowed down, not refused", NULL},
    {"calendar_id", SCHEMA_INT, 1, ADMIN_ID_MAX, offsetof(struct quota, calendar_id), false, NULL,
     "none", "the hours in which the limits count", NULL},
};
#undef LIMIT
static const struct schema quota_schema = {"PUT /admin/v1/quotas/{kind}/{id}", quota_fields,
                                           sizeof quota_fields / sizeof quota_fields[0]};

/* What there is must be named by its revision; what is not there needs none. */
static bool quota_revision(const struct api_call *call, const struct quota *q, int64_t *revision,
                           struct api_error *e)
{
    struct err why = ERR_INIT;
    struct quota now;
    *revision = 0;
    if (call->if_match)
        return api_revision(call, revision, e);
    if (quota_get(call->service->store, q->kind, q->subject_id, &now, &why))
        return api_revision(call, revision, e);
    return why.code == ERR_NOT_FOUND || api_fail_act(e, &why);
}

static void quota_set(const struct api_call *call, struct api_answer *answer)
{
    struct api_error e = API_ERROR_INIT;
    struct err why = ERR_INIT;
    struct audit_actor actor = api_actor(call);
    struct quota q;
    if (!take_subject(call, AUTHORITY_WRITE, &q, answer))
        return;
    for (int i = 0; i < QUOTA_LIMIT_COUNT; i++)
        q.limit[i] = QUOTA_NONE;
    json_t *body = api_body(call, &quota_schema, &q, &e);
    bool read = body != NULL;
    json_decref(body); /* q borrows nothing of it */
    if (!read || !quota_revision(call, &q, &q.revision, &e)) {
        api_answer_error(answer, &e);
        return;
    }
    if (!quota_put(call->service->store, &actor, &q, call->reason, &why)) {
        api_answer_act(answer, &why);
        return;
    }
    service_limits_changed(call->service);
    answer_quota(call, q.revision == 1 ? 201 : 200, &q, answer);
}

static void quota_remove(const struct api_call *call, struct api_answer *answer)
{
    struct api_error e = API_ERROR_INIT;
    struct err why = ERR_INIT;
    struct audit_actor actor = api_actor(call);
    struct quota q;
    if (!take_subject(call, AUTHORITY_WRITE, &q, answer))
        return;
    if (!api_revision(call, &q.revision, &e)) {
        api_answer_error(answer, &e);
        return;
    }
    if (!quota_delete(call->service->store, &actor, q.kind, q.subject_id, q.revision, call->reason,
                      &why)) {
        api_answer_act(answer, &why);
        return;
    }
    service_limits_changed(call->service);
    answer->status = 204;
}

/* ---- all quotas ------------------------------------------------------------------------------- */

struct listing {
    const struct api_call *call;
    bool everybodys;
    const char *kind;   /* NULL = every kind */
    const char *after;  /* place of the last row of the page before; "" = none */
    int64_t *keys;      /* of the caller, rising; owned */
    size_t n_keys;
    unsigned limit;
    json_t *data;
    char last[CURSOR_TEXT]; /* place of the last row that was taken */
    bool more;
};

/* Places sort as the rows do: "key/", then the id with leading zeros. */
static void place_text(const struct quota *q, char text[CURSOR_TEXT])
{
    snprintf(text, CURSOR_TEXT, "%s-%0*" PRId64, quota_subject_name(q->kind), PLACE_DIGITS,
             q->subject_id);
}

/* Whether a page could have ended there. */
static bool is_place(const char *text)
{
    size_t word = strcspn(text, "-");
    char kind[CURSOR_TEXT];
    enum quota_subject known;
    snprintf(kind, sizeof kind, "%.*s", (int)word, text);
    return parse_kind(kind, &known) && text[word] == '-' &&
           strlen(text + word + 1) == PLACE_DIGITS &&
           strspn(text + word + 1, "0123456789") == PLACE_DIGITS;
}

static bool add_key(void *ctx, const struct key_row *k, struct err *e)
{
    struct listing *l = ctx;
    if ((l->n_keys & (l->n_keys - 1)) == 0) {
        int64_t *keys =
            mem_try_reallocarray(l->keys, l->n_keys ? 2 * l->n_keys : 1, sizeof *keys);
        if (!keys)
            FAIL(e, ERR_NOMEM, "no memory for the keys of a person");
        l->keys = keys;
    }
    l->keys[l->n_keys++] = k->id;
    return true;
}

static bool read_own_keys(struct listing *l, struct err *e)
{
    struct key_filter f = {.person_id = l->call->grant->principal.person_id, .limit = KEY_PAGE};
    do {
        if (!key_list(l->call->service->auth, &f, add_key, l, &f.after_id, e))
            return false;
    } while (f.after_id);
    return true;
}

static bool may_see(const struct listing *l, const struct quota *q)
{
    if (l->everybodys)
        return true;
    if (q->kind == QUOTA_KEY)
        return ids_hold(l->keys, l->n_keys, q->subject_id);
    return q->kind == QUOTA_PERSON && q->subject_id == l->call->grant->principal.person_id;
}

static bool add_quota(void *ctx, const struct quota *q, struct err *e)
{
    struct listing *l = ctx;
    char place[CURSOR_TEXT];
    (void)e;
    place_text(q, place);
    if (strcmp(place, l->after) <= 0 || !may_see(l, q) ||
        (l->kind && strcmp(l->kind, quota_subject_name(q->kind)) != 0))
        return true;
    if (json_array_size(l->data) == l->limit) {
        l->more = true;
        return true;
    }
    memcpy(l->last, place, sizeof place);
    json_array_append_new(l->data, admin_quota_json(l->call->service->limits, q));
    return true;
}

static bool read_quotas(struct store_db *db, void *ctx, struct err *e)
{
    return quota_each(db, add_quota, ctx, e);
}

static bool take_listing(const struct api_call *call, struct listing *l, struct api_error *e)
{
    enum quota_subject kind;
    int64_t limit;
    const char *after = api_query(call, "after");
    *l = (struct listing){.call = call, .kind = api_query(call, "kind"), .after = after ? after : ""};
    l->everybodys = authority_reach(&call->grant->principal, AUTHORITY_QUOTA, AUTHORITY_READ) ==
                    AUTHORITY_ALL;
    if (l->kind && !parse_kind(l->kind, &kind))
        return api_fail(e, API_INVALID_VALUE, "kind", "'kind' is key, person or department.");
    if (after && !is_place(after))
        return api_fail(e, API_INVALID_VALUE, "after", "'after' is not a cursor of this list.");
    if (!api_query_int(call, "limit", 1, ADMIN_PAGE_MAX, ADMIN_PAGE_MAX, &limit, e))
        return false;
    l->limit = (unsigned)limit;
    return true;
}

static void quotas_list(const struct api_call *call, struct api_answer *answer)
{
    struct api_error e = API_ERROR_INIT;
    struct err why = ERR_INIT;
    struct listing l;
    if (!take_listing(call, &l, &e)) {
        api_answer_error(answer, &e);
        return;
    }
    l.data = json_array();
    if ((l.everybodys || read_own_keys(&l, &why)) &&
        store_read(call->service->store, read_quotas, &l, &why)) {
        admin_list_at_take(answer, l.data, l.more ? l.last : NULL);
    } else {
        json_decref(l.data);
        api_answer_act(answer, &why);
    }
    free(l.keys);
}

/* ---- calendars -------------------------------------------------------------------------------- */

struct calendar_body {
    const char *name;
    const json_t *hours; /* borrowed from the body */
};

static bool parse_hours(const struct schema_field *f, const json_t *v, void *target,
                        struct api_error *e)
{
    if (!json_is_object(v))
        return schema_fail_type(f, "an object from day to intervals", e);
    ((struct calendar_body *)target)->hours = v;
    return true;
}

static const struct schema_field calendar_fields[] = {
    {"name", SCHEMA_STRING, 1, CALENDAR_NAME_BYTES, offsetof(struct calendar_body, name), true, NULL,
     NULL, "unique", NULL},
    {"hours", SCHEMA_CUSTOM, 0, 0, 0, true,
     "object: {\"mon\": [[\"08:30\", \"12:00\"], [\"13:00\", \"17:30\"]], ...}", NULL,
     "working hours by day (mon, tue, wed, thu, fri, sat, sun), in the server's time zone",
     parse_hours},
};
static const struct schema calendar_schema = {
    "POST /admin/v1/calendars", calendar_fields,
    sizeof calendar_fields / sizeof calendar_fields[0]};

static json_t *calendar_json(const struct quota_calendar *c)
{
    return json_pack("{s:I, s:s, s:o, s:I}", "id", (json_int_t)c->id, "name", c->name, "hours",
                     json_loads(c->hours, 0, NULL), "revision", (json_int_t)c->revision);
}

struct calendar_search {
    int64_t id;
    int64_t revision; /* of the one that was found */
    json_t *found;
};

static bool match_calendar(void *ctx, const struct quota_calendar *c, struct err *e)
{
    struct calendar_search *s = ctx;
    (void)e;
    if (c->id == s->id) {
        s->found = calendar_json(c);
        s->revision = c->revision;
    }
    return true;
}

static bool find_calendar(struct store_db *db, void *ctx, struct err *e)
{
    return quota_calendar_each(db, match_calendar, ctx, e);
}

static void answer_calendar(const struct api_call *call, unsigned status, int64_t id,
                            struct api_answer *answer)
{
    struct calendar_search s = {.id = id};
    struct api_error e = API_ERROR_INIT;
    struct err why = ERR_INIT;
    if (!store_read(call->service->store, find_calendar, &s, &why)) {
        json_decref(s.found);
        api_answer_act(answer, &why);
    } else if (!s.found) {
        api_fail(&e, API_NOT_FOUND, NULL, "There is no such object.");
        api_answer_error(answer, &e);
    } else {
        api_answer_etag(answer, s.revision);
        api_answer_json_take(answer, status, s.found);
    }
}

static void calendar_show(const struct api_call *call, struct api_answer *answer)
{
    struct api_error e = API_ERROR_INIT;
    int64_t id;
    if (api_param_id(call, 0, &id, &e))
        answer_calendar(call, 200, id, answer);
    else
        api_answer_error(answer, &e);
}

/* Creates (revision 0) or changes; answers. */
static void calendar_put(const struct api_call *call, struct quota_calendar *c,
                         struct api_answer *answer)
{
    struct calendar_body in = {NULL, NULL};
    struct api_error e = API_ERROR_INIT;
    struct err why = ERR_INIT;
    struct audit_actor actor = api_actor(call);
    bool is_new = c->id == 0;
    json_t *body = api_body(call, &calendar_schema, &in, &e);
    if (!body) {
        api_answer_error(answer, &e);
        return;
    }
    char *hours = json_dumps(in.hours, JSON_COMPACT);
    c->name = in.name;
    c->hours = hours ? hours : "";
    if (!quota_calendar_put(call->service->store, &actor, c, call->reason, &why)) {
        if (why.code == ERR_FORMAT || why.code == ERR_LIMIT)
            api_fail(&e, API_INVALID_VALUE, "hours", "%s", why.msg);
        else
            api_fail_act(&e, &why);
        api_answer_error(answer, &e);
    } else {
        service_limits_changed(call->service);
        answer_calendar(call, is_new ? 201 : 200, c->id, answer);
    }
    free(hours);
    json_decref(body);
}

static void calendar_create(const struct api_call *call, struct api_answer *answer)
{
    struct quota_calendar c = {.id = 0};
    calendar_put(call, &c, answer);
}

static void calendar_change(const struct api_call *call, struct api_answer *answer)
{
    struct quota_calendar c = {.id = 0};
    struct api_error e = API_ERROR_INIT;
    if (api_param_id(call, 0, &c.id, &e) && api_revision(call, &c.revision, &e))
        calendar_put(call, &c, answer);
    else
        api_answer_error(answer, &e);
}

static void calendar_remove(const struct api_call *call, struct api_answer *answer)
{
    struct api_error e = API_ERROR_INIT;
    struct err why = ERR_INIT;
    struct audit_actor actor = api_actor(call);
    int64_t id, revision;
    if (!api_param_id(call, 0, &id, &e) || !api_revision(call, &revision, &e)) {
        api_answer_error(answer, &e);
        return;
    }
    if (!quota_calendar_delete(call->service->store, &actor, id, revision, call->reason, &why)) {
        api_answer_act(answer, &why);
        return;
    }
    service_limits_changed(call->service);
    answer->status = 204;
}

struct calendar_listing {
    int64_t after, next;
    unsigned limit;
    json_t *data;
};

static bool add_calendar(void *ctx, const struct quota_calendar *c, struct err *e)
{
    struct calendar_listing *l = ctx;
    (void)e;
    if (c->id <= l->after)
        return true;
    if (json_array_size(l->data) == l->limit) {
        l->next = json_integer_value(
            json_object_get(json_array_get(l->data, l->limit - 1), "id"));
        return true;
    }
    json_array_append_new(l->data, calendar_json(c));
    return true;
}

static bool read_calendars(struct store_db *db, void *ctx, struct err *e)
{
    return quota_calendar_each(db, add_calendar, ctx, e);
}

static void calendars_list(const struct api_call *call, struct api_answer *answer)
{
    struct calendar_listing l = {.next = 0};
    struct api_error e = API_ERROR_INIT;
    struct err why = ERR_INIT;
    if (!admin_page(call, &l.after, &l.limit, &e)) {
        api_answer_error(answer, &e);
        return;
    }
    l.data = json_array();
    if (store_read(call->service->store, read_calendars, &l, &why)) {
        admin_list_take(answer, l.data, l.next);
    } else {
        json_decref(l.data);
        api_answer_act(answer, &why);
    }
}

/* ---- the table -------------------------------------------------------------------------------- */

#define TO(verb_)                                                                                  \
    .access = ROUTE_OBJECT, .object = AUTHORITY_QUOTA, .verb = (verb_), .place = ROUTE_SLOW,       \
    .needs_database = true

static const struct route rows[] = {
    {"GET", "/admin/v1/quotas", TO(AUTHORITY_READ), .handler = quotas_list,
     .query = "kind after limit",
     .summary = "Limits of keys, persons and departments, and what counts against them now"},
    {"GET", "/admin/v1/quotas/{kind}/{id}", TO(AUTHORITY_READ), .handler = quota_show,
     .summary = "Limits of one key, person or department"},
    {"PUT", "/admin/v1/quotas/{kind}/{id}", TO(AUTHORITY_WRITE), .revised = true,
     .handler = quota_set, .body_bytes = ADMIN_BODY, .body = &quota_schema,
     .summary = "Sets limits; without If-Match, or with \"0\", where there were none"},
    {"DELETE", "/admin/v1/quotas/{kind}/{id}", TO(AUTHORITY_WRITE), .revised = true,
     .handler = quota_remove, .summary = "Takes limits away"},
    {"GET", "/admin/v1/calendars", TO(AUTHORITY_READ), .handler = calendars_list,
     .query = "after limit", .summary = "Working hours"},
    {"POST", "/admin/v1/calendars", TO(AUTHORITY_WRITE), .handler = calendar_create,
     .body_bytes = ADMIN_BODY, .body = &calendar_schema, .summary = "Creates working hours"},
    {"GET", "/admin/v1/calendars/{id}", TO(AUTHORITY_READ), .handler = calendar_show,
     .summary = "One calendar"},
    {"PUT", "/admin/v1/calendars/{id}", TO(AUTHORITY_WRITE), .revised = true,
     .handler = calendar_change, .body_bytes = ADMIN_BODY, .body = &calendar_schema,
     .summary = "Changes working hours"},
    {"DELETE", "/admin/v1/calendars/{id}", TO(AUTHORITY_WRITE), .revised = true,
     .handler = calendar_remove, .summary = "Deletes working hours that no limit uses"},
};

const struct route_table ADMIN_LIMITS = ROUTE_TABLE(rows);
