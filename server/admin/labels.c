/* Owns: labels over HTTP. Refuses to know: who may move which, and where to; the registry says it.
 *
 * A label has a revision of its own, as the template's GET shows it:
 * its changes want that in If-Match. */
#include <config.h>

#include "admin/admin.h"

#include <string.h>

#include "admin/template_call.h"
#include "api/schema.h"

struct label_body {
    int64_t number, permille, department_id; /* -1 = not given */
    bool is_protected;
};

#define AT(member) .offset = offsetof(struct label_body, member)
#define NUMBER_FIELD(least, text)                                                                  \
    {.name = "number", .type = SCHEMA_INT, .min = least, .max = ADMIN_ID_MAX, AT(number),          \
     .required = true, .doc = text}

static const struct schema_field move_fields[] = {NUMBER_FIELD(1, "the version it points to")};
static const struct schema_field protection_fields[] = {
    {.name = "protected", .type = SCHEMA_BOOL, AT(is_protected), .required = true,
     .doc = "only approvers move it, and only to approved versions"},
};
static const struct schema_field canary_fields[] = {
    NUMBER_FIELD(0, "the version that some callers get; 0 ends it"),
    {.name = "permille", .type = SCHEMA_INT, .min = 0, .max = 1000, AT(permille),
     .doc = "of 1000 callers; each always gets the same; 0 ends it"},
    {.name = "department_id", .type = SCHEMA_INT, .min = 1, .max = ADMIN_ID_MAX, AT(department_id),
     .doc = "everybody in it; instead of permille"},
};

#define SCHEMA(id, text, list)                                                                     \
    static const struct schema id = {text, list, sizeof(list) / sizeof(list)[0]}
SCHEMA(MOVE, "PUT /admin/v1/templates/{name}/labels/{label}", move_fields);
SCHEMA(PROTECTION, "PUT /admin/v1/templates/{name}/labels/{label}/protection", protection_fields);
SCHEMA(CANARY, "PUT /admin/v1/templates/{name}/labels/{label}/canary", canary_fields);

struct label_call {
    struct template_call t;
    const char *label;
    int64_t revision;
    struct label_body b;
    json_t *body; /* owned; NULL when the route takes none */
};

static const json_t *find_label(const json_t *template, const char *name)
{
    const json_t *labels = json_object_get(template, "labels");
    for (size_t i = 0; i < json_array_size(labels); i++) {
        const json_t *row = json_array_get(labels, i);
        if (!strcmp(json_string_value(json_object_get(row, "label")), name))
            return row;
    }
    return NULL;
}

/* What is not there is missing; only what is there has a revision to send. "latest" is there but no
 * row: the registry says that it cannot be changed. */
static bool read_revision(struct label_call *c, const struct api_call *call, struct api_error *e)
{
    struct err why = ERR_INIT;
    json_t *template = NULL;
    if (!strcmp(c->label, "latest"))
        return true;
    if (call->if_match)
        return api_revision(call, &c->revision, e);
    bool found = registry_get(c->t.registry, &c->t.who, c->t.name, &template, &why) &&
                 (find_label(template, c->label) ||
                  registry_fail_missing(c->t.name, c->label, &why));
    json_decref(template);
    return found ? api_revision(call, &c->revision, e) : api_fail_act(e, &why);
}

/* False: *answer says why. */
static bool begin(struct label_call *c, const struct api_call *call, struct api_answer *answer)
{
    struct api_error e = API_ERROR_INIT;
    *c = (struct label_call){.b = {.number = -1, .permille = -1, .department_id = -1}};
    bool ok = template_call_named(&c->t, call, &e);
    c->label = call->param[1];
    if (ok && call->route->body)
        ok = (c->body = api_body(call, call->route->body, &c->b, &e)) != NULL;
    /* A label that is not there yet has nothing to match. */
    bool may_be_new = !strcmp(call->method, "PUT") && !call->if_match;
    if (ok && !may_be_new)
        ok = read_revision(c, call, &e);
    if (!ok) {
        json_decref(c->body);
        api_answer_error(answer, &e);
    }
    return ok;
}

/* Without If-Match a label is taken for new; where there is one, a revision is missing, not old. */
static void refuse(const struct label_call *c, const struct err *why, struct api_answer *answer)
{
    struct api_error e = API_ERROR_INIT;
    if (why->code != ERR_STALE || c->t.call->if_match) {
        api_answer_act(answer, why);
        return;
    }
    api_fail(&e, API_REVISION_NEEDED, NULL,
             "There is such a label: send its revision in If-Match, so that nobody's change is lost.");
    api_answer_error(answer, &e);
}

/* Ends a call: the label as it is now, or why not. */
static void finish(struct label_call *c, bool ok, struct err *why, struct api_answer *answer)
{
    json_t *template = NULL;
    ok = ok && registry_get(c->t.registry, &c->t.who, c->t.name, &template, why);
    const json_t *row = ok ? find_label(template, c->label) : NULL;
    if (!ok) {
        refuse(c, why, answer);
    } else if (row) {
        api_answer_etag(answer, json_integer_value(json_object_get(row, "revision")));
        api_answer_json_take(answer, 200, json_deep_copy(row));
    } else {
        answer->status = 204; /* deleted, or gone again meanwhile */
    }
    json_decref(template);
    json_decref(c->body);
}

static void move(const struct api_call *call, struct api_answer *answer)
{
    struct label_call c;
    struct err why = ERR_INIT;
    if (begin(&c, call, answer))
        finish(&c, registry_label_move(c.t.registry, &c.t.act, c.t.name, c.label, c.b.number,
                                       c.revision, &why), &why, answer);
}

static void delete_label(const struct api_call *call, struct api_answer *answer)
{
    struct label_call c;
    struct err why = ERR_INIT;
    if (begin(&c, call, answer))
        finish(&c, registry_label_delete(c.t.registry, &c.t.act, c.t.name, c.label, c.revision,
                                         &why), &why, answer);
}

static void rollback(const struct api_call *call, struct api_answer *answer)
{
    struct label_call c;
    struct err why = ERR_INIT;
    int64_t number;
    if (begin(&c, call, answer))
        finish(&c, registry_label_rollback(c.t.registry, &c.t.act, c.t.name, c.label, c.revision,
                                           &number, &why), &why, answer);
}

static void protect(const struct api_call *call, struct api_answer *answer)
{
    struct label_call c;
    struct err why = ERR_INIT;
    if (begin(&c, call, answer))
        finish(&c, registry_label_protect(c.t.registry, &c.t.act, c.t.name, c.label, c.revision,
                                          c.b.is_protected, &why), &why, answer);
}

static void canary(const struct api_call *call, struct api_answer *answer)
{
    struct label_call c;
    struct err why = ERR_INIT;
    if (!begin(&c, call, answer))
        return;
    if (c.b.number && (c.b.permille >= 0) == (c.b.department_id > 0)) {
        struct api_error e = API_ERROR_INIT;
        api_fail(&e, API_INVALID_VALUE, "permille",
                 "A canary needs either 'permille' or 'department_id'.");
        api_answer_error(answer, &e);
        json_decref(c.body);
        return;
    }
    struct registry_canary x = {.number = c.b.number,
                                .permille = c.b.permille > 0 ? (unsigned)c.b.permille : 0,
                                .department_id = c.b.department_id > 0 ? c.b.department_id : 0};
    finish(&c, registry_label_canary(c.t.registry, &c.t.act, c.t.name, c.label, c.revision, &x,
                                     &why), &why, answer);
}

/* Editors move labels, approvers the protected ones: the registry asks who it is. */
#define EDITORIAL                                                                                  \
    .access = ROUTE_OBJECT, .object = AUTHORITY_APPROVAL, .verb = AUTHORITY_READ,                  \
    .place = ROUTE_SLOW, .needs_database = true

static const struct route rows[] = {
    {"PUT", "/admin/v1/templates/{name}/labels/{label}", EDITORIAL, .body_bytes = ADMIN_BODY,
     .revised = true, .handler = move, .body = &MOVE,
     .summary = "Create or move a label; If-Match: its revision, none for a new one"},
    {"DELETE", "/admin/v1/templates/{name}/labels/{label}", EDITORIAL, .revised = true,
     .handler = delete_label, .summary = "Delete a label that is not protected"},
    {"POST", "/admin/v1/templates/{name}/labels/{label}/rollback", EDITORIAL,
     .body_bytes = ADMIN_BODY, .revised = true, .handler = rollback,
     .summary = "Move a label back to where it was before its last move"},
    {"PUT", "/admin/v1/templates/{name}/labels/{label}/protection", EDITORIAL,
     .body_bytes = ADMIN_BODY, .revised = true, .handler = protect, .body = &PROTECTION,
     .summary = "Protect a label (approvers), or no longer (administrators)"},
    {"PUT", "/admin/v1/templates/{name}/labels/{label}/canary", EDITORIAL,
     .body_bytes = ADMIN_BODY, .revised = true, .handler = canary, .body = &CANARY,
     .summary = "Another version for some callers of a label"},
};

const struct route_table ADMIN_LABELS = ROUTE_TABLE(rows);
